"""Skewed and rounded columns in ``cluster_table`` and ``find_anomalies``."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_ndtr, ndtri
from scipy.stats import false_discovery_control

import bayesgmm as bg
from bayesgmm.apps import cluster_table, find_anomalies, judge
from bayesgmm.apps.tables.anomaly_verdict import findings_of, verdict
from bayesgmm.apps.tables.empirical_nulls import EmpiricalNull, calibration_words, heavy_tail
from bayesgmm.apps.tables.p_values import null_of
from bayesgmm.apps.tables.scales import scales_of
from bayesgmm.apps.tables.tails import Tail

QUIET = {"progress": False}
RNG = np.random.default_rng(0)
NOTHING_PLANTED = {
    "log-normal": np.exp(np.random.default_rng(1).normal(size=(1000, 4))),
    "gamma": RNG.gamma(2, size=(1000, 4)),
    "heavy tails": RNG.standard_t(5, size=(1000, 4)),
    "counts": RNG.poisson(3, size=(1000, 4)).astype(float),
}


@pytest.mark.parametrize("x", NOTHING_PLANTED.values(), ids=NOTHING_PLANTED)
def test_no_row_of_a_regular_table_is_called(x):
    """False alarm: 5 % by the false discovery rate; the seeds are fixed."""
    assert not find_anomalies(x, n_components=1, **QUIET).rows["anomaly"].any()


def test_the_answer_says_that_the_rate_does_not_hold_if_the_tails_are_heavy():
    with pytest.warns(bg.FitWarning, match="false discovery rate may not hold"):
        found = find_anomalies(NOTHING_PLANTED["log-normal"], n_components=1, transform="none", **QUIET)
    assert found.rows["anomaly"].sum() > 10


def test_distant_anomalies_are_no_heavy_tail():
    """Forty of 1,000 p-values are tiny, the others are uniform."""
    p_value = np.append(np.full(40, 1e-9), (np.arange(960) + 0.5) / 960)
    assert heavy_tail(p_value) == ""
    assert heavy_tail(np.append(p_value, np.full(20, 0.003)))


def test_a_tail_that_is_heavier_far_out_is_corrected_and_said():
    """The central half is normal, z-scores below the tenth percentile are half as far again from it as they should."""
    z = np.random.default_rng(0).normal(size=4000)
    start = ndtri(0.1)
    log_p = log_ndtr(np.where(z < start, start + 1.5 * (z - start), z))
    null = EmpiricalNull.of(log_p)
    assert null.spread < 1.1
    assert null.scale > 1.5
    corrected = null.p_values(log_p)
    assert np.exp(log_p).min() < 0.05 / 4000 < corrected.min()
    assert np.allclose(null.without_tail(corrected), EmpiricalNull(null.middle, null.spread).p_values(log_p))
    assert "heavier tails" in heavy_tail(corrected, null)


def test_distant_anomalies_do_not_make_the_tail_heavier():
    p_value = (np.arange(960) + 0.5) / 960
    with_anomalies = np.append(p_value, np.full(40, 1e-9))
    null = EmpiricalNull.of(np.log(p_value))
    assert null.scale < 1.05
    assert null.shape == 0
    assert EmpiricalNull.of(np.log(with_anomalies)).p_values(np.log(with_anomalies)).min() < 1e-8


def test_a_model_that_anomalies_have_widened_has_no_heavy_tail():
    """Of 1,000 rows, 12 have moderate p-values below 0.1, where 100 are expected, and 17 anomalies have small ones."""
    surprise = np.append(np.linspace(2.5, 6.5, 12), np.linspace(9, 50, 17))
    null = EmpiricalNull.of(np.append(-surprise, np.log(np.linspace(0.11, 1, 971))))
    assert null.scale < 1.05
    assert null.shape == 0


def test_a_tail_that_falls_off_as_a_power_is_corrected_and_anomalies_apart_from_it_are_not_counted():
    """The surprise of a t distribution with 5 degrees of freedom under a Gaussian: a power tail with shape 0.4."""
    p_value = (np.arange(1000) + 0.5) / 1000
    tail = Tail(scale=1.0, shape=0.4)
    log_p = tail.before(np.log(p_value))
    assert log_p.min() < -20
    found = EmpiricalNull.of(log_p)
    assert abs(found.shape - 0.4) < 0.1
    assert np.allclose(tail.log_p(log_p), np.log(p_value))
    assert false_discovery_control(found.p_values(log_p)).min() > 0.1
    assert "heavier tails" in calibration_words(found.p_values(log_p), found)
    for anomalies in (np.linspace(-60, -20, 10), np.linspace(-60, -7, 40)):  # apart, or more than in such a tail
        some = np.append(np.log(p_value), anomalies)
        assert EmpiricalNull.of(some).shape == 0
        assert EmpiricalNull.of(some).p_values(some)[1000:1005].max() < 1e-12


def test_tails_of_groups_that_are_heavier_than_gaussian_are_corrected_and_said():
    """With a Gaussian tail 10 of these regular rows are called, with p-values down to 1e-40."""
    rng = np.random.default_rng(101)
    centre, group = rng.normal(0, 8, (3, 4)), rng.integers(3, size=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        found = find_anomalies(centre[group] + rng.standard_t(5, (1000, 4)), n_components=[1, 3, 8], **QUIET)
    assert found.rows["anomaly"].sum() <= 2
    assert "heavier tails" in calibration_words(found.rows["p_value"].to_numpy(), null_of(found.fit))


def test_the_verdict_says_how_many_rows_only_the_correction_of_the_tail_leaves_unflagged():
    x = np.random.default_rng(2).standard_t(5, (1000, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        found = find_anomalies(x, n_components=1, transform="none", **QUIET)
    judged = found.rows
    uncorrected = null_of(found.fit).without_tail(judged["p_value"].to_numpy())
    count = (false_discovery_control(uncorrected) <= 0.05).sum()
    assert count > judged["anomaly"].sum()
    words = verdict(found, findings_of(found, progress=False))[1]
    assert words == (
        f"without the correction of p-values for heavy tails, {count} rows would be flagged, perhaps regular ones "
        f"among them; top={count} flags these"
    )


def test_a_scale_is_not_chosen_for_the_rows_without_those_that_it_makes_improbable():
    """Without the lowest rows the third column is positive; they would be 60 sd from the rest of its logarithm."""
    rng = np.random.default_rng(100)
    centre, group = rng.normal(0, 8, (3, 4)), rng.integers(3, size=1000)
    found = find_anomalies(centre[group] + rng.standard_t(5, (1000, 4)), n_components=[1, 3, 4], **QUIET)
    assert found.rows["log_density"].min() > -60


@pytest.fixture(scope="module")
def houses():
    rng = np.random.default_rng(3)
    baths = 1 + rng.poisson(1.7, 600)
    return pd.DataFrame({"baths": baths, "price": np.exp(np.log(40 + 25 * baths) + 0.5 * rng.normal(size=600))})


def test_whole_numbers_are_not_the_clusters(houses):
    found = cluster_table(houses, n_components=[1, 3, 8], covariance="tied", method="em", **QUIET)
    assert found.merged.attrs["n_clusters"] == 1
    assert "a single one: 'baths' (rounded to 1)" in "\n".join(found.words())
    assert found.table.rows.equals(houses)


def test_rows_with_the_same_values_in_two_finely_rounded_columns_are_no_anomalies():
    """Records of 23 earthquakes: their number and magnitude are the same in all records of one."""
    rng = np.random.default_rng(5)
    event = np.sort(1 + rng.choice(23, 182, p=rng.dirichlet(np.full(23, 0.8))))
    magnitude = np.round(rng.normal(6, 0.7, 24), 1)[event]
    distance = rng.normal(3, 1, 182)
    strength = magnitude - distance + rng.normal(0, 0.5, 182)
    table = pd.DataFrame({"event": event, "mag": magnitude, "dist": np.exp(distance), "accel": np.exp(strength)})
    found = find_anomalies(table, **QUIET)
    assert not found.rows["anomaly"].any()
    assert "'event' (rounded to 1), 'mag' (rounded to 0.1)" in "\n".join(found.method)


def test_the_same_seed_spreads_values_in_the_same_way(houses):
    one, two, other = (scales_of(houses, "none", "full", seed).rows["baths"] for seed in (0, 0, 1))
    assert one.equals(two)
    assert not one.equals(other)
    assert np.abs(one - houses["baths"]).max() <= 0.5


def test_a_fit_of_anomalies_holds_the_values_as_they_are(houses):
    found = find_anomalies(houses, n_components=1, **QUIET)
    transforms = bg.info(found.fit).transforms
    held = transforms.inverse(found.fit["observed_data"]["x"].values)
    assert np.allclose(held, houses)


def test_rows_are_judged_in_data_units_also_outside_the_domain_of_a_logarithm():
    x = NOTHING_PLANTED["log-normal"][:300]
    fit = find_anomalies(x, n_components=1, **QUIET).fit
    rows = judge(fit, [[1.0, 1, 1, 1], [1e6, 1, 1, 1], [-5.0, 1, 1, 1]]).rows
    assert rows["anomaly"].tolist() == [False, True, True]
    assert rows["reason"][1].startswith("x0 1,000,000 (")
    assert rows["reason"][2].startswith("x0 -5 (")


def test_an_absurd_value_among_groups_is_called():
    """Row 238 is 5 standard deviations from the centre of its group: a p-value of 4e-6 by the true density."""
    rng, sizes = np.random.default_rng(0), np.repeat([1500, 3000, 9000], 80)
    income = sizes * np.exp(0.1 * rng.normal(size=240))
    table = pd.DataFrame({"age": np.repeat([20, 50, 80], 80) + rng.normal(0, 3, 240), "income": income})
    table.loc[7, "income"] = 1e6
    called = find_anomalies(table, n_components=[1, 3], **QUIET).flagged.index
    assert called[0] == 7
    assert {*called} <= {7, 238}


def test_skewed_clusters_are_found_on_the_logarithmic_scale():
    rng, group = np.random.default_rng(0), np.repeat([0, 1, 2], 100)
    x = np.exp(np.array([[0, 0], [3, 0], [1.5, 3]])[group] + 0.4 * rng.normal(size=(300, 2)))
    found = cluster_table(x, n_components=[1, 3, 5], covariance="tied", method="em", **QUIET)
    assert pd.crosstab(found.rows["cluster"].to_numpy(), group).to_numpy().max(axis=1).sum() >= 295
    assert len(found.partition["size"]) == 3
    assert "column 'x0' is fitted as log(x0)" in found.words()
    assert found.profiles.loc[(0, "x0"), "median"] > 0


def test_plain_columns_are_fitted_as_they_are():
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cluster_table(rng.normal(size=(200, 2)), n_components=1, covariance="full", method="em", **QUIET)
    assert found.scales.transform is None
    assert bg.info(found.fit).transforms is None
