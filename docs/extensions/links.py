"""Every link of the site leads to a page and a place that exist: the build ends with an error where one does not."""

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

FROM_ELSEWHERE = ("http:", "https:", "mailto:", "data:", "javascript:")


class Reader(HTMLParser):
    """The places of a page, and the addresses of what it links to and loads.

    Examples
    --------
    >>> page = Reader()
    >>> page.feed('<h1 id="top">a</h1><a href="b.html#c">b</a><img src="d.png">')
    >>> page.places, page.addresses
    ({'top'}, ['b.html#c', 'd.png'])
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is named, and what it leads to."""
        values = {name: value for name, value in attrs if value}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        self.addresses += [values[name] for name in ("href", "src") if name in values]


@cache
def read(path: Path) -> Reader:
    page = Reader()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def dead(folder: Path) -> Iterator[str]:
    """The links of the pages in a folder that lead nowhere."""
    for path in sorted(folder.rglob("*.html")):
        for address in dict.fromkeys(read(path).addresses):
            file, place = urldefrag(address)
            if address.startswith(FROM_ELSEWHERE):
                continue
            target = (path.parent / unquote(file.split("?")[0])).resolve() if file else path
            there = target.is_file() and (
                not place or target.suffix != ".html" or unquote(place) in read(target).places
            )
            if not there:
                yield f"{path.relative_to(folder)}: {address}"


def check(app: Sphinx, failure: Exception | None) -> None:
    read.cache_clear()
    if failure is None and app.builder.name == "html" and (found := list(dead(Path(app.outdir)))):
        raise ExtensionError("these links lead nowhere:\n  " + "\n  ".join(found))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", check, priority=900)  # after what removes files
    return {"parallel_read_safe": True, "parallel_write_safe": True}
