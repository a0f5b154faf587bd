"""The hidden-state inspector: every entry of the state, step by step, computed on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hmnet_lite.analysis.look import HybridLook, look
from hmnet_lite.analysis.split import one_direction
from hmnet_lite.data.episode import Episode
from hmnet_lite.maps import reading_order
from hmnet_lite.models.lite import HMNet
from hmnet_lite.scan.selective import selective_scan
from hmnet_lite.workbook.figures.parts import DIRECTION_NAMES
from hmnet_lite.workbook.figures.task import zoomed_support
from hmnet_lite.workbook.widgets.live import Live, seen_as, still, thinned


def hidden_state(model: HMNet, episode: Episode) -> Live:
    """Open the state of a hybrid block while it reads support and query.

    Controls: the direction, recaps on or off, how much larger all Δ are, the step, play, and the
    entry whose life line is drawn. The page runs the recurrence itself, so any Δ will do.

    Args:
        model: an HMNet-lite whose first hybrid block scans the support.
        episode: what it looks at.
    """
    hybrid = look(model, [episode]).hybrid[0]
    directions = range(model.config.directions)
    whole = episode.support_images[0], episode.support_masks[0]
    data = {
        "directions": list(DIRECTION_NAMES[: len(directions)]),
        "patch": hybrid.scans()[2],
        "scans": [scan_data(hybrid, k) for k in directions],
        "support": seen_as(*(zoomed_support(episode) if model.config.zoom else whole)),
        "query": seen_as(episode.query_image, episode.query_mask),
    }
    alt = "The hidden state after the support was read: a value for each channel and entry"
    return Live("hidden", data, still(_still(data["scans"][0])), alt)


def sequence_state(
    u: np.ndarray, steps: Mapping[str, np.ndarray], A: np.ndarray, *, start: int = 1
) -> Live:
    """Open the state of one channel while it reads a sequence, B = C = 1.

    Controls: how Δ is chosen, how much larger all Δ are, the step, play, and the entry.

    Args:
        u: (length,) input.
        steps: name to (length,) step sizes Δ.
        A: (state,), negative.
        start: step shown first, 1 to length.
    """
    length, ones = len(u), np.ones((len(u), len(A)), np.float16)
    line = {"u": u[:, None].astype(np.float16), "B": ones, "C": ones, "size": [1, length]}
    line["order"] = np.arange(length, dtype=np.float32)
    scans = [
        {
            "A": A[None].astype(np.float32),
            "query": line | {"delta": delta[:, None].astype(np.float16)},
        }
        for delta in steps.values()
    ]
    data = {"directions": list(steps), "choice": "Δ", "patch": length, "scans": scans}
    alt = "The life lines of a channel's state entries while a sequence goes by"
    return Live("hidden", data | {"start": start}, still(_lives(scans[0], length)), alt)


def scan_data(seen: HybridLook, direction: int, episode: int = 0) -> dict[str, Any]:
    """What one direction's scan is given, as the page needs it to run the recurrence.

    Returns:
        "A": (channels, state) float32; "support" and "query": "u", (pixels, channels), row by row,
        the same for all directions; "delta", (steps, channels), "B" and "C", (steps, state), all
        float16; "order", (steps,) float32, the pixel of each step, and "size", the map's.
    """
    size, ratio = seen.size, seen.block.patch_ratio
    support, query, _ = seen.scans()
    sizes = {"support": seen.support_size(), "query": size}
    given = {"A": one_direction(query, direction)[2].numpy()}
    for name, scan in (("support", support), ("query", query)):
        u, delta, _, B, C, _ = one_direction(scan, direction)
        lines = {"u": u[episode], "delta": delta[episode], "B": B[episode, 0], "C": C[episode, 0]}
        order = reading_order(*sizes[name], ratio if name == "query" else 1)[direction]
        lines["u"] = lines["u"][:, order.argsort()]
        given[name] = {
            **{key: thinned(np.ascontiguousarray(x.T.numpy())) for key, x in lines.items()},
            "order": order.numpy().astype(np.float32),
            "size": list(sizes[name]),
        }
    return given


def run(given: dict[str, Any], *, patch: int, recap: bool, factor: float = 1.0) -> np.ndarray:
    """The states that the page shows, by `selective_scan`: (steps, channels, state).

    Args:
        given: of `scan_data`; without a "support", the query alone is read.
        patch: query steps between two readings of the support.
        recap: whether it is read before every patch, or once.
        factor: multiplies every Δ.
    """
    query, support = (
        given[name] | {"u": given[name]["u"][given[name]["order"].astype(int)]}
        for name in ("query", "support" if "support" in given else "query")
    )
    length = len(query["u"])
    if "support" not in given:
        support = {key: x[:0] for key, x in query.items() if key != "size"}
    starts = range(0, length, patch if recap else length)
    line = {
        key: np.concatenate(
            [x for i in starts
             for x in (support[key], query[key][i : i + (patch if recap else length)])]
        ).astype(np.float32)
        for key in ("u", "delta", "B", "C")
    }  # fmt: skip
    u, delta, B, C = (torch.from_numpy(line[k]).T[None] for k in ("u", "delta", "B", "C"))
    A = torch.from_numpy(given["A"])
    _, states = selective_scan(
        u, factor * delta, A, B[:, None], C[:, None], return_states=True, backend="reference"
    )
    return states[0].transpose(0, 1).numpy()


def _lives(given: dict[str, Any], length: int) -> Any:
    import matplotlib.pyplot as plt

    from hmnet_lite.workbook.figures.parts import STYLE, WIDTH

    states = run(given, patch=length, recap=False)[:, 0]
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")
        ax.plot(np.arange(1, length + 1), states)
        ax.set(xlabel="step", ylabel="h", title="a channel's entries, the slowest blue")
    return figure


def _still(given: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt
    from matplotlib.colors import CenteredNorm

    from hmnet_lite.workbook.figures.palette import SIGNED
    from hmnet_lite.workbook.figures.parts import STYLE, WIDTH

    support = given["support"]
    H_S = run(given, patch=0, recap=False)[len(support["u"]) - 1]
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")
        root = np.sign(H_S.T) * np.sqrt(np.abs(H_S.T))  # lets faint ones show
        shown = ax.imshow(root, cmap=SIGNED, norm=CenteredNorm(), aspect="auto")
        figure.colorbar(shown, label="root of |h|, signed")
        ax.set(xlabel="channel", ylabel="state entry", title="the state after the support")
        ax.yaxis.get_major_locator().set_params(integer=True)
        ax.grid(False)
    return figure
