"""Posterior of the number of components, compared with the published one of Richardson & Green (1997)."""

import os
import sys

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.inference.gibbs_chains import run
from bayesgmm.posterior.log_posterior import LogPosterior
from evidence.errors import estimate

PUBLISHED = {
    "galaxies": {3: 0.061, 4: 0.128, 5: 0.182, 6: 0.199, 7: 0.160, 8: 0.109, 9: 0.071},
    "enzyme": {2: 0.024, 3: 0.290, 4: 0.317, 5: 0.206, 6: 0.095, 7: 0.041},
    "acidity": {2: 0.082, 3: 0.244, 4: 0.236, 5: 0.172, 6: 0.118, 7: 0.069},
}
"""Data set -> probability of each number of components."""
LARGEST = 30
DRAWS, THIN = 2_500, 40  # of one chain: 100,000 sweeps
FEW = 2  # with fewer chains, they are shorter


def declared(x: NDArray[np.float64]) -> LogPosterior:
    """Return the posterior of points of one column under Richardson & Green's priors.

    K is uniform on 1 to 30, the weights are uniform, means are normal around the midrange with the range R as standard
    deviation, precisions are Gamma(2, b), and b is Gamma(0.2, 10 / R^2).
    """
    scale = bg.Gamma(0.2, 5 / float(np.ptp(x)) ** 2)  # of 2 b
    weights = bg.FiniteMixture(bg.Uniform(1, LARGEST), concentration=1.0)
    model = bg.MixtureModel(LARGEST, "diag", weights, bg.NormalMeans(), bg.WishartPrecision(dof=4, scale=scale))
    return LogPosterior.of(model, as_points(x))


def shares(x: NDArray[np.float64], chains: int, seed: int) -> NDArray[np.float64]:
    """Run independent chains; return the share (chains, 30) of each number of components in each."""
    density = declared(x)
    draws = DRAWS if chains >= FEW else 50
    q = run(density, seed, os.cpu_count() or 1, draws=draws, tune=2_000, chains=chains, thin=THIN)
    number = density.parameters(q).extras["n_components"]
    found: NDArray[np.float64] = (number[..., None] == np.arange(1, LARGEST + 1)).mean(axis=1)
    return found


def table(name: str, x: NDArray[np.float64], chains: int, seed: int) -> pd.DataFrame:
    """Tabulate the published probabilities and those of bayesgmm, for a data set."""
    found = shares(x, chains, seed)
    mean = found.mean(axis=0)
    error = found.std(axis=0, ddof=1) / np.sqrt(chains) if chains > 1 else np.full(LARGEST, np.nan)
    rows = [
        {"data": name, "K": k, "published": published, "found": estimate(mean[k - 1], error[k - 1], 3)}
        for k, published in PUBLISHED[name].items()
    ]
    beyond = slice(max(PUBLISHED[name]), None)
    total = found[:, beyond].sum(axis=1)
    rest = round(1 - sum(PUBLISHED[name].values()) if name == "galaxies" else float("nan"), 3)
    own = estimate(total.mean(), total.std(ddof=1) / np.sqrt(chains) if chains > 1 else np.nan, 3)
    rows.append({"data": name, "K": f"{max(PUBLISHED[name]) + 1} or more", "published": rest, "found": own})
    return pd.DataFrame(rows)


def galaxies(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Compare the probabilities for the galaxies; a replicate is a chain of 100,000 sweeps."""
    found = table("galaxies", bg.datasets.galaxies().to_numpy(float).ravel() / 1000, replicates, seed)
    text = """The number of components of the galaxies (82 velocities) under the priors of Richardson & Green (1997),
        which can be declared as they stand: K uniform on 1 to 30, uniform weights, means Normal(midrange, range),
        precisions Gamma(2, b) with b ~ Gamma(.2, 10 / range²). A mixture of finite mixtures, fitted by the
        telescoping sampler of `gibbs`. Their values are from 100,000 sweeps of reversible jumps, and are published
        without errors; ours are from the spread over independent chains. `python -m evidence.numbers enzyme FILE`
        prints the same for the enzyme and acidity data, which the package does not contain."""
    return text, found


def main() -> None:
    """Print the comparison for a data set in a file, whose last column is read."""
    name, path, *chains = sys.argv[1:]
    x = pd.read_csv(path).iloc[:, -1].to_numpy(float)
    print(table(name, x, int(chains[0]) if chains else 10, seed=1).to_string(index=False))


if __name__ == "__main__":
    main()
