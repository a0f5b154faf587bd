"""A state that is handed over is the one that is used, by whom it is handed to and nobody else."""

import pytest
import torch

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.analysis.handed import handed, support_states
from hmnet_lite.mamba.hybrid import intercept
from hmnet_lite.record import Recorder

KINDS = {
    "four blocks": {"depth": 4, "recap_ratio": 2},
    "each direction": {"qim": "each", "recap_ratio": 2},
    "read once": {"srm": "basic", "qim": "own"},
}


def network(**switches):
    torch.manual_seed(0)
    config = HMNetConfig(dim=16, state=4, start="matching", prototype=False, prior="none",
                         **switches)  # fmt: skip
    model = HMNet(config).eval()
    model.mixer.start_matching()
    return model


@pytest.fixture
def ask(batch):
    """Logits of a network, its mixer shown the episodes' supports in another order."""

    def answer(model, order=(0, 1, 2, 3)):
        shown = batch.support[list(order)], batch.support_masks[list(order)]
        given = batch.query, batch.support, batch.support_masks
        with torch.no_grad():
            return model.segment(*given, mixer_support=shown)

    return answer


OTHER = (1, 2, 3, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_state_changes_no_bit_and_another_one_does(ask, kind):
    model = network(**KINDS[kind])
    before = ask(model)
    own = support_states(lambda: ask(model))
    other = support_states(lambda: ask(model, OTHER))
    assert len(own) == model.config.depth // 2
    for part in ("recap", "qim"):
        with handed(model, **{part: own}):
            assert torch.equal(ask(model), before)
        with handed(model, **{part: other}):
            assert not torch.equal(ask(model), before), part
    assert torch.equal(ask(model), before), "afterwards the network is as it was"


def test_the_state_is_of_the_support_alone_whatever_the_query(batch, ask):
    model = network()
    (state,) = support_states(lambda: ask(model, OTHER))
    with torch.no_grad():
        given = batch.query, batch.support[list(OTHER)], batch.support_masks[list(OTHER)]
        (plainly,) = support_states(lambda: model.segment(*given))
    assert torch.equal(state, plainly)


def test_both_states_of_another_support_are_that_support_where_a_recap_forgets_alike(ask):
    """With recap="reset" P is 0 for every support, so its two states are all there is of it."""
    model = network(recap="reset")
    other = support_states(lambda: ask(model, OTHER))
    with handed(model, recap=other, qim=other):
        assert torch.equal(ask(model), ask(network(recap="reset"), OTHER))
    kept = network()
    other = support_states(lambda: ask(kept, OTHER))
    with handed(kept, recap=other, qim=other):
        assert not torch.equal(ask(kept), ask(network(), OTHER)), "here P is its own"


def test_a_recap_s_state_is_not_qim_s(ask):
    model = network()
    other = support_states(lambda: ask(model, OTHER))

    def heard(**given):
        with Recorder() as seen, handed(model, **given):
            ask(model)
        return next(x for x in seen.blocks if "support_state" in x)

    own, recap, qim = heard(), heard(recap=other), heard(qim=other)
    assert torch.equal(recap["met_state"], own["met_state"])
    assert not torch.equal(recap["srm_query"], own["srm_query"])
    assert torch.equal(qim["srm_query"], own["srm_query"])
    assert not torch.equal(qim["met_state"], own["met_state"])
    assert torch.equal(qim["support_state"], own["support_state"]), "what was scanned"


def test_qim_without_a_state_is_the_pixel_itself(ask):
    """Eq. 9-10 with H_S = 0: y = (C · B) Δ u + D u."""
    model = network(srm="off")
    nothing = [torch.zeros_like(x) for x in support_states(lambda: ask(model))]
    with Recorder() as seen, handed(model, qim=nothing):
        ask(model)
    block = seen.blocks[1]
    ssm, small = model.mixer.blocks[1].ssm, block["scan_in_query_small"]
    with torch.no_grad():
        u, delta, A, B, C, _ = ssm(small.flatten(2)[:, None])
        own = (B * C).sum(2) * delta * u + ssm.D[0][:, None] * u
        met = intercept(
            u, delta, A, B[:, 0], C[:, 0], ssm.D[0], block["support_state"][:, : len(A)]
        )
    torch.testing.assert_close(block["qim_query"], own, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(met, own, atol=1e-4), "a state would have been seen"


def test_a_network_that_broke_off_is_as_it_was(ask):
    model = network()
    before = ask(model)
    with pytest.raises(ZeroDivisionError), handed(model, qim=support_states(lambda: ask(model))):
        raise ZeroDivisionError
    assert torch.equal(ask(model), before)


def test_what_cannot_be_handed_over_is_told(ask):
    model = network()
    own = support_states(lambda: ask(model))
    with pytest.raises(ValueError, match=r"recap has 2 states for 1 hybrid blocks; expected one"):
        handed(model, recap=2 * own).__enter__()
    with pytest.raises(ValueError, match=r'qim was given states, but the network has qim="off"'):
        handed(network(qim="off"), qim=own).__enter__()
    with pytest.raises(ValueError, match=r'recap was .* the network has srm="off"'):
        handed(network(srm="off"), recap=own).__enter__()
    for part in ("recap", "qim"):
        with (
            handed(model, **{part: [own[0][:1]]}),
            pytest.raises(ValueError, match=r"shape \(1, 128, 4\) was handed over; expected"),
        ):
            ask(model)
