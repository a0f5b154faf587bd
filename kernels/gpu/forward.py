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
    kernel,
    moments,
    origin,
    pick,
    place,
    positive,
    raw_steps,
    read,
    read_state,
    row,
    write_state,
)


@kernel
def forward(
    u, x, B, C, z, y, A, weight, D, bias, begin, P, S, last, saved, added, kept,
    order, table, chunks, per_span, spans, blocks, groups, first, width, states, length, rank, one,
    OUTPUTS: tl.constexpr, FRESH: tl.constexpr, SOFTPLUS: tl.constexpr, SHARED: tl.constexpr,
    ADD: tl.constexpr, TIME: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One span of one block of channels; `launch.Scan` says what the arguments are."""
    b, span, g, block = place(blocks, groups, first, spans)
    n, i = tl.arange(0, STATES), tl.arange(0, TIME)
    rows, i, c = i[:, None], i * one, (block * BLOCK + tl.arange(0, BLOCK)).to(tl.int64) * one
    line, real = g * width + c, c < width
    known = (n[:, None] < states) & real[None, :]
    a = exponents(A, line, n, known, states)
    u0, x0, B0, C0 = origin(u, b, g), origin(x, b, g), origin(B, b, g), origin(C, b, g)
    if P is not None:
        p = read_state(P, b, span, line, n, known)
    if S is not None:
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
        if P is not None:
            h = tl.where(recap, p * h + s, h)
            keeps = tl.where(recap, p * keeps, keeps)
        # The next tile is asked for before the present one is computed: a program that waits for
        # its memory only once it needs it waits most of the time.
        inside = start + i < stop
        mask = inside[:, None] & real[None, :]
        at = moments(order, g, start + i, inside, length)
        next_u = read(u, u0, at, c, mask)
        next_raw = raw_steps(x, x0, at, c, inside, mask, weight, line, real, bias, rank)
        for t in range(start, stop, TIME):
            ut, dt = next_u, positive(next_raw, mask, SOFTPLUS)
            now, writes = at, mask
            inside = t + TIME + i < stop
            mask = inside[:, None] & real[None, :]
            at = moments(order, g, t + TIME + i, inside, length)
            next_u = read(u, u0, at, c, mask)
            next_raw = raw_steps(x, x0, at, c, inside, mask, weight, line, real, bias, rank)
            drive = dt * ut
            out = tl.zeros([TIME, BLOCK], tl.float32)
            for k in tl.static_range(TIME):
                there = t + k < stop
                moment = moments(order, g, t + k, there, length)
                bt = row(B, B0, moment, n, (n < states) & there)
                decay = exp2(a * pick(dt, rows, k)[None, :])
                # rounded once: decay ⊙ h rounded by itself drifts over thousands of tiny steps
                h = tl.fma(decay, s if FRESH else h, bt * pick(drive, rows, k)[None, :])
                if OUTPUTS:
                    ct = row(C, C0, moment, n, (n < states) & there)
                    out = tl.where(rows == k, tl.sum(ct * h, 0)[None, :], out)
            total += tl.sum(dt, 0)
            if OUTPUTS:
                out += d[None, :] * ut
                if z is not None:
                    gate = read(z, z0, now, c, writes)
                    out *= gate * tl.sigmoid(gate)
                goal = y0 + now[:, None] * y.time + c[None, :] * y.line
                if ADD:
                    out += tl.load(goal, writes, 0.0).to(tl.float32)
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
    begin, added, kept, passed, lines, first, width, blocks, spans, states, one,
    BACK: tl.constexpr, STATES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The state that each span starts from, (BACK: the gradient that each ends with), one after the
    other; `begin` is what the first starts from."""
    i = tl.program_id(0)
    b, c = (i // blocks).to(tl.int64), (i % blocks * BLOCK + tl.arange(0, BLOCK)) * one
    n, line = tl.arange(0, STATES), first * width + c
    known = (n[:, None] < states) & (c < lines)[None, :]
    h = tl.zeros([STATES, BLOCK], tl.float32)
    if begin is not None:
        h = read_state(begin, b, i * 0, line, n, known)
    for j in range(spans):
        span = spans - 1 - j if BACK else j
        write_state(passed, b, span, line, n, known, h)
        h = read_state(kept, b, span, line, n, known) * h
        h += read_state(added, b, span, line, n, known)
