"""Episodes from labelled photographs: one sampler for every data set that has them.

A data set's module finds the files and says which classes are novel; this decides the episodes.

    query     the pictures of the split that show an eligible class, in turn, every round in a new
              order; then one of the picture's eligible classes at random
    supports  K distinct other pictures of that class, at random

A class is eligible in a picture when it covers at least `small_object` pixels there. The field
draws the same way (PFENet: Tian et al., TPAMI 2020, and what followed), from other random numbers:
a score here and one from another code base are of the same distribution, not the same episodes.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hmnet_lite.data.episode import IGNORE, Episode
from hmnet_lite.data.fields import integer, one_of
from hmnet_lite.data.photos.listing import Item, Listing, make_listing
from hmnet_lite.data.photos.masks import MaskFormat
from hmnet_lite.data.photos.pictures import BadImage, picture_size, read_picture
from hmnet_lite.data.photos.transform import augment, boxes, fit
from hmnet_lite.data.stream import Stream

SPLITS = ("train", "test")
ANNOTATIONS = ("mask", "box")
ON_BAD = ("stop", "skip")
SMALL_OBJECT = 2 * 32 * 32  # pixels; the field's threshold on PASCAL-5i and COCO-20i
GENERATOR = 1  # raise it whenever the same arguments and files would give another episode


@dataclass(frozen=True)
class Source:
    """One split's files and classes, as a data set's module finds them.

    Attributes:
        name: the data set's.
        items: pictures and masks.
        masks: how mask files are read.
        classes: id to name of all classes, base and novel.
        novel: ids of the novel ones.
        lists: where the split comes from, in words, for reports.
        upright: see `read_picture`.
        left_out: files that cannot be used, found so before any was read.
    """

    name: str
    items: tuple[Item, ...]
    masks: MaskFormat
    classes: Mapping[int, str]
    novel: frozenset[int]
    lists: str
    upright: bool = False
    left_out: tuple[BadImage, ...] = ()


class PhotoEpisodes(Sequence):
    """A sequence of episodes, read from disk when asked for.

    Episode `i` depends on the arguments, the files and `i` only, in any order of access.

    In "test" the whole picture is fitted into the square, and the query keeps its mask at its own
    size (`Episode.query_label`), where it is scored. In "train" each picture is augmented.

    Args:
        source: files and classes of the split.
        split: "train": targets are base classes. "test": targets are novel classes.
        shots: supports an episode. More shots add supports and change nothing else.
        seed: any integer from 0.
        length: number of episodes.
        image_size: side of the square, in pixels.
        filter_novel: training leaves out every picture with a pixel of a novel class (BAM's
            rule); otherwise such pixels are background there. Tests are not concerned.
        small_object: pixels, at the picture's own size, that a class must cover to count.
        support_annotation: "mask", or "box": filled bounding boxes of its connected components.
        on_bad: "stop": a mask or file that cannot be used ends it. "skip": its picture is left out
            (`left_out` tells which and why). Pictures are read when an episode needs them.
        progress: show a bar when the list is made.

    Raises:
        ValueError: an argument is not as above, no picture is left, or a class has fewer pictures
            than an episode needs; the message names it.
        BadImage: see `make_listing`; later, also when an episode's picture cannot be used.
    """

    def __init__(
        self,
        source: Source,
        split: str,
        *,
        shots: int = 1,
        seed: int = 321,
        length: int = 1000,
        image_size: int = 473,
        filter_novel: bool = True,
        small_object: int = SMALL_OBJECT,
        support_annotation: str = "mask",
        on_bad: str = "stop",
        progress: bool = True,
    ) -> None:
        one_of("split", split, SPLITS)
        one_of("support_annotation", support_annotation, ANNOTATIONS)
        self.source, self.split = source, split
        self.shots, self.length = integer("shots", shots, 1), integer("length", length, 1)
        self.seed = integer("seed", seed, 0)
        self.image_size = integer("image_size", image_size, 1)
        self.small_object = integer("small_object", small_object, 1)
        self.filter_novel, self.support_annotation = bool(filter_novel), support_annotation
        if one_of("on_bad", on_bad, ON_BAD) == "stop" and source.left_out:
            raise source.left_out[0]
        self.listing = make_listing(
            source.name,
            source.items,
            source.masks,
            upright=source.upright,
            on_bad=on_bad,
            progress=progress,
        )
        self.left_out = (*source.left_out, *self.listing.left_out)
        targets = [i for i in sorted(source.classes) if (i in source.novel) == (split == "test")]
        self._eligible, self._showing = self._sort(self.listing, targets)
        self._check_classes(targets)
        self.classes = {i: source.classes[i] for i in targets}  # id to name of the targets
        self._queries = sorted(self._eligible)
        self._turns: dict[int, list[int]] = {}  # the order of each round that was asked for

    def _sort(
        self, listing: Listing, targets: Sequence[int]
    ) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """Picture to the classes it may be a query for, and class to the pictures that show it."""
        kept = np.isin(listing.class_id, targets) & (listing.pixels >= self.small_object)
        if self.split == "train" and self.filter_novel:
            spoilt = listing.item[np.isin(listing.class_id, list(self.source.novel))]
            kept &= ~np.isin(listing.item, spoilt)
        eligible: dict[int, list[int]] = {}
        showing: dict[int, list[int]] = {class_id: [] for class_id in targets}
        pairs = zip(listing.item[kept].tolist(), listing.class_id[kept].tolist(), strict=True)
        for item, class_id in pairs:
            eligible.setdefault(item, []).append(class_id)
            showing[class_id].append(item)
        return eligible, showing

    def _check_classes(self, targets: Sequence[int]) -> None:
        names = self.source.classes
        if not targets:
            raise ValueError(
                f"{self.source.name} has no class for split {self.split!r} among its "
                f"{len(names)}; expected at least one: choose another fold, or none"
            )
        few = [(i, len(self._showing[i])) for i in targets if len(self._showing[i]) <= self.shots]
        if few:
            first = ", ".join(f"{names[i]} ({count})" for i, count in few[:5])
            more = f" and {len(few) - 5} more" if len(few) > 5 else ""
            more += f" ({len(self.left_out)} files were left out)" if self.left_out else ""
            raise ValueError(
                f"classes with fewer than {self.shots + 1} usable pictures (one query and "
                f"{self.shots} supports): {first}{more}. Pictures count when the class covers "
                f"{self.small_object} pixels or more. Mend: add pictures, take fewer shots, or "
                "leave the class out"
            )

    # ---------------------------------------------------------------------------- as a sequence

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Episode]:
        return (self[i] for i in range(self.length))

    def __getitem__(self, index: int) -> Episode:
        position = operator.index(index)
        if not -self.length <= position < self.length:
            raise IndexError(f"episode {position} of {self.length}")
        position %= self.length
        class_id, query, supports = self.plan(position)
        query_image, query_mask, query_label = self._view(query, class_id, position, "query")
        views = [
            self._view(item, class_id, position, f"support{shot}")
            for shot, item in enumerate(supports)
        ]
        return Episode(
            query_image=query_image,
            query_mask=query_mask,
            support_images=np.stack([image for image, _, _ in views]),
            support_masks=np.stack([self._annotated(mask) for _, mask, _ in views]),
            class_id=class_id,
            class_name=self.classes[class_id],
            index=position,
            query_label=query_label if self.split == "test" else None,
        )

    def plan(self, index: int) -> tuple[int, int, list[int]]:
        """Class id, then query and supports as positions in `listing.items`; reads no picture."""
        turn, place = divmod(index, len(self._queries))
        if turn not in self._turns:
            self._turns[turn] = self._stream("turn", turn).shuffled(self._queries)
        query = self._turns[turn][place]
        stream = self._stream(index)
        class_id = stream.choice(self._eligible[query])
        supports: list[int] = []
        while len(supports) < self.shots:
            item = stream.choice(self._showing[class_id])
            if item != query and item not in supports:
                supports.append(item)
        return class_id, query, supports

    def label(self, index: int) -> np.ndarray | None:
        """The query's mask at its own size, `Episode.query_label`; reads no picture but the head.

        Raises:
            BadImage: the mask cannot be used.
        """
        if self.split == "train":
            return None
        class_id, query, _ = self.plan(index)
        item = self.listing.items[query]
        size = picture_size(item.image, upright=self.source.upright)
        return self._own_mask(item, class_id, size)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of everything that decides an episode: arguments and files.

        Not the length: a longer data set begins with the episodes of a shorter one.
        """
        names = ("split", "shots", "seed", "image_size", "filter_novel", "small_object")
        parts = {name: getattr(self, name) for name in (*names, "support_annotation")}
        parts |= {"generator": GENERATOR, "data": self.source.name, "list": self.listing.key}
        parts |= {"novel": sorted(self.source.novel), "classes": sorted(self.classes.items())}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """What the data is, for reports: equal wherever the same data is installed."""
        return {
            "pictures": len(self.listing.items),
            "queries": len(self._queries),
            "lists": self.source.lists,
            "digest": self.listing.digest,
            "left_out": [
                {"file": "/".join(bad.path.parts[-2:]), "reason": bad.reason}
                for bad in self.left_out
            ],
        }

    def __getstate__(self) -> dict[str, Any]:  # worker processes draw the rounds again
        return self.__dict__ | {"_turns": {}}

    # ------------------------------------------------------------------------------------ inside

    def _stream(self, *purpose: object) -> Stream:
        return Stream("photo", GENERATOR, self.source.name, self.split, self.seed, *purpose)

    def _view(
        self, position: int, class_id: int, index: int, role: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A picture in its square, the class's mask there, and the mask at its own size."""
        item = self.listing.items[position]
        image = read_picture(item.image, upright=self.source.upright)
        label = self._own_mask(item, class_id, image.shape[:2])
        if self.split == "test":
            square, mask = fit(image, label, self.image_size)
        else:
            square, mask = augment(image, label, self.image_size, self._stream(index, role))
        if role != "query" and not (mask == 1).any():
            raise BadImage(
                item.mask,
                f"shows so little of {self.classes[class_id]} that nothing of it is left at "
                f"{self.image_size} pixels. Mend: raise small_object or image_size",
            )
        return square, mask, label

    def _own_mask(self, item: Item, class_id: int, size: tuple[int, int]) -> np.ndarray:
        ids = self.source.masks.read(item.mask, size, upright=self.source.upright)
        label = (ids == (class_id if item.class_id is None else 1)).astype(np.uint8)
        label[ids == IGNORE] = IGNORE
        return label

    def _annotated(self, mask: np.ndarray) -> np.ndarray:
        return boxes(mask) if self.support_annotation == "box" else mask
