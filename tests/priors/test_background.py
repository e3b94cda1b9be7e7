"""The background: its density against scipy, its effect on fits by every engine, and the results that use it."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import binom, multivariate_normal, norm

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import DataError, DeclarationError, FitWarning
from bayesgmm.inference.em_steps import Sweep, take_steps
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.starts import sample_rows
from bayesgmm.posterior.contamination import as_modelled, background
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import fold
from tests.families.registry import CHARTED

ENGINES = ("em", "mle", "map", "vb", "advi", "fullrank_advi", "gibbs", "nuts")


def declared(k, family="full", **settings):
    return bg.MixtureModel(k, family, background=bg.Background(**settings))


def fitted(model, x, method="em", **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, x, method, seed=1, progress=False, **settings)


@pytest.fixture(scope="module")
def clean():
    """Two clusters in two columns."""
    rng = np.random.default_rng(3)
    return np.concatenate([rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) * [1.0, 0.5] + [6.0, 1.0]])


@pytest.fixture(scope="module")
def contaminated(clean):
    """The same clusters, with 5 % of outliers."""
    return np.concatenate([clean, np.random.default_rng(4).uniform(-60, 60, size=(42, 2))])


@pytest.mark.parametrize("family", CHARTED)
@pytest.mark.parametrize(("d", "k"), [(1, 1), (1, 3), (2, 2), (3, 4), (5, 2)])
def test_the_density_equals_the_formula_and_the_gradient_finite_differences(family, d, k):
    rng = np.random.default_rng(10 * d + k)
    x = rng.normal(size=(50, d)) * 2 + 5
    density = LogPosterior.of(declared(k, family, share=0.1), as_points(x))
    q = rng.normal(scale=0.4, size=density.size)
    value, grad = density(q)
    slopes = [(density(q + e)[0] - density(q - e)[0]) / 2e-5 for e in 1e-5 * np.eye(q.size)]
    np.testing.assert_allclose(grad, slopes, rtol=1e-6, atol=1e-5)
    p, b = density.parameters(q), density.model.background
    good = sum(w * multivariate_normal(m, c).pdf(x) for w, m, c in zip(p.weight, p.mean, p.covariance, strict=True))
    everything = 0.9 * good + 0.1 * np.prod(norm(b.location, b.scale).pdf(x), axis=1)
    np.testing.assert_allclose(value - density.log_prior(q), np.log(everything).sum(), rtol=1e-9)


@pytest.mark.parametrize("family", CHARTED)
def test_a_fold_with_a_background_equals_a_fold_with_one_more_component(family, clean):
    density = LogPosterior.of(declared(2, family), as_points(clean))
    mixture = Mixture(*density.mixture(np.random.default_rng(0).normal(size=density.size)))
    table = mixture.table(density.model.family)
    stats = fold(density.blocks, table)
    row, x = density.blocks.background, density.blocks.rows()
    roots = table.root if table.root.ndim == 3 else np.stack([np.diag(r) for r in table.root])
    roots, mean = np.concatenate([roots, np.diag(row.root)[None]]), np.vstack([table.mean, row.mean])
    steps = np.einsum("kij,nkj->nki", roots, x[:, None] - mean)
    score = np.append(table.offset + row.log_rest, row.offset) - 0.5 * (steps**2).sum(-1)
    share = np.exp(score - np.logaddexp.reduce(score, axis=1, keepdims=True))
    np.testing.assert_allclose(stats.n, share[:, :2].sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(stats.loglik, np.logaddexp.reduce(score, axis=1).sum(), rtol=1e-9)
    assert stats.n.sum() < len(x) - 1
    q = density.coordinates(*density.mixture(np.random.default_rng(0).normal(size=density.size)))
    in_data_units = stats.loglik - len(x) * density.standard.log_scale
    np.testing.assert_allclose(density(q)[0] - density.log_prior(q), in_data_units, rtol=1e-9)


@pytest.mark.parametrize("family", CHARTED)
def test_em_never_lowers_the_likelihood(family, contaminated):
    density = LogPosterior.of(declared(2, family), as_points(contaminated))
    start = Mixture(*density.mixture(np.random.default_rng(1).normal(size=density.size)))
    history = take_steps(Sweep(density.blocks, density.model.family), start, 30, 1e-12).history
    assert (np.diff(history) > -1e-9 * np.abs(history[1:])).all()
    assert history[-1] > history[0] + 10


def off(fit, reference):
    """Largest difference of means and standard deviations from a reference fit, in its standard deviations."""
    parts = []
    for tree in (fit, reference):
        tree = tree["posterior"].mean(("chain", "draw"))
        order = np.argsort(tree["mean"].values[:, 0])
        sd = np.sqrt(np.diagonal(tree["covariance"].values, axis1=1, axis2=2))
        parts.append((tree["mean"].values[order], sd[order]))
    (mean, sd), (mean_, sd_) = parts
    return max(np.abs((mean - mean_) / sd_).max(), np.abs(sd / sd_ - 1).max())


@pytest.mark.parametrize("method", ENGINES)
def test_outliers_do_not_distort_the_components_in_any_engine(method, clean, contaminated):
    """Oracle: the fit of the clean rows. Without a background EM differs from it by more than one."""
    settings = {"draws": 200, "chains": 2} if method == "nuts" else {}
    model = declared(2)
    reference = fitted(bg.MixtureModel(2), clean)
    assert off(fitted(model, contaminated, method, **settings), reference) < 0.12
    if method == "em":
        assert off(fitted(bg.MixtureModel(2), contaminated), reference) > 1


@pytest.mark.parametrize("method", ["vb", "advi"])
def test_minibatches_use_the_background(method, clean, contaminated):
    """Three batches of 256. Starts use all rows, so this tests the steps."""
    fit = fitted(declared(2), np.tile(contaminated, (3, 1)), method, batch_size=256)
    assert off(fit, fitted(bg.MixtureModel(2), clean)) < 0.2


def test_a_small_distant_cluster_is_not_assigned_to_the_background():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(450, 2)), rng.normal(size=(50, 2)) + 40, rng.uniform(-99, 99, size=(20, 2))])
    answer = bg.assignments(fitted(declared(2), x))
    assert (answer["label"].values[450:500] != answer["label"].values[0]).all()
    assert (answer["background"].values[:500] < 0.5).mean() > 0.99


def test_a_background_changes_a_fit_of_clean_data_little(clean):
    """The limit is small: with 400 points per component, the standard error is 0.05 to 0.1 standard deviations."""
    assert off(fitted(declared(2), clean), fitted(bg.MixtureModel(2), clean)) < 0.05


def test_nuts_covers_the_truth():
    """90 % intervals of mean and sd of 20 data sets from the prior and a background: false alarm below 1e-4 a side."""
    rng, covered = np.random.default_rng(6), []
    model = bg.MixtureModel(
        1,
        means=bg.NormalMeans(0.0, 2.0),
        covariances=bg.WishartPrecision(6.0, 1.0),
        background=bg.Background(0.1, location=0.0, scale=15.0),
    )
    for _ in range(20):
        mean, sd = rng.normal(scale=2.0), 1 / np.sqrt(rng.chisquare(6.0))
        x = np.where(rng.random(60) < 0.1, rng.normal(scale=15.0, size=60), rng.normal(mean, sd, size=60))
        drawn = fitted(model, x, "nuts", draws=150, chains=2)["posterior"]
        for value, truth in ((drawn["mean"], mean), (drawn["covariance"], sd**2)):
            low, high = np.quantile(value, [0.05, 0.95])
            covered.append(low < truth < high)
    assert len(covered) == 40
    least, most = binom.ppf([1e-4, 1 - 1e-4], 40, 0.9)
    assert least <= sum(covered) <= most


def test_the_log_likelihood_of_a_fit_contains_the_background(contaminated):
    fit = fitted(declared(2), contaminated, "vb", draws=100)
    log = bg.log_likelihood(fit)["log_likelihood"]["x"]
    np.testing.assert_allclose(log.sum("point"), fit["sample_stats"]["loglik"], rtol=1e-9)
    without = fitted(bg.MixtureModel(2), contaminated, "vb", draws=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # a k-hat
        table = bg.compare({"with": fit, "without": without})
    assert table.loc["with", "n_components"] == 2
    assert table.loc["with", "elpd_loo"] > table.loc["without", "elpd_loo"] + 100
    with_it = as_modelled(fit).parameters
    np.testing.assert_allclose(with_it.weight.sum(axis=1), 1.0)
    assert with_it.weight[0, -1] == 0.05


def test_results_describe_the_components_and_mark_the_outliers(contaminated, tmp_path):
    fit = fitted(declared(2), contaminated)
    answer = bg.assignments(fit)
    assert (answer["background"].values[-42:] > 0.5).mean() > 0.9
    assert answer["background"].values[:800].mean() < 0.02
    np.testing.assert_allclose(answer["probability"].sum("component"), 1.0)
    np.testing.assert_allclose(fit["posterior"]["weight"].sum("component"), 1.0)
    p = bg.anomaly_scores(fit)["p_value"].values
    assert np.median(p[-42:]) < 1e-3
    bg.save(fit, tmp_path / "fit.nc")
    assert background(bg.load(tmp_path / "fit.nc")) == background(fit)
    simulated = bg.posterior_predictive(fit, draws=1, size=5000)["posterior_predictive"]["x"].values
    assert 0.02 < (np.abs(simulated) > 20).any(axis=-1).mean() < 0.05


def test_row_weights_set_location_and_scale():
    b = bg.Background().resolve(as_points([0.0, 1.0, 2.0, 9.0]).weighed([5, 1, 1, 0]))
    assert b.location == (0.0,)
    assert b.scale[0] < 9


def test_the_background_is_broad_enough_for_the_farthest_point():
    """Otherwise a component, and not the background, would fit outliers beyond all quantiles."""
    x = np.append(np.random.default_rng(0).normal(size=999), 300.0)
    b = bg.Background(spread=4.0).resolve(as_points(x))
    assert b.scale[0] == pytest.approx((300 - np.median(x)) / 4)


def test_values_that_are_not_allowed_raise_one_error():
    with pytest.raises(DeclarationError, match="2 problems\n  share: must be less than 1.*\n  spread: must be greater"):
        bg.Background(share=1.5, spread=-1)
    with pytest.raises(DeclarationError, match=r"background.scale has 2 numbers for 1 columns"):
        fitted(declared(1, scale=(1.0, 2.0)), [0.0, 1.0, 2.0])
    priors = {"means": bg.NormalMeans(0.0, 1.0), "covariances": bg.WishartPrecision(3, 1)}
    model = bg.MixtureModel(1, **priors, background=bg.Background())
    with pytest.raises(DataError, match="'flat' has one value throughout"):
        fitted(model, pd.DataFrame({"flat": [1.0, 1.0, 1.0]}))


def test_a_card_can_declare_a_background(tmp_path):
    model = declared(2, share=0.1, spread=5.0)
    (tmp_path / "card.toml").write_text(model.to_toml())
    assert bg.load_card(tmp_path / "card.toml").mixture == model


def test_starts_do_not_begin_at_outliers(contaminated):
    """All starts of EM with the best likelihood end in one mode; k-means++ alone would begin at outliers."""
    from bayesgmm.inference.em import short_runs

    density = LogPosterior.of(declared(2), as_points(contaminated))
    runs = short_runs(Sweep(density.blocks, density.model.family), 2, 0, max_iter=200)
    best = [run for run in runs if run.loglik > runs[0].loglik - 1]
    assert len(best) >= 8
    cost = np.abs(best[0].mixture.mean[:, None] - best[-1].mixture.mean[None]).sum(-1)
    assert cost[linear_sum_assignment(cost)].max() < 0.1


def test_a_duplicated_row_gives_the_same_starts_as_a_row_of_weight_two(contaminated):
    """Copies of an outlier are not neighbours of each other, just as a row with a weight has none."""
    weight = np.random.default_rng(0).integers(1, 4, size=len(contaminated))

    def kept(points):
        blocks = LogPosterior.of(declared(2), points).blocks
        return np.unique(sample_rows(blocks, np.random.default_rng(0))[0], axis=0)

    once = kept(as_points(contaminated).weighed(weight))
    assert len(once) < len(contaminated)
    np.testing.assert_allclose(once, kept(as_points(np.repeat(contaminated, weight, axis=0))), atol=1e-12)


def test_a_single_row_can_be_fitted():
    priors = {"means": bg.NormalMeans(0.0, 1.0), "covariances": bg.WishartPrecision(3, 1)}
    fit = fitted(bg.MixtureModel(1, **priors, background=bg.Background(scale=9.0)), [2.0], "map")
    assert 0 < fit["posterior"]["mean"].item() < 2


def test_gaps_do_not_change_what_a_background_reads_from_the_other_cells():
    """Its centre and width come from what is observed of each column; a far value beside a gap is its own."""
    x = np.random.default_rng(3).normal(size=(300, 2))
    x[:40, 0], x[40] = np.nan, [50.0, np.nan]
    found = bg.Background().resolve(as_points(x, gaps=True))
    for j, column in enumerate(x.T):
        assert found.location[j] == np.nanmedian(column)
        alone = bg.Background().resolve(as_points(column[~np.isnan(column)]))
        assert found.scale[j] == alone.scale[0]
    fit = fitted(declared(1), x)
    assert bg.assignments(fit)["background"].values.argmax() == 40
