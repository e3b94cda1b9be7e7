"""Comparison of fits: against scikit-learn, against ArviZ on log densities by scipy, and errors."""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DataError, DeclarationError, FitFileError, UnknownName
from bayesgmm.posterior.info import annotate, info
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions import cross_validation, densities

SAMPLE = make_mixture(n_points=120, n_features=2, n_components=3, overlap=0.3, seed=1)
QUICK = {"chains": 2, "disagreement": "report", "max_draws": 200}  # chains as the engine makes them
CRITERIA = ["bic", "aic", "icl"]
LOO = ["elpd_loo", "elpd_loo_se", "p_loo", "pareto_khat"]


def quick_fit(method, covariance="full", n_components=3, data=SAMPLE.X, **settings):
    settings = {"draws": 200, "tune": 100, "progress": False, "seed": 2} | QUICK | settings
    known = ENGINES[method].defaults.keys() | {"progress", "seed", "sample_weight", "columns", "noise"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        chosen = {name: value for name, value in settings.items() if name in known}
        return bg.fit(bg.MixtureModel(n_components, covariance), data, method, **chosen)


def quietly(fits, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return bg.compare(fits, **arguments)


@pytest.fixture(scope="module")
def fits():
    return {method: quick_fit(method, draws=200 if method == "nuts" else 1000, seed=3) for method in ENGINES}


@pytest.fixture(scope="module")
def table(fits):
    return quietly(fits)


def as_scikit_learn(fit, covariance):
    """scikit-learn's mixture with the parameters of a fit."""
    p = unpack(fit).parameters
    precision = np.linalg.inv(p.covariance[0])
    theirs = GaussianMixture(p.weight.shape[1], covariance_type=covariance)
    theirs.weights_, theirs.means_ = p.weight[0], p.mean[0]
    roots = np.linalg.cholesky(precision)
    variance = np.diagonal(precision, axis1=1, axis2=2)
    theirs.precisions_cholesky_ = {
        "full": roots,
        "tied": roots[0],
        "diag": np.sqrt(variance),
        "spherical": np.sqrt(variance[:, 0]),
    }[covariance]
    return theirs


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_criteria_of_em_match_scikit_learn(covariance):
    fit = quick_fit("em", covariance)
    row = bg.compare({"em": fit}).loc["em"]
    theirs = as_scikit_learn(fit, covariance)
    shares = theirs.predict_proba(SAMPLE.X)
    entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum()
    assert row["loglik"] == pytest.approx(theirs.score(SAMPLE.X) * 120)
    assert row["n_parameters"] == theirs._n_parameters()
    assert row["bic"] == pytest.approx(theirs.bic(SAMPLE.X))
    assert row["aic"] == pytest.approx(theirs.aic(SAMPLE.X))
    assert entropy > 1
    assert row["icl"] == pytest.approx(theirs.bic(SAMPLE.X) + 2 * entropy)


def renoted(fit, **notes):
    """A copy of a fit with other notes of its engine."""
    told = info(fit)
    return annotate(fit.copy(), replace(told, notes=replace(told.notes, **notes)))


def test_criteria_are_only_for_maximum_likelihood(fits, table):
    for method, fit in fits.items():
        finite = np.isfinite(table.loc[method, CRITERIA].astype(float))
        assert finite.all() if info(fit).notes.maximum == "likelihood" else not finite.any(), method
    assert info(fits["em"]).notes.maximum == "likelihood"
    mode = renoted(fits["em"], maximum="posterior")
    row = bg.compare({"mode": mode}).loc["mode"]
    assert row[CRITERIA].isna().all()
    assert row["loglik"] == pytest.approx(table.loc["em", "loglik"])


def log_likelihood(fit):
    """(chain, draw, point), written with scipy."""
    draws = fit["posterior"]
    chains, count = draws.sizes["chain"], draws.sizes["draw"]
    p = unpack(fit).parameters
    log = [
        np.logaddexp.reduce(
            [np.log(w) + multivariate_normal(m, c).logpdf(SAMPLE.X) for w, m, c in zip(*draw, strict=True)]
        )
        for draw in zip(p.weight, p.mean, p.covariance, strict=True)
    ]
    return xr.DataArray(np.reshape(log, (chains, count, -1)), dims=("chain", "draw", "point"))


def with_log_likelihood(fit, log):
    tree = fit.copy()
    tree["log_likelihood"] = xr.DataTree(xr.Dataset({"x": log}))
    return tree


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_leave_one_out_matches_arviz_on_log_densities_by_scipy(fits, table):
    fit, row = fits["nuts"], table.loc["nuts"]
    log = log_likelihood(fit)
    reff = float(az.ess(log.sum("point"), method="mean")) / 400
    theirs = az.loo(with_log_likelihood(fit, log), reff=reff, pointwise=True)
    assert row["elpd_loo"] == pytest.approx(theirs.elpd, rel=1e-9)
    assert row["elpd_loo_se"] == pytest.approx(theirs.se, rel=1e-9)
    assert row["p_loo"] == pytest.approx(theirs.p, rel=1e-6)
    assert row["pareto_khat"] == pytest.approx(float(theirs.pareto_k.max()), rel=1e-6)
    assert row["loglik"] == pytest.approx(float(log.sum("point").mean()))


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_draws_of_an_approximation_are_weighted_by_its_density(fits):
    fit = renoted(fits["advi"], resampled=None)
    stats = fit["sample_stats"].to_dataset()
    tree = with_log_likelihood(fit, log_likelihood(fit))
    theirs = az.loo_approximate_posterior(tree, log_p=stats["lp"].values, log_q=stats["log_q"].values, pointwise=True)
    row = quietly({"advi": fit}).loc["advi"]
    assert row["elpd_loo"] == pytest.approx(theirs.elpd, rel=1e-9)
    assert row["p_loo"] == pytest.approx(theirs.p, rel=1e-6)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_resampled_draws_count_by_their_effective_size(fits):
    fit, row = fits["advi"], quietly({"advi": fits["advi"]}).loc["advi"]
    worth = info(fit).notes.resampled.effective
    assert worth < 900
    theirs = az.loo(with_log_likelihood(fit, log_likelihood(fit)), reff=worth / 1000, pointwise=True)
    assert row["elpd_loo"] == pytest.approx(theirs.elpd, rel=1e-9)
    assert row["pareto_khat"] == pytest.approx(float(theirs.pareto_k.max()))


def test_copies_of_a_few_draws_give_no_leave_one_out():
    fit = quick_fit("advi", draws=100).isel(draw=np.repeat([0, 1], 100))
    with pytest.warns(bg.FitWarning, match="'advi': nearly all of its draws are copies of a few"):
        assert bg.compare({"advi": fit}).loc["advi", LOO].isna().all()


def test_slices_do_not_change_the_result(fits, table, monkeypatch):
    monkeypatch.setattr(densities, "SLICE", 1)
    again = quietly({"nuts": fits["nuts"]}).loc["nuts"]
    np.testing.assert_allclose(again[LOO].astype(float), table.loc["nuts", LOO].astype(float))


def test_values_that_are_not_defined_for_a_fit_are_nan(fits, table):
    for method, fit in fits.items():
        row, many = table.loc[method], fit["posterior"].sizes["chain"] * fit["posterior"].sizes["draw"] > 1
        assert row[LOO].notna().all() == many, method  # k-hat may be infinite where draws are copies
        assert np.isfinite(row["elbo"]) == (info(fit).notes.elbo is not None), method
        assert row["method"] == method
        assert row["seconds"] == info(fit).seconds


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_many_points_thin_the_draws(fits, monkeypatch):
    fit, log = fits["nuts"], log_likelihood(fits["nuts"])
    reff = float(az.ess(log.sum("point"), method="mean")) / 400
    chosen = np.linspace(0, 399, 200).round().astype(int)
    thinned = xr.DataArray(log.values.reshape(1, 400, -1)[:, chosen], dims=("chain", "draw", "point"))
    theirs = az.loo(with_log_likelihood(fit.isel(chain=[0]), thinned), reff=reff)
    monkeypatch.setattr(cross_validation, "ENOUGH_DRAWS", 100)
    monkeypatch.setattr(cross_validation, "WORTH", 120 * 200)
    assert quietly({"nuts": fit}).loc["nuts", "elpd_loo"] == pytest.approx(theirs.elpd, rel=1e-9)


@pytest.fixture
def only_forty(monkeypatch):
    """Reduce the limits so that 40 of 120 points are left out."""
    monkeypatch.setattr(cross_validation, "WORTH", 120 * 1000 - 1)
    monkeypatch.setattr(cross_validation, "LEFT_OUT", 40)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_a_sample_of_many_points_is_left_out_as_in_arviz(fits, only_forty):
    fit, row = fits["nuts"], quietly({"nuts": fits["nuts"]}).loc["nuts"]
    log = log_likelihood(fit)
    reff = float(az.ess(log.sum("point"), method="mean")) / 400
    rows = cross_validation.sampled_rows(120)
    assert len(set(rows)) == row["n_left_out"] == 40
    theirs = az.loo_subsample(with_log_likelihood(fit, log), observations=rows, reff=reff, pointwise=True)
    assert row["elpd_loo"] == pytest.approx(theirs.elpd, rel=1e-9)
    assert row["elpd_loo_se"] == pytest.approx(np.hypot(theirs.se, theirs.subsampling_se), rel=1e-9)
    assert row["p_loo"] == pytest.approx(theirs.p, rel=1e-6)
    assert row["pareto_khat"] == pytest.approx(float(theirs.pareto_k.max()))


def test_the_sum_from_a_sample_is_close_to_the_sum_over_all_points(fits, table, only_forty, monkeypatch):
    """Within four standard errors of the choice of 40 points of 120, also from rough densities: false alarm 6e-5."""
    whole, elpd = table.loc["nuts", "elpd_loo"], logsumexp(log_likelihood(fits["nuts"]).values[0], axis=0)
    for rough in (10**9, 120 * 25):
        monkeypatch.setattr(cross_validation, "ROUGH_WORTH", rough)
        differences = []
        for seed in range(8):
            rows = np.random.default_rng(seed).choice(120, 40, replace=False)
            monkeypatch.setattr(cross_validation, "sampled_rows", lambda n, rows=rows: rows)
            differences.append(quietly({"nuts": fits["nuts"]}).loc["nuts", "elpd_loo"] - whole)
        assert abs(np.mean(differences)) < 4 * np.std(differences, ddof=1) / np.sqrt(8) + 1e-9
        assert np.std(differences) < 0.4 * 120 * elpd.std() * np.sqrt(1 / 40 - 1 / 120), "a bare sample is worse"


def test_the_error_of_the_sum_includes_the_sampling_of_rows():
    """Constant in-sample densities: 50 rows of 5,000 represent all, so the error is 10 times that of all."""
    rng = np.random.default_rng(0)
    rows, elpd = np.arange(50), rng.normal(size=50)
    lone = SimpleNamespace(posterior=SimpleNamespace(thin=lambda draws: None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "spread", lambda *args: SimpleNamespace(log_mean=np.zeros(5000)))
        points = SimpleNamespace(values=np.zeros((5000, 1)))
        _, error, _ = cross_validation._from_sample(lone, points, rows, elpd, np.zeros(50))
    assert error == pytest.approx(5000 * elpd.std() / np.sqrt(50), rel=0.02)


# -- stacking --


def mixture_weights(density, rounds=20_000):
    """The same maximum by EM for the weights."""
    weight = np.full(density.shape[1], 1 / density.shape[1])
    for _ in range(rounds):
        shares = density * weight
        weight = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    return weight


@pytest.fixture(scope="module")
def unlike():
    """Fits that predict different points well: each has the right spread in one of two columns."""
    rng = np.random.default_rng(3)
    x = np.where(rng.random(100)[:, None] < 0.6, rng.normal(0, 1, (100, 1)), rng.normal(6, 0.3, (100, 1)))
    return {str(k): quick_fit("nuts", n_components=k, data=x, draws=100) for k in (1, 2)} | {
        "em": quick_fit("em", n_components=2, data=x)
    }


def test_stacking_weights_maximise_the_log_density_of_the_mixture(unlike):
    table = quietly(unlike)
    assert table["weight"].sum() == pytest.approx(1)
    assert np.isnan(table.loc["em", "weight"])
    assert table["weight"].idxmax() == "2"
    rng = np.random.default_rng(4)
    elpd = rng.normal(-3, 1.5, (200, 3)) - [0.0, 0.1, 0.4]
    fits = {str(m): cross_validation.LeftOut(e, e, e.sum(), 1.0, 1.0) for m, e in enumerate(elpd.T)}
    weights = cross_validation.stacking_weights(fits)
    np.testing.assert_allclose([weights[str(m)] for m in range(3)], mixture_weights(np.exp(elpd)), atol=2e-3)


def test_stacking_does_not_depend_on_the_units():
    """At log densities of -2,000 and 2,000 the densities underflow and overflow."""
    elpd = np.random.default_rng(5).normal(-3, 1.5, (200, 2))

    def weight(shift):
        fits = {str(m): cross_validation.LeftOut(e, e, e.sum(), 1.0, 1.0) for m, e in enumerate((elpd + shift).T)}
        return cross_validation.stacking_weights(fits)["0"]

    assert weight(-2000) == pytest.approx(weight(0), abs=1e-6)
    assert weight(2000) == pytest.approx(weight(0), abs=1e-6)


def test_a_single_fit_has_weight_one(fits):
    assert quietly({"nuts": fits["nuts"], "em": fits["em"]}).loc["nuts", "weight"] == 1
    assert quietly({"em": fits["em"]})["weight"].isna().all()


def test_agreement_is_the_adjusted_rand_index_with_the_reference(fits):
    other = quick_fit("em", "spherical", 2)
    table = quietly({"em": fits["em"], "two": other}, reference="two")
    labels = [bg.assignments(fit)["label"].values for fit in (fits["em"], other)]
    assert table.loc["two", "agreement"] == 1
    assert table.loc["em", "agreement"] == pytest.approx(adjusted_rand_score(*labels))
    assert table.loc["em", "agreement"] < 0.95
    assert list(table.index) == ["em", "two"]
    assert list(table["n_components"]) == [3, 2]


def test_a_row_of_weight_two_counts_as_two_rows():
    weight = np.where(np.arange(120) < 40, 2.0, 1.0)
    twice = np.repeat(SAMPLE.X, weight.astype(int), axis=0)
    one = bg.compare({"em": quick_fit("em", sample_weight=weight)}).loc["em"]
    other = bg.compare({"em": quick_fit("em", data=twice)}).loc["em"]
    same = ["loglik", *CRITERIA]
    np.testing.assert_allclose(one[same].astype(float), other[same].astype(float), rtol=1e-6)
    weighted = quick_fit("nuts", sample_weight=weight)
    row = quietly({"nuts": weighted}).loc["nuts"]
    assert row[LOO].isna().all()
    bare = weighted.drop_nodes("sample_stats")
    assert quietly({"bare": bare}).loc["bare", "loglik"] == pytest.approx(row["loglik"])


def test_a_trace_of_pymc_can_be_compared(fits, table):
    """A posterior with the names of the schema, and the data."""
    posterior = fits["nuts"]["posterior"].to_dataset().assign_attrs(inference_library="pymc", sampling_time=2.5)
    foreign = xr.DataTree.from_dict(
        {"posterior": posterior, "observed_data": fits["nuts"]["observed_data"].to_dataset()}
    )
    row = quietly({"ours": fits["nuts"], "theirs": foreign}).loc["theirs"]
    assert (row["method"], row["seconds"], row["agreement"]) == ("pymc", 2.5, 1.0)
    assert row[["covariance", "n_parameters", "elbo", *CRITERIA]].isna().all()
    assert row["loglik"] == pytest.approx(table.loc["nuts", "loglik"])
    assert row["elpd_loo"] == pytest.approx(table.loc["nuts", "elpd_loo"], abs=0.5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"data": SAMPLE.X[:100]}, "'b' differs from 'a' in its rows: 100, not 120"),
        ({"data": SAMPLE.X[:, :1]}, r"in its columns: \['x0'\], not \['x0', 'x1'\]"),
        ({"data": SAMPLE.X + (np.arange(120) < 7)[:, None]}, "in the values of 7 rows"),
        ({"sample_weight": np.full(120, 2.0)}, "in its sample weights"),
        ({"noise": 0.3}, "in its errors of measurement"),
    ],
)
def test_fits_of_different_data_are_refused(fits, data, message):
    with pytest.raises(DataError, match=message):
        bg.compare({"a": fits["em"], "b": quick_fit("em", **data)})


def test_an_object_that_is_not_a_fit_is_refused_by_name(fits):
    with pytest.raises(FitFileError, match="'b': this object is not a fit"):
        bg.compare({"a": fits["em"], "b": xr.DataTree()})
    with pytest.raises(FitFileError, match="'b' holds no observed data"):
        bg.compare({"a": fits["em"], "b": fits["em"].drop_nodes("observed_data")})
    with pytest.raises(DeclarationError, match="give fits by name"):
        bg.compare([fits["em"]])
    with pytest.raises(DeclarationError, match="give fits by name"):
        bg.compare({})
    with pytest.raises(UnknownName, match="reference='c' is not one of 'a'"):
        bg.compare({"a": fits["em"]}, reference="c")


def test_an_influential_point_gives_a_warning_with_its_row():
    x = np.append(SAMPLE.X[:, 0], 60.0)
    fit = quick_fit("nuts", n_components=1, data=x)
    with pytest.warns(
        bg.FitWarning, match=r"'far': leave-one-out is unreliable at .* at row 120; it should be below 0.6"
    ):
        table = bg.compare({"far": fit})
    assert table.loc["far", "pareto_khat"] > 0.6
