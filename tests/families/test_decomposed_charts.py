"""Charts by volume, shape and orientation: coordinates, slopes, uniform axes and copies; compiled and not."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate

from bayesgmm.families import rotations
from bayesgmm.families.decomposed_charts import steps_down
from bayesgmm.families.decomposition_kernels import Parts, place_inner, pull_back_inner
from bayesgmm.families.rotation_kernels import uniform_rotation
from bayesgmm.families.structures import COVARIANCES
from tests.families.registry import DECOMPOSED

K = 3
SIZES = [1, 2, 3, 5]


def differences(function, v, step=1e-6):
    return np.array([(function(v + e) - function(v - e)) / (2 * step) for e in step * np.eye(v.size)])


def drawn(name, d, about=True, seed=0):
    """A chart with a metric, where that is allowed, and with reference axes; coordinates."""
    family, rng = COVARIANCES[name], np.random.default_rng(seed)
    chart = family.chart
    if not family.needs_common_scale:
        metric = np.exp(0.3 * rng.normal(size=d))
        chart = chart.relative_to(metric / np.exp(np.log(metric).mean()))
    if about:
        chart = chart.about(rotations.draw_rotations(rng, (chart.parts(K)[2],), d))
    return chart, 0.6 * rng.normal(size=chart.size(K, d)), rng


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("name", DECOMPOSED)
def test_coordinates_are_as_many_as_free_parameters_and_give_the_covariances_back(name, d):
    chart, v, _ = drawn(name, d)
    assert v.size == COVARIANCES[name].size(K, d)
    roots = chart.core_roots(v, K, d)
    assert roots.shape == COVARIANCES[name].core_shape(K, d)
    again = chart.coordinates(roots)
    np.testing.assert_allclose(chart.core_roots(again, K, d), roots, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(chart.coordinates(chart.core_roots(again, K, d)), again, atol=1e-7)
    np.testing.assert_allclose(chart.core_roots(np.stack([v, v]), K, d), np.stack([roots, roots]), rtol=1e-12)
    np.testing.assert_allclose(chart.coordinates(np.stack([roots, roots])), np.stack([again, again]), atol=1e-9)


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("name", DECOMPOSED)
def test_covariances_keep_to_their_structure(name, d):
    """M steps do not change them: they are the closest ones of the family."""
    family = COVARIANCES[name]
    chart, v, _ = drawn(name, d)
    core = family.form.covariance(chart.core_roots(v, K, d))
    np.testing.assert_allclose(family.restrict(core, np.array([3.0, 1.0, 2.0])), core, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("name", DECOMPOSED)
def test_compiled_code_places_the_same_roots_and_pulls_slopes_back(name, d):
    chart, v, rng = drawn(name, d)
    parts = Parts(*chart.parts(K), int(chart.ordered))
    frame = chart.metric_of(d), chart.reference.reshape(-1)
    inner, slopes, grad = np.empty(chart.plan(K, d)["inner_size"]), None, np.zeros(v.size)
    place_inner(v, d, parts, *frame, inner)
    np.testing.assert_allclose(inner, chart.inner.coordinates(chart.core_roots(v, K, d)), rtol=1e-10, atol=1e-10)
    slopes = rng.normal(size=inner.size)
    pull_back_inner(v, d, parts, *frame, slopes, grad)

    def value(v):
        return slopes @ chart.inner.coordinates(chart.core_roots(v, K, d))

    np.testing.assert_allclose(grad, differences(value, v), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_the_density_of_uniform_axes_has_its_slope_and_its_formula(d):
    w, nowhere = np.random.default_rng(d).normal(size=d * (d - 1) // 2), np.zeros(d * (d - 1) // 2)
    grad = np.zeros(w.size)
    np.testing.assert_allclose(uniform_rotation(w, d, grad), rotations.log_uniform(w, d), rtol=1e-12)
    np.testing.assert_allclose(grad, differences(lambda w: uniform_rotation(w, d, nowhere), w), rtol=1e-6, atol=1e-8)


def test_the_density_of_uniform_axes_integrates_to_one():
    """Of two axes, and of three, whose density depends on the length alone."""

    def density(r, d):
        return np.exp(rotations.log_uniform(np.array([r, *[0.0] * (d - 2) * 2]), d) - rotations.log_volume(d))

    two = integrate.quad(lambda r: density(r, 2), -30, 30)[0]
    three = integrate.quad(lambda r: 4 * np.pi * r**2 * density(r, 3), 0, 30)[0]
    np.testing.assert_allclose([two, three], 1, rtol=1e-8)


@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_all_copies_together_have_the_same_density_wherever_the_axes_are(d):
    """The sum of det(I + R E) over signs E of determinant 1, so that axes are uniform."""
    signs = [np.array(e) for e in itertools.product([-1.0, 1.0], repeat=d) if math.prod(e) > 0]
    for rotation in rotations.draw_rotations(np.random.default_rng(d), (5,), d):
        copies = np.array([rotations.turns(rotation * e) for e in signs])
        preference = np.exp(rotations.log_preference(copies, d))
        np.testing.assert_allclose(preference, [np.linalg.det(np.eye(d) + rotation * e) / 2 for e in signs], rtol=1e-6)
        np.testing.assert_allclose(preference.mean(), 1, rtol=1e-6)


def test_axes_under_the_density_are_uniform():
    """By importance sampling, the moments of one entry of a rotation: 1/3 and 1/5. Six standard errors: 2e-9 each."""
    rng, d, size = np.random.default_rng(0), 3, 40_000
    w = rng.standard_t(4, size=(size, 3))
    proposal = 3 * math.log(0.375) - 2.5 * np.log1p(w**2 / 4).sum(axis=1)
    weight = np.exp(rotations.log_uniform(w, d) - rotations.log_volume(d) - proposal)
    square = rotations.rotations(w, d)[:, 0, 0] ** 2
    for values, expected in ((weight, 1), (weight * square, 1 / 3), (weight * square**2, 1 / 5)):
        assert abs(values.mean() - expected) < 6 * values.std() / np.sqrt(size)


def test_drawn_rotations_are_uniform():
    """The same moments of 20,000 draws, and determinants of 1. Six standard errors: 2e-9 each."""
    drawn = rotations.draw_rotations(np.random.default_rng(0), (20_000,), 3)
    np.testing.assert_allclose(np.linalg.det(drawn), 1)
    for i, j in ((0, 0), (1, 2), (2, 1)):
        square = drawn[:, i, j] ** 2
        for values, expected in ((square, 1 / 3), (square**2, 1 / 5), (drawn[:, i, j], 0)):
            assert abs(values.mean() - expected) < 6 * values.std() / np.sqrt(len(values))


@pytest.mark.parametrize("d", [2, 3, 6])
def test_axes_are_turned_little_whatever_signs_they_are_given_with(d):
    rng = np.random.default_rng(d)
    axes = rotations.draw_rotations(rng, (50,), d)
    turned = rotations.turned_least(axes * rng.choice([-1.0, 1.0], size=(50, 1, d)))
    np.testing.assert_allclose(turned, rotations.turned_least(axes), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turned), 1)
    assert np.linalg.det(np.eye(d) + turned).min() >= 2 - 1e-9
    np.testing.assert_allclose(rotations.rotations(rotations.turns(turned), d), turned, atol=1e-12)


@pytest.mark.parametrize("name", DECOMPOSED)
def test_the_sum_over_copies_is_that_of_the_coordinates_of_all_copies(name):
    """Two columns: each orientation has two rotations, and axes that are not ordered may change places."""
    chart, v, _ = drawn(name, 2, about=False)
    orientations = chart.parts(K)[2]
    if not orientations:
        assert not chart.has_copies(2)
        assert chart.log_copies(v, K, 2) == 0
        return
    assert chart.has_copies(2)
    turn = v[-orientations:]
    quarters = [0, 2] if chart.ordered else [0, 1, 2, 3]
    angles = 2 * np.arctan(np.sinh(turn))[:, None] + np.array(quarters) * np.pi / 2
    angles = (angles + np.pi) % (2 * np.pi) - np.pi
    preference = np.exp(rotations.log_preference(np.arcsinh(np.tan(angles / 2))[..., None], 2))
    relative = preference.sum(axis=1) / preference[:, 0]
    np.testing.assert_allclose(chart.log_copies(v, K, 2), np.log(relative).sum(), rtol=1e-9)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("name", DECOMPOSED)
def test_components_can_be_reordered(name, d):
    chart, v, _ = drawn(name, d, about=False)
    order = np.array([2, 0, 1])
    own = chart.own(v, K, d)
    moved = chart.with_own(v, own[order], d)
    np.testing.assert_allclose(chart.core_roots(moved, K, d), chart.core_roots(v, K, d)[order], rtol=1e-12)
    np.testing.assert_array_equal(chart.own(np.stack([v, v]), K, d), np.stack([own, own]))


@pytest.mark.parametrize("name", DECOMPOSED)
def test_coordinates_about_axes_give_the_same_covariances(name):
    chart, v, _ = drawn(name, 3, about=False)
    other = chart.about(chart.axes_at(v, K, 3))
    roots = chart.core_roots(v, K, 3)
    again = other.coordinates(roots)
    np.testing.assert_allclose(other.core_roots(again, K, 3), roots, rtol=1e-9, atol=1e-10)
    turns = again[again.size - 3 * chart.parts(K)[2] :]
    np.testing.assert_allclose(turns, 0, atol=1e-7)


def test_steps_down_decrease_by_their_differences():
    steps = np.array([[0.5, 2.0, 1.0]])
    numbers = steps_down(steps)
    np.testing.assert_allclose(-np.diff(numbers), steps)
    np.testing.assert_allclose(numbers.mean(), 0, atol=1e-15)
