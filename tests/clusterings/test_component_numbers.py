"""Fits whose number of components is unknown: the tables of the number, and what reads such draws."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import DeclarationError
from tests.undrawn import without_saving

PRIOR = bg.FiniteMixture(bg.Geometric(0.3), concentration=0.8)
X = np.concatenate([np.random.default_rng(0).normal(m, 1.0, size=(15, 2)) for m in (0.0, 9.0)])


@pytest.fixture(scope="module")
def fit():
    model = bg.MixtureModel(5, "diag", PRIOR, bg.NormalMeans(), bg.WishartPrecision(4.0, bg.Gamma(1.0, 0.5)))
    return bg.fit(model, X, "gibbs", seed=1, draws=120, tune=200, chains=2, thin=3, progress=False)


@pytest.fixture(scope="module")
def two(fit):
    return bg.condition(fit, 2)


def test_components_beyond_the_number_of_a_draw_have_no_weight(fit):
    weight, number = fit["posterior"]["weight"], fit["posterior"]["n_components"]
    assert ((weight > 0).sum("component") == number).all()
    assert set(np.unique(number)) > {2}
    np.testing.assert_allclose(weight.sum("component"), 1.0)


def test_the_table_has_posteriors_and_priors(fit):
    table = bg.n_components(fit)
    np.testing.assert_allclose(table[["components", "clusters", "components_prior", "clusters_prior"]].sum(), 1.0)
    number = fit["posterior"]["n_components"].values
    np.testing.assert_allclose(table["components"], [(number == k).mean() for k in range(1, 6)])
    np.testing.assert_array_equal(table["clusters"], bg.n_clusters(fit).values)
    assert (table.loc[[2, 3], ["components_se", "clusters_se"]] > 0).all(axis=None)


def test_the_prior_of_the_number_of_clusters_is_that_of_the_partition(fit):
    """By a recursion over the points.  4.5 standard errors of 40,000 simulations."""
    exact, log_number = np.zeros(6), PRIOR.log_number(5)
    for count in range(1, 6):
        chance = np.eye(6)[0]  # of k clusters among the first n points: each has its size plus .8
        for n in range(len(X)):
            k, total = np.arange(6), 0.8 * count + n
            chance = chance * (n + 0.8 * k) / total + np.roll(chance * 0.8 * (count - k) / total, 1)
        exact += np.exp(log_number[count - 1]) * chance
    table = bg.n_components(fit)["clusters_prior"]
    assert (abs(table - exact[1:]) < 4.5 * np.sqrt(exact[1:] * (1 - exact[1:]) / 40_000)).all()


def test_elicit_has_the_prior_of_the_number_of_components():
    prior = bg.elicit(bg.MixtureModel(5, weights=PRIOR), n_points=30, draws=2_000)
    np.testing.assert_allclose(prior["components"], np.exp(PRIOR.log_number(5)))
    assert "components" not in bg.elicit(bg.MixtureModel(5), n_points=30, draws=10)


def test_condition_keeps_the_draws_with_that_number_of_clusters(fit, two):
    weight = two["posterior"]["weight"]
    assert dict(two["posterior"].sizes) == {
        "chain": 2,
        "draw": weight.sizes["draw"],
        "component": 2,
        "feature": 2,
        "feature_bis": 2,
    }
    np.testing.assert_allclose(weight.sum("component"), 1.0)
    kept = weight.sizes["draw"] * 2 / 240
    assert bg.n_components(fit)["clusters"][2] - 0.1 < kept <= bg.n_components(fit)["clusters"][2]
    np.testing.assert_allclose(np.sort(two["posterior"]["mean"].mean(["chain", "draw"]).values[:, 0]), [0, 9], atol=1)
    assert set(two["posterior"]["covariance_scale"].dims) == {"chain", "draw", "feature"}
    log = bg.log_likelihood(two, progress=False)["log_likelihood"]["x"].sum("point")
    np.testing.assert_allclose(log, two["sample_stats"]["loglik"])


ANSWERS = {
    "component_table": bg.component_table,
    "assignments": bg.assignments,
    "density": lambda fit: bg.density(fit, X[:3], progress=False),
    "log_likelihood": lambda fit: bg.log_likelihood(fit, progress=False)["log_likelihood"],
    "posterior_predictive": lambda fit: bg.posterior_predictive(fit)["posterior_predictive"],
    "anomaly_scores": bg.anomaly_scores,
    "conditional_density": lambda fit: bg.conditional_density(fit, {"x0": 0.5}, "x1", progress=False),
    "co_clustering": lambda fit: bg.co_clustering(fit, progress=False),
    "partition": lambda fit: bg.partition(fit, progress=False),
    "n_clusters": bg.n_clusters,
    "plots.n_components": lambda fit: bg.plots.n_components_data(fit),
    "diagnose": lambda fit: bg.diagnose(fit, progress=False).table,
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("which", ["all draws", "two clusters"])
def test_results_accept_draws_of_different_numbers(answer, which, fit, two):
    """Finite, and without a warning: warnings are errors here."""
    if which == "two clusters" and answer == "plots.n_components":
        return
    found = ANSWERS[answer](fit if which == "all draws" else two)
    values = found.select_dtypes("number") if hasattr(found, "select_dtypes") else found
    for name in getattr(values, "data_vars", None) or [None]:
        numbers = np.asarray(values if name is None else values[name])
        assert numbers.dtype.kind not in "f" or np.isfinite(numbers).all(), name


def test_a_saved_fit_keeps_the_number_of_components(fit, tmp_path):
    again = bg.load(bg.save(fit, tmp_path / "fit.nc"))
    assert bg.n_components(again).equals(bg.n_components(fit))


def test_the_report_shows_the_number_of_components(fit, tmp_path):
    with without_saving():
        text = bg.report(fit, tmp_path / "report.html", progress=False).read_text()
    assert "Number of components" in text
    assert "Left out" not in text


def test_functions_that_need_a_fixed_number_refuse(fit, two):
    with pytest.raises(DeclarationError, match="no draw has this number of clusters; there are draws with"):
        bg.condition(fit, 5_000)
    for function in (bg.n_components, lambda fit: bg.condition(fit, 2)):
        with pytest.raises(DeclarationError, match="declare weights=FiniteMixture"):
            function(two)
    for of in (fit, two):
        with pytest.raises(DeclarationError, match="unknown number of components"):
            bg.evidence(of)
