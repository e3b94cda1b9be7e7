"""How often the comparison of data and model gives a false alarm, and how often it detects a wrong model."""

import warnings

import numpy as np

import bayesgmm as bg
from bayesgmm.diagnosis.predictions import LEVEL, misfits

TITLE = "## Comparing the data with the model: false alarms and power"
RIGHT, WRONG = 100, 20  # fits of each kind


def mixture(rng, n, d, k):
    """Draw points of a mixture with random weights, means and covariances."""
    weight, mean, root = rng.dirichlet([5] * k), rng.normal(0, 3, (k, d)), rng.normal(size=(k, d, d))
    covariance = root @ root.transpose(0, 2, 1) / d + 0.3 * np.eye(d)
    label = rng.choice(k, p=weight, size=n)
    return mean[label] + np.einsum("nij,nj->ni", np.linalg.cholesky(covariance)[label], rng.normal(size=(n, d)))


def correlated(rng, n, rho):
    return rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=n)


CASES = {  # data, number of fitted components, their covariance, True if that is the right model
    "the right model, N 80, D 1, K 3": (lambda rng: mixture(rng, 80, 1, 3), 3, "full", True),
    "the right model, N 150, D 3, K 2": (lambda rng: mixture(rng, 150, 3, 2), 2, "full", True),
    "the right model, N 1,000, D 2, K 3": (lambda rng: mixture(rng, 1000, 2, 3), 3, "full", True),
    "Student's t with 3 degrees of freedom, N 150, by one Gaussian": (
        lambda rng: rng.standard_t(3, 150),
        1,
        "full",
        False,
    ),
    "the same in two columns, N 300, by two": (lambda rng: rng.standard_t(3, (300, 2)), 2, "full", False),
    "uniform, N 150, by one": (lambda rng: rng.random(150), 1, "full", False),
    "log-normal (0.5), N 150, by one": (lambda rng: rng.lognormal(sigma=0.5, size=150), 1, "full", False),
    "normal, 15 % of the points at one value, N 300, by one": (
        lambda rng: np.where(rng.random(300) < 0.15, 0.5, rng.normal(size=300)),
        1,
        "full",
        False,
    ),
    "correlation 0.4, N 150, by a diagonal one": (lambda rng: correlated(rng, 150, 0.4), 1, "diag", False),
    "two Gaussians three standard deviations apart, N 150, by one": (
        lambda rng: rng.normal(size=150) + 3 * (rng.random(150) < 0.4),
        1,
        "full",
        False,
    ),
}


def alarm(make, k, covariance, seed):
    """Return True if a short fit by NUTS is reported as a misfit."""
    x = make(np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = bg.MixtureModel(k, covariance=covariance)
        fit = bg.fit(model, x, draws=50, chains=2, tune=200, seed=seed, progress=False)
    return any(misfit.adjusted < LEVEL for misfit in misfits(fit))


def main():
    print("| data and model | fits | reported as a misfit |\n|---|---|---|", flush=True)
    for name, (make, k, covariance, right) in CASES.items():
        fits = RIGHT if right else WRONG
        share = np.mean([alarm(make, k, covariance, seed) for seed in range(fits)])
        print(f"| {name} | {fits} | {share:.0%} |", flush=True)
