"""Simulation-based calibration: posterior ranks of parameters that data were simulated from."""

import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

import bayesgmm as bg
from bayesgmm.errors import BayesGMMError
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.predictions.elicitation import draw, simulate
from evidence.declared import Declared, declarations
from evidence.errors import estimate

Array = NDArray[np.float64]
N_POINTS = 30
BINS = 10
PLACE = 0.5  # every coordinate of the point at which densities are compared
SIGNIFICANT = 0.01  # false-alarm rate over all tests of an engine


def log_densities(mixtures: Parameters, x: Array) -> Array:
    """Compute the log density (S, N) of points under mixtures (S, ...), by scipy's formulas."""
    from scipy.special import logsumexp

    chol = np.linalg.cholesky(mixtures.covariance)
    apart = x[:, None, None] - mixtures.mean
    z = np.linalg.solve(chol, apart[..., None])[..., 0]
    log_det = np.log(np.diagonal(chol, axis1=-2, axis2=-1)).sum(axis=-1)
    log_normal = -0.5 * (z**2).sum(axis=-1) - log_det - 0.5 * x.shape[1] * np.log(2 * np.pi)
    with np.errstate(divide="ignore"):
        return logsumexp(np.log(mixtures.weight) + log_normal, axis=-1).T


def quantities(mixtures: Parameters, x: Array) -> dict[str, Array]:
    """Compute quantities (S,) of mixtures that do not depend on the order of the components."""
    log_det = np.linalg.slogdet(mixtures.covariance)[1]
    learned = {name: value.reshape(len(value), -1)[:, 0] for name, value in mixtures.extras.items()}
    return {
        "log likelihood": log_densities(mixtures, x).sum(axis=1),
        "log density at a point": log_densities(mixtures, np.full((1, x.shape[1]), PLACE))[:, 0],
        "smallest weight": mixtures.weight.min(axis=1),
        "largest weight": mixtures.weight.max(axis=1),
        "smallest mean": mixtures.mean[..., 0].min(axis=1),
        "largest mean": mixtures.mean[..., 0].max(axis=1),
        "smallest determinant": log_det.min(axis=1),
        **learned,
    }


def posterior_mixtures(fit: xr.DataTree) -> Parameters:
    """Return the draws of a fit (S, ...), with the learned parameters of the priors."""
    posterior = fit["posterior"].to_dataset().stack(sample=("chain", "draw"))
    values = {str(name): value.transpose("sample", ...).values for name, value in posterior.data_vars.items()}
    return Parameters(values.pop("weight"), values.pop("mean"), values.pop("covariance"), values)


@dataclass
class Calibration:
    """Positions of true values in the posteriors of one declaration.

    Parameters
    ----------
    title : str
    position : dict of str to list of float
        For each quantity, the posterior probability that it is smaller than the true value, one number a data set.
    warned, refused : int
        Number of fits with a warning, and of data sets that were not fitted.
    """

    title: str
    position: dict[str, list[float]]
    warned: int = 0
    refused: int = 0

    def add(self, truth: Parameters, x: Array, fit: xr.DataTree, rng: np.random.Generator) -> None:
        """Add one fit of data that were simulated from a mixture (1, ...). Ties are broken at random."""
        true, drawn = quantities(truth, x), quantities(posterior_mixtures(fit), x)
        for name, values in drawn.items():
            below, same = (values < true[name]).sum(), (values == true[name]).sum()
            place = (below + rng.uniform() * (same + 1)) / (values.size + 1)
            self.position.setdefault(name, []).append(float(place))

    def p_values(self) -> dict[str, float]:
        """Test each quantity for uniform positions: Kolmogorov-Smirnov and chi-squared, the smaller p-value twice."""
        return {name: min(1.0, 2 * min(kolmogorov(u), chi_squared(u))) for name, u in self.position.items()}

    def coverage(self, share: float) -> tuple[float, float]:
        """Return how often central intervals hold the truth, over all quantities, and its standard error."""
        inside = abs(np.array(list(self.position.values())) - 0.5) <= share / 2
        by_data_set = inside.mean(axis=0)
        spread = max(by_data_set.std(), 0.5 / len(by_data_set))
        return float(by_data_set.mean()), float(spread / np.sqrt(len(by_data_set)))


def kolmogorov(positions: list[float]) -> float:
    """Return the p-value of uniform positions by the largest difference of distribution functions."""
    return float(stats.kstest(positions, "uniform").pvalue)


def chi_squared(positions: list[float]) -> float:
    """Return the p-value of uniform positions by counts in ten bins."""
    return float(stats.chisquare(np.histogram(positions, BINS, (0, 1))[0]).pvalue)


def calibrated(method: str, declared: Declared, replicates: int, seed: int, **settings: Any) -> Calibration:
    """Simulate mixtures from a prior and 30 points from each, fit them, and find the mixtures in the posteriors."""
    title, d, model = declared
    rng = np.random.default_rng((seed, *title.encode()))
    found = Calibration(title, {})
    for _ in range(replicates):
        truth = draw(model, rng, 1, d)
        x = simulate(truth, rng, N_POINTS)[0]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", bg.FitWarning)
            try:
                fit = bg.fit(model, x, method, seed=int(rng.integers(2**31)), progress=False, **settings)
            except (BayesGMMError, np.linalg.LinAlgError):
                found.refused += 1
                continue
        found.warned += any(issubclass(one.category, bg.FitWarning) for one in caught)
        found.add(truth, x, fit, rng)
    return found


def summarised(method: str, found: list[Calibration]) -> pd.DataFrame:
    """Make the table of an engine: coverage, and the tests of uniform positions."""
    rows = []
    for one in found:
        p = one.p_values()
        worst = min(p, key=lambda name: p[name])
        rows.append(
            {
                "engine": method,
                "declaration": one.title,
                "data sets": len(one.position[worst]),
                "refused": one.refused,
                "warned": one.warned,
                "50 % intervals cover": estimate(*one.coverage(0.5), 2),
                "90 % intervals cover": estimate(*one.coverage(0.9), 2),
                "tests": len(p),
                "smallest p": p[worst],
                "of": worst,
            }
        )
    return pd.DataFrame(rows)


METHOD = """Simulation-based calibration (Talts et al. 2018; Modrák et al. 2023): a mixture is drawn from the prior, and
    30 points from the mixture; the points are fitted with the same prior. The position of the true value of a quantity
    in its posterior must then be uniform, and central intervals must cover as often as they say. Quantities do not
    depend on labels: the log likelihood, the log density at a point, the smallest and largest weight and mean, the
    smallest determinant of a covariance, and the learned parameters of hierarchical priors. Uniformity is tested by
    Kolmogorov-Smirnov and chi-squared (ten bins), the smaller p-value doubled."""


def verdict(table: pd.DataFrame) -> str:
    """Say in a sentence what the tests of a table found."""
    tests = int(table["tests"].sum())
    limit = SIGNIFICANT / tests
    failed = table[table["smallest p"] < limit]
    covered = [float(text.split()[0]) for text in table["90 % intervals cover"]]
    named = "; ".join(f"{row.engine}, {row.declaration} ({row.of})" for row in failed.itertuples())
    outcome = f"{len(failed)} of {len(table)} declarations fail: {named}" if len(failed) else "No declaration fails"
    return (
        f"{tests} tests at a false-alarm rate of {SIGNIFICANT:.0%} over all of them (Bonferroni: p below {limit:.1e}). "
        f"{outcome}. 90 % intervals cover {np.mean(covered):.3f} on average over the declarations, from "
        f"{min(covered):.2f} to {max(covered):.2f}."
    )


def of_gibbs(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate ``gibbs`` on every conjugate declaration."""
    return _of_engines({"gibbs": {"draws": 500}}, replicates, seed)


def of_nuts(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate ``nuts`` on every declaration."""
    return _of_engines({"nuts": {}}, replicates, seed)


def of_approximations(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate ``vb`` and ADVI, which are approximations."""
    return _of_engines({"vb": {}, "advi": {}, "fullrank_advi": {}}, replicates, seed)


def _of_engines(engines: dict[str, dict[str, int]], replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate engines; with few replicates, on the first declaration alone."""
    tables = []
    for method, settings in engines.items():
        found = []
        for declared in declarations(method)[: None if replicates >= BINS else 1]:
            found.append(calibrated(method, declared, replicates, seed, **settings))
            print(summarised(method, found[-1:]).to_string(header=False), file=sys.stderr, flush=True)
        tables.append(summarised(method, found))
    table = pd.concat(tables, ignore_index=True)
    return f"{METHOD} {verdict(table)}", table
