"""Live pictures for the notebooks: each function returns an ipywidgets widget.

A widget's picture is an `Image`, so tests can compare its bytes and pages can show its first
state. Pictures are JPEG: drawn in a blink, and small.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np


def jpeg(figure: Any, *, dpi: int = 85) -> bytes:
    """A matplotlib figure as JPEG; closes it."""
    import matplotlib.pyplot as plt

    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=dpi, facecolor="white", pil_kwargs={"quality": 88})
    plt.close(figure)
    return file.getvalue()


def live_picture(draw: Callable[..., bytes], **controls: Any) -> Any:
    """A picture under its controls, drawn again whenever one of them changes.

    Args:
        draw: takes the controls' values by name and gives a JPEG.
        controls: ipywidgets controls by the names of `draw`'s arguments.

    Returns:
        a VBox of the controls, then the Image.
    """
    import ipywidgets

    image = ipywidgets.Image(format="jpeg", layout={"max_width": "100%", "object_fit": "contain"})

    def redraw(_: object = None) -> None:
        image.value = draw(**{name: control.value for name, control in controls.items()})

    for control in controls.values():
        control.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([*controls.values(), image])


# ---- notebook 00 ----------------------------------------------------------------------------


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


# ---- notebook 01 ----------------------------------------------------------------------------


def discretisation_explorer(
    systems: Mapping[str, tuple[np.ndarray, np.ndarray]],
    inflow: Callable[[np.ndarray], np.ndarray],
    steps: Sequence[float],
    *,
    duration: float,
    ylabel: str = "first entry of the state h",
) -> Any:
    """Zero-order hold against Euler and Mamba's mixture of them, for any step.

    Controls: the system and the step Δ.

    Args:
        systems: name to (A, B), (state, state) and (state,).
        inflow: the input at the times of an array; constant within every step of every length.
        steps: the lengths to choose from; each divides `duration`.
        duration: in the unit of time of A.
        ylabel: what the first entry of the state is.
    """
    import ipywidgets

    from hmnet_lite.scan.discretise import discretise, recurrence
    from hmnet_lite.workbook.figures.scan import sampled_curves

    rules = {"ZOH": "zoh", "Euler": "euler", "Mamba (exp, ΔB)": "mamba"}

    def states(system: str, delta: float, rule: str) -> tuple[np.ndarray, np.ndarray]:
        count = round(duration / delta)
        inputs = inflow((np.arange(count) + 0.5) * delta)
        with np.errstate(over="ignore", invalid="ignore"):  # Euler may run away
            values = recurrence(*discretise(*systems[system], delta, rule), inputs)[:, 0]
        return np.arange(count + 1) * delta, values

    def draw(system: str, delta: float) -> bytes:
        time, exact = states(system, min(steps) / 8, "zoh")
        samples = {name: states(system, delta, rule) for name, rule in rules.items()}
        return jpeg(sampled_curves(time, exact, inflow(time), samples, ylabel=ylabel))

    wide = {"style": {"description_width": "70px"}, "layout": {"width": "420px"}}
    return live_picture(
        draw,
        system=ipywidgets.Dropdown(options=list(systems), description="system", **wide),
        delta=ipywidgets.SelectionSlider(
            options=[(f"{delta:g}", delta) for delta in sorted(steps)],
            value=sorted(steps)[len(steps) // 2],
            description="step Δ",
            **wide,
        ),
    )


# ---- notebook 02 ----------------------------------------------------------------------------


def state_stepper(
    u: np.ndarray, steps: Mapping[str, np.ndarray], A: np.ndarray, *, start: int = 1
) -> Any:
    """Step through the scan of one channel and watch Δ, the decay and the state.

    Controls: how Δ is chosen, and the step.

    Args:
        u: (length,) input; every step writes it with B = 1.
        steps: name to (length,) step sizes Δ.
        A: (state,), negative.
        start: step shown first, 1 to length.
    """
    import ipywidgets
    import torch

    from hmnet_lite.scan.selective import selective_scan
    from hmnet_lite.workbook.figures.algorithms import state_film

    def scan(delta: np.ndarray) -> np.ndarray:
        line = torch.tensor(np.stack([u, delta]), dtype=torch.float64)[:, None, None]
        ones = torch.ones(1, 1, 1, len(u), dtype=torch.float64)
        *_, states = selective_scan(
            line[0].expand(1, len(A), -1), line[1].expand(1, len(A), -1),
            torch.tensor(A, dtype=torch.float64)[:, None], ones, ones, return_states=True,
        )  # fmt: skip
        return states[0, :, :, 0].T.numpy()  # one channel's entries, as channels of one entry each

    states = {name: scan(delta) for name, delta in steps.items()}

    def draw(name: str, step: int) -> bytes:
        return jpeg(state_film(u, steps[name], A, states[name], step=step))

    wide = {"style": {"description_width": "60px"}, "layout": {"width": "520px"}}
    return live_picture(
        draw,
        name=ipywidgets.Dropdown(options=list(steps), description="Δ", **wide),
        step=ipywidgets.IntSlider(value=start, min=1, max=len(u), description="step", **wide),
    )


# ---- notebook 04 ----------------------------------------------------------------------------


def scan_explorer(
    pictures: Mapping[str, np.ndarray],
    share: Callable[[str, int, int], np.ndarray],
    *,
    ratios: Sequence[int] = (1, 2, 4),
    size: tuple[int, int] = (16, 16),
) -> Any:
    """Step through the scan of a query and watch the support's share of the memory.

    Controls: the episode, the direction, the recap ratio, and how many pixels were read.

    Args:
        pictures: name of an episode to its query picture, (H, W, 3) uint8.
        share: (name, α, direction) to the support's share after every step, (length,) in [0, 1];
            asked once for each choice.
        ratios: the α to choose from, the last one first shown; 1 is a single reading. Each must
            divide both sides of `size`.
        size: (height, width) of the map that is scanned.
    """
    import ipywidgets

    from hmnet_lite.maps import reading_order
    from hmnet_lite.workbook.figures.state import DIRECTION_NAMES, scan_position

    share = lru_cache(maxsize=None)(share)
    orders = {ratio: reading_order(*size, ratio).numpy() for ratio in ratios}
    length = size[0] * size[1]

    def draw(episode: str, direction: int, ratio: int, step: int) -> bytes:
        along = share(episode, ratio, direction)
        order = orders[ratio][direction]
        return jpeg(scan_position(pictures[episode], order, size, along, step, ratio=ratio))

    wide = {"style": {"description_width": "100px"}, "layout": {"width": "520px"}}
    return live_picture(
        draw,
        episode=ipywidgets.Dropdown(options=list(pictures), description="episode", **wide),
        direction=ipywidgets.Dropdown(
            options=[(name, k) for k, name in enumerate(DIRECTION_NAMES)],
            description="direction",
            **wide,
        ),
        ratio=ipywidgets.Dropdown(
            options=[(f"before each patch, α = {r}" if r > 1 else "once", r) for r in ratios],
            value=ratios[-1],
            description="support read",
            **wide,
        ),
        step=ipywidgets.IntSlider(
            value=length // 3, min=1, max=length, description="pixels read", **wide
        ),
    )


# ---- notebook 03 ----------------------------------------------------------------------------


def traversal_chooser(image: np.ndarray, *, ratios: Sequence[int] = (1, 2, 4)) -> Any:
    """Choose a traversal and watch a picture being unrolled into a line.

    Controls: the direction, in how many patches a side the map is cut, and how much is read.

    Args:
        image: (height, width, 3) uint8, one pixel a cell; no side shorter than any ratio.
        ratios: numbers of patches a side to choose from; 1 is the whole map.
    """
    import ipywidgets

    from hmnet_lite.maps import reading_order
    from hmnet_lite.workbook.figures.state import DIRECTION_NAMES
    from hmnet_lite.workbook.figures.traversals import unrolled

    size = image.shape[:2]
    length = size[0] * size[1]
    orders = {ratio: reading_order(*size, ratio).numpy() for ratio in ratios}

    def draw(direction: int, ratio: int, read: int) -> bytes:
        step = max(1, round(read / 100 * length))
        name = DIRECTION_NAMES[direction] + (f", {ratio} × {ratio} patches" if ratio > 1 else "")
        return jpeg(unrolled(image, orders[ratio][direction], size, step, title=name))

    wide = {"style": {"description_width": "110px"}, "layout": {"width": "480px"}}
    return live_picture(
        draw,
        direction=ipywidgets.Dropdown(
            options=[(name, k) for k, name in enumerate(DIRECTION_NAMES)],
            description="direction", **wide,
        ),
        ratio=ipywidgets.SelectionSlider(options=ratios, description="patches a side", **wide),
        read=ipywidgets.IntSlider(value=80, min=0, max=100, description="read (%)", **wide),
    )  # fmt: skip


# ---- notebook 07 ----------------------------------------------------------------------------


def training_replay(
    episodes: Sequence[Any],
    runs: Mapping[str, Mapping[int, np.ndarray]],
    titles: Sequence[str] = (),
) -> Any:
    """Masks of fixed episodes while networks were trained.

    Controls: how much of the training was done, and the probability a pixel needs to be foreground.

    Args:
        episodes: with `query_image` and `query_mask`.
        runs: network's name to its snapshots: percent of the training done to foreground
            probabilities, (episodes, H, W) in [0, 1]. All networks have the same percents.
        titles: one above each episode, or none.

    Raises:
        ValueError: no runs, or snapshots that do not fit each other or the episodes.
    """
    import ipywidgets

    from hmnet_lite.scoring.metrics import mask_iou
    from hmnet_lite.workbook.figures.tables import picture_table
    from hmnet_lite.workbook.figures.task import paint_prediction

    moments = {name: tuple(snapshots) for name, snapshots in runs.items()}
    if len(set(moments.values())) != 1 or not all(moments.values()):
        raise ValueError(f"runs have snapshots at {moments}; expected the same for every network")
    for name, snapshots in runs.items():
        for percent, maps in snapshots.items():
            if len(maps) != len(episodes):
                raise ValueError(
                    f"{name!r} has {len(maps)} maps at {percent} %; expected one for each of "
                    f"{len(episodes)} episodes"
                )

    def draw(done: int, threshold: float) -> bytes:
        rows = {"truth": [e.query_image for e in episodes]}
        captions = {"truth": [getattr(e, "class_name", "") for e in episodes]}
        for name, snapshots in runs.items():
            masks = [p > threshold for p in snapshots[done]]
            pairs = list(zip(episodes, masks, strict=True))
            rows[name] = [paint_prediction(e.query_image, m, e.query_mask) for e, m in pairs]
            captions[name] = [
                f"IoU {100 * (mask_iou(m, e.query_mask) or 0):.0f} %" for e, m in pairs
            ]
        truth = {"truth": [e.query_mask for e in episodes]}
        return jpeg(picture_table(rows, titles, captions=captions, masks=truth))

    options = [(f"{percent} %", percent) for percent in next(iter(moments.values()))]
    wide = {"style": {"description_width": "130px"}, "layout": {"width": "480px"}}
    return live_picture(
        draw,
        done=ipywidgets.SelectionSlider(
            options=options, value=options[-1][1], description="training done", **wide
        ),
        threshold=ipywidgets.FloatSlider(
            value=0.5, min=0.05, max=0.95, step=0.05, description="threshold",
            continuous_update=False, **wide,
        ),
    )  # fmt: skip
