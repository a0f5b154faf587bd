"""Sphinx extension: alternative texts and full sizes of pictures.

Pictures of notebooks get the alternative text that their outputs carry; every picture leads to
itself in full size, for telephones show it small.
"""

import base64
import hashlib
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri


def captions(notebook: Path) -> dict[str, str]:
    """SHA-256 of each picture of an executed notebook to its alternative text."""
    found = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            for kind, data in output.get("data", {}).items():
                text = output.get("metadata", {}).get(kind, {}).get("alt")
                if kind.startswith("image/") and text:
                    found[hashlib.sha256(base64.b64decode(data)).hexdigest()] = text
    return found


def fill_in(app: Sphinx, doctree: nodes.document) -> None:
    """Give every picture without an alternative text the one of its output."""
    source = Path(app.env.doc2path(app.env.docname))
    known = captions(source) if source.suffix == ".ipynb" else {}
    for image in doctree.findall(nodes.image):
        image.setdefault("alt", known.get(Path(image["uri"]).stem, ""))  # a hash names the file


def link_to_itself(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make every picture that leads nowhere a link to its file."""
    here = app.builder.get_target_uri(docname)
    for image in list(doctree.findall(nodes.image)):
        if image["uri"] in app.env.images and not isinstance(image.parent, nodes.reference):
            file = f"{app.builder.imagedir}/{app.env.images[image['uri']][1]}"
            link = nodes.reference("", "", refuri=relative_uri(here, file), classes=["full-size"])
            image.replace_self(link)
            link += image


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", fill_in)
    app.connect("doctree-resolved", link_to_itself)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
