"""The repository keeps its word: pins, commands, licences, clean notebooks, few dependencies."""

import base64
import importlib.metadata as metadata
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

from tools.notebooks import in_order, strip
from tools.workbook import LOOKS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = {"torch", "numpy", "einops"}
NOTEBOOKS = in_order()


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of the repository's files")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# ---- versions -------------------------------------------------------------------------------


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonical(name): version for name, version in pairs}


def direct_requirements(*extras):
    """The core's requirements and those of the extras, without references to other extras."""
    texts = PROJECT["dependencies"] + [
        text for extra in extras for text in PROJECT["optional-dependencies"][extra]
    ]
    return [req for req in map(Requirement, texts) if req.name != PROJECT["name"]]


def test_every_pin_is_exact_and_listed_once():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    assert len(pins()) == len(lines)


def test_pins_satisfy_what_the_package_asks_for():
    for req in direct_requirements(*PROJECT["optional-dependencies"]):
        assert req.specifier.contains(pins()[canonical(req.name)]), str(req)


def test_the_environment_file_has_the_same_pins():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    from_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    assert {"--constraint constraints.txt", "--editable ."} <= set(from_pip)
    entries = (entry.split(";")[0] for entry in from_pip if not entry.startswith("--"))
    in_conda = dict(entry.split("==") for entry in entries)
    extras = [extra for extra in PROJECT["optional-dependencies"] if extra not in ("all", "gpu")]
    wanted = {canonical(req.name) for req in direct_requirements(*extras)}
    assert {canonical(name): version for name, version in in_conda.items()} == {
        name: pins()[name] for name in wanted
    }


def test_everything_that_is_installed_along_is_pinned():
    """Walks the installed requirements; CUDA libraries are torch's own business."""
    extras = [extra for extra in PROJECT["optional-dependencies"] if extra not in ("all", "gpu")]
    todo, seen = direct_requirements(*extras), set()
    while todo:
        req = todo.pop()
        name = canonical(req.name)
        if (name, *req.extras) in seen or re.match(r"nvidia-|cuda-", name):
            continue
        seen.add((name, *req.extras))
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # another platform's, or an extra that is not installed here
        assert pins().get(name) == found.version.split("+")[0], f"{name} {found.version}"
        for child in map(Requirement, found.requires or []):
            marker = child.marker
            if not marker or any(marker.evaluate({"extra": e}) for e in (*req.extras, "")):
                todo.append(child)
    assert {name for name, *_ in seen} >= CORE
    assert "torchvision" not in pins()


WITHOUT_THE_REST = """
import sys
allowed = {{*sys.stdlib_module_names, *{allowed!r}}}
finders = list(sys.meta_path)

class Allowed:
    @staticmethod
    def find_spec(name, path=None, target=None):
        # the build's settings are the standard library's, too, though its list leaves them out
        if name.partition(".")[0] in allowed or name.startswith("_sysconfigdata"):
            return next(filter(None, (f.find_spec(name, path, target) for f in finders)), None)

sys.meta_path[:] = [Allowed]  # every other package is as good as not installed
import torch
from hmnet_lite import HMNet, HMNetConfig, MambaMixer, selective_scan

u = torch.ones(1, 2, 8)
one = torch.ones(1, 1, 4, 8)
assert selective_scan(u, u, -torch.ones(2, 4), one, one).shape == u.shape
maps = torch.randn(2, 1, 16, 8, 8)
assert MambaMixer(16, depth=2)(*maps).shape == maps[0].shape
"""


def test_the_core_needs_torch_numpy_and_einops_only():
    allowed, todo = {"hmnet_lite", "hmnet_kernels"}, list(CORE)
    modules = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            modules.setdefault(canonical(owner), set()).add(module)
    while todo:
        name = todo.pop()
        for module in modules.pop(name, ()):
            allowed.add(module)
        with_markers = map(Requirement, metadata.requires(name) or [])
        children = [r for r in with_markers if not r.marker or r.marker.evaluate({"extra": ""})]
        todo += [n for r in children if (n := canonical(r.name)) in modules]
    code = WITHOUT_THE_REST.format(allowed=sorted(allowed))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# ---- README and commands --------------------------------------------------------------------


def makefile_targets():
    lines = (ROOT / "Makefile").read_text().splitlines()
    return {m[1]: m[2] for line in lines if (m := re.match(r"([a-z-]+):.*?(?:## (.+))?$", line))}


def test_help_tells_every_target():
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = makefile_targets()
    targets.pop("python")  # the check that the others begin with
    assert {"setup", "workbook", "test", "check", "lab", "figures", "bench", "clean"} < set(targets)
    for target, help_text in targets.items():
        assert help_text and f"make {target} " in told


def test_readme_names_only_targets_that_exist():
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"workbook", "test"} <= named <= set(makefile_targets())


def test_readme_commands_are_ones_that_exist():
    from hmnet_lite.commands.options import read

    commands = re.findall(r"^(?:`|\s*)(?:python -m hmnet_lite|hmnet) (.+?)$", README, re.MULTILINE)
    assert {shlex.split(command)[0] for command in commands} >= {"train", "evaluate", "compare"}
    for command in commands:
        name, *words = shlex.split(command)
        module = import_module(f"hmnet_lite.commands.{name.replace('-', '_')}")
        read(module.Options, words, f"hmnet {name}")


def test_readme_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"", README):
        assert (ROOT / "".join(link)).is_file(), link


def test_readme_maps_every_notebook():
    mapped = re.findall(r"\]\(notebooks/([^)/]+\.ipynb)\)", README)
    committed = [path for path in tracked_files() if path.parent == ROOT / "notebooks"]
    assert sorted(mapped) == sorted(p.name for p in committed if p.suffix == ".ipynb")


def readme_example(begins: str) -> str:
    """The Python example of the README that begins like this."""
    examples = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    (example,) = (text for text in examples if text.startswith(begins))
    return example


@pytest.mark.slow
def test_readme_masks_a_picture(tmp_path):
    """The two lines, on pictures of the names they use."""
    from PIL import Image

    for name, size in (("desk.jpg", (320, 200)), ("mug.jpg", (256, 256))):
        Image.effect_noise(size, 60).convert("RGB").save(tmp_path / name)
    mask = Image.new("L", (256, 256))
    mask.paste(255, (60, 70, 190, 200))
    mask.save(tmp_path / "mug.png")
    code = readme_example("import hmnet_lite\n") + "\nassert mask.shape == (200, 320), mask.shape"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_readme_example_runs():
    example = readme_example("import torch\n")
    code = example + "\nassert logits.shape == (1, 2, 256, 256), logits.shape"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    statements = [line for line in example.splitlines() if line]
    assert len(statements) == 6


# ---- files ----------------------------------------------------------------------------------

# Spelled so that this file does not hold what it looks for.
PLACES = re.compile(
    r"(?<![\w.~>])/(?:home|Users|root|work|tmp|mnt)/\w"
    r"|pypi\.(?:org|io)|pythonhosted|registry\.npm|download\.pytorch|anaconda\.org|index-url"
)


def test_no_file_names_a_registry_or_a_place_on_one_machine():
    found = []
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" not in data[:8000] and path != Path(__file__):
            lines = data.decode("utf-8").splitlines()
            found += [f"{path.name}:{n}" for n, line in enumerate(lines, 1) if PLACES.search(line)]
    assert found == []


def test_every_style_has_its_licence():
    from hmnet_lite.data.emoji.dataset import FLUENT_STYLES, TRAIN_STYLES

    licences = {path.name for path in (ROOT / "data_samples" / "licences").iterdir()}
    assert {f"{style}.txt" for style in (*TRAIN_STYLES, *FLUENT_STYLES)} <= licences
    assert (ROOT / "LICENSE").is_file()


def test_the_samples_stay_small():
    samples = ROOT / "data_samples"
    files = [path for path in tracked_files() if samples in path.parents]
    models = [path for path in files if samples / "checkpoints" in path.parents]
    assert sum(p.stat().st_size for p in files if p not in models) <= 12_000_000
    assert sum(p.stat().st_size for p in models) <= 14_000_000


@pytest.mark.slow  # `make check` looks by itself
@pytest.mark.parametrize("tool", LOOKS, ids=["lint", "format", "imports", "types"])
def test_lint_imports_and_types(tool):
    done = subprocess.run([sys.executable, *tool], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- notebooks ------------------------------------------------------------------------------


# A tag that no tool knows does nothing, silently: "check-output" would check no output.
TAGS = {"nbval-check-output", "nbval-skip", "raises-exception", "hide-input", "remove-input"}
TAGS |= {"hide-output", "remove-output", "hide-cell", "remove-cell"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_committed_clean(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    cleaned = nbformat.writes(strip(nbformat.reads(text, as_version=4)))
    assert text.rstrip("\n") == cleaned.rstrip("\n"), f"python tools/notebooks.py clean {path.name}"
    for cell in notebook.cells:
        assert set(cell.metadata.get("tags", [])) <= TAGS, cell.metadata.tags
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            for kind, data in output.get("data", {}).items():
                if kind in {"image/png", "image/jpeg"}:
                    size = len(base64.b64decode(data))
                    assert size <= 100_000, f"a picture of {size} bytes after: {cell.source[:80]}"


def test_the_notebooks_together_stay_small():
    assert sum(path.stat().st_size for path in NOTEBOOKS) <= 5_000_000
