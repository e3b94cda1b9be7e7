"""Sections that do not depend on labels: number of clusters, optimal partition, co-clustering probabilities."""

import numpy as np

from bayesgmm.clusterings.label_draws import n_clusters as count_clusters
from bayesgmm.plots import cluster_numbers
from bayesgmm.plots import partitions as draw
from bayesgmm.posterior.draws import number_varies
from bayesgmm.reports.blocks import Block, Omitted
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import picture
from bayesgmm.reports.subject import PAIRED, Subject, listed
from bayesgmm.wording import plural, share

CI_PROB = 0.95
SHOWN = 2  # maximum number of columns in a figure of partitions


def how_many(subject: Subject) -> list[Block]:
    """Show the posterior of the number of occupied components."""
    if subject.n_components == 1:
        raise Omitted("With one component there is one cluster.")
    chance = count_clusters(subject.counted)
    counts, values = chance["n_clusters"].values, chance.values
    best = int(values.argmax())
    likely = [f"{counts[i]} ({share(float(values[i]))})" for i in np.flatnonzero(values > 0.005)]
    most = (
        f"Most probably {counts[best]} of {subject.n_components} components hold points ({share(float(values[best]))})."
    )
    return [
        picture(
            lambda: cluster_numbers.draw_n_clusters(cluster_numbers.trimmed(chance)),
            title="Number of occupied components",
            alt=f"Probabilities of the number of occupied components: {listed(likely)}.",
            reading="The posterior probability of each number of components that hold at least one point. The maximum "
            "is the number of components in the model: if the last bar is high, more components may be needed; if one "
            f"of the first is high, fewer are enough.{subject.thinned}{subject.unweighted}",
            verdict=most,
        )
    ]


def how_many_components(subject: Subject) -> list[Block]:
    """Show the posterior of an unknown number of components, beside its prior."""
    if not number_varies(subject.fit):
        return []
    data = cluster_numbers.n_components_data(subject.fit)
    best = int(data["components"].values.argmax())
    values = zip(data["number"].values, data["components"].values, strict=True)
    likely = [f"{n} ({share(float(p))})" for n, p in values if p > 0.005]
    return [
        picture(
            lambda: cluster_numbers.draw_n_components(data),
            title="Number of components",
            alt=f"Probabilities of the number of components: {listed(likely)}.",
            reading="Left, the number of components of the population; right, the number of those that hold at least "
            "one point. Bars are posterior probabilities with their Monte Carlo errors, points are prior "
            "probabilities. Where bars and points agree, the data say little about the number.",
            verdict=f"Most probably there are {int(data['number'][best])} components "
            f"({share(float(data['components'][best]))}).",
        )
    ]


def together(subject: Subject) -> list[Block]:
    """Show the co-clustering probability of each pair of points."""
    best = subject.partition
    data = draw.co_clustering_data(subject.paired, best)
    matrix = data["probability"].values
    above = matrix[np.triu_indices(len(matrix), 1)]
    uncertain = float(((above > 0.1) & (above < 0.9)).mean()) if above.size else 0.0
    return [
        picture(
            lambda: draw.draw_co_clustering(data),
            title="Co-clustering probabilities",
            alt=f"Matrix of the probability that two of {len(matrix):,} points come from the same component, ordered "
            f"by {plural(best.attrs['n_clusters'], 'cluster')}; {share(uncertain)} of the pairs are uncertain.",
            reading="Each row and each column is a point; dark means that two points are probably in the same "
            "component. A certain cluster is a dark square; grey beside it means that its points may belong to other "
            f"clusters. The labels of the components are not used.{subject.limited(PAIRED)}{subject.unweighted}",
            verdict=f"For {share(uncertain)} of all pairs it is uncertain whether they are in the same component "
            "(probability between 0.1 and 0.9).",
            vectors=False,
        )
    ]


def clusterings(subject: Subject) -> list[Block]:
    """Show the optimal partition, and those at the bounds of its credible ball."""
    best = subject.partition
    data = draw.partition_data(subject.paired, best, subject.most_different(SHOWN), ci_prob=CI_PROB)
    sizes = [f"{int(size):,}" for size in best["size"].values]
    counts = [int(count) for count in data["n_clusters"].values[1:]]
    many = f"{min(counts)} to {max(counts)} clusters" if min(counts) < max(counts) else plural(counts[0], "cluster")
    return [
        picture(
            lambda: draw.draw_partition(data),
            title="Optimal partition, and other plausible partitions",
            alt=f"The optimal partition has {plural(len(sizes), 'cluster')} of {listed(sizes)} points; beside it the "
            f"bounds of the credible ball, with {listed([str(count) for count in counts])} clusters.",
            reading="First the partition with the minimum expected loss (variation of information), then the bounds of "
            f"its credible ball, which contains {100 * CI_PROB:.0f} % of the posterior: the farthest partition, and "
            f"the farthest with the fewest and with the most clusters.{subject.limited(PAIRED)}{subject.unweighted}",
            verdict=f"The optimal partition has {plural(len(sizes), 'cluster')}. Plausible partitions are within "
            f"{number(data.attrs['radius'], 3)} bits of it; those at the bounds have {many}.",
            vectors=False,
        )
    ]
