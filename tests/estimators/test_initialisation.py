"""Starts of the estimators are those of scikit-learn."""

import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans

from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.datasets import make_mixture
from bayesgmm.estimators import initialisation
from bayesgmm.estimators.initialisation import kmeans_labels
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.sweep import lloyd_kernels
from bayesgmm.sweep.blocks import Blocks


def both(x, k, weight=None, seed=0):
    ours, theirs = np.random.RandomState(seed), np.random.RandomState(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer distinct points than clusters
        labels = kmeans_labels(x, weight, k, ours)
        expected = KMeans(k, n_init=1, random_state=theirs).fit(x, sample_weight=weight).labels_
    assert ours.randint(2**31) == theirs.randint(2**31)
    return labels, expected


@pytest.mark.parametrize(("n", "d", "k"), [(50, 1, 1), (500, 1, 3), (5_000, 2, 5), (3_000, 7, 4), (1_000, 32, 10)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clusters_are_those_of_scikit_learn(n, d, k, weighted, seed, monkeypatch):
    """By its own iterations: scikit-learn is not called."""
    x = make_mixture(n, d, k, overlap=0.2, seed=seed).X + 100
    weight = np.random.default_rng(seed).uniform(0.1, 3, n) if weighted else None
    known = initialisation.nearest_labels
    monkeypatch.setattr(initialisation, "nearest_labels", lambda *args: required(known(*args)))
    labels, expected = both(x, k, weight, seed)
    np.testing.assert_array_equal(labels, expected)


def required(labels):
    assert labels is not None
    return labels


def lloyd(x, centres, steps):
    """Steps of Lloyd's algorithm in plain double precision: labels after each."""
    for _ in range(steps):
        labels = ((x[:, None] - centres) ** 2).sum(2).argmin(1)
        yield labels
        centres = np.array([x[labels == k].mean(0) for k in range(len(centres))])


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1.0, 1e19, 1e30])
@pytest.mark.parametrize(("d", "k"), [(1, 2), (3, 5), (9, 4)])
def test_steps_are_those_of_double_precision_at_any_scale(d, k, scale, monkeypatch):
    """Although distances are computed in single precision first, which does not hold the numbers of all scales."""
    x = make_mixture(400, d, k, overlap=0.3, seed=1).X
    x = (x - x.mean(0)) * scale
    for steps, expected in enumerate(lloyd(x, x[:k], 6), start=1):
        monkeypatch.setattr(initialisation, "MAX_ITER", steps - 1)
        labels = initialisation.nearest_labels(x, np.zeros(d), Blocks.from_rows(x), x[:k], 0.0)
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(("wide", "far"), [(3, 1), (300, 1), (3, 1e3), (3, 1e20)])
def test_points_that_single_precision_can_not_tell_apart_go_to_the_nearest_centre(wide, far):
    """All lie close to the middle between two centres; a row far away makes the errors of its block larger."""
    random = np.random.default_rng(0)
    axis = np.linalg.qr(random.normal(size=(6, 6)))[0]
    off = random.choice([-1, 1], 3000) * random.uniform(1e-10, 1e-7, 3000)
    x = np.concatenate([off[:, None], wide * random.normal(size=(3000, 5))], axis=1) @ axis
    x[0] *= far
    centres = np.stack([-axis[0], axis[0]])
    labels, sums = assigned(x, centres)
    np.testing.assert_array_equal(labels, off > 0)
    np.testing.assert_allclose(sums[:, 2:], [x[off < 0].sum(0), x[off > 0].sum(0)], rtol=1e-9)


def assigned(x, centres):
    """Return the nearest centre of each row by the compiled step, twice, and the sums of their points."""
    blocks, (k, d) = Blocks.from_rows(x), centres.shape
    n_chunks = -(-blocks.n_blocks // lloyd_kernels.CHUNK)
    labels, sums = np.full(len(blocks.weight), -1, np.float32), np.zeros(n_chunks * k * (d + 2))
    single, reach = np.empty(len(blocks.x), np.float32), np.full(blocks.n_blocks, np.inf)
    for _ in range(2):  # the first one reads the points in double precision
        lloyd_kernels.assign_nearest(
            *(x.reshape(-1), np.zeros(d), blocks.x, single, reach, blocks.weight),
            *(centres.reshape(-1), np.square(centres).sum(1) / 2, 0, n_chunks),
            *(labels, sums, changed := np.empty(n_chunks, np.int64)),
        )
    assert not changed.any()
    return labels[: len(x)], sums.reshape(n_chunks, k, d + 2).sum(0)


def test_a_cluster_that_becomes_empty_is_moved_as_scikit_learn_does():
    x = np.repeat([[0.0], [1.0]], 20, axis=0)
    labels, expected = both(x, 4)
    np.testing.assert_array_equal(labels, expected)


def test_clusters_do_not_depend_on_threads(monkeypatch):
    x = make_mixture(20_000, 3, 4, overlap=0.2, seed=1).X
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(initialisation.os, "cpu_count", lambda cores=cores: cores)
        found.append(kmeans_labels(x, None, 4, np.random.RandomState(0)))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("family", ["full", "diag"])
@pytest.mark.parametrize("n", [60, 30_000])
def test_statistics_of_labels_are_those_of_shares_of_zero_and_one(n, family, weighted, monkeypatch):
    """Also where a slice of the rows holds no point of a component."""
    monkeypatch.setattr(initialisation, "SLICE", n // 8)
    random = np.random.default_rng(1)
    x, labels = random.normal(size=(n, 3)) + 50, np.sort(random.integers(0, 4, n))
    points = as_points(x * [1, 8, 100]).weighed(random.uniform(0.5, 2, n) if weighted else None)
    args = (4, Standard.of(points), COVARIANCES[family])
    by_label, by_share = (initialisation.statistics(points, given, *args) for given in (labels, np.eye(4)[labels]))
    weight = np.ones(n) if points.weights is None else points.weights
    np.testing.assert_allclose(by_label.n, np.bincount(labels, weight))
    for name in ("n", "s1", "s2", "about"):
        expected = getattr(by_share, name)
        np.testing.assert_allclose(getattr(by_label, name), expected, atol=1e-10 * np.abs(expected).max(), err_msg=name)
    np.testing.assert_allclose(
        by_label.about[0] * args[1].scale + args[1].shift,
        np.average(points.values[labels == 0], 0, weight[labels == 0]),
    )


def test_statistics_do_not_depend_on_threads_or_on_the_layout_of_the_rows(monkeypatch):
    random = np.random.default_rng(1)
    x, labels = random.normal(size=(40_000, 9)), random.integers(-1, 3, 40_000)
    found = []
    for cores, rows in ((1, x), (3, x), (2, np.asfortranarray(x))):
        monkeypatch.setattr(initialisation.os, "cpu_count", lambda cores=cores: cores)
        standard = Standard(np.zeros(9), np.ones(9))
        found.append(initialisation.of_labels(rows, None, labels, 3, standard, COVARIANCES["full"]))
    for other in found[1:]:
        np.testing.assert_array_equal(other.s2, found[0].s2)
        np.testing.assert_array_equal(other.about, found[0].about)
    own = x[labels == 1]
    np.testing.assert_allclose(found[0].s2[1] / found[0].n[1], np.cov(own.T, bias=True), atol=1e-12)
