"""The live picture of notebook 00: the benchmark and its dial."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

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
