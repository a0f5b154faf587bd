"""Sphinx extension: docstrings as this package writes them, and links to code that show it."""

import re
from pathlib import PurePosixPath

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

BEFORE_LETTER = re.compile(r"(`[^`]+`)(?=\w)")


def mark_code(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Put `::` before indented lines that follow an unindented paragraph and a blank line."""
    marked, last = [], " "
    for number, line in enumerate(lines):
        after_blank = number > 0 and not lines[number - 1].strip()
        if line.startswith(" ") and after_blank and not last.startswith(" "):
            marked += ["::", ""]
        marked.append(BEFORE_LETTER.sub(r"\1\\ ", line))  # `Episode`s
        last = line if line.strip() else last
    lines[:] = marked


def show_code(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lead links to modules of the reference to their source in the book, not to a download."""
    documented = app.env.get_domain("py").modules
    here = app.builder.get_target_uri(docname)
    for link in list(doctree.findall(addnodes.download_reference)):
        path = PurePosixPath(app.env.relfn2path(link["reftarget"], docname)[0])
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        if path.suffix == ".py" and module in documented:
            page = f"_modules/{module.replace('.', '/')}.html"
            if path.stem == "__init__":  # nothing of its own to show
                page = app.builder.get_target_uri(documented[module].docname)
            link.replace_self(
                nodes.reference("", "", *link.children, refuri=relative_uri(here, page))
            )


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx.ext.autodoc")  # it knows the event
    app.connect("autodoc-process-docstring", mark_code, priority=400)  # before napoleon
    app.connect("doctree-resolved", show_code)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
