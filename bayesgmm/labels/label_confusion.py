"""Label diagnostics: probability that labels are exchanged, and constancy of the points of a label over the draws."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.findings import Finding
from bayesgmm.labels.alignments import Alignment, divergence
from bayesgmm.labels.responsibilities import Consensus, Order, Responsibilities
from bayesgmm.posterior.notes import LabelInfo
from bayesgmm.sweep.stats import Array

BINS = 512
MIN_DRAWS = 20  # minimum number of draws to estimate the density between two modes
INDISTINCT = 0.1  # bound on the exchange probability above which two labels are indistinct
CONSTANT = 0.6  # Jaccard index below which a label does not hold the same points in all draws
MIN_WEIGHT = 0.01  # minimum total weight of meaningless labels for a warning; components with less are empty


def exchange_gaps(cost: Array, order: Order) -> Array:
    r"""Compute the increase (S, K, K) in the cost of each draw when two of its labels are exchanged.

    .. math:: g^{(s)}_{jk} = \sum_n w_n (p^{(s)}_{n \pi_s(j)} - p^{(s)}_{n \pi_s(k)}) \log (q_{nj} / q_{nk})

    Exchanging the labels changes the sign of the gap. A mode of the draws and its mirror image (the same draws with
    the two labels exchanged) therefore lie on opposite sides of zero.

    Examples
    --------
    >>> exchange_gaps(np.array([[[1.0, 4.0], [3.0, 2.0]]]), np.array([[0, 1]]))[0]
    array([[0., 4.],
           [4., 0.]])
    """
    named = np.take_along_axis(cost, order[:, None, :], axis=2)
    own = np.diagonal(named, axis1=1, axis2=2)
    return named + named.transpose(0, 2, 1) - own[:, :, None] - own[:, None, :]


def exchange_bound(gap: Array) -> float:
    r"""Compute an upper bound on the probability that two labels are exchanged, from their exchange gaps (S,).

    Let h be the density of the gaps when all labels are right. After relabelling the sign is unknown, so only
    :math:`h(g) + h(-g) = f(|g|)` is observed. When :math:`h(-g)` does not increase with :math:`g \ge 0`, the
    probability of an exchange is at most

    .. math:: \int_0^\infty \min(h(g), h(-g)) \, dg \le \frac12 \int_0^\infty \min(f(g), f(0)) \, dg

    It is 0 if no draw lies half-way between the two modes. It is 1/2 if the density of the draws is largest there: the
    labels are then arbitrary. Draws with a negative gap count as exchanged. ``f`` is estimated by a kernel density,
    reflected at zero.

    Examples
    --------
    Two modes ten standard deviations apart, and a single mode:

    >>> rng = np.random.default_rng(0)
    >>> exchange_bound(rng.normal(5.0, 1.0, size=1000)), round(exchange_bound(np.abs(rng.normal(size=1000))), 1)
    (0.0, 0.5)
    """
    size = np.abs(gap)
    top = size.max()
    if not top > 0:
        return 0.5
    low, high = np.quantile(size, [0.25, 0.75])
    width = 0.9 * min(size.std(), (high - low) / 1.34) * size.size**-0.2
    counts, _ = np.histogram(size, bins=BINS, range=(0.0, top))
    density = scipy.ndimage.gaussian_filter1d(counts / size.size, max(BINS * width / top, 0.5), mode="reflect")
    halfway = float(np.minimum(density, density[0]).sum()) / 2
    return min(0.5, max(halfway, float((gap < 0).mean())))


def confusion(gaps: Array) -> Array:
    """Compute upper bounds (K, K) on the probability that two labels are exchanged; zero on the diagonal."""
    n_components = gaps.shape[1]
    out = np.zeros((n_components, n_components))
    for j, k in zip(*np.triu_indices(n_components, 1), strict=True):
        out[j, k] = out[k, j] = exchange_bound(gaps[:, j, k])
    return out


def groups(confused: Array) -> list[list[int]]:
    """Return the groups of components in which every two are indistinct.

    Examples
    --------
    >>> groups(np.array([[0.0, 0.0, 0.4], [0.0, 0.0, 0.0], [0.4, 0.0, 0.0]]))
    [[0, 2]]
    """
    if len(confused) < 2:
        return []
    from scipy.cluster.hierarchy import complete, fcluster
    from scipy.spatial.distance import squareform

    group = fcluster(complete(squareform(0.5 - confused, checks=False)), 0.5 - INDISTINCT, "distance")
    together = [np.flatnonzero(group == g).tolist() for g in np.unique(group)]
    return sorted(members for members in together if len(members) > 1)


def constancy(centre: Consensus, weight: Array) -> Array:
    r"""Compute the Jaccard index (K,) between the points of a label in two draws, for soft assignments.

    .. math:: \frac{\sum_n q_{nk}^2}{2 P_k - \sum_n q_{nk}^2}, \qquad
              P_k = \frac1S \sum_{s,n} \bigl(p^{(s)}_{n \pi_s(k)}\bigr)^2

    It is 1 when a label holds the same points in all draws. A cluster with a value below 0.6 should not be trusted, and
    one with a value below 0.5 is dissolved [1]_. Points whose component is uncertain do not lower the index if the
    components themselves are the same in all draws.

    References
    ----------
    .. [1] Hennig (2007), Comput. Stat. Data Anal. 52, 258-271: thresholds of the Jaccard index.
    """
    common = (weight.reshape(len(centre.share), 1, -1) * centre.share**2).sum(axis=(0, 2))
    apart = 2 * centre.squares - common
    return np.clip(np.divide(common, apart, out=np.zeros_like(common), where=apart > 0), 0.0, 1.0)


def diagnostics(
    responsibilities: Responsibilities, alignment: Alignment, weight: Array, method: str, by: str | None
) -> LabelInfo:
    """Compute how well the labels of an alignment are determined.

    Parameters
    ----------
    responsibilities : Responsibilities
    alignment : Alignment
    weight : (K,) float
        Mean weight of each label.
    method, by : str
        Method of the alignment, and its column if it is ``'ordered'``.

    Returns
    -------
    LabelInfo
        ``doubtful_weight`` is the weight of inconstant components and of all but the heaviest of each indistinct group.
    """
    order = alignment.order
    centre = alignment.centre if alignment.centre is not None else responsibilities.consensus(order)
    constant = constancy(centre, responsibilities.blocks.weight)
    confused, together = None, []
    if len(order) >= MIN_DRAWS:
        cost = alignment.cost if alignment.cost is not None else responsibilities.costs(divergence(centre.share))
        confused = confusion(exchange_gaps(cost, order))
        together = groups(confused)
    inconstant = np.flatnonzero(constant < CONSTANT).tolist()
    lighter = [sorted(members, key=lambda k: -weight[k])[1:] for members in together]
    unreliable = sorted(set(inconstant).union(*lighter))
    return LabelInfo(
        method,
        by,
        agreement=round(_agreement(centre.share, responsibilities.blocks.weight), 4),
        constancy=tuple(constant.round(4).tolist()),
        inconstant=tuple(inconstant),
        confusion=None if confused is None else tuple(tuple(row) for row in confused.round(4).tolist()),
        indistinct=tuple(tuple(members) for members in together),
        doubtful_weight=round(float(weight[unreliable].sum()), 4),
        points=responsibilities.blocks.n_points,
    )


def with_empty(labels: LabelInfo, count: int) -> LabelInfo:
    """Add components that never hold a point, the last ones: no label of them can be told from another.

    Examples
    --------
    >>> with_empty(LabelInfo("stephens", constancy=(1.0,), confusion=((0.0,),)), 2).confusion
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.5), (0.0, 0.5, 0.0))
    """
    if not count or labels.constancy is None:
        return labels
    k = len(labels.constancy)
    empty, confused = tuple(range(k, k + count)), labels.confusion
    if confused is not None:
        full = np.zeros((k + count, k + count))
        full[:k, :k], full[k:, k:] = confused, 0.5
        np.fill_diagonal(full, 0.0)
        confused = tuple(tuple(row) for row in full.tolist())
    together = (empty,) if count > 1 and confused is not None else ()
    return replace(
        labels,
        constancy=labels.constancy + (0.0,) * count,
        inconstant=labels.inconstant + empty,
        confusion=confused,
        indistinct=labels.indistinct + together,
    )


def _agreement(centre: Array, weight: Array) -> float:
    """Return the mean over the points of the probability of the most probable label."""
    return float(np.average(centre.max(axis=1).ravel(), weights=weight))


def label_warnings(labels: LabelInfo | None) -> list[str]:
    """Return warnings about meaningless labels, as text."""
    return [str(finding) for finding in meaningless(labels)]


def meaningless(labels: LabelInfo | None) -> list[Finding]:
    """Return findings about meaningless labels, from ``diagnostics``; none if their weight is below 1 %."""
    if labels is None or labels.doubtful_weight is None or labels.doubtful_weight < MIN_WEIGHT:
        return []
    reasons = [f"{_listed(members)} can't be distinguished" for members in labels.indistinct]
    if labels.inconstant:
        one = len(labels.inconstant) == 1
        reasons.append(f"{_listed(labels.inconstant)} {'holds' if one else 'hold'} different points in every draw")
    what = f"Some labels have no meaning: {'; '.join(reasons)} ({labels.doubtful_weight:.0%} of the weight)."
    why = (
        "The weight, mean and points of such a component can't be interpreted. Densities, anomaly scores and "
        "clusterings do not depend on labels."
    )
    return [Finding("warning", "labels", what, why, "Try fewer components.", asdict(labels))]


def _listed(members: Sequence[int]) -> str:
    """List components in words.

    Examples
    --------
    >>> _listed([0, 2, 3])
    'components 0, 2 and 3'
    >>> _listed([1])
    'component 1'
    """
    *rest, last = map(str, members)
    return f"components {', '.join(rest)} and {last}" if rest else f"component {last}"
