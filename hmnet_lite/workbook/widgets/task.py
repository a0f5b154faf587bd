"""The live pictures of notebook 00: the benchmark, and its dial."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from hmnet_lite.data.episode import Episode
from hmnet_lite.workbook.widgets.live import Live, in_steps, seen_as, still
from hmnet_lite.workbook.widgets.parts import jpeg, live_picture


def episode_browser(fold: int = 0, *, seed: int = 321) -> Any:
    """Emoji-20i's dial: the same scene at every intra-class gap.

    Controls: the gap, the novel class, which of its scenes, and whether to show the answer.

    Args:
        fold: whose classes are novel.
        seed: of the test episodes.
    """
    import ipywidgets

    from hmnet_lite.data.emoji.dataset import GAPS, EmojiEpisodes
    from hmnet_lite.workbook.figures import task as figures

    datasets = {gap: EmojiEpisodes(fold, "test", gap=gap, seed=seed) for gap in GAPS}
    small = EmojiEpisodes(fold, "test", gap="same", seed=seed, image_size=64)
    names = small.classes

    @lru_cache
    def position(class_id: int, scene: int) -> int:
        """Every round of 20 episodes holds each class once; small scenes find it quickly."""
        turn = range(scene * len(names), (scene + 1) * len(names))
        return next(i for i in turn if small[i].class_id == class_id)

    def draw(gap: str, class_id: int, scene: int, answer: bool) -> bytes:
        episode = datasets[gap][position(class_id, scene - 1)]
        return jpeg(figures.episode_picture(episode, answer=answer))

    wide = {"style": {"description_width": "70px"}, "layout": {"width": "420px"}}
    return live_picture(
        draw,
        gap=ipywidgets.SelectionSlider(options=GAPS, description="gap", **wide),
        class_id=ipywidgets.Dropdown(
            options=[(name, number) for number, name in names.items()], description="class", **wide
        ),
        scene=ipywidgets.IntSlider(value=1, min=1, max=10, description="scene", **wide),
        answer=ipywidgets.Checkbox(value=True, description="show the answer", indent=False),
    )


def gap_dial(
    episodes: Mapping[str, Episode], answers: Mapping[str, Mapping[str, np.ndarray]]
) -> Live:
    """Point at the thing in the query, then see what methods say, at every gap.

    Controls: the gap, where the thing is, and whether the answers are shown.

    Args:
        episodes: name of a gap to its episode.
        answers: method to the same names, each to its answer, (H, W): foreground above 0.5.
    """
    from hmnet_lite.workbook.figures.task import episode_picture

    data = {
        "gaps": list(episodes),
        "methods": list(answers),
        "answers": {
            name: {gap: in_steps(own[gap], steps=2) for gap in episodes}
            for name, own in answers.items()
        },
        "query": {gap: seen_as(e.query_image, e.query_mask) for gap, e in episodes.items()},
        "support": {
            gap: seen_as(e.support_images[0], e.support_masks[0]) for gap, e in episodes.items()
        },
        "styles": {gap: [e.support_styles[0], e.query_style] for gap, e in episodes.items()},
    }
    first = still(episode_picture(next(iter(episodes.values())), answer=False))
    return Live("task", data, first, "A support with a line around one thing, and a query: where?")
