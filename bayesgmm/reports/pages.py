"""The HTML page of a report, by templates that escape all text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version

from bayesgmm.reports.blocks import Block

ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class Filled:
    """A section with its blocks."""

    name: str
    title: str
    blocks: Sequence[Block]


def page(title: str, sections: Sequence[Filled], day: date) -> str:
    """Make the page of a report."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bayesgmm.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html")
    return template.render(title=title, sections=sections, date=day, version=version("bayesgmm"))
