"""Sphinx extension: files of the repository that pages link to are shown, not downloaded.

Code that the reference documents has its page there; every other text file gets one, with long
rows of numbers cut short.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.osutil import relative_uri

ROW = re.compile(r'(?<=["\[])(?:[-+.\de]+,? ?){40,}')  # of a JSON file
CUT = "<p>Long rows of numbers are cut here; the file holds them whole.</p>"
PAGE = "<h1>{name}</h1>\n{note}{code}"


def module_of(name: str) -> str:
    """The module that a file of this path is."""
    return ".".join(PurePosixPath(name).with_suffix("").parts).removesuffix(".__init__")


def page_of(app: Sphinx, name: str) -> str:
    """Where a file is shown: a page's name."""
    documented = app.env.get_domain("py").modules
    module = module_of(name)
    if not name.endswith(".py") or module not in documented:
        return f"files/{name}"
    if name.endswith("/__init__.py"):  # nothing of its own to show
        return documented[module].docname
    return f"_modules/{module.replace('.', '/')}"


def lead(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lead links to text files to their pages."""
    here = app.builder.get_target_uri(docname)
    for link in list(doctree.findall(addnodes.download_reference)):
        name, path = app.env.relfn2path(link["reftarget"], docname)
        if read(Path(path)) is not None:
            target = relative_uri(here, app.builder.get_target_uri(page_of(app, name)))
            link.replace_self(nodes.reference("", "", *link.children, refuri=target, internal=True))


def keep(app: Sphinx, env: BuildEnvironment) -> None:
    """Note which files get pages: they are not copied."""
    env.linked_texts = {}
    for path in list(env.dlfiles):
        text = read(Path(env.srcdir, path))
        if text is not None:
            env.linked_texts[str(path)] = text
            del env.dlfiles[path]


def show(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """The files' pages."""
    for name, text in app.env.linked_texts.items():
        page = page_of(app, name)
        if page.startswith("files/"):
            kind = "python" if name.endswith(".py") else "text"
            shorter = ROW.sub(lambda row: f"{row[0][:60].rpartition(' ')[0]} …", text)
            code = app.builder.highlighter.highlight_block(shorter, kind)
            note = CUT if shorter != text else ""
            body = PAGE.format(name=name, note=note, code=code)
            yield page, {"title": name, "body": body}, "page.html"


def read(path: Path) -> str | None:
    """A file's text; None if it is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def setup(app: Sphinx) -> dict:
    app.connect("env-check-consistency", keep)
    app.connect("doctree-resolved", lead)
    app.connect("html-collect-pages", show)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
