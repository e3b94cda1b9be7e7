"""The search for starts: kinds of starts, populations, moves, and when it ends."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em, em_steps, exploration
from bayesgmm.inference.exploration import Exploration, explore
from bayesgmm.inference.faults import is_suspect
from bayesgmm.inference.laplace import prior_of_coordinates
from bayesgmm.inference.mixtures import Mixture, maximise
from bayesgmm.inference.moves import divide_again, offspring
from bayesgmm.inference.optima import Found, Optimum, unseen_share
from bayesgmm.inference.populations import Climb, Population
from bayesgmm.inference.proposals import PROPOSALS, Rows
from bayesgmm.inference.starts import sample_rows
from bayesgmm.inference.weak_priors import WeakPrior
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import fold
from tests.families.registry import CHARTED

IRIS = bg.datasets.iris().drop(columns="species").to_numpy()


def one_column_separates(n_points=1000, n_features=20):
    """Three clusters, 20 standard deviations apart in the first column; the other columns are noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n_points)
    x = rng.normal(size=(n_points, n_features))
    x[:, 0] += 20 * labels
    return x, labels


def climb_of(x, family="full", points=0.1, threads=1):
    standard = Standard.of(as_points(x), COVARIANCES[family].needs_common_scale)
    blocks = standard.blocks(x)
    rows = Rows(*sample_rows(blocks, np.random.default_rng(0)))
    return Climb(blocks, COVARIANCES[family], WeakPrior(points).of(COVARIANCES[family], rows), threads), rows


def population_of(climb, rows, n_components=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = [propose(rows, n_components, rng) for propose in PROPOSALS.values()]
    return exploration.from_partitions(climb, rows, labels, n_components)


def optima_of(x, family="full", n_components=3, seed=0, **settings):
    standard = Standard.of(as_points(x), COVARIANCES[family].needs_common_scale)
    chosen = {"n_init": 10, "budget": 1000} | settings
    return explore(standard.blocks(x), COVARIANCES[family], WeakPrior(0.1), n_components, seed, **chosen).optima


# -- the best optimum, every seed --


@pytest.mark.parametrize("seed", [7, 117, 129])
def test_maxima_with_faults_do_not_crowd_out_the_others(seed):
    """A split by the second column is degenerate. Most starts lead to it, and rate higher than those of the best."""
    x = np.array([(i, j) for i in (0.0, 1.0, 9.0, 10.0) for j in (0.0, 1.0)])
    first = optima_of(x, "tied", 2, seed)[0]
    assert not first.fault
    assert np.ptp(first.mixture.mean[:, 1]) < 0.01 < np.ptp(first.mixture.mean[:, 0])


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.FitWarning")
@pytest.mark.parametrize("method", ["em", "mle", "map", "vb"])
def test_one_separating_column_among_twenty_is_found(method):
    """Variational Bayes with few parameters: with full covariances its bound is higher for one large cluster."""
    x, _ = one_column_separates()
    settings = {"draws": 20} if method == "vb" else {}
    model = bg.MixtureModel(3, covariance="diag" if method == "vb" else "full")
    fit = bg.fit(model, x, method, seed=0, progress=False, **settings)
    found = fit["posterior"]["mean"].mean(("chain", "draw")).values[:, 0]
    np.testing.assert_allclose(np.sort(found), [0, 20, 40], atol=0.5)


def test_select_finds_the_right_number_of_clusters_where_one_column_separates():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1000, 10))
    x[:, 0] += 20 * rng.integers(0, 3, 1000)
    table = bg.select(x, [3, 4], "diag", seed=0, progress=False)
    assert table["n_components"].iloc[0] == 3


@pytest.mark.parametrize("family", COVARIANCES)
def test_the_search_finds_at_least_what_many_k_means_starts_find(family):
    """100 starts of EM, of which the search needs a part."""
    standard = Standard.of(as_points(IRIS), COVARIANCES[family].needs_common_scale)
    sweep = em_steps.Sweep(standard.blocks(IRIS), COVARIANCES[family])
    many = em.maximise_likelihood(sweep, 3, seed=7, n_init=100, init="k-means++")
    for seed in range(3):
        assert em.maximise_likelihood(sweep, 3, seed).loglik > many.loglik - 1e-3


def test_a_narrow_component_of_a_few_points_is_suspect_and_passed_over():
    """Six points in a plane: the likelihood is half a nat higher there than at the best regular maximum."""
    sweep = em_steps.Sweep(Standard.of(as_points(IRIS)).blocks(IRIS), COVARIANCES["full"])
    regular = em.maximise_likelihood(sweep, 3, seed=0)
    assert regular.loglik - 150 * Standard.of(as_points(IRIS)).log_scale == pytest.approx(-180.19, abs=0.01)
    assert not is_suspect(regular.mixture, sweep.family, 150)
    weight, roots = np.array([0.04, 0.48, 0.48]), regular.mixture.core_roots.copy()
    wide = Mixture(weight, regular.mixture.mean, roots.copy())
    roots[0, 3] *= 100.0
    assert is_suspect(Mixture(weight, wide.mean, roots), sweep.family, 150)
    assert not is_suspect(wide, sweep.family, 150)


@pytest.mark.parametrize("method", ["em", "mle", "map"])
def test_a_search_that_has_probably_missed_a_higher_maximum_says_so(method):
    """Six components for three species: the highest maxima of five seeds differ by up to six nats."""
    with pytest.warns(bg.FitWarning, match=r"A higher maximum .* no start .* Try sweeps=16000 or fewer components"):
        fit = bg.fit(bg.MixtureModel(6), IRIS, method, seed=0, progress=False)
    assert 0.5 < bg.info(fit).notes.undiscovered <= 1
    assert "warnings of the fit" in {finding.check for finding in bg.diagnose(fit, progress=False)}


@pytest.mark.parametrize("method", ["em", "map"])
@pytest.mark.parametrize("n_components", [2, 3])
def test_a_search_that_has_settled_is_silent(n_components, method):
    for seed in range(5):
        fit = bg.fit(bg.MixtureModel(n_components), IRIS, method, seed=seed, progress=False)
        assert not bg.info(fit).warnings
        assert bg.info(fit).notes.undiscovered is None


# -- invariance --


@pytest.mark.parametrize("family", ["full", "diag", "tied"])
def test_the_search_does_not_depend_on_the_units_of_columns(family):
    units = np.array([1.0, 1e-3, 7.0, 365.25])
    plain = bg.fit(bg.MixtureModel(3, covariance=family), IRIS, "em", seed=0, progress=False)
    scaled = bg.fit(bg.MixtureModel(3, covariance=family), IRIS * units, "em", seed=0, progress=False)
    change = -len(IRIS) * np.log(units).sum()
    logliks = [fit["sample_stats"]["loglik"].item() for fit in (plain, scaled)]
    assert logliks[1] == pytest.approx(logliks[0] + change, abs=1e-3)


def test_the_search_is_the_same_on_two_threads():
    found = [optima_of(IRIS, n_components=4, seed=3, threads=threads) for threads in (1, 2)]
    assert [one.value for one in found[0]] == [one.value for one in found[1]]
    np.testing.assert_array_equal(found[0][0].mixture.mean, found[1][0].mixture.mean)


@pytest.mark.parametrize("kind", [kind for kind in PROPOSALS if kind != "ward on one scale"])
def test_a_kind_of_start_does_not_depend_on_units(kind):
    def labels(x):
        standard = Standard.of(as_points(x))
        rows = Rows(standard.blocks(x).rows(), np.ones(len(x)))
        return PROPOSALS[kind](rows, 3, np.random.default_rng(1))

    x = np.random.default_rng(0).normal(size=(300, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.2], [0, 0, 1]])
    x[:100] += [4, 0, 0]
    np.testing.assert_array_equal(labels(x), labels(x * [3.0, 1.0, 0.1]))


@pytest.mark.parametrize("kind", ["ward", "ward on one scale"])
def test_wards_agglomeration_is_that_of_scipy(kind):
    """With as many cells as rows, each row is a cell."""
    x = np.random.default_rng(2).normal(size=(90, 4)) * [1, 2, 3, 1]
    rows = Rows(x, np.ones(len(x)))
    places = rows.standardised if kind == "ward" else x
    expected = fcluster(linkage(places, "ward"), 5, "maxclust")
    found = PROPOSALS[kind](rows, 5, np.random.default_rng(0))
    assert adjusted_rand_score(expected, found) == 1.0


@pytest.mark.parametrize("kind", PROPOSALS)
def test_a_kind_of_start_takes_constant_columns_and_repeated_rows(kind):
    x = np.repeat([[0.0, 1.0], [2.0, 1.0], [5.0, 1.0]], 4, axis=0)
    labels = PROPOSALS[kind](Rows(x, np.ones(len(x))), 3, np.random.default_rng(0))
    assert labels.shape == (12,)
    assert set(labels) <= {0, 1, 2}


# -- populations --


@pytest.mark.parametrize("family", COVARIANCES)
def test_a_population_climbs_like_each_of_its_mixtures(family):
    climb, rows = climb_of(IRIS, family)
    population = population_of(climb, rows)
    loglik, following = climb.step(population)
    for number in range(len(population)):
        alone = climb.step(population.take([number]))
        assert alone[0][0] == loglik[number]
        np.testing.assert_array_equal(alone[1].mean[0], following.mean[number])
        stats = fold(climb.blocks, population[number].table(climb.family))
        own = maximise(climb.family, stats, climb.prior, before=population[number].core_roots)
        np.testing.assert_allclose(own.core_roots, following.core_roots[number], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", COVARIANCES)
def test_the_penalised_likelihood_of_a_population_never_falls(family):
    climb, rows = climb_of(IRIS, family, points=20.0)
    population, values = population_of(climb, rows), []
    for _ in range(20):
        value, population = climb.step(population)
        values.append(value)
    assert (np.diff(values, axis=0) > -1e-9).all()
    assert (np.ptp(values, axis=0) > 1).any()


@pytest.mark.parametrize("family", COVARIANCES)
def test_moves_make_valid_mixtures(family):
    climb, rows = climb_of(IRIS, family)
    population = population_of(climb, rows)
    children = offspring(climb, [population[0], population[1]], 20, np.random.default_rng(0))
    np.testing.assert_allclose(children.weight.sum(axis=1), 1.0)
    assert np.isfinite(climb.step(children)[0]).all()
    assert len({round(value, 6) for value in climb.step(children)[0].tolist()}) > 10


@pytest.mark.parametrize("family", ["full", "diag"])
def test_dividing_a_pair_anew_keeps_the_moments_of_the_mixture(family):
    climb, rows = climb_of(IRIS, family)
    one = population_of(climb, rows)[0]
    other = divide_again(climb, one, np.random.default_rng(0))
    assert np.abs(one.mean - other.mean).max() > 0.1
    for moments in (lambda m: m.weight @ m.mean, lambda m: np.diagonal(second_moments(m, climb.family))):
        np.testing.assert_allclose(moments(other), moments(one), rtol=1e-9, atol=1e-12)


def second_moments(mixture, family):
    covariance = family.matrices(mixture.core_roots, *mixture.mean.shape)
    return np.einsum("k,kij->ij", mixture.weight, covariance + mixture.mean[:, :, None] * mixture.mean[:, None, :])


def test_a_maximum_that_only_the_prior_of_the_search_keeps_regular_comes_after_all_others():
    """Two rows far from all others: a component of their own has the highest likelihood, and shrinks onto them."""
    x = np.concatenate([np.random.default_rng(0).normal(size=(60, 1)), [[30.0], [30.001]]])
    optima = optima_of(x, n_components=2)
    assert [optimum.fault for optimum in optima] == sorted(optimum.fault for optimum in optima)
    faulty = next(optimum for optimum in optima if optimum.fault)
    assert faulty.value > optima[0].value or faulty is optima[0]
    assert faulty.mixture.weight.min() * 62 < 4


@pytest.mark.parametrize("family", CHARTED)
def test_the_search_for_modes_climbs_the_log_posterior_in_the_sampler_s_coordinates(family):
    """The two differ by a constant, up to the weak prior of the means."""
    density = LogPosterior.of(bg.MixtureModel(3, covariance=family), as_points(IRIS))
    prior, exponents = prior_of_coordinates(density)
    climb = Climb(density.blocks, density.model.family, prior, exponents=exponents)
    population = population_of(climb, Rows(*sample_rows(density.blocks, np.random.default_rng(0))))
    for step in range(20):
        values, following = climb.step(population)
        lp = [density.value(density.coordinates(one.weight, one.mean, one.core_roots)) for one in population]
        assert np.ptp(values - lp) < 0.2
        assert step or np.ptp(lp) > 10
        assert (climb.step(following)[0] > values - 1e-8).all()
        population = following


# -- when the search ends --


def test_undiscovered_maxima_are_fewer_the_more_often_the_same_are_found():
    assert unseen_share([]) == unseen_share([1]) == 1.0
    assert unseen_share([4, 4]) == pytest.approx(6 / 56)
    shares = [unseen_share([n, n]) for n in (2, 4, 8, 16)]
    assert shares == sorted(shares, reverse=True)
    assert unseen_share([10, 10, 10]) > unseen_share([30])


def test_the_expected_share_of_undiscovered_maxima_is_right_on_average():
    """Numbers of maxima are drawn from 1/(w (w + 1)), nearly, and shares uniformly; 4,000 searches of 12 starts.

    The rule assumes a uniform number without bound; with a bound of 60 maxima the means agree within .03.
    """
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(4000):
        shares = rng.dirichlet(np.ones(int(rng.integers(1, 61))))
        hits = rng.multinomial(12, shares)
        if (hits > 0).sum() <= 4:
            errors.append(shares[hits == 0].sum() - unseen_share(hits[hits > 0].tolist()))
    assert abs(np.mean(errors)) < 0.03


def test_lower_maxima_count_as_one_once_the_best_is_confirmed():
    climb, rows = climb_of(IRIS)
    population = population_of(climb, rows)
    found = Found()
    found.add(population.take([0, 1, 2, 3]), np.array([0.0, -50.0, -60.0, -70.0]), 1)
    assert found.unseen == 1.0
    found.add(population.take([0, 0]), np.array([0.0, 0.0]), 1)
    assert found.unseen == pytest.approx(2 * 3 / (6 * 5))
    assert found.best == 0.0


def test_the_search_ends_early_where_all_starts_agree_and_at_its_budget_where_they_do_not(monkeypatch):
    spent = []
    run = Exploration.run

    def watched(self, *args):
        found = run(self, *args)
        spent.append(self.spent)
        return found

    monkeypatch.setattr(Exploration, "run", watched)
    optima_of(IRIS, n_components=2)
    rugged = np.random.default_rng(0).normal(size=(200, 6))
    optima_of(rugged, n_components=5, budget=600)
    assert spent[0] < 500 <= 600 <= spent[1] < 1200


def test_with_many_points_a_sample_is_explored_and_all_points_decide():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(6000, 2)), rng.normal([8, 0], 0.5, size=(3000, 2))])
    best = optima_of(x, n_components=2)[0].mixture
    np.testing.assert_allclose(np.sort(best.weight), [1 / 3, 2 / 3], atol=0.01)


def test_row_weights_count_in_the_search():
    x, _ = one_column_separates(300, 3)
    weight = np.where(x[:, 0] > 30, 0.0, 1.0)
    blocks = Standard.of(as_points(x)).blocks(x, weight)
    best = explore(blocks, COVARIANCES["full"], WeakPrior(0.1), 2, 0, n_init=10, budget=500).optima[0].mixture
    assert np.abs(best.weight - 0.5).max() < 0.1


def test_a_population_can_be_put_together_and_taken_apart():
    climb, rows = climb_of(IRIS)
    population = population_of(climb, rows)
    again = Population.of([population[i] for i in range(len(population))])
    np.testing.assert_array_equal(again.mean, population.mean)
    assert len(population.take([0, 2]).and_also(population.take([1]))) == 3
    assert Blocks.from_rows(rows.values).n_points == 150


def test_mirror_images_are_different_maxima():
    """Two clusters along one diagonal or along the other, of the same likelihood; their labels do not matter."""
    mean, roots = np.array([[-0.6, -0.6], [0.6, 0.6]]), np.stack([np.eye(2)] * 2)
    found = Optimum(Mixture(np.full(2, 0.5), mean, roots), -100.0, 1)
    assert found.is_near(Mixture(np.full(2, 0.5), mean[::-1] + 0.01, roots), -100.0)
    assert not found.is_near(Mixture(np.full(2, 0.5), mean * [1, -1], roots), -100.0)


def test_the_search_ends_where_every_start_degenerates():
    """A constant column: no start has a finite value, so that there is nothing to move from."""
    x = np.column_stack([IRIS, np.zeros(len(IRIS))])
    assert explore(Blocks.from_rows(x), COVARIANCES["diag"], WeakPrior(0.1), 3, 0, n_init=10, budget=1000).optima == []
