"""Run notebooks from fresh kernels, and keep the committed ones clean.

notebooks.py run                  all of them, in order, into build/notebooks; what has not changed
                                  is skipped
notebooks.py refresh NOTEBOOK...  run in place and keep the outputs: before each commit
notebooks.py keep NOTEBOOK...     run, and keep in figures/ the numbers that its figures show
notebooks.py clean NOTEBOOK...    strip what changes from run to run, keep the outputs

Kernels get one numeric thread, unless OMP_NUM_THREADS says otherwise: the tensors are small.
"""

import argparse
import base64
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
EXECUTED = ROOT / "build" / "notebooks"

THREADS = {f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
KEEP = "from hmnet_lite.workbook import make\nprint(*make.keep())"
CELL_TIMEOUT = 600  # seconds; a cell takes 90 at most on two cores, and laptops differ
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
LIVE = '<div data-live="'  # what lives on a page by itself
KEPT_CELL_METADATA = {"tags", "jupyter", "slideshow"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


# ---- running --------------------------------------------------------------------------------


def in_order(folder: Path | None = None) -> list[Path]:
    """The notebooks (in notebooks/, if no folder is given) as they are read: solutions last."""
    found = (folder or NOTEBOOKS).rglob("*.ipynb")
    found = (path for path in found if ".ipynb_checkpoints" not in path.parts)
    return sorted(found, key=lambda path: (len(path.parts), path))


def execute(
    path: Path,
    timeout: int = CELL_TIMEOUT,
    at_cell: Callable[[int, int], None] | None = None,
    *,
    last: str = "",
    threads: int | None = None,
) -> tuple[NotebookNode, str]:
    """Run one notebook from a fresh kernel, in its own folder.

    Args:
        path: of the notebook; the file stays as it is.
        timeout: seconds that one cell may take.
        at_cell: called with a cell's number and the number of cells.
        last: code to run after the last cell.
        threads: numeric threads of the kernel; by default what the environment says, else one.

    Returns:
        the notebook with its outputs, and what went wrong in one line ("" if nothing did).
    """
    notebook = nbformat.read(path, as_version=4)
    strip(notebook, outputs=True)
    if last:
        notebook.cells.append(nbformat.v4.new_code_cell(last))
    wanted = THREADS | (dict.fromkeys(THREADS, str(threads)) if threads else {})
    env = {**wanted, **os.environ, **(wanted if threads else {})}
    current = 0

    def started(cell: NotebookNode, cell_index: int) -> None:
        nonlocal current
        current = cell_index + 1
        if at_cell:
            at_cell(current, len(notebook.cells))

    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=started,
    )
    try:
        client.execute(
            stderr=subprocess.DEVNULL, env=env
        )  # the kernel's own log; cells' stderr is kept
    except CellExecutionError as error:
        return notebook, f"cell {current}: {error.ename}: {error.evalue}".splitlines()[0]
    except CellTimeoutError:
        return notebook, f"cell {current} took longer than {timeout} s and was stopped"
    except DeadKernelError:
        return notebook, f"cell {current}: the kernel died (out of memory?)"
    except AssertionError:  # how nbclient ends when it is interrupted: it has dropped its kernel
        if client.km is None:
            raise KeyboardInterrupt from None
        raise
    return notebook, ""


def run_all() -> int:
    """Run every notebook that changed, itself or what it imports, since it last succeeded.

    Returns:
        how many failed.
    """
    ipython = EXECUTED.parent / "ipython"  # not the reader's own settings and history
    ipython.mkdir(parents=True, exist_ok=True)
    os.environ["IPYTHONDIR"] = str(ipython)
    paths, shared, failed = in_order(), _shared_digest(), 0
    for number, path in enumerate(paths, 1):
        name = path.relative_to(NOTEBOOKS)
        line = f"[{number}/{len(paths)}] {name!s:<40}"
        target = EXECUTED / name
        key, record = _digest(path, shared), _record(target)
        if record.get("key") == key:
            _say(f"{line} unchanged ({record['seconds']:.0f} s when it last ran)")
            continue
        _record_path(target).unlink(missing_ok=True)
        started = time.monotonic()
        notebook, problem = execute(path, at_cell=lambda n, of, line=line: _tick(line, n, of))
        seconds = time.monotonic() - started
        freeze_widgets(notebook)
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
        if problem:
            failed += 1
            _say(f"{line} FAILED after {seconds:.0f} s in {problem}")
            _say(f"      see where: {os.path.relpath(target)}")
            continue
        record = {"key": key, "seconds": seconds}
        _record_path(target).write_text(json.dumps(record, indent=1))
        _say(f"{line} {seconds:4.0f} s")
    return failed


def _digest(path: Path, shared: str) -> str:
    """What decides a notebook's outputs: its cells (not their outputs) and all it can import."""
    cells = nbformat.read(path, as_version=4).cells
    text = json.dumps([[cell.cell_type, cell.source] for cell in cells])
    return hashlib.sha256((shared + text).encode()).hexdigest()


def _shared_digest() -> str:
    files = [ROOT / "constraints.txt"]
    for folder in ("hmnet_lite", "kernels", "notebooks"):
        files += sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".js", ".css"))
    for folder in ("data_samples", "figures"):  # figures/*.json: numbers that notebooks read
        files += sorted(path for path in (ROOT / folder).rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _record_path(target: Path) -> Path:
    return target.with_suffix(".json")


def _record(target: Path) -> dict:
    """What is known of the last successful run; empty after none."""
    path = _record_path(target)
    return json.loads(path.read_text()) if path.exists() and target.exists() else {}


def _tick(line: str, cell: int, cells: int) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{line} cell {cell} of {cells}", end="", flush=True)


def _say(line: str) -> None:
    print(("\r\033[K" if sys.stdout.isatty() else "") + line, flush=True)


# ---- widgets as pictures --------------------------------------------------------------------


def freeze_widgets(notebook: NotebookNode) -> None:
    """Put each widget's first picture, and a word on its controls, where the live widget was.

    Pages and rendered HTML have no kernel, so a live widget would be an empty box there.
    Drops the widget state from the metadata.
    """
    state = notebook.metadata.pop("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = []
            for output in cell.outputs:
                view = output.get("data", {}).get(WIDGET_VIEW)
                if view is not None:
                    outputs += _frozen(state, view["model_id"])
                    del output.data[WIDGET_VIEW]
                    if not any(kind.startswith("image/") for kind in output.data):
                        continue  # a widget with a still of its own is kept as that
                outputs.append(output)
            cell.outputs = outputs


def _frozen(state: dict, root: str) -> list[NotebookNode]:
    """A widget's pictures and text, then one line that names what can be moved."""
    models = list(_tree(state, root))
    controls = [
        model["state"]["description"].rstrip(": ")
        for model in models
        if model["state"].get("description") and model["model_name"] != "ImageModel"
    ]
    shown = []
    for model in models:
        values = model["state"]
        if model["model_name"] == "ImageModel":
            kind = f"image/{values.get('format', 'png')}"
            alt = {kind: {"alt": f"The first picture of a widget with {', '.join(controls)}"}}
            for buffer in model.get("buffers", []):
                data = {kind: buffer["data"]}
                shown.append(nbformat.v4.new_output("display_data", data=data, metadata=alt))
        elif model["model_name"] == "OutputModel":
            shown += map(nbformat.from_dict, values.get("outputs", []))
    if controls:
        note = f"*A live widget in JupyterLab (`make lab`): {', '.join(controls)}.*"
        data = {"text/markdown": note, "text/plain": note}
        shown.append(nbformat.v4.new_output("display_data", data=data))
    return shown


def _tree(state: dict, model_id: str) -> Iterator[dict]:
    if model_id in state:
        yield state[model_id]
        for child in state[model_id]["state"].get("children", []):
            yield from _tree(state, child.removeprefix("IPY_MODEL_"))


# ---- cleaning -------------------------------------------------------------------------------


def strip(notebook: NotebookNode, *, outputs: bool = False) -> NotebookNode:
    """Remove counts, timings, addresses, homes and progress bars; `outputs`: the outputs, too.

    Of a live picture (`workbook/widgets/live.py`) the still is kept, not its data.
    """
    freeze_widgets(notebook)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in cell.metadata if key in KEPT_CELL_METADATA}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        cell.outputs = [] if outputs else [o for o in cell.outputs if o.get("name") != "stderr"]
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = None
            if output.output_type == "stream":  # where a cache lies is a reader's own affair
                output.text = output.text.replace(str(Path.home()), "~")
            if LIVE in output.get("data", {}).get("text/html", ""):
                del output.data["text/html"]
            for kind, text in output.get("data", {}).items():
                if kind.startswith("text/") and isinstance(text, str):
                    output.data[kind] = re.sub(r" at 0x[0-9a-f]+", "", text)
    return notebook


def clean(path: Path) -> None:
    """Clean the file in place; writes only if something changes."""
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.writes(notebook)
    after = nbformat.writes(strip(notebook))
    if after != before:
        path.write_text(after + "\n", encoding="utf-8")


def refresh(path: Path) -> str:
    """Run a notebook and write it back, clean, with its outputs; nothing is written on failure."""
    notebook, problem = execute(path)
    if not problem:
        path.write_text(nbformat.writes(strip(notebook)) + "\n", encoding="utf-8")
        for size in sorted(_picture_sizes(notebook), reverse=True)[:1]:
            print(f"{path.name}: largest picture {size / 1000:.0f} kB (100 at most)", flush=True)
    return problem


def keep(path: Path) -> str:
    """Run a notebook and write the numbers its figures show, and the figures, into figures/."""
    notebook, problem = execute(path, last=KEEP)
    if not problem:
        print(f"{path.name}: {notebook.cells[-1].outputs[0].text.strip()}", flush=True)
    return problem


def _picture_sizes(notebook: NotebookNode) -> Iterator[int]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind, data in output.get("data", {}).items():
                if kind.startswith("image/") and kind != "image/svg+xml":
                    yield len(base64.b64decode(data))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run")
    each = {"refresh": refresh, "keep": keep, "clean": clean}
    for name in each:
        commands.add_parser(name).add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "run":
        return min(run_all(), 1)
    problems = 0
    for path in map(Path.resolve, options.notebooks):
        if problem := each[options.command](path):
            print(f"{path.name} is left as it was: {problem}", file=sys.stderr)
            problems = 1
    return problems


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what nbclient leaves on Ctrl-C
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
