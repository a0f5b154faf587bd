"""Times on a GPU, one command: `make bench-gpu`. Blocks, attention, episodes, training steps.

Medians of device events; a JSON with card, versions and date, and a plot. Each part (they are in
`bench_parts`) runs in a process of its own: what it compiles was compiled before, all parts side
by side, so that its time is for measuring; it writes its figures one by one, and an illegal access
or a time that is over costs what is left of that part alone. What is missing is told, with why.
Scans by themselves are timed by `python -m hmnet_kernels.bench --device cuda`. With `--device cpu
--small` the same code runs on a CPU, to see that it works.

A hybrid block is timed as blocks are (Triton's kernels reading the map), and literally, SRM as the
paper words it with PyTorch's resizing and QIM in plain torch, on mamba-ssm's kernel where that is
installed and on Triton's.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import packages_distributions, version
from pathlib import Path

import numpy as np
import torch

from hmnet_kernels.bench.clock import said
from hmnet_lite.commands import bench_parts as parts
from hmnet_lite.commands.bench_parts import Clock
from hmnet_lite.files import write_json
from hmnet_lite.machine import made_on

# Seconds of measuring, in this order; captures last. The scans, timed before, have 150, and all
# together eight minutes.
SECONDS = {"batch 1": 60.0, "batch 8": 60.0, "training": 20.0, "episodes": 50.0, "captures": 40.0}
COMPILING, STARTING = 60.0, 30.0  # seconds: all parts side by side; to import and begin one
BATCHES = (1, 8)


def part_of(name: str, small: bool, compiling: bool = False) -> Callable[[Clock, dict], None]:
    """What a part of that name times; to compile it, the first sizes are enough."""
    sides, dim = (parts.SMALL_SIDES, 32) if small else (parts.SIDES, 256)
    sizes, options = ((97,), dict(depth=2, dim=32)) if small else (parts.IMAGE_SIZES, {})
    if compiling:
        sides, sizes = sides[:1], sizes[:1]
    if name.startswith("batch"):
        return partial(parts.blocks, sides=sides, dim=dim, batch=int(name.split()[1]))
    if name == "training":
        return parts.training
    if name == "episodes":
        return partial(parts.episodes, sizes=sizes, options=options)
    return partial(parts.captures, sides=sides, dim=dim, sizes=sizes, options=options)


def one_part(name: str, chosen: argparse.Namespace) -> int:
    """Time one part, in this process, into the file --out."""
    result: dict = {}
    clock = Clock(
        chosen.device, chosen.rounds, chosen.seconds, partial(write_json, chosen.out, result)
    )
    result["left_out"] = clock.left_out
    try:
        part_of(name, chosen.small, chosen.rounds == 0)(clock, result)
    except Exception as error:  # what was timed before is not lost
        clock.left_out[name] = said(error)
    write_json(chosen.out, result)
    return 0


def in_processes(
    commands: dict[str, list[str]], folder: Path, seconds: dict[str, float],
    taken: Callable[[str, dict], object], *, together: bool = False,
) -> None:  # fmt: skip
    """Run commands, each of which writes a JSON at its end, one after the other or side by side.

    Args:
        commands: name to words; the file, in `folder`, is added to them.
        seconds: for each, until it is stopped.
        taken: called with a name and what its file holds, with "left_out" told if it ended badly.
    """
    running, begin = {}, time.monotonic()
    for i, (name, words) in enumerate(commands.items()):
        path = folder / f"{i}.json"
        errors = open(folder / f"{i}.txt", "w+")  # noqa: SIM115 (for as long as the process)
        running[name] = (subprocess.Popen([*words, str(path)], stderr=errors), path, errors)
        if not together:
            taken(name, _ended(name, *running.pop(name), seconds[name]))
    for name, (process, path, errors) in running.items():
        left = max(seconds[name] - (time.monotonic() - begin), 0.0)
        taken(name, _ended(name, process, path, errors, left))


def _ended(name: str, process, path: Path, errors, seconds: float) -> dict:
    why = None
    try:
        if status := process.wait(timeout=seconds):
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["no message"])[-1]
            why = f"ended with status {status}: {last}"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        why = f"stopped after {seconds:.0f} seconds"
    errors.close()
    found = json.loads(path.read_text()) if path.exists() else {}
    if why:
        found.setdefault("left_out", {})[name] = why
    return found


def merged(result: dict, found: dict) -> None:
    """Add what was found to a result, folder by folder."""
    for key, value in found.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            merged(result[key], value)
        else:
            result[key] = value


def summary(blocks: dict) -> dict[str, float | None]:
    """What the figures are asked for: how the cost grows with the pixels, and how the core stands
    to attention at the paper's largest map; None where figures are missing."""
    cost = {
        int(what.split()[0]): row["fused, forward"]["queued_milliseconds"]
        for what, row in blocks.items()
        if what.endswith("batch 1") and "queued_milliseconds" in row.get("fused, forward", {})
    }
    sides = sorted(side for side in cost if side >= 64)
    slope = None
    if len(sides) > 1:
        pixels = [2 * math.log(side) for side in sides]
        slope = float(np.polyfit(pixels, [math.log(cost[side]) for side in sides], 1)[0])
    row = blocks.get("140 × 140, batch 1", {})
    core = row.get("core, forward, captured", row.get("core, forward"))
    other = row.get("attention, bfloat16")
    times = other["milliseconds"] / core["milliseconds"] if core and other else None
    return {
        "slope of milliseconds against pixels, 64² and above, fused, batch 1": slope,
        "core 140 × 140, times as fast as bfloat16 attention": times,
    }


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
    parser.add_argument("--part", choices=SECONDS, help="this one alone, into the file --out")
    parser.add_argument("--seconds", type=float, default=300.0, help="of the part")
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
    if chosen.part:
        return one_part(chosen.part, chosen)
    made = made_on()
    made["versions"] |= versions()
    result: dict = {"made": made, "blocks": {}, "training": {}, "episodes": {}, "left_out": {}}
    path = chosen.out / f"bench_{(made['gpu'] or 'cpu').lower().replace(' ', '_')}.json"

    def command(part: str, rounds: int, seconds: float) -> list[str]:
        given = ["--device", chosen.device, "--rounds", str(rounds), "--seconds", str(seconds)]
        given += ["--small"] * chosen.small + ["--part", part, "--out"]
        return [sys.executable, "-m", "hmnet_lite.commands.bench_gpu", *given]

    def taken(part: str, found: dict) -> None:
        merged(result, found)
        result["summary"] = summary(result["blocks"])
        write_json(path, result)

    with tempfile.TemporaryDirectory() as folder:
        if chosen.device == "cuda":
            compiling = {part: command(part, 0, COMPILING) for part in SECONDS}
            ends = dict.fromkeys(SECONDS, COMPILING)
            in_processes(compiling, Path(folder), ends, lambda *_: None, together=True)
        most = SECONDS
        if chosen.device == "cpu":  # which has no graphs, and nobody waits for its figures
            most = {part: 3600.0 for part in SECONDS if part != "captures"}
        timing = {part: command(part, chosen.rounds, most[part]) for part in most}
        ends = {part: seconds + STARTING for part, seconds in most.items()}
        with tempfile.TemporaryDirectory() as apart:
            in_processes(timing, Path(apart), ends, taken)
    for part in ("blocks", "training", "episodes"):
        print(f"\n{part}: milliseconds")
        for name, row in result[part].items():
            rows = row if "milliseconds" not in row else {"": row}
            cells = (f"{k} {v['milliseconds']:.2f}".strip() for k, v in rows.items())
            print(f"  {name:<28}{'   '.join(cells)}")
    for what, why in (result["left_out"] | result["summary"]).items():
        print(f"{what}: {why}")
    try:
        draw(result, path.with_suffix(".png"))
    except ImportError as missing:
        print(f"no plot: {missing}", file=sys.stderr)
    print(f"\nwritten: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
