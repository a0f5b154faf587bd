"""Hand a recap, or QIM, another support state than its own, and leave all else as it is.

    wrong = support_states(lambda: misled(episode))     # H_S of a support of another class
    with handed(network, recap=wrong):
        logits = network.segment(...)                   # P, QIM and the query are the episode's own

Showing the mixer a wrong support changes all of it at once: what a recap keeps (P), the H_S that it
adds, the H_S that QIM meets. Here one is changed and the others stay right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

from hmnet_lite.mamba.blocks import HybridMambaBlock
from hmnet_lite.mamba.ssm import MapReading
from hmnet_lite.record import Recorder

States = Sequence[Tensor]  # one a hybrid block, (batch, directions·2·dim, state)


def support_states(run: Callable[[], object]) -> list[Tensor]:
    """H_S of every hybrid block, in order, while a network segments.

    Args:
        run: lets the network segment once.

    Returns:
        (batch, directions·2·dim, state) of each. The support reads only itself, so they do not
        depend on the query.
    """
    with Recorder() as seen:
        run()
    return [block["support_state"] for block in seen.blocks if "support_state" in block]


@contextmanager
def handed(
    network: nn.Module, *, recap: States | None = None, qim: States | None = None
) -> Iterator[None]:
    """For a while, the network's hybrid blocks are handed these states.

    What a `Recorder` hears as `support_state` is still the support's own.

    Args:
        network: any module with `HybridMambaBlock`s.
        recap: what a recap adds in place of H_S; None: H_S.
        qim: what QIM meets in place of H_S, one state of every direction; None: H_S.

    Raises:
        ValueError: not one state a hybrid block, a block without SRM or QIM to be handed it, or,
            once the network runs, a state of another shape than H_S.
    """
    blocks = [x for x in network.modules() if isinstance(x, HybridMambaBlock)]
    for name, states, switch in (("recap", recap, "srm"), ("qim", qim, "qim")):
        if states is None:
            continue
        if len(states) != len(blocks) or not blocks:
            raise ValueError(
                f"{name} has {len(states)} states for {len(blocks)} hybrid blocks; expected one "
                "each, as `support_states` of the same network gives them"
            )
        if any(getattr(block.config, switch) == "off" for block in blocks):
            raise ValueError(f'{name} was given states, but the network has {switch}="off"')
    try:  # an attribute of the instance hides the class's method until it is deleted
        for name, states, instead in (("scan", recap, _scan), ("intercept", qim, _intercept)):
            for block, state in zip(blocks, states or (), strict=False):
                setattr(block, name, partial(instead, block, state))
        yield
    finally:
        for block in blocks:
            for name in ("scan", "intercept"):
                block.__dict__.pop(name, None)


def _scan(block: HybridMambaBlock, state: Tensor, reading: MapReading, ratio: int = 1,
          *, recap: tuple[Tensor, Tensor] | None = None, **options):  # fmt: skip
    """`MambaBlock.scan`, a recap adding the given state; the support's own scan has no recap."""
    if recap is not None:
        recap = recap[0], _like(state, recap[1])
    return HybridMambaBlock.scan(block, reading, ratio, recap=recap, **options)


def _intercept(block: HybridMambaBlock, state: Tensor, query: Tensor, own: Tensor) -> Tensor:
    return HybridMambaBlock.intercept(block, query, _like(state, own))


def _like(state: Tensor, own: Tensor) -> Tensor:
    if state.shape != own.shape:
        raise ValueError(
            f"a state of shape {tuple(state.shape)} was handed over; expected that of the "
            f"support's own, {tuple(own.shape)}"
        )
    return state
