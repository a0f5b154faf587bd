"""The forward passes of a scan on a GPU.

Time is cut in chunks, at the start of each of which the state is saved if there is a backward, and
the chunks in spans. Where batch and channels alone do not fill the chip, spans run side by side:

    forward, OUTPUTS=False   each span from a state of zero: what it adds to the state, and what it
                             keeps of one, P = exp(A ΣΔ)
    carry                    the state at each span's start, h ← P ⊙ h + added
    forward, OUTPUTS=True    outputs and saved states, each span from its start

else the last alone runs, one span from the initial state.
"""

import triton.language as tl

from hmnet_kernels.gpu.steps import (
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
    product,
    raw_steps,
    read,
    read_state,
    row,
    spot,
    write_state,
)


@kernel
def forward(
    u, x, B, C, z, y, A, weight, D, bias, begin, P, S, last, saved, added, kept,
    order, table, chunks, per_span, spans, blocks, groups, first, width, length, one,
    states: tl.constexpr, rank: tl.constexpr,
    OUTPUTS: tl.constexpr, FRESH: tl.constexpr, SOFTPLUS: tl.constexpr, SHARED: tl.constexpr,
    ADD: tl.constexpr, TIME: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr,
    RANK: tl.constexpr,
):  # fmt: skip
    """One span of one block of channels; `launch.Scan` says what the arguments are."""
    b, span, g, block = place(blocks, groups, first, spans)
    n, nth = tl.arange(0, STATES), tl.arange(0, TIME)
    rows, i, c = nth[:, None], nth * one, (block * BLOCK + tl.arange(0, BLOCK)).to(tl.int64) * one
    line, real = g * width + c, c < width
    known = known_states(n, states, real)
    a = exponents(A, line, n, known, states)
    u0, x0, B0, C0 = origin(u, b, g), origin(x, b, g), origin(B, b, g), origin(C, b, g)
    factor = None
    if weight is not None:
        factor = factors(weight, line, real, one, rank, RANK)
    offset = tl.zeros([BLOCK], tl.float32)
    if bias is not None:
        offset = tl.load(bias + line, real, 0.0).to(tl.float32)
    if FRESH:
        s = read_state(S, b, span, line, n, known)
    h = tl.zeros([STATES, BLOCK], tl.float32)
    if begin is not None:
        h = read_state(begin, b, span, line, n, known)
    keeps = tl.full([STATES, BLOCK], 1.0, tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    if OUTPUTS:
        y0 = origin(y, b, g)
        if z is not None:
            z0 = origin(z, b, g)
        d = tl.zeros([BLOCK], tl.float32)
        if D is not None:
            d = tl.load(D + line, real, 0.0).to(tl.float32)
    for j in range(span * per_span, tl.minimum((span + 1) * per_span, chunks)):
        start, stop, recap = chunk(table, g, chunks, SHARED, j)
        if OUTPUTS and saved is not None:
            write_state(saved, b, j, line, n, known, h)
        if P is not None:  # noqa: SIM102 (the first is known to the compiler)
            if recap:  # which are few, and so are registers: P and S are read again at each
                p = read_state(P, b, span, line, n, known)
                h = p * h + read_state(S, b, span, line, n, known)
                keeps *= p
        # What a tile reads is asked for one tile before it is computed, B and C one step before,
        # and where the tile lies two tiles before: a program that waits for its memory only once
        # it needs it waits most of the time, and no load moves above the store before it.
        inside = start + i < stop
        mask = inside[:, None] & real[None, :]
        at = moments(order, g, start + i, stop, length)
        ahead = moments(order, g, start + TIME + i, stop, length)
        next_u = read(u, u0, at, c, mask)
        next_raw = raw_steps(
            x, x0, at, c, mask, order, nth, start, stop, factor, weight, line, real, rank
        )
        if OUTPUTS and z is not None:
            next_gate = read(z, z0, at, c, mask)
        step = moment(order, at, nth, start, 0, stop)
        bt = row(B, B0, step, n, states)
        if OUTPUTS:
            ct = row(C, C0, step, n, states)
        for t in range(start, stop, TIME):
            ut, dt = next_u, positive(next_raw + offset[None, :], mask, SOFTPLUS)
            now, writes = at, mask
            if OUTPUTS:
                goal = spot(y, y0, now, c)
                if ADD:
                    before = tl.load(goal, writes, 0.0).to(tl.float32)
                if z is not None:
                    gate = next_gate
            at = ahead
            inside = t + TIME + i < stop
            mask = inside[:, None] & real[None, :]
            ahead = moments(order, g, t + 2 * TIME + i, stop, length)
            next_u = read(u, u0, at, c, mask)
            if weight is None:
                next_raw = read(x, x0, at, c, mask)
            if OUTPUTS and z is not None:
                next_gate = read(z, z0, at, c, mask)
            drive = dt * ut
            out = tl.zeros([TIME, BLOCK], tl.float32)
            for k in tl.static_range(TIME):
                if k + 1 < TIME:
                    step = moment(order, now, nth, t, k + 1, stop)
                else:
                    step = moment(order, at, nth, t + TIME, 0, stop)
                next_b = row(B, B0, step, n, states)
                if OUTPUTS:
                    next_c = row(C, C0, step, n, states)
                if weight is not None:
                    step = moment(order, at, nth, t + TIME, k, stop)
                    raw = product(x, x0, step, factor, weight, line, real, rank)
                    next_raw = tl.where(rows == k, raw[None, :], next_raw)
                decay = exp2(a * pick(dt, rows, k)[None, :])
                # rounded once: decay ⊙ h rounded by itself drifts over thousands of tiny steps
                h = tl.fma(decay, s if FRESH else h, bt * pick(drive, rows, k)[None, :])
                bt = next_b
                if OUTPUTS:
                    out = tl.where(rows == k, tl.sum(ct * h, 0)[None, :], out)
                    ct = next_c
            total += tl.sum(dt, 0)
            if OUTPUTS:
                out += d[None, :] * ut
                if z is not None:
                    out *= gate * tl.sigmoid(gate)
                if ADD:
                    out += before
                tl.store(goal, out, writes)
    if OUTPUTS:
        if last is not None:  # noqa: SIM102 (the first is known to the compiler)
            if span == spans - 1:
                write_state(last, b, span, line, n, known, h)
    else:
        write_state(added, b, span, line, n, known, h)
        write_state(kept, b, span, line, n, known, keeps * exp2(a * total[None, :]))


@kernel
def carry(
    begin, added, kept, passed, lines, first, width, blocks, spans, one, states: tl.constexpr,
    BACK: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The state that each span starts from, (BACK: the gradient that each ends with), one after the
    other; `begin` is what the first starts from."""
    i = tl.program_id(0)
    b, c = (i // blocks).to(tl.int64), (i % blocks * BLOCK + tl.arange(0, BLOCK)) * one
    n, line = tl.arange(0, STATES), first * width + c
    known = known_states(n, states, c < lines)
    h = tl.zeros([STATES, BLOCK], tl.float32)
    if begin is not None:
        h = read_state(begin, b, i * 0, line, n, known)
    # A span's two are asked for before the state that is handed to it is written: no load moves
    # above the store before it. The last span's are read in vain.
    span = spans - 1 if BACK else 0
    keeps = read_state(kept, b, span, line, n, known)
    adds = read_state(added, b, span, line, n, known)
    for j in range(spans):
        span = spans - 1 - j if BACK else j
        later = tl.minimum(j + 1, spans - 1)
        later = spans - 1 - later if BACK else later
        next_keeps = read_state(kept, b, later, line, n, known)
        next_adds = read_state(added, b, later, line, n, known)
        write_state(passed, b, span, line, n, known, h)
        h = keeps * h + adds
        keeps, adds = next_keeps, next_adds
