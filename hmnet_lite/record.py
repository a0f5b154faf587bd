"""Look inside a network while it runs: what it computes is handed to whoever listens.

    with Recorder() as seen:
        logits = model(query, supports, masks)
    seen.network["prior"]                    # of the network: prior, prototype, query_in, …
    seen.blocks[1]["support_state"]          # of each mixer block, in order: states, readings, maps

The tensors are those that the result was computed from, not copies and not a second computation;
listening changes no result. Nobody listening costs nothing. Recorders nest: the innermost listens.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

import torch

_listening: ContextVar[Recorder | None] = ContextVar("hmnet_lite_recorder", default=None)


class Recorder:
    """A context manager that receives what networks compute inside it, in this thread.

    Attributes:
        network: name → tensor, of the network around the blocks; a later forward pass overwrites.
        blocks: one dict a block, in the order they ran; a later forward pass appends.
    """

    def __init__(self) -> None:
        self.network: dict[str, Any] = {}
        self.blocks: list[dict[str, Any]] = []
        self._token: Token[Recorder | None]

    def __enter__(self) -> Recorder:
        self._token = _listening.set(self)
        return self

    def __exit__(self, *exception) -> None:
        _listening.reset(self._token)


def record(**values: object) -> None:
    """Hand over values of the network."""
    if (recorder := _recorder()) is not None:
        recorder.network.update(values)


def begin_block() -> None:
    """A block begins: what `record_block` hands over from here on is its."""
    if (recorder := _recorder()) is not None:
        recorder.blocks.append({})


def record_block(**values: object) -> None:
    """Hand over values of the block that runs."""
    if (recorder := _recorder()) is not None and recorder.blocks:
        recorder.blocks[-1].update(values)


def _recorder() -> Recorder | None:
    # a compiled network has nothing to hand over: its intermediate values may never exist
    return None if torch.compiler.is_compiling() else _listening.get()
