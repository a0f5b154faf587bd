"""Reads data_samples/: the drawings and photographs that Emoji-20i scenes are composed of.

Every file is checked against the SHA-256 in MANIFEST.json before it is used, so a damaged
checkout stops with an error instead of quietly changing a benchmark.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np

MEND = "restore it with: git checkout -- data_samples"


def data_folder() -> Path:
    """The folder that HMNET_LITE_DATA names, or data_samples/ beside the package or in it.

    A checkout has it beside the package; an installed wheel has it inside.

    Raises:
        FileNotFoundError: there is no MANIFEST.json in it.
    """
    given = os.environ.get("HMNET_LITE_DATA")
    package = Path(__file__).resolve().parents[2]
    beside, inside = (place / "data_samples" for place in (package.parent, package))
    folder = Path(given) if given else inside if (inside / "MANIFEST.json").is_file() else beside
    if not (folder / "MANIFEST.json").is_file():
        wrong = f"HMNET_LITE_DATA={given}" if given else str(folder)
        raise FileNotFoundError(
            f"no MANIFEST.json in {wrong}, where Emoji-20i expects its tiles; install the package "
            "again, or set HMNET_LITE_DATA to the data_samples folder of a clone; if files were "
            f"deleted from one, {MEND}"
        )
    return folder.resolve()


@lru_cache(maxsize=8)
def manifest(folder: Path) -> dict[str, dict]:
    """File name -> its expected {"bytes", "sha256"}."""
    path = folder / "MANIFEST.json"
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not the JSON it should be ({error}); {MEND}") from None


def read(folder: Path, name: str) -> bytes:
    """The content of one listed file.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is truncated or altered.
    """
    path = folder / name
    expected = manifest(folder).get(name)
    if expected is None:
        raise ValueError(f"{folder / 'MANIFEST.json'} does not list {name}; {MEND}")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {MEND}")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected["sha256"]:
        raise ValueError(
            f"{path} is truncated or altered: it has {len(content)} bytes and SHA-256 "
            f"{digest[:12]}..., expected {expected['bytes']} bytes and "
            f"{expected['sha256'][:12]}...; {MEND}"
        )
    return content


def images(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Member name without suffix -> (H, W, 3 or 4) uint8, in an archive of lossless WebP."""
    from PIL import Image

    with zipfile.ZipFile(io.BytesIO(read(folder, name))) as archive:
        return {
            member.removesuffix(".webp"): np.asarray(Image.open(io.BytesIO(archive.read(member))))
            for member in sorted(archive.namelist())
        }


@lru_cache(maxsize=8)
def classes(folder: Path) -> tuple[dict, ...]:
    """The 80 classes: id (1..80), name, superclass, fold (0..3)."""
    return tuple(json.loads(read(folder, "classes.json"))["classes"])


@lru_cache(maxsize=16)
def tiles(folder: Path, style: str) -> dict[int, np.ndarray]:
    """Class id -> (128, 128, 4) uint8 drawing of one style, premultiplied by its alpha.

    Raises:
        ValueError: no such style.
    """
    known = [Path(name).stem for name in manifest(folder) if name.startswith("tiles/")]
    if known and style not in known:  # with an empty manifest, `read` knows what to say
        raise ValueError(f"style={style!r} is not known; choose one of {', '.join(known)}")
    result = {}
    for name, rgba in images(folder, f"tiles/{style}.zip").items():
        wide = rgba.astype(np.uint32)
        wide[..., :3] = (wide[..., :3] * wide[..., 3:] + 127) // 255
        result[int(name)] = wide.astype(np.uint8)
    return result


@lru_cache(maxsize=4)
def photographs(folder: Path, split: str) -> tuple[np.ndarray, ...]:
    """The background photographs of "train" or "test", (384, 384, 3) uint8 each."""
    return tuple(images(folder, f"backgrounds/{split}.zip").values())
