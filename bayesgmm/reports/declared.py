"""Sections on the data, the model in words and formulas, its priors, and the engine."""

import numpy as np

from bayesgmm.posterior.info import FitInfo
from bayesgmm.reports.blocks import Block, Facts, Fold, Formulas, Grid, Omitted, Paragraph
from bayesgmm.reports.descriptions import Description
from bayesgmm.reports.mathematics import mathml, number
from bayesgmm.reports.priors import descriptions
from bayesgmm.reports.subject import MANY, Subject
from bayesgmm.wording import listing, plural

RELABELLED = {
    "stephens": "Stephens' algorithm (2000)",
    "ecr": "ECR",
    "pivot": "the pivot method",
    "ordered": "sorting",
}


def data(subject: Subject) -> list[Block]:
    """Describe the data, by column."""
    points = subject.points
    x, (centre, sd) = points.counted, points.centre_and_sd
    facts = [(f"{subject.word.capitalize()}s", f"{subject.n_points:,}"), ("Columns", f"{subject.n_features:,}")]
    if points.weights is not None:
        facts.append(
            (
                "Row weights",
                f"their sum is {number(points.total_weight)}; the means and standard deviations below use them",
            )
        )
    if points.has_gaps:
        facts.append(("Missing values", points.gap_words()))
    if points.noise is not None:
        facts.append(("Errors of measurement", points.noise_words()))
    if points.labels is not None:
        facts.append(("Labels", points.labels.words(len(subject.components))))
    if transforms := subject.info.transforms:
        facts.append(
            ("Transformed columns", f"{listing([*transforms.changed.values()])}; the others are in data units")
        )
    if subject.info.fingerprint is not None:
        facts.append(("Fingerprint", subject.info.fingerprint))
    rows = [
        (name, *(number(float(v)) for v in (np.nanmin(column), centre[j], np.nanmax(column), sd[j])))
        for j, (name, column) in enumerate(zip(subject.columns, x.T, strict=True))
    ]
    columns = ("column", "minimum", "mean", "maximum", "standard deviation")
    blocks: list[Block] = [Facts(tuple(facts)), Grid("The data, by column", columns, tuple(rows[:MANY]))]
    if rows[MANY:]:
        blocks.append(Fold("The other columns", (Grid("The data, continued", columns, tuple(rows[MANY:])),)))
    return blocks


def model(subject: Subject) -> list[Block]:
    """Describe the model and each prior in words and formulas."""
    if subject.model is None:
        raise Omitted(
            "The fit stores no model declaration, because it was not made by bayesgmm.fit, so its priors are unknown."
        )
    parts = descriptions(subject.model, subject.n_features)
    lines = [(mathml(formula), "") for formula in parts["data"].formulas]
    ignored = subject.engine is not None and subject.engine.ignores_priors
    kept = {} if ignored else {name: part for name, part in parts.items() if name != "data"}
    if subject.n_components == 1:
        kept.pop("weights", None)
    lines += [
        (mathml(formula), part.words if i == 0 else "")
        for part in kept.values()
        for i, formula in enumerate(part.formulas)
    ]
    blocks: list[Block] = [Paragraph(parts["data"].words), Formulas(tuple(lines))]
    if ignored:
        blocks.append(Paragraph(f"The method {subject.method!r} maximises the likelihood and uses no priors."))
    parameters = _parameters(kept, subject)
    return [*blocks, parameters] if parameters else blocks


def _parameters(parts: dict[str, Description], subject: Subject) -> Block | None:
    """Make a table of the prior parameters that differ by column; None if there are none."""
    differing = [(symbol, values) for part in parts.values() for symbol, values in part.columns.items()]
    if not differing:
        return None
    columns = ("column j", *(symbol for symbol, _ in differing))
    rows = tuple(
        (name, *(number(float(values[j])) for _, values in differing)) for j, name in enumerate(subject.titles)
    )
    grid = Grid("Parameters of the priors, in units of the data", columns, rows)
    return grid if len(rows) <= MANY else Fold("Parameters of the priors, by column", (grid,))


def engine(subject: Subject) -> list[Block]:
    """Describe the engine, its settings and its run."""
    stored = subject.info
    summary = "not an engine of bayesgmm" if subject.engine is None else subject.engine.summary
    facts = [("Method", f"{subject.method}: {summary}")]
    draws = plural(subject.n_draws, "draw")
    kept = draws if subject.n_chains == 1 else f"{plural(subject.n_chains, 'chain')} of {draws}"
    replaced = stored.notes.reconciled
    facts.append(("Draws", kept if replaced is None else f"{kept}. {replaced.sentence}"))
    if stored.settings:
        facts.append(("Settings", ", ".join(f"{name} = {value}" for name, value in stored.settings.items())))
    if stored.seed is not None:
        facts.append(("Seed", str(stored.seed)))
    if stored.seconds is not None:
        facts.append(("Time", f"{number(stored.seconds, 3)} seconds"))
    if not subject.is_point and subject.n_components > 1:
        facts.append(("Label switching", label_words(stored)))
    if stored.notes.elbo is not None:
        error = f" ± {number(stored.notes.elbo_se, 2)}" if stored.notes.elbo_se else ""
        facts.append(("Evidence lower bound (ELBO)", f"{number(stored.notes.elbo, 6)}{error}"))
    versions = stored.versions or foreign_versions(subject)
    if versions:
        facts.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return [Facts(tuple(facts))]


def label_words(facts: FitInfo) -> str:
    """Describe how label switching was undone, and the agreement of the labels.

    Examples
    --------
    >>> from bayesgmm.posterior.notes import LabelInfo
    >>> label_words(FitInfo(relabelled="ecr", labels=LabelInfo("ecr", agreement=0.973)))
    'undone by ECR; in a draw, a point has its most probable label with probability 0.973'
    """
    method = facts.relabelled
    if not method:
        return "undone for this report (Stephens 2000)"
    agreement = None if facts.labels is None else facts.labels.agreement
    name = RELABELLED.get(method, method)
    if agreement is None:
        return f"undone by {name}"
    return f"undone by {name}; in a draw, a point has its most probable label with probability {number(agreement, 3)}"


def foreign_versions(subject: Subject) -> dict[str, str]:
    """Return the library that made a trace, with its version."""
    attrs = subject.fit["posterior"].attrs
    known = {attrs.get("inference_library"): attrs.get("inference_library_version")}
    return {str(name): str(version) for name, version in known.items() if name and version}
