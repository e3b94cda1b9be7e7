"""Simulation-based calibration: posterior ranks of parameters that data were simulated from."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
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
from evidence.declared import Declared, every_declaration, structured_declarations, taken_by
from evidence.errors import estimate

Array = NDArray[np.float64]
N_POINTS = 30
BINS = 10
PLACE = 0.5  # every coordinate of the point at which densities are compared
FEW = 5  # with fewer data sets, one engine and one declaration
COMMON = (
    "log likelihood",
    "log density at a point",
    "smallest weight",
    "largest weight",
    "smallest mean",
    "largest mean",
    "smallest determinant",
)
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


@dataclass(frozen=True)
class Observed:
    """What is observed of points.

    Parameters
    ----------
    x : (N, D) float
        NaN where a value is missing.
    noise : (N, D) float, optional
        Standard errors.
    labels : (N, K) float, optional
        Plausibilities of the components.
    """

    x: Array
    noise: Array | None = None
    labels: Array | None = None


def observed_log_densities(mixtures: Parameters, observed: Observed) -> Array:
    """Compute the log density (S, N) of what is observed of points."""
    x, noise, labels = observed.x, observed.noise, observed.labels
    if noise is None and labels is None and not np.isnan(x).any():
        return log_densities(mixtures, x)
    out = np.zeros((len(mixtures.weight), len(x)))
    for i, row in enumerate(x):
        seen = np.flatnonzero(~np.isnan(row))
        weight = mixtures.weight if labels is None else mixtures.weight * labels[i]
        error = np.zeros(seen.size) if noise is None else noise[i, seen] ** 2
        covariance = mixtures.covariance[..., seen[:, None], seen] + np.diag(error)
        marginal = Parameters(weight, mixtures.mean[..., seen], covariance)
        out[:, i] = log_densities(marginal, row[None, seen])[:, 0]
    return out


def with_background(mixtures: Parameters, background: bg.Background | None) -> Parameters:
    """Append the background of a declaration, if it has one, to mixtures (S, ...)."""
    if background is None:
        return mixtures
    return Parameters(*background.append_to(mixtures.weight, mixtures.mean, mixtures.covariance))


def quantities(mixtures: Parameters, observed: Observed, background: bg.Background | None = None) -> dict[str, Array]:
    """Compute quantities (S,) of mixtures, and of the observed points, that do not depend on the components' order.

    With labels there are also those of the first component, which has a number then.
    """
    whole = with_background(mixtures, background)
    log_det = np.linalg.slogdet(mixtures.covariance)[1]
    learned = {name: value.reshape(len(value), -1)[:, 0] for name, value in mixtures.extras.items()}
    if observed.labels is not None:
        learned |= {"weight of the first": mixtures.weight[:, 0], "mean of the first": mixtures.mean[:, 0, 0]}
    common = (
        observed_log_densities(whole, observed).sum(axis=1),
        log_densities(whole, np.full((1, observed.x.shape[1]), PLACE))[:, 0],
        mixtures.weight.min(axis=1),
        mixtures.weight.max(axis=1),
        mixtures.mean[..., 0].min(axis=1),
        mixtures.mean[..., 0].max(axis=1),
        log_det.min(axis=1),
    )
    return dict(zip(COMMON, common, strict=True)) | learned


def posterior_mixtures(fit: xr.DataTree) -> Parameters:
    """Return the draws of a fit (S, ...), with the learned parameters of the priors."""
    posterior = fit["posterior"].to_dataset().stack(sample=("chain", "draw"))
    values = {str(name): value.transpose("sample", ...).values for name, value in posterior.data_vars.items()}
    return Parameters(values.pop("weight"), values.pop("mean"), values.pop("covariance"), values)


@dataclass
class Calibration:
    """Positions of true values in the posteriors of one engine for one declaration.

    Parameters
    ----------
    title : str
    position : dict of str to list of float
        For each quantity, the posterior probability that it is smaller than the true value, one number per data set.
    warned, refused : int
        Number of fits with a warning, and of data sets that were not fitted.
    """

    title: str
    position: dict[str, list[float]] = field(default_factory=dict)
    warned: int = 0
    refused: int = 0

    def add(self, true: dict[str, Array], drawn: dict[str, Array], rng: np.random.Generator) -> None:
        """Add the position of true quantities (1,) among those of draws (S,). Ties are broken at random."""
        for name, values in drawn.items():
            below, same = (values < true[name]).sum(), (values == true[name]).sum()
            place = (below + rng.uniform() * (same + 1)) / (values.size + 1)
            self.position.setdefault(name, []).append(float(place))

    def p_values(self) -> dict[str, float]:
        """Test each quantity for uniform positions."""
        return {name: uniformity(u) for name, u in self.position.items()}

    def coverage(self, share: float) -> tuple[float, float]:
        """Return how often central intervals contain the true value, over all quantities, and its standard error."""
        inside = abs(np.array([self.position[name] for name in COMMON]) - 0.5) <= share / 2
        by_data_set = inside.mean(axis=0)
        spread = max(by_data_set.std(), 0.5 / len(by_data_set))
        return float(by_data_set.mean()), float(spread / np.sqrt(len(by_data_set)))

    @classmethod
    def together(cls, parts: "list[Calibration]") -> "Calibration":
        """Put the positions of all declarations together: if each is right, they are uniform too."""
        whole = cls("all together", {}, sum(part.warned for part in parts), sum(part.refused for part in parts))
        for part in parts:
            for name, positions in part.position.items():
                whole.position.setdefault(name, []).extend(positions)
        return whole


def uniformity(positions: list[float]) -> float:
    """Return a p-value: Kolmogorov-Smirnov; with 5 positions per bin, also chi-squared, the smaller p-value twice."""
    by_distance = float(stats.kstest(positions, "uniform").pvalue)
    if len(positions) < 5 * BINS:  # where fewer are expected, the chi-squared distribution is inaccurate
        return by_distance
    by_bins = float(stats.chisquare(np.histogram(positions, BINS, (0, 1))[0]).pvalue)
    return min(1.0, 2 * min(by_distance, by_bins))


Measurement = Callable[[Array, Parameters, np.random.Generator], Observed]
"""What is observed of points (N, D) of a mixture."""


def exactly(x: Array, mixture: Parameters, rng: np.random.Generator) -> Observed:
    """Observe the points as they are."""
    return Observed(x)


class Simulation:
    """Simulated data sets of one declaration, each observed in one way and fitted by one engine."""

    def __init__(
        self, method: str, declared: Declared, seed: int, settings: dict[str, int], observe: Measurement = exactly
    ) -> None:
        title, self.d, self.model = declared
        self.method, self.settings, self.observe = method, settings, observe
        self.rng = np.random.default_rng((seed, *title.encode()))
        self.found = Calibration(title)

    def step(self) -> None:
        """Draw a mixture from the prior and points from it, fit these, and find the mixture in the posterior."""
        truth = draw(self.model, self.rng, 1, self.d)
        background = self.model.background
        x = simulate(with_background(truth, background), self.rng, N_POINTS)[0]
        observed = self.observe(x, truth, self.rng)
        seed = int(self.rng.integers(2**31))
        settings: dict[str, Any] = {"seed": seed, "progress": False, **self.settings}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", bg.FitWarning)
            try:
                settings |= {"noise": observed.noise, "labels": observed.labels}
                fit = bg.fit(self.model, observed.x, self.method, **settings)
            except (BayesGMMError, np.linalg.LinAlgError):
                self.found.refused += 1
                return
        self.found.warned += any(issubclass(one.category, bg.FitWarning) for one in caught)
        drawn = quantities(posterior_mixtures(fit), observed, background)
        self.found.add(quantities(truth, observed, background), drawn, self.rng)


def summarised(method: str, found: list[Calibration]) -> pd.DataFrame:
    """Make the table of an engine: coverage, and the tests of uniform positions."""
    rows = []
    for one in [*found, Calibration.together(found)]:
        p = one.p_values()
        worst = min(p, key=lambda name: p[name])
        rows.append(
            {
                "engine": method,
                "declaration": one.title,
                "data sets": len(one.position[COMMON[0]]),
                "refused": one.refused,
                "warned": one.warned,
                "50 % intervals cover": estimate(*one.coverage(0.5)),
                "90 % intervals cover": estimate(*one.coverage(0.9)),
                "tests": len(p),
                "smallest p": float(f"{p[worst]:.2g}"),
                "of": worst,
            }
        )
    return pd.DataFrame(rows)


METHOD = """Simulation-based calibration (Talts et al. 2018; Modrák et al. 2023): a mixture is drawn from the prior, and
    30 points from the mixture; the points are fitted with the same prior. The position of the true value of a quantity
    in its posterior must then be uniform, and central intervals must cover as often as they say. Quantities do not
    depend on labels: the log likelihood, the log density at a point, the smallest and largest weight and mean, the
    smallest determinant of a covariance, and the learned parameters of hierarchical priors. Uniformity is tested by
    Kolmogorov-Smirnov and, with at least 50 data sets, by chi-squared (ten bins) too, the smaller p-value doubled.
    Coverage is that of the first seven quantities, which all declarations have. The last row of an engine puts the
    positions of all its declarations together."""
CAUTION = """`em`, `mle` and `map` return one estimate and no posterior, so that there is nothing to calibrate."""


def verdict(table: pd.DataFrame) -> str:
    """Summarise the tests of each engine in a table, in sentences."""
    return " ".join(_verdict(str(method), rows) for method, rows in table.groupby("engine", sort=False))


def _verdict(method: str, table: pd.DataFrame) -> str:
    tests = int(table["tests"].sum())
    limit = SIGNIFICANT / tests
    failed = table[table["smallest p"] < limit]
    named = "; ".join(f"{row.declaration} ({row.of})" for row in failed.itertuples())
    outcome = f"{len(failed)} of {len(table)} rows fail: {named}" if len(failed) else "no row fails"
    return (
        f"`{method}`: {tests} tests at a false-alarm rate of {SIGNIFICANT:.0%} over all of them (Bonferroni: p below "
        f"{limit:.1e}); {outcome}. Over all declarations, 50 % intervals cover "
        f"{table['50 % intervals cover'].iloc[-1]}, and 90 % intervals {table['90 % intervals cover'].iloc[-1]}."
    )


EVERY = {"nuts": 2, "advi": 2}  # engines that take longer: every second declaration
SETTINGS: dict[str, dict[str, int]] = {"gibbs": {"draws": 100, "thin": 20}}


def of_gibbs(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate ``gibbs`` on every conjugate declaration."""
    return _of_engines(("gibbs",), replicates, seed)


def of_nuts(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate ``nuts`` on every second declaration."""
    return _of_engines(("nuts",), replicates, seed)


def of_vb(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate ``vb``, an approximation, on every declaration that it takes."""
    return _of_engines(("vb",), replicates, seed)


def of_advi(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate ``advi``, an approximation, on every second declaration."""
    return _of_engines(("advi",), replicates, seed)


def of_structures(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate ``gibbs`` and ``nuts`` on every decomposed family and on factor analysers."""
    return _of_engines(("gibbs", "nuts"), replicates, seed, structured_declarations(), {})


def _of_engines(
    methods: tuple[str, ...],
    replicates: int,
    seed: int,
    declarations: list[Declared] | None = None,
    every: dict[str, int] = EVERY,
) -> tuple[str, pd.DataFrame]:
    """Calibrate engines; with few replicates, one engine on one declaration."""
    declared, tables = every_declaration() if declarations is None else declarations, []
    for method in methods[: None if replicates >= FEW else 1]:
        chosen = taken_by(method, declared)[:: every.get(method, 1)][: None if replicates >= FEW else 1]
        simulations = [Simulation(method, one, seed, SETTINGS.get(method, {})) for one in chosen]
        for number in range(replicates):
            for simulation in simulations:
                simulation.step()
            print(f"{method}: {number + 1} of {replicates} data sets of each declaration", file=sys.stderr, flush=True)
        tables.append(summarised(method, [simulation.found for simulation in simulations]))
    table = pd.concat(tables, ignore_index=True)
    return f"{METHOD} {verdict(table)} {CAUTION}", table
