"""The sections of a report, in their order. A new one is a line here and a function that makes its blocks."""

from collections.abc import Callable
from dataclasses import dataclass

from bayesgmm.errors import warn
from bayesgmm.reports import chains, checks, clusters, declared, groupings, overview, remaking
from bayesgmm.reports.blocks import Block, LeftOut, Paragraph
from bayesgmm.reports.subject import Subject

Part = Callable[[Subject], list[Block]]


@dataclass(frozen=True)
class Section:
    """A section: its name in links, its title, and the parts that make its blocks.

    A part that this fit can't have raises ``LeftOut``; the section then says why in its place.
    """

    name: str
    title: str
    parts: tuple[Part, ...]

    def blocks(self, subject: Subject) -> list[Block]:
        """Return the blocks that the section shows of a fit."""
        made: list[Block] = []
        why: list[str] = []
        for part in self.parts:
            blocks, reason = _made(part, subject)
            made += blocks
            why += [reason] if reason else []
        return [*made, *(Paragraph(reason, "note") for reason in dict.fromkeys(why))]


def _made(part: Part, subject: Subject) -> tuple[list[Block], str]:
    """The blocks of a part, or why there are none."""
    try:
        return part(subject), ""
    except LeftOut as reason:
        return [], str(reason)
    except Exception as error:  # the rest of the report is still worth having, of a failed fit most of all
        what = f"{part.__name__.replace('_', ' ')} could not be made: {type(error).__name__}: {error}"
        warn([f"The report lacks a part: {what}"])
        return [], f"Left out: {what}"


SECTIONS = (
    Section("verdict", "In short", (overview.verdict,)),
    Section("clusters", "The clusters", (clusters.table, clusters.portraits)),
    Section("pictures", "The clusters in pictures", (clusters.pairs, clusters.density, clusters.weights)),
    Section("points", "The least certain points", (clusters.least_certain,)),
    Section(
        "together", "Which points belong together", (groupings.how_many, groupings.clusterings, groupings.together)
    ),
    Section("findings", "What the checks found", (overview.findings,)),
    Section("fitted", "What was fitted", (declared.model, declared.engine, declared.data)),
    Section(
        "draws",
        "Can the draws be trusted?",
        (chains.convergence, chains.ranks, chains.traces, chains.effective, chains.energy, chains.elbo, chains.summary),
    ),
    Section(
        "fit",
        "Does the model fit the data?",
        (checks.margins, checks.replicates, checks.calibration, checks.leave_one_out, checks.strange),
    ),
    Section("priors", "What the prior had to do with it", (checks.priors,)),
    Section("again", "How to do it again", (remaking.declaration,)),
    Section("cite", "How to cite", (remaking.citations,)),
)
