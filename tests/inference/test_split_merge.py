"""Split-merge moves alone, without sweeps of assignments, against the enumeration of all partitions of five points.

A sweep of assignments would hide most of an error in the acceptance ratio: it takes five points from any partition to
any other within a few steps.
"""

import itertools
import math
from functools import cache

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp, multigammaln

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.inference.conditionals import law_of
from bayesgmm.inference.draw_kernels import FINITE, STICKS, STREAM_SIZE, log_concentration_density
from bayesgmm.inference.gibbs_kernels import location_of
from bayesgmm.inference.gibbs_state_kernels import CONJUGATE, part_starts, scratch_memory
from bayesgmm.inference.number_kernels import number_memory
from bayesgmm.inference.pair_kernels import pair_memory
from bayesgmm.inference.split_merge_kernels import split_and_merge
from bayesgmm.inference.telescoping_kernels import _draw_components as draw_components
from bayesgmm.inference.weight_draw_kernels import concentration_of
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.assignment_kernels import Sweep
from bayesgmm.sweep.compilation import KERNELS, kernel, plain_jit
from bayesgmm.sweep.layout import BLOCK
from tests.inference.test_telescoping import PRIORS, log_partition, partitions

POINTS = np.array([[-1.4, -0.6], [-0.9, -1.1], [0.3, 0.5], [1.4, 0.4], [1.5, 1.3]])
MAX_COMPONENTS = 4  # components: the partition in five clusters is impossible
MEANS = (
    bg.NormalMeans((0.2, -0.1), (1.0, 1.5)),
    bg.ConjugateMeans((0.2, -0.1), 0.6),
    bg.HierarchicalMeans(0.0, 1.0, bg.InverseGamma(2.0, 3.0)),
)
N_CLUSTERS = np.eye(5)[partitions(5).max(axis=1)][:, :MAX_COMPONENTS]  # of each partition
SCALES = (bg.WishartPrecision(4.0, 0.7), bg.WishartPrecision(4.0, bg.Gamma(2.0, 1.0)))


@kernel
def moves(points, law, q, key, labels):
    """Make a split-merge move from one cluster, draw means and precisions, and so on; write labels (moves, N)."""
    k, d = law.n_components, law.n_features
    starts = part_starts(law, q.size)
    memory, pair = scratch_memory(law, starts[2] - starts[1]), pair_memory(points, law)
    numbers = number_memory(k)
    stream = np.zeros(STREAM_SIZE, dtype=np.int64)
    memory.core[:] = 1.0
    log_alpha = math.log(law.weights_params[1] if law.weights_kind == FINITE else concentration_of(law, q))
    for number in range(labels.shape[0]):
        add_up(points, pair.label, labels.shape[1], memory)
        stream[0], stream[1], stream[3] = 0, number, key
        split_and_merge(stream, points, law, q, starts, memory, Sweep(number, 0, 0, 0), pair, log_alpha, numbers)
        for n in range(labels.shape[1]):
            labels[number, n] = pair.label[n]
        draw_components(stream, law, q, starts[0] + k * d, starts[2], memory, 0, k)


KERNELS.remove(moves)  # those of the package are compiled by ``warmup``


@plain_jit
def add_up(points, label, n_points, memory):
    """Write the moments of the clusters about their means."""
    k, d = memory.counts.size, memory.mean.size // memory.counts.size
    width = memory.sums.size // k
    diagonal = width == 1 + 2 * d
    memory.sums[:] = 0.0
    for n in range(n_points):
        c = int(label[n])
        memory.sums[c * width] += 1.0
        for i in range(d):
            a = points.x[i * BLOCK + n] - memory.mean[c * d + i]
            row = c * width + 1 + (2 * i if diagonal else i + i * (i + 1) // 2)
            memory.sums[row] += a
            for j in range(i if diagonal else 0, i + 1):
                b = points.x[j * BLOCK + n] - memory.mean[c * d + j]
                memory.sums[row + 1 + (0 if diagonal else j)] += a * b
    for c in range(k):
        memory.counts[c] = memory.sums[c * width]


def log_marginals(law, q, x):
    """Log marginal likelihoods of all sets of points, by the numbers of their points, up to a factor for each point."""
    sets = [s for size in range(1, len(x) + 1) for s in itertools.combinations(range(len(x)), size)]
    return {points: log_marginal(law, q, x[list(points)]) for points in sets}


def log_marginal(law, q, x):
    """The same of the points (n, D) of one cluster; priors that are not conjugate are added up over a grid of means."""
    d, starts = law.n_features, part_starts(law, q.size)
    place, weight = np.array([location_of(law, q, starts[0] + law.n_components * d, j) for j in range(d)]).T
    if law.means_kind == CONJUGATE:
        strength, n = law.means_params[d], len(x)
        away = x.mean(axis=0) - place
        extra = strength * n / (strength + n) * np.outer(away, away)
        factor = d / 2 * math.log(strength / (strength + n))
        return factor + log_likelihood(law, q, x, x.mean(axis=0)[None], extra)[0]
    one = np.linspace(-6.0, 6.0, 80)
    means = np.stack(np.meshgrid(one, one), axis=-1).reshape(-1, d)
    log_prior = 0.5 * (np.log(weight / (2 * math.pi)) - weight * (means - place) ** 2).sum(axis=1)
    return logsumexp(log_likelihood(law, q, x, means) + log_prior) + d * math.log(one[1] - one[0])


def log_likelihood(law, q, x, means, extra=0.0):
    """Log density of points (n, D) given means (M, D), up to a factor for each; the precision is integrated out."""
    n, d, dof = len(x), law.n_features, law.covariances_params[0]
    away = x - means[:, None]
    scatter = np.einsum("mni,mnj->mij", away, away) + extra
    width = q.size - part_starts(law, q.size)[2]
    scale = np.exp(q[-width:]) if width else law.covariances_params[2:]
    if law.chart == 0:
        scale = np.diag(scale) if width else scale.reshape(d, d)
        value = multigammaln((dof + n) / 2, d) - multigammaln(dof / 2, d) + dof / 2 * np.linalg.slogdet(scale)[1]
        return value - (dof + n) / 2 * np.linalg.slogdet(scatter + scale)[1]
    squares = np.diagonal(scatter, axis1=1, axis2=2)
    width = width or min(len(scale), d)
    squares = squares if width == d else squares.sum(axis=1, keepdims=True)
    more = n * d / width
    value = gammaln((dof + more) / 2) - gammaln(dof / 2) + dof / 2 * np.log(scale[:width])
    return (value - (dof + more) / 2 * np.log(squares + scale[:width])).sum(axis=1)


def exact(prior, law, q, x):
    """Probabilities of the partitions that ``partitions`` lists."""
    count, marginal = np.arange(1.0, MAX_COMPONENTS + 1), log_marginals(law, q, x)
    value = []
    for label in partitions(len(x)):
        sizes = np.bincount(label).astype(float)
        like = sum(marginal[tuple(np.flatnonzero(label == k))] for k in range(len(sizes)))
        if law.weights_kind == FINITE:
            chance = log_partition(count, prior.given(prior.concentration, count), sizes)
            value.append(like + logsumexp(chance + prior.components.truncated(MAX_COMPONENTS)))
        else:
            value.append(like + logsumexp(log_allocations(law, q, sizes)))
    return np.exp(np.array(value) - logsumexp(value))


def log_allocations(law, q, sizes):
    """Log probabilities of all ways to give the clusters of a partition different labels; there may be none."""
    discount = law.weights_params[0] if law.weights_kind == STICKS else 0.0
    counts = allocations(sizes)
    given = (law.weights_kind, concentration_of(law, q), discount)
    return [log_concentration_density(*given, one) for one in counts] or [-np.inf]


def allocations(sizes):
    """Counts (M, K) of the components for all labels of clusters of these sizes."""
    labels = list(itertools.permutations(range(MAX_COMPONENTS), len(sizes)))
    counts = np.zeros((len(labels), MAX_COMPONENTS))
    for one, own in zip(counts, labels, strict=True):
        one[list(own)] = sizes
    return counts


def number_of(labels):
    """Numbers (M,) of the partitions (M, N) in the order of ``partitions``, whatever the labels are."""

    def keys(label):
        first = (label[:, :, None] == label[:, None]).argmax(axis=2)
        return first @ label.shape[1] ** np.arange(label.shape[1])

    known = keys(partitions(labels.shape[1]))
    order = known.argsort()
    return order[np.searchsorted(known, keys(labels), sorter=order)]


def declarations():
    """Each family with each prior of the means; fixed and learned scales, and two priors of the weights, take turns."""
    scales, weights = itertools.cycle(SCALES), itertools.cycle((PRIORS["static"], PRIORS["dynamic"]))
    for family, means in itertools.product(("full", "diag", "spherical"), MEANS):
        yield bg.MixtureModel(MAX_COMPONENTS, family, next(weights), means, next(scales))


DECLARATIONS = list(declarations())
FIXED = [  # numbers of components, or bounds on them, by weights that are exchangeable and that are not
    bg.MixtureModel(MAX_COMPONENTS, "full", bg.SparseDirichlet(0.3), MEANS[1], SCALES[0]),
    bg.MixtureModel(MAX_COMPONENTS, "diag", bg.DirichletProcess(1.4), MEANS[1], SCALES[0]),
    bg.MixtureModel(MAX_COMPONENTS, "spherical", bg.PitmanYor(0.3, 0.8), MEANS[0], SCALES[1]),
    bg.MixtureModel(MAX_COMPONENTS, "full", bg.Dirichlet(0.8), MEANS[0], SCALES[1]),
]


@cache
def run(key, count=10_000):
    """Frequencies (batches, 52) of the partitions in a chain of moves, and their probabilities (52,)."""
    density, law, q = given(key)
    labels = drawn(key, count)
    hits = (number_of(labels)[:, None] == np.arange(52)).reshape(100, -1, 52).mean(axis=1)
    return hits, exact(density.model.weights, law, q, (POINTS - density.standard.shift) / density.standard.scale)


def given(key):
    """A density, its priors, and coordinates with the hyperparameters that the moves are given."""
    density = LogPosterior.of([*DECLARATIONS, *FIXED][key], as_points(POINTS))
    law, q = law_of(density), np.zeros(density.size)
    q[part_starts(law, q.size)[0] + MAX_COMPONENTS * 2 :][: law.means_extra] = [0.1, -0.1, 0.2, 0.1][: law.means_extra]
    q[q.size - law.scale_extra :] = -0.3
    return density, law, q


@cache
def drawn(key, count):
    """Labels (count, 5) in a chain of moves."""
    density, law, q = given(key)
    labels = np.empty((count, len(POINTS)))
    moves(density.blocks.native, law, q, key, labels)
    return labels


def z_of_partitions(hits, wanted):
    """Differences in standard errors, by 100 batches: of frequent partitions, and of the numbers of clusters."""
    frequent = wanted > 0.02
    hits, wanted = (np.concatenate([one[..., frequent], one @ N_CLUSTERS], axis=-1) for one in (hits, wanted))
    return (hits.mean(axis=0) - wanted) / (hits.std(axis=0, ddof=1) / 10)


def z_of_mean(hits, wanted):
    """The same of the mean number of clusters."""
    hits, wanted = (one @ N_CLUSTERS @ np.arange(MAX_COMPONENTS) for one in (hits, wanted))
    return (hits.mean() - wanted) / (hits.std(ddof=1) / 10)


@pytest.mark.parametrize("key", range(13), ids=[f"{m.covariance}-{m.weights.prior}" for m in [*DECLARATIONS, *FIXED]])
def test_moves_alone_give_every_partition_its_exact_probability(key):
    """4.8 standard errors: 8e-4 for all thirteen tests."""
    z = z_of_partitions(*run(key))
    assert abs(z).max() < 4.8, z


@pytest.mark.parametrize("key", range(9, 13), ids=[m.weights.prior for m in FIXED])
def test_moves_alone_give_every_component_its_exact_number_of_points(key):
    """Where K is fixed: the new cluster of a split gets one of the empty components.  4.8 standard errors."""
    _, law, q = given(key)
    wanted = np.zeros(MAX_COMPONENTS)
    for label, chance in zip(partitions(len(POINTS)), run(key)[1], strict=True):
        if label.max() < MAX_COMPONENTS:
            sizes = np.bincount(label).astype(float)
            share = np.exp(log_allocations(law, q, sizes))
            wanted += chance * share @ allocations(sizes) / share.sum()
    counts = (drawn(key, 10_000)[:, :, None] == np.arange(MAX_COMPONENTS)).sum(axis=1).reshape(100, -1, MAX_COMPONENTS)
    batches = counts.mean(axis=1)
    z = (batches.mean(axis=0) - wanted) / (batches.std(axis=0, ddof=1) / 10)
    assert abs(z).max() < 4.8, (z, wanted)


def test_moves_alone_give_the_exact_number_of_clusters_in_all_declarations_together():
    """Of the same sign everywhere is what a biased ratio of splits or mergers would be.  4 standard errors: 6e-5."""
    z = np.array([z_of_mean(*run(key)) for key in range(9)])
    assert abs(z.sum() / 3) < 4, z


def test_the_comparisons_can_fail():
    """A prior that favours a cluster by three tenths of a nat."""
    hits, wanted = run(1)
    biased = wanted * np.exp(0.3 * N_CLUSTERS @ np.arange(MAX_COMPONENTS))
    assert abs(z_of_partitions(hits, biased / biased.sum())).max() > 4.8
    assert abs(z_of_mean(hits, biased / biased.sum())) > 8
