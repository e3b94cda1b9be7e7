"""P-values of fitted rows: as many are small as are expected, with few rows or nearly collinear columns, too."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.apps import find_anomalies
from bayesgmm.apps.tables import detectors
from bayesgmm.apps.tables.p_values import mixtures_of, scores, scores_without_own, simulated_values
from bayesgmm.data.points import as_points
from bayesgmm.estimators.structures import with_shape

QUIET = {"progress": False, "seed": 0, "transform": "none"}


@pytest.fixture(scope="module")
def few():
    """200 rows of one Gaussian in five columns."""
    x = np.random.default_rng(1).normal(size=(200, 5))
    return find_anomalies(pd.DataFrame(x, columns=list("abcde")), **QUIET)


def test_fitted_rows_are_scored_without_themselves_and_others_are_not(few):
    """Of rows with p-values from 0.0005 to 0.1, 19.9 are expected; 7 have them if mixtures know each row."""
    p_value = few.rows["p_value"]
    assert 10 < ((p_value > 0.0005) & (p_value <= 0.1)).sum() < 33
    rows, new = few.table.rows, few.table.rows + 0.01
    assert max(mixtures_of(few.fit).counts) >= 10
    assert (scores_without_own(few.fit, rows) < scores(few.fit, rows) - 0.1).mean() > 0.5
    np.testing.assert_array_equal(scores_without_own(few.fit, new), scores(few.fit, new))


def test_a_row_has_the_same_score_among_few_rows(few):
    rows = few.table.rows
    np.testing.assert_allclose(scores_without_own(few.fit, rows[:3]), scores_without_own(few.fit, rows)[:3])


def test_nearly_collinear_columns_are_simulated_as_narrow_as_they_are():
    """A prior of uncorrelated columns makes them several times as wide."""
    rng = np.random.default_rng(0)
    length, age = rng.normal(size=(2, 200))
    table = pd.DataFrame({"length": length, "width": length + 0.003 * rng.normal(size=200), "age": age})
    drawn = simulated_values(find_anomalies(table, **QUIET).fit, 4000)
    assert np.std(drawn[:, 1] - drawn[:, 0]) < 1.5 * 0.003


def test_the_prior_has_the_shape_of_all_points_unless_one_is_declared():
    x = np.random.default_rng(0).normal(size=(50, 2)) @ [[1.0, 0.9], [0.0, 0.1]]
    scale = np.asarray(with_shape(bg.MixtureModel(2), as_points(x)).covariances.scale)
    covariance = np.cov(x.T, bias=True)
    np.testing.assert_allclose(4 * scale, covariance + 1e-3 * np.diag(np.diagonal(covariance)))
    given = bg.MixtureModel(2, covariances=bg.WishartPrecision(scale=3.0))
    assert with_shape(given, as_points(x)) is given


def test_only_the_warnings_of_the_last_fit_are_issued(monkeypatch):
    """Rows that are probably anomalies are left out of a second fit; the first one's warnings are not the answer's."""
    number, fitted = [], detectors.fit

    def noted(*arguments, **settings):
        number.append(len(number))
        warnings.warn(f"of fit {number[-1]}", bg.FitWarning, stacklevel=1)
        return fitted(*arguments, **settings)

    monkeypatch.setattr(detectors, "fit", noted)
    monkeypatch.setattr(detectors, "info", lambda tree: SimpleNamespace(warnings=("of the last",)))
    x = np.random.default_rng(0).normal(size=(300, 3))
    x[:2] = 9.0, 9.5, -8.0
    with pytest.warns(bg.FitWarning) as issued:
        find_anomalies(x, n_components=[1, 2], **QUIET)
    assert len(number) > 1
    assert [str(one.message) for one in issued] == ["of the last"]
