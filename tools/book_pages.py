"""Pages of the book that are made from what the repository holds: the gallery, the reference."""

import ast
import json
import re
from collections.abc import Iterable
from importlib import import_module
from itertools import groupby
from pathlib import Path

import nbformat
from myst_parser.mdit_to_docutils.base import default_slugify

#: how a cell draws a registered figure: by its name, or by the function of that name
SHOWN = r"""figure\(\s*["'](\w+)["']""", r"^\s+(?:\w+\.)?(\w+)\("
HEADING = re.compile(r"^#{1,3} +(.+)$", re.MULTILINE)
PICTURE = re.compile(r"!\[([^\]]+)\]\(figures/(\w+)\.png\)")
IMPORT = r"from {}\.?([\w.]*) import ([^(\n]+|\([^)]+)"

GALLERY = """# All figures

Each is a file of numbers in `figures/` and a picture drawn from it. The first command below a
picture draws it again, the second computes its numbers anew.
"""
FIGURE = """
```{{figure}} figures/{name}.webp
:alt: {alt}
:align: left

**{name}**, shown in [{section}]({where}). {alt}.
```

```sh
make figures ARGS={name}
{command}
```
"""
ROOM = """{name}
{line}

.. automodule:: {name}
"""
CONTENTS = """Reference
=========

What the notebooks and this book's pages import or speak of, room by room; *[source]* beside a name
shows its code. What can be typed in a shell, ``hmnet --help`` tells.


.. toctree::
   :maxdepth: 1

"""
MODULE = """
{name}
{line}

.. automodule:: {name}
   :members:
   :show-inheritance:
"""


def gallery(figures: Path, executed: Path, readme: str) -> str:
    """Every registered figure, by notebook: picture, caption, where it is explained, commands.

    Args:
        figures: the folder of NAME.json and NAME.png.
        executed: the folder of the executed notebooks.
        readme: the text of README.md, which shows some, too.
    """
    shown = {name: ("index.md", alt, "README") for alt, name in PICTURE.findall(readme)}
    for pattern in reversed(SHOWN):
        for path in sorted(executed.glob("*.ipynb")):
            shown |= _shown(path, pattern)
    entries = []
    for path in sorted(figures.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if "figure" in facts:
            entries.append((facts["notebook"], facts["figure"], facts["command"]))
    text = GALLERY
    for notebook, of_notebook in groupby(sorted(entries), key=lambda entry: entry[0]):
        page = executed / f"{notebook}.ipynb"
        text += f"\n## {_title(page)}\n"
        for _, name, command in of_notebook:
            where, alt, section = shown.get(name, (f"notebooks/{notebook}.ipynb", name, notebook))
            facts = {"where": where, "section": section, "command": command}
            text += FIGURE.format(name=name, alt=alt.rstrip("."), **facts)
    return text


def _shown(path: Path, pattern: str) -> dict[str, tuple[str, str, str]]:
    """What cells of a notebook draw: name to link, caption, heading."""
    heading, found = path.stem, {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            heading = ([heading, *HEADING.findall(cell.source)])[-1]
            continue
        pictures = [
            about["alt"]
            for output in cell.get("outputs", [])
            for kind, about in output.get("metadata", {}).items()
            if kind.startswith("image/") and about.get("alt")
        ]
        names = re.findall(pattern, cell.source, re.MULTILINE)
        link = f"notebooks/{path.name}#{default_slugify(heading)}"
        found |= {name: (link, alt, heading) for name, alt in zip(names, pictures, strict=False)}
    return found


def _title(page: Path) -> str:
    """The first heading of a notebook, or its file's name where it has not been run."""
    cells = nbformat.read(page, as_version=4).cells if page.exists() else []
    return next((found[0] for cell in cells if (found := HEADING.findall(cell.source))), page.stem)


def reference(package: Path, texts: Iterable[str]) -> dict[str, str]:
    """Pages of reStructuredText by their names, one a room; Sphinx fills in the docstrings.

    Args:
        package: the folder of a package.
        texts: of notebooks and pages. Modules that they import or link to are in the reference, and
            the homes of what rooms offer (`__all__`); what only serves the workbook is not.
    """
    met: set[str] = set()
    for text in texts:
        met |= set(re.findall(rf"\b{package.name}/([\w/]+)\.py", text))
        for room, names in re.findall(IMPORT.format(package.name), text):
            path = room.replace(".", "/")
            met |= {path, *(f"{path}/{x}".lstrip("/") for x in re.findall(r"\w+", names))}
    rooms: dict[str, tuple[list[str], list[str]]] = {}  # name: its modules, what it offers
    for folder in sorted(path.parent for path in package.rglob("__init__.py")):
        inside = folder.relative_to(package)
        room = ".".join([package.name, *inside.parts])
        if inside.parts[:1] not in [("workbook",), ("commands",)]:
            public = [path.stem for path in sorted(folder.glob("*.py")) if _public(path)]
            modules = [f"{room}.{stem}" for stem in public if str(inside / stem) in met]
            rooms[room] = modules, _offered(room)
    for home in {name.rpartition(".")[0] for _, offers in rooms.values() for name in offers}:
        modules = rooms[home.rpartition(".")[0]][0]
        modules[:] = sorted({*modules, home})
    return {name: _room(name, *room) for name, room in rooms.items() if any(room)}


def _offered(room: str) -> list[str]:
    """Where the names that a room offers (`__all__`) are at home."""
    module = import_module(room)
    found = [getattr(module, name) for name in getattr(module, "__all__", [])]
    return [f"{thing.__module__}.{thing.__qualname__}" for thing in found]


def _room(name: str, modules: list[str], offers: list[str]) -> str:
    """The page of a room."""
    names = ", ".join(f":py:obj:`~{offer}`" for offer in offers)
    text = ROOM.format(name=name, line="=" * len(name))
    text += f"\n``from {name} import``: {names}.\n" if offers else ""
    return text + "".join(MODULE.format(name=x, line="-" * len(x)) for x in modules)


def contents(rooms: Iterable[str]) -> str:
    """The page that leads to the rooms' pages."""
    return CONTENTS + "".join(f"   {room}\n" for room in rooms)


def _public(module: Path) -> bool:
    """Whether a module has a function or a class without a leading underscore."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(module.read_text(encoding="utf-8")).body
    return module.stem[0] != "_" and any(
        isinstance(node, kinds) and node.name[0] != "_" for node in body
    )
