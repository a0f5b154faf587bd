"""Checks of the exercises on the assembled HMNet (notebook 06): the package's own parts decide."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hmnet_lite.mamba.blocks import SelfMambaBlock
from hmnet_lite.models.hmnet.backbones import ResNet50
from hmnet_lite.models.hmnet.base_learner import Ensemble
from hmnet_lite.workbook.exercises.parts import call, exercise


@exercise
def map_side(function: Callable[[int], int]) -> str:
    """The side of ResNet-50's maps for a square picture of `side` pixels."""
    with torch.device("meta"):
        backbone = ResNet50()
        strided = torch.nn.Sequential(backbone.layer0, backbone.layer1[:1], backbone.layer2[:1])
    for side in (473, 633, 480, 65, 72, 73):
        given = call(function, side)
        real = strided(torch.empty(1, 3, side, side, device="meta")).shape[-1]
        if given == real:
            continue
        if given == side // 8:
            raise AssertionError(
                f"For {side} px it gives {given}, the backbone {real}: each of the three halvings "
                "has padding and keeps the last pixel, so it rounds up, not down."
            )
        if given == -(-side // 16) or given == -(-side // 32):
            raise AssertionError(
                f"For {side} px it gives {given}, the backbone {real}: layers 3 and 4 are dilated "
                "and halve nothing."
            )
        raise AssertionError(f"For {side} px it gives {given}; the backbone's map has {real}.")
    return "473 px give 60, 633 give 80, and the other sides agree, too."


@exercise
def block_parameters(function: Callable[[int, int], int]) -> str:
    """How many parameters a Mamba block of width `dim` with `state` entries has."""
    for dim, state in ((256, 16), (64, 8), (32, 4)):
        with torch.device("meta"):
            block = SelfMambaBlock(dim, state=state)
        given = int(call(function, dim, state))
        counts = {name: p.numel() for name, p in block.named_parameters()}
        whole = sum(counts.values())
        if given == whole:
            continue
        raw = sum(n for name, n in counts.items() if name.startswith("ssm."))
        shared = [n for name, n in counts.items() if "_support" in name]
        forgotten = {
            whole - raw: "the SSM (select, Δ's weight and bias, A_log, D) is missing, as in the "
            "paper's count",
            whole - sum(shared): "projections, convolutions and MLPs come twice: once for the "
            "query, once for the support",
            whole - raw + raw // 4: "the SSM has its own numbers for each of the 4 directions",
        }
        why = forgotten.get(given, f"expected {whole:,}: go through the list, term by term")
        raise AssertionError(f"For dim {dim} and {state} entries it gives {given:,}; {why}.")
    return "1,229,824 for HMNet's blocks, and right for two other sizes."


@exercise
def in_shot_order(function: Callable) -> str:
    """Weights made for sorted distances, put back: (weights, ψ), (K,) each, to (K,) weights."""
    weights = torch.tensor([0.5, 0.3, 0.15, 0.05])
    for style in ([3.0, 1.0, 4.0, 2.0], [0.2, 0.9, 0.4, 0.6], [4.0, 3.0, 1.0, 2.0]):
        style = torch.tensor(style)
        given = torch.as_tensor(call(function, weights, style))
        expected = torch.empty(4)
        expected[style.argsort()] = weights
        if given.shape != (4,):
            raise AssertionError(f"It gives shape {tuple(given.shape)}; expected (4,): a weight "
                                 "for each shot.")  # fmt: skip
        if torch.equal(given, expected):
            continue
        if torch.equal(given, weights):
            raise AssertionError("That is the released code's slip: the weights as they came.")
        if torch.equal(given, weights[style.argsort()]):
            raise AssertionError(
                "The inverse of what is wanted: style.argsort() says which shot stands at each "
                "place of the sorted line; you need each shot's place."
            )
        raise AssertionError(
            f"For ψ = {style.tolist()} it gives {given.tolist()}; the smallest ψ gets "
            f"{weights[0]:.2f}, the next {weights[1]:.2f}, and so on: {expected.tolist()}."
        )
    return "Each shot has the weight that was made for its distance."


@exercise
def threshold(function: Callable) -> str:
    """Above which foreground probability a pixel is foreground: (v, w, ψ̄, base) to a number."""
    generator = torch.Generator().manual_seed(0)
    ensemble = Ensemble()
    for _ in range(20):
        v, w, style, base = (torch.rand(n, generator=generator) for n in (2, 2, 1, 1))
        v, w = v + 0.1, w + 0.1
        style = 3 * style
        given = float(call(function, v.tolist(), w.tolist(), style.item(), base.item()))
        with torch.no_grad():
            ensemble.style_merge.weight.copy_(v.view(1, 2, 1, 1))
            ensemble.base_merge.weight.copy_(w.view(1, 2, 1, 1))
            p = torch.linspace(-8, 8, 64001, dtype=torch.float64)
            a, b = (x.item() for x in v)
            background = w[0].item() * (a * (1 - p) + b * style.item()) + (w[1] * base).item()
            foreground = a * p + b * style.item()
        real = p[(foreground > background).double().argmax()].item()
        if abs(given - real) < 1e-3:
            continue
        plain = (1 + w[1].item() * base.item()) / 2
        if abs(given - plain) < 1e-3:
            raise AssertionError("Right for v = (1, 0) and w₀ = 1 only; keep all four weights.")
        raise AssertionError(
            f"For v = {v.tolist()}, w = {w.tolist()}, ψ̄ = {style.item():.2f} and base = "
            f"{base.item():.2f} it gives {given:.3f}; the scores cross at {real:.3f}. Write both "
            "scores with P for the foreground and 1 − P for the background, set them equal, solve."
        )
    return "It is where the two scores cross, for 20 random ensembles."
