"""Compiled EM makes the steps of ``Family.maximise``, and finds the same maxima."""

from dataclasses import replace

import numpy as np
import pytest

from bayesgmm.datasets import make_mixture
from bayesgmm.families.axes_kernels import turn_to_own_axes
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em_steps
from bayesgmm.inference.em_steps import Sweep, run, take_steps
from bayesgmm.inference.exploration import from_partitions
from bayesgmm.inference.mixtures import NONE, CovariancePrior, Exponents, Mixture
from bayesgmm.inference.native_em import NativeEM
from bayesgmm.inference.populations import Climb
from bayesgmm.inference.proposals import Rows
from bayesgmm.inference.starts import from_responsibilities
from bayesgmm.sweep.blocks import Blocks

K, D = 3, 3
every_family = pytest.mark.parametrize("family", COVARIANCES.values(), ids=COVARIANCES)


@pytest.fixture(scope="module")
def rows():
    x = make_mixture(240, D, K, overlap=0.1, seed=1).X
    return Rows((x - x.mean(axis=0)) / x.std(), np.ones(len(x)))


def climb_of(family, rows, exponents=NONE):
    scale = family.form.from_variances(np.array([0.2, 0.1, 0.3]))
    scale = scale[: family.form.n_scales(D)] if scale.ndim == 1 else scale
    return Climb(rows.blocks(), family, CovariancePrior(4.0, scale), exponents=exponents)


def groups_of(rows):
    """Three groups along the first column, as responsibilities."""
    return np.eye(K)[np.argsort(np.argsort(rows.values[:, 0])) * K // len(rows.values)]


def start_of(rows, family):
    return from_responsibilities(rows.values, rows.weight, groups_of(rows), family)


@pytest.mark.parametrize(
    "name", sorted({*COVARIANCES} - {"EVE", "VVE"})
)  # which make only a few rounds towards the axes
@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_compiled_steps_are_those_of_the_family(name, weight, rows):
    """Values, weights, means and roots after four steps under a prior, also with exponents of the coordinates."""
    family = COVARIANCES[name]
    block = family.form.block_size(D)
    exponents = Exponents(weight, weight * (np.arange(block) - (block - 1) / 2))
    climb = climb_of(family, rows, exponents)
    labels = [np.random.default_rng(seed).integers(0, K, len(rows.values)) for seed in range(2)]
    population = slow = from_partitions(climb, rows, labels, K)
    values, fast = climb.steps(population, 4, lambda: None)
    expected = []
    for _ in range(4):
        value, slow = climb.step(slow)
        expected.append(value)
    np.testing.assert_allclose(values, expected, rtol=1e-11)
    for name in ("weight", "mean", "core_roots"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-8, atol=1e-10)


@every_family
def test_compiled_em_finds_the_same_maximum(family, rows, monkeypatch):
    """The other takes all its steps in Python; both from the same start, to the same tolerance."""
    blocks = rows.blocks()
    start = em_steps.take_steps(Sweep(blocks, family), start_of(rows, family), 10).mixture
    fast = run(Sweep(blocks, family), start, tol=1e-9)
    monkeypatch.setattr(NativeEM, "suits", lambda self, most=1: False)
    slow = run(Sweep(blocks, family), start, tol=1e-9)
    assert fast.converged
    assert slow.converged
    assert abs(fast.loglik - slow.loglik) < 1e-5
    np.testing.assert_allclose(fast.mixture.weight, slow.mixture.weight, atol=1e-3)


@every_family
def test_no_compiled_step_lowers_the_likelihood(family, rows):
    history = take_steps(Sweep(rows.blocks(), family), start_of(rows, family), 60, tol=1e-14).history
    assert len(history) > 20
    assert np.diff(history).min() > -1e-9


@every_family
def test_no_extrapolation_that_is_kept_lowers_the_likelihood(family, rows):
    """From a start far away extrapolations fail; each value is that of a state that is kept."""
    native = Sweep(rows.blocks(), family).native(K)
    values = native.extrapolate(start_of(rows, family), 0.0, 80)[1]
    assert len(values) > 20
    assert np.diff(values).min() > -1e-9


def test_a_step_that_is_not_regular_has_the_error_of_the_family(rows):
    """One component holds two points only."""
    blocks = rows.blocks()
    full = COVARIANCES["full"]
    far = Mixture(np.array([0.5, 0.5]), np.array([np.zeros(D), rows.values[0]]), np.array([np.eye(D), 1e3 * np.eye(D)]))
    with pytest.raises(em_steps.ComponentError, match="component 1 holds"):
        take_steps(Sweep(blocks, full), far)


def test_a_floor_is_added_to_the_variances(rows, monkeypatch):
    sweep = Sweep(rows.blocks(), COVARIANCES["full"], floor=np.array([0.1, 0.2, 0.3]))
    start = start_of(rows, sweep.family)
    fast = take_steps(sweep, start, 5, tol=1e-12)
    monkeypatch.setattr(NativeEM, "suits", lambda self, most=1: False)
    slow = take_steps(sweep, start, 5, tol=1e-12)
    np.testing.assert_allclose(fast.history, slow.history, rtol=1e-12)
    np.testing.assert_allclose(fast.mixture.core_roots, slow.mixture.core_roots, rtol=1e-8, atol=1e-10)


def test_large_problems_and_other_sweeps_are_left_to_python(rows):
    sweep = Sweep(rows.blocks(), COVARIANCES["full"])
    assert sweep.native(K) is not None
    assert sweep.native(500) is None
    many = replace(sweep, blocks=Blocks.from_rows(np.random.default_rng(0).normal(size=(50, 20))))
    assert many.native(K) is None


def test_own_axes_are_those_of_eigh():
    a = np.random.default_rng(0).normal(size=(6, 6))
    matrix, axes = a @ a.T, np.empty((6, 6))
    values, vectors = np.linalg.eigh(matrix)
    turned = matrix.copy()
    turn_to_own_axes(turned, axes)
    np.testing.assert_allclose(np.diagonal(turned), values)
    np.testing.assert_allclose(abs(np.sum(axes * vectors, axis=0)), 1.0)
