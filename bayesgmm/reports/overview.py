"""Summary of a report: the results, their uncertainty, the verdict, and the findings of the checks."""

import numpy as np

from bayesgmm.reports.blocks import Block, Findings, Fold, Items, Paragraph
from bayesgmm.reports.subject import Subject, listed, share
from bayesgmm.wording import plural

SHOWN = 6  # components that a sentence lists
SURE = 0.95  # probability from which a component is said to hold points


def verdict(subject: Subject) -> list[Block]:
    """Three sentences."""
    return [Paragraph(text, "lead") for text in (_found(subject), _certainty(subject), _trust(subject))]


def _found(subject: Subject) -> str:
    weight = subject.posterior.parameters.weight.mean(axis=0)
    columns = plural(subject.n_features, "column")
    data = f"{subject.rows_and_points} in {columns}" if subject.has_points else f"data in {columns}"
    if subject.n_components == 1:
        return f"One Gaussian was fitted to {data}."
    occupied = subject.occupied
    sizes = [share(float(weight[k])) for k in occupied[:SHOWN]] + (["…"] if len(occupied) > SHOWN else [])
    if len(occupied) == subject.n_components:
        found = f"they hold {listed(sizes)} of them"
    else:
        found = f"{len(occupied)} of them hold a point or more: {listed(sizes)} of the points"
    return f"A mixture of {subject.n_components} Gaussians was fitted to {data}; {found}."


def _certainty(subject: Subject) -> str:
    if not subject.has_points:
        return "The fit holds no points, so nothing is said of single ones."
    if subject.n_components == 1:
        return "With one component there is no doubt about labels."
    doubt = subject.assignments["entropy"].values
    worst = int(np.argmax(doubt))
    top = np.sort(subject.assignments["probability"].values[worst])[::-1]
    sure = round(subject.certain * subject.n_points)
    return (
        f"{sure:,} of {plural(subject.n_points, subject.word)} ({share(subject.certain)}) belong to one component with "
        f"probability above 0.9; the least certain is row {subject.labels[worst]}, with {share(float(top[0]))} for one "
        f"component and {share(float(top[1]))} for another."
    )


def _trust(subject: Subject) -> str:
    return subject.findings.verdict


def findings(subject: Subject) -> list[Block]:
    """Show the findings of all checks, the most severe first."""
    found = subject.findings
    blocks: list[Block] = [Findings(tuple(found))] if len(found) else []
    if found.passed:
        blocks.append(
            Paragraph(f"Nothing was found by {plural(len(found.passed), 'check')}: {listed([*found.passed])}.")
        )
    if found.skipped:
        why = tuple(f"{name}: {reason}." for name, reason in found.skipped.items())
        blocks.append(Fold(f"{plural(len(why), 'check')} could not be made", (Items(why),)))
    return blocks
