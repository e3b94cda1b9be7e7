"""Rounded columns: which are spread, and how far."""

import numpy as np
import pytest

from bayesgmm.screening.lattices import lattice_of

RNG = np.random.default_rng(0)
COARSE = {
    "small counts": (RNG.poisson(3, 400).astype(float), 1.0),
    "prices that end in .99": (10 * np.round(RNG.lognormal(1, 0.7, 400)) + 9.99, 10.0),
    "pressures, most of them rounded to 5": (
        np.where(RNG.random(400) < 0.95, 5 * np.round(RNG.normal(26, 3, 400)), np.round(RNG.normal(130, 15, 400))),
        5.0,
    ),
    "shares rounded to 2.5 %": (0.025 * np.round(RNG.normal(20, 2, 400)), 0.025),
}
FINE = {
    "ages": (np.round(RNG.normal(40, 12, 400)), 1.0),
    "magnitudes": (np.round(RNG.normal(6, 0.7, 400), 1), 0.1),
    "prices that end in 5": (np.round(RNG.lognormal(3, 1, 2000), 1) + 0.05, 0.1),
}
NONE = {
    "continuous": RNG.normal(size=400),
    "most values distinct": np.round(RNG.normal(size=400), 3),
    "mostly zero": np.where(RNG.random(400) < 0.95, 0.0, RNG.lognormal(3, 1, 400)),
    "constant": np.ones(400),
    "few rows": np.arange(10.0),
    "one absurd value": np.append(RNG.normal(50, 8, 400), 5e8),
    "many orders of magnitude": np.exp(100 * RNG.normal(size=400)),
}


@pytest.mark.parametrize(("x", "step"), COARSE.values(), ids=COARSE)
def test_the_step_of_a_coarse_rounding_is_found(x, step):
    assert lattice_of(x).step == pytest.approx(step)
    assert lattice_of(x).is_coarse


@pytest.mark.parametrize(("x", "step"), FINE.values(), ids=FINE)
def test_the_step_of_a_fine_rounding_is_found(x, step):
    assert lattice_of(x).step == pytest.approx(step)
    assert not lattice_of(x).is_coarse


@pytest.mark.parametrize("x", NONE.values(), ids=NONE)
def test_columns_without_repeated_values_on_a_step_are_left_alone(x):
    assert lattice_of(x) is None


@pytest.mark.parametrize(("x", "step"), (COARSE | FINE).values(), ids=COARSE | FINE)
def test_values_are_spread_within_their_rounding(x, step):
    lattice = lattice_of(x)
    away = lattice.spread_out(x, np.random.default_rng(0)) - x
    assert np.abs(away).max() <= step / 2
    assert (away[lattice.width > 0] != 0).all()
    assert abs(away[lattice.width > 0].mean()) < 5 * step / np.sqrt(12 * len(x))  # 5 sd: false alarm 6e-7


def test_a_value_that_is_not_rounded_is_kept():
    x, _ = COARSE["pressures, most of them rounded to 5"]
    between = x % 5 != 0
    assert between.any()
    assert (lattice_of(x).spread_out(x, np.random.default_rng(0))[between] == x[between]).all()


def test_few_values_without_a_common_step_are_spread_by_half_their_distances():
    x = RNG.choice([1.0, 2, 5, 10, 100], 300)
    lattice = lattice_of(x)
    assert lattice.step == 0
    assert {(v, w) for v, w in zip(x, lattice.width, strict=True)} == {(1, 1), (2, 1), (5, 3), (10, 5), (100, 90)}


def test_an_absurd_value_does_not_hide_a_rounding():
    assert lattice_of(np.append(COARSE["small counts"][0], 1e6)).step == 1
