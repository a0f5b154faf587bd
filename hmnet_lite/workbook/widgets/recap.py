"""The recap player: a state entry read literally, and by h ← P ⊙ h + H_S, step beside step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hmnet_lite.analysis.look import HybridLook, look
from hmnet_lite.analysis.split import one_direction
from hmnet_lite.data.episode import Episode
from hmnet_lite.mamba.hybrid import read_support
from hmnet_lite.maps import reading_order
from hmnet_lite.models.lite import HMNet
from hmnet_lite.workbook.figures.task import zoomed_support
from hmnet_lite.workbook.widgets.live import Live, seen_as, still

KEEPS = (0.1, 0.5, 0.9)  # what a reading of the support leaves of the entries that are shown
LOUD = 0.1  # of the largest |H_S|: fainter entries are not shown


def recap_player(model: HMNet, episode: Episode, *, ratio: int | None = None) -> Live:
    """Watch a recap happen twice: as a scan of the support, and as one multiply-add.

    Controls: the entry, the step, play.

    Args:
        model: an HMNet-lite whose first hybrid block scans the support.
        episode: what it looks at.
        ratio: the recap ratio α; the network's own by default.
    """
    hybrid = look(model, [episode]).hybrid[0]
    whole = episode.support_images[0], episode.support_masks[0]
    data = {
        **recap_data(hybrid, ratio=ratio),
        "support": seen_as(*(zoomed_support(episode) if model.config.zoom else whole)),
        "query": seen_as(episode.query_image, episode.query_mask),
    }
    alt = "A state entry along the scan, read literally above and with a jump at each recap below"
    return Live("recap", data, still(_still(data)), alt)


def recap_data(
    seen: HybridLook,
    *,
    direction: int = 0,
    episode: int = 0,
    ratio: int | None = None,
    keeps: Sequence[float] = KEEPS,
) -> dict[str, Any]:
    """Some entries' steps h ← keep · h + write, and the map that a whole reading is.

    Args:
        seen: a hybrid block.
        direction, episode: which scan of it.
        ratio: α; the block's own by default.
        keeps: the entries are those whose P is nearest to these.

    Returns:
        "steps": for "support" and "query" (steps, 2, entries) float32, what each step keeps and
        writes; "map": (2, entries) float32, P and H_S, of `read_support`; "entries": (channel,
        state entry) of each; "patch": query steps between two recaps; "orders", the pixel of each
        step, float32, and "sizes" of the two maps.
    """
    ratio = ratio or seen.block.patch_ratio
    *both, patch = seen.scans(ratio)
    scans = [
        tuple(x[episode : episode + 1] if i not in (2, 5) else x for i, x in enumerate(scan))
        for scan in (one_direction(s, direction) for s in both)
    ]
    _, P, H_S = (x[0].detach() for x in read_support(*scans[0]))
    loud = H_S.abs() >= LOUD * H_S.abs().max()
    chosen = [int(torch.where(loud, (P - keep).abs(), 9).argmin()) for keep in keeps]
    state = P.shape[1]
    entries = [(i // state, i % state) for i in dict.fromkeys(chosen)]
    sizes = [seen.support_size(ratio), seen.size]
    orders = [reading_order(*sizes[0])[direction], reading_order(*sizes[1], ratio)[direction]]
    names = ("support", "query")
    return {
        "steps": {n: _steps(s, entries) for n, s in zip(names, scans, strict=True)},
        "map": np.stack([[float(x[c, n]) for c, n in entries] for x in (P, H_S)]).astype("f4"),
        "entries": [list(entry) for entry in entries],
        "patch": patch,
        "orders": {n: o.numpy().astype("f4") for n, o in zip(names, orders, strict=True)},
        "sizes": {n: list(s) for n, s in zip(names, sizes, strict=True)},
    }


def _steps(scan: tuple[torch.Tensor, ...], entries: list[tuple[int, int]]) -> np.ndarray:
    u, delta, A, B, *_ = scan
    keep = [torch.exp(delta[0, c] * A[c, n]) for c, n in entries]
    write = [delta[0, c] * B[0, 0, n] * u[0, c] for c, n in entries]
    return torch.stack([torch.stack(keep, -1), torch.stack(write, -1)], 1).numpy()


def walk(data: dict[str, Any], entry: int, *, literal: bool) -> np.ndarray:
    """An entry's state as the page computes it, after every step: (steps,).

    Literally, a step is a pixel of either picture; else a pixel of the query or a recap.
    """
    h, line, steps, patch = 0.0, [], data["steps"], data["patch"]
    P, H_S = (float(x) for x in data["map"][:, entry])
    for t, (keep, write) in enumerate(steps["query"][:, :, entry].astype(float)):
        if t % patch == 0:
            for a, b in steps["support"][:, :, entry].astype(float) if literal else [(P, H_S)]:
                h = a * h + b
                line.append(h)
        h = keep * h + write
        line.append(h)
    return np.array(line)


def _still(data: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt

    from hmnet_lite.workbook.figures.palette import BLUE
    from hmnet_lite.workbook.figures.parts import STYLE, WIDTH

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(2, figsize=(WIDTH, 3.6), layout="constrained", sharey=True)
        entry = len(data["entries"]) // 2
        for ax, literal in zip(axes, (True, False), strict=True):
            line = walk(data, entry, literal=literal)
            ax.plot(np.arange(1, len(line) + 1), line, color=BLUE)
            ax.set(ylabel="h", xlim=(0, len(line)))
            way = "literal" if literal else "affine, the support's own reading aside"
            ax.set_title(f"{way}: {len(line)} steps", loc="left")
        axes[-1].set_xlabel("steps")
    return figure
