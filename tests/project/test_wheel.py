"""The wheel holds all it takes: built, unpacked elsewhere and used without the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hmnet_lite import HMNet, HMNetConfig
from hmnet_lite.training.checkpoint import save_checkpoint

ROOT = Path(__file__).parents[2]


def test_every_package_is_listed():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {"hmnet_lite.data_samples"}
    for top, name in (("hmnet_lite", "hmnet_lite"), ("kernels", "hmnet_kernels")):
        for init in (ROOT / top).rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(ROOT / top).parts]))
    assert set(setuptools["packages"]) == found


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with nothing but the wheel's content, one network in it."""
    tmp = tmp_path_factory.mktemp("wheel")
    source = tmp / "source"
    for name in ("hmnet_lite", "kernels", "data_samples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    torch.manual_seed(0)
    model = HMNet(HMNetConfig(dim=16, depth=2, state=4))
    path = source / "data_samples" / "checkpoints" / "tiny.safetensors"
    save_checkpoint(model, path, fold=0, seed=0)
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*build, "-w", str(tmp)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp / "site")
    shutil.rmtree(source)
    return tmp / "site"


def run(installed, folder, *words):
    """A Python outside the checkout that finds the package in the unpacked wheel."""
    env = {**os.environ, "PYTHONPATH": str(installed), "HMNET_LITE_CACHE": str(folder / "cache")}
    env.pop("HMNET_LITE_DATA", None)
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(installed, tmp_path):
    script = (installed / "hmnet_lite-0.1.0.dist-info" / "entry_points.txt").read_text()
    assert "hmnet = hmnet_lite.commands.main:main" in script
    image = np.full((90, 70, 3), 100, np.uint8)
    image[20:60, 10:50] = (250, 40, 0)
    Image.fromarray(image).save(tmp_path / "s.png")
    Image.fromarray(image[:, ::-1]).save(tmp_path / "q.jpg")
    code = (
        "import hmnet_lite; print(hmnet_lite.__file__)\n"
        "from hmnet_lite.data import EmojiEpisodes\n"
        "print(EmojiEpisodes(0, 'test', gap='cross')[0].class_name)\n"
        "model = hmnet_lite.load('tiny')\n"
        "print(hmnet_lite.segment(model, 'q.jpg', 's.png', boxes=(10, 20, 50, 60)).shape)"
    )
    place, _, shape = run(installed, tmp_path, "-c", code).splitlines()
    assert Path(place).is_relative_to(installed) and shape == "(90, 70)"
    told = run(installed, tmp_path, "-m", "hmnet_lite", "info")
    assert "tiny" in told and f"emoji in {installed / 'hmnet_lite' / 'data_samples'}" in told
    segment = ["segment", "--support", "s.png", "--box", "10,20,50,60", "--query", "q.jpg"]
    segment += ["--model", "tiny", "--out", "masks"]
    assert "wrote 1 mask" in run(installed, tmp_path, "-m", "hmnet_lite", *segment)
    assert Image.open(tmp_path / "masks" / "q.png").size == (70, 90)
