"""Sphinx extension: formulas as MathML, which browsers draw themselves; no script, no network."""

import re

from docutils import nodes
from latex2mathml.commands import MATRICES
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import SphinxError

GREEK_CAPITAL = re.compile(r"<mi>(&#x0039[1-9A-F];|&#x003A[0-9];)</mi>")
NORM = '<mo stretchy="false">&#x02016;</mo>'  # as tall as a letter, as in TeX
LEFT_OVER = re.compile(r"\\|&(?!#x[0-9A-F]+;|amp;|lt;|gt;)|[{}]")


class UnknownFormula(SphinxError):
    """A formula that cannot be drawn; the book is not made."""

    category = "formula"


def mathml(latex: str, display: str) -> str:
    """MathML for a formula.

    Args:
        latex: the formula, without its dollar signs.
        display: "inline" or "block".

    Raises:
        UnknownFormula: something in it is not known: it would stand there as LaTeX.
    """
    known = re.sub(r"(begin|end){aligned}", r"\1{align*}", latex)  # the same, but for numbering
    for name in re.findall(r"\\begin{([^}]*)}", known):
        if f"\\{name}" not in MATRICES:
            raise UnknownFormula(f"latex2mathml has no environment {name!r}, used in {latex}")
    try:
        formula = convert(known, display=display)
    except Exception as error:  # the converter raises many kinds
        raise UnknownFormula(f"{type(error).__name__}: {error} in {latex}") from error
    written = re.sub(r"<[^>]*>", "", formula)
    if "&amp;" in formula or LEFT_OVER.search(written):
        raise UnknownFormula(
            f"{LEFT_OVER.findall(written) or ['&']} would stand on the page as it is; expected "
            f"LaTeX that latex2mathml knows, not {latex}"
        )
    formula = formula.replace("<mo>&#x02016;</mo>", NORM)
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
