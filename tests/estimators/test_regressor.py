"""Gaussian mixture regression: y given X under the mixture of both, also where values are missing."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data

import bayesgmm as bg

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(200, 2)) * [1.0, 50.0] + [3.0, -100.0]
Y = np.abs(X[:, 0] - 3) + 0.02 * X[:, 1] + 0.1 * RANDOM.normal(size=200)
BOTH = np.column_stack([Y, -3 * X[:, 1] + RANDOM.normal(size=200)])


def regressor(n_components: int = 3, **settings: object) -> bg.MixtureRegressor:
    return bg.MixtureRegressor(n_components, random_state=0, **settings)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_one_component_is_linear_regression(covariance_type: str) -> None:
    """Means by least squares, and the standard deviation of its residuals."""
    fitted = regressor(1, covariance_type=covariance_type).fit(X, BOTH)
    mean, std = fitted.predict(X, return_std=True)
    right = LinearRegression().fit(X, BOTH).predict(X)
    np.testing.assert_allclose(mean, right, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(std, np.broadcast_to((BOTH - right).std(axis=0), std.shape), rtol=1e-3)


def given(fitted: bg.MixtureRegressor, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Density of y given the observed cells of x, as a ratio of scipy's densities."""
    p = fitted.posterior_["posterior"].isel(chain=0, draw=0)
    seen = np.flatnonzero(~np.isnan(x))
    both = np.append(seen, 2)
    joint, marginal = np.zeros(len(y)), 0.0
    for weight, mean, covariance in zip(p["weight"].values, p["mean"].values, p["covariance"].values, strict=True):
        rows = np.column_stack([np.broadcast_to(x[seen], (len(y), len(seen))), y])
        joint += weight * multivariate_normal(mean[both], covariance[np.ix_(both, both)]).pdf(rows)
        own = multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)]).pdf(x[seen]) if seen.size else 1.0
        marginal += weight * own
    return joint / marginal


@pytest.mark.parametrize("row", [[2.5, -80.0], [5.0, np.nan], [np.nan, -150.0], [np.nan, np.nan]])
def test_mean_sd_and_density_are_those_of_the_ratio_of_densities(row: list[float]) -> None:
    fitted, x = regressor().fit(X, Y), np.array(row)
    mean, std = fitted.predict([row], return_std=True)

    def moment(power: int) -> float:
        return quad(lambda y: y**power * given(fitted, x, np.array([y]))[0], -15, 15, limit=200)[0]

    assert moment(0) == pytest.approx(1, abs=1e-7)
    assert mean[0] == pytest.approx(moment(1), abs=1e-6)
    assert std[0] == pytest.approx(np.sqrt(moment(2) - moment(1) ** 2), abs=1e-6)
    y = np.linspace(-3, 5, 9)
    np.testing.assert_allclose(np.exp(fitted.log_density([row] * 9, y)), given(fitted, x, y), rtol=1e-7)


def test_draws_have_the_mean_the_sd_and_the_quantiles_of_the_prediction() -> None:
    """4,000 draws of 2 rows: means and quantile ranks within 5 sd."""
    fitted, rows = regressor().fit(X, BOTH), np.array([[2.0, -80.0], [4.0, np.nan]])
    drawn, (mean, std) = fitted.sample_y(rows, 4000, random_state=1), fitted.predict(rows, return_std=True)
    assert drawn.shape == (2, 2, 4000)
    assert (np.abs(drawn.mean(axis=-1) - mean) < 5 * std / np.sqrt(4000)).all()
    np.testing.assert_allclose(drawn.std(axis=-1), std, rtol=0.1)
    assert fitted.sample_y(rows[:1], 3).tobytes() == fitted.sample_y(rows[:1], 3).tobytes()


def test_gaps_in_x_and_y_cost_little() -> None:
    """A row is used by what is observed of it: with 20 % of the cells missing, the held-out R2 stays near."""
    x, y = np.linspace(-3, 3, 600)[:, None] + [0.0, 0.0], np.sin(np.linspace(-3, 3, 600))
    x = x + 0.05 * RANDOM.normal(size=x.shape)
    train = np.arange(600) % 2 == 0
    holed_x = np.where(RANDOM.random(x.shape) < 0.2, np.nan, x)
    holed_y = np.where(RANDOM.random(600) < 0.2, np.nan, y)
    complete = regressor(5).fit(x[train], y[train]).score(x[~train], y[~train])
    fitted = regressor(5).fit(holed_x[train], holed_y[train])
    assert complete > 0.98
    assert fitted.score(x[~train], y[~train]) > 0.97
    assert fitted.score(holed_x[~train], y[~train]) > 0.85
    assert get_tags(fitted).input_tags.allow_nan


def test_intervals_cover_where_the_spread_depends_on_x() -> None:
    x = RANDOM.uniform(0, 4, size=1500)
    y = x + (0.1 + 0.3 * x) * RANDOM.normal(size=1500)
    fitted = regressor(4).fit(x[:500, None], y[:500])
    _, std = fitted.predict([[0.5], [3.5]], return_std=True)
    assert std[1] > 2 * std[0]
    low, high = np.quantile(fitted.sample_y(x[500:, None], 400), [0.05, 0.95], axis=-1)
    assert 0.86 < ((low < y[500:]) & (y[500:] < high)).mean() < 0.95


def test_a_row_of_weight_three_is_the_row_three_times() -> None:
    weight = RANDOM.integers(0, 4, size=200).astype(float)
    one = regressor(1).fit(X, Y, sample_weight=weight)
    other = regressor(1).fit(X.repeat(weight.astype(int), axis=0), Y.repeat(weight.astype(int)))
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-6)
    assert one.score(X, Y, weight) == pytest.approx(r2_score(Y, one.predict(X), sample_weight=weight))


@pytest.mark.parametrize("method", ["vb", "gibbs"])
def test_other_methods_average_over_their_draws(method: str) -> None:
    settings = {"draws": 200, "tune": 100, "max_draws": 200, "chains": 2} if method == "gibbs" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fitted = regressor(2, method=method, settings=settings).fit(X, Y)
    assert fitted.score(X, Y) > 0.9
    assert fitted.posterior_["posterior"].sizes["draw"] > 1
    right = bg.impute(fitted.posterior_, np.column_stack([X[:4], np.full(4, np.nan)]), draws=1)
    np.testing.assert_allclose(fitted.predict(X[:4]), right["mean"].values[:, -1])


def test_rows_without_a_y_have_no_part_in_the_score() -> None:
    holed = BOTH.copy()
    holed[::3, 0] = np.nan
    known = np.arange(200) % 3 > 0
    fitted = regressor(2).fit(X, holed)
    weight = RANDOM.random(200)
    found = fitted.score(X, holed, weight)
    assert found == pytest.approx(r2_score(BOTH[known], fitted.predict(X)[known], sample_weight=weight[known]))
    with pytest.raises(ValueError, match="y is missing in each row"):
        fitted.score(X, np.full((200, 2), np.nan))


@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_more_columns_than_rows_are_regressed_the_same_by_weights(n_components: int) -> None:
    """The prior is as far from singular as rounding requires; of 30 columns a few rows leave 16 directions open."""
    check_sample_weight_equivalence_on_dense_data("MixtureRegressor", bg.MixtureRegressor(n_components))


def test_columns_that_depend_exactly_predict_exactly() -> None:
    x = np.column_stack([X, X.sum(axis=1), X[:, 0] * 1e6])
    y = x[:, 0] - 2 * x[:, 1] + 7
    error = regressor(1).fit(x, y).predict(x) - y
    assert np.abs(error).max() < 1e-6 * y.std()


def test_shapes_and_names_are_those_of_y() -> None:
    frame = pd.DataFrame(X, columns=["a", "y"])
    flat = regressor(1).fit(frame, pd.Series(Y))
    assert flat.predict(frame).shape == (200,)
    assert list(flat.posterior_["posterior"]["feature"].values) == ["a", "y", "y_"]
    column = regressor(1).fit(frame, Y[:, None])
    assert column.predict(frame, return_std=True)[1].shape == (200, 1)
    several = regressor(1).fit(frame, pd.DataFrame(BOTH))
    assert several.predict(frame).shape == (200, 2)
    assert several.sample_y(frame, 3).shape == (200, 2, 3)
    assert several.log_density(frame, BOTH).shape == (200,)
    one_of_both = np.column_stack([BOTH[:, 0], np.full(200, np.nan)])
    assert (several.log_density(frame, one_of_both) > several.log_density(frame, BOTH)).mean() > 0.5


def test_few_rows_and_columns_that_do_not_vary_are_regressed() -> None:
    constant = np.column_stack([X[:6], np.ones(6), X[:6, 0]])  # the last column repeats the first
    assert np.isfinite(regressor(5).fit(constant, Y[:6]).predict(constant)).all()
    np.testing.assert_allclose(regressor(2).fit(X, np.full(200, 7.0)).predict(X), 7.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, np.full(200, np.nan), "1 column has no values of y: 'y'\n  Give y for some rows"),
        (X, np.column_stack([Y, np.full(200, np.nan)]), "1 column has no values of y: 'y1'"),
        (X, pd.DataFrame({"a": Y, "b": "x"}), "y must be numbers.*'b'\n  For classes use MixtureClassifier"),
        (X, Y * 1e200, "column 'y': values beyond .* can't be squared"),
        (X, np.where(Y.mean() < Y, np.inf, Y), "Input y contains infinity"),
        (X, Y[:10], "inconsistent numbers of samples"),
        (X, None, "requires y to be passed"),
        (np.where(X > 4, np.inf, X), Y, "NaN or infinity: .* are missing or infinite"),
        (X, ["a"] * 200, "y must be numbers.*not a table of numbers .*\n  For classes use MixtureClassifier"),
    ],
)
def test_bad_data_are_refused_in_words(x: np.ndarray, y: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regressor().fit(x, y)


def test_bad_parameters_are_refused_in_words() -> None:
    for wrong in ({"n_components": 0}, {"covariance_type": "fulll"}, {"method": "emm"}, {"settings": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            bg.MixtureRegressor(**wrong).fit(X, Y)
    with pytest.raises(ValueError, match="y has 2 columns; that of fit had 1"):
        regressor(1).fit(X, Y).log_density(X, BOTH)
