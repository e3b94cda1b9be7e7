"""Sections on the data, the model in words and formulas, the priors and the engine."""

from bayesgmm.posterior.info import FitInfo
from bayesgmm.reports.blocks import Block, Facts, Fold, Formulas, Grid, LeftOut, Paragraph
from bayesgmm.reports.mathematics import mathml, number
from bayesgmm.reports.priors import Saying, sayings
from bayesgmm.reports.subject import MANY, Subject
from bayesgmm.wording import plural

RELABELLED = {
    "stephens": "Stephens' algorithm (2000)",
    "ecr": "ECR",
    "pivot": "a pivot",
    "ordered": "an order",
}


def data(subject: Subject) -> list[Block]:
    """The data, column by column."""
    points = subject.points
    x, (centre, sd) = points.counted, points.centre_and_sd
    facts = [(f"{subject.word.capitalize()}s", f"{subject.n_points:,}"), ("Columns", f"{subject.n_features:,}")]
    if points.weights is not None:
        facts.append(("Row weights", f"they add up to {number(points.total_weight)}, and count in the table"))
    if subject.info.fingerprint is not None:
        facts.append(("Fingerprint", subject.info.fingerprint))
    rows = [
        (name, *(number(float(v)) for v in (column.min(), centre[j], column.max(), sd[j])))
        for j, (name, column) in enumerate(zip(subject.columns, x.T, strict=True))
    ]
    columns = ("column", "minimum", "mean", "maximum", "standard deviation")
    blocks: list[Block] = [Facts(tuple(facts)), Grid("The data, column by column", columns, tuple(rows[:MANY]))]
    if rows[MANY:]:
        blocks.append(Fold("The other columns", (Grid("The data, continued", columns, tuple(rows[MANY:])),)))
    return blocks


def model(subject: Subject) -> list[Block]:
    """The declaration, each prior in words and in mathematics."""
    if subject.model is None:
        raise LeftOut("The fit holds no declaration: it was not made by bayesgmm's own fit, so its priors are unknown.")
    said = sayings(subject.model, subject.n_features)
    lines = [(mathml(formula), "") for formula in said["data"].formulas]
    ignored = subject.engine is not None and subject.engine.ignores_priors
    kept = {} if ignored else {part: saying for part, saying in said.items() if part != "data"}
    if subject.n_components == 1:
        kept.pop("weights", None)
    lines += [
        (mathml(formula), saying.words if i == 0 else "")
        for saying in kept.values()
        for i, formula in enumerate(saying.formulas)
    ]
    blocks: list[Block] = [Paragraph(said["data"].words), Formulas(tuple(lines))]
    if ignored:
        blocks.append(Paragraph(f"The method {subject.method!r} maximises the likelihood: priors play no part."))
    numbers = _numbers(kept, subject)
    return [*blocks, numbers] if numbers else blocks


def _numbers(said: dict[str, Saying], subject: Subject) -> Block | None:
    """The priors' numbers that differ by column, as a table."""
    found = [(symbol, values) for saying in said.values() for symbol, values in saying.columns.items()]
    if not found:
        return None
    columns = ("column j", *(symbol for symbol, _ in found))
    rows = tuple((name, *(number(float(values[j])) for _, values in found)) for j, name in enumerate(subject.titles))
    grid = Grid("The numbers of the priors, in the data's units", columns, rows)
    return grid if len(rows) <= MANY else Fold("The numbers of the priors, column by column", (grid,))


def engine(subject: Subject) -> list[Block]:
    """Describe the engine, its settings and its run."""
    told = subject.info
    summary = "not one of bayesgmm’s own" if subject.engine is None else subject.engine.summary
    facts = [("Method", f"{subject.method}: {summary}")]
    draws = plural(subject.n_draws, "draw")
    facts.append(("Draws", draws if subject.n_chains == 1 else f"{plural(subject.n_chains, 'chain')} of {draws}"))
    if told.settings:
        facts.append(("Settings", ", ".join(f"{name} = {value}" for name, value in told.settings.items())))
    if told.seed is not None:
        facts.append(("Seed", str(told.seed)))
    if told.seconds is not None:
        facts.append(("Time", f"{number(told.seconds, 3)} seconds"))
    if not subject.is_point and subject.n_components > 1:
        facts.append(("Label switching", _labels(told)))
    if told.notes.elbo is not None:
        error = f" ± {number(told.notes.elbo_se, 2)}" if told.notes.elbo_se else ""
        facts.append(("Lower bound of the log evidence", f"{number(told.notes.elbo, 6)}{error}"))
    versions = told.versions or _foreign_versions(subject)
    if versions:
        facts.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return [Facts(tuple(facts))]


def _labels(facts: FitInfo) -> str:
    """Describe how label switching was undone, and the agreement of the labels.

    Examples
    --------
    >>> from bayesgmm.posterior.info import LabelInfo
    >>> _labels(FitInfo(relabelled="ecr", labels=LabelInfo("ecr", agreement=0.973)))
    'undone by ECR: in a draw, a label is that of all draws together with probability 0.973'
    """
    method = facts.relabelled
    if not method:
        return "undone for this report (Stephens 2000)"
    agreement = None if facts.labels is None else facts.labels.agreement
    said = RELABELLED.get(method, method)
    if agreement is None:
        return f"undone by {said}"
    return f"undone by {said}: in a draw, a label is that of all draws together with probability {number(agreement, 3)}"


def _foreign_versions(subject: Subject) -> dict[str, str]:
    attrs = subject.fit["posterior"].attrs
    known = {attrs.get("inference_library"): attrs.get("inference_library_version")}
    return {str(name): str(version) for name, version in known.items() if name and version}
