"""Sphinx settings for the HTML book: executed notebooks in, pages that need no network out."""

import sys
from importlib.resources import files
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Hybrid Mamba for few-shot segmentation"
extensions = ["myst_nb", "mathml", "captions", "font", "docstrings", "linked", "lean"]
extensions += [f"sphinx.ext.{name}" for name in ("autodoc", "napoleon", "viewcode")]
# the last two: what README links to
include_patterns = ["notebooks/**", "api/**", "*.md", "**/*.md"]
exclude_patterns = ["README.md"]  # it is index.md

nb_execution_mode = "off"  # tools/notebooks.py has run them
nb_merge_streams = True
nb_ipywidgets_js = {}  # would be fetched from elsewhere; widgets are frozen to pictures instead
myst_enable_extensions = ["amsmath", "dollarmath", "tasklist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing", "mystnb.unknown_mime_type", "toc.not_included"]
suppress_warnings += ["ref.python"]  # some names have two homes

default_role = "py:obj"  # single backticks in docstrings: a link where that is a name, else code
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_rtype = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "Hybrid Mamba"
html_domain_indices = False
html_math_renderer = "mathml"
templates_path = ["_templates"]
html_static_path = ["_static", str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["book.css"]
html_js_files = [("copy.js", {"defer": ""})]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # would fetch every page found, which a local file may not
