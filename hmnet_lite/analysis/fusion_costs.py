"""What a training step of ReMamber's blocks costs, for each way of hearing the text, by map size.

    costs = step_costs("twister", side=512)
    costs.seconds, costs.megabytes

The blocks alone are run: the backbone before them is frozen and the same for all. Memory is what
autograd keeps for the backward, counted tensor by tensor, each storage once; it is exact and does
not depend on the machine. Time does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from hmnet_lite.data.emoji.referring.words import MOST
from hmnet_lite.models.remamba.config import Fusion, ReMamberConfig
from hmnet_lite.models.remamba.model import Block

FUSIONS: tuple[str, ...] = ("twister", "attention", "in-context", "norm")  # the paper's
STRIDE = 16  # of the maps


@dataclass(frozen=True)
class StepCosts:
    """Of one forward and backward, batch 1.

    Attributes:
        seconds: the fastest of a few rounds.
        megabytes: kept between forward and backward, in 10^6 bytes.
        parameters: of the blocks.
    """

    seconds: float
    megabytes: float
    parameters: int


def step_costs(fusion: str, side: int, *, rounds: int = 3) -> StepCosts:
    """Run the blocks of a `ReMamberConfig` with this fusion on a map of side / 16.

    Args:
        fusion: one of `FUSIONS`, or any other of `ReMamberConfig`.
        side: of the picture in pixels, a multiple of 16.
        rounds: of which the fastest counts.

    Raises:
        ValueError: another fusion, or a side that is no multiple of 16.
    """
    if side < STRIDE or side % STRIDE:
        raise ValueError(f"side={side}; expected a multiple of {STRIDE}")
    config = ReMamberConfig(fusion=cast(Fusion, fusion))  # which refuses another
    with torch.random.fork_rng():
        torch.manual_seed(0)
        blocks = nn.ModuleList(Block(config, depth) for depth in config.depths)
        h = side // STRIDE
        visual = torch.randn(1, config.dim, h, h, requires_grad=True)
        words, sentence = torch.randn(1, MOST, config.dim), torch.randn(1, config.dim)
        grounded = torch.zeros(1, MOST, h, h)

    def forward() -> Tensor:
        x = visual
        for block in blocks:
            x = block(x, words, sentence, grounded)
        return x.square().mean()

    kept = kept_bytes(forward, but=[*blocks.parameters(), visual, words, sentence, grounded])
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        forward().backward()
        times.append(time.perf_counter() - start)
    count = sum(p.numel() for p in blocks.parameters())
    return StepCosts(min(times), kept / 1e6, count)


def kept_bytes(forward: Callable[[], Tensor], but: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd holds for the backward of what `forward` returns.

    Args:
        forward: computes something with a gradient.
        but: tensors that are there anyway (parameters, inputs), which do not count.
    """
    there = {tensor.untyped_storage().data_ptr() for tensor in but}
    held: dict[int, int] = {}  # what is held keeps its address until the result is gone

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    return sum(size for address, size in held.items() if address not in there)
