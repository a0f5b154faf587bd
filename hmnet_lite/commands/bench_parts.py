"""What `make bench-gpu` times: blocks, attention, captured graphs, training steps, episodes.

Each part runs in a process of its own, begun by `bench_gpu`, which says what it may take.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from hmnet_kernels.bench.clock import clocked as queued
from hmnet_kernels.bench.clock import said
from hmnet_kernels.bench.references import MAMBA_SSM_BUILD
from hmnet_lite.commands.bench import LiteralBlock
from hmnet_lite.machine import captured
from hmnet_lite.mamba.blocks import HybridMambaBlock
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.features import Batch
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.models.lite import HMNet, HMNetConfig
from hmnet_lite.scan.backends import compiled_scan, why_not
from hmnet_lite.training.losses import episode_loss

SIDES, SMALL_SIDES, IMAGE_SIZES = (64, 140, 32, 80, 256), (16,), (473, 633, 793, 953, 1113)
RELEASED = (473, 633)  # pictures whose maps are as released, 64 and 80; an eighth above
LARGEST = 8 * 140**2  # pixels of a batch: more does not fit the smaller cards


def clocked(run: Callable[[], object], device: str, rounds: int) -> dict[str, float | None]:
    """Median milliseconds of a call, after some to warm up, and on a GPU the memory it adds.

    `milliseconds` are a user's: from an idle GPU, launches included; `queued_milliseconds` the
    GPU's own, the launches made while it had something else to do. A slow call is made less often:
    two seconds of calls are enough.
    """
    begin = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    if time.perf_counter() - begin < 0.5:
        run()
        run()
    begin = time.perf_counter()
    times, alone, peak = [], [], None
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        for _ in range(rounds):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
            alone.append(1000 * queued(run, device))
            if time.perf_counter() - begin > 2:
                break
        peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    else:
        for _ in range(rounds):
            start = time.perf_counter()
            run()
            times.append(1000 * (time.perf_counter() - start))
    found = {"milliseconds": statistics.median(times), "peak_megabytes": peak}
    return found | ({"queued_milliseconds": statistics.median(alone)} if alone else {})


class Clock:
    """`clocked`, until the time is over; then, and where something fails, a word of why not.

    Args:
        device: "cuda" or "cpu".
        rounds: calls of each run, at most; 0: each run once and nothing is timed, so that
            everything is compiled.
        seconds: from now on, until its time is over.
        save: called after every figure.
    """

    def __init__(
        self, device: str, rounds: int, seconds: float = 300.0,
        save: Callable[[], object] = lambda: None,
    ):  # fmt: skip
        self.device, self.rounds, self.end = device, rounds, time.perf_counter() + seconds
        self.left_out: dict[str, str] = {}
        self.save = save

    def __call__(
        self, row: dict, name: str, run: Callable[..., object], what: str,
        given: tuple | Callable[[], tuple] = (), *, capture: bool = False,
    ) -> None:  # fmt: skip
        """Time `run(*given)`, captured first where asked for, into row[name]. Tensors that are
        made only here cost no other figure where there is no room for them."""
        if time.perf_counter() > self.end:
            self.left_out[f"{what}, {name}"] = "the time was over"
            return
        try:
            tensors = given() if callable(given) else given
            if self.rounds == 0:
                run(*tensors)
            else:
                run = captured(run, *tensors) if capture else run
                row[name] = clocked(partial(run, *tensors), self.device, self.rounds)
        except Exception as error:  # whatever it is, the others are still to be timed
            self.left_out[f"{what}, {name}"] = said(error)
        self.save()
        if self.device == "cuda":
            torch.cuda.empty_cache()  # fails if the device is lost: nothing more will come then


def block_kinds(dim: int, device: str, clock: Clock) -> dict[str, HybridMambaBlock]:
    """The hybrid block, each way that can be had here, with the same weights."""
    torch.manual_seed(0)
    found = {"fused": HybridMambaBlock(dim)}
    for name in ("mamba_ssm", "triton"):
        missing = why_not(name, torch.empty(1, 1, 1, device=device))
        if missing:
            how = f"; {MAMBA_SSM_BUILD}" if name == "mamba_ssm" else ""
            clock.left_out[f"literal on {name}"] = missing + how
            continue
        scan = partial(_y_alone, compiled_scan(name))
        found[f"literal on {name}"] = LiteralBlock(dim, literal=scan)
    for block in found.values():
        block.load_state_dict(found["fused"].state_dict())
    return {name: block.to(device) for name, block in found.items()}


def _y_alone(scan, u, delta, A, B, C, D):
    return scan(u, delta, A, B, C, D, None, delta_bias=None, delta_softplus=False,
                return_last_state=False)  # fmt: skip


def blocks(clock: Clock, result: dict, *, sides, dim: int, batch: int) -> None:
    """The hybrid block, its core, and attention over as many pixels; blocks with backward, too."""
    kinds = block_kinds(dim, clock.device, clock)
    for side in sides:
        what = f"{side} × {side}, batch {batch}"
        if batch * side**2 > LARGEST:
            clock.left_out[what] = f"more than {LARGEST:,} pixels: not on the smaller cards"
            continue
        row = result.setdefault("blocks", {}).setdefault(what, {})
        maps = partial(_maps, clock.device, batch, side, dim)
        cores = partial(_cores, clock.device, batch, side, dim)
        with torch.inference_mode():
            for name, block in kinds.items():
                clock(row, f"{name}, forward", block, what, maps)
            clock(row, "core, forward", kinds["fused"].core, what, cores)
            for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
                qkv = partial(_tokens, clock.device, batch, side, dim, dtype)
                clock(row, f"attention, {name}", F.scaled_dot_product_attention, what, qkv)
        for name, block in kinds.items():

            def both(*maps, block=block):
                leaves = [x.detach().requires_grad_() for x in maps]
                sum(y.sum() for y in block(*leaves)).backward()

            clock(row, f"{name}, forward + backward", both, what, maps)


def captures(clock: Clock, result: dict, *, sides, dim: int, sizes, options: dict) -> None:
    """Blocks, cores and episodes as one graph each: in a process of their own, and last, for a
    capture that fails may leave the device in disorder."""
    block = HybridMambaBlock(dim).to(clock.device)
    for side in sides:
        what = f"{side} × {side}, batch 1"
        row = result.setdefault("blocks", {}).setdefault(what, {})
        with torch.inference_mode():
            for name, first, make in (("fused", block, _maps), ("core", block.core, _cores)):
                run, given = partial(_query_alone, first), partial(make, clock.device, 1, side, dim)
                clock(row, f"{name}, forward, captured", run, what, given, capture=True)
    episodes(clock, result, sizes=sizes, options=options, capture=True)


def _maps(device: str, batch: int, side: int, dim: int) -> tuple:
    return tuple(torch.randn(2, batch, side, side, dim, device=device).unbind(0))


def _cores(device: str, batch: int, side: int, dim: int) -> tuple:
    """As a block hands them to its core: channels-last, (batch, 2·dim, side, side)."""
    return tuple(x.permute(0, 3, 1, 2) for x in _maps(device, batch, side, 2 * dim))


def _tokens(device: str, batch: int, side: int, dim: int, dtype: torch.dtype) -> tuple:
    tokens = torch.randn(3, batch, 8, side**2, 2 * dim // 8, device=device)
    return tuple(tokens.to(dtype).unbind(0))


def _query_alone(block, query, support):
    return block(query, support)[0]


def episodes(clock: Clock, result: dict, *, sizes, options: dict, capture: bool = False) -> None:
    """One episode of the published network against the picture's side (the paper's Table 9)."""
    device, rows = clock.device, result.setdefault("episodes", {})
    for size in sizes:
        maps = None if size in RELEASED else -(-size // 8)
        config = PublishedConfig(image_size=size, maps=maps, **options)
        try:
            with torch.device(device):
                model = PublishedHMNet(config).eval()
        except Exception as error:
            clock.left_out[f"an episode, {size} px"] = said(error)
            continue
        for name, mixed in (("float32", False), ("bfloat16", True)):
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=mixed):
                what = f"{size} px, {name}" + ", captured" * capture
                given = partial(_episode, device, size)
                clock(rows, what, model, "an episode", given, capture=capture)
            if what in rows:
                rows[what]["map_side"] = config.map_side


def _episode(device: str, size: int) -> tuple:
    pictures = torch.rand(2, 1, 3, size, size, device="cpu").to(device)
    masks = torch.zeros(1, 1, size, size, device=device)
    masks[..., : size // 2, : size // 2] = 1
    return pictures[0], pictures[1][:, None], masks


def training(clock: Clock, result: dict) -> None:
    """Steps a second of HMNet-lite at batch 8, data never waited for, with and without Mamba."""
    device, rows = clock.device, result.setdefault("training", {})
    batch = Batch(
        Features(torch.randn(8, 40, 32, 32), torch.randn(8, 384, 16, 16)),
        torch.randn(8, 1, 384, 16, 16),
        (torch.rand(8, 1, 64, 64) > 0.7).to(torch.uint8),
        (torch.rand(8, 64, 64) > 0.7).to(torch.uint8),
    )
    batch = Batch(
        Features(*(x.to(device) for x in batch.query)),
        *(x.to(device) for x in (batch.support, batch.support_masks, batch.query_masks)),
    )
    for name, depth in (("HMNet-lite", 2), ("without Mamba", 0)):
        model = HMNet(HMNetConfig(depth=depth)).to(device).train()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, fused=device == "cuda")

        def step(model=model, optimiser=optimiser):
            optimiser.zero_grad(set_to_none=True)
            episode_loss(model, batch)[0].backward()
            optimiser.step()

        clock(rows, name, step, "training")
        if name in rows:
            rows[name]["steps_a_second"] = 1000 / rows[name]["milliseconds"]
