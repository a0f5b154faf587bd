"""What a benchmark found, to read and to look at."""

from pathlib import Path


def table(case: dict) -> str:
    """Milliseconds, times as fast as the reference and as mambapy, times the floor, peak memory in
    megabytes and in outputs."""
    shape = " x ".join(str(case[k]) for k in ("batch", "channels", "state", "length"))
    lines = [f"\n{shape}: floor of a forward {case['floor_milliseconds']:.1f} ms"]
    columns = {"milliseconds": "ms", "speed_up": "x ref", "speed_up_pscan": "x mambapy"}
    columns |= {"times_floor": "/ floor", "peak_megabytes": "peak MB", "times_output": "outputs"}
    for kind in ("forward", "forward_backward"):
        lines.append(f"  {kind:<24}" + "".join(f"{head:>11}" for head in columns.values()))
        for name, row in sorted(case[kind].items(), key=lambda item: -item[1]["milliseconds"]):
            values = (row.get(column) for column in columns)
            cells = (f"{'' if value is None else f'{value:.1f}':>11}" for value in values)
            lines.append(f"  {name:<24}" + "".join(cells))
    lines += [f"  without {what}: {why}" for what, why in case["skipped"].items()]
    return "\n".join(lines)


def draw(result: dict, path: Path) -> None:
    """One panel a case: milliseconds on a log axis, with the floor."""
    from matplotlib.figure import Figure

    cases = result["cases"]
    figure = Figure(figsize=(3.2 * len(cases) + 1.5, 3.2), layout="constrained")
    panels = figure.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    names = sorted({name for case in cases for name in case["forward"]})
    for panel, case in zip(panels, cases, strict=True):
        for kind, marker, fill in (("forward", "o", "C0"), ("forward_backward", "s", "none")):
            rows = {n: case[kind][n]["milliseconds"] for n in names if n in case[kind]}
            label = kind.replace("_", " + ")
            panel.scatter(rows.values(), rows.keys(), marker=marker, facecolor=fill,
                          edgecolor="C0", label=label)  # fmt: skip
        panel.axvline(case["floor_milliseconds"], color="C3", ls="--", label="floor, forward")
        panel.set(xscale="log", xlabel="milliseconds")
        shape = (case[k] for k in ("batch", "channels", "state", "length"))
        panel.set_title(" x ".join(map(str, shape)), fontsize=10)
        panel.grid(axis="x", alpha=0.3)
    handles = panels[-1].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=110)
