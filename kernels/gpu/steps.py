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

# Sizes, which change from call to call, are not to be compiled in. `one` is 1, which the compiler
# is not to know: it would see that channels (or steps) are neighbours in memory, give a thread
# several of them, and spread a channel's states over threads.
SIZES = ("chunks", "per_span", "spans", "blocks", "groups", "first", "width", "states", "length")
kernel = triton.jit(do_not_specialize=[*SIZES, "rank", "lines", "part", "one"])


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
def moments(order, g, step, inside, length):
    """Where in a map each step reads; a sequence is read as it comes."""
    at = step
    if order is not None:
        at = tl.load(order + tl.cast(g, tl.int64) * length + step, inside, 0)
    return tl.cast(at, tl.int64)


@triton.jit
def read(x, start, at, c, mask):
    """A tile (time, channel) as float32, 0 where masked."""
    return tl.load(start + at[:, None] * x.time + c[None, :] * x.line, mask, 0.0).to(tl.float32)


@triton.jit
def row(x, start, at, n, mask):
    """B or C of one step as (state, 1)."""
    return tl.load(start + at * x.time + n.to(tl.int64) * x.line, mask, 0.0).to(tl.float32)[:, None]


@triton.jit
def raw_steps(x, start, at, c, inside, mask, weight, line, real, bias, rank):
    """Δ before the softplus, (time, channel): read, or the product of its low-rank factors."""
    if weight is None:
        raw = read(x, start, at, c, mask)
    else:
        raw = tl.zeros(mask.shape, tl.float32)
        for r in range(rank):
            low = tl.load(start + at * x.time + r * x.line, inside, 0.0).to(tl.float32)
            factor = tl.load(weight + line * rank + r, real, 0.0).to(tl.float32)
            raw += low[:, None] * factor[None, :]
    if bias is not None:
        raw += tl.load(bias + line, real, 0.0).to(tl.float32)[None, :]
    return raw


@triton.jit
def positive(raw, mask, SOFTPLUS: tl.constexpr):
    """Δ where mask, else 0: the step that changes nothing."""
    return tl.where(mask, softplus(raw) if SOFTPLUS else raw, 0.0)


@triton.jit
def exponents(A, line, n, known, states):
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
