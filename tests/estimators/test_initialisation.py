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
def test_statistics_of_labels_are_those_of_shares_of_zero_and_one(family, weighted, monkeypatch):
    """Also where a slice of the rows holds no point of a component."""
    monkeypatch.setattr(initialisation, "SLICE", 7)
    random = np.random.default_rng(1)
    x, labels = random.normal(size=(60, 3)) + 50, np.sort(random.integers(0, 4, 60))
    points = as_points(x).weighed(random.uniform(0.5, 2, 60) if weighted else None)
    args = (4, Standard.of(points), COVARIANCES[family])
    by_label, by_share = (initialisation.statistics(points, given, *args) for given in (labels, np.eye(4)[labels]))
    weight = np.ones(60) if points.weights is None else points.weights
    np.testing.assert_allclose(by_label.n, np.bincount(labels, weight))
    for name in ("n", "s1", "s2", "about"):
        np.testing.assert_allclose(getattr(by_label, name), getattr(by_share, name), err_msg=name)
    np.testing.assert_allclose(
        by_label.about[0] * args[1].scale + args[1].shift, np.average(x[labels == 0], 0, weight[labels == 0])
    )
