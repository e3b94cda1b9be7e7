"""Open each page of the built site in a headless Chromium, as a reader without a network would.

``python docs/browse.py [PART OF A PATH ...]`` fails where a page writes to the console, asks for something that is not
there or is elsewhere, or has output that is cut at its edge; and where the search finds nothing.
"""

import functools
import http.server
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from tests.browser import DRIVER, browser  # noqa: E402

BUILT = ROOT / "docs/_build/html"
WIDTH = 1280
CUT = """
const article = document.querySelector('article') || document.body, right = article.getBoundingClientRect().right + 2;
const scrolls = (e) => e && e !== article.parentElement
  && (['auto', 'scroll'].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
return [...article.querySelectorAll('pre, table, img, math, svg')]
  .filter((e) => (e.getBoundingClientRect().right > right && !scrolls(e))
    || (e.matches('.cell_output pre') && e.scrollWidth > e.clientWidth + 1))
  .map((e) => 'cut at the edge: ' + e.tagName + ' ' + e.textContent.trim().slice(0, 50))
"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site without a word."""

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a local server of a folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def wrong(window: Any, address: str, page: str) -> list[str]:
    """What is wrong with a page."""
    window("url", url=f"{address}/{page}")
    console, asked = window.logs()
    return [*console, *(f"asks for {url}" for url in asked if not url.startswith(address)), *window.run(CUT)]


def searched(window: Any, address: str) -> list[str]:
    """What is wrong with the search."""
    window("timeouts", implicit=20_000)
    window("url", url=f"{address}/search.html?q=standard_errors")
    window("element", using="css selector", value="#search-results li")  # waits for it, or raises an error
    console, _ = window.logs()
    return [f"search of {address}: {text}" for text in console]


def main(parts: list[str]) -> int:
    """Return the number of pages on which something is wrong."""
    pages = sorted(str(path.relative_to(BUILT)) for path in BUILT.rglob("*.html"))
    chosen = [page for page in pages if not parts or any(part in page for part in parts)]
    failed = 0
    with tempfile.TemporaryDirectory() as profile, served(BUILT) as address, browser(profile) as window:
        window.tell("Emulation.setDeviceMetricsOverride", width=WIDTH, height=900, deviceScaleFactor=1, mobile=False)
        for page in chosen:
            found = wrong(window, address, page)
            print(*(f"{page}: {text}" for text in found), sep="\n", end="\n" if found else "", flush=True)
            failed += bool(found)
        for place in (address, BUILT.as_uri()):  # also of a site that was opened from a file
            found = searched(window, place)
            print(*found, sep="\n", end="\n" if found else "")
            failed += bool(found)
    print(f"{len(chosen)} pages opened; something is wrong on {failed}")
    return failed


if __name__ == "__main__":
    if DRIVER is None:
        sys.exit("no chromedriver: the pages are not opened")
    sys.exit(bool(main(sys.argv[1:])))
