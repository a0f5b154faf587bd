"""Scan as attention: an output's row of the matrix that a scan is, beside real attention's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hmnet_lite.analysis.attention import implicit_attention, scan_matrix, softmax_attention
from hmnet_lite.analysis.look import look
from hmnet_lite.analysis.split import one_direction
from hmnet_lite.data.episode import Episode
from hmnet_lite.maps import reading_order
from hmnet_lite.models.lite import HMNet
from hmnet_lite.workbook.figures.parts import DIRECTION_NAMES
from hmnet_lite.workbook.figures.task import zoomed_support
from hmnet_lite.workbook.widgets.live import Live, seen_as, still

LEVELS = 15  # above 0 of a map


def sequence_attention(matrices: Mapping[str, np.ndarray]) -> Live:
    """Choose an output of a sequence and see how it weighs the inputs.

    Args:
        matrices: name to (steps, steps), rows outputs; two at least.
    """
    data = {"matrices": {name: np.asarray(m, np.float16) for name, m in matrices.items()}}
    alt = "Matrices of how much each input weighs in each output: a scan's and attention's"
    return Live("attention", data, still(_matrices(matrices)), alt)


@torch.no_grad()
def image_attention(model: HMNet, episode: Episode, *, hybrid: bool = False) -> Live:
    """Choose an output pixel and see how a trained block's scans weigh the pixels, and attention.

    Controls: the direction, the pixel.

    Args:
        model: an HMNet-lite.
        episode: what it looks at.
        hybrid: the first hybrid block, whose scan reads the support, too; else the first block,
            which must be a self block.

    Raises:
        ValueError: the first block reads the support, and `hybrid` is off.
    """
    seen = look(model, [episode])
    if hybrid:
        own = seen.hybrid[0]
        ratio = own.block.patch_ratio
        support, query, patch = own.scans()
        cut = {"support_size": own.support_size(), "ratio": ratio, "segment": patch}
        data = rows_data(query, own.size, support=support, **cut)
        whole = episode.support_images[0], episode.support_masks[0]
        data["given"] = seen_as(*(zoomed_support(episode) if model.config.zoom else whole))
    else:
        if "query_scan" not in seen.blocks[0].record:
            raise ValueError(
                "the first block reads the support; expected a self block, or hybrid=True"
            )
        data = rows_data(seen.blocks[0].record["query_scan"](), seen.hybrid[0].size)
    data["shown"] = seen_as(episode.query_image, episode.query_mask)
    columns = data["sizes"]["query"][1]
    data["start"] = list(divmod(int(seen.query_class[0].argmax()), columns))  # on the thing
    alt = "A pixel of a picture and how much each other pixel weighs in its output"
    return Live("attention", data, still(_heat(data)), alt)


def rows_data(
    scan: Sequence[Tensor],
    size: tuple[int, int],
    *,
    support: Sequence[Tensor] | None = None,
    support_size: tuple[int, int] | None = None,
    ratio: int = 1,
    segment: int = 0,
) -> dict[str, Any]:
    """Every output pixel's weights, of each direction, of all together, and of attention.

    A scan has a matrix for each channel; here a weight is the mean of their absolute values.
    Attention asks with the scans' C and answers with their B, a head a direction, the mean of them.

    Args:
        scan, support: arguments of `selective_scan`, all directions, of the first episode.
        size, support_size: height and width of the maps as they are scanned.
        ratio, segment: how the query is cut, and how often the support is read.

    Returns:
        "ways": names; "query", "support" (where there is one): (ways, outputs, pixels) uint8, the
        root of the weight over the output's largest, 255 = 1, rounded to a 15th; "shares": (ways,
        outputs, 2) float32, the output's weight on its own pixel and on the support; "sizes".
    """
    scan, support = (
        s and tuple(x[:1] if i not in (2, 5) else x for i, x in enumerate(s))
        for s in (scan, support)
    )
    directions = scan[3].shape[1]
    found: dict[str, list[Tensor]] = {"scan": [], "attention": []}
    for k in range(directions):
        line = one_direction(scan, k)
        back = reading_order(*size, ratio)[k].argsort()
        columns = back
        if support is not None:
            given = one_direction(support, k)
            parts = implicit_attention(given, line, segment=segment)
            matrix = torch.cat([parts.support, parts.query], dim=-1)
            soft = softmax_attention(line, given)
            back_support = reading_order(*support_size)[k].argsort()
            columns = torch.cat([back_support, len(back_support) + back])
        else:
            matrix, soft = scan_matrix(line), softmax_attention(line)
        found["scan"].append(matrix[0].abs().mean(0)[back][:, columns])
        found["attention"].append(soft[0][back][:, columns])
    scans = torch.stack(found["scan"])
    weights = torch.cat([scans, scans.sum(0)[None], torch.stack(found["attention"]).mean(0)[None]])
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)
    cut = weights.shape[-1] - weights.shape[1]  # pixels of the support
    own = weights[..., cut:].diagonal(dim1=1, dim2=2)
    loud = (weights / weights.amax(-1, keepdim=True).clamp_min(1e-12)).sqrt()
    levels = (LEVELS * loud).round().mul(255 / LEVELS).round().byte().numpy()
    data = {
        "ways": [f"scan {name}" for name in DIRECTION_NAMES[:directions]]
        + ["all scans", "attention"],
        "query": np.ascontiguousarray(levels[..., cut:]),
        "shares": torch.stack([own, weights[..., :cut].sum(-1)], dim=-1).numpy(),
        "sizes": {"query": list(size), "support": list(support_size or size)},
    }
    return data | ({"support": np.ascontiguousarray(levels[..., :cut])} if cut else {})


def _matrices(matrices: Mapping[str, np.ndarray]) -> Any:
    import matplotlib.pyplot as plt
    from matplotlib.colors import CenteredNorm

    from hmnet_lite.workbook.figures.palette import SIGNED
    from hmnet_lite.workbook.figures.parts import STYLE, WIDTH

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(matrices), figsize=(WIDTH, 4.2), layout="constrained", squeeze=False
        )
        for ax, (name, matrix) in zip(axes[0], matrices.items(), strict=True):
            root = np.sign(matrix) * np.sqrt(np.abs(matrix))  # lets faint ones show
            ax.imshow(root, cmap=SIGNED, norm=CenteredNorm())
            ax.set(title=name, xlabel="input", ylabel="output")
            ax.grid(False)
    return figure


def _heat(data: Mapping[str, Any]) -> Any:
    """The pixel that is chosen first, all scans and attention."""
    from hmnet_lite.workbook.figures.task import picture_table

    rows, columns = data["sizes"]["query"]
    pixel = data["start"][0] * columns + data["start"][1]
    image = data["shown"]["image"].image
    shown = []
    for way in (-2, -1):
        heat = data["query"][way, pixel].reshape(rows, columns) / 255.0
        heat = np.kron(heat, np.ones((image.shape[0] // rows, image.shape[1] // columns)))
        shown.append((image * (0.25 + 0.75 * heat[..., None])).astype(np.uint8))
    return picture_table({"weights of a pixel": shown}, data["ways"][-2:], side=2.4)
