"""The gallery of model cards, made from the cards: one page with their pictures, and one about each."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HEAD = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---

"""
GALLERY = """\
# Model cards

A model card is a worked analysis as a file: the data, the declaration with its priors, and facts that the tests hold
it to. These come with the package: `bayesgmm models` lists them, and `bayesgmm models show NAME` explains one. A
picture leads to the card and to the code that draws it.

```{{thumbnails}}
{names}
```

```{{toctree}}
:hidden:

{names}
```
"""
CELL = """```{{code-cell}}
:tags: [remove-stderr, may-warn]

{code}
```"""
RUN = 'import bayesgmm as bg\n\nfit = bg.run_card("{name}", progress=False).fit'
PAIRS = 'bg.plots.pairs(fit, columns=list(fit["posterior"]["feature"].values)[:3])'  # of a card that names no plot
LOOK = "What to look at"


def write(folder: Path) -> None:
    """``cards.md`` and ``cards/NAME.md`` in a folder; what is left of cards that are gone goes."""
    import bayesgmm as bg

    cards = {name: bg.load_card(path) for name, path in sorted(bg.model.cards().items())}
    (folder / "cards").mkdir(exist_ok=True)
    for old in {path.stem for path in (folder / "cards").glob("*.md")} - set(cards):
        (folder / "cards" / f"{old}.md").unlink()
    put(folder / "cards.md", gallery(cards))
    for name, path in bg.model.cards().items():
        put(folder / "cards" / f"{name}.md", explanation(name, path))


def put(path: Path, text: str) -> None:
    """Write what has changed: Sphinx reads again what is newer."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def gallery(cards: Mapping[str, Any]) -> str:
    """The page with a small picture of each card."""
    return GALLERY.format(names="\n".join(f"cards/{name}" for name in cards))


def plots(look: Iterable[str]) -> list[str]:
    """The calls of plots among what a card says to look at.

    Examples
    --------
    >>> plots(["The density: `bg.plots.density(fit)`.", "The label of row 3."])
    ['bg.plots.density(fit)']
    """
    return [call for text in look for call in re.findall(r"`(bg\.plots\.[^`]+)`", text)] or [PAIRS]


def explanation(name: str, path: Path) -> str:
    """The page about a card: what it explains of itself, its figures with their code, and the file."""
    import bayesgmm as bg
    from bayesgmm.cards.explanations import typeset

    told, card = bg.explain_card(name), bg.load_card(path)
    codes = [RUN.format(name=name), *(f"{call};" for call in plots(card.lesson.look))]
    figures = "\n\n".join(CELL.format(code=code) for code in codes)
    parts = [f"# {told.title}", f"*{told.about}*"]
    for part in told.parts:
        parts.append(typeset(str(part)))
        if part.title == LOOK:
            parts.append(figures)
    file = f"## The card\n\n```toml\n{path.read_text().rstrip()}\n```"
    return HEAD + "\n\n".join([*parts, file, "[All cards with their pictures](../cards.md)\n"])
