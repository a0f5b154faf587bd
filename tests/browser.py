"""Notebooks in JupyterLab in a real Chromium, for tests that move widgets as a reader would.

    with lab.open("import numpy as np", "widget(...)") as page:
        page.run_all()
        before = page.picture()
        page.press("ArrowRight", slider=0)
        page.wait_for_other_picture(before)
        assert page.errors == []

`start_lab` starts one JupyterLab and one Chromium for all tests of a module; every notebook has a
window and a kernel of its own. Without a Chromium the tests skip and say so. While Chromium is
held open no other event loop can run, so a module has one for all of its tests, or one for each.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A browser that minds its own business: no updates, no sync, no first-run pages.
QUIET = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
)
# No saving behind a test's back.
LAB_SETTINGS = {"docmanager-extension/plugin": '{"autosave": false}'}
DEFAULTS = Path(__file__).parents[1] / "tools" / "jupyter"  # as `make lab` has them
READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    return panel?.context?.isReady && panel.sessionContext?.session?.kernel?.status === "idle";
}"""
SHUT_DOWN = "() => window.jupyterapp.serviceManager.sessions.shutdownAll()"
RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
ERRORS = """() => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells
    .flatMap(cell => cell.outputs ?? []).filter(output => output.output_type === "error")
    .map(output => `${output.ename}: ${output.evalue}`)"""


class NotebookPage:
    """An open notebook or page, from the file `path`.

    `errors` collects what the browser's console reports as an error.

    `page` is Playwright's, for whatever is not covered here.
    """

    def __init__(self, page, path: Path):
        self.page, self.path = page, path
        self.errors: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _hear(self, said) -> None:
        # JupyterLab asks for language servers, sooner or later, and nobody has to have any
        if said.type == "error" and "/lsp/status" not in said.location.get("url", ""):
            self.errors.append(said.text)

    def run_all(self, timeout: float = 90) -> None:
        """Run every cell and wait, `timeout` seconds at most, until the kernel is idle."""
        self.page.set_default_timeout(1000 * timeout)
        succeeded = self.page.evaluate(RUN_ALL)
        self.page.wait_for_function(READY)
        failures = self.page.evaluate(ERRORS)
        assert succeeded and not failures, f"cells failed: {failures}"

    def save(self) -> None:
        """Write the notebook with its outputs, as Ctrl-S does."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def press(self, key: str, slider: int = 0) -> None:
        """Focus a slider's handle (counted from the top of the page) and press a key on it."""
        handle = self.page.locator(".noUi-handle").nth(slider)
        handle.scroll_into_view_if_needed()
        handle.focus()
        handle.press(key)

    def picture(self, index: int = 0) -> str:
        """What an Image widget shows now: its address, new with each new picture."""
        image = self.page.locator(".jupyter-widgets.widget-image").nth(index)
        image.wait_for()
        return image.get_attribute("src")

    def wait_for_other_picture(self, before: str, index: int = 0, timeout: float = 10) -> str:
        """Wait until an Image widget shows something else than `before`; return that."""
        end = time.monotonic() + timeout
        while (now := self.picture(index)) == before:
            assert time.monotonic() < end, f"picture {index} stayed the same for {timeout} s"
            self.page.wait_for_timeout(50)
        return now

    def screenshot(self, path: Path) -> Path:
        """Save what the window shows as a PNG."""
        self.page.screenshot(path=path)
        return path


class Lab:
    """A running JupyterLab and the Chromium that looks at it."""

    def __init__(self, chromium, folder: Path, address: str, token: str):
        self.chromium, self.folder, self.address, self.token = chromium, folder, address, token
        self.opened = 0

    @contextlib.contextmanager
    def open_file(self, path: Path, **window) -> Iterator[NotebookPage]:
        """Open a page of this machine, without a server, in a window of its own."""
        context = self.chromium.new_context(viewport={"width": 1000, "height": 900}, **window)
        try:
            opened = NotebookPage(context.new_page(), path)
            opened.page.goto(path.as_uri())
            yield opened
        finally:
            context.close()

    @contextlib.contextmanager
    def open(self, *cells: str) -> Iterator[NotebookPage]:
        """Open a new notebook with these code cells in a window of its own."""
        self.opened += 1
        path = self.folder / "notebooks" / f"{self.opened:02d}.ipynb"
        with self.open_again(write_notebook(path, *cells)) as opened:
            yield opened

    @contextlib.contextmanager
    def open_again(self, path: Path) -> Iterator[NotebookPage]:
        """Open a notebook as it lies in the lab's folder, with a kernel that has run nothing."""
        window = self.chromium.new_context(viewport={"width": 1200, "height": 900})
        try:
            opened = NotebookPage(window.new_page(), path)
            where = f"lab/tree/notebooks/{path.name}?reset&token={self.token}"
            opened.page.goto(f"{self.address}/{where}")
            opened.page.wait_for_function(READY, timeout=60_000)
            yield opened
            opened.page.evaluate(SHUT_DOWN)
        finally:
            window.close()


@contextlib.contextmanager
def start_lab(folder: Path) -> Iterator[Lab]:
    """One JupyterLab and one Chromium.

    Args:
        folder: an empty folder; notebooks lie in its `notebooks/`.
    """
    (folder / "notebooks").mkdir()
    with start_chromium() as chromium, _jupyterlab(folder) as (address, token):
        yield Lab(chromium, folder, address, token)


@contextlib.contextmanager
def start_chromium() -> Iterator:
    """A Chromium, Playwright's; skips where there is none."""
    browser = find_browser()
    if not browser:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # root cannot have Chromium's sandbox
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=[*QUIET, *sandbox])
        try:
            yield chromium
        finally:
            chromium.close()


def write_notebook(path: Path, *cells: str) -> Path:
    """A notebook of these code cells; returns its path."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata=kernel), path)
    return path


def find_browser() -> str | None:
    """An installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextlib.contextmanager
def _jupyterlab(folder: Path) -> Iterator[tuple[str, str]]:
    """A server on a free port of this machine, with none of the user's settings."""
    private = folder / "jupyter"
    for name, text in LAB_SETTINGS.items():
        path = private / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    homes = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "run", "IPYTHONDIR": "ipython"}
    homes |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    env = os.environ | {name: str(private / home) for name, home in homes.items()}
    env["JUPYTER_CONFIG_PATH"] = str(DEFAULTS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, token, log = f"http://127.0.0.1:{port}", secrets.token_hex(16), private / "log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    command += [f"--IdentityProvider.token={token}", "--allow-root"]
    with log.open("w") as output:
        server = subprocess.Popen(
            command, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_up(f"{address}/api", server, log)
        yield address, token
    finally:
        server.terminate()  # it ends its kernels, too
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_until_up(address: str, server: subprocess.Popen, log: Path, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}") from None
            time.sleep(0.1)
