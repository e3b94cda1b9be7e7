"""Blocks of a report: paragraphs, tables, figures, formulas; values, each shown by the template of its name."""

from dataclasses import dataclass, field
from typing import ClassVar

from markupsafe import Markup

from bayesgmm.findings import Finding


class LeftOut(Exception):
    """Raised by a part of a report that this fit can't have; its text says why, and the report says it."""


class Block:
    """Anything that a template of its name in ``templates/blocks`` shows."""

    template: ClassVar[str]


@dataclass(frozen=True)
class Paragraph(Block):
    """A paragraph; ``role`` is ``'lead'`` for the sentences that matter most, ``'note'`` for what was left out."""

    text: str
    role: str = ""
    template: ClassVar = "paragraph"


@dataclass(frozen=True)
class Items(Block):
    """A list of sentences."""

    texts: tuple[str, ...]
    template: ClassVar = "items"


@dataclass(frozen=True)
class Facts(Block):
    """Terms, and what they are."""

    pairs: tuple[tuple[str, str], ...]
    template: ClassVar = "facts"


@dataclass(frozen=True)
class Grid(Block):
    """A table. The first cell of a row is its heading; ``colours`` marks columns with the colour of a component."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    colours: tuple[str | None, ...] = ()
    template: ClassVar = "grid"

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.columns), (self.caption, row)


@dataclass(frozen=True)
class Picture(Block):
    """A picture: what it shows, how to read it, and what it says of this fit."""

    title: str
    source: str = field(repr=False)
    width: int
    height: int
    alt: str
    reading: str
    verdict: str
    template: ClassVar = "picture"


@dataclass(frozen=True)
class Formulas(Block):
    """Lines of mathematics, each with what it says in words."""

    lines: tuple[tuple[Markup, str], ...]
    template: ClassVar = "formulas"


@dataclass(frozen=True)
class Code(Block):
    """Code to copy into a file or a terminal."""

    caption: str
    text: str
    template: ClassVar = "code"


@dataclass(frozen=True)
class Findings(Block):
    """Findings of the checks, the most severe first."""

    findings: tuple[Finding, ...]
    template: ClassVar = "findings"


@dataclass(frozen=True)
class Fold(Block):
    """Blocks that open on demand, and are open on paper."""

    title: str
    blocks: tuple[Block, ...]
    template: ClassVar = "fold"
