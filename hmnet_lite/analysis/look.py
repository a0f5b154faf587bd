"""Let a network segment episodes and keep what an analysis needs of it, whatever the network.

seen = look(model, batch)                   # cached features of HMNet-lite
seen = look(model, episodes)                # any `Episode`s: emoji, a folder of pictures, COCO
seen.hybrid[0].record["support_state"]      # the first SRM
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnet_lite.data.episode import IGNORE, Episode
from hmnet_lite.mamba.blocks import HybridMambaBlock, MambaBlock
from hmnet_lite.maps import patch_size, resize
from hmnet_lite.models.features import Batch, to_tensor
from hmnet_lite.models.zoom import zoom
from hmnet_lite.record import Recorder

Scan = tuple[Tensor, ...]  # (u, delta, A, B, C, D), of all directions


@dataclass(frozen=True, eq=False)
class BlockLook:
    """One block and what it handed over."""

    index: int  # among all blocks
    block: MambaBlock
    record: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the query's map."""
        return tuple(self.record["scan_in_query"].shape[-2:])


@dataclass(frozen=True, eq=False)
class HybridLook(BlockLook):
    """A hybrid block."""

    block: HybridMambaBlock

    def support_size(self, ratio: int | None = None) -> tuple[int, int]:
        """Height and width at which the support is scanned, at α as in `scans`."""
        if ratio is None or ratio == self.block.patch_ratio:
            ratio = self.block.shrink_ratio
        return patch_size(*self.size, ratio)

    @torch.no_grad()
    def scans(self, ratio: int | None = None) -> tuple[Scan, Scan, int]:
        """The support's and the query's scan at recap ratio α, and the query steps of a patch.

        With another α than the block's own this is a "what if": the same weights read the maps cut
        in another way, the support as many times smaller. 1 is both maps whole, as cross Mamba by
        concatenation reads them.

        Raises:
            ValueError: the map is smaller than the ratio.
        """
        small = self.support_size(ratio)
        ratio = ratio or self.block.patch_ratio
        patch = patch_size(*self.size, ratio)
        support = resize(self.record["scan_in_support"], *small)
        maps = (self.block.ssm.read(x) for x in (support, self.record["scan_in_query"]))
        support_map, query_map = maps
        return support_map.sequences(), query_map.sequences(ratio), patch[0] * patch[1]

    @torch.no_grad()
    def intercept_scan(self) -> Scan:
        """What QIM reads the small query with: one direction, (u, delta, A, B, C, D).

        Raises:
            ValueError: the block has no QIM, or one that meets each direction's state.
        """
        qim = self.block.config.qim
        if qim in ("off", "each"):
            expected = "QIM" if qim == "off" else 'QIM that meets the mean state, "shared" or "own"'
            raise ValueError(f'this block has qim="{qim}"; expected a network with {expected}')
        ssm = self.block.ssm if qim == "shared" else self.block.ssm_qim
        line = self.record["scan_in_query_small"].flatten(2)
        u, delta, A, B, C, D = ssm(line[:, None])
        return u, delta, A, B, C, D[:1].expand_as(D) if self.block.config.published_skip else D


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of a batch of episodes; maps are of the mixer's size, (batch, h, w)."""

    network: dict[str, Any]
    blocks: tuple[BlockLook, ...]  # all of them, in order
    logits: Tensor
    query_class: Tensor  # the share of each cell that the class covers, in [0, 1]
    query_other: Tensor  # the share that is known to be something else
    support_class: Tensor  # of the support as the mixer sees it, the mean over shots

    @property
    def hybrid(self) -> tuple[HybridLook, ...]:
        """The hybrid blocks, in order."""
        return tuple(block for block in self.blocks if isinstance(block, HybridLook))


@torch.no_grad()
def look(
    model: nn.Module,
    given: Batch | Sequence[Episode],
    mixer_support: tuple[Tensor, Tensor] | None = None,
) -> Look:
    """Segment and record.

    Args:
        model: HMNet-lite or the published network.
        given: a `Batch` of cached features (HMNet-lite only), or episodes with as many shots.
        mixer_support: as in `HMNet.segment`; with a `Batch` only.

    Raises:
        ValueError: the network has no hybrid block; another support without a `Batch`.
    """
    blocks = model.mixer.blocks
    if not any(block.reads_support for block in blocks):
        raise ValueError(
            f"this network has {len(blocks)} blocks and none of them reads the support; expected "
            "depth of at least 2 and srm or qim on"
        )
    with Recorder() as seen:
        if isinstance(given, Batch):
            masks, query_masks = given.support_masks, given.query_masks
            other = {} if mixer_support is None else {"mixer_support": mixer_support}
            logits = model.segment(given.query, given.support, masks, **other)
        elif mixer_support is not None:
            raise ValueError("another support for the mixer needs a Batch of cached features")
        else:
            query, supports, masks, query_masks = _tensors(given, next(model.parameters()).device)
            logits = model(query, supports, masks)
    size = tuple(seen.network["query_in"].shape[-2:])
    shown = masks if mixer_support is None else mixer_support[1]
    return Look(
        network=seen.network,
        blocks=tuple(
            (HybridLook if block.reads_support else BlockLook)(i, block, record)
            for i, (block, record) in enumerate(zip(blocks, seen.blocks, strict=True))
        ),
        logits=logits,
        query_class=_share(query_masks == 1, size),
        query_other=_share((query_masks != 1) & (query_masks != IGNORE), size),
        support_class=_support_share(model, shown, size),
    )


def _tensors(episodes: Sequence[Episode], device) -> tuple[Tensor, ...]:
    supports = [torch.stack([to_tensor(x) for x in e.support_images]) for e in episodes]
    masks = (np.stack([getattr(e, n) for e in episodes]) for n in ("support_masks", "query_mask"))
    query = torch.stack([to_tensor(e.query_image) for e in episodes])
    tensors = (query, torch.stack(supports), *map(torch.from_numpy, masks))
    return tuple(x.to(device) for x in tensors)


def _share(marked: Tensor, size: tuple[int, int]) -> Tensor:
    """(batch, H, W) of bool → (batch, h, w) in [0, 1]."""
    return F.adaptive_avg_pool2d(marked.float(), size)


def _support_share(model: nn.Module, masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(batch, shots, H, W) → (batch, h, w), zoomed where the network zooms."""
    share = _share((masks == 1).flatten(0, 1), size)
    if getattr(model.config, "zoom", False):
        share = zoom(share[:, None], share)[1]
    return share.unflatten(0, masks.shape[:2]).mean(1)
