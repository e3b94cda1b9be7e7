"""The HTML page of a report, by templates that escape all text."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from importlib.metadata import version

from markupsafe import Markup

from bayesgmm.reports.blocks import Block, LivePicture

ENDINGS = (".html", ".htm")
START = """
for (const part of document.querySelectorAll(".live")) {
  const figure = JSON.parse(part.querySelector("script").textContent);
  const settings = {responsive: true, displaylogo: false, modeBarButtonsToRemove: ["sendChartToCloud"]};
  Plotly.newPlot(part.querySelector(".drawn"), figure.data, figure.layout, settings);
}
"""


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
    scripts = _scripts(sections)
    return template.render(
        title=title,
        sections=sections,
        date=day,
        version=version("bayesgmm"),
        scripts=scripts,
        digests=[b64encode(sha256(script.encode()).digest()).decode() for script in scripts],
    )


def _scripts(sections: Sequence[Filled]) -> list[Markup]:
    """Return plotly's code and the line that starts it, if there is an interactive figure."""
    if not any(isinstance(block, LivePicture) for section in sections for block in section.blocks):
        return []
    from plotly.offline import get_plotlyjs

    return [Markup(get_plotlyjs()), Markup(START)]
