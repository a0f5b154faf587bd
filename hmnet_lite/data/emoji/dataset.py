"""Emoji-20i: few-shot segmentation episodes whose intra-class gap is a dial.

80 concepts, each drawn by several artists, in 4 folds of 20. A scene lays a target and some
distractors on a background; the query and its supports show the same concept, and `gap` says how
differently they may draw it. Masks are exact, because scenes are composed, not labelled.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hmnet_lite.data.emoji import render, tiles
from hmnet_lite.data.emoji.protocol import FOLDS, GAPS, TRAINING_GAPS
from hmnet_lite.data.emoji.scene import LabelledScene, Scene, Thing, arrange, compose
from hmnet_lite.data.episode import Episode
from hmnet_lite.data.fields import integer, one_of, share
from hmnet_lite.data.stream import Stream

TRAIN_STYLES = ("twemoji", "noto", "noto-v1", "emojione", "openmoji")
FLUENT_STYLES = ("fluent-3d", "fluent-emoji-flat", "fluent-emoji")
SPLITS = ("train", "test")
GENERATOR = 3  # raise it whenever the same parameters would give another scene
SUPPORT_VISIBLE = 0.8  # at least this share of a support's target shows
SUPPORT_AREA = 0.02  # and at least this share of the image


@dataclass(frozen=True)
class Plan:
    """An episode before it is drawn; cheap, and enough to check every rule about its content."""

    class_id: int
    query: Scene
    supports: tuple[Scene, ...]


class EmojiEpisodes:
    """A sequence of episodes, made when asked for.

    Episode `i` depends only on the arguments here, `i` and the files in data_samples/: the same
    on every run, process, processor and operating system, in any order of access. Scenes are
    composed with integer arithmetic and random numbers defined here (SHAKE-256 of a key); the few
    floats are constants rounded far from a boundary or quotients that IEEE 754 fixes. Libraries
    only decode lossless WebP, which is exact by definition. What may change a scene is another
    `GENERATOR` or other data, and then `fingerprint` changes too.

    Two data sets that differ only in `gap` have the same classes, backgrounds, sizes and angles
    at the same index, which makes their scores comparable pair by pair.

    Args:
        fold: 0..3. Its 20 classes are novel, the other 60 are base classes. None: all 80 are base
            classes, to learn from before other people's pictures; there is nothing to test.
        split: "train": every object drawn, target or distractor, is of a base class, on training
            backgrounds. "test": targets are novel; a distractor may be of any class except the
            target's, as in a photograph; test backgrounds.
        gap: "same": query and supports in one of the five training styles. "cross": both from
            the five, supports never in the query's style. "sibling": two of the three Fluent
            styles, one drawing rendered twice. "held_out": query in fluent-3d, supports in the
            five. Training knows only "same" and "cross", so Fluent stays unseen.
        shots: supports an episode, 1..10. More shots add supports and change nothing else.
        seed: any non-negative integer.
        length: number of episodes. Classes come in turn, every round in a new order.
        image_size: pixels, 64..512. Sizes below are shares of it.
        distractors: their number in the query, or (fewest, most); default (2, 4). A support has 2
            (fewer if the query can have no more). Half are of the target's superclass, and half
            are drawn in the query's style, half in a support's, in query and supports alike.
        occlusion: largest hidden share of the query's target, 0..0.8; default 0.4. Supports
            always show at least 80 % of theirs, and at least 2 % of the image.
        scale: (smallest, largest) longest side of an object as a share of the image, or one
            number; within 0.1..0.7, default (0.24, 0.55). A support's thin target may be
            larger, for its 2 %.

    Raises:
        TypeError, ValueError: an argument is not as above.
        ValueError: a data file is damaged.
        FileNotFoundError: there is no data_samples folder.
    """

    def __init__(
        self,
        fold: int | None,
        split: str,
        *,
        gap: str,
        shots: int = 1,
        seed: int = 321,
        length: int = 1000,
        image_size: int = 256,
        distractors: int | tuple[int, int] | None = None,
        occlusion: float | None = None,
        scale: tuple[float, float] | None = None,
    ) -> None:
        self.fold = None if fold is None else integer("fold", fold, 0, FOLDS - 1)
        self.split = one_of("split", split, SPLITS)
        if self.fold is None and split == "test":
            raise ValueError(
                "fold is None, with which every class is learned and none is left to test on; "
                f"expected 0 to {FOLDS - 1} for split='test'"
            )
        self.gap = one_of("gap", gap, GAPS)
        if split == "train" and gap not in TRAINING_GAPS:
            raise ValueError(
                f"gap={gap!r} cannot be trained on: it shows the Fluent styles, which only tests "
                f"may; with split='train' choose one of {TRAINING_GAPS}"
            )
        self.shots = integer("shots", shots, 1, 10)
        self.seed = integer("seed", seed, 0, 2**63)
        self.length = integer("length", length, 1, 10**9)
        self.image_size = integer("image_size", image_size, 64, 512)
        fewest, most = _pair("distractors", (2, 4) if distractors is None else distractors)
        fewest = integer("distractors", fewest, 0, 8)
        self.distractors = fewest, integer("distractors", most, fewest, 8)
        self.occlusion = share("occlusion", 0.4 if occlusion is None else occlusion, 0, 0.8)
        low, high = _pair("scale", (0.24, 0.55) if scale is None else scale)
        self.scale = (share("scale", low, 0.1, 0.7), share("scale", high, low, 0.7))

        self._folder = tiles.data_folder()
        known = tiles.classes(self._folder)
        self._classes = {c["id"]: c for c in known}
        self._base = tuple(c["id"] for c in known if c["fold"] != self.fold)
        self._novel = tuple(c["id"] for c in known if c["fold"] == self.fold)
        used = FLUENT_STYLES if gap == "sibling" else TRAIN_STYLES
        used += ("fluent-3d",) if gap == "held_out" else ()
        self._tiles = {style: tiles.tiles(self._folder, style) for style in used}
        self._photographs = tiles.photographs(self._folder, split)

    # ---------------------------------------------------------------------------- as a sequence

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Episode]:
        return (self[i] for i in range(self.length))

    def __getitem__(self, index: int) -> Episode:
        index = self._position(index)
        plan = self.plan(index)
        query_image, query_labels = self._drawn(plan.query)
        pictures = [self._drawn(scene) for scene in plan.supports]
        return Episode(
            query_image=query_image,
            query_mask=(query_labels == 1).astype(np.uint8),
            support_images=np.stack([image for image, _ in pictures]),
            support_masks=np.stack([(labels == 1).astype(np.uint8) for _, labels in pictures]),
            class_id=plan.class_id,
            class_name=self.classes[plan.class_id],
            index=index,
            query_objects=(query_labels > 0).astype(np.uint8),
            query_style=plan.query.target.style,
            support_styles=tuple(scene.target.style for scene in plan.supports),
        )

    def scene(self, index: int, picture: int) -> LabelledScene:
        """One picture of episode `index`, 0 its query and k its k-th support, all labelled."""
        plan = self.plan(index)
        scene = (plan.query, *plan.supports)[picture]
        image, labels = self._drawn(scene)
        target = len(scene.below)
        objects = tuple(
            (1 if i == target else i + 2, thing.class_id, thing.style)
            for i, thing in enumerate(scene.things)
        )
        return LabelledScene(image, labels, objects)

    def layout(self, index: int, picture: int = 0) -> tuple[np.ndarray, float]:
        """What lies where in one picture, numbered as in `scene`, without drawing it.

        Returns:
            its labels, as `LabelledScene.labels`, and the share of its target that others hide.
        """
        plan = self.plan(index)
        scene = (plan.query, *plan.supports)[picture]
        placed = arrange(scene, self._tiles, self.image_size)
        whole = np.count_nonzero(render.solid(placed.sprites[len(scene.below)]))
        return placed.labels, 1 - np.count_nonzero(placed.labels == 1) / whole

    @property
    def classes(self) -> dict[int, str]:
        """Id -> name of the classes that are targets here: 60 to train on, or 20 to test."""
        ids = self._base if self.split == "train" else self._novel
        return {i: self._classes[i]["name"] for i in ids}

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of everything that decides an episode: arguments, data, generator.

        Not the length: a longer data set begins with the episodes of a shorter one, and a cache
        of the short one serves the long one.
        """
        names = ("fold", "split", "gap", "shots", "seed", "image_size")
        parts = {
            name: getattr(self, name) for name in (*names, "distractors", "occlusion", "scale")
        }
        parts |= {"generator": GENERATOR, "data": tiles.manifest(self._folder)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _position(self, index: int) -> int:
        try:
            position = operator.index(index)
        except TypeError:
            kind = type(index).__name__
            raise TypeError(f"an episode's index must be an integer, got {kind}") from None
        if not -self.length <= position < self.length:
            raise IndexError(
                f"episode {position} of {self.length}; indices end at {self.length - 1}"
            )
        return position % self.length

    # ---------------------------------------------------------------------------- what to draw

    def _key(self, *purpose: object) -> tuple:
        """Names a stream of random numbers. The gap stays out, to keep gaps comparable."""
        return ("emoji", GENERATOR, self.seed, self.split, self.fold, *purpose)

    def _stream(self, *purpose: object) -> Stream:
        return Stream(*self._key(*purpose))

    def _drawn(self, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
        return compose(scene, self._tiles, self._photographs, self.image_size)

    def plan(self, index: int) -> Plan:
        """Everything about episode `index` except where its objects come to lie.

        Raises TypeError, IndexError for what is no index here.
        """
        index = self._position(index)
        ids = tuple(self.classes)
        turn, place = divmod(index, len(ids))
        class_id = self._stream("classes", turn).shuffled(ids)[place]
        query_style, support_styles = self._styles(index)
        scenes = []
        for shot in range(-1, self.shots):
            is_query = shot < 0
            role = "query" if is_query else f"support{shot}"
            stream = self._stream(index, role, "plan")
            fewest, most = self.distractors
            count = stream.between(fewest, most) if is_query else min(2, most)
            style = query_style if is_query else support_styles[shot]
            other = support_styles[0] if is_query else query_style
            drawn_styles = stream.shuffled((style, other))
            others = [
                self._thing(stream, number, drawn_styles[i % 2])
                for i, number in enumerate(self._distractors(stream, class_id, count))
            ]
            cut = stream.below(count + 1) if is_query else stream.between(count // 2, count)
            room = 0 if is_query else SUPPORT_AREA / SUPPORT_VISIBLE
            target = self._thing(stream, class_id, style, room)
            procedural = stream.below(3) == 0
            photograph = stream.below(len(self._photographs))
            scenes.append(
                Scene(
                    target=target,
                    below=tuple(others[:cut]),
                    above=tuple(others[cut:]),
                    photograph=None if procedural else photograph,
                    hidden=self.occlusion if is_query else 1 - SUPPORT_VISIBLE,
                    key=self._key(index, role),
                )
            )
        return Plan(class_id, scenes[0], tuple(scenes[1:]))

    def _styles(self, index: int) -> tuple[str, list[str]]:
        """The query's style and the supports', as the gap says."""
        stream = self._stream(index, "styles", self.gap)
        family = FLUENT_STYLES if self.gap == "sibling" else TRAIN_STYLES
        query = "fluent-3d" if self.gap == "held_out" else stream.choice(family)
        if self.gap == "same":
            return query, [query] * self.shots
        allowed = [style for style in family if style != query]
        return query, [stream.choice(allowed) for _ in range(self.shots)]

    def _distractors(self, stream: Stream, class_id: int, count: int) -> list[int]:
        """Different classes, none the target's, half of them of its superclass if it has as many.

        Drawn in random order, so that neither depth nor style tells the two halves apart.
        """
        allowed = self._base if self.split == "train" else (*self._base, *self._novel)
        kind = self._classes[class_id]["superclass"]
        order = stream.shuffled(sorted(i for i in allowed if i != class_id))
        alike = [i for i in order if self._classes[i]["superclass"] == kind]
        half = alike[: (count + stream.below(2)) // 2]
        rest = [i for i in order if i not in half and i not in alike]
        return stream.shuffled((half + rest)[:count])

    def _thing(self, stream: Stream, class_id: int, style: str, room: float = 0) -> Thing:
        """An object of random look; its opaque area is at least `room`, a share of the image."""
        side = self.image_size
        size = stream.between(round(self.scale[0] * side), round(self.scale[1] * side))
        if room:
            covered = np.count_nonzero(self._tiles[style][class_id][..., 3] >= 128)
            # 3 pixels more for what rounding and turning may lose at the edges.
            least = math.isqrt(int(room * side * side * render.TILE_SIDE**2 / covered)) + 3
            size = max(size, least)
        lift = stream.between(1, 6)
        return Thing(
            class_id=class_id,
            style=style,
            size=size,
            degrees=stream.between(-30, 30),
            hue=stream.between(-45, 45),
            contrast=stream.between(192, 320),
            shadow=(
                lift * side // 256,
                stream.between(-lift, lift) * side // 256,
                max(1, stream.between(2, 5) * side // 256),
                stream.between(40, 120),
            ),
        )


def _pair(name: str, given: object) -> tuple:
    if not isinstance(given, (tuple, list)):
        return given, given
    if len(given) != 2:
        raise ValueError(f"{name} must be one number or a pair (smallest, largest), got {given!r}")
    return tuple(given)
