"""Sphinx extension: formulas as MathML, which browsers draw themselves; no script, no network."""

import html
import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)

GREEK_CAPITAL = re.compile(r"<mi>(&#x0039[1-9A-F];|&#x003A[0-9];)</mi>")


def mathml(latex: str, display: str) -> str:
    """MathML for a formula; what cannot be translated stays LaTeX, with a warning."""
    try:
        formula = convert(latex, display=display)
    except Exception as error:  # the converter raises many kinds; one formula must not end a book
        log.warning("formula left as LaTeX (%s): %s", type(error).__name__, latex)
        return f"<code>{html.escape(latex)}</code>"
    return GREEK_CAPITAL.sub(r'<mi mathvariant="normal">\1</mi>', formula)  # upright, as in TeX


def visit_inline(translator: nodes.NodeVisitor, node: nodes.Element) -> None:
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator: nodes.NodeVisitor, node: nodes.Element) -> None:
    translator.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
