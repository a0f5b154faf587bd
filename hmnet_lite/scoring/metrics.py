"""What few-shot segmentation counts: mIoU over classes and FB-IoU over episodes.

An episode asks for one class, so a prediction is binary. Over the episodes of a test, with
prediction P and truth T as sets of pixels, and all pixels with T = 255 left out of *both*:

    IoU_c  = Σ area(P and T) / Σ area(P or T)        sums over the episodes of class c
    mIoU   = mean of IoU_c over the classes seen     every class weighs the same

    IoU_F  = Σ area(P and T) / Σ area(P or T)        sums over all episodes, whatever the class
    IoU_B  = the same with P and T complemented
    FB-IoU = (IoU_F + IoU_B) / 2

Sums come first and the division last: within a class large objects weigh more than small ones, and
an IoU averaged over episodes is *another* number. This is how the field reports PASCAL-5i and
COCO-20i: per-class IoU and its mean over the fold's classes since Shaban et al., "One-Shot Learning
for Semantic Segmentation", BMVC 2017; FB-IoU since Rakelly et al., "Conditional Networks for
Few-Shot Semantic Segmentation", ICLR workshop 2018; both formulas side by side in Min et al.,
"Hypercorrelation Squeeze for Few-Shot Segmentation", ICCV 2021, section 5. HMNet follows them.

Three cases the papers leave open are defined here:

- An episode without foreground outside the ignored pixels still counts: every foreground pixel
  predicted there adds to the union, and all of its background counts in FB-IoU.
- A class with an empty union (nothing to find, nothing predicted) has no IoU: it is left out of
  ``class_iou`` and so out of the mean. (Dividing by max(union, 1), as is common, would score it 0.)
- The same holds for either half of FB-IoU.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hmnet_lite.data.episode import IGNORE


class Scores:
    """Intersections and unions of one method on one set of episodes, in pixels.

    >>> scores = Scores()
    >>> truth = np.array([[1, 1, 0, 255]], dtype=np.uint8)
    >>> scores.update(np.array([[1, 0, 0, 1]]), truth, class_id=7)
    >>> scores.class_iou
    {7: 0.5}
    >>> scores.miou, scores.fb_iou
    (0.5, 0.5)

    Sums are exact integers, so the order of the episodes changes no result. Each episode's counts
    are kept, which is what intervals and paired comparisons are made of.
    """

    #: what is summed for each class, in this order
    FIELDS = ("episodes", "fg_intersection", "fg_union", "bg_intersection", "bg_union")

    def __init__(self) -> None:
        self._sums: dict[int, np.ndarray] = {}
        self._rows: list[tuple[int, ...]] = []

    def update(self, prediction: Any, target: Any, class_id: int) -> None:
        """Add one episode.

        Args:
            prediction: (H, W) bool, or integers in {0, 1}; a numpy array or a torch tensor on any
                device.
            target: (H, W) integers in {0, 1, 255}; 255 is left out of everything.
            class_id: the class the episode asks for.

        Raises:
            TypeError: ``class_id`` is not an integer.
            ValueError: wrong dtype, shape or values. Nothing is added then.
        """
        counts = _count(prediction, target)
        if isinstance(class_id, bool):
            raise TypeError("class_id is a bool; expected the integer id of the episode's class")
        try:
            class_id = operator.index(class_id)
        except TypeError:
            raise TypeError(
                f"class_id is {class_id!r}; expected the integer id of the episode's class"
            ) from None
        self._sums[class_id] = self._sums.get(class_id, 0) + np.array([1, *counts], dtype=np.int64)
        self._rows.append((class_id, *counts))

    @property
    def episodes(self) -> int:
        """How many episodes were added."""
        return int(sum(sums[0] for sums in self._sums.values()))

    @property
    def counts(self) -> np.ndarray:
        """(episodes, 5) int64 in order: class id, then the four counts of ``FIELDS``, in pixels.

        Empty where only sums were read back, as from reports before counts were kept.
        """
        return np.array(self._rows, dtype=np.int64).reshape(-1, 5)

    @property
    def class_iou(self) -> dict[int, float]:
        """IoU in [0, 1] of each class with a non-empty union, by ascending class id."""
        return {
            class_id: int(intersection) / int(union)
            for class_id, (_, intersection, union, _, _) in sorted(self._sums.items())
            if union
        }

    @property
    def miou(self) -> float:
        """Mean of ``class_iou``, in [0, 1].

        Raises:
            ValueError: no class has an IoU (no episode yet, or nothing to find and nothing found).
        """
        values = self.class_iou.values()
        if not values:
            raise ValueError(
                f"no mIoU after {self.episodes} episodes: no class has a foreground pixel in truth "
                "or prediction outside the ignored ones; expected at least one. Mend: update() "
                "first, and check that the masks are not all 0 or 255"
            )
        return sum(values) / len(values)

    @property
    def fb_iou(self) -> float:
        """Mean of foreground and background IoU over all episodes, in [0, 1].

        Raises:
            ValueError: no pixel was counted (no episode yet, or all of them ignored).
        """
        _, *sums = sum(self._sums.values(), np.zeros(5, dtype=np.int64)).tolist()
        halves = [i / u for i, u in (sums[:2], sums[2:]) if u]
        if not halves:
            raise ValueError(
                f"no FB-IoU after {self.episodes} episodes: no pixel was counted. Mend: update() "
                "first, and check that the masks are not 255 everywhere"
            )
        return sum(halves) / len(halves)

    def to_dict(self) -> dict[str, list[int]]:
        """The raw sums, ``{class id as text: [...]}`` in the order of ``FIELDS``, for JSON."""
        return {str(class_id): sums.tolist() for class_id, sums in sorted(self._sums.items())}

    @classmethod
    def from_dict(cls, sums: Mapping[str, Iterable[int]]) -> Scores:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: a class has other than the five sums of ``FIELDS``, or a negative one.
        """
        scores = cls()
        for class_id, values in sums.items():
            row = np.array(list(values), dtype=np.int64)
            if row.shape != (len(cls.FIELDS),) or (row < 0).any():
                raise ValueError(
                    f"sums of class {class_id} are {row.tolist()}; expected "
                    f"{len(cls.FIELDS)} counts: {', '.join(cls.FIELDS)}"
                )
            scores._sums[int(class_id)] = row
        return scores

    def counts_to_dict(self) -> dict[str, str]:
        """Each episode's counts as a few lines of JSON: numbers in order, parted by spaces.

        "pixels" are those that count (foreground union and background intersection together); a
        single number where all episodes have as many.
        """
        table = self.counts
        pixels = table[:, 2] + table[:, 3]
        columns = {"class_id": table[:, 0], "intersection": table[:, 1], "union": table[:, 2]}
        columns["pixels"] = pixels[:1] if len(set(pixels.tolist())) == 1 else pixels
        return {name: " ".join(map(str, column.tolist())) for name, column in columns.items()}

    @classmethod
    def from_counts(cls, values: Mapping[str, str]) -> Scores:
        """Inverse of :meth:`counts_to_dict`; the sums come with the counts.

        Raises:
            KeyError, ValueError: a column is missing, not numbers, or of another length.
        """
        names = ("class_id", "intersection", "union", "pixels")
        columns = [np.array(values[name].split(), dtype=np.int64) for name in names]
        columns[3] = np.broadcast_to(columns[3], columns[0].shape)
        scores = cls()
        for class_id, intersection, union, pixels in np.stack(columns, axis=1).tolist():
            row = (intersection, union, pixels - union, pixels - intersection)
            if not 0 <= intersection <= union <= pixels:
                raise ValueError(f"an episode has counts {row}; expected them in order")
            one = np.array([1, *row], dtype=np.int64)
            scores._sums[class_id] = scores._sums.get(class_id, 0) + one
            scores._rows.append((class_id, *row))
        return scores

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scores) and self.to_dict() == other.to_dict()

    __hash__ = None  # changes with every update

    def __repr__(self) -> str:
        if not self.class_iou:
            return f"Scores({self.episodes} episodes)"
        return (
            f"Scores({self.episodes} episodes, {len(self._sums)} classes, "
            f"mIoU {self.miou:.3f}, FB-IoU {self.fb_iou:.3f})"
        )


def mask_iou(prediction: Any, target: Any) -> float | None:
    """Foreground IoU of one mask, in [0, 1]; ``None`` where the union is empty.

    For titles under pictures: the mean of these is *not* the mIoU. Arguments and errors as in
    :meth:`Scores.update`.
    """
    intersection, union, _, _ = _count(prediction, target)
    return intersection / union if union else None


def as_mask(prediction: Any) -> np.ndarray:
    """``prediction`` as an (H, W) bool array, checked.

    Raises:
        ValueError: it is not two-dimensional, not boolean or integer, or holds other than 0 and 1.
    """
    array = _to_numpy(prediction)
    if array.dtype.kind not in "biu":
        bad = ", with NaN in it" if array.dtype.kind == "f" and np.isnan(array).any() else ""
        raise ValueError(
            f"prediction has dtype {array.dtype}{bad}; expected bool, or integers 0 and 1. "
            "Mend: for two logit maps take logits.argmax(0), for a probability map p take p > 0.5"
        )
    if array.ndim != 2:
        raise ValueError(
            f"prediction has shape {array.shape}; expected (height, width) of one episode. "
            "Mend: take it out of the batch, as in prediction[0]"
        )
    if array.dtype.kind != "b" and array.size and not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"prediction holds {_some_values(array)}; expected only 0 (background) and "
            f"1 (foreground). Mend: prediction {'== 1' if array.max() == IGNORE else '> 0'}"
        )
    return array.astype(bool, copy=False)


def _count(prediction: Any, target: Any) -> tuple[int, int, int, int]:
    """Foreground intersection and union, background intersection and union, in pixels."""
    found = as_mask(prediction)
    truth = _to_numpy(target)
    if truth.dtype.kind not in "biu" or (truth.size and not np.isin(truth, (0, 1, IGNORE)).all()):
        raise ValueError(
            f"target has dtype {truth.dtype} and holds {_some_values(truth)}; expected integers 0 "
            f"(background), 1 (foreground) and {IGNORE} (ignore). Mend: map the labels of the "
            "other classes to 0 first"
        )
    if found.shape != truth.shape:
        raise ValueError(
            f"prediction has shape {found.shape}, target {truth.shape}; expected the same. Mend: "
            "resize the logits to the target's size before argmax"
        )
    counted = truth != IGNORE
    foreground = truth == 1
    both = int(np.count_nonzero(found & foreground))  # where it is 1, truth is not 255
    either = int(np.count_nonzero((found | foreground) & counted))
    pixels = int(np.count_nonzero(counted))
    return both, either, pixels - either, pixels - both


def _to_numpy(array: Any) -> np.ndarray:
    if hasattr(array, "detach"):  # a torch tensor, perhaps on a GPU
        array = array.detach().cpu().numpy()
    return np.asarray(array)


def _some_values(array: np.ndarray) -> str:
    values = np.unique(array)
    return ", ".join(map(str, values[:6].tolist())) + (", ..." if len(values) > 6 else "")
