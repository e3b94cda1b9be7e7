"""No page may ask the network for anything, or show a path of the machine that built it: the build ends with an error.

What the theme brings beside its pages is tidied: a template that is no page, and what its scripts write to the console.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']((?:https?:)?//[^"']+)|<link\b[^>]*\bhref=["']((?:https?:)?//[^"']+)"""
)

PATHS = re.compile(r"/tmp/[\w./-]+|/ipykernel_[\w./-]+")
CONSOLE = re.compile(r"""console\.(?:log|info|debug)\((?:`\[PST\][^`]*`|"\[PST\][^"]*")\)""")
TEMPLATE = "webpack-macros.html"
ICONS = re.compile(r"""<link\b[^>]*\bhref=["']https://[^"']*font-awesome[^>]*>""")


def asked_for(html: str) -> list[str]:
    """Addresses that a page loads from elsewhere; links that a reader may click are none.

    Examples
    --------
    >>> asked_for('<a href="https://a.org">a</a><script src="https://b.org/b.js"></script>')
    ['https://b.org/b.js']
    """
    return [script or style for script, style in LOADED.findall(html)]


def wrong(html: str) -> list[str]:
    """What a page loads from elsewhere, and the paths in it.

    Examples
    --------
    >>> wrong("<pre>/tmp/ipykernel_12/34.py:5: a warning</pre>")
    ['/tmp/ipykernel_12/34.py']
    """
    return [*asked_for(html), *dict.fromkeys(PATHS.findall(html))]


def pages(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    for path in sorted(folder.rglob("*.html")):
        if found := wrong(path.read_text(encoding="utf-8")):
            yield path, found


def strip(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Take away the icons that matplotlib's animations ask for: the theme has the same ones."""
    if "body" in context:
        context["body"] = ICONS.sub("", context["body"])


def tidy(folder: Path) -> None:
    """Remove the template, and the messages of the theme's scripts."""
    (folder / "_static" / TEMPLATE).unlink(missing_ok=True)
    for path in [*(folder / "_static" / "scripts").glob("pydata*.js"), *folder.glob("search.html")]:
        text = path.read_text(encoding="utf-8")
        path.write_text(CONSOLE.sub("void 0", text), encoding="utf-8")


def check(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None:
        return
    tidy(Path(app.outdir))
    told = [f"{path.relative_to(app.outdir)}: {', '.join(found)}" for path, found in pages(Path(app.outdir))]
    if told:
        raise ExtensionError("these pages ask the network, or show paths of this machine:\n  " + "\n  ".join(told))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", strip)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
