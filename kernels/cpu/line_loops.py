"""The compiled loops behind `scan`: forward and recomputing backward.

An item (sixteen channels of one batch row) is walked in tiles; inside a tile each pair of states
runs over all the steps with h in registers (`steps.py`).
"""

import numpy as np

from hmnet_kernels.cpu.lanes import LANES, add, load, muladd, row_sums, store
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
    AHEAD,
    TILE,
    Gradients,
    Problem,
    compiled,
    exponents,
    fetch,
    new_tile,
    place,
    read_channels,
    read_state,
    read_tile,
    write_state,
    write_tile,
)

__all__ = ["LANES", "TILE", "Gradients", "Problem", "backward", "forward"]

# numba's cache notices changes of this file only; a test keeps this up to date with the three
# files above (CRC-32 of lanes.py, then tiles.py, then steps.py).
BUILT_FROM = 0xE7DBC55B


@compiled
def accumulate(target, at, products, i):
    """Adds to 16 time steps of the target the sums over channels of their products."""
    store(target, at, add(load(target, at), row_sums(products, i)))


@compiled
def forward(first, stop, x, y, last_state, saved):
    """Items first..stop of y and last_state; `saved`, unless empty, gets every tile's
    starting state (before a recap) as (item, tile, state, lane)."""
    (_, channels, length), states = x.u.shape, x.A.shape[1]
    u, delta, B, C = x.u, x.delta, x.B, x.C
    recap, keep = x.support_keep.size > 0, saved.size > 0
    dt, du, out = new_tile(), new_tile(), new_tile()
    for item in range(first, stop):
        b, g, c, lanes = place(x, item)
        row = b * channels + c
        a, limit = exponents(x, c, lanes)
        skip, bias = read_channels(x.D, c, lanes), read_channels(x.delta_bias, c, lanes)
        h = read_state(x.initial_state, row, states, lanes)
        p = read_state(x.support_keep, row, states, lanes)
        s = read_state(x.support_state, row, states, lanes)
        kept = item * saved.shape[1] * states * LANES
        t0 = 0
        while t0 < length:
            into = t0 % x.segment
            steps = min(TILE, x.segment - into, length - t0)
            if keep:
                for n in range(states):
                    store(saved, kept, load(h, n * LANES))
                    kept += LANES
            if recap and into == 0:
                read_again(p, s, h, states)
            here = row * length + t0
            read_tile(delta, here, length, lanes, steps, dt)
            read_tile(u, here, length, lanes, steps, du)
            ordinary = enter(x, dt, du, out, bias, skip, limit, steps)
            base = (b * x.B.shape[1] + g) * states * length + t0
            for n in range(0, states, 2):
                rows = range(n * lanes // states, (n + 2) * lanes // states)
                fetch(delta, u, y, here + AHEAD, length, rows)
                advance(n, a, h, dt, du, out, B, C, base, length, 1, steps, ordinary)
            write_tile(out, y, here, length, lanes, steps)
            t0 += steps
        write_state(h, last_state, row, states, lanes)


@compiled
def backward(first, stop, part, x, saved, dy, dlast, grad):
    """Gradients of items first..stop, from those of y and last_state."""
    (_, channels, length), states = x.u.shape, x.A.shape[1]
    u, delta, B, C = x.u, x.delta, x.B, x.C
    recap, padded = x.support_keep.size > 0, grad.B.shape[4]
    w = new_work()
    for item in range(first, stop):
        b, g, c, lanes = place(x, item)
        row = b * channels + c
        a, limit = exponents(x, c, lanes)
        skip, bias = read_channels(x.D, c, lanes), read_channels(x.delta_bias, c, lanes)
        p = read_state(x.support_keep, row, states, lanes)
        s = read_state(x.support_state, row, states, lanes)
        grad_h = read_state(dlast, row, states, lanes)
        grad_a, grad_p, grad_s = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a)
        grad_skip, grad_bias = np.zeros_like(skip), np.zeros_like(bias)
        tile, end = saved.shape[1], length
        while end > 0:
            start = (end - 1) // x.segment * x.segment  # of the segment that ends the rest
            t0 = start + (end - 1 - start) // TILE * TILE
            steps, end, tile = end - t0, t0, tile - 1
            here = row * length + t0
            read_tile(delta, here, length, lanes, steps, w.dt)
            read_tile(u, here, length, lanes, steps, w.u)
            read_tile(dy, here, length, lanes, steps, w.gy)
            ordinary = prepare(x, w, bias, limit, steps)
            base = (b * x.B.shape[1] + g) * states * length + t0
            for n in range(0, states, 2):
                rows = range(n * lanes // states, (n + 2) * lanes // states)
                fetch(delta, u, grad.u, here - AHEAD, length, rows)
                fetch(dy, dy, grad.delta, here - AHEAD, length, rows)
                j, k = n * LANES, (n + 1) * LANES
                kept = ((item * saved.shape[1] + tile) * states + n) * LANES
                hj, hk = load(saved, kept), load(saved, kept + LANES)
                if recap and t0 == start:
                    hj = muladd(load(p, j), hj, load(s, j))
                    hk = muladd(load(p, k), hk, load(s, k))
                retreat(n, a, hj, hk, w, B, C, base, length, 1, steps, ordinary, grad_h, grad_a)
                if recap and t0 == start:
                    retreat_from_recap(n, p, saved, kept, grad_h, grad_p, grad_s)
                shared = ((part * x.B.shape[0] + b) * x.B.shape[1] + g) * states + n
                for t in range(0, steps, LANES):
                    i, at = t * LANES, shared * padded + t0 + t
                    accumulate(grad.B, at, w.dot_b_j, i)
                    accumulate(grad.C, at, w.dot_c_j, i)
                    accumulate(grad.B, at + padded, w.dot_b_k, i)
                    accumulate(grad.C, at + padded, w.dot_c_k, i)
            finish(x, w, skip, grad_skip, grad_bias, steps)
            write_tile(w.grad_drive, grad.u, here, length, lanes, steps)
            write_tile(w.grad_dt, grad.delta, here, length, lanes, steps)
        write_state(grad_h, grad.initial_state, row, states, lanes)
        write_state(grad_a, grad.A, row, states, lanes)
        if recap:
            write_state(grad_p, grad.support_keep, row, states, lanes)
            write_state(grad_s, grad.support_state, row, states, lanes)
        grad.D[b, c : c + lanes] = grad_skip[:lanes]
        grad.delta_bias[b, c : c + lanes] = grad_bias[:lanes]
