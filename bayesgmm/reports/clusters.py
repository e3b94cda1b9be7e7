"""Sections on the components: sizes, locations, spreads and uncertainty, with figures."""

from itertools import pairwise

import numpy as np

from bayesgmm.diagnosis.summary import with_interval
from bayesgmm.plots.densities import density_data, draw_density
from bayesgmm.plots.forests import draw_weights, weights_data
from bayesgmm.plots.mixtures import draw_pairs, pairs_data
from bayesgmm.reports.blocks import Block, Fold, Grid, Items, Omitted, Paragraph
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import component_colour, picture
from bayesgmm.reports.subject import CERTAIN, MANY, Subject, listed
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural, share

CI_PROB = 0.9
APART = 0.5  # standard deviations of a column from which a mean is called high or low
NAMED = 4  # maximum number of pairs of components in a sentence
DENSE = 2  # maximum number of columns in the figure of the density; that of the components shows it for all
N_UNCERTAIN = 10  # number of points in the table
BUNDLES = "; thin ellipses are those of 25 draws, so where they scatter, the component is uncertain"
SCATTER = (
    "; each thin line is the edge of the 95 % region in one draw, so where the lines scatter, the edge is uncertain"
)


def table(subject: Subject) -> list[Block]:
    """Show weight, expected points, means and standard deviations of the components; nearly empty ones are folded."""
    if subject.is_point:
        what = "point estimates, without intervals."
    else:
        what = f"posterior means with {100 * CI_PROB:.0f} % credible intervals."
    blocks = _tables(subject, f"Components: {what}", subject.occupied, "The other columns")
    empty = [k for k in range(subject.n_components) if k not in subject.occupied]
    if empty:
        heading = plural(len(empty), "nearly empty component")
        why = "Each is expected to hold less than one point, so its parameters depend mostly on the prior."
        blocks.append(
            Fold(heading, (Paragraph(why), *_tables(subject, "Nearly empty components.", empty, "The other columns")))
        )
    return blocks


def _tables(subject: Subject, caption: str, chosen: list[int], more: str) -> list[Block]:
    """Make a table of some components; columns beyond the first few are folded."""
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
    rows = [("weight", *_cells(p.weight[:, chosen]))]
    if subject.has_points:
        rows.append(("expected points", *(f"{subject.sizes[k]:,.1f}" for k in chosen)))
    mean = p.mean[:, chosen]
    sd = np.sqrt(np.diagonal(p.covariance[:, chosen], axis1=-2, axis2=-1))
    for j, name in enumerate(subject.titles):
        rows += [(f"{name}, mean", *_cells(mean[..., j])), (f"{name}, standard deviation", *_cells(sd[..., j]))]
    return rows


def _cells(draws: Array) -> list[str]:
    """Make a cell for each component, with mean and interval, from draws (S, K)."""
    tail = (1 - CI_PROB) / 2
    lower, upper = np.quantile(draws, [tail, 1 - tail], axis=0)
    numbers = zip(draws.mean(axis=0), lower, upper, strict=True)
    return [with_interval(*(float(v) for v in three)).replace("-", "−") for three in numbers]


def portraits(subject: Subject) -> list[Block]:
    """Describe each component in a sentence."""
    if len(subject.occupied) == 1:
        raise Omitted("Only one component holds points, so there are no others to compare it with.")
    p = subject.posterior.parameters
    weight, mean = p.weight.mean(axis=0), p.mean.mean(axis=0)
    variance = np.diagonal(p.covariance, axis1=-2, axis2=-1).mean(axis=0)
    centre = weight @ mean
    sd = np.sqrt(weight @ (variance + (mean - centre) ** 2))
    texts = [
        f"Component {subject.components[k]} (weight {share(float(weight[k]))}): "
        f"{_portrait(subject, mean[k], centre, sd)}."
        for k in subject.occupied
    ]
    return [Paragraph("How the mean of each component differs from the mean of the mixture:"), Items(tuple(texts))]


def _portrait(subject: Subject, mean: Array, centre: Array, sd: Array) -> str:
    """Describe the columns in which the mean of a component is high or low, the strongest first."""
    z = (mean - centre) / sd
    strongest = [j for j in np.argsort(-np.abs(z), kind="stable")[:3] if abs(z[j]) >= APART]
    if not strongest:
        return "near the overall mean in every column; it differs by its standard deviations or correlations"
    parts = [
        f"{'high' if z[j] > 0 else 'low'} in {subject.titles[j]} ({number(mean[j], 3)}, overall {number(centre[j], 3)})"
        for j in strongest
    ]
    return listed(parts)


def pairs(subject: Subject) -> list[Block]:
    """Show the points and the components, for each pair of columns."""
    columns = subject.informative
    uncertain = subject.n_points - round(subject.certain * subject.n_points)
    counts = np.bincount(subject.assignments["label"].values, minlength=subject.n_components)
    sizes = listed([f"{counts[k]:,} of component {subject.components[k]}" for k in subject.occupied])
    of_pairs = (
        "Below the diagonal, each pair of columns: a point has the colour of its most probable component; ellipses "
        f"contain 50 % and 90 % of a component{'' if subject.is_point else BUNDLES}. Above the diagonal: contours of "
        f"the predictive density, and the components' means{'' if subject.is_point else ' in the draws'}. On the "
        "diagonal, each column: "
    )
    band = "" if subject.is_point else ", and a 90 % credible band of their sum"
    panel = f"a histogram of the data, the densities of the components{band}."
    reading = f"{of_pairs}{panel}" if subject.n_features > 1 else panel.capitalize()
    verdict = (
        f"For {uncertain:,} of {plural(subject.n_points, subject.word)}, no component has a probability above 0.9: "
        "components overlap there."
        if uncertain
        else "Every point belongs to one component with probability above 0.9."
    )
    return [
        picture(
            lambda: draw_pairs(pairs_data(subject.drawn, columns, CI_PROB), CI_PROB),
            title="Points and components",
            alt=f"{'Scatter plots' if subject.n_features > 1 else 'A histogram'} of {listed(columns)}, coloured by "
            f"component: {sizes}. {plural(uncertain, 'uncertain label')}.",
            reading=f"{reading}{_chosen(subject, len(columns))}{subject.thinned}",
            verdict=verdict,
            vectors=subject.n_features == 1,
            live=subject.live("draw_pairs", lambda: pairs_data(subject.drawn, columns, CI_PROB), subject.drawn),
        )
    ]


def _chosen(subject: Subject, count: int) -> str:
    """Return a sentence if only a number of the columns are shown."""
    return f" The {count} columns in which the components differ most are shown." if count < subject.n_features else ""


def density(subject: Subject) -> list[Block]:
    """Show the density with its uncertainty, in the columns in which the components differ most."""
    columns = subject.most_different(DENSE)
    data = density_data(subject.few, columns)
    wide, tops = [], []
    for j in range(len(columns)):
        of_column = data.isel(feature=j)
        at = int(of_column["density"].values.argmax())
        wide.append(float(np.ptp(of_column["band"].values[at]) / of_column["density"].values[at]))
        tops.append(number(float(of_column["grid"].values[at]), 3))
    most = int(np.argmax(wide))
    histogram = "On the diagonal, each column: a histogram" if subject.n_features > 1 else "A histogram"
    edges = "" if subject.is_point else SCATTER
    pairs_read = f" Below, each pair: shaded regions contain 50, 80 and 95 % of the probability{edges}."
    band = "" if subject.is_point else " with a 90 % credible band"
    where = f" of {columns[most]}, the most uncertain," if len(columns) > 1 else ""
    certainty = f"At its maximum, the density{where} has a 90 % credible band of ± {share(wide[most] / 2)}."
    return [
        picture(
            lambda: draw_density(data),
            title="Density",
            alt=f"Density of {listed(columns)}; highest at {listed(tops)}.",
            reading=f"{histogram} of the data, the density{band}, and the components."
            f"{pairs_read if subject.n_features > 1 else ''}"
            f"{_chosen(subject, len(columns))}{subject.thinned}",
            verdict="A point estimate has no credible band." if subject.is_point else certainty,
            vectors=subject.n_features == 1,
            live=subject.live("draw_density", lambda: data, subject.few),
        )
    ]


def weights(subject: Subject) -> list[Block]:
    """Show the weights of the components."""
    if subject.n_components == 1:
        raise Omitted("")
    data = weights_data(subject.few, CI_PROB)
    low, high = data["interval"].values[:, -1].T
    middle = data["mean"].values
    listing = [
        f"component {name} {share(float(middle[k]))}"
        for k, name in enumerate(subject.components)
        if k in subject.occupied
    ]
    order = np.argsort(-middle, kind="stable").tolist()
    close = [(a, b) for a, b in pairwise(order) if low[a] <= high[b]]
    named = "; ".join(f"{subject.components[a]} or {subject.components[b]}" for a, b in close[:NAMED])
    more = f"; and {len(close) - NAMED} more" if len(close) > NAMED else ""
    uncertain = f"It is uncertain which component has the larger weight: {named}{more}."
    certainty = uncertain if close else "The order of the components by weight is certain."
    return [
        picture(
            lambda: draw_weights(data, CI_PROB),
            title="Weights",
            alt=f"Weights with intervals: {listed(listing)}.",
            reading="Thick lines are 50 % credible intervals, thin lines 90 % credible intervals. If the method uses a "
            "prior of the weights, the grey band is its 90 % interval for any one weight. On the right is the "
            "probability that a component holds at least one point.",
            verdict="A point estimate has no intervals." if subject.is_point else certainty,
        )
    ]


def least_certain(subject: Subject) -> list[Block]:
    """List the points with the most uncertain labels."""
    if subject.n_components == 1:
        raise Omitted("With one component, no label is uncertain.")
    answer, points = subject.assignments, subject.points
    if subject.all_certain:
        return [Paragraph(f"No label is uncertain. {subject.all_certain}")]
    chosen = np.argsort(-answer["entropy"].values, kind="stable")[:N_UNCERTAIN]
    chosen = chosen[answer["probability"].values[chosen].max(axis=1) <= CERTAIN]
    shown = [subject.names.index(name) for name in subject.informative]
    rows = []
    for i in chosen:
        probability = answer["probability"].values[i]
        first, second = np.argsort(-probability, kind="stable")[:2]
        halves = [f"{subject.components[k]} ({share(float(probability[k]))})" for k in (first, second)]
        rows.append((subject.labels[i], *halves, *(number(v) for v in points.values[i, shown])))
    columns = ("row", "most probable", "second", *(subject.titles[j] for j in shown))
    caption = (
        f"The {plural(len(rows), 'point')} with the most uncertain component, with their two most probable components."
    )
    return [Grid(caption, columns, tuple(rows))]
