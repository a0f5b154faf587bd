"""Parity of the mixer with the published one, on numbers: values and gradients."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hmnet_lite.maps import from_sequences
from hmnet_lite.models.hmnet.weights import mixer_from_state_dict
from hmnet_lite.record import Recorder
from hmnet_lite.scan.selective import selective_scan
from tests.golden.synth import synth_input, synth_state_dict

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = {"mixer_d2_c16": ("mixer_d2_c16_8x8", 8, 1), "mixer_d4_c16": ("mixer_d4_c16_16x16", 16, 2)}
BACKENDS = ["reference", "chunked", "cpu"]


def load(case):
    arrays, side, seed = CASES[case]
    weights = synth_state_dict(GOLDEN / f"{case}.names.json", seed)
    mixer = mixer_from_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    query, support = (
        torch.from_numpy(synth_input(tag, (2, 16, side, side), seed)).requires_grad_()
        for tag in ("query", "support")
    )
    return mixer, query, support, np.load(GOLDEN / f"{arrays}.npz")


def close(ours, golden, rtol=1e-4):
    """Relative to the tensor's own scale: float32 sums in another order cannot do better."""
    golden = torch.from_numpy(golden)
    assert ours.shape == golden.shape
    error = (ours - golden).abs().max() / golden.abs().max()
    assert error < rtol, f"relative error {error:.2e}"


def set_backend(mixer, backend):
    for block in mixer.blocks:
        block.config = replace(block.config, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "case", ["mixer_d2_c16", pytest.param("mixer_d4_c16", marks=pytest.mark.slow)]
)
def test_values_and_gradients_match(case, backend):
    mixer, query, support, golden = load(case)
    set_backend(mixer, backend)
    with Recorder() as seen:
        out = mixer(query, support)
    close(out, golden["output"])
    for i, record in enumerate(seen.blocks):
        close(record["query"], golden[f"block{i}_query"])
        if record is not seen.blocks[-1]:  # whose support nobody reads
            close(record["support"], golden[f"block{i}_support"])
    if "block1_srm_query" in golden:
        check_hybrid_inside(seen.blocks[1], golden)
    # the golden gradients are of Σ output · cotangent
    cotangent = torch.from_numpy(synth_input("cotangent", tuple(out.shape), CASES[case][2]))
    (out * cotangent).sum().backward()
    close(query.grad, golden["grad_query"])
    close(support.grad, golden["grad_support"])
    ours = dict(mixer.named_parameters())
    checked = [k for k in golden if k.startswith("grad:")]
    assert len(checked) == 4 * len(mixer.blocks)
    for name in checked:
        *_, i, _, leaf = name.split(".")
        leaf = {"x_proj_weight": "select", "dt_projs_bias": "delta_bias", "A_logs": "A_log",
                "Ds": "D"}[leaf]  # fmt: skip
        grad = ours[f"blocks.{i}.ssm.{leaf}"].grad
        close(grad.reshape(golden[name].shape), golden[name])


def check_hybrid_inside(record, golden):
    """The intermediate tensors of the first hybrid block; scan outputs in pixel order."""
    close(record["met_state"], golden["block1_support_state"])
    close(record["qim_query"], golden["block1_qim_query"])
    close(record["scan_in_query"], golden["block1_scan_in_query"])
    close(record["scan_in_query_small"], golden["block1_scan_in_query_down"])
    close(record["scan_in_support_small"], golden["block1_scan_in_support_down"])
    recap = (record["support_keep"], record["support_state"], 4)
    for kind, side, ratio, read in (("query", 8, 4, recap), ("support", 2, 1, None)):
        y = selective_scan(*record[f"{kind}_scan"](), recap=read).unflatten(1, (4, -1))
        y = torch.stack(from_sequences(y, side, side, ratio), 1)
        close(y.flatten(-2), golden[f"block1_srm_{kind}"])
        if kind == "query":
            close(record["srm_query"], y.sum(1).detach().numpy())


def test_our_default_skip_differs_from_the_slip():
    mixer, query, support, golden = load("mixer_d2_c16")
    mixer.blocks[1].config = replace(mixer.config, published_skip=False)
    out = mixer(query, support)
    assert (out - torch.from_numpy(golden["output"])).abs().max() > 1e-3


def test_detach_changes_the_support_gradient_only_through_qim():
    grads = []
    for detach in (True, False):
        mixer, query, support, _ = load("mixer_d2_c16")
        mixer.blocks[1].config = replace(mixer.config, detach_support_state=detach)
        out = mixer(query, support)
        grads.append((out.detach(), *torch.autograd.grad(out.square().sum(), [query, support])))
    assert torch.equal(grads[0][0], grads[1][0])
    assert not torch.allclose(grads[0][2], grads[1][2])


def weights_of(case="mixer_d2_c16"):
    arrays = synth_state_dict(GOLDEN / f"{case}.names.json", 1)
    return {k: torch.from_numpy(v) for k, v in arrays.items()}


def test_module_prefix_and_foreign_names_are_read():
    prefixed = {f"module.{k}": v for k, v in weights_of().items()} | {"module.cls.0.bias": None}
    ours = mixer_from_state_dict(prefixed).state_dict()
    plain = mixer_from_state_dict(weights_of()).state_dict()
    assert all(torch.equal(ours[k], plain[k]) for k in plain)


def test_missing_unexpected_and_misshapen_names_are_named():
    weights = weights_of()
    gone = "mamba.layers.0.blocks.1.ln_1.bias"
    with pytest.raises(ValueError, match=rf"missing .*{gone}"):
        mixer_from_state_dict({k: v for k, v in weights.items() if k != gone})
    with pytest.raises(ValueError, match=r"unexpected .*mamba.extra"):
        mixer_from_state_dict(weights | {"mamba.extra": torch.zeros(1)})
    with pytest.raises(ValueError, match=rf"{gone} has shape"):
        mixer_from_state_dict(weights | {gone: torch.zeros(3)})
    with pytest.raises(ValueError, match=r"no published mixer"):
        mixer_from_state_dict({"layer0.0.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x * float("nan"),
        lambda x: x.int(),
        lambda x: x.to(torch.complex64),
        lambda x: x.to("meta"),
        lambda x: x.double() + 1e300,  # no float32
    ],
)
def test_weights_that_are_no_numbers_of_a_network_are_named(change):
    weights, name = weights_of(), "mamba.layers.0.blocks.1.ln_1.bias"
    with pytest.raises(ValueError, match=rf"no finite real numbers: {name}"):
        mixer_from_state_dict(weights | {name: change(weights[name])})


@pytest.mark.parametrize("block", ["999999999", "²"])
def test_a_name_cannot_ask_for_blocks_without_end(block):
    with pytest.raises(ValueError, match=r"no published mixer|unexpected"):
        mixer_from_state_dict(weights_of() | {f"mamba.layers.0.blocks.{block}.x": torch.zeros(1)})
