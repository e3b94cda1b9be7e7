"""Fits to transformed columns: every answer is in data units."""

import numpy as np
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.diagnosis.summary import component_words
from bayesgmm.errors import DataError

RNG = np.random.default_rng(0)
X = np.column_stack([np.exp(np.append(RNG.normal(0, 0.5, 100), RNG.normal(3, 0.5, 100))), RNG.normal(size=200)])
LOG = bg.ColumnTransforms({"x0": bg.Power(0, start=0.01), "x1": None})
NEW = np.array([[1.0, 0.0], [20.0, 1.0], [-3.0, 0.0]])


@pytest.fixture(scope="module")
def fit():
    return bg.fit(bg.MixtureModel(2), X, "vb", transform=LOG, seed=0, draws=200, progress=False)


@pytest.fixture(scope="module")
def plain():
    """The same fit to logarithms that are taken by hand."""
    x = np.column_stack([np.log(X[:, 0]), X[:, 1]])
    return bg.fit(bg.MixtureModel(2), x, "vb", seed=0, draws=200, progress=False)


@pytest.fixture(scope="module")
def single():
    return bg.fit(bg.MixtureModel(1), X[:100, :1], "em", transform=LOG.chosen(["x0"]), progress=False)


def test_the_transforms_are_saved_and_loaded(fit, tmp_path):
    assert bg.info(bg.load(bg.save(fit, tmp_path / "fit.nc"))).transforms == LOG


def test_the_columns_of_the_fit_have_the_names_of_the_transformed_ones(fit):
    assert fit["posterior"]["feature"].values.tolist() == ["log(x0)", "x1"]


def test_new_data_in_data_units_get_the_assignments_of_a_fit_by_hand(fit, plain):
    by_hand = LOG.forward(NEW)
    assert np.allclose(bg.assignments(fit, NEW)["probability"], bg.assignments(plain, by_hand)["probability"])
    assert np.allclose(bg.assignments(fit)["probability"], bg.assignments(fit, X)["probability"])


def test_the_density_is_scipys_log_normal(single):
    p = single["posterior"]
    mean, sd = p["mean"].values.item(), np.sqrt(p["covariance"].values.item())
    at = np.array([0.2, 1.0, 5.0])
    assert np.allclose(bg.density(single, at)["density"], stats.lognorm(sd, scale=np.exp(mean)).pdf(at))


@pytest.mark.parametrize("data", [None, X[:5]])
def test_the_density_of_fitted_points_is_that_of_the_same_points_given(fit, data):
    got = bg.density(fit, data, draws=20)["log_density"].values[:5]
    assert np.allclose(got, bg.density(fit, X[:5], draws=20)["log_density"])


def test_marginal_and_conditional_densities_integrate_to_one(fit):
    grid = np.linspace(-2, 400, 40_001)
    marginal = bg.density(fit, grid, columns=["x0"], draws=20)["density"].values
    conditional = bg.conditional_density(fit, {"x1": 0.3}, "x0", grid, draws=20)["density"].values
    assert np.trapezoid(marginal, grid) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(conditional, grid) == pytest.approx(1, abs=1e-3)


def test_given_values_are_in_data_units(fit):
    """Given x0 = 20, a point is of the second group, which does not change x1."""
    answer = bg.conditional_density(fit, {"x0": 20.0}, ["x1"], draws=20)
    assert answer["feature"].values.tolist() == ["x1"]
    assert np.trapezoid(answer["density"], answer["x"].values[:, 0]) == pytest.approx(1, abs=0.02)


def test_the_default_grid_is_in_data_units(fit):
    x = bg.conditional_density(fit, {"x1": 0.0}, "x0", draws=20)["x"].values
    assert x.min() > 0
    assert x.max() > 40


def test_log_likelihoods_are_those_of_the_density(single):
    log = bg.log_likelihood(single, progress=False)["log_likelihood"]["x"].values.ravel()
    assert np.allclose(log, bg.density(single)["log_density"])


def test_replicated_and_observed_data_are_in_data_units(fit):
    tree = bg.posterior_predictive(fit, 100)
    x = tree["posterior_predictive"]["x"]
    assert x["feature"].values.tolist() == ["x0", "x1"]
    assert np.allclose(tree["observed_data"]["x"], X)
    assert np.median(x.sel(feature="x0")) == pytest.approx(np.median(X[:, 0]), rel=0.4)
    assert "log(x0)" in fit["observed_data"]["feature"]


def test_centres_are_medians_in_data_units(fit):
    table = bg.component_table(fit)["mean"].unstack()
    assert sorted(table["x0"]) == pytest.approx([1, np.exp(3)], rel=0.2)


def test_the_table_at_the_terminal_says_that_it_shows_medians(fit, plain):
    assert component_words(fit)[0].endswith("medians in transformed columns")
    assert "medians" not in component_words(plain)[0]


def test_reasons_are_in_data_units(fit):
    reason = bg.explain_anomalies(fit, [[400.0, 0.0]])["reason"].item()
    assert reason.startswith("x0 400 (")
    assert float(reason.split("sd from ")[1].split(")")[0]) == pytest.approx(20, rel=0.3)


def test_anomalies_do_not_depend_on_the_unit():
    other = bg.ColumnTransforms({"x0": bg.Power(0, start=10.0), "x1": None})
    tables = ((X, LOG), (X * [1000, 1], other))
    fits = [bg.fit(bg.MixtureModel(2), x, "em", transform=t, seed=0, progress=False) for x, t in tables]
    one, two = (bg.anomaly_scores(f, x)["p_value"] for f, x in zip(fits, (NEW, NEW * [1000, 1]), strict=True))
    assert np.allclose(one, two, atol=0.02)


def test_points_outside_the_domain_of_a_logarithm_are_anomalies(fit):
    scores = bg.anomaly_scores(fit, NEW, fdr=0.05)
    assert scores["anomaly"].values.tolist() == [False, False, True]


def test_data_without_a_column_of_the_fit_are_refused(fit):
    with pytest.raises(DataError, match="made for columns 'x0', 'x1'"):
        bg.assignments(fit, {"x0": [1.0]})
    with pytest.raises(DataError, match="has no column 'x9'"):
        bg.density(fit, columns=["x9"])


def test_a_fit_without_transforms_stores_none(plain):
    assert bg.info(plain).transforms is None
    assert "transforms" not in plain.attrs["bayesgmm"]
