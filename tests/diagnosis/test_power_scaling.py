"""Sensitivities to powers of the prior and of the likelihood are those of ArviZ."""

import arviz_stats as az
import numpy as np
import pytest
import xarray as xr

from bayesgmm.diagnosis.power_scaling import sensitivities


@pytest.mark.parametrize("draws", [30, 250, 1000])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.filterwarnings("ignore::UserWarning")  # of ArviZ, about few draws
def test_they_are_those_of_arviz(draws, scale):
    values = np.random.default_rng(draws).normal(size=(2, draws, 3)).cumsum(axis=1)
    log_prior = -scale * values[..., 0] ** 2
    dims = ("chain", "draw")
    groups = {"posterior": xr.Dataset({"x": ((*dims, "k"), values)}), "log_prior": xr.Dataset({"p": (dims, log_prior)})}
    with np.errstate(all="ignore"):
        expected = az.psense(xr.DataTree.from_dict(groups), group="prior")["x"]
        ours = sensitivities(values.reshape(-1, 3), log_prior.ravel())
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)


def test_a_flat_prior_has_no_influence():
    values = np.random.default_rng(0).normal(size=(100, 2))
    assert sensitivities(values, np.zeros(100)) == pytest.approx(0.0, abs=1e-6)
