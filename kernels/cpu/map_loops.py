"""The compiled loops behind `map_scan`: several scans of one map, each in an order of its own.

Maps are channels-last, so the sixteen channels of an item lie side by side at every pixel, which
is how the tiles want them: a tile is filled pixel by pixel in the order of the direction, and no
permuted copy of the map is ever made. An item walks all directions, so that their outputs are
summed in place.
"""

from typing import NamedTuple

import numpy as np

from hmnet_kernels.cpu.lanes import LANES, add, load, mul, muladd, row_sums, splat, spread, store
from hmnet_kernels.cpu.steps import (
    advance,
    enter,
    finish,
    new_work,
    prepare,
    read_again,
    retreat,
    retreat_from_recap,
)
from hmnet_kernels.cpu.tiles import (
    TILE,
    ZERO,
    compiled,
    exponents,
    new_tile,
    read_channels,
    read_state,
    write_state,
)

__all__ = ["LANES", "TILE", "MapGradients", "MapProblem", "backward", "forward"]

# as in line_loops.py (CRC-32 of lanes.py, then tiles.py, then steps.py)
BUILT_FROM = 0xE7DBC55B


class MapProblem(NamedTuple):
    """Contiguous float32 arrays, shapes as in `map_scan_cpu`; empty where absent."""

    u: np.ndarray
    low_rank: np.ndarray
    delta_weight: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    delta_bias: np.ndarray
    support_keep: np.ndarray
    support_state: np.ndarray
    delta_softplus: bool
    order: np.ndarray
    starts: np.ndarray


class MapGradients(NamedTuple):
    """Outputs of `backward`: (batch, …) for each input; low_rank, B and C also have a part each for
    tasks that run side by side, first."""

    u: np.ndarray
    low_rank: np.ndarray
    delta_weight: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    delta_bias: np.ndarray
    support_keep: np.ndarray
    support_state: np.ndarray


@compiled
def place(x, item):
    """Batch row, first channel and number of channels of an item."""
    channels = x.u.shape[2]
    blocks = -(-channels // LANES)
    c = item % blocks * LANES
    return item // blocks, c, min(LANES, channels - c)


@compiled
def gather(source, offset, channels, lanes, order, at, steps, tile):
    """tile[t, lane] = source.flat[offset + order.flat[at + t]·channels + lane]."""
    pixels = order.reshape(-1)
    if lanes == LANES:
        for t in range(steps):
            store(tile, t * LANES, load(source, offset + pixels[at + t] * channels))
        return
    flat = source.reshape(-1)
    for t in range(steps):
        for lane in range(LANES):
            where = offset + pixels[at + t] * channels + lane
            tile[t * LANES + lane] = flat[where] if lane < lanes else ZERO


@compiled
def scatter(tile, target, offset, channels, lanes, order, at, steps, fresh):
    """The reverse of `gather`; adds unless the target is fresh."""
    pixels = order.reshape(-1)
    if lanes == LANES:
        for t in range(steps):
            where, value = offset + pixels[at + t] * channels, load(tile, t * LANES)
            store(target, where, value if fresh else add(load(target, where), value))
        return
    flat = target.reshape(-1)
    for t in range(steps):
        for lane in range(lanes):
            where = offset + pixels[at + t] * channels + lane
            flat[where] = tile[t * LANES + lane] + (ZERO if fresh else flat[where])


@compiled
def gather_rows(source, offset, states, order, at, steps, rows):
    """rows[t, n] = source.flat[offset + order.flat[at + t]·states + n]."""
    pixels, flat = order.reshape(-1), source.reshape(-1)
    whole = states - states % LANES  # the rest one by one: a load must not pass the array's end
    for t in range(steps):
        where = offset + pixels[at + t] * states
        for n in range(0, whole, LANES):
            store(rows, t * states + n, load(source, where + n))
        for n in range(whole, states):
            rows[t * states + n] = flat[where + n]


@compiled
def add_rows(columns, target, offset, states, order, at, steps):
    """target.flat[offset + order.flat[at + t]·states + n] += columns[n, t]."""
    pixels, flat = order.reshape(-1), target.reshape(-1)
    for t in range(steps):
        where = offset + pixels[at + t] * states
        for n in range(states):
            flat[where + n] += columns[n * TILE + t]


@compiled
def step_tile(low, weight, rank, steps, tile):
    """tile[t, lane] = Σ_r low[t, r] · weight[r, lane]: Δ before its bias."""
    for t in range(steps):
        total = splat(ZERO)
        for r in range(rank):
            total = muladd(spread(low, t * rank + r), load(weight, r * LANES), total)
        store(tile, t * LANES, total)


@compiled
def step_tile_backward(w, low, weight, rank, steps, grad_low, grad_weight):
    """From w.grad_dt the gradients of both factors of `step_tile`; w.dot_b_j serves as room."""
    for r in range(rank):
        factor, total = load(weight, r * LANES), load(grad_weight, r * LANES)
        for t in range(steps):
            gradient = load(w.grad_dt, t * LANES)
            total = muladd(spread(low, t * rank + r), gradient, total)
            store(w.dot_b_j, t * LANES, mul(factor, gradient))
        store(grad_weight, r * LANES, total)
        for t in range(0, steps, LANES):
            store(grad_low, r * TILE + t, row_sums(w.dot_b_j, t * LANES))


@compiled
def forward(first, stop, x, y, last_state, saved):
    """Items first..stop of y and last_state; `saved`, unless empty, gets every tile's starting
    state (before a recap) as (item, direction, tile, state, lane)."""
    (_, pixels, channels), states, rank = x.u.shape, x.A.shape[1], x.delta_weight.shape[1]
    recap, keep = x.support_keep.size > 0, saved.size > 0
    dt, du, out = new_tile(), new_tile(), new_tile()
    low = np.empty(TILE * rank, np.float32)
    B, C = np.empty(TILE * states, np.float32), np.empty(TILE * states, np.float32)
    for item in range(first, stop):
        b, c, lanes = place(x, item)
        for k in range(x.order.shape[0]):
            line, plane = k * channels + c, b * x.order.shape[0] + k
            row = plane * channels + c
            a, limit = exponents(x, line, lanes)
            skip, bias = read_channels(x.D, line, lanes), read_channels(x.delta_bias, line, lanes)
            weight = read_state(x.delta_weight, line, rank, lanes)
            h = np.zeros(states * LANES, np.float32)
            p = read_state(x.support_keep, row, states, lanes)
            s = read_state(x.support_state, row, states, lanes)
            kept = (item * x.order.shape[0] + k) * saved.shape[2] * states * LANES
            for segment in range(x.starts.shape[1] - 1):
                t0, end = x.starts[k, segment], x.starts[k, segment + 1]
                start = t0
                while t0 < end:
                    steps, at = min(TILE, end - t0), k * pixels + t0
                    if keep:
                        for n in range(states):
                            store(saved, kept, load(h, n * LANES))
                            kept += LANES
                    if recap and t0 == start:
                        read_again(p, s, h, states)
                    gather_rows(x.low_rank, plane * pixels * rank, rank, x.order, at, steps, low)
                    step_tile(low, weight, rank, steps, dt)
                    gather(x.u, b * pixels * channels + c, channels, lanes, x.order, at, steps, du)
                    gather_rows(x.B, plane * pixels * states, states, x.order, at, steps, B)
                    gather_rows(x.C, plane * pixels * states, states, x.order, at, steps, C)
                    ordinary = enter(x, dt, du, out, bias, skip, limit, steps)
                    for n in range(0, states, 2):
                        advance(n, a, h, dt, du, out, B, C, 0, 1, states, steps, ordinary)
                    scatter(out, y, b * pixels * channels + c, channels, lanes, x.order, at,
                            steps, k == 0)  # fmt: skip
                    t0 += steps
            write_state(h, last_state, row, states, lanes)


@compiled
def backward(first, stop, part, x, saved, dy, dlast, grad):
    """Gradients of items first..stop, from those of y and last_state."""
    (batch, pixels, channels), states, rank = x.u.shape, x.A.shape[1], x.delta_weight.shape[1]
    directions, recap = x.order.shape[0], x.support_keep.size > 0
    w = new_work()
    low, grad_low = np.empty(TILE * rank, np.float32), np.empty(TILE * rank, np.float32)
    B, C = np.empty(TILE * states, np.float32), np.empty(TILE * states, np.float32)
    grad_b, grad_c = np.empty(TILE * states, np.float32), np.empty(TILE * states, np.float32)
    for item in range(first, stop):
        b, c, lanes = place(x, item)
        own = b * pixels * channels + c
        for k in range(directions):
            line, plane = k * channels + c, b * directions + k
            row = plane * channels + c
            a, limit = exponents(x, line, lanes)
            skip, bias = read_channels(x.D, line, lanes), read_channels(x.delta_bias, line, lanes)
            p = read_state(x.support_keep, row, states, lanes)
            s = read_state(x.support_state, row, states, lanes)
            grad_h = read_state(dlast, row, states, lanes)
            grad_a, grad_p, grad_s = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a)
            grad_skip, grad_bias = np.zeros_like(skip), np.zeros_like(bias)
            weight = read_state(x.delta_weight, line, rank, lanes)
            grad_weight, tile = np.zeros_like(weight), saved.shape[2]
            rows, shared = plane * pixels * states, (part * batch * directions + plane) * pixels
            for segment in range(x.starts.shape[1] - 2, -1, -1):
                start, end = x.starts[k, segment], x.starts[k, segment + 1]
                while end > start:
                    t0 = start + (end - 1 - start) // TILE * TILE
                    steps, end, tile, at = end - t0, t0, tile - 1, k * pixels + t0
                    gather_rows(x.low_rank, plane * pixels * rank, rank, x.order, at, steps, low)
                    step_tile(low, weight, rank, steps, w.dt)
                    gather(x.u, own, channels, lanes, x.order, at, steps, w.u)
                    gather(dy, own, channels, lanes, x.order, at, steps, w.gy)
                    gather_rows(x.B, rows, states, x.order, at, steps, B)
                    gather_rows(x.C, rows, states, x.order, at, steps, C)
                    ordinary = prepare(x, w, bias, limit, steps)
                    for n in range(0, states, 2):
                        j, i = n * LANES, (n + 1) * LANES
                        kept = ((item * directions + k) * saved.shape[2] + tile) * states + n
                        kept *= LANES
                        hj, hk = load(saved, kept), load(saved, kept + LANES)
                        if recap and t0 == start:
                            hj = muladd(load(p, j), hj, load(s, j))
                            hk = muladd(load(p, i), hk, load(s, i))
                        retreat(n, a, hj, hk, w, B, C, 0, 1, states, steps, ordinary, grad_h,
                                grad_a)  # fmt: skip
                        if recap and t0 == start:
                            retreat_from_recap(n, p, saved, kept, grad_h, grad_p, grad_s)
                        for t in range(0, steps, LANES):
                            store(grad_b, n * TILE + t, row_sums(w.dot_b_j, t * LANES))
                            store(grad_c, n * TILE + t, row_sums(w.dot_c_j, t * LANES))
                            store(grad_b, (n + 1) * TILE + t, row_sums(w.dot_b_k, t * LANES))
                            store(grad_c, (n + 1) * TILE + t, row_sums(w.dot_c_k, t * LANES))
                    finish(x, w, skip, grad_skip, grad_bias, steps)
                    add_rows(grad_b, grad.B, shared * states, states, x.order, at, steps)
                    add_rows(grad_c, grad.C, shared * states, states, x.order, at, steps)
                    scatter(w.grad_drive, grad.u, own, channels, lanes, x.order, at, steps, k == 0)
                    step_tile_backward(w, low, weight, rank, steps, grad_low, grad_weight)
                    add_rows(grad_low, grad.low_rank, shared * rank, rank, x.order, at, steps)
            write_state(grad_weight, grad.delta_weight, row, rank, lanes)
            write_state(grad_a, grad.A, row, states, lanes)
            if recap:
                write_state(grad_p, grad.support_keep, row, states, lanes)
                write_state(grad_s, grad.support_state, row, states, lanes)
            grad.D[b, line : line + lanes] = grad_skip[:lanes]
            grad.delta_bias[b, line : line + lanes] = grad_bias[:lanes]
