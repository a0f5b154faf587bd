"""The innermost loops of every compiled scan: two states over the steps of one tile.

`advance` is the recurrence, `retreat` its backward pass. They know nothing of where the data came
from: the channels' tiles are side by side (tile[t, lane]), and state n at step t reads B and C at
base + n·across + t·along. States come in pairs, n and n + 1, because one alone would leave the
processor waiting for results half of the time.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from hmnet_kernels.cpu.lanes import (
    LANES,
    add,
    all_below,
    exp2,
    exp2_of_product,
    load,
    mul,
    muladd,
    sigmoid,
    splat,
    spread,
    store,
)
from hmnet_kernels.cpu.tiles import LN2, ZERO, compiled, new_tile, step_sizes

inlined = njit(inline="always", nogil=True, error_model="numpy")


class Work(NamedTuple):
    """Tiles of the backward pass: what is read (Δ, u, gradient of y, Δu, slope of the softplus),
    what is summed up, and what one pair of states leaves to be used at once."""

    dt: np.ndarray
    u: np.ndarray
    gy: np.ndarray
    drive: np.ndarray
    slope: np.ndarray
    grad_dt: np.ndarray
    grad_drive: np.ndarray
    decay_j: np.ndarray
    decay_k: np.ndarray
    before_j: np.ndarray
    before_k: np.ndarray
    dot_b_j: np.ndarray
    dot_b_k: np.ndarray
    dot_c_j: np.ndarray
    dot_c_k: np.ndarray


@compiled
def new_work():
    a, b, c, d, e = new_tile(), new_tile(), new_tile(), new_tile(), new_tile()
    f, g, h, i, j = new_tile(), new_tile(), new_tile(), new_tile(), new_tile()
    k, m, n, o, p = new_tile(), new_tile(), new_tile(), new_tile(), new_tile()
    return Work(a, b, c, d, e, f, g, h, i, j, k, m, n, o, p)


@inlined
def read_again(p, s, h, states):
    """A recap, h ← p h + s."""
    for i in range(0, states * LANES, LANES):
        store(h, i, muladd(load(p, i), load(h, i), load(s, i)))


@inlined
def enter(x, dt, du, out, bias, skip, limit, steps):
    """From raw Δ and u to what `advance` takes; returns whether the exponents are ordinary."""
    largest, d = step_sizes(dt, steps, bias, x.delta_softplus), load(skip, 0)
    for i in range(0, steps * LANES, LANES):
        store(out, i, mul(d, load(du, i)))
        store(du, i, mul(load(dt, i), load(du, i)))
    return all_below(largest, load(limit, 0))


@inlined
def advance(n, a, h, dt, du, out, B, C, base, across, along, steps, ordinary):
    """h ← exp(Δa) h + Δu B step by step, in place; C h is added to `out`.

    a, h: state n at n·16. dt, du, out: tiles of Δ, Δu and y. `ordinary`: no exponent of the tile
    needs clamping.
    """
    j, k = n * LANES, (n + 1) * LANES
    at_j = base + n * across
    at_k = at_j + across
    aj, ak, hj, hk = load(a, j), load(a, k), load(h, j), load(h, k)
    for t in range(steps):
        i, s = t * LANES, t * along
        dti, v, yt = load(dt, i), load(du, i), load(out, i)
        if ordinary:
            ej, ek = exp2_of_product(dti, aj), exp2_of_product(dti, ak)
        else:
            ej, ek = exp2(mul(dti, aj)), exp2(mul(dti, ak))
        hj = muladd(ej, hj, mul(v, spread(B, at_j + s)))
        hk = muladd(ek, hk, mul(v, spread(B, at_k + s)))
        yt = muladd(spread(C, at_j + s), hj, yt)
        store(out, i, muladd(spread(C, at_k + s), hk, yt))
    store(h, j, hj)
    store(h, k, hk)


@inlined
def prepare(x, w, bias, limit, steps):
    """From raw Δ, u and the gradient of y to what `retreat` takes; as `enter`."""
    if x.delta_softplus:
        for i in range(0, steps * LANES, LANES):
            store(w.slope, i, sigmoid(add(load(w.dt, i), load(bias, 0))))
    largest = step_sizes(w.dt, steps, bias, x.delta_softplus)
    for i in range(0, steps * LANES, LANES):
        store(w.drive, i, mul(load(w.dt, i), load(w.u, i)))
    for sums in (w.grad_dt, w.grad_drive, w.dot_b_j, w.dot_c_j, w.dot_b_k, w.dot_c_k):
        sums[:] = ZERO
    return all_below(largest, load(limit, 0))


@inlined
def retreat(n, a, hj, hk, w, B, C, base, across, along, steps, ordinary, grad_h, grad_a):
    """Recomputes a tile from its starting states hj, hk and walks back through it.

    w is a `tiles.Work`: dt, drive and gy are read, grad_dt and grad_drive added to, dot_b and
    dot_c left with each step's products, whose sums over lanes are the gradients of B and C.
    grad_h enters as the gradient of the state after the tile and leaves as that before it.
    """
    j, k = n * LANES, (n + 1) * LANES
    at_j = base + n * across
    at_k = at_j + across
    aj, ak = load(a, j), load(a, k)
    for t in range(steps):
        i, s = t * LANES, t * along
        dti, v, gt = load(w.dt, i), load(w.drive, i), load(w.gy, i)
        if ordinary:
            ej, ek = exp2_of_product(dti, aj), exp2_of_product(dti, ak)
        else:
            ej, ek = exp2(mul(dti, aj)), exp2(mul(dti, ak))
        store(w.decay_j, i, ej)
        store(w.decay_k, i, ek)
        store(w.before_j, i, hj)
        store(w.before_k, i, hk)
        hj = muladd(ej, hj, mul(v, spread(B, at_j + s)))
        hk = muladd(ek, hk, mul(v, spread(B, at_k + s)))
        store(w.dot_c_j, i, mul(gt, hj))
        store(w.dot_c_k, i, mul(gt, hk))
    gj, gaj, slope_j = load(grad_h, j), load(grad_a, j), mul(aj, splat(LN2))
    gk, gak, slope_k = load(grad_h, k), load(grad_a, k), mul(ak, splat(LN2))
    for t in range(steps - 1, -1, -1):
        i, s = t * LANES, t * along
        v, gt, dti = load(w.drive, i), load(w.gy, i), load(w.dt, i)
        gj = muladd(gt, spread(C, at_j + s), gj)
        gk = muladd(gt, spread(C, at_k + s), gk)
        store(w.dot_b_j, i, mul(gj, v))
        store(w.dot_b_k, i, mul(gk, v))
        gv = muladd(gj, spread(B, at_j + s), load(w.grad_drive, i))
        store(w.grad_drive, i, muladd(gk, spread(B, at_k + s), gv))
        gj, gk = mul(gj, load(w.decay_j, i)), mul(gk, load(w.decay_k, i))
        xj, xk = mul(gj, load(w.before_j, i)), mul(gk, load(w.before_k, i))
        store(w.grad_dt, i, muladd(xk, slope_k, muladd(xj, slope_j, load(w.grad_dt, i))))
        gaj, gak = muladd(xj, dti, gaj), muladd(xk, dti, gak)
    store(grad_h, j, gj)
    store(grad_h, k, gk)
    store(grad_a, j, gaj)
    store(grad_a, k, gak)


@inlined
def retreat_from_recap(n, p, saved, kept, grad_h, grad_p, grad_s):
    """Backward of `read_again` for states n and n + 1, whose values before it are in `saved`."""
    for i, at in ((n * LANES, kept), ((n + 1) * LANES, kept + LANES)):
        g = load(grad_h, i)
        store(grad_p, i, muladd(g, load(saved, at), load(grad_p, i)))
        store(grad_s, i, add(g, load(grad_s, i)))
        store(grad_h, i, mul(g, load(p, i)))


@inlined
def finish(x, w, skip, grad_skip, grad_bias, steps):
    """After all states: grad_drive becomes the gradient of u and grad_dt that of raw Δ."""
    d, gd, gb = load(skip, 0), load(grad_skip, 0), load(grad_bias, 0)
    for i in range(0, steps * LANES, LANES):
        gdrive, gt = load(w.grad_drive, i), load(w.gy, i)
        store(w.grad_drive, i, muladd(gdrive, load(w.dt, i), mul(gt, d)))
        gd = muladd(gt, load(w.u, i), gd)
        gdt = muladd(gdrive, load(w.u, i), load(w.grad_dt, i))
        if x.delta_softplus:
            gdt = mul(gdt, load(w.slope, i))
        store(w.grad_dt, i, gdt)
        gb = add(gb, gdt)
    store(grad_skip, 0, gd)
    store(grad_bias, 0, gb)
