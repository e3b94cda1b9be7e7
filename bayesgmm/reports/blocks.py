"""Blocks of a report (paragraphs, tables, figures, formulas): values, each shown by the template of the same name."""

from dataclasses import dataclass, field
from typing import ClassVar

from markupsafe import Markup

from bayesgmm.findings import Finding


class Omitted(Exception):
    """Raised by a part of a report that is not possible for a fit; its text is the reason that the report shows."""


class Block:
    """Base of the blocks; ``template`` names a file in ``templates/blocks``."""

    template: ClassVar[str]


@dataclass(frozen=True)
class Paragraph(Block):
    """A paragraph; ``role`` is ``'lead'`` for the main sentences, ``'note'`` for the reason of an omission."""

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
    """Pairs of a term and its value."""

    pairs: tuple[tuple[str, str], ...]
    template: ClassVar = "facts"


@dataclass(frozen=True)
class Grid(Block):
    """A table. The first cell of a row is its heading; ``colours`` are the component colours of the columns.

    With ``ends_in_words``, the last column holds sentences, which may have several lines.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    colours: tuple[str | None, ...] = ()
    ends_in_words: bool = False
    template: ClassVar = "grid"

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.columns), (self.caption, row)


@dataclass(frozen=True)
class Picture(Block):
    """A figure, with a description of its content, an explanation of how to read it, and a result for this fit."""

    title: str
    source: str = field(repr=False)
    width: int
    height: int
    alt: str
    reading: str
    verdict: str
    template: ClassVar = "picture"


@dataclass(frozen=True)
class LivePicture(Block):
    """An interactive figure: what plotly draws, as JSON, with the texts of a ``Picture``."""

    title: str
    source: Markup = field(repr=False)
    height: int
    alt: str
    reading: str
    verdict: str
    template: ClassVar = "live_picture"


@dataclass(frozen=True)
class Formulas(Block):
    """Formulas, each with an explanation in words."""

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
    """Blocks that are folded until the reader opens them; unfolded when printed."""

    title: str
    blocks: tuple[Block, ...]
    template: ClassVar = "fold"
