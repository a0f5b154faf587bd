"""A walk through HMNet-lite on one episode: what each part gives, is made of, and costs.

for stop in walk(model, episode):
    print(stop.name, stop.shape, stop.trained, stop.operations, stop.seconds)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmnet_lite.analysis.costs import count_flops
from hmnet_lite.data.episode import Episode
from hmnet_lite.models.features import to_tensor
from hmnet_lite.models.lite import HMNet
from hmnet_lite.record import Recorder

ROUNDS = 5  # of timing; the median counts


@dataclass(frozen=True, eq=False)
class Stop:
    """A part of the network.

    Attributes:
        name: "backbone", "metric", "evidence", "merge", "block 1", …, "decoder".
        maps: what it gives, name to (channels, height, width).
        trained, frozen: numbers in it that training changes, and that it does not.
        operations: floating-point operations of one forward pass.
        seconds: of the processor, for the same; on whatever machine ran it.
    """

    name: str
    maps: Mapping[str, Tensor]
    trained: int
    frozen: int
    operations: int
    seconds: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first map."""
        return tuple(next(iter(self.maps.values())).shape)


@torch.no_grad()
def walk(model: HMNet, episode: Episode) -> list[Stop]:
    """Every part in the order in which it runs.

    "evidence" stands for what no other part holds: the evidence maps, and the sums, products and
    interpolations between parts. So numbers, operations and seconds add up to the network's.

    Args:
        model: an HMNet-lite, on the CPU.
        episode: what it looks at; with one support.
    """
    given = (
        to_tensor(episode.query_image)[None],
        torch.stack([to_tensor(x) for x in episode.support_images])[None],
        torch.from_numpy(episode.support_masks)[None],
    )
    parts = _parts(model)
    spent = _seconds(lambda: model(*given), parts)
    with count_flops() as counter:
        model(*given)
    counted = counter.get_flop_counts()
    names = {module: f"HMNet.{name}" for name, module in model.named_modules()}
    done = {
        stop: sum(sum(counted.get(names[module], {}).values()) for module in modules)
        for stop, modules in parts.items()
    }
    done["evidence"] = counter.get_total_flops() - sum(done.values())
    return [
        Stop(
            stop,
            maps,
            sum(p.numel() for p in _parameters(parts[stop]) if p.requires_grad),
            sum(p.numel() for p in _parameters(parts[stop]) if not p.requires_grad)
            + sum(b.numel() for module in parts[stop] for b in module.buffers()),
            done[stop],
            spent[stop],
        )
        for stop, maps in _maps(model, given).items()
    ]


def _parts(model: HMNet) -> dict[str, list[nn.Module]]:
    merge = [model.reduce_query, model.reduce_support, model.merge_query, model.merge_support]
    blocks = {f"block {i}": [block] for i, block in enumerate(model.mixer.blocks, 1)}
    mixed = [model.mixed_norm] if model.config.matches else []
    return {
        "backbone": [model.backbone],
        "metric": [model.metric],
        "evidence": [model.evidence_norm],
        "merge": merge,
        **blocks,
        "decoder": [model.mixer.norm, *mixed, model.digest, model.decoder],
    }


def _parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters()]


def _maps(model: HMNet, given: tuple[Tensor, ...]) -> dict[str, dict[str, Tensor]]:
    with Recorder() as seen:
        logits = model(*given)
    query, support = (model.backbone(x).deep for x in (given[0], given[1][0]))
    embedded = [torch.cat(model.metric(x), dim=-3) for x in (query, support)]
    whole = seen.network
    found: dict[str, dict[str, Any]] = {
        "backbone": {"query": query, "support": support},
        "metric": dict(zip(("query", "support"), embedded, strict=True)),
        "evidence": {"query": whole["prior"]},
        "merge": {"query": whole["query_in"], "support": whole["support_in"]},
    }
    for i, record in enumerate(seen.blocks, 1):
        maps: dict[str, Tensor] = {}
        for kind in ("query", "support"):
            if kind in record:
                maps[kind] = record[kind].movedim(-1, 1)
        if "srm_query" in record:
            maps["SRM"] = record["srm_query"]
        if "qim_query" in record:
            small = record["scan_in_query_small"].shape[-2:]
            maps["QIM"] = record["qim_query"].unflatten(-1, small)
        found[f"block {i}"] = maps
    found["decoder"] = {"probability": F.softmax(logits, dim=1)[:, 1:]}
    return {stop: {name: x[0].detach() for name, x in own.items()} for stop, own in found.items()}


def _seconds(run: Callable[[], Any], parts: Mapping[str, Iterable[nn.Module]]) -> dict[str, float]:
    """Part to the median of its seconds; "evidence" gets what is left of the whole."""
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        spent = dict.fromkeys(parts, 0.0)
        with ExitStack() as hooks:
            for stop, modules in parts.items():
                for module in modules:
                    _time(module, stop, spent, hooks)
            begin = time.process_time()
            run()
            whole = time.process_time() - begin
        spent["evidence"] += whole - sum(spent.values())
        rounds.append(spent)
    return {stop: median(spent[stop] for spent in rounds) for stop in parts}


def _time(module: nn.Module, stop: str, spent: dict[str, float], hooks: ExitStack) -> None:
    def begin(*_: Any) -> None:
        spent[stop] -= time.process_time()

    def end(*_: Any) -> None:
        spent[stop] += time.process_time()

    for handle in (module.register_forward_pre_hook(begin), module.register_forward_hook(end)):
        hooks.callback(handle.remove)
