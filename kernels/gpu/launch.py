"""Scans on a GPU as a host sees them: how work is cut, what room it takes, what is launched.

`Scan` holds one problem, plain or of a map, as views. A plain scan has its groups (of channels that
share B and C) side by side and writes each line of y once. A map has one group for each direction,
all of which read the same channels of the same pixels and add to the same outputs: they are
launched one after the other, so that nothing is added by atomics and nothing is laid out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import triton
from torch import Tensor

from hmnet_kernels.gpu import backward as back
from hmnet_kernels.gpu import forward as forth
from hmnet_kernels.gpu.steps import INTERPRETED, View

# Steps of a chunk (a state is saved for each), and of each pass: steps of a tile, elements of a
# state tile. A program is one warp: 512 elements are 16 states of 32 channels, all states of a
# channel in one thread; with 128, four threads share a channel, which leaves registers for the
# way back.
CHUNK = 64
FORWARD, BACKWARD = (4, 512), (4, 128)
RANKS = 16  # of the low-rank Δ's weight, at most, that a channel keeps in registers
WARPS = 8  # a multiprocessor, in so many spans as time is cut
ALONE = 3  # programs a multiprocessor, with which it is not cut


@dataclass(frozen=True)
class Scan:
    """One scan: views of what belongs to steps, tensors of what belongs to channels.

    u, x, B, C, z: views; x is Δ before bias and softplus, or its low-rank factor where a weight
        (lines, rank) is given; z, the gate, may be None.
    A (lines, states), D, bias (lines,): contiguous. P, S: the recap, (batch, lines, states).
    order: the pixel that each step of each group reads, (groups, length), or None.
    starts: for each group, or once for all, where its segments begin, and the end.
    together: whether the groups may run at the same time.
    fresh: every step starts from S, nothing is carried (QIM).
    """

    u: View
    x: View
    B: View
    C: View
    z: View | None
    A: Tensor
    weight: Tensor | None
    D: Tensor | None
    bias: Tensor | None
    P: Tensor | None
    S: Tensor | None
    order: Tensor | None
    starts: tuple[tuple[int, ...], ...]
    softplus: bool
    batch: int
    groups: int
    width: int
    length: int
    together: bool
    fresh: bool = False

    @property
    def lines(self) -> int:
        return self.groups * self.width

    @property
    def states(self) -> int:
        return self.A.shape[1]

    @property
    def chunks(self) -> int:
        return count_chunks(self.length, len(self.starts[0]) - 1)

    def cut(self, time: int, elements: int) -> dict:
        """Arguments of a pass: how the work is cut, and sizes."""
        block = max(elements // triton.next_power_of_2(self.states), 1)
        block = min(block, triton.next_power_of_2(self.width))
        blocks = -(-self.width // block)
        groups = self.groups if self.together else 1
        spans = spans_for(self.batch * groups * blocks, self.chunks, self.A.device)
        per_span = max(-(-self.chunks // spans), 1)  # a line may have no step
        rank = 0 if self.weight is None else self.weight.shape[1]
        return dict(
            order=self.order, table=chunk_table(self.starts, self.chunks, CHUNK, self.A.device),
            chunks=self.chunks, per_span=per_span, spans=max(-(-self.chunks // per_span), 1),
            blocks=blocks, groups=groups, width=self.width, states=self.states,
            length=self.length, rank=rank, RANK=min(triton.next_power_of_2(rank), RANKS), one=1,
            SOFTPLUS=self.softplus, SHARED=len(self.starts) == 1,
            TIME=time, STATES=triton.next_power_of_2(self.states), BLOCK=block, num_warps=1,
        )  # fmt: skip


def count_chunks(length: int, segments: int) -> int:
    """Chunks of a line, at most: each segment may end with one that is not whole. A line without a
    step has none, for a chunk reads at least where its last step is."""
    return length // CHUNK + segments if length else 0


@cache  # for good: a captured graph goes on reading it where it lies
@torch.inference_mode(False)
def chunk_table(starts: tuple[tuple[int, ...], ...], chunks: int, size: int, device) -> Tensor:
    """(groups, chunks, 3): each chunk's first step, its end, and whether a segment begins there.
    A group that has fewer ends with empty ones."""
    found = torch.zeros(len(starts), chunks, 3, dtype=torch.int32, device="cpu")
    for row, line in zip(found, torch.tensor(starts, device="cpu"), strict=True):
        begin, steps = line[:-1], line.diff()
        count = (steps + size - 1).div(size, rounding_mode="floor")
        segment = torch.arange(len(steps), device="cpu").repeat_interleave(count)
        nth = torch.arange(len(segment), device="cpu") - (count.cumsum(0) - count)[segment]
        first = begin[segment] + nth * size
        last = torch.minimum(first + size, line[1:][segment])
        row[: len(segment)] = torch.stack([first, last, nth == 0], dim=1)
        row[len(segment) :, :2] = line[-1]
    return found.to(device)


def spans_for(programs: int, chunks: int, device) -> int:
    """In how many spans time is cut.

    Spans repeat the walk over the states: by instructions 1.8 times the work (kernels/README.md).
    From a program for most schedulers on, of which a multiprocessor has four, one span is taken to
    be better; below, as many as give every multiprocessor `WARPS`. Counted, not measured.
    """
    if INTERPRETED or programs == 0:
        return 1
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    most = min(chunks, WARPS * processors // programs)
    return 1 if programs >= ALONE * processors else max(most, 1)


def state_view(x: Tensor | None) -> View | None:
    """Of (batch, lines, states)."""
    return x if x is None else View(x, x.stride(0), 0, x.stride(2), x.stride(1))


def spans_view(x: Tensor | None) -> View | None:
    """Of (batch, spans or chunks, states, lines): what each writes, one line beside the other."""
    return x if x is None else View(x, *x.stride())


def run(kernel, programs: int, **arguments) -> None:
    if programs:
        kernel[(programs,)](**arguments)


def room(scan: Scan, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=scan.A.device)


def scan_forward(scan: Scan, y: View, initial: Tensor | None, last, saved) -> None:
    """Fill y, last (batch, lines, states) and saved (batch, chunks, states, lines), unless None."""
    cut = scan.cut(*FORWARD)
    spans, states, lines = cut["spans"], scan.states, scan.lines
    programs = scan.batch * spans * cut["groups"] * cut["blocks"]
    begin, added, kept = state_view(initial), None, None
    if spans > 1 and not scan.fresh:
        added, kept, passed = (
            spans_view(room(scan, scan.batch, spans, states, lines)) for _ in range(3)
        )
    for first in range(0, scan.groups, cut["groups"]):
        now = dict(
            u=scan.u, x=scan.x, B=scan.B, C=scan.C, z=scan.z, y=y, A=scan.A, weight=scan.weight,
            D=scan.D, bias=scan.bias, P=state_view(scan.P), S=state_view(scan.S),
            last=state_view(last), saved=spans_view(saved), added=added, kept=kept, first=first,
            ADD=first > 0, FRESH=scan.fresh, **cut,
        )  # fmt: skip
        if added is not None:
            alone = now | dict(begin=None, ADD=False)  # one kernel, whichever group it is
            run(forth.forward, programs, **alone, OUTPUTS=False)
            carried(scan, cut, first, state_view(initial), added, kept, passed, backward=False)
            begin = passed
        run(forth.forward, programs, **now | dict(begin=begin), OUTPUTS=True)


def carried(scan, cut, first, begin, added, kept, passed, *, backward: bool) -> None:
    """Hand the state from span to span (backward: its gradient)."""
    lines = cut["groups"] * scan.width
    blocks = -(-lines // cut["BLOCK"])
    run(
        forth.carry, scan.batch * blocks, begin=begin, added=added, kept=kept, passed=passed,
        lines=lines, first=first, width=scan.width, blocks=blocks, spans=cut["spans"],
        states=scan.states, one=1, BACK=backward, STATES=cut["STATES"], BLOCK=cut["BLOCK"],
        num_warps=1,
    )  # fmt: skip


def scan_backward(
    scan: Scan, dy: View, dlast: Tensor | None, saved: Tensor | None, du: View, dx: View,
    dz: View | None, after: Callable[[int], None] = lambda first: None,
) -> dict[str, Tensor | None]:  # fmt: skip
    """Fill du, dx and dz, and return the gradients of B and C, (batch, groups, length, states), of
    A, D and bias, and of the initial state, P and S, (batch, lines, states); all float32.

    `after` is called with the first group of each launch: where directions share one dx, it takes
    it before the next writes there.
    """
    cut = scan.cut(*BACKWARD)
    spans, groups, lines, states = cut["spans"], cut["groups"], scan.lines, scan.states
    programs = scan.batch * spans * groups * cut["blocks"]

    def by_span(wanted: bool = True) -> Tensor | None:
        return room(scan, scan.batch, spans, states, lines) if wanted else None

    parts = [room(scan, cut["blocks"], scan.batch, groups, scan.length, states) for _ in "BC"]
    dB, dC = (room(scan, scan.batch, scan.groups, scan.length, states) for _ in "BC")
    dA, dP, dS = by_span(), by_span(scan.P is not None), by_span(scan.S is not None)
    dD, dbias = (room(scan, scan.batch, spans, lines) for _ in range(2))
    dinitial = None if scan.fresh else room(scan, scan.batch, lines, states)
    added, kept, passed = (by_span(spans > 1 and not scan.fresh) for _ in range(3))
    ways = [spans_view(x) for x in (added, kept, passed)]
    for first in range(0, scan.groups, groups):
        now = dict(
            x=scan.x, C=scan.C, z=scan.z, dy=dy, A=scan.A, weight=scan.weight, bias=scan.bias,
            P=state_view(scan.P), first=first, **cut,
        )  # fmt: skip
        end = state_view(dlast)
        if added is not None:
            run(back.adjoint, programs, **now, added=ways[0], kept=ways[1])
            carried(scan, cut, first, end, *ways, backward=True)
            end = ways[2]
        run(
            back.backward, programs, **now, u=scan.u, B=scan.B, D=scan.D, end=end,
            S=state_view(scan.S), saved=spans_view(saved), du=du, dx=dx, dz=dz,
            dB=steps_view(parts[0][0]), dC=steps_view(parts[1][0]), part=parts[0].stride(0),
            dA=spans_view(dA), dD=dD, dbias=dbias, dinitial=state_view(dinitial),
            dP=spans_view(dP), dS=spans_view(dS), lines=lines, FRESH=scan.fresh, ADD=first > 0,
            TILES=CHUNK // cut["TIME"],
        )  # fmt: skip
        for total, part in zip((dB, dC), parts, strict=True):
            torch.sum(part, 0, out=total[:, first : first + groups])
        after(first)
    states_of = (dP, dS)
    dP, dS = (x if x is None else x.sum(1).mT.contiguous() for x in states_of)
    return dict(
        B=dB, C=dC, A=dA.sum((0, 1)).mT.contiguous(), D=dD.sum((0, 1)), bias=dbias.sum((0, 1)),
        initial_state=dinitial, P=dP, S=dS,
    )  # fmt: skip


def steps_view(x: Tensor) -> View:
    """Of (batch, groups, length, any)."""
    return View(x, *x.stride())
