"""Times hybrid Mamba and measures the scan's errors: `python -m hmnet_lite.commands.bench`.

Blocks of the published size (dim 256, state 16, α 4) on a 64 × 64 map, batch 1, four ways:

    literal on mamba-ssm reference   SRM word by word on mamba-ssm's `selective_scan_ref`
    literal                          the same on our fastest scan
    sequences                        the affine recap, on sequences laid out and put back
    in place                         the affine recap, reading the map where it lies

All of a table runs in one process and in turns; figures are medians. The same file holds how the
cost of a query pixel depends on the size of the map, one 473 px episode of the published network
part by part, and every backend's error against a float64 loop.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_kernels.bench.references import linear_reference, mamba_ssm_reference
from hmnet_kernels.bench.run import measure
from hmnet_lite.files import write_json
from hmnet_lite.machine import made_on
from hmnet_lite.mamba.blocks import HybridMambaBlock, MambaBlock, SelfMambaBlock
from hmnet_lite.mamba.hybrid import intercept, srm_literal
from hmnet_lite.maps import from_sequences, patch_size, to_sequences
from hmnet_lite.scan.backends import BACKENDS, why_not
from hmnet_lite.scan.selective import selective_scan

DIM, SIDE = 256, 64
SIDES = (32, 48, 64, 80, 112, 140)
REFERENCE = "literal on mamba-ssm reference"


class LiteralBlock(HybridMambaBlock):
    """SRM as the paper words it and the published block runs it: the support before every patch;
    resizing as PyTorch has it, and QIM in plain torch, on a GPU as well.

    Args:
        scan: a scan to run instead of ours, called as scan(u, delta, A, B, C, D).
    """

    def __init__(self, *arguments, literal: Callable | None = None, **options):
        super().__init__(*arguments, **options)
        self.literal = literal

    def core(self, query, support):
        size, ratio = query.shape[-2:], self.config.recap_ratio
        small = patch_size(*size, ratio)
        s = self.ssm(to_sequences(resized(support, small)))
        q = self.ssm(to_sequences(query, ratio))
        pick = (0, 1, 3, 4)  # u, delta, B, C
        lines, A, D = ([x[i] for i in pick] for x in (s, q)), s[2], s[5]
        segment = small[0] * small[1]
        y_query, y_support, support_state = (
            srm_literal(*lines, A, D, segment, backend=self.config.backend)
            if self.literal is None
            else self._on_another_scan(*lines, A, D, segment)
        )
        out_query = together(y_query, size, ratio) + self.intercept(query, support_state)
        return out_query, resized(together(y_support, small), size)

    def intercept(self, query, support_state):
        size = query.shape[-2:]
        small = patch_size(*size, self.intercept_ratio)
        met = rearrange(support_state, "b (k c) n -> b k c n", k=self.ssm.directions).mean(1)
        u, delta, A, B, C, D = self.ssm(rearrange(resized(query, small), "b c h w -> b 1 c (h w)"))
        y = intercept(u, delta, A, B[:, 0], C[:, 0], D, met.detach())
        return resized(rearrange(y, "b c (h w) -> b c h w", h=small[0]), size)

    def _on_another_scan(self, support, query, A, D, segment):
        """`srm_literal` on another scan; the state, which that may not give, from ours."""
        u, delta, B, C = (
            torch.cat([x for part in q.split(segment, -1) for x in (s, part)], dim=-1)
            for s, q in zip(support, query, strict=True)
        )
        y = rearrange(self.literal(u, delta, A, B, C, D), "b c (r t) -> b c r t", t=2 * segment)
        u, delta, B, C = support
        _, support_state = selective_scan(u, delta, A, B, C, return_last_state=True)
        return y[..., segment:].flatten(2), y[:, :, 0, :segment], support_state


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """PyTorch's own bilinear, aligned corners: `maps.resize` has a faster one for GPUs."""
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=True)


def together(y: Tensor, size: tuple[int, int], ratio: int = 1) -> Tensor:
    """(batch, 4·channels, length) → the directions' sum, (batch, channels, height, width)."""
    return sum(from_sequences(rearrange(y, "b (k c) l -> b k c l", k=4), *size, ratio))


class BySequences:
    """A block that never reads in place. Mixed in before the block."""

    def scan(self, reading, ratio=1, **options):
        return reading.scan_sequences(ratio, **options)


class HybridBySequences(BySequences, HybridMambaBlock):
    """HMB by sequences."""


class SelfBySequences(BySequences, SelfMambaBlock):
    """SMB by sequences."""


def _forward(block: MambaBlock, maps: tuple[Tensor, Tensor]) -> Callable[[], object]:
    @torch.no_grad()
    def run():
        return block(*maps)

    return run


def _forward_backward(block: MambaBlock, maps: tuple[Tensor, Tensor]) -> Callable[[], object]:
    def run():
        leaves = [x.detach().requires_grad_() for x in maps]
        sum(y.sum() for y in block(*leaves)).backward()

    return run


def blocks(rounds: int, seconds: float, *, dim: int = DIM, side: int = SIDE) -> dict:
    """Milliseconds and peak megabytes of the hybrid and the self block, each way."""
    torch.manual_seed(0)
    maps = tuple(torch.randn(2, 1, side, side, dim).unbind(0))
    hybrid = {"literal": LiteralBlock(dim), "sequences": HybridBySequences(dim)}
    hybrid |= {"in place": HybridMambaBlock(dim)}
    alone = {"sequences": SelfBySequences(dim), "in place": SelfMambaBlock(dim)}
    result = {"dim": dim, "side": side}
    for name, kinds in (("hybrid", hybrid), ("self", alone)):
        weights = kinds["in place"].state_dict()
        for block in kinds.values():
            block.load_state_dict(weights)
        result[name] = {}
        for kind, run in (("forward", _forward), ("forward_backward", _forward_backward)):
            runs = {way: run(block, maps) for way, block in kinds.items()}
            if name == "hybrid" and kind == "forward":  # (its backward is quadratic in the length)
                try:
                    slow = LiteralBlock(dim, literal=mamba_ssm_reference())
                    slow.load_state_dict(weights)
                    runs = {REFERENCE: run(slow, maps), **runs}
                except ImportError as missing:
                    print(f"without {REFERENCE}: {missing}")
            for once in runs.values():
                once()  # compiles
            rows = measure(runs, rounds, seconds)
            best = rows["in place"]
            for row in rows.values():
                row["times_in_place"] = round(row["milliseconds"] / best["milliseconds"], 2)
                if row["peak_megabytes"] and best["peak_megabytes"]:
                    memory = row["peak_megabytes"] / best["peak_megabytes"]
                    row["memory_times_in_place"] = round(memory, 2)
            result[name][kind] = rows
    return result


def sizes(rounds: int, seconds: float, *, dim: int = DIM, sides=SIDES) -> dict:
    """The hybrid block's forward against the map's side, and the log-log slope over pixels."""
    block = HybridMambaBlock(dim)
    runs = {side: _forward(block, tuple(torch.randn(2, 1, side, side, dim))) for side in sides}
    rows = measure(runs, rounds, seconds)
    times = [rows[side]["milliseconds"] for side in sides]
    slope = np.polyfit(np.log(np.square(sides)), np.log(times), 1)[0]
    pixel = [round(1e3 * t / side**2, 3) for t, side in zip(times, sides, strict=True)]
    return {"sides": list(sides), "milliseconds": times, "microseconds_a_pixel": pixel,
            "slope": round(float(slope), 3)}  # fmt: skip


def published(rounds: int, seconds: float, **config) -> dict:
    """One episode of the published network (ResNet-50, 8 blocks, 473 px, one shot), by part."""
    from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet

    torch.manual_seed(0)
    model = PublishedHMNet(PublishedConfig(**config)).eval()
    side, S, dim = model.config.image_size, model.config.map_side, model.config.dim
    query, support = torch.rand(1, 3, side, side), torch.rand(1, 1, 3, side, side)
    masks = torch.zeros(1, 1, side, side)
    masks[..., : side // 2, : side // 2] = 1
    maps = torch.randn(2, 1, dim, S, S)
    with torch.inference_mode():
        deep = model.backbone(query).deep

    def without_gradient(part: nn.Module, *inputs) -> Callable[[], object]:
        @torch.inference_mode()
        def run():
            return part(*inputs)

        return run

    both, deep = torch.cat([query, support[0]]), deep.repeat(2, 1, 1, 1)
    runs = {
        "whole episode": without_gradient(model, query, support, masks),
        "backbone, query and support": without_gradient(model.backbone, both),
        "base learner, query and support": without_gradient(model.base_learner, deep),
        "mixer": without_gradient(model.mixer, *maps),
        "decoder": without_gradient(model.decoder, maps[0]),
    }  # fmt: skip
    for run in runs.values():
        run()
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20
    return {"config": model.config.to_dict(), "weights_megabytes": round(weights, 1),
            "parts": measure(runs, rounds, seconds)}  # fmt: skip


#: what a scan is given in `accuracy`: length, and what is added to the raw Δ before the softplus
STRESS = {
    "ordinary": (512, -2.0),
    "tiny steps": (512, -12.0),
    "huge steps": (512, 6.0),
    "long": (8192, -2.0),
}


def accuracy(channels: int = 8, state: int = 16) -> dict:
    """Largest error of y and of any gradient, over the largest value, against a float64 loop."""
    result = {}
    for kind, (length, shift) in STRESS.items():
        g = torch.Generator().manual_seed(0)
        normal = partial(torch.randn, generator=g)
        u, raw = normal(1, channels, length), normal(1, channels, length)
        delta = F.softplus(raw + shift)
        A, D = -torch.exp(normal(channels, state)), normal(channels)
        B, C = normal(1, 1, state, length), normal(1, 1, state, length)
        weights = normal(1, channels, length)

        def run(scan, x, weights=weights):
            leaves = [t.detach().requires_grad_() for t in x]
            y = scan(*leaves)
            weighted = (y * weights.to(y.dtype)).sum()
            return [y.detach(), *torch.autograd.grad(weighted, leaves)]

        given = (u, delta, A, B, C, D)
        truth = run(linear_reference, [x.double() for x in given])
        result[kind] = {}
        for backend in BACKENDS:
            if why_not(backend, u, last_state_gradient=True) is not None:
                continue
            errors = [
                ((ours - exact).abs().max() / exact.abs().max()).item()
                for ours, exact in zip(run(partial(selective_scan, backend=backend), given), truth,
                                       strict=True)
            ]  # fmt: skip
            result[kind][backend] = {"y": errors[0], "gradients": max(errors[1:])}
    return result


def table(result: dict) -> str:
    """What was measured, as text."""
    lines = []
    for name in ("hybrid", "self"):
        for kind, rows in result["blocks"][name].items():
            lines.append(f"\n{name} block, {kind.replace('_', ' + ')}: ms, times in place, peak MB")
            for way, row in rows.items():
                ms, ratio, peak = (
                    row["milliseconds"],
                    row["times_in_place"],
                    row["peak_megabytes"],
                )
                lines.append(f"  {way:<32}{ms:>10.1f}{ratio:>9.2f}{peak or math.nan:>9.0f}")
    if grown := result.get("sizes"):
        lines.append(f"\nhybrid block, µs a query pixel; log-log slope {grown['slope']}")
        pairs = zip(grown["sides"], grown["microseconds_a_pixel"], strict=True)
        lines += [f"  {side:>4} × {side:<4}{pixel:>10.2f}" for side, pixel in pairs]
    if whole := result.get("published"):
        lines.append("\npublished network, one episode: ms, peak MB above the weights")
        for part, row in whole["parts"].items():
            peak = row["peak_megabytes"] or math.nan
            lines.append(f"  {part:<32}{row['milliseconds']:>10.0f}{peak:>9.0f}")
    lines.append("\nerror over the largest value, y / worst gradient")
    for kind, rows in result["accuracy"].items():
        said = (f"{b} {e['y']:.0e} / {e['gradients']:.0e}" for b, e in rows.items())
        lines.append(f"  {kind:<12}{'   '.join(said)}")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="hmnet_lite.commands.bench", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each run in each round")
    parser.add_argument("--small", action="store_true", help="a minute's worth: small blocks only")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder of the results")
    chosen = parser.parse_args(words)
    torch.set_num_threads(chosen.threads)
    often = dict(rounds=chosen.rounds, seconds=chosen.seconds)
    result = {"made": made_on()}
    if chosen.small:
        result |= {"blocks": blocks(**often, dim=32, side=16), "accuracy": accuracy()}
    else:
        result |= {"blocks": blocks(**often), "sizes": sizes(**often)}
        result |= {"published": published(**often), "accuracy": accuracy()}
    print(table(result))
    print(f"\nwritten: {write_json(chosen.out / 'hybrid_benchmark.json', result)}")


if __name__ == "__main__":
    main()
