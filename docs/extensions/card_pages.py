"""The gallery of model cards, made from the cards: one page with their pictures, and one about each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

OPENING = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---

# Model cards

A model card is a worked analysis as a file: the data, the declaration with its priors, and facts that the tests hold
it to. These come with the package: `bayesgmm models` lists them, `bayesgmm models show NAME` explains one, and a title
here leads to what it says.

```{{code-cell}}
import bayesgmm as bg
```

```{{toctree}}
:hidden:

{names}
```
"""
SHOWN = """
## [{title}](cards/{name}.md)

{about}

```{{code-cell}}
:tags: [remove-stderr, may-warn]

fit = bg.run_card("{name}", progress=False).fit
columns = list(fit["posterior"]["feature"].values)[:{maximum}]
bg.plots.pairs(fit, columns=columns);
```
"""
MAX_COLUMNS = 3  # columns of a picture


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
    """The page with the pictures."""
    opening = OPENING.format(names="\n".join(f"cards/{name}" for name in cards))
    shown = [
        SHOWN.format(title=card.title, name=name, about=sentence(card.about), maximum=MAX_COLUMNS)
        for name, card in cards.items()
    ]
    return "".join([opening, *shown])


def sentence(text: str) -> str:
    """With a capital and a full stop.

    Examples
    --------
    >>> sentence("three species of iris")
    'Three species of iris.'
    """
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def explanation(name: str, path: Path) -> str:
    """The page about a card: what it explains of itself, and the file."""
    import bayesgmm as bg

    told = bg.explain_card(name)
    file = f"## The card\n\n```toml\n{path.read_text().rstrip()}\n```"
    return f"{told}\n\n{file}\n\n[All cards with their pictures](../cards.md)\n"
