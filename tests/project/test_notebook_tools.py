"""Notebooks run, are cleaned, are compared with their saved outputs, and become pages."""

import base64
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import notebooks

ROOT = Path(__file__).resolve().parents[2]
PIXEL = base64.b64encode(b"\x89PNG not really").decode()


def write(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells), metadata=notebooks.METADATA), path)
    return path


def test_cleaning_strips_what_changes_and_keeps_the_rest():
    outputs = [
        new_output("stream", name="stderr", text="100%|####| 3/3 [00:01]"),
        new_output("execute_result", {"text/plain": "<Axes at 0x7f12ab>"}, execution_count=7),
        new_output("stream", text=f"kept in {Path.home()}/.cache"),
    ]
    timed = {"tags": ["nbval-check-output"], "execution": {"iopub.execute_input": "12:00"}}
    cell = new_code_cell("1", execution_count=7, outputs=outputs, metadata=timed)
    notebook = notebooks.strip(new_notebook(cells=[cell], metadata={"widgets": {}, "vscode": 1}))
    output, printed = notebook.cells[0].outputs
    assert printed.text == "kept in ~/.cache"
    assert output["data"] == {"text/plain": "<Axes>"}
    assert output.execution_count is None and notebook.cells[0].execution_count is None
    assert notebook.cells[0].metadata == {"tags": ["nbval-check-output"]}
    assert notebook.metadata == notebooks.METADATA


def test_a_widget_becomes_its_picture_and_a_word_on_its_controls():
    image = {"model_name": "ImageModel", "state": {"format": "png"}}
    image["buffers"] = [{"data": PIXEL, "path": ["value"], "encoding": "base64"}]
    slider = {"model_name": "IntSliderModel", "state": {"description": "shots:", "value": 1}}
    box = {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_s", "IPY_MODEL_i"]}}
    state = {notebooks.WIDGET_STATE: {"state": {"b": box, "s": slider, "i": image}}}
    view = new_output("display_data", {notebooks.WIDGET_VIEW: {"model_id": "b"}})
    cell = new_code_cell("box", outputs=[view])
    notebook = new_notebook(cells=[cell], metadata={"widgets": state})
    notebooks.freeze_widgets(notebook)
    picture, words = cell.outputs
    assert picture["data"] == {"image/png": PIXEL}
    assert "shots." in words["data"]["text/markdown"]
    assert "widgets" not in notebook.metadata


def test_a_failing_cell_is_named(tmp_path):
    path = write(tmp_path / "a.ipynb", new_code_cell("x = 1"), new_code_cell("x / 0"))
    ran, problem = notebooks.execute(path)
    assert problem == "cell 2: ZeroDivisionError: division by zero"
    assert ran.cells[1].outputs[0].ename == "ZeroDivisionError"


def test_a_dying_kernel_is_told(tmp_path):
    path = write(tmp_path / "a.ipynb", new_code_cell("import os; os._exit(1)"))
    assert notebooks.execute(path)[1] == "cell 1: the kernel died (out of memory?)"


@pytest.mark.slow
def test_ctrl_c_ends_quietly(tmp_path):
    endless = new_code_cell("open('started', 'w').close()\nimport time; time.sleep(60)")
    write(tmp_path / "notebooks" / "a.ipynb", endless)
    (tmp_path / "tools").mkdir()
    (tmp_path / "constraints.txt").touch()
    shutil.copy(notebooks.__file__, tmp_path / "tools")
    command = [sys.executable, "-u", "tools/notebooks.py", "run"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **pipes)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "notebooks" / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(running.pid, signal.SIGINT)
        assert running.communicate(timeout=60)[0] == ""
    finally:
        running.kill()
    assert running.returncode == 130


def test_a_kernel_gets_one_thread_or_as_many_as_it_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cell = new_code_cell("import os; print(os.environ['OMP_NUM_THREADS'])")
    path = write(tmp_path / "a.ipynb", cell)
    for threads, expected in ((None, "1"), (2, "2")):
        ran, _ = notebooks.execute(path, threads=threads, last="print('last')")
        assert [c.outputs[0].text for c in ran.cells] == [f"{expected}\n", "last\n"]


def test_an_endless_cell_is_stopped(tmp_path):
    path = write(tmp_path / "a.ipynb", new_code_cell("while True: pass"))
    assert notebooks.execute(path, timeout=2)[1] == "cell 1 took longer than 2 s and was stopped"


@pytest.mark.slow
def test_what_has_not_changed_is_not_run_again(tmp_path, monkeypatch, capsys):
    for name in ("notebooks", "executed"):
        monkeypatch.setattr(notebooks, name.upper(), tmp_path / name)
    first = write(tmp_path / "notebooks" / "00_a.ipynb", new_code_cell("2"))
    write(tmp_path / "notebooks" / "solutions" / "00_a.ipynb", new_code_cell("1"))

    def run():
        """How many failed, and the word that each notebook's line has after its name."""
        failed = notebooks.run_all()
        lines = capsys.readouterr().out.splitlines()
        return failed, [line.split()[2] for line in lines if line.startswith("[")]

    failed, seconds = run()
    assert failed == 0 and all(word.isdigit() for word in seconds)
    assert run() == (0, ["unchanged", "unchanged"])
    write(first, new_code_cell("1 / 0"))
    assert run() == (1, ["FAILED", "unchanged"])
    assert run() == (1, ["FAILED", "unchanged"])  # a failure is not remembered as done


@pytest.mark.slow
@pytest.mark.parametrize("saved, passes", [("2\n", True), ("3\n", False)])
def test_nbval_compares_outputs_committed_without_counts(tmp_path, saved, passes):
    output = new_output("stream", text=saved)
    tagged = {"tags": ["nbval-check-output"]}
    path = write(tmp_path / "a.ipynb", new_code_cell("print(1 + 1)", outputs=[output]))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata = tagged
    nbformat.write(notebook, path)
    options = ["--nbval-lax", "--nbval-current-env", "-p", "conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", path, *options], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode == 0) == passes, done.stdout
