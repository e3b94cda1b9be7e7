"""EM: the likelihood never falls, and EM converges fast to a maximum."""

import dataclasses
import itertools

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm import datasets
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import ComponentError, DataError
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em, em_steps, quasi_newton, starts
from bayesgmm.inference.native_em import NativeEM
from bayesgmm.inference.quasi_newton import Anchor
from bayesgmm.posterior.schema import observed
from bayesgmm.sweep.stats import fold
from tests.families.registry import CHARTED
from tests.inference.test_engines import quick_fit

OVERLAPPING = make_mixture(2000, 2, 3, overlap=0.4, seed=5).X


def weighed(blocks, weight):
    return np.r_[weight, np.zeros(blocks.weight.size - len(weight))]


def sweep_and_start(x, n_components, family, seed=0, **settings):
    points = as_points(x)
    standard = Standard.of(points, COVARIANCES[family].needs_common_scale)
    blocks = standard.blocks(points.values, points.weights)
    rng = np.random.default_rng(seed)
    rows, weight = starts.sample_rows(blocks, rng)
    centres = starts.spread_out_centres(rows, weight, n_components, rng)
    start = starts.from_centres(rows, weight, centres, COVARIANCES[family])
    return em_steps.Sweep(blocks, COVARIANCES[family], **settings), start


@pytest.mark.parametrize("family", CHARTED)
def test_the_gradient_around_an_anchor_is_that_of_the_likelihood(family):
    sweep, start = sweep_and_start(OVERLAPPING, 3, family)
    mixture = em_steps.take_steps(sweep, start, 5).mixture
    n = fold(sweep.blocks, mixture.table(sweep.family)).n
    anchor = Anchor(sweep.blocks, sweep.family, mixture, n, threads=1)
    z = np.random.default_rng(0).normal(scale=3, size=anchor.size)
    grad = anchor.downhill(z)[1]
    steps = 1e-4 * np.eye(anchor.size)
    differences = [(anchor.downhill(z + step)[0] - anchor.downhill(z - step)[0]) / 2e-4 for step in steps]
    np.testing.assert_allclose(grad, differences, atol=1e-6 * np.abs(grad).max())


@pytest.mark.parametrize("family", CHARTED)
def test_an_anchor_s_coordinates_have_unit_information_when_components_are_apart(family):
    """The diagonal of the Hessian at the maximum, where every point's component is known."""
    x = make_mixture(2000, 2, 2, overlap=1e-6, seed=3).X
    sweep, start = sweep_and_start(x, 2, family)
    mixture = em_steps.run(sweep, start).mixture
    n = fold(sweep.blocks, mixture.table(sweep.family)).n
    anchor = Anchor(sweep.blocks, sweep.family, mixture, n, threads=1)
    steps = 1e-3 * np.eye(anchor.size)
    curvature = [(anchor.downhill(s)[1] - anchor.downhill(-s)[1]) @ s / (2 * 1e-6) for s in steps]
    logits, rest = np.split(np.array(curvature), [2])
    np.testing.assert_allclose(rest, 1.0, atol=0.01)
    np.testing.assert_allclose(logits, 1 - mixture.weight, atol=0.01)  # the weights share one constraint


@pytest.mark.parametrize(("family", "n_components"), [*itertools.product(COVARIANCES, [2, 4])])
def test_em_never_falls_and_ends_no_lower_than_plain_em(family, n_components):
    """Plain EM until its extrapolated remaining gain is 1e-11 per point; 6 data sets."""
    better = []
    for seed in range(6):
        x = make_mixture(500, 2, n_components, overlap=0.3, seed=seed).X
        sweep, start = sweep_and_start(x, n_components, family, seed)
        plain, fast = em_steps.take_steps(sweep, start, 20_000, 1e-11), em_steps.run(sweep, start, 20_000)
        assert fast.converged
        assert (np.diff(fast.history) > -1e-9).all()
        better.append((fast.loglik - plain.loglik) / len(x))
    assert np.sum(np.array(better) > -2e-8) >= 5  # from one start the two may still climb different hills


def test_em_takes_a_tenth_of_plain_em_s_sweeps_where_components_overlap():
    x = make_mixture(5000, 2, 3, overlap=0.6, seed=1).X
    sweep, start = sweep_and_start(x, 3, "full")
    assert em_steps.run(sweep, start, 20_000).n_iter * 10 < em_steps.take_steps(sweep, start, 20_000).n_iter


@pytest.mark.parametrize("family", COVARIANCES)
def test_the_maximum_is_the_same_to_the_last_bit_on_two_threads(family):
    x = make_mixture(20_000, 2, 3, overlap=0.4, seed=2).X
    results = [em_steps.run(*sweep_and_start(x, 3, family, threads=threads)) for threads in (1, 2)]
    np.testing.assert_array_equal(results[0].mixture.mean, results[1].mixture.mean)
    assert results[0].loglik == results[1].loglik


def test_with_many_points_a_sample_is_fitted_first(monkeypatch):
    """The same maximum, for less work; if the sample gives no start, the full data do."""
    x = make_mixture(20_000, 2, 3, overlap=0.2, seed=2).X
    weight = np.random.default_rng(1).integers(0, 3, size=len(x)).astype(float)
    sweep, _ = sweep_and_start(x, 3, "full")
    sweep = dataclasses.replace(sweep, blocks=dataclasses.replace(sweep.blocks, weight=weighed(sweep.blocks, weight)))
    looked_at: list[int] = []

    def counted(blocks, *rest):
        looked_at.append(blocks.n_points)
        return fold(blocks, *rest)

    monkeypatch.setattr(NativeEM, "suits", lambda self, most=1: False)  # its sweeps can't be counted
    monkeypatch.setattr(em_steps, "fold", counted)
    monkeypatch.setattr(quasi_newton, "fold", counted)
    all_of_them = em.maximise_likelihood(sweep, 3, seed=0)
    work = sum(looked_at)
    looked_at.clear()
    monkeypatch.setattr(starts, "SAMPLE", 1000)
    found = em.maximise_likelihood(sweep, 3, seed=0)
    assert found.converged
    assert found.loglik == pytest.approx(all_of_them.loglik, abs=1e-3)
    assert sum(looked_at) < 0.6 * work
    assert found.n_iter < 60  # of those that look at all
    monkeypatch.setattr(starts, "SAMPLE", 8)  # eight points can't hold three components
    assert em.maximise_likelihood(sweep, 3, seed=0).loglik == all_of_them.loglik


def test_a_sample_of_points_keeps_their_weights_and_background(monkeypatch):
    monkeypatch.setattr(starts, "SAMPLE", 100)
    weight = np.random.default_rng(1).integers(0, 3, size=len(OVERLAPPING)).astype(float)
    blocks = Standard(np.zeros(2), np.ones(2)).blocks(OVERLAPPING, weight)
    part = starts.sample_blocks(blocks, np.random.default_rng(0))
    known = {tuple(row): w for row, w in zip(OVERLAPPING, weight, strict=True)}
    assert len({tuple(row) for row in part.rows()}) == part.n_points == 100
    assert [known[tuple(row)] for row in part.rows()] == part.weight[:100].tolist()
    assert part.weight[:100].min() > 0
    few = Standard(np.zeros(2), np.ones(2)).blocks(OVERLAPPING[:400])
    assert starts.sample_blocks(few, np.random.default_rng(0)) is None


def test_em_stops_at_max_iter_during_quasi_newton_steps():
    sweep, start = sweep_and_start(OVERLAPPING, 3, "full")
    for most in (1, 5, 20):
        assert em_steps.run(sweep, start, most).n_iter <= most + 25  # a line search that has begun is finished


def test_more_components_than_distinct_rows_are_refused():
    x = np.repeat([[0.0, 1.0], [2.0, 3.0], [4.0, 9.0]], 20, axis=0)
    with pytest.raises(ComponentError, match="3 distinct rows can't hold 4 components"):
        bg.fit(bg.MixtureModel(4), x, "em", progress=False)


# -- row weights --


@pytest.mark.parametrize("method", ["em", "nuts", "advi"])
def test_a_row_of_weight_three_is_the_row_three_times(method):
    weight = np.random.default_rng(1).integers(0, 4, size=len(OVERLAPPING))
    model = bg.MixtureModel(2, means=bg.NormalMeans(0.0, 5.0), covariances=bg.WishartPrecision(5.0, 1.0))
    weighed = quick_fit(method, model, OVERLAPPING, sample_weight=weight)
    repeated = quick_fit(method, model, np.repeat(OVERLAPPING, weight, axis=0))
    centre, spread = (getattr(repeated["posterior"]["mean"], name)(("chain", "draw")) for name in ("mean", "std"))
    tolerance = 1e-4 if method == "em" else 1.0 * spread.values
    assert (np.abs(weighed["posterior"]["mean"].mean(("chain", "draw")) - centre).values < tolerance).all()
    if method == "em":
        assert weighed["sample_stats"]["loglik"].item() == pytest.approx(repeated["sample_stats"]["loglik"].item())


def test_a_start_does_not_depend_on_the_order_of_the_rows_or_on_how_they_are_counted():
    weight = np.random.default_rng(1).integers(0, 3, size=len(OVERLAPPING))
    order = np.random.default_rng(2).permutation(len(OVERLAPPING))
    counted = sweep_and_start(OVERLAPPING, 3, "full")[1]
    np.testing.assert_allclose(sweep_and_start(OVERLAPPING[order], 3, "full")[1].mean, counted.mean, atol=1e-12)

    def centres(values, weights=None):
        blocks = Standard(np.zeros(2), np.ones(2)).blocks(values, weights)
        rng = np.random.default_rng(4)
        return starts.spread_out_centres(*starts.sample_rows(blocks, rng), 3, rng)

    np.testing.assert_allclose(
        centres(OVERLAPPING, weight.astype(float)), centres(np.repeat(OVERLAPPING, weight, axis=0)), atol=1e-12
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], r"sample_weight has shape \(2,\) for 2000 rows"),
        (np.full(2000, -1.0), "2,000 rows have weights that are not allowed: row 0 has -1"),
        (np.r_[np.ones(1999), np.nan], "1 row has a weight that is not allowed: row 1999 has nan"),
        (np.zeros(2000), "all rows have weight zero"),
        ("heavy", "is a name, .heavy., and these rows are in memory"),
        (np.r_[np.ones(1), np.zeros(1999)], "1 row can't hold 3 components"),
    ],
)
def test_invalid_weights_are_refused(weights, message):
    with pytest.raises(DataError, match=message):
        bg.fit(bg.MixtureModel(3), OVERLAPPING, "em", sample_weight=weights)


def test_a_fit_keeps_the_weights_of_its_rows():
    weight = np.linspace(0, 1, len(OVERLAPPING))
    fit = quick_fit("em", data=OVERLAPPING, sample_weight=weight)
    np.testing.assert_array_equal(observed(fit).weights, weight)


# -- floors --


@pytest.mark.filterwarnings("ignore:A higher maximum of the likelihood may exist")
def test_where_the_best_starts_degenerate_the_search_goes_on_to_a_proper_maximum():
    """Six components for the galaxies: under the weak prior one holds two points in nearly all maxima."""
    fit = bg.fit(bg.MixtureModel(6), datasets.galaxies(), "em", seed=1, progress=False)
    assert fit["sample_stats"]["loglik"].item() == pytest.approx(-761.397, abs=0.01)
    assert fit["posterior"]["weight"].min() * 82 > 2.9


@pytest.mark.filterwarnings("ignore:A higher maximum of the likelihood may exist")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_maximum_with_narrow_components_is_found_although_the_weak_prior_ranks_it_low(seed):
    """Flat clusters, a sixteenth as thick as long: one search ends at -394.69 from seed 0, -393.28 from seed 2."""
    rng = np.random.default_rng(6)
    factors = rng.normal(size=(3, 3, 3)) * [1, 0.3, 0.06]
    x = np.concatenate([rng.normal(0, 1, 3) + rng.normal(size=(70, 3)) @ factor.T for factor in factors])
    fit = bg.fit(bg.MixtureModel(4), x, "em", seed=seed, progress=False)
    assert fit["sample_stats"]["loglik"].item() == pytest.approx(-389.65, abs=0.01)


@pytest.mark.parametrize(("covariance", "budgets"), [("full", [50, 100]), ("tied", [100])])
def test_the_first_of_two_searches_has_half_of_the_budget(monkeypatch, covariance, budgets):
    made, search = [], em.local_maxima

    def counted(*settings):
        made.append(settings[4])
        return search(*settings)

    monkeypatch.setattr(em, "local_maxima", counted)
    bg.fit(bg.MixtureModel(2, covariance), datasets.galaxies(), "em", sweeps=100, seed=0, progress=False)
    assert made == budgets


def test_a_floor_holds_up_a_component_of_one_point():
    x = np.r_[np.random.default_rng(0).normal(size=(50, 2)), [[100.0, 100.0]]]
    sweep, start = sweep_and_start(x, 2, "full")
    with pytest.raises(ComponentError):
        em_steps.run(sweep, start)
    held, _ = sweep_and_start(x, 2, "full", floor=np.array([1e-4, 1e-4]))
    found = em_steps.run(held, start)
    variance = np.diagonal(held.family.matrices(found.mixture.core_roots, 2, 2), axis1=1, axis2=2)
    assert variance.min() == pytest.approx(1e-4)
