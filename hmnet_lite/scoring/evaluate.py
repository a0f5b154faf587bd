"""Predictors scored on the same episodes, and the floors that every score is read against.

    protocol = Protocol(fold=0, gap="cross")
    scores = evaluate({**FLOORS, "HMNet-lite": predict}, protocol.build())
    report = Report()
    for method, result in scores.items():
        report.add(method, protocol, result, seed=1)
    print(report.table())

A number means little without its floor: a method that marks everything already scores the share of
the image that targets fill, and one that outlines every object without looking at the support
scores far above it. Both are predictors here, so they are measured on the very same episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from hmnet_lite.scoring.metrics import Scores

E = TypeVar("E")  # an episode, or anything else with query_mask and class_id


def evaluate(
    predictors: Mapping[str, Callable[[E], Any]], episodes: Iterable[E], *, progress: bool = True
) -> dict[str, Scores]:
    """Score every predictor on the same episodes, in one pass over them.

    Args:
        predictors: name to function from an episode to its (H, W) mask, bool or {0, 1}, a numpy
            array or a torch tensor.
        episodes: anything with ``query_mask`` ((H, W), {0, 1, 255}) and ``class_id``; see `truth`.
        progress: show a bar (on standard error, gone when done).

    Raises:
        ValueError: there is nothing to score or nobody to score it, or a prediction is no mask of
            the episode's size; the message names predictor and episode.
    """
    if not predictors:
        raise ValueError("predictors is empty; expected {name: function of an episode}")
    scores = {name: Scores() for name in predictors}
    if progress:
        from tqdm import tqdm

        episodes = tqdm(episodes, desc="evaluate", unit="episode", leave=False)
    for position, episode in enumerate(episodes):
        for name, predict in predictors.items():
            prediction = predict(episode)
            try:
                scores[name].update(prediction, truth(episode), episode.class_id)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name!r} on episode {position}: {error}") from error
    if not next(iter(scores.values())).episodes:
        raise ValueError("there were no episodes; expected at least one")
    return scores


def truth(episode: Any) -> np.ndarray:
    """(H, W) of {0, 1, 255} that predictions are scored against, and whose size they must have.

    A photograph's mask at its own size (``query_label``) where the episode has one, else
    ``query_mask``.
    """
    label = getattr(episode, "query_label", None)
    return episode.query_mask if label is None else label


def all_foreground(episode: Any) -> np.ndarray:
    """Floor: everything is foreground. Scores the share of the image that targets fill."""
    return np.ones(np.shape(truth(episode)), dtype=bool)


def every_object(episode: Any) -> np.ndarray:
    """Floor: perfect outlines of every object, target or distractor; the support is not looked at.

    Raises:
        ValueError: the episode does not know its objects (``query_objects`` is None).
    """
    objects = episode.query_objects
    if objects is None:
        raise ValueError(
            "the episode has no query_objects, which this floor outlines; expected (H, W) of 0 "
            "and 1. Mend: leave this floor out for datasets that label the target only"
        )
    return np.asarray(objects) > 0


#: name in every table and figure to predictor
FLOORS: dict[str, Callable[[Any], np.ndarray]] = {
    "all foreground": all_foreground,
    "every object": every_object,
}
