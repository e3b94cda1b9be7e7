"""The clusters: sizes, locations, spreads and uncertainty, with figures."""

from itertools import pairwise

import numpy as np

from bayesgmm.diagnosis.summary import with_interval
from bayesgmm.plots.densities import density as draw_density
from bayesgmm.plots.densities import density_data
from bayesgmm.plots.forests import weights as draw_weights
from bayesgmm.plots.forests import weights_data
from bayesgmm.plots.mixtures import pairs as draw_pairs
from bayesgmm.reports.blocks import Block, Fold, Grid, Items, LeftOut, Paragraph
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import component_colour, picture
from bayesgmm.reports.subject import MANY, Subject, listed, share
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

CI_PROB = 0.9
APART = 0.5  # standard deviations of a column from which a component is called high or low in it
NAMED = 4  # pairs of components that a sentence names
LEAST_CERTAIN = 10  # points that a table shows
BUNDLES = ", and thin ones are those of 25 draws, so the width of a bundle is the posterior's doubt about it"
SCATTER = "; each thin line is the edge of the 95 % of one draw, so where the lines scatter, the edge is uncertain"


def table(subject: Subject) -> list[Block]:
    """Weight, points, means and standard deviations of every component that holds points; of the others on demand."""
    if subject.is_point:
        what = "Estimates; a point estimate has no intervals."
    else:
        what = f"Posterior means, with intervals that hold each number with probability {CI_PROB:g}."
    blocks = _tables(subject, f"The components. {what}", subject.occupied, "The other columns")
    empty = [k for k in range(subject.n_components) if k not in subject.occupied]
    if empty:
        said = f"{plural(len(empty), 'component')} that {'is' if len(empty) == 1 else 'are'} nearly empty"
        why = "Each is expected to hold less than one point: where it lies is mostly what the prior says."
        blocks.append(
            Fold(said, (Paragraph(why), *_tables(subject, "Nearly empty components.", empty, "The other columns")))
        )
    return blocks


def _tables(subject: Subject, caption: str, chosen: list[int], more: str) -> list[Block]:
    """A table of some components, the columns beyond the first few folded away."""
    rows = _rows(subject, chosen)
    columns = ("", *(f"component\N{NO-BREAK SPACE}{subject.components[k]}" for k in chosen))
    colours = (None, *(component_colour(k) for k in chosen))
    first, rest = rows[: 2 + 2 * MANY], rows[2 + 2 * MANY :]
    blocks: list[Block] = [Grid(caption, columns, tuple(first), colours=colours)]
    if rest:
        blocks.append(Fold(more, (Grid(f"{caption} Continued", columns, tuple(rest), "", colours),)))
    return blocks


def _rows(subject: Subject, chosen: list[int]) -> list[tuple[str, ...]]:
    p = subject.posterior.parameters
    rows = [("share of the points", *_cells(p.weight[:, chosen]))]
    if subject.has_points:
        rows.append(("expected points", *(f"{subject.sizes[k]:,.1f}" for k in chosen)))
    mean = p.mean[:, chosen]
    sd = np.sqrt(np.diagonal(p.covariance[:, chosen], axis1=-2, axis2=-1))
    for j, name in enumerate(subject.titles):
        rows += [(f"{name}, mean", *_cells(mean[..., j])), (f"{name}, standard deviation", *_cells(sd[..., j]))]
    return rows


def _cells(draws: Array) -> list[str]:
    """A cell for each component: its mean and interval, from draws (S, K)."""
    tail = (1 - CI_PROB) / 2
    lower, upper = np.quantile(draws, [tail, 1 - tail], axis=0)
    numbers = zip(draws.mean(axis=0), lower, upper, strict=True)
    return [with_interval(*(float(v) for v in three)).replace("-", "−") for three in numbers]


def portraits(subject: Subject) -> list[Block]:
    """Describe each component in a sentence."""
    if len(subject.occupied) == 1:
        raise LeftOut("Only one component holds points: there is nothing to set it apart from.")
    p = subject.posterior.parameters
    weight, mean = p.weight.mean(axis=0), p.mean.mean(axis=0)
    variance = np.diagonal(p.covariance, axis1=-2, axis2=-1).mean(axis=0)
    centre = weight @ mean
    sd = np.sqrt(weight @ (variance + (mean - centre) ** 2))
    texts = [
        f"Component {subject.components[k]} ({share(float(weight[k]))} of the points) "
        f"{_portrait(subject, mean[k], centre, sd)}."
        for k in subject.occupied
    ]
    return [Paragraph("What sets each component apart from the mixture as a whole:"), Items(tuple(texts))]


def _portrait(subject: Subject, mean: Array, centre: Array, sd: Array) -> str:
    """Describe in which columns per component is high or low, the strongest first."""
    z = (mean - centre) / sd
    strongest = [j for j in np.argsort(-np.abs(z), kind="stable")[:3] if abs(z[j]) >= APART]
    if not strongest:
        return "lies in the middle of every column: its width or shape sets it apart, not its place"
    parts = [
        f"{'high' if z[j] > 0 else 'low'} in {subject.titles[j]} ({number(mean[j], 3)}, overall {number(centre[j], 3)})"
        for j in strongest
    ]
    return f"is {listed(parts)}"


def pairs(subject: Subject) -> list[Block]:
    """The points by component, pair by pair."""
    columns = subject.telling
    uncertain = subject.n_points - round(subject.certain * subject.n_points)
    counts = np.bincount(subject.assignments["label"].values, minlength=subject.n_components)
    sizes = listed([f"{counts[k]:,} of component {subject.components[k]}" for k in subject.occupied])
    of_pairs = (
        "Below the diagonal, every pair of columns: a point has the colour of its most probable component; ellipses "
        f"hold 50 % and 90 % of a component{'' if subject.is_point else BUNDLES}. Above the diagonal: contours of the "
        f"density of a new point, and where the components' means {'lie' if subject.is_point else 'may lie'}. On the "
        "diagonal, each column: "
    )
    band = "" if subject.is_point else ", the grey band holds their sum with probability 0.9"
    panel = f"the histogram is the data, the lines are the components{band}."
    reading = f"{of_pairs}{panel}" if subject.n_features > 1 else panel.capitalize()
    verdict = (
        f"{uncertain:,} of {plural(subject.n_points, subject.word)} {'lies' if uncertain == 1 else 'lie'} where "
        "components overlap, and no component has a probability above 0.9."
        if uncertain
        else "Every point belongs to one component with probability above 0.9."
    )
    return [
        picture(
            lambda: draw_pairs(subject.drawn, columns),
            title="Points and components",
            alt=f"{'Scatter plots' if subject.n_features > 1 else 'A histogram'} of {listed(columns)}, coloured by "
            f"component: {sizes}. {plural(uncertain, 'label')} uncertain.",
            reading=f"{reading}{_chosen(subject)}{subject.thinned}",
            verdict=verdict,
            vectors=subject.n_features == 1,
        )
    ]


def _chosen(subject: Subject) -> str:
    """A sentence where not all columns are drawn."""
    count = len(subject.telling)
    return f" The {count} columns in which the components differ most are drawn." if count < subject.n_features else ""


def density(subject: Subject) -> list[Block]:
    """The density, and what is uncertain about it."""
    columns = subject.telling
    wide, tops = [], []
    for name in columns:
        data = density_data(subject.few, [name]).isel(feature=0)
        at = int(data["density"].values.argmax())
        wide.append(float(np.ptp(data["band"].values[at]) / data["density"].values[at]))
        tops.append(number(float(data["grid"].values[at]), 3))
    most = int(np.argmax(wide))
    where = "On the diagonal, each column" if subject.n_features > 1 else "The column"
    edges = "" if subject.is_point else SCATTER
    pairs_read = f" Below, each pair: shades hold 50, 80 and 95 % of the probability{edges}."
    band = "" if subject.is_point else " with a band that holds it with probability 0.9 at each place"
    least_sure = f" in {columns[most]}, the least sure" if len(columns) > 1 else ""
    certainty = f"At its top the density is known to within {share(wide[most] / 2)} up or down{least_sure}."
    return [
        picture(
            lambda: draw_density(subject.few, columns),
            title="Density",
            alt=f"Density of {listed(columns)}; highest at {listed(tops)}.",
            reading=f"{where}: the data as a histogram, the density{band}, and the components."
            f"{pairs_read if subject.n_features > 1 else ''}"
            f"{_chosen(subject)}{subject.thinned}",
            verdict="A point estimate has no band." if subject.is_point else certainty,
            vectors=subject.n_features == 1,
        )
    ]


def weights(subject: Subject) -> list[Block]:
    """Show the weights of the components."""
    if subject.n_components == 1:
        raise LeftOut("")
    data = weights_data(subject.few)
    low, high = data["interval"].values[:, -1].T
    middle = data["mean"].values
    listing = [
        f"component {name} {share(float(middle[k]))}"
        for k, name in enumerate(subject.components)
        if k in subject.occupied
    ]
    order = np.argsort(-middle, kind="stable").tolist()
    close = [(a, b) for a, b in pairwise(order) if low[a] <= high[b]]
    unsure = listed([f"{subject.components[a]} or {subject.components[b]}" for a, b in close[:NAMED]])
    more = f" and {len(close) - NAMED} more" if len(close) > NAMED else ""
    certainty = f"It is not certain which is heavier: {unsure}{more}." if close else "Their order by weight is certain."
    return [
        picture(
            lambda: draw_weights(subject.few),
            title="Weights",
            alt=f"Weights with intervals: {listed(listing)}.",
            reading="A thick line holds a weight with probability 0.5, a thin one with 0.9. Where the model has a "
            "prior of the weights, the band behind is what it says of any one of them; at the right is the chance "
            "that a component holds a point at all.",
            verdict="A point estimate has no intervals." if subject.is_point else certainty,
        )
    ]


def least_certain(subject: Subject) -> list[Block]:
    """The points whose labels are least certain."""
    if subject.n_components == 1:
        raise LeftOut("With one component there is no doubt about labels.")
    answer, points = subject.assignments, subject.points
    doubt = answer["entropy"].values
    chosen = np.argsort(-doubt, kind="stable")[: min(LEAST_CERTAIN, len(doubt))]
    shown = [subject.names.index(name) for name in subject.telling]
    rows = []
    for i in chosen:
        probability = answer["probability"].values[i]
        first, second = np.argsort(-probability, kind="stable")[:2]
        halves = [f"{subject.components[k]} ({share(float(probability[k]))})" for k in (first, second)]
        rows.append((subject.labels[i], *halves, *(number(v) for v in points.values[i, shown])))
    columns = ("row", "most probably", "next", *(subject.titles[j] for j in shown))
    caption = f"The {len(rows)} points whose component is least certain, the least certain first."
    return [Grid(caption, columns, tuple(rows))]
