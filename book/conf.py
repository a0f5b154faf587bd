"""Sphinx settings for the HTML book: executed notebooks in, pages that need no network out."""

import sys
from importlib.resources import files
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Hybrid Mamba for few-shot segmentation"
extensions = ["myst_nb", "mathml", "captions", "font"]
include_patterns = ["index.md", "notebooks/**", "**/*.md"]  # the last: what README links to

nb_execution_mode = "off"  # tools/notebooks.py has run them
nb_merge_streams = True
nb_ipywidgets_js = {}  # would be fetched from elsewhere; widgets are frozen to pictures instead
myst_enable_extensions = ["amsmath", "dollarmath", "tasklist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing", "mystnb.unknown_mime_type", "toc.not_included"]

html_theme = "furo"
html_title = "Hybrid Mamba"
html_math_renderer = "mathml"
html_static_path = ["_static", str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["book.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # would fetch every page found, which a local file may not
