"""Pareto-smoothed importance weights are those of ArviZ."""

import subprocess
import sys

import numpy as np
import pytest
from arviz_stats.base.array import array_stats

import bayesgmm as bg
from bayesgmm.predictions.pareto_smoothing import pareto_smoothed

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
def test_smoothed_weights_and_khat_are_arvizs(kind, size):
    log_ratio = RATIOS[kind](np.random.default_rng(size), size)
    with np.errstate(all="ignore"):
        expected, shape = array_stats.psislw(-log_ratio)
        log_weight, khat = pareto_smoothed(log_ratio)
    np.testing.assert_allclose(log_weight, expected, rtol=1e-12)
    np.testing.assert_allclose(khat, shape, rtol=1e-10)


@pytest.mark.parametrize("log_ratio", [np.arange(24.0), np.append(np.arange(80.0) - 100, np.zeros(20))])
def test_weights_that_no_tail_can_be_fitted_to_are_refused_as_by_arviz(log_ratio):
    with pytest.raises(ValueError, match="must be at least 5|the same"):
        array_stats.psislw(-log_ratio)
    with pytest.raises(ValueError, match="fewer than five, or all are equal"):
        pareto_smoothed(log_ratio)


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
