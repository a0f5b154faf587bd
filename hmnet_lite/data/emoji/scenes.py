"""The scenes of training episodes one by one, with every object in them labelled.

An episode uses one object of each of its pictures. A scene holds several, so that pairing scenes
anew gives far more episodes than were drawn (:class:`hmnet_lite.training.sources.ScenePairs`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hmnet_lite.data.emoji.dataset import EmojiEpisodes
from hmnet_lite.data.emoji.protocol import Interleaved
from hmnet_lite.data.emoji.scene import LabelledScene


class EmojiScenes(Sequence):
    """Queries and supports of Emoji-20i episodes in turn: scene i is of episode i // (1 + shots).

    Args:
        episodes: training episodes, from `Protocol.training`, or one `EmojiEpisodes`.
        length: how many scenes; all there are when None.

    Raises:
        ValueError: more scenes than the episodes have.
    """

    def __init__(self, episodes: Interleaved | EmojiEpisodes, length: int | None = None):
        self.episodes = episodes
        first = episodes if isinstance(episodes, EmojiEpisodes) else episodes.parts[0]
        self._each = 1 + first.shots
        most = len(episodes) * self._each
        self._length = most if length is None else length
        if not 1 <= self._length <= most:
            raise ValueError(f"length is {length}; these episodes have 1 to {most} scenes")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> LabelledScene:
        if not -len(self) <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        episode, role = divmod(index % len(self), self._each)
        source = self.episodes
        if not isinstance(source, EmojiEpisodes):
            source = source.parts[episode % len(source.parts)]
        return source.scene(episode, role)

    @property
    def classes(self) -> dict[int, str]:
        """Id to name of the classes that are targets."""
        return self.episodes.classes

    @property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the content, but the length."""
        return hashlib.sha256(f"scenes {self.episodes.fingerprint}".encode()).hexdigest()
