"""Densities of many points under many draws, compared with scipy in a loop over draws and components."""

import time

import numpy as np
from scipy.stats import multivariate_normal

from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior
from bayesgmm.predictions import densities

TITLE = "## Density of 100,000 points under 1,000 draws (5 components, 5 columns)"
POINTS, DRAWS, K, D = 100_000, 1000, 5, 5
LOOPED = 20  # number of draws for the timing of scipy's loop
CHECKED = 200  # number of points at which all results are checked


def problem(seed=0):
    """Make draws around one mixture, and widely scattered points."""
    rng = np.random.default_rng(seed)
    root = 0.3 * rng.normal(size=(K, D, D)) + np.eye(D)
    covariance = root @ root.swapaxes(-1, -2) * rng.uniform(0.9, 1.1, (DRAWS, K, 1, 1))
    mean = 3 * rng.normal(size=(K, D)) + 0.05 * rng.normal(size=(DRAWS, K, D))
    weight = rng.dirichlet(np.full(K, 20.0), size=DRAWS)
    x = 3 * rng.normal(size=(POINTS, D))
    names = tuple(f"x{j}" for j in range(D))
    return Posterior(Parameters(weight, mean, covariance), names, Standard.of(as_points(x))), x


def looped(posterior, x, draws):
    """Compute densities (draws, N) by scipy."""
    p = posterior.parameters
    parts = [zip(p.weight[s], p.mean[s], p.covariance[s], strict=True) for s in range(draws)]
    return np.array([sum(w * multivariate_normal(m, c).pdf(x) for w, m, c in part) for part in parts])


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def gap(posterior, x):
    """Return the largest relative difference of the mean, and of both ends of the band."""
    dense = looped(posterior, x, DRAWS)
    ours = densities.spread(posterior, x, 0.9)
    band = np.exp(np.quantile(np.log(dense), [0.05, 0.95], axis=0).T)
    means = np.abs(np.exp(ours.log_mean) / dense.mean(axis=0) - 1).max()
    return means, np.abs(np.exp(ours.log_band) / band - 1).max()


def main():
    posterior, x = problem()
    densities.spread(posterior, x[:100], 0.9)  # compiled, or read from the cache
    theirs = seconds(lambda: looped(posterior, x, LOOPED)) * DRAWS / LOOPED
    print(f"| | seconds | times faster |\n|---|---|---|\n| scipy in a loop, only the mean | {theirs:.0f} | |")
    for name, ci_prob in {"bayesgmm, the mean": None, "with a 90 % band": 0.9, "with a 50 % band": 0.5}.items():
        ours = min(seconds(lambda ci_prob=ci_prob: densities.spread(posterior, x, ci_prob)) for _ in range(3))
        print(f"| {name} | {ours:.2f} | {theirs / ours:.0f} |", flush=True)
    means, bands = gap(posterior, x[:CHECKED])
    print(
        f"\nscipy's time is estimated from {LOOPED} draws, times {DRAWS // LOOPED}. At {CHECKED} points, "
        "under all draws, the "
        f"means differ by {means:.1e} of their size at most, the ends of the 90 % band by {bands:.1e}."
    )
