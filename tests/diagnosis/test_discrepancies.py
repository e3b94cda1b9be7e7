"""Discrepancies of data and model: uniformity under the model, power, and the rate of false alarms."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy import integrate
from scipy import stats as st

import bayesgmm as bg
from bayesgmm.diagnosis import discrepancies, predictions
from bayesgmm.diagnosis.rosenblatt import distances, rosenblatt, rounded_to, unrounded
from bayesgmm.errors import DataError
from bayesgmm.plots import check_data
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import unpack
from tests.conftest import sampled

mpl.use("Agg")
import matplotlib.pyplot as plt

WEIGHT = np.array([0.3, 0.7])
MEAN = np.array([[0.0, 1.0, -1.0], [2.0, -1.0, 0.5]])
COVARIANCE = np.array(
    [[[1.0, 0.6, 0.2], [0.6, 2.0, -0.3], [0.2, -0.3, 0.5]], [[0.5, -0.2, 0.1], [-0.2, 0.4, 0.0], [0.1, 0.0, 1.5]]]
)
MIXTURE = Parameters(WEIGHT[None], MEAN[None], COVARIANCE[None])


def drawn(rng, size):
    label = rng.choice(2, p=WEIGHT, size=size)
    noise = np.einsum("nij,nj->ni", np.linalg.cholesky(COVARIANCE)[label], rng.normal(size=(size, 3)))
    return MEAN[label] + noise, label


def test_rosenblatt_is_the_integral_of_the_conditional_density():
    """The second column given the first, by quadrature of the joint density of two columns."""
    point = np.array([0.7, 0.1, 0.4])
    for first, second in ((0, 1), (2, 0)):
        pair = [first, second]
        parts = [st.multivariate_normal(m[pair], c[np.ix_(pair, pair)]) for m, c in zip(MEAN, COVARIANCE, strict=True)]

        def joint(y, parts=parts, x=point[first]):
            return sum(w * part.pdf([x, y]) for w, part in zip(WEIGHT, parts, strict=True))

        below, whole = (integrate.quad(joint, -30, top, points=[0])[0] for top in (point[second], 30))
        u = rosenblatt(point[None], MIXTURE, pair)[0, 0]
        assert u[1] == pytest.approx(below / whole, abs=1e-7)
        margin = sum(
            w * st.norm.cdf(point[first], m[first], np.sqrt(c[first, first]))
            for w, m, c in zip(WEIGHT, MEAN, COVARIANCE, strict=True)
        )
        assert u[0] == pytest.approx(margin, abs=1e-12)


def test_rosenblatt_of_the_mixture_s_own_points_is_uniform_and_independent():
    """False alarm: 1e-3 for each of seven tests."""
    x, _ = drawn(np.random.default_rng(4), 4000)
    u = rosenblatt(x, MIXTURE)[0]
    for column in u.T:
        assert st.kstest(column, "uniform").pvalue > 1e-3
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert st.kendalltau(u[:, i], u[:, j]).pvalue > 1e-3
    assert st.kstest(distances(u), "uniform").pvalue > 1e-3
    assert st.kstest(rosenblatt(x[:, ::-1], MIXTURE)[0][:, 0], "uniform").pvalue < 1e-6  # and of others it is not


def test_distant_points_give_finite_numbers():
    u = rosenblatt(np.array([[1e9, -1e9, 0.0]]), MIXTURE)
    assert np.isfinite(u).all()
    assert np.isfinite(distances(u)).all()
    assert discrepancies.evenness(u[..., 0]) < 0.5


def null_p_values(name, rng, size, count):
    """P-values of a statistic, under the model."""
    u, v = rng.random((count, size)), rng.random((count, size))
    label = rng.integers(2, size=u.shape)
    return {
        "evenness": lambda: discrepancies.evenness(u),
        "tails": lambda: discrepancies.tails(u),
        "dependence": lambda: discrepancies.dependence(u, v),
        "within": lambda: discrepancies.within(u, v, label, 2),
        "shape": lambda: discrepancies.shape(st.norm.ppf(u), label, 2),
    }[name]()


@pytest.mark.parametrize("size", [60, 400])
@pytest.mark.parametrize("name", ["evenness", "tails", "dependence", "within", "shape"])
def test_p_values_hold_their_level(name, size):
    """Of 3,000 data sets at most alpha, and 4 standard errors, have p <= alpha.  False alarm: 3e-5 for each."""
    p = null_p_values(name, np.random.default_rng(5), size, 3000)
    for alpha in (0.2, 0.05, 0.01):
        assert (p <= alpha).mean() <= alpha + 4 * np.sqrt(alpha / 3000), alpha
        if name != "tails":  # a count is discrete: its level is below alpha
            assert (p <= alpha).mean() >= alpha - 4 * np.sqrt(alpha / 3000), alpha


def test_each_statistic_detects_its_discrepancy():
    rng = np.random.default_rng(6)
    label = np.zeros((1, 300), int)
    z = rng.normal(size=(1, 300))
    other = 0.4 * z + np.sqrt(1 - 0.16) * rng.normal(size=z.shape)
    heavy = rng.standard_t(3, size=z.shape) / np.sqrt(3)
    flat = (rng.random(z.shape) - 0.5) * np.sqrt(12)
    assert discrepancies.evenness(st.norm.cdf(z * 1.5)) < 1e-3
    assert discrepancies.tails(st.norm.cdf(heavy * 1.7)) < 1e-3
    assert discrepancies.dependence(st.norm.cdf(z), st.norm.cdf(other)) < 1e-3
    assert discrepancies.within(st.norm.cdf(z), st.norm.cdf(other), label, 1) < 1e-3
    assert discrepancies.shape(heavy, label, 1) < 1e-3
    assert discrepancies.shape(flat, label, 1) < 1e-3
    skew = discrepancies.shape((rng.exponential(size=z.shape) - 1), label, 1)
    assert skew < 1e-3
    v_shaped = discrepancies.dependence(st.norm.cdf(z), st.norm.cdf(np.abs(z) + 0.3 * other))
    assert v_shaped < 1e-3  # no correlation, and yet dependent


def test_shapes_are_orthonormal_and_blind_to_shift_and_scale():
    e = np.linspace(-12, 12, 20_001)
    density = st.norm.pdf(e) * (e[1] - e[0])  # the trapezoidal rule is exact to rounding here
    values = discrepancies.shapes(e)
    for power in (0, 1, 2):
        assert values @ (density * e**power) == pytest.approx([0, 0], abs=1e-9)
    np.testing.assert_allclose((values * density) @ values.T, np.eye(2), atol=1e-9)


def test_the_tail_of_anderson_and_darling_is_smooth_and_decreasing():
    z = np.linspace(0.2, 40, 4000)
    p = discrepancies.anderson_darling_tail(z)
    assert (np.diff(p) < 0).all()
    assert np.abs(np.diff(np.log(p))).max() < 0.05
    assert 0 < discrepancies.anderson_darling_tail(np.array(300.0)) < 1e-100


def test_holm_agrees_with_its_definition():
    """The smallest is rejected at alpha / m, the next at alpha / (m - 1), until one is not."""
    rng = np.random.default_rng(7)
    for p in rng.random((50, 12)) ** 3:
        for alpha in (0.01, 0.05, 0.2, 0.5):
            rejected = np.zeros(12, bool)
            for step, k in enumerate(np.argsort(p)):
                if p[k] > alpha / (12 - step):
                    break
                rejected[k] = True
            assert np.array_equal(discrepancies.holm(p) <= alpha, rejected)


def test_labels_are_drawn_with_their_responsibilities():
    """Four standard errors of the mean of 200 draws, for two components."""
    from bayesgmm.data.points import as_points
    from bayesgmm.data.standards import Standard
    from bayesgmm.posterior.schema import Posterior
    from bayesgmm.sweep.stats import responsibilities

    x, _ = drawn(np.random.default_rng(9), 50)
    posterior = Posterior(
        Parameters(*(np.repeat(v, 400, axis=0) for v in (MIXTURE.weight, MIXTURE.mean, MIXTURE.covariance))),
        ("a", "b", "c"),
        Standard.of(as_points(x)),
    )
    share = responsibilities(posterior.standard.blocks(x), posterior.thin(1).tables())[:, 1]
    found = (predictions.drawn_labels(x, posterior) == 1).mean(axis=0)
    assert (np.abs(found - share) <= 4.5 * np.sqrt(share * (1 - share) / 400) + 1e-9).all()


def fitted(x, n_components=1, **settings):
    return sampled(bg.MixtureModel(n_components, **settings), x, draws=50, chains=2, seed=1)


def seen(fit):
    return {(misfit.kind, misfit.columns) for misfit in predictions.misfits(fit) if misfit.adjusted < 0.05}


def test_misfits_of_a_wrong_model_are_detected(iris):
    rng = np.random.default_rng(1)
    assert ("margin", ("x0",)) in seen(fitted(rng.standard_t(3, size=400)))
    assert ("margin", ("x0",)) in seen(fitted(rng.random(400)))
    assert ("margin", ("x0",)) in seen(fitted(rng.lognormal(sigma=0.5, size=200)))
    heaped = np.where(rng.random(400) < 0.2, 0.5, rng.normal(size=400))
    assert ("margin", ("x0",)) in seen(fitted(heaped))
    flowers = iris.drop(columns="species")
    assert any(kind == "pair" for kind, _ in seen(fitted(flowers, 3, covariance="diag")))
    assert not seen(fitted(flowers, 3))


def test_comparisons_are_made_once_for_the_same_numbers_and_have_the_names_of_each_fit(monkeypatch):
    x = np.random.default_rng(3).normal(size=(60, 2))
    fit, other = fitted(x), fitted(x**3)
    made, tested = [], predictions._tested
    monkeypatch.setattr(predictions, "_tested", lambda *given: made.append(1) or tested(*given))
    predictions._LAST.clear()
    first, again = predictions.misfits(fit), predictions.misfits(fit)
    assert [m.p_value for m in first] == [m.p_value for m in again]
    assert len(made) == 1
    renamed = fit.copy()
    renamed["posterior"] = fit["posterior"].to_dataset().assign_coords(feature=["a", "b"])
    assert {misfit.columns for misfit in predictions.misfits(renamed)} == {("a",), ("b",), ("a", "b")}
    assert len(made) == 1
    assert [m.p_value for m in predictions.misfits(other)] != [m.p_value for m in first]
    assert len(made) == 2


def test_too_many_points_in_the_tails_are_detected():
    x = np.random.default_rng(2).normal(size=(600, 1))
    x[:12] = np.linspace(4.0, 5.5, 12)[:, None] * np.where(np.arange(12) % 2, 1, -1)[:, None]
    found = [f for f in predictions.predictive_misfit(fitted(x)) if f.evidence["kind"] in {"tails", "margin"}]
    assert found


def test_a_right_model_rarely_gives_an_alarm():
    """20 fits of the right model; at most 5 % of such fits should give an alarm. False alarm: 3e-4 at 5 %."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        centres = rng.normal(scale=4, size=(2, 2))
        x = centres[rng.integers(2, size=120)] + rng.normal(size=(120, 2))
        alarms += bool(seen(sampled(bg.MixtureModel(2), x, draws=25, chains=2, tune=150, seed=seed)))
    assert alarms <= 5


def with_gaps_or_errors(rng, x, kind):
    """Data whose second column is often missing where the first is high; or with errors of measurement."""
    if kind == "errors":
        sd = rng.uniform(0.2, 0.8, x.shape) * x.std(axis=0)
        return x + sd * rng.normal(size=x.shape), sd
    hidden = (x[:, 0] > np.median(x[:, 0])) & (rng.random(len(x)) < 0.7)
    return np.where(np.column_stack([np.zeros(len(x), dtype=bool), hidden]), np.nan, x), None


@pytest.mark.parametrize("kind", ["gaps", "errors"])
def test_completed_rows_rarely_give_an_alarm_under_a_right_model(kind):
    """15 fits of the right model, at most 5 % with an alarm: false alarm 5e-3. Observed values alone are misfits."""
    alarms, observed_alone = 0, 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        centres = rng.normal(scale=3, size=(2, 2))
        x = centres[rng.integers(2, size=200)] + rng.normal(size=(200, 2)) @ [[1.0, 0.7], [0.0, 0.7]]
        x, noise = with_gaps_or_errors(rng, x, kind)
        fit = sampled(bg.MixtureModel(2), x, method="em", seed=seed, noise=noise)
        alarms += bool(seen(fit))
        seen_there = ~np.isnan(x[:, 1])
        u = rosenblatt(x[seen_there], unpack(fit).parameters, [1])[..., 0]
        observed_alone += bool(discrepancies.evenness(u) < 0.01)
    assert alarms <= 3
    assert observed_alone > 5


@pytest.mark.parametrize("kind", ["gaps", "errors"])
def test_misfits_are_detected_among_gaps_and_errors(kind):
    rng = np.random.default_rng(3)
    x, noise = with_gaps_or_errors(rng, np.exp(0.8 * rng.normal(size=(200, 2))), kind)
    fit = sampled(bg.MixtureModel(1), x, method="em", seed=1, noise=noise)
    assert {("margin", ("x0",)), ("margin", ("x1",))} <= seen(fit)
    data = check_data(fit)
    low, high = data["band"].values.T
    assert ((data["difference"].values < low) | (data["difference"].values > high)).any(axis=1).all()


def test_measured_values_stay_and_missing_ones_are_drawn_for_each_draw():
    rng = np.random.default_rng(4)
    x, _ = with_gaps_or_errors(rng, rng.normal(size=(60, 2)), "gaps")
    fit = sampled(bg.MixtureModel(1), x, draws=50, chains=2, seed=1)
    completed, exact, posterior = predictions.compared(fit)
    assert np.array_equal(exact, ~np.isnan(x))
    np.testing.assert_allclose(completed[:, exact], np.broadcast_to(x[exact], completed[:, exact].shape))
    assert (completed[:, ~exact].std(axis=0) > 0.5).all()
    assert predictions.margins(fit)[~exact.T].std() > 0.2  # uniform, 0.29; a mean over draws would be near a half
    each = rosenblatt(completed, posterior.parameters)
    for s in (0, 7):
        p = posterior.parameters
        own = Parameters(p.weight[[s]], p.mean[[s]], p.covariance[[s]])
        np.testing.assert_allclose(each[s], rosenblatt(completed[s], own)[0], atol=1e-12)
    assert predictions.drawn_labels(completed, posterior).shape == completed.shape[:2]


def test_rounding_is_no_misfit():
    x = np.random.default_rng(3).normal(size=400)
    coarse = np.round(x, 0)
    assert rounded_to(coarse) == 1.0
    assert not seen(fitted(coarse))
    assert np.array_equal(unrounded(x[:, None]), x[:, None])


def test_large_data_are_thinned():
    x = np.random.default_rng(4).normal(size=(50_000, 3))
    fit = sampled(bg.MixtureModel(1), x, method="em", seed=1)
    values, _, posterior = predictions.compared(fit)
    assert len(values) == predictions.MAX_POINTS
    assert posterior.n_draws <= predictions.MAX_DRAWS


def test_check_data_agree_with_the_diagnosis(fit):
    data = check_data(fit)
    assert data["difference"].shape == (4, data.sizes["step"])
    by_hand = (data["pit"].values[2][:, None] <= data["level"].values).mean(axis=0) - data["level"].values
    np.testing.assert_allclose(data["difference"].values[2], by_hand, atol=1e-12)
    told = {(m.kind, *m.columns): m.adjusted for m in predictions.misfits(fit)}
    p = data["p_value"]
    assert float(p.sel(feature="sepal_width", feature_bis="sepal_width")) == told["margin", "sepal_width"]
    assert float(p.sel(feature="petal_width", feature_bis="sepal_width")) == told["pair", "sepal_width", "petal_width"]
    assert np.array_equal(p.values, p.values.T)
    with pytest.raises(DataError, match="no column 'sepal'"):
        check_data(fit, ["sepal"])


def test_the_band_has_its_simultaneous_coverage():
    """A simultaneous band: of 400 uniform samples, 95 % lie entirely inside it.  False alarm: 6e-5 (4 sd)."""
    x = np.random.default_rng(5).normal(size=(100, 1))
    data = check_data(fitted(x))
    rng, level, band = np.random.default_rng(6), data["level"].values, data["band"].values
    samples = np.sort(rng.random((400, 100)), axis=1)
    curves = np.stack([np.searchsorted(s, level, side="right") / 100 for s in samples]) - level
    inside = ((curves >= band[:, 0] - 1e-9) & (curves <= band[:, 1] + 1e-9)).all(axis=1).mean()
    assert abs(inside - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 400)


def test_check_draws_a_panel_a_column_and_the_pairs(fit, galaxies_fit):
    figure = bg.plots.check(fit)
    titles = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert [title.splitlines()[0] for title in titles[:4]] == list(fit["posterior"]["feature"].values)
    assert "p-values" in titles[4]
    lone = bg.plots.check(galaxies_fit)
    assert sum(axis.get_visible() for axis in lone.axes) == 1
    plt.close("all")
