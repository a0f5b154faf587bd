"""The backward passes of a scan on a GPU.

No state was kept but one at each chunk's start: a chunk is walked once to have the state at the
start of each of its tiles, and then from its last tile to its first, each tile forward again (its
states stay in registers) and backward. Where spans of time run side by side, `adjoint` first finds
what each span adds to the gradient of the state it starts from, and `forward.carry` takes that
from the last span to the first.

Nothing is added by atomics. B and C, which all channels share, get a gradient from every block of
channels, summed over its channels here and over the blocks afterwards: the same call gives the
same bits.
"""

import triton.language as tl

from hmnet_kernels.gpu.steps import (
    LN2,
    chunk,
    exp2,
    exponents,
    factors,
    kernel,
    known_states,
    moment,
    moments,
    origin,
    pick,
    place,
    positive,
    raw_steps,
    read,
    read_state,
    row,
    shown,
    spot,
    write_state,
)


@kernel
def adjoint(
    x, C, z, dy, A, weight, bias, P, added, kept,
    order, table, chunks, per_span, spans, blocks, groups, first, width, length, one,
    states: tl.constexpr, rank: tl.constexpr, RANK: tl.constexpr,
    SOFTPLUS: tl.constexpr, SHARED: tl.constexpr,
    TIME: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """What one span adds to the gradient of the state before it, and what it keeps of one after."""
    b, span, g, block = place(blocks, groups, first, spans)
    n, nth = tl.arange(0, STATES), tl.arange(0, TIME)
    rows, i, c = nth[:, None], nth * one, (block * BLOCK + tl.arange(0, BLOCK)).to(tl.int64) * one
    line, real = g * width + c, c < width
    known = known_states(n, states, real)
    a = exponents(A, line, n, known, states)
    factor = None
    if weight is not None:
        factor = factors(weight, line, real, one, rank, RANK)
    offset = tl.zeros([BLOCK], tl.float32)
    if bias is not None:
        offset = tl.load(bias + line, real, 0.0).to(tl.float32)
    x0, C0, dy0 = origin(x, b, g), origin(C, b, g), origin(dy, b, g)
    if z is not None:
        z0 = origin(z, b, g)
    if P is not None:
        p = read_state(P, b, span, line, n, known)
    grad = tl.zeros([STATES, BLOCK], tl.float32)
    keeps = tl.full([STATES, BLOCK], 1.0, tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    begin, end = span * per_span, tl.minimum((span + 1) * per_span, chunks)
    for back in range(begin, end):
        start, stop, recap = chunk(table, g, chunks, SHARED, begin + end - 1 - back)
        tiles = tl.cdiv(stop - start, TIME)
        for tile in range(tiles):
            t = start + (tiles - 1 - tile) * TIME
            inside = t + i < stop
            mask = inside[:, None] & real[None, :]
            at = moments(order, g, t + i, stop, length)
            raw = offset[None, :] + raw_steps(
                x, x0, at, c, mask, order, nth, t, stop, factor, weight, line, real, rank
            )  # fmt: skip
            dt = positive(raw, mask, SOFTPLUS)
            gy = read(dy, dy0, at, c, mask)
            if z is not None:
                gate = read(z, z0, at, c, mask)
                gy *= gate * tl.sigmoid(gate)
            for k in tl.static_range(TIME - 1, -1, -1):
                step = moment(order, at, nth, t, k, stop)
                ct = row(C, C0, step, n, states)
                grad += ct * pick(gy, rows, k)[None, :]
                grad *= exp2(a * pick(dt, rows, k)[None, :])
            total += tl.sum(dt, 0)
        if P is not None:
            grad = tl.where(recap, p * grad, grad)
            keeps = tl.where(recap, p * keeps, keeps)
    write_state(added, b, span, line, n, known, grad)
    write_state(kept, b, span, line, n, known, keeps * exp2(a * total[None, :]))


@kernel
def backward(
    u, x, B, C, z, dy, A, weight, D, bias, end, P, S, saved,
    du, dx, dz, dB, dC, dA, dD, dbias, dinitial, dP, dS, part,
    order, table, chunks, per_span, spans, blocks, groups, first, width, length, one,
    states: tl.constexpr, rank: tl.constexpr, RANK: tl.constexpr,
    lines, FRESH: tl.constexpr, SOFTPLUS: tl.constexpr, SHARED: tl.constexpr, ADD: tl.constexpr,
    TILES: tl.constexpr, TIME: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Every gradient of one span of one block of channels; `launch.Scan` says what is what."""
    b, span, g, block = place(blocks, groups, first, spans)
    n, nth, m = tl.arange(0, STATES), tl.arange(0, TIME), tl.arange(0, TILES)[:, None, None]
    rows, i, c = nth[:, None], nth * one, (block * BLOCK + tl.arange(0, BLOCK)).to(tl.int64) * one
    line, real = g * width + c, c < width
    known = known_states(n, states, real)
    a = exponents(A, line, n, known, states)
    factor = None
    if weight is not None:
        factor = factors(weight, line, real, one, rank, RANK)
    offset = tl.zeros([BLOCK], tl.float32)
    if bias is not None:
        offset = tl.load(bias + line, real, 0.0).to(tl.float32)
    u0, x0, B0, C0 = origin(u, b, g), origin(x, b, g), origin(B, b, g), origin(C, b, g)
    dy0, du0, dx0 = origin(dy, b, g), origin(du, b, g), origin(dx, b, g)
    dB0 = origin(dB, b, g - first) + tl.cast(block, tl.int64) * part
    dC0 = origin(dC, b, g - first) + tl.cast(block, tl.int64) * part
    if z is not None:
        z0, dz0 = origin(z, b, g), origin(dz, b, g)
    d = tl.zeros([BLOCK], tl.float32)
    if D is not None:
        d = tl.load(D + line, real, 0.0).to(tl.float32)
    grad = tl.zeros([STATES, BLOCK], tl.float32)  # of the state carried on
    if end is not None:
        grad = read_state(end, b, span, line, n, known)
    if P is not None:
        p = read_state(P, b, span, line, n, known)
        grad_p = tl.zeros([STATES, BLOCK], tl.float32)
    if S is not None:
        s = read_state(S, b, span, line, n, known)
        grad_s = tl.zeros([STATES, BLOCK], tl.float32)
    grad_a = tl.zeros([STATES, BLOCK], tl.float32)
    grad_d, grad_bias = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    begin, stop_at = span * per_span, tl.minimum((span + 1) * per_span, chunks)
    for back in range(begin, stop_at):
        j = begin + stop_at - 1 - back
        start, stop, recap = chunk(table, g, chunks, SHARED, j)
        tiles = tl.cdiv(stop - start, TIME)
        if not FRESH:
            # the state at the start of every tile
            before = read_state(saved, b, j, line, n, known)
            h = before
            if P is not None:
                h = tl.where(recap, p * h + s, h)
            starts = tl.where(m == 0, h[None], 0.0)
            for tile in range(1, tiles):
                t = start + (tile - 1) * TIME  # a whole one
                inside = t + i < stop
                mask = inside[:, None] & real[None, :]
                at = moments(order, g, t + i, stop, length)
                raw = offset[None, :] + raw_steps(
                    x, x0, at, c, mask, order, nth, t, stop, factor, weight, line, real, rank
                )  # fmt: skip
                dt = positive(raw, mask, SOFTPLUS)
                drive = dt * read(u, u0, at, c, mask)
                for k in tl.static_range(TIME):
                    step = moment(order, at, nth, t, k, stop)
                    decay = exp2(a * pick(dt, rows, k)[None, :])
                    bt = row(B, B0, step, n, states)
                    h = tl.fma(decay, h, bt * pick(drive, rows, k)[None, :])
                starts = tl.where(m == tile, h[None], starts)
        for tile in range(tiles):
            k0 = tiles - 1 - tile
            t = start + k0 * TIME
            inside = t + i < stop
            mask = inside[:, None] & real[None, :]
            at = moments(order, g, t + i, stop, length)
            ut, gy = read(u, u0, at, c, mask), read(dy, dy0, at, c, mask)
            raw = offset[None, :] + raw_steps(
                x, x0, at, c, mask, order, nth, t, stop, factor, weight, line, real, rank
            )  # fmt: skip
            dt = positive(raw, mask, SOFTPLUS)
            drive = dt * ut
            ungated = gy
            if z is not None:
                gate = read(z, z0, at, c, mask)
                open_ = tl.sigmoid(gate)
                gy *= gate * open_
                out = d[None, :] * ut  # what the gate was multiplied with, for its own gradient
            h = s if FRESH else tl.sum(tl.where(m == k0, starts, 0.0), 0)
            decayed = ()  # the state before each step, times its decay
            for k in tl.static_range(TIME):
                step = moment(order, at, nth, t, k, stop)
                bt = row(B, B0, step, n, states)
                w = exp2(a * pick(dt, rows, k)[None, :]) * (s if FRESH else h)
                decayed = decayed + (w,)  # noqa: RUF005 (Triton's own tuples)
                h = w + bt * pick(drive, rows, k)[None, :]
                if z is not None:
                    ct = row(C, C0, step, n, states)
                    out += tl.where(rows == k, tl.sum(ct * h, 0)[None, :], 0.0)
            grad_dt = tl.zeros([TIME, BLOCK], tl.float32)
            grad_drive = tl.zeros([TIME, BLOCK], tl.float32)
            for k in tl.static_range(TIME - 1, -1, -1):
                step = moment(order, at, nth, t, k, stop)
                exist = shown(n, states, t + k < stop)
                bt, ct = row(B, B0, step, n, states), row(C, C0, step, n, states)
                size, v, gk = pick(dt, rows, k), pick(drive, rows, k), pick(gy, rows, k)
                grad += ct * gk[None, :]
                after = decayed[k] + bt * v[None, :]
                step = tl.cast(step, tl.int64)
                tl.store(dC0 + step * dC.time + n, tl.sum(after * gk[None, :], 1), exist)
                tl.store(dB0 + step * dB.time + n, tl.sum(grad * v[None, :], 1), exist)
                through = grad * decayed[k]  # the gradient of Δ·A
                grad_a += through * size[None, :]
                grad_drive = tl.where(rows == k, tl.sum(grad * bt, 0)[None, :], grad_drive)
                grad_dt = tl.where(rows == k, tl.sum(through * a, 0)[None, :], grad_dt)
                grad *= exp2(a * size[None, :])
                if FRESH:
                    grad_s += grad
                    grad = tl.zeros([STATES, BLOCK], tl.float32)
            grad_dt = grad_dt * LN2 + grad_drive * ut
            if SOFTPLUS:
                grad_dt *= tl.sigmoid(raw)
            grad_dt = tl.where(mask, grad_dt, 0.0)
            grad_u = grad_drive * dt + d[None, :] * gy
            grad_d += tl.sum(gy * ut, 0)
            grad_bias += tl.sum(grad_dt, 0)
            goal = spot(du, du0, at, c)
            if ADD:
                grad_u += tl.load(goal, mask, 0.0).to(tl.float32)
            tl.store(goal, grad_u, mask)
            tl.store(spot(dx, dx0, at, c), grad_dt, mask)
            if z is not None:
                slope = ungated * out * open_ * (1.0 + gate * (1.0 - open_))
                tl.store(spot(dz, dz0, at, c), slope, mask)
        if P is not None:
            grad_p = tl.where(recap, grad_p + grad * before, grad_p)
            grad_s = tl.where(recap, grad_s + grad, grad_s)
            grad = tl.where(recap, p * grad, grad)
    write_state(dA, b, span, line, n, known, grad_a)
    mine = (b * spans + span) * lines + line
    tl.store(dD + mine, grad_d, real)
    tl.store(dbias + mine, grad_bias, real)
    if dinitial is not None:  # noqa: SIM102 (the first is known to the compiler)
        if span == 0:
            write_state(dinitial, b, span, line, n, known, grad)
    if P is not None:
        write_state(dP, b, span, line, n, known, grad_p)
    if S is not None:
        write_state(dS, b, span, line, n, known, grad_s)
