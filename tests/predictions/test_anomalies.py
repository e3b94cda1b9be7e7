"""p-values of points: uniform where they should be, equal to their definition; and the points that are flagged."""

import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, false_discovery_control, kstest

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import DataError, DeclarationError, EmptyComponent, UnknownName
from bayesgmm.plots import anomaly_data
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions import anomalies, cross_conformal
from bayesgmm.predictions.predictive import mean_log_density
from bayesgmm.predictions.ranks import q_values, rank_p_values
from bayesgmm.predictions.replication import simulate

mpl.use("Agg")
import matplotlib.pyplot as plt

WORLD = make_mixture(n_points=3000, n_features=2, n_components=2, overlap=0.1, seed=3)


@pytest.fixture(scope="module")
def learned():
    """A fit of the first 500 of 3,000 simulated points."""
    model = bg.MixtureModel(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return bg.fit(model, WORLD.X[:500], draws=200, chains=2, tune=200, seed=1, progress=False)


HEAVY = np.random.default_rng(2).standard_t(2, size=3000)  # heavier tails than a Gaussian


@pytest.fixture(scope="module")
def wrong():
    """A fit of one component to points with heavy tails: a poor model."""
    return bg.fit(bg.MixtureModel(1), HEAVY[:500], "em", seed=1, progress=False)


def test_a_p_value_is_the_share_of_reference_points_with_a_density_at_most_as_high(learned):
    few = WORLD.X[500:530]
    reference = simulate(unpack(learned).thin(300), 999, np.random.default_rng(4))
    score = bg.anomaly_scores(learned, few, draws=300)["log_density"].values
    of_reference = bg.anomaly_scores(learned, reference, draws=300)["log_density"].values
    wanted = [(1 + (of_reference <= s).sum()) / 1000 for s in score]
    answer = bg.anomaly_scores(learned, few, draws=300, simulated=999, seed=4)
    np.testing.assert_allclose(answer["p_value"], wanted)
    np.testing.assert_allclose(bg.anomaly_scores(learned, few, draws=300, calibration=reference)["p_value"], wanted)


def test_a_point_ties_with_its_copy_among_the_reference_points(learned):
    """Rounded data have ties: of M different points the lowest has p-value 2 / (M + 1), the highest one 1."""
    x = WORLD.X[500:700]
    p_value = bg.anomaly_scores(learned, x, calibration=x)["p_value"].values
    np.testing.assert_allclose(np.sort(p_value), np.arange(2, 202) / 201)


def test_p_values_of_new_points_from_the_true_mixture_are_uniform(learned):
    """Points from the true mixture, not from the fit to 500 points. KS on 2,000 points: false alarm 1e-4 if exact.

    The reference has M = 10,000 points; the model's own error moves the p-values by about 1 %.
    """
    p_value = bg.anomaly_scores(learned, WORLD.X[500:2500])["p_value"]
    assert kstest(p_value, "uniform").statistic < 0.05
    assert kstest(p_value, "uniform").pvalue > 1e-4


def test_conformal_p_values_are_uniform_though_the_model_is_wrong(wrong):
    """1,200 new points, 1,300 held out: the share below a level, within 4 standard errors (false alarm 6e-5 a level).

    The model's own p-values are far from uniform there.
    """
    new, held_out = HEAVY[500:1700], HEAVY[1700:]
    conformal = bg.anomaly_scores(wrong, new, calibration=held_out)["p_value"].values
    own = bg.anomaly_scores(wrong, new)["p_value"].values
    for level in (0.01, 0.05, 0.2, 0.5, 0.8):
        error = np.sqrt(level * (1 - level) * (1 / 1200 + 1 / 1300))
        assert abs((conformal <= level).mean() - level) < 4 * error
    assert kstest(own, "uniform").pvalue < 1e-12


def test_p_values_of_fitted_points_are_larger_than_those_of_new_points():
    """Fits to twelve points each: over 20 fits, the difference is above 3 standard errors."""
    inside, outside = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(12, 2))
        fit = bg.fit(bg.MixtureModel(1), x, "map", seed=1, progress=False)
        inside.append(float((bg.anomaly_scores(fit, simulated=500)["p_value"] < 0.1).mean()))
        outside.append(float((bg.anomaly_scores(fit, rng.normal(size=(12, 2)), simulated=500)["p_value"] < 0.1).mean()))
    gap = np.subtract(outside, inside)
    assert gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(len(gap))


@pytest.mark.parametrize("size", [1e6, -1e6, 1e100, 1e150])
@pytest.mark.parametrize("simulated", [10, 10_000])
def test_a_point_far_away_has_the_minimum_p_value(learned, size, simulated):
    answer = bg.anomaly_scores(learned, [[size, -size]], simulated=simulated)
    assert answer["p_value"].item() == 1 / (simulated + 1)
    assert np.isfinite(answer["log_density"].item())


def test_a_value_too_large_to_be_squared_is_refused(learned):
    with pytest.raises(DataError, match="values beyond 1e"):
        bg.anomaly_scores(learned, [[1e200, 0.0]])


@pytest.mark.parametrize("method", ["bh", "by"])
def test_q_values_match_scipy(learned, method):
    strange = np.vstack([WORLD.X[500:600], WORLD.X[500:505] + 40])
    answer = bg.anomaly_scores(learned, strange, fdr=0.1, fdr_method=method)
    np.testing.assert_array_equal(answer["q_value"], false_discovery_control(answer["p_value"], method=method))
    np.testing.assert_array_equal(answer["anomaly"], answer["q_value"] <= 0.1)
    assert answer["anomaly"][-5:].all()
    assert answer.attrs["fdr"] == 0.1
    assert "q_value" not in bg.anomaly_scores(learned, strange)


@pytest.mark.parametrize("conformal", [False, True])
def test_the_false_discovery_rate_is_kept(learned, conformal):
    """20 samples of 190 regular points and 10 anomalies at fdr = 0.2: mean share of regular points among those flagged.

    At most 0.19 is expected (0.2 times 190 / 200); the mean of 20 shares, of sd 0.12 at most, lies within 4 of its
    standard errors: false alarm 3e-5.
    """
    rng, shares = np.random.default_rng(8), []
    for _ in range(20):
        good = WORLD.X[500 + rng.choice(1200, 190, replace=False)]
        far = WORLD.X[500 + rng.choice(1200, 10)] + 30
        calibration = WORLD.X[1700 + rng.choice(1300, 900, replace=False)] if conformal else None
        flagged = bg.anomaly_scores(learned, np.vstack([good, far]), fdr=0.2, calibration=calibration)["anomaly"].values
        assert flagged[190:].all()
        shares.append(flagged[:190].sum() / flagged.sum())
    assert 0.02 < np.mean(shares) < 0.19 + 4 * 0.12 / np.sqrt(20)


def test_enough_points_are_simulated_to_flag_a_single_anomaly(learned, monkeypatch):
    data = np.vstack([WORLD.X[500:1500], [[80.0, -80.0]]])
    answer = bg.anomaly_scores(learned, data, fdr=0.01, draws=50)
    assert answer.attrs["n_reference"] == 100_100
    assert answer["anomaly"][-1]
    monkeypatch.setattr(anomalies, "MAX_SIMULATED", 50_000)
    with pytest.warns(
        bg.FitWarning, match="1 point has a lower density than all 50000 reference points, but these are too few"
    ):
        assert not bg.anomaly_scores(learned, data, fdr=0.01, draws=50)["anomaly"].any()


def test_fitted_points_as_calibration_give_a_warning(learned):
    with pytest.warns(bg.FitWarning, match=r"500 of 500 calibration points equal fitted points \(row 0, 1, 2"):
        bg.anomaly_scores(learned, WORLD.X[500:510], calibration=WORLD.X[:500])
    mixed = np.vstack([WORLD.X[:2], WORLD.X[600:700]])
    assert bg.anomaly_scores(learned, WORLD.X[500:510], calibration=mixed).attrs["reference"] == "split conformal"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"fdr": 0}, DeclarationError, "fdr=0: must be between 0 and 1"),
        ({"fdr": 5}, DeclarationError, "fdr=5"),
        ({"fdr": 0.1, "fdr_method": "bonferroni"}, UnknownName, "fdr_method='bonferroni' is not one of 'bh', 'by'"),
        ({"calibration": [[1.0, 2.0]], "simulated": 10}, DeclarationError, "calibration= excludes simulated="),
        ({"reference": "exact"}, UnknownName, "reference='exact' is not one of 'cross-conformal', 'posterior predict"),
        ({"reference": "cross-conformal", "simulated": 9}, DeclarationError, "needs reference='posterior predictive'"),
        ({"calibration": [[1.0]]}, DataError, "the fit has 2 columns"),
        ({"calibration": pd.DataFrame({"x0": [1.0]})}, DataError, "the data lack 'x1'"),
    ],
)
def test_bad_settings_are_refused(learned, settings, error, message):
    with pytest.raises(error, match=message):
        bg.anomaly_scores(learned, WORLD.X[:5], **settings)


# -- cross-conformal p-values --


def two_clusters(seed, n_points, n_features=5):
    """Old and new points from the same two Gaussians with random covariances."""
    rng = np.random.default_rng(seed)
    mean = 1.3 * rng.normal(size=(2, n_features))
    root = rng.normal(size=(2, n_features, n_features)) / np.sqrt(n_features) + np.eye(n_features)
    label = rng.integers(0, 2, n_points + 400)
    x = mean[label] + np.einsum("nij,nj->ni", root[label], rng.normal(size=(len(label), n_features)))
    return x[:n_points], x[n_points:]


def small_fit(x, method, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return bg.fit(bg.MixtureModel(2), x, method, seed=0, progress=False, **settings)


@pytest.mark.parametrize(("method", "n_tables"), [("vb", 5), ("em", 4)])
def test_new_points_have_small_p_values_no_more_often_than_they_should(method, n_tables):
    """Fits of 50 points with 41 free numbers: share of 400 new points with a p-value of at most 0.1, mean over tables.

    The share in one table has a standard deviation of about 0.04 (48 refits: 0.039), so the mean is below 0.1 plus 4
    standard errors (false alarm 3e-5). By simulated points the means are above: 0.17 and 0.26.
    """
    tables = [two_clusters(seed, 50) for seed in range(n_tables)]
    fits = [small_fit(old, method) for old, _ in tables]
    answers = [bg.anomaly_scores(fit, new, progress=False) for fit, (_, new) in zip(fits, tables, strict=True)]
    assert {answer.attrs["reference"] for answer in answers} == {"cross-conformal"}
    shares = [float((answer["p_value"] <= 0.1).mean()) for answer in answers]
    assert 0.03 < np.mean(shares) < 0.1 + 4 * 0.04 / np.sqrt(n_tables)
    simulated = [
        float((bg.anomaly_scores(fit, new, simulated=2000, progress=False)["p_value"] <= 0.1).mean())
        for fit, (_, new) in zip(fits, tables, strict=True)
    ]
    assert np.mean(simulated) > 0.1 + 4 * 0.02 / np.sqrt(n_tables)


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.FitWarning")
def test_a_row_left_out_by_weights_has_the_score_of_a_fit_without_it():
    """One Gaussian, 30 points: scores of 10 rows under NUTS without them, within 0.15 (sd 0.03)."""
    x = np.random.default_rng(1).normal(size=(30, 2))
    fit = bg.fit(bg.MixtureModel(1), x, draws=1000, chains=4, seed=1, progress=False)
    rows = cross_conformal.references(fit, None)
    for n in range(10):
        without = bg.fit(info(fit).model, np.delete(x, n, 0), draws=500, chains=2, seed=1, progress=False)
        assert rows.own[n] == pytest.approx(mean_log_density(without, x[[n]], draws=None).item(), abs=0.15)


def test_a_point_estimate_is_refitted_without_each_fold():
    """Its p-values are counted by hand over the folds."""
    x = np.random.default_rng(1).normal(size=(25, 2))
    new = np.random.default_rng(2).normal(size=(7, 2))
    fit = bg.fit(bg.MixtureModel(1), x, "em", seed=1, progress=False)
    rows, count = cross_conformal.references(fit, None), np.zeros(7)
    assert sorted(np.bincount(rows.fold.astype(int))) == [2] * 5 + [3] * 5
    for f in range(10):
        part = bg.fit(bg.MixtureModel(1), x[rows.fold != f], "em", seed=1, progress=False)
        own, other = mean_log_density(part, x[rows.fold == f]), mean_log_density(part, new)
        count += (own[:, None] <= other).sum(axis=0)
    answer = bg.anomaly_scores(fit, new, reference="cross-conformal", progress=False)
    np.testing.assert_allclose(answer["p_value"], (1 + count) / 26)
    assert answer.attrs["n_reference"] == 25


@pytest.mark.parametrize("method", ["em", "vb"])
def test_a_row_of_weight_two_counts_as_two_reference_points(method):
    x = np.random.default_rng(1).normal(size=(20, 1))
    weighted = bg.fit(bg.MixtureModel(1), x, method, sample_weight=np.full(20, 2.0), seed=1, progress=False)
    rows = cross_conformal.references(weighted, None)
    assert cross_conformal.p_values(rows, np.array([[1e3]])).item() == pytest.approx(1 / 41)


def test_points_beyond_all_fitted_points_follow_the_simulated_tail_raised_to_the_rows():
    own, simulated = np.array([-9.0, -3.0, -2.0, *np.linspace(-1, 0, 17)]), np.linspace(-10, 0, 999)
    rows = cross_conformal.Refitted([], np.zeros(20), own, np.ones(20))
    lowest = (rank_p_values(own[:2], simulated), np.array([1, 2]) / 21)
    factor = max(1, (lowest[1] / lowest[0]).max())
    found = anomalies._beyond(np.array([-9.9, -50.0]), rows, simulated)
    wanted = np.minimum(factor * rank_p_values(np.array([-9.9, -50.0]), simulated), 1 / 21)
    np.testing.assert_allclose(found, wanted)
    assert found[1] == pytest.approx(0.001)


def test_a_single_anomaly_is_flagged_with_few_fitted_points():
    old, new = two_clusters(0, 50)
    answer = bg.anomaly_scores(small_fit(old, "vb"), np.vstack([new[:60], new[60:61] + 40]), fdr=0.05, progress=False)
    assert answer.attrs["reference"] == "cross-conformal"
    assert answer["anomaly"].values[-1]
    assert answer["anomaly"].sum() <= 3


def test_fitted_points_and_fits_of_many_points_are_compared_with_simulated_points(learned):
    assert bg.anomaly_scores(learned).attrs["reference"] == "posterior predictive"
    assert bg.anomaly_scores(learned, WORLD.X[500:510]).attrs["reference"] == "posterior predictive"
    few = small_fit(WORLD.X[:60], "vb")
    assert bg.anomaly_scores(few).attrs["reference"] == "posterior predictive"
    assert bg.anomaly_scores(few, WORLD.X[500:510]).attrs["reference"] == "cross-conformal"
    chosen = bg.anomaly_scores(few, WORLD.X[500:510], reference="posterior predictive")
    assert chosen.attrs["reference"] == "posterior predictive"


def test_where_an_engine_fails_without_some_rows_points_are_simulated(monkeypatch):
    def failing(*args):
        raise EmptyComponent("component 1 is empty")

    fit = small_fit(WORLD.X[:60], "em")
    monkeypatch.setattr(cross_conformal, "_fitted", failing)
    assert bg.anomaly_scores(fit, WORLD.X[500:510]).attrs["reference"] == "posterior predictive"
    with pytest.raises(EmptyComponent):
        bg.anomaly_scores(fit, WORLD.X[500:510], reference="cross-conformal")


# -- the plot --


def test_anomaly_data_match_their_definitions(learned):
    data = np.vstack([WORLD.X[500:600], [[60.0, 60.0]]])
    found = anomaly_data(learned, data, fdr=0.1)
    np.testing.assert_array_equal(found["x"], data)
    order = np.argsort(found["rank"].values)
    assert (np.diff(found["p_value"].values[order]) >= 0).all()
    assert sorted(found["rank"].values) == list(range(1, 102))
    np.testing.assert_allclose(found["band"][0], beta(1, 101).ppf([0.025, 0.975]))
    np.testing.assert_array_equal(found["anomaly"], bg.anomaly_scores(learned, data, fdr=0.1)["anomaly"])


def test_flagged_points_are_labelled(learned, galaxies_fit):
    figure = bg.plots.anomalies(learned, np.vstack([WORLD.X[500:600], [[60.0, 60.0]]]))
    left, right = figure.axes
    assert [text.get_text() for text in left.texts] == ["100"]
    assert left.get_title(loc="left").startswith("1 of 101 points flagged")
    assert (left.get_xlabel(), left.get_ylabel()) == ("x0", "x1")
    assert right.get_xscale() == right.get_yscale() == "log"
    one = bg.plots.anomalies(galaxies_fit)
    assert (one.axes[0].get_xlabel(), one.axes[0].get_ylabel()) == ("velocity", "p-value")
    plt.close("all")


@pytest.mark.parametrize("method", ["bh", "by"])
@pytest.mark.parametrize("n_points", [0, 1, 7, 200])
def test_q_values_are_those_of_scipy(method, n_points):
    p_value = np.random.default_rng(n_points).random(n_points).round(2) ** 3  # some are equal
    expected = false_discovery_control(p_value, method=method)
    np.testing.assert_allclose(q_values(p_value, dependent=method == "by"), expected, rtol=1e-12)
