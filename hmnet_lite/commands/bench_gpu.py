"""Times on a GPU, one command: `make bench-gpu`. Blocks, attention, episodes, training steps.

Medians of device events in one process; a JSON with card, versions and date, written anew after
every figure, and a plot. It stops measuring when its time is over and says what it left out, as it
says what failed and what is not installed. Scans by themselves are timed by
`python -m hmnet_kernels.bench --device cuda`. With `--device cpu --small` the same code runs on a
CPU, to see that it works.

A hybrid block is timed as blocks are (Triton's kernels reading the map), and literally, SRM as the
paper words it, on mamba-ssm's kernel where that is installed and on Triton's.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import packages_distributions, version
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F

from hmnet_kernels.bench.references import MAMBA_SSM_BUILD
from hmnet_kernels.bench.run import said
from hmnet_lite.commands.bench import LiteralBlock
from hmnet_lite.files import write_json
from hmnet_lite.machine import captured, made_on
from hmnet_lite.mamba.blocks import HybridMambaBlock
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.features import Batch
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.models.lite import HMNet, HMNetConfig
from hmnet_lite.scan.backends import compiled_scan, why_not
from hmnet_lite.training.losses import episode_loss

SECONDS = 300.0  # of the whole; the scans, timed before, have the rest of eight minutes
SIDES, BATCHES, IMAGE_SIZES = (32, 64, 80, 140, 256), (1, 8), (473, 633, 793, 953, 1113)
LARGEST = 8 * 140**2  # pixels of a batch: more does not fit the smaller cards


def clocked(run: Callable[[], object], device: str, rounds: int) -> dict[str, float | None]:
    """Median milliseconds of a call, after some to warm up, and on a GPU the memory it adds.

    A slow call is made less often: two seconds of calls are enough.
    """
    begin = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    if time.perf_counter() - begin < 0.5:
        run()
        run()
    begin = time.perf_counter()
    times, peak = [], None
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
            if time.perf_counter() - begin > 2:
                break
        peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    else:
        for _ in range(rounds):
            start = time.perf_counter()
            run()
            times.append(1000 * (time.perf_counter() - start))
    return {"milliseconds": statistics.median(times), "peak_megabytes": peak}


class Clock:
    """`clocked`, until the time is over; then, and where something fails, a word of why not.

    Args:
        device: "cuda" or "cpu".
        rounds: calls of each run, at most.
        seconds: from now on, until its time is over.
        save: called after every figure.
    """

    def __init__(
        self, device: str, rounds: int, seconds: float = SECONDS,
        save: Callable[[], object] = lambda: None,
    ):  # fmt: skip
        self.device, self.rounds, self.end = device, rounds, time.perf_counter() + seconds
        self.left_out: dict[str, str] = {}
        self.save = save

    def __call__(
        self, row: dict, name: str, run: Callable[..., object], what: str, given: tuple = (),
        *, capture: bool = False,
    ) -> None:  # fmt: skip
        """Time `run(*given)`, captured first where asked for, into row[name]."""
        if time.perf_counter() > self.end:
            self.left_out[f"{what}, {name}"] = "the time was over"
            return
        try:
            run = captured(run, *given) if capture else run
            row[name] = clocked(partial(run, *given), self.device, self.rounds)
        except Exception as error:  # whatever it is, the others are still to be timed
            self.left_out[f"{what}, {name}"] = said(error)
        self.save()


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


def blocks(clock: Clock, result: dict, sides, dim: int) -> None:
    """The hybrid block and attention over the same pixels: forward, and with backward."""
    device = clock.device
    kinds = block_kinds(dim, device, clock)
    for batch, side in product(BATCHES, sides):
        if batch * side**2 > LARGEST:
            continue
        what = f"{side} × {side}, batch {batch}"
        row = result[what] = {}
        maps = tuple(torch.randn(2, batch, side, side, dim, device=device).unbind(0))
        for name, block in kinds.items():

            def both(*maps, block=block):
                leaves = [x.detach().requires_grad_() for x in maps]
                sum(y.sum() for y in block(*leaves)).backward()

            clock(row, f"{name}, forward + backward", both, what, maps)
            with torch.inference_mode():
                clock(row, f"{name}, forward", block, what, maps)
        with torch.inference_mode():
            if device == "cuda":
                query = partial(_query_alone, kinds["fused"])
                clock(row, "fused, forward, captured", query, what, maps, capture=True)
            tokens = torch.randn(3, batch, 8, side**2, 2 * dim // 8, device=device)
            for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
                qkv = tuple(tokens.to(dtype).unbind(0))
                clock(row, f"attention, {name}", F.scaled_dot_product_attention, what, qkv)


def _query_alone(block, query, support):
    return block(query, support)[0]


def episodes(clock: Clock, result: dict, sizes, **options) -> None:
    """One episode of the published network against the picture's side (the paper's Table 9).

    All are captured after all have been timed as they are: a capture that fails may leave the
    device in disorder.
    """
    device = clock.device
    for capture, size in product((False, True) if device == "cuda" else (False,), sizes):
        config = PublishedConfig(image_size=size, maps=-(-size // 8), **options)
        with torch.device(device):
            model = PublishedHMNet(config).eval()
        pictures = torch.rand(2, 1, 3, size, size, device="cpu").to(device)
        masks = torch.zeros(1, 1, size, size, device=device)
        masks[..., : size // 2, : size // 2] = 1
        given = (pictures[0], pictures[1][:, None], masks)
        for name, mixed in (("float32", False), ("bfloat16", True)):
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=mixed):
                what = f"{size} px, {name}" + ", captured" * capture
                clock(result, what, model, "an episode", given, capture=capture)


def training(clock: Clock, result: dict) -> None:
    """Steps a second of HMNet-lite at batch 8, data never waited for, with and without Mamba."""
    device = clock.device
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

        clock(result, name, step, "training")
        if name in result:
            result[name]["steps_a_second"] = 1000 / result[name]["milliseconds"]


def versions() -> dict[str, str]:
    """Of the driver and of what kernels are made with, where they are there."""
    found = {}
    for module in ("triton", "mamba_ssm"):
        if names := packages_distributions().get(module):
            found[module] = version(names[0])
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        found["driver"] = answer.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        pass
    return found


def draw(result: dict, path: Path) -> None:
    """Milliseconds of the block and of attention against pixels, one panel a batch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(BATCHES), sharey=True)
    for panel, batch in zip(panels, BATCHES, strict=True):
        lines: dict[str, list[tuple[int, float]]] = {}
        for what, row in result["blocks"].items():
            side, _, rest = what.partition(" × ")
            if rest.endswith(f"batch {batch}"):
                for name, found in row.items():
                    lines.setdefault(name, []).append((int(side) ** 2, found["milliseconds"]))
        for name, points in lines.items():
            style = "--" if "backward" in name else ":" if "attention" in name else "-"
            panel.plot(*zip(*points, strict=True), style, marker="o", ms=3, label=name)
        panel.set(xscale="log", yscale="log", xlabel="pixels", title=f"batch {batch}")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("milliseconds")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right upper", fontsize=7)
    figure.suptitle(f"Hybrid block, {result['made']['gpu'] or 'CPU (a dry run)'}", fontsize=10)
    figure.savefig(path, dpi=110)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--small", action="store_true", help="smallest sizes only")
    parser.add_argument(
        "--out", type=Path, default=Path("figures/gpu"), help="folder of the result"
    )
    chosen = parser.parse_args(words)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        print(
            "bench-gpu: torch sees no CUDA device here; run it on a machine with one, or see that "
            "it works with --device cpu --small",
            file=sys.stderr,
        )
        return 2
    made = made_on()
    made["versions"] |= versions()
    result: dict = {"made": made, "blocks": {}, "training": {}, "episodes": {}}
    path = chosen.out / f"bench_{(made['gpu'] or 'cpu').lower().replace(' ', '_')}.json"
    small, save = chosen.small, partial(write_json, path, result)
    clock = Clock(chosen.device, chosen.rounds, save=save)
    result["left_out"] = clock.left_out
    sides, dim = ((16,), 32) if small else (SIDES, 256)
    sizes, options = ((97,), dict(depth=2, dim=32)) if small else (IMAGE_SIZES, {})
    parts = {"blocks": partial(blocks, sides=sides, dim=dim), "training": training}
    parts["episodes"] = partial(episodes, sizes=sizes, **options)
    for part, run in parts.items():
        try:
            run(clock, result[part])
        except Exception as error:  # what was timed before is not lost
            clock.left_out[part] = said(error)
        save()
    for part in ("blocks", "training", "episodes"):
        print(f"\n{part}: milliseconds")
        for name, row in result[part].items():
            rows = row if "milliseconds" not in row else {"": row}
            cells = (f"{k} {v['milliseconds']:.2f}".strip() for k, v in rows.items())
            print(f"  {name:<28}{'   '.join(cells)}")
    for what, why in clock.left_out.items():
        print(f"not here: {what}: {why}")
    try:
        draw(result, path.with_suffix(".png"))
    except ImportError as missing:
        print(f"no plot: {missing}", file=sys.stderr)
    print(f"\nwritten: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
