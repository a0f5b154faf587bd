"""The compiled loops behind `scan_cpu`: forward and recomputing backward.

An item (sixteen channels of one batch row) is walked in tiles; inside a tile each state runs
over all the steps with h in a register. States come in pairs, j and k, because one alone
would leave the processor waiting for results half of the time.
"""

import numpy as np

from .lanes import (
    LANES,
    add,
    all_below,
    exp2,
    exp2_of_product,
    load,
    mul,
    muladd,
    row_sums,
    sigmoid,
    splat,
    spread,
    store,
)
from .tiles import (
    AHEAD,
    LN2,
    TILE,
    ZERO,
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
    step_sizes,
    write_state,
    write_tile,
)

__all__ = ["LANES", "TILE", "Gradients", "Problem", "backward", "forward"]

# numba's cache notices changes of this file only; a test keeps this up to date with the two
# files above (CRC-32 of lanes.py, then tiles.py).
BUILT_FROM = 0x32B98DD1


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
    recap, keep = x.recap_decay.size > 0, saved.size > 0
    dt, du, out = new_tile(), new_tile(), new_tile()
    for item in range(first, stop):
        b, g, c, lanes = place(x, item)
        row = b * channels + c
        a, limit = exponents(x, c, lanes)
        skip, bias = read_channels(x.D, c, lanes), read_channels(x.delta_bias, c, lanes)
        h = read_state(x.initial_state, row, states, lanes)
        p = read_state(x.recap_decay, row, states, lanes)
        s = read_state(x.recap_state, row, states, lanes)
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
                for i in range(0, states * LANES, LANES):
                    store(h, i, muladd(load(p, i), load(h, i), load(s, i)))
            here = row * length + t0
            read_tile(delta, here, length, lanes, steps, dt)
            read_tile(u, here, length, lanes, steps, du)
            largest, d = step_sizes(dt, steps, bias, x.delta_softplus), load(skip, 0)
            for i in range(0, steps * LANES, LANES):
                store(out, i, mul(d, load(du, i)))
                store(du, i, mul(load(dt, i), load(du, i)))
            ordinary = all_below(largest, load(limit, 0))
            for n in range(0, states, 2):  # two at a time: each hides the other's latency
                rows = range(n * lanes // states, (n + 2) * lanes // states)
                fetch(delta, u, y, here + AHEAD, length, rows)
                j, k = n * LANES, (n + 1) * LANES
                aj, ak, hj, hk = load(a, j), load(a, k), load(h, j), load(h, k)
                across = ((b * x.B.shape[1] + g) * states + n) * length + t0
                below = across + length
                for t in range(steps):
                    i = t * LANES
                    dti, v, yt = load(dt, i), load(du, i), load(out, i)
                    if ordinary:
                        ej, ek = exp2_of_product(dti, aj), exp2_of_product(dti, ak)
                    else:
                        ej, ek = exp2(mul(dti, aj)), exp2(mul(dti, ak))
                    hj = muladd(ej, hj, mul(v, spread(B, across + t)))
                    hk = muladd(ek, hk, mul(v, spread(B, below + t)))
                    yt = muladd(spread(C, across + t), hj, yt)
                    store(out, i, muladd(spread(C, below + t), hk, yt))
                store(h, j, hj)
                store(h, k, hk)
            write_tile(out, y, here, length, lanes, steps)
            t0 += steps
        write_state(h, last_state, row, states, lanes)


@compiled
def backward(first, stop, part, x, saved, dy, dlast, grad):
    """Gradients of items first..stop, from those of y and last_state."""
    (_, channels, length), states = x.u.shape, x.A.shape[1]
    u, delta, B, C = x.u, x.delta, x.B, x.C
    recap, padded = x.recap_decay.size > 0, grad.B.shape[4]
    uu, dt, gy, drive, gate = new_tile(), new_tile(), new_tile(), new_tile(), new_tile()
    decay_j, before_j, dot_b_j, dot_c_j = new_tile(), new_tile(), new_tile(), new_tile()
    decay_k, before_k, dot_b_k, dot_c_k = new_tile(), new_tile(), new_tile(), new_tile()
    grad_dt, grad_drive = new_tile(), new_tile()
    for item in range(first, stop):
        b, g, c, lanes = place(x, item)
        row = b * channels + c
        a, limit = exponents(x, c, lanes)
        skip, bias = read_channels(x.D, c, lanes), read_channels(x.delta_bias, c, lanes)
        p = read_state(x.recap_decay, row, states, lanes)
        s = read_state(x.recap_state, row, states, lanes)
        grad_h = read_state(dlast, row, states, lanes)
        grad_a, grad_p, grad_s = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a)
        grad_skip, grad_bias = np.zeros_like(skip), np.zeros_like(bias)
        tile, end = saved.shape[1], length
        while end > 0:
            start = (end - 1) // x.segment * x.segment  # of the segment that ends the rest
            t0 = start + (end - 1 - start) // TILE * TILE
            steps, end, tile = end - t0, t0, tile - 1
            here = row * length + t0
            read_tile(delta, here, length, lanes, steps, dt)
            read_tile(u, here, length, lanes, steps, uu)
            read_tile(dy, here, length, lanes, steps, gy)
            if x.delta_softplus:
                for i in range(0, steps * LANES, LANES):
                    store(gate, i, sigmoid(add(load(dt, i), load(bias, 0))))
            largest = step_sizes(dt, steps, bias, x.delta_softplus)
            ordinary = all_below(largest, load(limit, 0))
            for i in range(0, steps * LANES, LANES):
                store(drive, i, mul(load(dt, i), load(uu, i)))
            for sums in (grad_dt, grad_drive, dot_b_j, dot_c_j, dot_b_k, dot_c_k):
                sums[:] = ZERO
            for n in range(0, states, 2):
                rows = range(n * lanes // states, (n + 2) * lanes // states)
                fetch(delta, u, grad.u, here - AHEAD, length, rows)
                fetch(dy, dy, grad.delta, here - AHEAD, length, rows)
                j, k = n * LANES, (n + 1) * LANES
                aj, ak = load(a, j), load(a, k)
                kept = ((item * saved.shape[1] + tile) * states + n) * LANES
                hj, hk = load(saved, kept), load(saved, kept + LANES)
                if recap and t0 == start:
                    hj = muladd(load(p, j), hj, load(s, j))
                    hk = muladd(load(p, k), hk, load(s, k))
                across = ((b * x.B.shape[1] + g) * states + n) * length + t0
                below = across + length
                for t in range(steps):
                    i = t * LANES
                    dti, v, gt = load(dt, i), load(drive, i), load(gy, i)
                    if ordinary:
                        ej, ek = exp2_of_product(dti, aj), exp2_of_product(dti, ak)
                    else:
                        ej, ek = exp2(mul(dti, aj)), exp2(mul(dti, ak))
                    store(decay_j, i, ej)
                    store(decay_k, i, ek)
                    store(before_j, i, hj)
                    store(before_k, i, hk)
                    hj = muladd(ej, hj, mul(v, spread(B, across + t)))
                    hk = muladd(ek, hk, mul(v, spread(B, below + t)))
                    store(dot_c_j, i, mul(gt, hj))
                    store(dot_c_k, i, mul(gt, hk))
                gj, gaj, slope_j = load(grad_h, j), load(grad_a, j), mul(aj, splat(LN2))
                gk, gak, slope_k = load(grad_h, k), load(grad_a, k), mul(ak, splat(LN2))
                for t in range(steps - 1, -1, -1):
                    i = t * LANES
                    v, gt, dti = load(drive, i), load(gy, i), load(dt, i)
                    gj = muladd(gt, spread(C, across + t), gj)
                    gk = muladd(gt, spread(C, below + t), gk)
                    store(dot_b_j, i, mul(gj, v))
                    store(dot_b_k, i, mul(gk, v))
                    gv = muladd(gj, spread(B, across + t), load(grad_drive, i))
                    store(grad_drive, i, muladd(gk, spread(B, below + t), gv))
                    gj, gk = mul(gj, load(decay_j, i)), mul(gk, load(decay_k, i))
                    xj, xk = mul(gj, load(before_j, i)), mul(gk, load(before_k, i))
                    store(grad_dt, i, muladd(xk, slope_k, muladd(xj, slope_j, load(grad_dt, i))))
                    gaj, gak = muladd(xj, dti, gaj), muladd(xk, dti, gak)
                store(grad_a, j, gaj)
                store(grad_a, k, gak)
                if recap and t0 == start:
                    store(grad_p, j, muladd(gj, load(saved, kept), load(grad_p, j)))
                    store(grad_p, k, muladd(gk, load(saved, kept + LANES), load(grad_p, k)))
                    store(grad_s, j, add(gj, load(grad_s, j)))
                    store(grad_s, k, add(gk, load(grad_s, k)))
                    gj, gk = mul(gj, load(p, j)), mul(gk, load(p, k))
                store(grad_h, j, gj)
                store(grad_h, k, gk)
                shared = ((part * x.B.shape[0] + b) * x.B.shape[1] + g) * states + n
                for t in range(0, steps, LANES):
                    i, at = t * LANES, shared * padded + t0 + t
                    accumulate(grad.B, at, dot_b_j, i)
                    accumulate(grad.C, at, dot_c_j, i)
                    accumulate(grad.B, at + padded, dot_b_k, i)
                    accumulate(grad.C, at + padded, dot_c_k, i)
            d, gd, gb = load(skip, 0), load(grad_skip, 0), load(grad_bias, 0)
            for i in range(0, steps * LANES, LANES):
                gdrive, gt = load(grad_drive, i), load(gy, i)
                store(grad_drive, i, muladd(gdrive, load(dt, i), mul(gt, d)))
                gd = muladd(gt, load(uu, i), gd)
                gdt = muladd(gdrive, load(uu, i), load(grad_dt, i))
                if x.delta_softplus:
                    gdt = mul(gdt, load(gate, i))
                store(grad_dt, i, gdt)
                gb = add(gb, gdt)
            store(grad_skip, 0, gd)
            store(grad_bias, 0, gb)
            write_tile(grad_drive, grad.u, here, length, lanes, steps)
            write_tile(grad_dt, grad.delta, here, length, lanes, steps)
        write_state(grad_h, grad.initial_state, row, states, lanes)
        write_state(grad_a, grad.A, row, states, lanes)
        if recap:
            write_state(grad_p, grad.recap_decay, row, states, lanes)
            write_state(grad_s, grad.recap_state, row, states, lanes)
        grad.D[b, c : c + lanes] = grad_skip[:lanes]
        grad.delta_bias[b, c : c + lanes] = grad_bias[:lanes]
