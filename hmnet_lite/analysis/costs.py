"""What HMNet costs: parameters (against the paper's Table 4) and floating-point operations.

torch's own counter, `FlopCounterMode`, sees matrix products and convolutions and counts a
multiply-add as two. It cannot see a scan, which is a compiled kernel or a loop of elementwise
steps; `count_flops` tells it. Norms, activations and copies stay uncounted, as is usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from hmnet_lite.mamba.blocks import HybridMambaBlock, MambaBlock
from hmnet_lite.maps import patch_size, patch_starts
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.scan.backends import resolve
from hmnet_lite.scan.map_scan import reads_maps


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters of a published network, part by part."""

    backbone: int
    base_learner: int
    meta_learner: int  # everything trained with episodes
    raw_ssm: int  # of the meta-learner: each block's select, delta_weight, A_log, delta_bias, D
    raw_matrices: int  # of raw_ssm: select, delta_weight, A_log
    deep_stem: int  # of the backbone: what its deep stem has more than the standard 7×7 one

    @property
    def released(self) -> int:
        """Backbone and meta-learner as released."""
        return self.backbone + self.meta_learner

    @property
    def as_in_paper(self) -> int:
        """As Table 4 seems to count: a standard stem, and the SSM's matrices left out.

        Nobody says so; the table's four rows do. Whatever is left out of a block must be between
        0.1606 and 0.1644 M for all of them to round as printed, and the matrices are 0.1638 M.
        Without the two vectors (`raw_ssm`, 0.1679 M) the row of 6 blocks would read 34.9, not 35.0.
        """
        return self.released - self.raw_matrices - self.deep_stem


def count_parameters(config: PublishedConfig | None = None) -> Parameters:
    """Count without building: no memory is taken for the weights. Buffers do not count."""
    with torch.device("meta"):
        model = PublishedHMNet(config)
    frozen = [_count(part) for part in (model.backbone, model.base_learner)]
    ssms = [block.ssm for block in model.mixer.blocks]
    matrices = [x for ssm in ssms for x in (ssm.select, ssm.delta_weight, ssm.A_log)]
    standard, deep = (_stem(*x) for x in (((3, 64, 7),), ((3, 64, 3), (64, 64, 3), (64, 128, 3))))
    # behind a 128-channel stem the first bottleneck's two projections of it are twice as wide
    widened = (128 - 64) * (64 + 256)
    return Parameters(
        backbone=frozen[0],
        base_learner=frozen[1],
        meta_learner=_count(model) - sum(frozen),
        raw_ssm=sum(_count(ssm) for ssm in ssms),
        raw_matrices=sum(x.numel() for x in matrices),
        deep_stem=deep - standard + widened if model.config.backbone == "resnet50" else 0,
    )


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _stem(*convolutions: tuple[int, int, int]) -> int:
    """Parameters of convolutions (inputs, outputs, side), each with a batch norm."""
    return sum(i * o * side**2 + 2 * o for i, o, side in convolutions)


def scan_flops(batch: int, channels: int, length: int, state: int) -> int:
    """Operations of one selective scan, done step by step, with its skip.

    Each step of each state entry multiplies Δ A, takes an exp (counted as one), decays h, writes
    (Δu) B (two), reads h C (two): 7. Each step of each channel multiplies Δu and adds D u: 3.
    (Mamba's authors quote 9 a state entry for the parallel scan of their kernel.)
    """
    return batch * channels * length * (7 * state + 3)


def intercept_flops(batch: int, channels: int, length: int, state: int) -> int:
    """Operations of QIM: as a scan that never writes h. (C · B is a product torch sees itself.)"""
    return batch * channels * length * (5 * state + 5)


def block_scan_flops(block: MambaBlock, query: Tensor) -> int:
    """Operations of all scans in one block, as this package arranges them.

    Args:
        block: self or hybrid.
        query: what it is called with, (batch, height, width, dim); only the shape matters.
    """
    batch, height, width, dim = query.shape
    inner, state = 2 * dim, block.ssm.state
    channels = block.ssm.directions * inner
    work = scan_flops(batch, channels, height * width, state)
    if not isinstance(block, HybridMambaBlock):
        return work if block.unread else 2 * work  # query and support
    small = math.prod(patch_size(height, width, block.shrink_ratio))
    work += scan_flops(batch, channels, small, state)  # the support's one pass
    if block.config.srm != "off":
        patches = patch_starts(height, width, block.patch_ratio).shape[1] - 1
        work += batch * channels * (2 * state * patches + small + 2 * state)  # P h + H_S; P itself
    if block.config.qim != "off":
        met = math.prod(patch_size(height, width, block.intercept_ratio))
        lines = block.ssm.directions if block.config.qim == "each" else 1
        work += intercept_flops(batch, lines * inner, met, state)
    return work


def unread_flops(block: MambaBlock, query: Tensor) -> int:
    """Matrix products and convolutions of a support that nobody reads.

    The released network computes them, and the paper's Table 4 counts them; ours does not.
    """
    if not block.unread:
        return 0
    batch, height, width, dim = query.shape
    inner, ssm = 2 * dim, block.ssm
    work = dim * inner + inner * dim + 2 * dim * dim  # gate, out-projection, MLP
    if not block.reads_support:  # projection, 3×3 convolution; Δ, B and C of every direction
        work += dim * inner + 9 * inner + ssm.directions * inner * 2 * (ssm.rank + ssm.state)
    return 2 * batch * height * width * work


@torch.library.custom_op("hmnet_lite::scan_work", mutates_args=())
def _scan_work(where: Tensor, flops: int) -> Tensor:
    """Does nothing: it stands for a block's scans before torch's counter."""
    return where.new_empty(0)


@torch.library.custom_op("hmnet_lite::delta_work", mutates_args=())
def _delta_work(where: Tensor, flops: int) -> Tensor:
    """Does nothing: it stands for the products that make Δ where the scan does them itself."""
    return where.new_empty(0)


@register_flop_formula([torch.ops.hmnet_lite.scan_work, torch.ops.hmnet_lite.delta_work])
def _work_flops(where_shape, flops: int, *args, out_shape=None, **kwargs) -> int:
    return flops


@contextmanager
def count_flops() -> Iterator[FlopCounterMode]:
    """Count the operations of whatever runs inside, scans included.

        with count_flops() as counter:
            model(query, supports, masks)
        counter.get_total_flops(); counter.get_flop_counts()["PublishedHMNet.mixer"]

    Every Mamba block reports its scans under the op `hmnet_lite::scan_work`, with one formula
    whatever the backend, and under `hmnet_lite::delta_work` the products that make Δ where they are
    not torch's. Forward only: everything inside runs in inference mode.
    """

    def report(module: nn.Module, args: tuple) -> None:
        if isinstance(module, MambaBlock):
            work = block_scan_flops(module, args[0]) - _seen_by_torch(module, args[0])
            torch.ops.hmnet_lite.scan_work(args[0].detach(), work)
            torch.ops.hmnet_lite.delta_work(args[0].detach(), _fused_delta(module, args[0]))

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        # after the counter's own hook, so that it already knows which block is running
        hook = nn.modules.module.register_module_forward_pre_hook(report)
        try:
            yield counter
        finally:
            hook.remove()


def _seen_by_torch(block: MambaBlock, query: Tensor) -> int:
    """What the counter finds by itself: the chunked scan reads its states by a matrix product."""
    if resolve(block.config.backend, query) != "chunked":
        return 0
    batch, height, width, dim = query.shape
    steps = (1 if block.unread else 2) * height * width
    if isinstance(block, HybridMambaBlock):  # a small support; the query's patches all whole
        h, w = patch_size(height, width, block.patch_ratio)
        small = math.prod(patch_size(height, width, block.shrink_ratio))
        steps = small + -(-height // h) * -(-width // w) * h * w
    return 2 * batch * block.ssm.directions * 2 * dim * steps * block.ssm.state


def _fused_delta(block: MambaBlock, query: Tensor) -> int:
    """What it misses: reading a map in place makes Δ of its low-rank form as the scan goes."""
    if not reads_maps(query, block.config.backend):
        return 0
    batch, height, width, dim = query.shape
    support = 0 if block.unread else height * width
    if isinstance(block, HybridMambaBlock):  # with recaps P needs the support's Δ: torch makes it
        small = math.prod(patch_size(height, width, block.shrink_ratio))
        support = small if block.config.srm == "off" else 0
    channels = batch * block.ssm.directions * 2 * dim
    return 2 * channels * (height * width + support) * block.ssm.rank
