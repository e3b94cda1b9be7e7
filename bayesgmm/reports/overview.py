"""Summary of a report: the results, their uncertainty, the verdict, and the findings of the checks."""

import numpy as np

from bayesgmm.reports.blocks import Block, Findings, Fold, Items, Paragraph
from bayesgmm.reports.subject import Subject, listed
from bayesgmm.wording import plural, share

SHOWN = 6  # maximum number of components in a sentence


def verdict(subject: Subject) -> list[Block]:
    """Summarise the fit in three sentences: the result, its uncertainty, and the verdict of the checks."""
    sentences = (_result(subject), uncertainty(subject), subject.findings.verdict)
    return [Paragraph(text, "lead") for text in sentences]


def _result(subject: Subject) -> str:
    weight = subject.posterior.parameters.weight.mean(axis=0)
    columns = plural(subject.n_features, "column")
    data = f"{subject.rows_and_points} in {columns}" if subject.has_points else f"data in {columns}"
    if subject.n_components == 1:
        return f"One Gaussian was fitted to {data}."
    occupied = subject.occupied
    sizes = [share(float(weight[k])) for k in occupied[:SHOWN]] + (["…"] if len(occupied) > SHOWN else [])
    if len(occupied) == subject.n_components:
        weights = f"The weights of the components are {listed(sizes)}."
    elif len(occupied) == 1:
        weights = f"Only one component holds points; its weight is {sizes[0]}."
    else:
        weights = f"{len(occupied)} components hold points; their weights are {listed(sizes)}."
    return f"A mixture of {subject.n_components} Gaussians was fitted to {data}. {weights}"


def uncertainty(subject: Subject) -> str:
    """Describe how certain the components of the points are, and the most uncertain point."""
    if not subject.has_points:
        return "The fit does not contain its data, so single points can't be assigned to components."
    if subject.n_components == 1:
        return "With one component, no label is uncertain."
    worst = int(np.argmax(subject.assignments["entropy"].values))
    top = np.sort(subject.assignments["probability"].values[worst])[::-1]
    sure = round(subject.certain * subject.n_points)
    if subject.all_certain:
        return subject.all_certain
    return (
        f"{sure:,} of {plural(subject.n_points, subject.word)} ({share(subject.certain)}) belong to one component with "
        f"probability above 0.9. The most uncertain is row {subject.labels[worst]}, with probability "
        f"{share(float(top[0]))} for one component and {share(float(top[1]))} for another."
    )


def findings(subject: Subject) -> list[Block]:
    """Show the findings of all checks, the most severe first."""
    findings = subject.findings
    blocks: list[Block] = [Findings(tuple(findings))] if len(findings) else []
    if passed := findings.passed:
        blocks.append(Paragraph(f"No findings from {plural(len(passed), 'check')}: {listed([*passed])}."))
    if findings.skipped:
        why = tuple(f"{name}: {reason}." for name, reason in findings.skipped.items())
        blocks.append(Fold(plural(len(why), "check was not possible", "checks were not possible"), (Items(why),)))
    return blocks
