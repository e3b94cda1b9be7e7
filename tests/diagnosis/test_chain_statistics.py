"""R-hat and effective sample sizes: the numbers of ArviZ, for chains of every kind."""

import arviz_stats as az
import numpy as np
import pytest
import xarray as xr

from bayesgmm.posterior.chain_statistics import (
    MIN_DRAWS,
    bfmi,
    mean_and_sd_errors,
    mean_ess,
    of_dataset,
    rhat_and_bulk_ess,
    rhat_only,
    tail_ess,
)

KINDS = {
    "independent": lambda noise: noise,
    "walk": lambda noise: noise.cumsum(axis=1),
    "alternating": lambda noise: noise + 3.0 * (-1.0) ** np.arange(noise.shape[1])[None, :, None],
    "apart": lambda noise: noise + 5.0 * np.arange(len(noise))[:, None, None],
    "ties": np.round,
    "constant": np.ones_like,
    "of two values": lambda noise: (noise > 1).astype(float),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("draws", [MIN_DRAWS, 5, 6, 7, 11, 100, 251])
@pytest.mark.parametrize("chains", [1, 2, 5])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of ArviZ, about constants
def test_they_are_those_of_arviz(kind, draws, chains):
    values = KINDS[kind](np.random.default_rng(draws).normal(size=(chains, draws, 3)))
    given = xr.Dataset({"x": (("chain", "draw", "k"), values), "y": (("chain", "draw"), values[..., 0])})
    for ours, theirs in zip(of_dataset(given), (az.rhat(given), az.ess(given)), strict=True):
        xr.testing.assert_allclose(ours, theirs, rtol=1e-9)
    np.testing.assert_allclose(rhat_only(values), az.rhat(given)["x"], rtol=1e-9)
    np.testing.assert_allclose(mean_ess(values), az.ess(given, method="mean")["x"], rtol=1e-9)
    for tail in (0.05, 0.11):
        expected = az.ess(given, method="tail", prob=(tail, 1 - tail))["x"]
        np.testing.assert_allclose(tail_ess(values, tail), expected, rtol=1e-9)
    for ours, method in zip(mean_and_sd_errors(values), ("mean", "sd"), strict=True):
        np.testing.assert_allclose(ours, az.mcse(given, method=method)["x"], rtol=1e-9)


def test_the_fraction_of_missing_information_is_that_of_arviz():
    energy = np.random.default_rng(0).normal(size=(3, 100)).cumsum(axis=1)
    given = xr.Dataset({"energy": (("chain", "draw"), energy)})
    np.testing.assert_allclose(bfmi(energy), az.bfmi(given)["energy"], rtol=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_quantity_that_is_not_a_number_somewhere_has_none():
    values = np.random.default_rng(0).normal(size=(2, 50, 2))
    values[0, 7, 1] = np.nan
    rhat, ess = rhat_and_bulk_ess(values)
    assert np.isnan([rhat[1], ess[1]]).all()
    np.testing.assert_array_equal([rhat[:1], ess[:1]], rhat_and_bulk_ess(values[..., :1]))


def test_too_few_draws_have_none():
    few = np.zeros((2, MIN_DRAWS - 1, 1))
    assert np.isnan([*rhat_and_bulk_ess(few), mean_ess(few), tail_ess(few)]).all()
