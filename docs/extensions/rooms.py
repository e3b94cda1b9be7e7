"""The picture of the rooms in the architecture page.

``python docs/extensions/rooms.py`` writes docs/rooms.svg; with ``--check`` it fails where that file is out of date.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

WIDTH, HEIGHT, GAP = 740, 30, 8
LETTER = 7.4  # width of a letter of the font, in pixels
STYLE = """
  rect { fill: #f4f6fb; stroke: #5a6b8c; }
  .file rect { fill: none; stroke: #b5bfd1; }
  text { font: 13px ui-monospace, 'DejaVu Sans Mono', monospace; text-anchor: middle; fill: #22304a; }
"""


def box(name: str, x: float, y: float, room: bool) -> str:
    """One room, or one file that is no room, as a box with its name."""
    width = LETTER * len(name) + 16
    return (
        f'<g class="{"room" if room else "file"}"><rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{HEIGHT}" '
        f'rx="5"/><text x="{x + width / 2:.0f}" y="{y + 20:.0f}">{name}</text></g>'
    )


def row(names: list[str], y: float, rooms: set[str]) -> list[str]:
    """The boxes of one floor, centred."""
    widths = [LETTER * len(name) + 16 for name in names]
    x = (WIDTH - sum(widths) - GAP * (len(names) - 1)) / 2
    boxes = []
    for name, width in zip(names, widths, strict=True):
        boxes.append(box(name, x, y, name in rooms))
        x += width + GAP
    return boxes


def drawing(floors: list[list[str]], rooms: set[str]) -> str:
    """The picture as SVG: the lowest floor at the bottom, rooms filled, single files only outlined."""
    height = len(floors) * (HEIGHT + GAP) + GAP
    rows = [line for i, names in enumerate(reversed(floors)) for line in row(names, GAP + i * (HEIGHT + GAP), rooms)]
    body = "\n".join(rows)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    title = "<title>The rooms of bayesgmm: each imports only from rooms below it</title>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>\n{title}\n{body}\n</svg>\n'


def of_the_house() -> str:
    """The picture of the rooms that the tests hold the code to."""
    from tests.test_house import ROOMS, modules

    rooms = {name for name, path in modules().items() if path.name == "__init__.py"}
    return drawing([line.split() for line in ROOMS.strip().splitlines()], rooms)


if __name__ == "__main__":
    picture = ROOT / "docs/rooms.svg"
    if "--check" not in sys.argv:
        picture.write_text(of_the_house())
    elif picture.read_text() != of_the_house():
        sys.exit(f"{picture} is out of date: run python docs/extensions/rooms.py")
