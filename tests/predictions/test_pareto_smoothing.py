"""Pareto-smoothed importance weights are those of ArviZ."""

import subprocess
import sys

import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from scipy.special import softmax

import bayesgmm as bg
from bayesgmm.predictions.cross_validation import importance_sampled
from bayesgmm.predictions.pareto_smoothing import TOGETHER, pareto_smoothed

RATIOS = {
    "light tail": lambda rng, n: -rng.exponential(size=n),
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy tail": lambda rng, n: 3 * rng.standard_t(2, size=n),
    "one that outweighs all": lambda rng, n: np.append(rng.normal(size=n - 1), 500.0),
    "some of weight zero": lambda rng, n: np.where(rng.random(n) < 0.3, -np.inf, rng.normal(size=n)),
    "equal where the tail begins": lambda rng, n: np.append(np.zeros(n - 3), rng.normal(size=3) + 5),
    "copies": lambda rng, n: np.repeat(rng.normal(size=n), 3)[:n],
}


@pytest.mark.parametrize("kind", RATIOS)
@pytest.mark.parametrize("size", [25, 100, 225, 226, 1000])
@pytest.mark.parametrize("relative_size", [0.4, 1.0, 1.3])
def test_smoothed_weights_and_khat_are_arvizs(kind, size, relative_size):
    rngs = [np.random.default_rng(size + point) for point in range(3)]
    log_ratio = np.stack([RATIOS[kind](rng, size) for rng in rngs])
    with np.errstate(all="ignore"):
        expected, shape = array_stats.psislw(-log_ratio, axis=-1, r_eff=relative_size)
        log_weight, khat, fits = pareto_smoothed(log_ratio, relative_size)
    assert fits.all()
    np.testing.assert_allclose(log_weight, expected, rtol=1e-12)
    np.testing.assert_allclose(khat, shape, rtol=1e-10)


@pytest.mark.parametrize("log_ratio", [np.arange(24.0), np.append(np.arange(80.0) - 100, np.zeros(20))])
def test_weights_that_no_tail_can_be_fitted_to_are_not_smoothed(log_ratio):
    with pytest.raises(ValueError, match="must be at least 5|the same"):
        array_stats.psislw(-log_ratio)
    log_weight, _, fits = pareto_smoothed(np.stack([log_ratio, log_ratio]))
    assert not fits.any()
    np.testing.assert_allclose(np.exp(log_weight), softmax(np.stack([log_ratio, log_ratio]), axis=1))


def test_more_points_than_are_smoothed_together_are_each_smoothed_alone():
    log_ratio = np.random.default_rng(0).normal(size=(TOGETHER + 3, 60))
    alone = [pareto_smoothed(row[None])[0][0] for row in log_ratio]
    np.testing.assert_allclose(pareto_smoothed(log_ratio)[0], alone, rtol=1e-12)


@pytest.mark.parametrize("relative_size", [0.5, 1.0])
def test_left_out_log_densities_are_arvizs(relative_size):
    log = np.random.default_rng(0).normal(size=(7, 400)) - 3
    expected = array_stats.loo(log, chain_axis=None, r_eff=relative_size)
    np.testing.assert_allclose(importance_sampled(log, -log, relative_size), expected, rtol=1e-9)


def test_left_out_log_densities_under_draws_of_an_approximation_are_arvizs():
    log, log_p, log_q = np.random.default_rng(0).normal(size=(3, 7, 400))
    expected = array_stats.loo_approximate_posterior(log, log_p, log_q, chain_axis=None)
    np.testing.assert_allclose(importance_sampled(log, log_p - log_q - log), expected, rtol=1e-9)


def test_p_values_by_importance_weights_import_no_statistics_of_scipy(tmp_path, no_doubts):
    """They take longer to import than 200 rows to be scored."""
    fit = bg.fit(bg.MixtureModel(1), np.random.default_rng(0).normal(size=(20, 2)), "vb", seed=1, progress=False)
    bg.save(fit, tmp_path / "fit.nc")
    code = (
        "import sys; sys.modules['dask'] = None; import bayesgmm as bg; fit = bg.load('fit.nc'); "
        "answer = bg.anomaly_scores(fit, [[0.0, 0.0]], progress=False); "
        "print(answer.attrs['reference'], 'scipy.stats' in sys.modules)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "cross-conformal False"
