"""What every pass of a scan on a GPU is made of: exponentials, steps, tiles of memory.

A program is one warp and owns a block of channels of one group. Its states are one tile (state,
channel) in registers: the states of a channel lie in one thread or in a few, so that a sum over
states hardly leaves it, and B and C are read once for the whole block. Steps come in tiles (time,
channel) of TIME steps, whose memory is asked for at once; `pick` takes one step out of a tile. The
loop over a tile's steps is unrolled, so that most of `pick` folds away.
"""

import os
from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # read once, as Triton does
LOG2E, LN2 = tl.constexpr(1.4426950408889634), tl.constexpr(0.6931471805599453)

# Sizes, which change from call to call, are not to be compiled in; but for states and the rank, a
# network's own: where they are powers of two, rows of B, C and Δ's factor need no mask and are read
# 16 bytes at a time. `one` is 1, which the compiler is not to know: it would see that channels (or
# steps) are neighbours in memory, give a thread several of them, and spread a channel's states over
# threads.
SIZES = ("chunks", "per_span", "spans", "blocks", "groups", "first", "width", "length")
kernel = triton.jit(do_not_specialize=[*SIZES, "lines", "part", "one"])


class View(NamedTuple):
    """A tensor by what its strides mean: element (b, g, t, i) lies at b·batch + g·group + t·time +
    i·line. Any layout is read and written where it lies: channels first, channels last, a slice."""

    at: Tensor
    batch: int
    group: int
    time: int
    line: int


@triton.jit
def exp2(x):
    """2^x. The processor's own is a little small on average near 1, where thousands of tiny steps
    drift with it; there 1 + x·q(x), q the minimax polynomial: x·q is right to 9e-8 of itself."""
    q = 0.00962174 * x + 0.05552495
    q = q * x + 0.24022649
    q = q * x + 0.69314712
    return tl.where(tl.abs(x) < 0.125, q * x + 1.0, tl.exp2(x))


@triton.jit
def softplus(x):
    """log(1 + e^x) without overflow, accurate in its tails."""
    size = tl.minimum(tl.abs(x), 87.0)
    high = size * -LOG2E
    low = tl.fma(size, -LOG2E, -high)  # what rounding took from the exponent
    w = tl.exp2(high) * (1.0 + low * LN2)
    v = 1.0 + w  # log(1 + w), exact to the last bits also for tiny w (Kahan)
    log = tl.where(v == 1.0, w, tl.log(v) * (w / tl.where(v == 1.0, 1.0, v - 1.0)))
    return tl.where(x > 0.0, x, tl.where(x <= 0.0, 0.0, x)) + log  # NaN stays


@triton.jit
def pick(tile, rows, i):
    """Row i of a tile (time, channel). As integers: adding zeros to those folds away."""
    bits = tile.to(tl.int32, bitcast=True)
    return tl.sum(tl.where(rows == i, bits, 0), 0).to(tl.float32, bitcast=True)


@triton.jit
def place(blocks, groups, first, spans):
    """Batch row, span of time, group and block of channels of this program. Blocks go fastest:
    those that run at the same time read the same B and C. Everything is in the grid's first axis,
    which alone may pass 65,535."""
    i = tl.program_id(0)
    block, i = i % blocks, i // blocks
    g, i = first + i % groups, i // groups
    return (i // spans).to(tl.int64), i % spans, g, block


@triton.jit
def origin(x, b, g):
    """Where a batch row and group of a view begins. b is an int64, and so are all offsets."""
    return x.at + b * x.batch + tl.cast(g, tl.int64) * x.group


@triton.jit
def moments(order, g, step, stop, length):
    """Where in a map each step reads; a sequence is read as it comes. A step behind the last reads
    where that does, so that nothing that it reads needs a mask: with Δ = 0 it changes nothing."""
    at = tl.minimum(step, stop - 1)
    if order is not None:
        at = tl.load(order + tl.cast(g, tl.int64) * length + at)
    return at


@triton.jit
def moment(order, at, nth, t, k, stop):
    """The k-th of a tile's moments, whose first step is t."""
    step = tl.minimum(t + k, stop - 1)
    if order is not None:
        step = tl.sum(tl.where(nth == k, at, 0), 0)
    return step


@triton.jit
def shown(n, states: tl.constexpr, there):
    """Mask of a row of states of one step."""
    return tl.broadcast_to(there, n.shape) if n.shape[0] == states else (n < states) & there


@triton.jit
def known_states(n, states: tl.constexpr, real):
    """Mask of a tile (state, channel)."""
    if n.shape[0] == states:
        mask = tl.broadcast_to(real[None, :], [n.shape[0], real.shape[0]])
    else:
        mask = (n[:, None] < states) & real[None, :]
    return mask


@triton.jit
def spot(x, start, at, c):
    """Where a tile (time, channel) lies."""
    return start + at.to(tl.int64)[:, None] * x.time + c[None, :] * x.line


@triton.jit
def read(x, start, at, c, mask):
    """A tile (time, channel) as float32, 0 where masked."""
    return tl.load(spot(x, start, at, c), mask, 0.0).to(tl.float32)


@triton.jit
def row(x, start, at, n, states: tl.constexpr):
    """B or C of one step as (state, 1), 0 for a state that there is not."""
    at = start + tl.cast(at, tl.int64) * x.time + n.to(tl.int64) * x.line
    found = tl.load(at) if n.shape[0] == states else tl.load(at, n < states, 0.0)
    return found.to(tl.float32)[:, None]


@triton.jit
def factors(weight, line, real, one, rank: tl.constexpr, RANK: tl.constexpr):
    """What Δ's low-rank factor is multiplied with, (rank, channel): the same for all of time."""
    r = tl.arange(0, RANK)
    at = weight + line[None, :] * rank + r[:, None] * one
    return tl.load(at, known_states(r, rank, real), 0.0).to(tl.float32)


@triton.jit
def product(x, start, at, factor, weight, line, real, rank):
    """One step's Δ before bias and softplus, (channel,), of its low-rank factor; what `factor`
    does not hold of a high rank is read again for each step."""
    r = tl.arange(0, factor.shape[0])
    raw = tl.sum(row(x, start, at, r, rank) * factor, 0)
    if rank > factor.shape[0]:
        for first in range(factor.shape[0], rank, factor.shape[0]):
            low = row(x, start, at, r + first, rank)
            more = weight + line[None, :] * rank + r[:, None] + first
            exist = (r[:, None] + first < rank) & real[None, :]
            raw += tl.sum(low * tl.load(more, exist, 0.0).to(tl.float32), 0)
    return raw


@triton.jit
def raw_steps(x, start, at, c, mask, order, nth, t, stop, factor, weight, line, real, rank):
    """A tile's Δ before bias and softplus, (time, channel): read, or multiplied out."""
    if weight is None:
        raw = read(x, start, at, c, mask)
    else:
        raw = tl.zeros(mask.shape, tl.float32)
        for k in tl.static_range(mask.shape[0]):
            step = moment(order, at, nth, t, k, stop)
            one = product(x, start, step, factor, weight, line, real, rank)
            raw = tl.where(nth[:, None] == k, one[None, :], raw)
    return raw


@triton.jit
def positive(raw, mask, SOFTPLUS: tl.constexpr):
    """Δ where mask, else 0: the step that changes nothing."""
    return tl.where(mask, softplus(raw) if SOFTPLUS else raw, 0.0)


@triton.jit
def exponents(A, line, n, known, states: tl.constexpr):
    """A·log2(e) as (state, channel)."""
    a = tl.load(A + line[None, :] * states + n[:, None], known, 0.0)
    return a.to(tl.float32) * LOG2E


@triton.jit
def read_state(x, b, span, line, n, known):
    """A state (state, channel); x is a view whose time is n and whose group is a span of time."""
    at = x.at + b * x.batch + tl.cast(span, tl.int64) * x.group + n[:, None] * x.time
    return tl.load(at + line[None, :] * x.line, known, 0.0).to(tl.float32)


@triton.jit
def write_state(x, b, span, line, n, known, value):
    """The reverse of `read_state`."""
    at = x.at + b * x.batch + tl.cast(span, tl.int64) * x.group + n[:, None] * x.time
    tl.store(at + line[None, :] * x.line, value, known)


@triton.jit
def chunk(table, g, chunks, shared, i):
    """First step, end and whether a recap comes first, of chunk i of a group."""
    at = table + (tl.where(shared, 0, g) * chunks + i) * 3
    return tl.load(at), tl.load(at + 1), tl.load(at + 2) != 0
