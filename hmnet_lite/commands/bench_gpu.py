"""Times on a GPU, one command: `make bench-gpu`. Blocks, attention, episodes, training steps.

Medians of device events in one process, at most a few minutes; a JSON with card, versions and date.
Scans by themselves are timed by `python -m hmnet_kernels.bench --device cuda`. With
`--device cpu --small` the same code runs on a CPU, to see that it works.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from hmnet_lite.files import write_json
from hmnet_lite.machine import made_on
from hmnet_lite.mamba.blocks import HybridMambaBlock
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.features import Batch
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.models.lite import HMNet, HMNetConfig
from hmnet_lite.training.losses import episode_loss

SIDES, BATCHES, IMAGE_SIZES = (32, 64, 80, 140, 256), (1, 8), (473, 633, 793, 953, 1113)
LARGEST = 8 * 140**2  # pixels of a batch: more does not fit the smaller cards


def clocked(run: Callable[[], object], device: str, rounds: int) -> dict[str, float | None]:
    """Median milliseconds of a call, after three to warm up, and on a GPU the memory it adds."""
    for _ in range(3):
        run()
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
        peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    else:
        for _ in range(rounds):
            start = time.perf_counter()
            run()
            times.append(1000 * (time.perf_counter() - start))
    return {"milliseconds": statistics.median(times), "peak_megabytes": peak}


def blocks(device: str, rounds: int, sides, dim: int) -> dict:
    """The hybrid block and attention over the same pixels: forward, and with backward."""
    result = {}
    for side in sides:
        for batch in BATCHES:
            if batch * side**2 > LARGEST:
                continue
            torch.manual_seed(0)
            block = HybridMambaBlock(dim).to(device)
            maps = [torch.randn(batch, side, side, dim, device=device) for _ in range(2)]
            tokens = [torch.randn(batch, 8, side**2, 2 * dim // 8, device=device) for _ in range(3)]

            def both(block=block, maps=maps):
                leaves = [x.detach().requires_grad_() for x in maps]
                sum(y.sum() for y in block(*leaves)).backward()

            row = {"forward + backward": clocked(both, device, rounds)}
            with torch.inference_mode():
                row["forward"] = clocked(lambda b=block, m=maps: b(*m), device, rounds)
                for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
                    qkv = [x.to(dtype) for x in tokens]
                    row[f"attention, {name}"] = clocked(
                        lambda x=qkv: F.scaled_dot_product_attention(*x), device, rounds
                    )
            result[f"{side} × {side}, batch {batch}"] = row
    return result


def episodes(device: str, rounds: int, sizes, **options) -> dict:
    """One episode of the published network against the picture's side (the paper's Table 9)."""
    result = {}
    for size in sizes:
        config = PublishedConfig(image_size=size, maps=-(-size // 8), **options)
        model = PublishedHMNet(config).to(device).eval()
        pictures = torch.rand(2, 1, 3, size, size, device=device)
        masks = torch.zeros(1, 1, size, size, device=device)
        masks[..., : size // 2, : size // 2] = 1
        for name, mixed in (("float32", False), ("bfloat16", True)):
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=mixed):
                result[f"{size} px, {name}"] = clocked(
                    lambda m=model, p=pictures, k=masks: m(p[0], p[1][:, None], k), device, rounds
                )
    return result


def training(device: str, rounds: int) -> dict:
    """Steps a second of HMNet-lite at batch 8, data never waited for, with and without Mamba."""
    result = {}
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

        row = clocked(step, device, rounds)
        result[name] = {**row, "steps_a_second": 1000 / row["milliseconds"]}
    return result


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
    on = (chosen.device, chosen.rounds)
    small = chosen.small
    result = {
        "made": made_on(),
        "blocks": blocks(*on, (16,) if small else SIDES, 32 if small else 256),
        "training": training(*on),
        "episodes": episodes(*on, (97,), depth=2, dim=32) if small else episodes(*on, IMAGE_SIZES),
    }
    for part in ("blocks", "training", "episodes"):
        print(f"\n{part}: milliseconds")
        for name, row in result[part].items():
            rows = row if "milliseconds" not in row else {"": row}
            said = (f"{k} {v['milliseconds']:.2f}".strip() for k, v in rows.items())
            print(f"  {name:<28}{'   '.join(said)}")
    name = (result["made"]["gpu"] or "cpu").lower().replace(" ", "_")
    print(f"\nwritten: {write_json(chosen.out / f'bench_{name}.json', result)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
