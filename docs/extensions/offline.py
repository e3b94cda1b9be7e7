"""No page may ask the network for anything: the build ends with an error where one does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']((?:https?:)?//[^"']+)|<link\b[^>]*\bhref=["']((?:https?:)?//[^"']+)"""
)

ICONS = re.compile(r"""<link\b[^>]*\bhref=["']https://[^"']*font-awesome[^>]*>""")


def asked_for(html: str) -> list[str]:
    """Addresses that a page loads from elsewhere; links that a reader may click are none.

    Examples
    --------
    >>> asked_for('<a href="https://a.org">a</a><script src="https://b.org/b.js"></script>')
    ['https://b.org/b.js']
    """
    return [script or style for script, style in LOADED.findall(html)]


def pages(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    for path in sorted(folder.rglob("*.html")):
        if found := asked_for(path.read_text(encoding="utf-8")):
            yield path, found


def strip(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Take away the icons that matplotlib's animations ask for: the theme has the same ones."""
    if "body" in context:
        context["body"] = ICONS.sub("", context["body"])


def check(app: Sphinx, failure: Exception | None) -> None:
    told = [f"{path.relative_to(app.outdir)}: {', '.join(found)}" for path, found in pages(Path(app.outdir))]
    if told and failure is None:
        raise ExtensionError("these pages ask the network for something:\n  " + "\n  ".join(told))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", strip)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
