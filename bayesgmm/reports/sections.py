"""The sections of a report, in order. A new section needs one line here and a function that returns its blocks."""

from collections.abc import Callable
from dataclasses import dataclass

from bayesgmm.errors import warn
from bayesgmm.reports import chains, checks, clusters, declared, gaps, groupings, overview, remaking, terms
from bayesgmm.reports.blocks import Block, Omitted, Paragraph
from bayesgmm.reports.subject import Subject

Part = Callable[[Subject], list[Block]]  # makes blocks for a fit; raises Omitted if that is not possible


@dataclass(frozen=True)
class Section:
    """A section: its name in links, its title, and the functions that make its parts.

    A part that is not possible for a fit raises ``Omitted``; the section then shows the reason. A quick report leaves
    out ``slow`` parts.
    """

    name: str
    title: str
    parts: tuple[Part, ...] = ()
    slow: tuple[Part, ...] = ()

    def chosen(self, subject: Subject) -> tuple[Part, ...]:
        """Return the parts that the section has in the report of a fit."""
        return self.parts if subject.quick else (*self.parts, *self.slow)

    def blocks(self, subject: Subject) -> list[Block]:
        """Return the blocks that the section shows of a fit."""
        made: list[Block] = []
        why: list[str] = []
        for part in self.chosen(subject):
            blocks, reason = _made(part, subject)
            made += blocks
            why += [reason] if reason else []
        return [*made, *(Paragraph(reason, "note") for reason in dict.fromkeys(why))]


def _made(part: Part, subject: Subject) -> tuple[list[Block], str]:
    """Return the blocks of a part, or the reason why there are none."""
    try:
        return part(subject), ""
    except Omitted as reason:
        return [], str(reason)
    except Exception as error:  # the rest of the report is still useful, above all for a failed fit
        what = f"{part.__name__.replace('_', ' ')} could not be made: {type(error).__name__}: {error}"
        warn([f"The report lacks a part: {what}"])
        return [], f"Left out: {what}"


SECTIONS = (
    Section("verdict", "Summary", (overview.verdict,)),
    Section("clusters", "Components", (clusters.table, clusters.portraits)),
    Section("pictures", "Figures of the components", (clusters.pairs, clusters.weights), (clusters.density,)),
    Section("points", "Most uncertain points", (clusters.least_certain,)),
    Section(
        "together",
        "Clusters of points",
        (),
        (groupings.how_many, groupings.how_many_components, groupings.clusterings, groupings.together),
    ),
    Section("findings", "Findings of the checks", (overview.findings,)),
    Section(
        "fitted", "Model, method and data", (declared.model, declared.engine, declared.data, gaps.patterns, gaps.values)
    ),
    Section(
        "draws",
        "Convergence",
        (chains.convergence, chains.elbo, chains.summary),
        (chains.ranks, chains.traces, chains.effective, chains.energy),
    ),
    Section(
        "fit",
        "Fit to the data",
        (),
        (checks.margins, checks.replicates, checks.calibration, checks.leave_one_out, checks.anomalous),
    ),
    Section("priors", "Influence of the prior", (), (checks.priors,)),
    Section("again", "How to reproduce this fit", (remaking.declaration,)),
    Section("cite", "How to cite", (remaking.citations,)),
    Section("terms", "Terms", (terms.terms,)),
)
