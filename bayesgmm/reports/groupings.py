"""Label-free sections: the number of clusters, the optimal partition and its uncertainty."""

import numpy as np

from bayesgmm.clusterings.credible_balls import credible_ball
from bayesgmm.clusterings.label_draws import n_clusters as count_clusters
from bayesgmm.plots import partitions as draw
from bayesgmm.reports.blocks import Block, LeftOut
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import picture
from bayesgmm.reports.subject import PAIRED, Subject, listed, share
from bayesgmm.wording import plural

CI_PROB = 0.95
SHOWN = 3  # columns that pictures of clusterings show


def how_many(subject: Subject) -> list[Block]:
    """The posterior of the number of occupied components."""
    if subject.n_components == 1:
        raise LeftOut("With one component there is one cluster.")
    chance = count_clusters(subject.counted)
    counts, values = chance["n_clusters"].values, chance.values
    best = int(values.argmax())
    likely = [f"{counts[i]} ({share(float(values[i]))})" for i in np.flatnonzero(values > 0.005)]
    said = (
        f"Most probably {counts[best]} of {subject.n_components} components hold points ({share(float(values[best]))})."
    )
    return [
        picture(
            lambda: draw.n_clusters(subject.counted),
            title="How many components hold points",
            alt=f"Probabilities of the number of occupied components: {listed(likely)}.",
            reading="The probability of each number of components that hold at least one point. It can't be more than "
            "the model has: where the last bar is high, more components might be wanted; where it is one of the "
            f"first, fewer suffice.{subject.thinned}{subject.alike}",
            verdict=said,
        )
    ]


def together(subject: Subject) -> list[Block]:
    """Show the co-clustering probability of each pair of points."""
    best = subject.partition
    data = draw.co_clustering_data(subject.company, best)
    matrix = data["probability"].values
    above = matrix[np.triu_indices(len(matrix), 1)]
    torn = float(((above > 0.1) & (above < 0.9)).mean()) if above.size else 0.0
    return [
        picture(
            lambda: draw.co_clustering(subject.company, best),
            title="Which points belong together",
            alt=f"Matrix of the probability that two of {len(matrix):,} points come from the same component, ordered "
            f"into {plural(best.attrs['n_clusters'], 'cluster')}; {share(torn)} of the pairs are uncertain.",
            reading="Every row and column is a point; dark means that the two belong together. A sure cluster is a "
            "dark square; grey beside it says that its points may belong elsewhere. What components are called plays "
            f"no part.{subject.limited(PAIRED)}{subject.alike}",
            verdict=f"Of {share(torn)} of all pairs it is not known (neither with probability 0.9) whether they "
            "belong together.",
            vectors=False,
        )
    ]


def clusterings(subject: Subject) -> list[Block]:
    """The optimal clustering, and which others are plausible."""
    best = subject.partition
    ball = credible_ball(subject.company, best, ci_prob=CI_PROB)
    sizes = [f"{int(size):,}" for size in best["size"].values]
    counts = [int(count) for count in ball["n_clusters"].values]
    columns = subject.telling[:SHOWN]
    many = f"{min(counts)} to {max(counts)} clusters" if min(counts) < max(counts) else plural(counts[0], "cluster")
    return [
        picture(
            lambda: draw.partition(subject.company, best, columns, ci_prob=CI_PROB),
            title="The optimal clustering, and others that are plausible",
            alt=f"The optimal clustering has {plural(len(sizes), 'cluster')} of {listed(sizes)} points; beside it the "
            f"extremes of the credible ball, with {listed([str(count) for count in counts])} clusters.",
            reading="First the clustering of least expected loss (variation of information); then the extremes of the "
            f"ball around it that holds {CI_PROB:.0%} of the posterior: the farthest, the one with the fewest and the "
            f"one with the most clusters.{subject.limited(PAIRED)}{subject.alike}",
            verdict=f"The optimal clustering has {plural(len(sizes), 'cluster')}; plausible ones lie within "
            f"{number(float(ball['radius']), 3)} bits of it, the extremes with {many}.",
            vectors=False,
        )
    ]
