"""How the documentation is built: ``make docs``. Neither it nor its pages ask the network."""

import os
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "extensions"), str(ROOT)]
os.environ["PYTHONPATH"] = str(ROOT)  # the kernels that run the pages import this tree's package

os.environ["PYTHONSTARTUP"] = str(HERE / "extensions" / "startup.py")  # and run this first

import api_page  # noqa: E402
import card_pages  # noqa: E402
import course  # noqa: E402

project = "bayesgmm"
author = "The bayesgmm maintainers"
copyright = "The bayesgmm maintainers, Apache-2.0"  # noqa: A001  Sphinx's name
version = release = installed("bayesgmm")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "alt_texts",
    "api_links",
    "links",
    "mathml",
    "offline",
    "public_names",
    "thumbnails",
]
exclude_patterns = ["_build", "extensions", "templates"]
templates_path = ["templates"]

html_math_renderer = "mathml"  # browsers draw it themselves; MathJax would come over the network
nitpicky = True  # a reference that leads nowhere is a mistake

autosummary_generate = True
autodoc_typehints = "none"  # types, shapes and units are in the docstrings
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Pages are notebooks: what they show is what their code printed. Those that did not change are not run again.
nb_execution_mode = os.environ.get("BAYESGMM_DOCS_EXECUTE", "cache")  # or "off": everything but that
nb_execution_cache_path = str(HERE / "_build" / "executed")
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_render_markdown_format = "myst"  # text that code writes has formulas and tables, too
nb_mime_priority_overrides = [("*", "text/latex", None)]  # libraries print LaTeX beyond what MathML is made from here

html_theme = "pydata_sphinx_theme"
html_title = "bayesgmm"
html_static_path = ["static"]
html_favicon = "static/favicon.svg"
html_context = {"default_mode": "auto"}
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # it fetches pages, which a browser refuses where the site is opened from a file
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "header_links_before_dropdown": 9,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
LONE = ["index", "start", "glossary", "messages", "compared", "benchmarks", "scaling", "evidence", "architecture"]
html_sidebars: dict[str, list[str]] = {page: [] for page in LONE}

course.borrow(ROOT / "notebooks", HERE / "course")
card_pages.write(HERE / "gallery")
(HERE / "api").mkdir(exist_ok=True)
card_pages.put(HERE / "api" / "index.rst", api_page.page())


def setup(app: Any) -> None:
    """Sphinx calls this when it has read the rest."""
    from pygments.lexers.special import TextLexer

    app.add_lexer("floors", TextLexer)  # the drawing in architecture.md
