"""Render README and the executed notebooks (build/notebooks) as one HTML book (build/book)."""

import hashlib
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from PIL import Image, UnidentifiedImageError

from book_check import faults
from book_pages import contents, gallery, reference
from notebooks import EXECUTED, ROOT, in_order

SETTINGS = ROOT / "book"
SOURCE = ROOT / "build" / "book-source"
BOOK = ROOT / "build" / "book"
PACKAGE = ROOT / "hmnet_lite"
LOG = ROOT / "build" / "book.log"
LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)|(?:src|href)=\"([^\":#]+)\"")
PNG = re.compile(r"(figures/\w+)\.png")
IMAGE = re.compile(r"(_images/)([^\s\"'<>?#]+\.png)")

TABLE_OF_CONTENTS = """
```{{toctree}}
:hidden:
:caption: {caption}

{entries}
```
"""


def gather(source: Path = SOURCE) -> str:
    """Lay out the book's source as in the repository, so that every relative link holds.

    Returns:
        a digest of everything the rendering depends on.
    """
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(SETTINGS, source, ignore=shutil.ignore_patterns("__pycache__"))
    pages = in_order(EXECUTED)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    texts = [readme]
    _copy_linked(readme, ROOT, source)
    _copy_linked((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), ROOT, source)
    for page in pages:
        target = source / "notebooks" / page.relative_to(EXECUTED)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, target)
        cells = nbformat.read(page, as_version=4).cells
        texts += [cell.source for cell in cells]
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        _copy_linked(text, ROOT / "notebooks" / page.relative_to(EXECUTED).parent, source)
    names = [f"notebooks/{page.relative_to(EXECUTED).with_suffix('')}" for page in pages]
    solutions = [name for name in names if name.startswith("notebooks/solutions")]
    caption_entries = {
        "Notebooks": [name for name in names if name not in solutions],
        "Look up": _lay_out_pages(readme, texts, source),
        "Solutions": solutions,
    }
    for caption, entries in caption_entries.items():
        if entries:
            readme += TABLE_OF_CONTENTS.format(caption=caption, entries="\n".join(entries))
    readme = PNG.sub(r"\1.webp", readme)  # as the gallery shows them
    (source / "index.md").write_text(readme, encoding="utf-8")
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())  # the reference is read from it
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _lay_out_pages(readme: str, texts: list[str], source: Path) -> list[str]:
    """Write the gallery and the reference; returns what the reader may look up, as page names."""
    looked_up = [f"notebooks/{page.stem}" for page in sorted((ROOT / "notebooks").glob("*.md"))]
    for page in looked_up:
        shutil.copy(ROOT / f"{page}.md", source / f"{page}.md")
    (source / "figures").mkdir(exist_ok=True)
    for picture in (ROOT / "figures").glob("*.png"):
        (source / "figures" / f"{picture.stem}.webp").write_bytes(_smaller(picture))
    text = gallery(ROOT / "figures", EXECUTED, readme)
    (source / "gallery.md").write_text(text, encoding="utf-8")
    rooms = reference(PACKAGE, texts)
    (source / "api").mkdir()
    for name, text in (rooms | {"index": contents(rooms)}).items():
        (source / "api" / f"{name}.rst").write_text(text, encoding="utf-8")
    return [*looked_up, "gallery", "api/index", "CONTRIBUTING"]


def _smaller(picture: Path) -> bytes:
    """A picture as WebP, in half the bytes: lines and letters without loss, photographs with it."""
    image, kinds = Image.open(picture), [io.BytesIO(), io.BytesIO()]
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.save(kinds[0], "webp", quality=85)
    image.save(kinds[1], "webp", lossless=True, method=2)
    return min((kind.getvalue() for kind in kinds), key=len)


def _copy_linked(text: str, folder: Path, source: Path) -> None:
    """Copy the repository's files that a text links to (pictures, code, licences)."""
    for groups in LINK.findall(text):
        path = (folder / "".join(groups)).resolve()
        if path.is_file() and path.is_relative_to(ROOT) and path.suffix != ".ipynb":
            target = source / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def render(source: Path = SOURCE, book: Path = BOOK) -> int:
    """Run Sphinx; what it has to say goes to build/book.log. Returns its exit status."""
    shutil.rmtree(book, ignore_errors=True)
    doctrees = source.parent / "doctrees"
    command = [sys.executable, "-m", "sphinx", "--quiet", "--builder", "html"]
    command += ["--fresh-env", "--doctree-dir", doctrees, source, book]
    with LOG.open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 0:
        _shrink(book)
    return done.returncode


def _shrink(book: Path) -> None:
    """Pictures that notebooks drew, as WebP where that is smaller, and so named in every page."""
    smaller = {}
    for picture in sorted((book / "_images").glob("*.png")):
        try:
            small = _smaller(picture)
        except UnidentifiedImageError:  # a reader sees that; it is not for here to fail
            continue
        if len(small) < picture.stat().st_size:
            picture.with_suffix(".webp").write_bytes(small)
            picture.unlink()
            smaller[picture.name] = picture.with_suffix(".webp").name
    for page in book.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        named = IMAGE.sub(lambda found: found[1] + smaller.get(found[2], found[2]), text)
        if named != text:
            page.write_text(named, encoding="utf-8")


def main(arguments: list[str]) -> int:
    digest, stamp = gather(), BOOK / "made-from"
    if not (stamp.is_file() and stamp.read_text() == digest):
        if status := render():
            print(f"The book could not be rendered; see {LOG.relative_to(ROOT)}", file=sys.stderr)
            return status
        stamp.write_text(digest)
    for fault in faults(BOOK):  # said again until it is mended
        print(f"The book: {fault}", file=sys.stderr)
    if arguments == ["--after-failure"]:
        print("Some notebooks failed (above). What ran is in build/book/index.html.")
        return 1
    print(f"""
The workbook has run. Open
  {(BOOK / "index.html").relative_to(ROOT)}   to read it (any browser, no network needed)
  make lab                to run it yourself and move the sliders""")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
