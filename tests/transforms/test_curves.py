"""The transforms of one column, against scipy and finite differences."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bayesgmm.errors import DeclarationError
from bayesgmm.transforms.curves import Arcsinh, Power
from bayesgmm.transforms.estimates import candidates

CURVES = {
    "log": Power(0, start=0.5),
    "shifted log": Power(0, start=0.5, shift=3.0),
    "root": Power(0.5, start=0.01),
    "square": Power(2, start=1.0),
    "reciprocal": Power(-1, start=0.5),
    "arcsinh": Arcsinh(centre=2.0, scale=0.7),
}
NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20, unique=True)
each_curve = pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)


@each_curve
@given(values=NUMBERS)
def test_the_inverse_undoes_the_transform_of_every_number(curve, values):
    x = np.array(values)
    assert np.allclose(curve.inverse(curve.forward(x)), x, rtol=1e-6, atol=1e-6)


@each_curve
@given(values=NUMBERS)
def test_a_transform_never_decreases(curve, values):
    assert (np.diff(curve.forward(np.sort(values))) >= 0).all()


@each_curve
def test_the_slope_is_that_of_finite_differences(curve):
    x = np.linspace(-5, 9, 29) + 0.02  # on both sides of the start
    difference = (curve.forward(x + 1e-6) - curve.forward(x - 1e-6)) / 2e-6
    assert np.allclose(np.exp(curve.log_slope(x)), difference, rtol=1e-5)


@pytest.mark.parametrize("power", [0, 0.3, -1, 2])
def test_a_power_is_scipys_box_cox(power):
    x = np.array([0.5, 1.0, 4.0])
    assert np.allclose(Power(power, start=0.1).forward(x), stats.boxcox(x, power))


def test_the_estimated_power_is_scipys():
    x = np.random.default_rng(0).gamma(2, size=500)
    assert candidates(x)["power"].power == pytest.approx(stats.boxcox(x)[1], abs=0.006)


def test_a_value_whose_power_overflows_leaves_a_finite_power():
    x = np.append(np.exp(np.random.default_rng(0).normal(size=100)), 1e150)
    assert -1 < candidates(x)["power"].power < 0


def test_the_estimates_import_no_scipy_stats():
    """It takes a third of a second, and nothing else of the command ``cluster`` imports it."""
    code = (
        "import sys, numpy; from bayesgmm.transforms.estimates import candidates; "
        "candidates(numpy.arange(1.0, 50.0)); sys.exit('scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_density_of_an_arcsinh_gaussian_is_johnsons():
    curve, x = Arcsinh(centre=2.0, scale=0.7), np.linspace(-3, 9, 7)
    expected = stats.johnsonsu(0, 1, loc=2.0, scale=0.7).logpdf(x)
    assert np.allclose(stats.norm.logpdf(curve.forward(x)) + curve.log_slope(x), expected)


def test_the_estimated_arcsinh_is_no_less_likely_than_scipys():
    x = stats.johnsonsu(1.0, 1.5, loc=5, scale=2).rvs(size=400, random_state=0)
    curve = candidates(x)["arcsinh"]
    z = curve.forward(x)
    own = stats.norm(z.mean(), z.std()).logpdf(z).sum() + curve.log_slope(x).sum()
    assert own > stats.johnsonsu(*stats.johnsonsu.fit(x)).logpdf(x).sum() - 0.1


def test_a_column_that_is_not_positive_is_shifted_before_its_logarithm():
    x = np.array([0.0, 0.0, 1.0, 4.0, 9.0])
    curve = candidates(x)["log"]
    assert x.min() + curve.shift >= curve.start > 0
    assert candidates(x + 1)["log"].shift == 0


def test_mistakes_in_a_curve_are_listed_at_once():
    with pytest.raises(DeclarationError, match="2 problems"):
        Power(7, start=-1)
