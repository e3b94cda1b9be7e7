"""Chains start in every region that short runs find, and fits give each region its probability.

Six columns of wine, K = 3, have two regions with much mass: about .7 of it is where all clusters have many points, and
.28 where one has two outlying points (sixteen Gibbs chains of 240,000 sweeps each).
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from sklearn.datasets import load_wine

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.inference import gibbs_chains, gibbs_starts
from bayesgmm.inference.conjugate_sweeps import Chains
from bayesgmm.inference.gibbs_starts import _features, starting_points
from bayesgmm.posterior.log_posterior import LogPosterior

MODEL = bg.MixtureModel(3)
FEW = 6  # points of the smallest cluster in the second region
MANY = 40  # the same in the first


@cache
def wine():
    return load_wine().data[:, [0, 6, 9, 10, 11, 12]]


@cache
def density():
    return LogPosterior.of(MODEL, as_points(wine()))


def smallest(q):
    """Mean number of points of the smallest cluster in each chain (chains, draws, P)."""
    weight = density().parameters(q.reshape(-1, density().size)).weight
    return np.sort(weight, axis=-1)[:, 0].reshape(q.shape[:2]).mean(axis=1) * len(wine())


def test_four_chains_start_in_both_regions():
    """They did for 68 of 72 seeds, and for 14 of 24 when single draws were compared.

    With these shares the test fails for 1 in 40 sets of twelve seeds, and would have passed for 1 in 15.
    """
    found = 0
    for seed in range(100, 112):
        sizes = smallest(gibbs_chains.run(density(), seed, 1, draws=100, tune=300, chains=4, search=500))
        found += bool((sizes < FEW).any() and (sizes > MANY).any())
    assert found >= 10


def test_runs_go_on_only_where_that_takes_little_time(monkeypatch):
    chain, continued = Chains.of(density(), seed=1, tune=0, thin=1, search=100), []
    run_longer = gibbs_starts._run_longer
    monkeypatch.setattr(gibbs_starts, "_run_longer", lambda *given: continued.append(given) or run_longer(*given))
    starting_points(chain, 2, np.random.default_rng(1), ThreadPoolExecutor(1))
    assert len(continued) > 2
    continued.clear()
    monkeypatch.setattr(gibbs_starts, "CONTINUED", 0)
    starting_points(chain, 2, np.random.default_rng(1), ThreadPoolExecutor(1))
    assert not continued


def test_features_are_in_standard_deviations_within_runs():
    rng = np.random.default_rng(0)
    q = density().coordinates(np.full(3, 1 / 3), wine()[[0, 70, 150]], MODEL.family.identity(3, 6))
    near, far = q + 0.01 * rng.normal(size=(4, 1, q.size)), q + 1.0 + 0.01 * rng.normal(size=(4, 1, q.size))
    values = _features(density(), np.concatenate([near, far], axis=1))
    assert np.abs(values[1] - values[0]).max() > 10
    one = _features(density(), q + 0.01 * rng.normal(size=(1, 5, q.size)))  # one draw of each run: those between runs
    np.testing.assert_allclose(one.std(axis=0), 1.0)


@pytest.mark.parametrize(("method", "seed"), [("nuts", 100), ("nuts", 102), ("gibbs", 104)])
def test_each_region_has_its_probability(method, seed):
    """All chains of NUTS start in the first; those of Gibbs sampling seldom move. Limits: four errors of the masses."""
    fit = bg.fit(MODEL, wine(), method, seed=seed, progress=False)
    facts = bg.info(fit).notes.reconciled
    assert not bg.info(fit).warnings
    assert facts.by == "regions that are weighted by bridge sampling"
    weight = np.sort(fit["posterior"]["weight"].values, axis=-1)[..., 0] * len(wine())
    assert (weight < FEW).mean() == pytest.approx(0.28, abs=4 * facts.probability_error)
