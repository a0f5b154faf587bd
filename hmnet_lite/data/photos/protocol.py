"""Which episodes of photographs a number was measured on; see `protocol` for why this is a thing.

protocol = PhotoProtocol("pascal", fold=0)  # as published: 1,000 episodes, seed 321, 473 px
test = protocol.build("VOCdevkit/VOC2012")  # novel classes of the fold
train = protocol.training(4000, "VOCdevkit/VOC2012", seed=1)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hmnet_lite.data.fields import Record, one_of

if TYPE_CHECKING:
    from hmnet_lite.data.photos.sampler import PhotoEpisodes

PHOTO_DATASETS = ("pascal", "coco", "fss1000", "folder")
#: what the fields that are None become: the published protocol of each data set. (FSS-1000's and
#: that of one's own pictures are ours: HMNet was not tested there.)
DEFAULTS: dict[str, dict[str, Any]] = {
    "pascal": {
        "fold": 0, "fold_scheme": "consecutive", "episodes": 1000, "image_size": 473,
        "small_object": 2 * 32 * 32, "labels": "png",
    },
    "coco": {
        "fold": 0, "fold_scheme": "consecutive", "episodes": 4000, "image_size": 633,
        "small_object": 2 * 32 * 32, "labels": "png",
    },
    "fss1000": {
        "fold": None, "fold_scheme": "lists", "episodes": 2400, "image_size": 473,
        "small_object": 1, "labels": "png",
    },
    "folder": {
        "fold": None, "fold_scheme": "interleaved", "episodes": 1000, "image_size": 473,
        "small_object": 1, "labels": "png",
    },
}  # fmt: skip


@dataclass(frozen=True)
class PhotoProtocol(Record):
    """How a method is tested on photographs. A field left None takes its value of `DEFAULTS`.

    Args:
        dataset: "pascal" (PASCAL-5i), "coco" (COCO-20i), "fss1000", or "folder" (one's own).
        fold: 0 to 3, whose classes are novel. FSS-1000 has none, and "folder" need not: with None
            every class is tested (and, in training, every class is trained on).
        fold_scheme: how classes fall into folds. "consecutive" quarters (PASCAL-5i's, and PANet's
            of COCO), or "interleaved", every fourth class (FWB's of COCO; "folder" always).
            "lists": FSS-1000's own.
        episodes, seed: how many test episodes, and what decides them.
        shots: labelled support images in an episode.
        image_size: side of the square that pictures are fitted into, in pixels.
        filter_novel: whether training leaves out pictures with novel classes in them (BAM's rule).
        small_object: pixels a class must cover to count.
        support_annotation: "mask", or "box", filled bounding boxes of connected components.
        labels: "png", class-id masks, or, for COCO, "json", masks drawn from the annotations.

    Raises:
        TypeError, ValueError: a field has the wrong type or value.
    """

    dataset: str
    fold: int | None = None
    fold_scheme: str | None = None
    episodes: int | None = None
    seed: int = 321
    shots: int = 1
    image_size: int | None = None
    filter_novel: bool = True
    small_object: int | None = None
    support_annotation: str = "mask"
    labels: str | None = None

    def __post_init__(self) -> None:
        one_of("dataset", self.dataset, PHOTO_DATASETS)
        for name, value in DEFAULTS[self.dataset].items():
            if getattr(self, name) is None:
                self.keep(name, value)
        if self.dataset == "fss1000" and self.fold is not None:
            raise ValueError(
                f"fold is {self.fold}; FSS-1000 has none, its lists say which classes are novel. "
                "Mend: leave fold out"
            )
        if self.fold is not None:
            self.keep_integer("fold", 0, 3)
        schemes = {"coco": ("consecutive", "interleaved")}
        own = (DEFAULTS[self.dataset]["fold_scheme"],)
        one_of("fold_scheme", self.fold_scheme, schemes.get(self.dataset, own))
        self.keep_integer("seed", 0, 2**32 - 1)
        for name in ("episodes", "shots", "image_size", "small_object"):
            self.keep_integer(name, 1)
        if not isinstance(self.filter_novel, bool):
            raise TypeError(f"filter_novel is {self.filter_novel!r}; expected True or False")
        one_of("support_annotation", self.support_annotation, ("mask", "box"))
        one_of("labels", self.labels, ("png", "json") if self.dataset == "coco" else ("png",))

    def build(
        self, root: str | os.PathLike[str], *, on_bad: str = "stop", progress: bool = True
    ) -> PhotoEpisodes:
        """The test episodes: novel classes of the fold, from the split that is kept for tests.

        ``on_bad``: "stop" at the first file that cannot be used, or "skip" its picture.

        Raises:
            MissingData: the data is not at `root`; the message says what to download.
            ValueError, BadImage: see `PhotoEpisodes`.
        """
        return self._dataset(root, "test", self.seed, self.episodes, on_bad, progress)

    def training(
        self,
        length: int,
        root: str | os.PathLike[str],
        *,
        seed: int = 0,
        on_bad: str = "stop",
        progress: bool = True,
    ) -> PhotoEpisodes:
        """What a model may learn from under this protocol: base classes, augmented pictures.

        ``seed`` is the training run's own. Raises as `build` does.
        """
        return self._dataset(root, "train", seed, length, on_bad, progress)

    def _dataset(
        self,
        root: str | os.PathLike[str],
        split: str,
        seed: int,
        length: int,
        on_bad: str,
        progress: bool,
    ) -> PhotoEpisodes:
        options = {
            "shots": self.shots,
            "seed": seed,
            "length": length,
            "image_size": self.image_size,
            "filter_novel": self.filter_novel,
            "small_object": self.small_object,
            "support_annotation": self.support_annotation,
            "on_bad": on_bad,
            "progress": progress,
        }
        if self.dataset == "pascal":
            from hmnet_lite.data.photos.pascal import PascalEpisodes

            return PascalEpisodes(root, self.fold, split, **options)
        if self.dataset == "coco":
            from hmnet_lite.data.photos.coco import CocoEpisodes

            return CocoEpisodes(
                root, self.fold, split,
                fold_scheme=self.fold_scheme, labels=self.labels, **options,
            )  # fmt: skip
        if self.dataset == "fss1000":
            from hmnet_lite.data.photos.fss import FSSEpisodes

            return FSSEpisodes(root, split, **options)
        from hmnet_lite.data.photos.folder import FolderEpisodes

        return FolderEpisodes(root, self.fold, split, **options)
