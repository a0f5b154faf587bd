"""The hidden-state inspector: every entry of the state, step by step, computed on the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hmnet_lite.analysis.look import HybridLook, look
from hmnet_lite.analysis.split import one_direction
from hmnet_lite.data.episode import Episode
from hmnet_lite.maps import patch_size, reading_order
from hmnet_lite.models.lite import HMNet
from hmnet_lite.scan.selective import selective_scan
from hmnet_lite.workbook.figures.parts import DIRECTION_NAMES
from hmnet_lite.workbook.figures.task import zoomed_support
from hmnet_lite.workbook.widgets.live import Live, seen_as, still


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


def scan_data(seen: HybridLook, direction: int, episode: int = 0) -> dict[str, Any]:
    """What one direction's scan is given, as the page needs it to run the recurrence.

    Returns:
        "A": (channels, state) float32; "support" and "query": "u" and "delta", (steps, channels),
        "B" and "C", (steps, state), all float16; "order", (steps,) float32, the pixel of each step,
        and "size", the map's.
    """
    size, ratio = seen.size, seen.block.patch_ratio
    support, query, _ = seen.scans()
    sizes = {"support": patch_size(*size, ratio), "query": size}
    given = {"A": one_direction(query, direction)[2].numpy()}
    for name, scan in (("support", support), ("query", query)):
        u, delta, _, B, C, _ = one_direction(scan, direction)
        lines = {"u": u[episode], "delta": delta[episode], "B": B[episode, 0], "C": C[episode, 0]}
        order = reading_order(*sizes[name], ratio if name == "query" else 1)[direction]
        given[name] = {
            **{
                key: np.ascontiguousarray(x.T.numpy().astype(np.float16))
                for key, x in lines.items()
            },
            "order": order.numpy().astype(np.float32),
            "size": list(sizes[name]),
        }
    return given


def run(given: dict[str, Any], *, patch: int, recap: bool, factor: float = 1.0) -> np.ndarray:
    """The states that the page shows, by `selective_scan`: (steps, channels, state).

    Args:
        given: of `scan_data`.
        patch: query steps between two readings of the support.
        recap: whether it is read before every patch, or once.
        factor: multiplies every Δ.
    """
    query = given["query"]
    length = len(query["u"])
    starts = range(0, length, patch if recap else length)
    line = {
        key: np.concatenate(
            [x for i in starts
             for x in (given["support"][key], query[key][i : i + (patch if recap else length)])]
        ).astype(np.float32)
        for key in ("u", "delta", "B", "C")
    }  # fmt: skip
    u, delta, B, C = (torch.from_numpy(line[k]).T[None] for k in ("u", "delta", "B", "C"))
    A = torch.from_numpy(given["A"])
    _, states = selective_scan(
        u, factor * delta, A, B[:, None], C[:, None], return_states=True, backend="reference"
    )
    return states[0].transpose(0, 1).numpy()


def _still(given: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt
    from matplotlib.colors import CenteredNorm

    from hmnet_lite.workbook.figures.parts import SIGNED, STYLE, WIDTH

    support = given["support"]
    H_S = run(given | {"query": {k: support[k][:1] for k in ["u", "delta", "B", "C"]}}, patch=1,
              recap=False)[len(support["u"]) - 1]  # fmt: skip
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")
        root = np.sign(H_S.T) * np.sqrt(np.abs(H_S.T))  # lets faint ones show
        shown = ax.imshow(root, cmap=SIGNED, norm=CenteredNorm(), aspect="auto")
        figure.colorbar(shown, label="root of |h|, signed")
        ax.set(xlabel="channel", ylabel="state entry", title="the state after the support")
        ax.grid(False)
    return figure
