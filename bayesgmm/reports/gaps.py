"""Section on missing values: which are missing together, and what they are given the others."""

import numpy as np

from bayesgmm.posterior.schema import transforms_of
from bayesgmm.reports.blocks import Block
from bayesgmm.reports.pictures import picture
from bayesgmm.reports.subject import Subject, listed
from bayesgmm.wording import plural

COLUMNS = 6  # maximum number of columns in the figure of imputed values


def patterns(subject: Subject) -> list[Block]:
    """Show which columns are missing in the same rows."""
    from bayesgmm.plots.missing_values import draw_missing, missing_data

    if not subject.points.has_gaps:
        return []
    found = missing_data(subject.fit)
    complete = int(found["count"].values[~found["missing"].values.any(axis=1)].sum())
    total = found["total"].values
    most = str(found["feature"].values[total.argmax()])
    return [
        picture(
            lambda: draw_missing(found),
            title="Missing values",
            alt="For each pattern, the columns that are missing together and the number of rows. "
            f"{complete:,} rows are complete.",
            reading="Each row of the figure is a set of columns that are missing in the same rows of the data; below "
            "the columns are the numbers of their missing values. What is observed of a row is used. That is right if "
            "whether a value is missing does not depend on the value itself.",
            verdict=f"{complete:,} of {plural(subject.n_points, subject.word)} are complete; "
            f"most values are missing in {most} ({int(total.max()):,}).",
        )
    ]


def values(subject: Subject) -> list[Block]:
    """Show imputed values with their intervals."""
    from bayesgmm.plots import imputations

    points = subject.points
    if not points.has_gaps:
        return []
    counts = np.isnan(points.values).sum(axis=0)
    columns = [*transforms_of(subject.fit).names]  # in data units, in the same order
    names = [columns[j] for j in np.argsort(-counts, kind="stable")[:COLUMNS] if counts[j]]
    return [
        picture(
            lambda: imputations(subject.fit, columns=names),
            title="Imputed values",
            alt=f"Means and intervals of the missing values of {listed(names)}, beside the observed ones.",
            reading="Each missing value given what is observed of its row: the mean, a thick 50 % and a thin 90 % "
            "interval. Marks at the left are the observed values. An interval that covers them all says that the rest "
            "of the row tells nothing about this value.",
            verdict="impute draws completed data.",
        )
    ]
