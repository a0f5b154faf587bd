"""The benchmark's result as text, as a picture, and beside its targets."""

SMALL, LARGE = (2, 512, 16, 1024), (1, 2048, 16, 4096)  # the cases that targets are set for
OURS = ("reference", "chunked", "cpu", "triton")
KINDS = {"forward": "forward", "forward_backward": "forward + backward"}


def shape(case: dict) -> tuple[int, int, int, int]:
    return tuple(case[k] for k in ("batch", "channels", "state", "length"))


def table(case: dict) -> str:
    """One case: milliseconds, how many times as fast as the reference and as mambapy, how many
    times the floor, and the peak memory, in megabytes and in outputs."""
    title = " x ".join(map(str, shape(case)))
    lines = [f"\n{title}: floor of a forward {case['floor_milliseconds']:.1f} ms"]
    columns = ("milliseconds", "speed_up", "over_mambapy", "over_floor")
    columns += ("peak_megabytes", "memory_in_outputs")
    heads = ("ms", "x ref", "x mambapy", "/ floor", "peak MB", "outputs")
    for kind, words in KINDS.items():
        lines.append(f"  {words:<24}" + "".join(f"{head:>11}" for head in heads))
        for name, row in sorted(case[kind].items(), key=lambda item: -item[1]["milliseconds"]):
            values = (row.get(column) for column in columns)
            texts = (f"{'' if v is None else format(v, '.1f'):>11}" for v in values)
            lines.append(f"  {name:<24}" + "".join(texts))
    lines += [f"  without {what}: {why}" for what, why in case["skipped"].items()]
    return "\n".join(lines)


def error_table(errors: dict) -> str:
    """Largest error of values / of gradients, relative to a float64 loop's largest."""
    kinds = list(next(iter(errors.values()), {}))
    lines = [f"{'error: values / gradients':<26}" + "".join(f"{kind:>20}" for kind in kinds)]
    for name, row in errors.items():
        pairs = ((row[kind]["values"], row[kind]["gradients"]) for kind in kinds)
        texts = (" / ".join("-" if e is None else f"{e:.0e}" for e in pair) for pair in pairs)
        lines.append(f"{name:<26}" + "".join(f"{text:>20}" for text in texts))
    return "\n".join(lines)


def targets(result: dict) -> list[dict]:
    """What was aimed at and what was reached, as far as it was measured:
    {"what", "target", "reached", "met"}."""
    found = []

    def aim(what: str, sign: str, limit: float, reached: float | None) -> None:
        if reached is not None:
            met = reached >= limit if sign == ">=" else reached <= limit
            found.append({"what": what, "target": f"{sign} {limit:g}", "reached": reached})
            found[-1]["met"] = met

    for case in result["cases"]:
        if shape(case) not in (SMALL, LARGE):
            continue
        at = " x ".join(map(str, shape(case)))
        forward, both = case["forward"], case["forward_backward"]
        cpu, cpu_both = forward.get("cpu", {}), both.get("cpu", {})
        chunked, chunked_both = forward.get("chunked", {}), both.get("chunked", {})
        one = forward.get("cpu, 1 thread")
        threads = f"cpu, 1 to {result['machine']['threads']} threads, {at}"
        aim(f"cpu forward, times the reference, {at}", ">=", 120, cpu.get("speed_up"))
        aim(f"cpu forward, times mambapy, {at}", ">=", 40, cpu.get("over_mambapy"))
        aim(f"cpu forward over the floor, {at}", "<=", 3, cpu.get("over_floor"))
        aim(f"cpu forward, memory in outputs, {at}", "<=", 1.5, cpu.get("memory_in_outputs"))
        aim(f"cpu with backward, times linear, {at}", ">=", 14, cpu_both.get("speed_up"))
        if shape(case) == LARGE:
            over_mambapy = cpu_both.get("over_mambapy")
            aim(f"cpu with backward, times mambapy, {at}", ">=", 35, over_mambapy)
        in_outputs = cpu_both.get("memory_in_outputs")
        aim(f"cpu with backward, memory in outputs, {at}", "<=", 4, in_outputs)
        aim(f"chunked forward, times the reference, {at}", ">=", 15, chunked.get("speed_up"))
        aim(f"chunked with backward, times linear, {at}", ">=", 3, chunked_both.get("speed_up"))
        if one and result["machine"]["threads"] == 2:
            aim(threads, ">=", 1.75, round(one["milliseconds"] / cpu["milliseconds"], 2))
    start = result.get("start_up") or {}
    aim("cpu, seconds of a first call, compiling", "<=", 15, start.get("compiling"))
    aim("cpu, seconds of a later process's first call", "<=", 1, start.get("cached"))
    for name in OURS:
        for what, ordinary, stress in (("values", 1e-6, 1e-5), ("gradients", 1e-5, 1e-4)):
            row = result["errors"].get(name, {})
            worst = [e[what] for kind, e in row.items() if kind != "ordinary"]
            aim(f"{name}, error of {what}", "<=", ordinary, row.get("ordinary", {}).get(what))
            aim(f"{name}, error of {what} under stress", "<=", stress, max(worst, default=None))
    return found


def target_table(rows: list[dict]) -> str:
    lines = [f"{'':<56}{'target':>10}{'reached':>10}"]
    for row in rows:
        note = "" if row["met"] else "   missed"
        lines.append(f"{row['what']:<56}{row['target']:>10}{row['reached']:>10.3g}{note}")
    return "\n".join(lines)


def draw(result: dict):
    """A matplotlib Figure, one panel a case: milliseconds on a log axis, with the floor."""
    from matplotlib.figure import Figure

    cases = result["cases"]
    names = sorted(  # slowest on top
        {name for case in cases for name in case["forward"]},
        key=lambda n: min(c["forward"][n]["milliseconds"] for c in cases if n in c["forward"]),
    )
    figure = Figure(figsize=(2.6 * len(cases) + 1.5, 3.4), layout="constrained")
    panels = figure.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for panel, case in zip(panels, cases, strict=True):
        for (kind, label), marker, fill in zip(KINDS.items(), "os", ("C0", "none"), strict=True):
            rows = [(case[kind][n]["milliseconds"], names.index(n)) for n in case[kind]]
            panel.scatter(*zip(*rows, strict=True), marker=marker, facecolor=fill, edgecolor="C0",
                          label=label)  # fmt: skip
        panel.axvline(case["floor_milliseconds"], color="0.3", ls="--", label="floor, forward")
        panel.set(xscale="log", xlabel="milliseconds")
        panel.set_yticks(range(len(names)), names)
        panel.set_title(" x ".join(map(str, shape(case))), fontsize=10)
        panel.grid(axis="both", alpha=0.3)
    handles = panels[-1].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=9)
    return figure
