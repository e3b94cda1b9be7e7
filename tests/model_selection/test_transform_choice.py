"""The choice of transforms: which columns, by which evidence."""

import numpy as np
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.errors import DeclarationError, UnknownName

RNG = np.random.default_rng(0)
SKEWED = {
    "log-normal": (RNG.lognormal(size=500), ("log(",)),
    "gamma": (RNG.gamma(2, size=500), ("power(",)),
    "t with 3 degrees of freedom": (RNG.standard_t(3, size=2000), ("arcsinh(",)),
    "log-normal groups": (np.exp(np.append(RNG.normal(0, 0.5, 300), RNG.normal(4, 0.5, 200))), ("log(",)),
}
PLAIN = {
    "Gaussian": RNG.normal(10, 1, 500),
    "skewed by a separate group": np.append(RNG.normal(10, 1, 400), RNG.normal(60, 4, 60)),
    "a tenth outliers": np.append(RNG.normal(size=400), 40 * RNG.normal(size=40)),
    "one absurd value": np.append(RNG.normal(50, 8, 400), 5e8),
    "constant": np.ones(100),
    "whole numbers": np.random.default_rng(1).integers(0, 8, 300).astype(float),
    "a value that more than half of the rows have": np.append(np.full(180, 5.0), RNG.normal(size=120)),
}


@pytest.mark.parametrize(("x", "names"), SKEWED.values(), ids=SKEWED)
def test_skewed_and_heavy_tailed_columns_are_transformed(x, names):
    assert bg.choose_transforms(x).fitted_names[0].startswith(names)


@pytest.mark.parametrize("x", PLAIN.values(), ids=PLAIN)
def test_groups_and_outliers_are_no_reason_for_a_transform(x):
    assert not bg.choose_transforms(x).changed


def test_a_column_is_transformed_if_the_bic_falls_by_more_than_the_minimum():
    x, _ = SKEWED["log-normal"]
    bic = bg.transform_table(x).set_index("transform")["bic"]
    gain = bic["none"] - bic.min()
    assert bg.choose_transforms(x, min_gain=gain - 1).changed
    assert not bg.choose_transforms(x, min_gain=gain + 1).changed


def test_the_bic_of_one_gaussian_is_that_of_scipys_log_normal():
    x = RNG.lognormal(1, 0.3, size=200)
    table = bg.transform_table(x, covariance="tied").set_index("transform")
    loglik = stats.lognorm(np.log(x).std(), scale=np.exp(np.log(x).mean())).logpdf(x).sum()
    assert table.loc["log", "n_components"] == 1
    assert table.loc["log", "bic"] == pytest.approx(-2 * loglik + 2 * np.log(200))


def test_the_bic_does_not_depend_on_the_unit_except_by_its_jacobian():
    x = RNG.gamma(2, size=200)
    one, other = (bg.transform_table(values, covariance="tied")["bic"] for values in (x, 1000 * x))
    assert np.allclose(other - one, 2 * 200 * np.log(1000), atol=0.2)


def test_select_compares_densities_in_data_units():
    """Of one log-normal column: the criteria are those of scipy's density, and n_parameters counts no power for it."""
    x = RNG.lognormal(1, 0.3, size=100)
    best = bg.select(x, 1, "tied", transform="log", progress=False)
    loglik = stats.lognorm(np.log(x).std(), scale=np.exp(np.log(x).mean())).logpdf(x).sum()
    assert best["loglik"][0] == pytest.approx(loglik)
    assert best["n_parameters"][0] == 2
    assert best.attrs["transforms"].changed == {"x0": "log(x0)"}


def test_row_weights_count_in_the_jacobian():
    x = RNG.lognormal(size=30)
    twice = bg.select(np.repeat(x, 2), 1, "tied", transform="log", progress=False, seed=0)
    weighed = bg.select(x, 1, "tied", transform="log", sample_weight=np.full(30, 2), progress=False, seed=0)
    assert twice["loglik"][0] == pytest.approx(weighed["loglik"][0])


def test_a_declared_transform_is_used_as_it_is():
    declared = bg.ColumnTransforms({"x0": bg.Power(0.5, start=0.1)})
    assert bg.choose_transforms(RNG.normal(size=60), declared) is declared


@pytest.mark.parametrize("wrong", [2e4, -2e4])
def test_one_wrong_value_is_no_evidence_for_a_transform(wrong):
    """Heavier tails would make it regular. A log-normal column keeps its transform without its largest value."""
    income = np.concatenate([RNG.normal(mean, 100, size=80) for mean in (1500, 3000, 9000)])
    assert not bg.choose_transforms(np.append(income, wrong), min_gain=0).changed
    assert bg.choose_transforms(np.append(RNG.lognormal(size=240), 500.0)).changed


def test_few_rows_are_not_transformed_by_themselves():
    assert not bg.choose_transforms(RNG.lognormal(size=40)).changed
    assert bg.choose_transforms(RNG.lognormal(size=40), "log").changed


def test_an_unknown_transform_is_refused():
    with pytest.raises(UnknownName, match="'lgo' is not one of"):
        bg.choose_transforms([1.0, 2.0], "lgo")
    with pytest.raises(DeclarationError, match="at least one family"):
        bg.choose_transforms([1.0, 2.0], covariance=())
