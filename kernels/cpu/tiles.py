"""What the scan's forward and backward loops share: the problem, its cutting into items of
sixteen channels and tiles of 64 steps, and the moves between memory and tiles.

In a tile the channels lie side by side (tile[t, lane]), so that every step is one `Lanes`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from hmnet_kernels.cpu.lanes import (
    LANES,
    add,
    at_least,
    load,
    mul,
    muladd,
    prefetch,
    prefetch_to_write,
    softplus,
    splat,
    store,
    transpose,
)

TILE = 64  # steps; what a tile needs fits the nearest caches
AHEAD = TILE  # how far ahead memory is asked for
LOG2E, LN2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
ZERO = np.float32(0.0)
SAFE = np.float32(126.0 * 126.0)  # below it, squared exponents need no clamping


def compiled(function):
    """numba's njit without Python's lock, cached on disk where there is a place to write."""
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # neither beside this file nor in the user's cache folder
        return njit(nogil=True, error_model="numpy")(function)


class Problem(NamedTuple):
    """Contiguous float32 arrays, shapes as in `selective_scan_cpu`; empty where absent."""

    u: np.ndarray
    delta: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    delta_bias: np.ndarray
    delta_softplus: bool
    initial_state: np.ndarray
    support_keep: np.ndarray
    support_state: np.ndarray
    segment: int


class Gradients(NamedTuple):
    """Outputs of `backward`: (batch, …) for each input that batch rows or items share.

    B and C are (part, batch, groups, state, length + 16): tasks that run side by side add
    to parts of their own, and the padding lets the last rows be added 16 at a time.
    """

    u: np.ndarray
    delta: np.ndarray
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    delta_bias: np.ndarray
    initial_state: np.ndarray
    support_keep: np.ndarray
    support_state: np.ndarray


@compiled
def place(x, item):
    """Batch row, group, first channel and number of channels of an item."""
    groups = x.B.shape[1]
    width = x.u.shape[1] // groups
    blocks = -(-width // LANES)
    b, g, block = item // (groups * blocks), item // blocks % groups, item % blocks
    return b, g, g * width + block * LANES, min(LANES, width - block * LANES)


@compiled
def new_tile():
    return np.empty(TILE * LANES, np.float32)


@compiled
def read_tile(source, offset, stride, lanes, steps, tile):
    """tile[t, lane] = source.flat[offset + lane*stride + t]; absent lanes become 0."""
    t = 0
    if lanes == LANES:
        while t + LANES <= steps:
            transpose(source, offset + t, stride, tile, t * LANES, LANES)
            t += LANES
    flat = source.reshape(-1)
    while t < steps:
        for lane in range(LANES):
            tile[t * LANES + lane] = flat[offset + lane * stride + t] if lane < lanes else ZERO
        t += 1


@compiled
def write_tile(tile, target, offset, stride, lanes, steps):
    """The reverse of `read_tile`."""
    t = 0
    if lanes == LANES:
        while t + LANES <= steps:
            transpose(tile, t * LANES, LANES, target, offset + t, stride)
            t += LANES
    flat = target.reshape(-1)
    while t < steps:
        for lane in range(lanes):
            flat[offset + lane * stride + t] = tile[t * LANES + lane]
        t += 1


@compiled
def fetch(one, other, result, offset, stride, rows):
    """Asks memory early for some rows of a tile: two arrays to read, one to write."""
    for row in rows:
        for at in range(offset + row * stride, offset + row * stride + TILE, LANES):
            prefetch(one, at)
            prefetch(other, at)
            prefetch_to_write(result, at)


@compiled
def read_state(source, row, states, lanes):
    """result[n, lane] = source[row + lane, n]; 0 where a lane or the source is absent."""
    result = np.zeros(states * LANES, np.float32)
    if source.size > 0:
        flat = source.reshape(-1)
        for lane in range(lanes):
            for n in range(states):
                result[n * LANES + lane] = flat[(row + lane) * states + n]
    return result


@compiled
def write_state(values, target, row, states, lanes):
    flat = target.reshape(-1)
    for lane in range(lanes):
        for n in range(states):
            flat[(row + lane) * states + n] = values[n * LANES + lane]


@compiled
def read_channels(source, c, lanes):
    result = np.zeros(LANES, np.float32)
    if source.size > 0:
        result[:lanes] = source[c : c + lanes]
    return result


@compiled
def exponents(x, c, lanes):
    """A·log2(e) by lanes, and the largest Δ² that needs no clamping."""
    states = x.A.shape[1]
    a = read_state(x.A, c, states, lanes)
    largest = checked = splat(ZERO)
    for n in range(states):
        an = mul(load(a, n * LANES), splat(LOG2E))
        store(a, n * LANES, an)
        square = mul(an, an)
        largest = at_least(largest, square)
        checked = muladd(square, splat(ZERO), checked)  # NaN if any is
    limit = np.empty(LANES, np.float32)
    store(limit, 0, add(largest, checked))
    for lane in range(LANES):
        limit[lane] = SAFE / limit[lane]
    return a, limit


@compiled
def step_sizes(tile, steps, bias, positive):
    """Δ from the raw values, in place: add the bias, then softplus. Returns each lane's
    largest Δ², NaN if any is not finite."""
    largest, checked, shift = splat(ZERO), splat(ZERO), load(bias, 0)
    for t in range(steps):
        dt = add(load(tile, t * LANES), shift)
        if positive:
            dt = softplus(dt)
        store(tile, t * LANES, dt)
        square = mul(dt, dt)
        largest = at_least(largest, square)
        checked = muladd(square, splat(ZERO), checked)
    return add(largest, checked)
