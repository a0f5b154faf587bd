"""Figures by name: numbers first, then the drawing.

    show(figure("recap", numbers))      # in a notebook: drawn from what it has just computed
    figure("recap")                     # drawn from the numbers kept in figures/recap.json
    python -m hmnet_lite.workbook.make  # draw all of figures/, computing what is quickly computed

Each figure is a file of numbers and a picture of them. Numbers that a clock gave are kept from a
run of the notebook that computes them: `tools/notebooks.py keep NOTEBOOK`. Those that take minutes,
over shipped networks and many episodes, are computed only for a figure that is named.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hmnet_lite.files import write_bytes
from hmnet_lite.machine import made_on
from hmnet_lite.workbook import (
    drawings,
    drawings_of_failures,
    drawings_of_paper,
    measured,
    measured_diffusion,
    measured_failures,
    measured_forgetting,
    measured_paper,
    measured_similarity,
    measured_tests,
    measured_words,
    numbers,
    numbers_of_questions,
    numbers_of_runs,
)
from hmnet_lite.workbook.figures.parts import save

FOLDER = Path(__file__).resolve().parents[2] / "figures"
DIGITS = 4  # kept of every number: more than a picture shows


@dataclass(frozen=True)
class Recipe:
    """How a figure comes about.

    Attributes:
        notebook: in which its numbers are computed and explained.
        draw: numbers as JSON holds them to a figure.
        compute: the numbers anew, in seconds; None where only the notebook computes them.
        max_bytes: of the picture.
        long: `compute` takes minutes and needs shipped networks.
        check: the same for few episodes, in seconds. Its numbers are kept beside those of many
            episodes, and a test computes them again.
    """

    notebook: str
    draw: Callable[[Mapping[str, Any]], Figure]
    compute: Callable[[], Mapping[str, Any]] | None = None
    max_bytes: int = 100_000
    long: bool = False
    check: Callable[[], Mapping[str, Any]] | None = None


def _over_episodes(draw: Callable, compute: Callable, max_bytes: int = 100_000) -> Recipe:
    """A figure of notebook 08 over shipped networks and many episodes."""
    check = partial(compute, measured.CHECKED)
    return Recipe("08_analysis", draw, compute, max_bytes, long=True, check=check)


FIGURES = {
    "readme": Recipe("00_start_here", drawings.readme, numbers.readme, max_bytes=200_000),
    "coins": Recipe("07_training", drawings.coins, measured.coins, 250_000, long=True),
    "scan_matrix": Recipe("02_scan_algorithms", drawings.scan_matrix, numbers.scan_matrix),
    "scan_costs": Recipe("02_scan_algorithms", drawings.scan_costs),
    "scan_roofline": Recipe("02_scan_algorithms", drawings.scan_roofline),
    "gpu_blocks": Recipe("02_scan_algorithms", drawings.gpu_blocks, numbers.gpu_blocks),
    "receptive_fields": Recipe("03_scanning_images", drawings.receptive_fields),
    "attention_or_scan": Recipe("03_scanning_images", drawings.attention_or_scan),
    "forgetting": Recipe("04_cross_mamba", drawings.forgetting),
    "reading_orders": Recipe("04_cross_mamba", drawings.reading_orders, numbers.reading_orders),
    "recap": Recipe("04_cross_mamba", drawings.forgetting),
    "recap_ratio": Recipe("04_cross_mamba", drawings.recap_ratio),
    "intra_class_gap": Recipe("05_query_intercepted", drawings.intra_class_gap),
    "who_hears_whom": Recipe("05_query_intercepted", drawings.who_hears_whom),
    "skip_slip": Recipe("05_query_intercepted", drawings.skip_slip),
    "qim_similarity": Recipe("05_query_intercepted", drawings.qim_similarity),
    "published_map": Recipe("06_hmnet_assembled", drawings.published_map),
    "published_costs": Recipe("06_hmnet_assembled", drawings.published_costs),
    "support_forgetting": _over_episodes(
        drawings.support_forgetting, measured_forgetting.support_forgetting
    ),
    "forgetting_directions": _over_episodes(
        drawings.forgetting_directions, measured_forgetting.forgetting_directions
    ),
    "where_it_lasts": _over_episodes(drawings.where_it_lasts, measured_forgetting.where_it_lasts),
    "implicit_attention": Recipe(
        "08_analysis",
        drawings.implicit_attention,
        measured.implicit_attention,
        long=True,
        check=measured.implicit_attention,
    ),
    "rolled_out": Recipe(
        "08_analysis",
        drawings.rolled_out,
        measured.rolled_out,
        150_000,
        long=True,
        check=partial(measured.rolled_out, arms=("qim",)),
    ),
    "support_similarity": _over_episodes(
        drawings.support_similarity, measured_similarity.support_similarity
    ),
    "fused_pca": _over_episodes(drawings.fused_pca, measured.fused_pca, 150_000),
    "fused_clouds": _over_episodes(drawings.fused_clouds, measured.fused_clouds),
    "who_is_listened_to": Recipe(
        "09_experiments", drawings.who_is_listened_to, numbers_of_runs.who_is_listened_to
    ),
    "with_and_without": Recipe(
        "09_experiments", drawings.arms_against, numbers_of_runs.with_and_without
    ),
    "by_the_state_alone": Recipe(
        "09_experiments", drawings.arms_against, numbers_of_runs.by_the_state_alone
    ),
    "asked_by_training": Recipe(
        "09_experiments", drawings.arms_against, numbers_of_runs.asked_by_training
    ),
    "along_the_scan": Recipe(
        "09_experiments", drawings.along_the_scan, numbers_of_questions.along_the_scan, long=True
    ),
    "support_read": Recipe(
        "09_experiments", drawings.support_read, numbers_of_questions.support_read
    ),
    "curves_and_scores": Recipe(
        "09_experiments", drawings.curves_and_scores, numbers_of_questions.curves_and_scores
    ),
    "more_supports": Recipe(
        "09_experiments", drawings.more_supports, measured_tests.more_supports, long=True
    ),
    "boxes": Recipe("09_experiments", drawings.boxes, measured_tests.boxes_for_masks, long=True),
    "knocked_out": Recipe(
        "09_experiments", drawings.knocked_out, measured_tests.knocked_out, 60_000, long=True
    ),
    "test_draws": Recipe(
        "09_experiments",
        drawings_of_paper.other_draws,
        measured_paper.other_draws,
        60_000,
        long=True,
        check=partial(measured_paper.other_draws, measured.CHECKED),
    ),
    "episode_seconds": Recipe(
        "09_experiments",
        drawings_of_paper.episode_seconds,
        measured_paper.episode_seconds,
        60_000,
        long=True,
    ),
    "failure_kinds": Recipe(
        "09_experiments", drawings_of_failures.kinds, measured_failures.failure_kinds, long=True
    ),
    "best_median_worst": Recipe(
        "00_start_here",
        drawings_of_failures.best_median_worst,
        measured_failures.best_median_worst,
        150_000,
        long=True,
    ),
    "failure_causes": Recipe(
        "09_experiments", drawings_of_failures.causes, measured_failures.failure_causes, long=True
    ),
    "failures_gallery": Recipe(
        "09_experiments",
        drawings_of_failures.gallery,
        measured_failures.failures_gallery,
        150_000,
        long=True,
    ),
    "words_scores": Recipe("11_remamber", drawings.words_scores, measured_words.words_scores),
    "words_arms": Recipe("11_remamber", drawings.words_arms, measured_words.words_arms),
    "words_costs": Recipe(
        "11_remamber", drawings.words_costs, measured_words.words_costs, long=True
    ),
    "diffews_beside_hmnet": Recipe(
        "12_diffews",
        drawings.diffews_beside_hmnet,
        measured_diffusion.diffews_beside_hmnet,
        long=True,
    ),
    "diffews_shots": Recipe(
        "12_diffews", drawings.diffews_shots, measured_diffusion.diffews_shots, long=True
    ),
    "diffews_arms": Recipe("12_diffews", drawings.diffews_arms, measured_diffusion.diffews_arms),
}
_shown: dict[str, Any] = {}  # what this process has drawn from numbers of its own


def figure(name: str, given: Mapping[str, Any] | None = None) -> Figure:
    """A figure by its name.

    Args:
        name: one of `FIGURES`.
        given: its numbers; by default those kept in figures/.

    Raises:
        ValueError: no figure has that name.
        FileNotFoundError: its numbers were never kept.
    """
    recipe = _recipe(name)
    if given is None:
        return recipe.draw(kept(name))
    _shown[name] = plain(given)
    return recipe.draw(_shown[name])


def kept(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The numbers of a figure as they are kept.

    Raises:
        ValueError: no figure has that name.
        FileNotFoundError: its numbers were never kept.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: the numbers of {name!r} are explained in notebook "
            f"{_recipe(name).notebook}; compute them with {command(name)}"
        )
    return json.loads(path.read_text(encoding="utf-8"))["numbers"]


def keep(folder: Path = FOLDER) -> list[str]:
    """Write the numbers that this process has drawn, with the machine that made them.

    Those that `main` computes are left to it. Returns the figures' names.
    """
    names = [name for name in _shown if not _recipe(name).compute]
    for name in names:
        write(name, _shown[name], folder, made=made_on())
    return names


def write(name: str, values: Any, folder: Path, **facts: Any) -> None:
    """Write figures/NAME.json and, drawn from it, figures/NAME.png.

    Args:
        name: one of `FIGURES`.
        values: its numbers, plain.
        folder: of both files.
        facts: what else is kept: `made` (the machine), `check` (see `Recipe`).
    """
    facts = {"figure": name, "notebook": _recipe(name).notebook, "command": command(name)} | facts
    text = json.dumps(facts | {"numbers": values}, ensure_ascii=False, separators=(",", ":"))
    whole = text.replace('"numbers":', '\n"numbers":\n') + "\n"
    write_bytes(folder / f"{name}.json", whole.encode())
    draw(name, folder)


def command(name: str) -> str:
    """What computes a figure's numbers anew, on the command line."""
    recipe = _recipe(name)
    if recipe.compute:
        return f"python -m hmnet_lite.workbook.make {name}"
    return f"python tools/notebooks.py keep notebooks/{recipe.notebook}.ipynb"


def draw(name: str, folder: Path = FOLDER) -> Path:
    """Draw figures/NAME.png from figures/NAME.json; returns the picture's path."""
    recipe = _recipe(name)
    return save(recipe.draw(kept(name, folder)), folder / f"{name}.png", max_bytes=recipe.max_bytes)


def plain(values: Any) -> Any:
    """Arrays, tuples and numpy's numbers as lists and numbers of `DIGITS` digits: what JSON holds.

    Raises:
        TypeError: something that is no number, text, list or mapping.
    """
    if isinstance(values, Mapping):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, np.ndarray):
        return plain(values.tolist())
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [plain(value) for value in values]
    if values is None or isinstance(values, (str, bool, int)):
        return values
    if isinstance(values, np.integer):
        return int(values)
    if isinstance(values, (float, np.floating)):
        return float(f"{values:.{DIGITS}g}")
    raise TypeError(f"{type(values).__name__} is no number that a file can hold: {values!r:.60}")


def _recipe(name: str) -> Recipe:
    if name not in FIGURES:
        raise ValueError(f"no figure is called {name!r}; expected one of {', '.join(FIGURES)}")
    return FIGURES[name]


def main(names: Sequence[str]) -> int:
    """Draw the figures of these names, or all."""
    import matplotlib.pyplot as plt

    try:
        recipes = {name: _recipe(name) for name in names or FIGURES}
        for name, recipe in recipes.items():
            if recipe.compute and (name in names or not recipe.long):
                facts = {"made": made_on()} if recipe.long else {}
                if recipe.check and recipe.check is not recipe.compute:
                    facts["check"] = plain(recipe.check())
                write(name, plain(recipe.compute()), FOLDER, **facts)
            else:
                draw(name)
            plt.close("all")
            print(os.path.relpath(FOLDER / f"{name}.png"), flush=True)
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    import matplotlib

    matplotlib.use("Agg")
    sys.exit(main(sys.argv[1:]))
