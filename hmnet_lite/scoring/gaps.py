"""Tests on Emoji-20i: every predictor at each gap, with the floors, and whether a network listens.

*Support use* asks what a network does when its mixer is shown the wrong support: another class's,
or none, while its prior and prototype stay right. Where the score stays the same, what the mixer
computes from the support is not used. A mixed prior is made of what the mixer puts out, so it is
misled with the state, unless `keep_maps` is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from hmnet_lite.data.emoji.protocol import Protocol
from hmnet_lite.data.photos.transform import boxes
from hmnet_lite.models.features import CachedEpisode, CachedFeatures
from hmnet_lite.models.lite import HMNet
from hmnet_lite.scoring.evaluate import FLOORS, evaluate
from hmnet_lite.scoring.predict import Predictor, best_threshold, model_predictor, prior_predictor
from hmnet_lite.scoring.report import Report

PRIOR_EPISODES = 200  # training episodes that choose the prior's threshold
#: what a mixer is shown instead of its own support
SHOWN = ("wrong", "none")


def score_gaps(
    report: Report,
    protocol: Protocol,
    gaps: Sequence[str],
    networks: Mapping[tuple[str, int | None], HMNet],
    *,
    support_use: bool = True,
    progress: bool = True,
) -> None:
    """Score networks, keyed (method, training seed), and the floors at each gap.

    Args:
        report: receives a row for each, and is to be of the same protocol.
        protocol: its gap is replaced by each of `gaps` in turn.
        networks: in evaluation mode.
        support_use: also test each network with a wrong support, and with none, at its mixer.
        progress: show bars.
    """
    view = Boxed if report.support_annotation == "box" else _as_they_are
    floors = known_floors(protocol, view=view, progress=progress)
    for gap in gaps:
        at_gap = replace(protocol, gap=gap)
        episodes = view(CachedFeatures(at_gap.build(), progress=progress))
        asked: dict[tuple[str, int | None, str], Predictor] = {}
        for name, predictor in floors.items():
            asked[name, None, "own"] = predictor
        for (method, seed), network in networks.items():
            asked[method, seed, "own"] = model_predictor(network)
            for shown in SHOWN if support_use else ():
                asked[method, seed, shown] = misled_predictor(network, episodes, shown)
        by_name = {" / ".join(map(str, key)): predictor for key, predictor in asked.items()}
        scores = evaluate(by_name, episodes, progress=progress)
        results = dict(zip(asked, scores.values(), strict=True))
        for method, seed, shown in asked:
            if shown == "own":
                misled = {other: results.get((method, seed, other)) for other in SHOWN}
                found = {name: x.miou for name, x in misled.items() if x is not None}
                report.add(method, at_gap, results[method, seed, shown], seed=seed, misled=found)


def known_floors(
    protocol: Protocol,
    *,
    view: Callable[[Sequence[CachedEpisode]], Sequence[CachedEpisode]] | None = None,
    progress: bool = True,
) -> dict[str, Predictor]:
    """The floors of every report on the emoji."""
    threshold = prior_threshold(protocol, view=view, progress=progress)
    return {**FLOORS, "prior mask": prior_predictor(threshold)}


def prior_threshold(
    protocol: Protocol | None = None,
    *,
    view: Callable[[Sequence[CachedEpisode]], Sequence[CachedEpisode]] | None = None,
    progress: bool = True,
) -> float:
    """The threshold of the prior's floor, chosen on training episodes of the emoji.

    Photographs take it too: choosing it on their classes would choose it on what is tested.
    """
    training = (protocol or Protocol()).training(PRIOR_EPISODES)
    seen = (view or _as_they_are)(CachedFeatures(training, progress=progress))
    return best_threshold([seen[i] for i in range(len(seen))])


def misled_predictor(
    network: HMNet, episodes: Sequence[CachedEpisode], shown: str, *, keep_maps: bool = False
) -> Predictor:
    """(H, W) bool masks of a network whose mixer is shown another support than its own.

    Args:
        network: in evaluation mode.
        episodes: where the wrong supports come from; each episode is asked with its own `index`.
        shown: "wrong": the support of the next episode of another class. "none": zeros.
        keep_maps: as in `HMNet.segment`: of a mixed prior, mislead the state alone.
    """
    if shown not in SHOWN:
        raise ValueError(f"shown is {shown!r}; expected one of {', '.join(SHOWN)}")
    device = next(network.parameters()).device

    def mixer_support(episode: CachedEpisode) -> tuple[torch.Tensor, torch.Tensor]:
        other = wrong_episode(episodes, episode) if shown == "wrong" else episode
        features = other.support[None].float().to(device)
        masks = torch.from_numpy(other.support_masks)[None].to(device)
        if shown == "none":
            features, masks = torch.zeros_like(features), torch.zeros_like(masks)
        return features, masks

    return model_predictor(network, mixer_support=mixer_support, keep_maps=keep_maps)


def wrong_episode(episodes: Sequence[CachedEpisode], episode: CachedEpisode) -> CachedEpisode:
    """The next episode, round the end, that asks for another class.

    Raises:
        ValueError: there is none.
    """
    count = len(episodes)
    return episodes[next_of_another_class(lambda i: episodes[i].class_id, count, episode.index)]


def next_of_another_class(class_of: Callable[[int], int], count: int, index: int) -> int:
    """Where the next episode stands, round the end, that asks for another class.

    Args:
        class_of: an episode's place to its class.
        count: of the episodes.
        index: the place of the one that is to be misled.

    Raises:
        ValueError: there is none.
    """
    own = class_of(index)
    for step in range(1, count):
        other = (index + step) % count
        if class_of(other) != own:
            return other
    raise ValueError(
        f"all {count} episodes ask for class {own}; a wrong support needs another class: give "
        "more episodes"
    )


class Boxed(Sequence):
    """Episodes whose supports show filled boxes instead of outlines."""

    def __init__(self, episodes: Sequence[CachedEpisode]):
        self.episodes = episodes

    def __len__(self) -> int:
        return len(self.episodes)

    def __getitem__(self, index: int) -> CachedEpisode:
        episode = self.episodes[index]
        masks = np.stack([boxes(mask) for mask in episode.support_masks])
        return replace(episode, support_masks=masks)


def _as_they_are(episodes: Sequence[CachedEpisode]) -> Sequence[CachedEpisode]:
    return episodes
