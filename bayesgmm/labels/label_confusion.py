"""Whether labels mean anything: whether the draws, and the draws with two labels exchanged, are two heaps or one."""

from typing import Any

import numpy as np
from scipy.cluster.hierarchy import complete, fcluster
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import squareform

from bayesgmm.findings import Finding
from bayesgmm.labels.alignments import Agreement, Consensus, Order, Votes, divergence
from bayesgmm.sweep.stats import Array

BINS = 512
FEWEST = 20  # draws: with fewer a valley between heaps can't be seen
INDISTINCT = 0.1  # two labels that may be the wrong way round more often than this can't be told apart
CONSTANT = 0.6  # a label that has less in common in two draws is none
WEIGHTY = (
    0.01  # weight of labels without meaning from which it matters: what is left over in an emptied component does not
)


def exchange_gaps(cost: Array, order: Order) -> Array:
    r"""(S, K, K) what each draw would pay more, were two of its labels exchanged.

    .. math:: g^{(s)}_{jk} = \sum_n w_n (p^{(s)}_{n \pi_s(j)} - p^{(s)}_{n \pi_s(k)}) \log (q_{nj} / q_{nk})

    Exchanged, a draw has the gap of the other sign: the gap is the direction in which a heap of draws and its mirror
    image lie apart.

    Examples
    --------
    >>> exchange_gaps(np.array([[[1.0, 4.0], [3.0, 2.0]]]), np.array([[0, 1]]))[0]
    array([[0., 4.],
           [4., 0.]])
    """
    named = np.take_along_axis(cost, order[:, None, :], axis=2)
    own = np.diagonal(named, axis1=1, axis2=2)
    return named + named.transpose(0, 2, 1) - own[:, :, None] - own[:, None, :]


def misnamed(gap: Array) -> float:
    r"""At most how often two labels are the wrong way round, from their exchange gaps (S,).

    Draws and their mirror images, :math:`h(g) + h(-g) = f(|g|)`, are all that can be seen. Where ``h`` falls from zero
    on, the mirror image has no more of a draw at ``g`` than

    .. math:: \int_0^\infty \min(h(g), h(-g)) \, dg \le \frac12 \int_0^\infty \min(f(g), f(0)) \, dg

    which is 0 when nothing lies half-way, and 1/2 (a coin toss) when the draws are as dense there as anywhere. A gap
    that is negative is the wrong way round already. ``f`` is a kernel estimate, reflected at zero.

    Examples
    --------
    Two heaps ten standard deviations apart, and a single one:

    >>> rng = np.random.default_rng(0)
    >>> misnamed(rng.normal(5.0, 1.0, size=1000)), round(misnamed(np.abs(rng.normal(size=1000))), 1)
    (0.0, 0.5)
    """
    size = np.abs(gap)
    top = size.max()
    if not top > 0:
        return 0.5
    low, high = np.quantile(size, [0.25, 0.75])
    width = 0.9 * min(size.std(), (high - low) / 1.34) * size.size**-0.2
    counts, _ = np.histogram(size, bins=BINS, range=(0.0, top))
    density = gaussian_filter1d(counts / size.size, max(BINS * width / top, 0.5), mode="reflect")
    halfway = float(np.minimum(density, density[0]).sum()) / 2
    return min(0.5, max(halfway, float((gap < 0).mean())))


def confusion(gaps: Array) -> Array:
    """(K, K) at most how often each two labels are the wrong way round; zero for a label and itself."""
    n_components = gaps.shape[1]
    out = np.zeros((n_components, n_components))
    for j, k in zip(*np.triu_indices(n_components, 1), strict=True):
        out[j, k] = out[k, j] = misnamed(gaps[:, j, k])
    return out


def groups(confused: Array) -> list[list[int]]:
    """Components that can't be told apart, each from every other of its group.

    Examples
    --------
    >>> groups(np.array([[0.0, 0.0, 0.4], [0.0, 0.0, 0.0], [0.4, 0.0, 0.0]]))
    [[0, 2]]
    """
    if len(confused) < 2:
        return []
    group = fcluster(complete(squareform(0.5 - confused, checks=False)), 0.5 - INDISTINCT, "distance")
    together = [np.flatnonzero(group == g).tolist() for g in np.unique(group)]
    return sorted(members for members in together if len(members) > 1)


def constancy(centre: Consensus, weight: Array) -> Array:
    r"""(K,) how far a label holds the same points in all draws: the Jaccard index of two draws, for soft memberships.

    .. math:: \frac{\sum_n q_{nk}^2}{2 P_k - \sum_n q_{nk}^2}, \qquad
              P_k = \frac1S \sum_{s,n} \bigl(p^{(s)}_{n \pi_s(k)}\bigr)^2

    1 when it does; clusters for which it is below 0.6 should not be trusted, and below 0.5 they are called dissolved.
    Points that stay in doubt between two components that stay where they are do not lower it.

    References
    ----------
    .. [1] Hennig (2007), Comput. Stat. Data Anal. 52, 258-271: thresholds of the Jaccard index.
    """
    common = (weight.reshape(len(centre.share), 1, -1) * centre.share**2).sum(axis=(0, 2))
    apart = 2 * centre.squares - common
    return np.clip(np.divide(common, apart, out=np.zeros_like(common), where=apart > 0), 0.0, 1.0)


def judge(votes: Votes, agreement: Agreement, weight: Array) -> dict[str, Any]:
    """How sure the labels of an agreement are.

    Parameters
    ----------
    votes : Votes
    agreement : Agreement
    weight : (K,) float
        Mean weight of each label.

    Returns
    -------
    dict
        ``agreement``: the probability that a point's label in a draw is the one that the draws agree on, over points
        and draws. ``constancy``: how far each label holds the same points in all draws (K numbers from 0 to 1);
        ``inconstant``: the components for which that is less than 0.6. ``confusion``: K rows of K, at most how often
        two labels are the wrong way round (0.5: a coin toss), or None with fewer than 20 draws; ``indistinct``: lists
        of components that can't be told apart, for which that is more than 0.1. ``doubtful_weight``: the weight of
        inconstant components and of all but the heaviest of each list. ``points``: how many points were asked.
    """
    order = agreement.order
    centre = agreement.centre if agreement.centre is not None else votes.consensus(order)
    constant = constancy(centre, votes.blocks.weight)
    confused, together = None, []
    if len(order) >= FEWEST:
        cost = agreement.cost if agreement.cost is not None else votes.costs(divergence(centre.share))
        confused = confusion(exchange_gaps(cost, order))
        together = groups(confused)
    inconstant = np.flatnonzero(constant < CONSTANT).tolist()
    lighter = [sorted(members, key=lambda k: -weight[k])[1:] for members in together]
    doubtful = sorted(set(inconstant).union(*lighter))
    return {
        "agreement": round(_agreement(centre.share, votes.blocks.weight), 4),
        "constancy": constant.round(4).tolist(),
        "inconstant": inconstant,
        "confusion": None if confused is None else confused.round(4).tolist(),
        "indistinct": together,
        "doubtful_weight": round(float(weight[doubtful].sum()), 4),
        "points": votes.blocks.n_points,
    }


def _agreement(centre: Array, weight: Array) -> float:
    """Mean over the points of the largest probability of a label."""
    return float(np.average(centre.max(axis=1).ravel(), weights=weight))


def doubts(labels: dict[str, Any]) -> list[str]:
    """That labels mean nothing, and which, in words: when they bear weight."""
    return [str(finding) for finding in meaningless(labels)]


def meaningless(labels: dict[str, Any]) -> list[Finding]:
    """That labels (what ``judge`` returns) mean nothing, and which: when they bear weight."""
    if labels.get("doubtful_weight", 0.0) < WEIGHTY:
        return []
    found = [f"{_listed(members)} can't be told apart" for members in labels["indistinct"]]
    if labels["inconstant"]:
        one = len(labels["inconstant"]) == 1
        found.append(f"{_listed(labels['inconstant'])} {'holds' if one else 'hold'} other points in every draw")
    what = (
        f"No order of the components gives all labels a meaning: {'; '.join(found)} "
        f"({labels['doubtful_weight']:.0%} of the weight)."
    )
    why = (
        "What is said of one of them alone, its weight, its mean, its points, means nothing; densities, anomaly scores "
        "and clusterings do not depend on labels."
    )
    return [Finding("doubt", "labels", what, why, "Try fewer components.", dict(labels))]


def _listed(members: list[int]) -> str:
    """Components as a sentence names them.

    Examples
    --------
    >>> _listed([0, 2, 3])
    'components 0, 2 and 3'
    >>> _listed([1])
    'component 1'
    """
    *most, last = map(str, members)
    return f"components {', '.join(most)} and {last}" if most else f"component {last}"
