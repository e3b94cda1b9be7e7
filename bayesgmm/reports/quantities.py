"""The scalar quantities of a posterior by name, after relabelling, and their diagnostics: the numbers of ArviZ."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.posterior.chain_statistics import mean_and_sd_errors, rhat_and_bulk_ess, tail_ess
from bayesgmm.posterior.draws import statistic
from bayesgmm.posterior.schema import Posterior
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

Key = tuple[str | int, ...]
SHOWN = 4  # number of quantities in a figure of ranks
FEW = 2  # the same in a figure of traces or of effective sample sizes: the log likelihood, and the worst
OWN = {"weight", "mean", "covariance"}
INTERVAL = 0.89  # ArviZ's default probability of an interval
TAIL = 0.11  # quantile of ArviZ's tail ESS, which follows from it
LOGLIK = "log likelihood"


@dataclass(frozen=True)
class Quantities:
    """Scalar quantities of a posterior.

    Parameters
    ----------
    names : tuple of str
        Name of each quantity for readers.
    draws : (Q, chain, draw) float
    keys : tuple of tuple
        Identifies each quantity: ``('mean', k, j)``, ``('weight', k)``, ...
    """

    names: tuple[str, ...]
    draws: Array
    keys: tuple[Key, ...]

    @cached_property
    def diagnostics(self) -> dict[str, Array]:
        """R-hat, bulk ESS and tail ESS of each quantity, with ArviZ's probability of the tails."""
        values = self._values(range(len(self.names)))
        with np.errstate(all="ignore"):  # NaN for constants
            r_hat, ess_bulk = rhat_and_bulk_ess(values)
            return {"r_hat": r_hat, "ess_bulk": ess_bulk, "ess_tail": tail_ess(values, TAIL)}

    def summary(self, chosen: Sequence[int], *, of_chains: bool) -> dict[str, Array]:
        """Return the columns of ArviZ's summary of some of the quantities: those of chains, or without diagnostics."""
        values = self._values(chosen)
        lower, upper = np.quantile(values, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=(0, 1))
        ends = (f"eti{INTERVAL * 100:.0f} lb", f"eti{INTERVAL * 100:.0f} ub")
        columns = {"mean": values.mean(axis=(0, 1)), "sd": values.std(axis=(0, 1), ddof=1)}
        columns |= dict(zip(ends, (lower, upper), strict=True))
        if not of_chains:
            return columns
        of_mean, of_sd = mean_and_sd_errors(values)
        diagnostics = {name: self.diagnostics[name][list(chosen)] for name in ("ess_bulk", "ess_tail", "r_hat")}
        return columns | diagnostics | {"mcse_mean": of_mean, "mcse_sd": of_sd}

    def _values(self, chosen: Sequence[int]) -> Array:
        """Return some of the quantities: (chain, draw, M)."""
        return np.moveaxis(self.draws[list(chosen)], 0, -1)

    def worst(self, count: int | None = None) -> list[int]:
        """Return the indices of the quantities that mix worst, by R-hat, then bulk ESS, after the log likelihood."""
        r_hat, ess = self.diagnostics["r_hat"], self.diagnostics["ess_bulk"]
        by_rhat = np.nan_to_num(r_hat, nan=0.0).round(3)
        order = sorted(range(len(self.names)), key=lambda i: (-by_rhat[i], np.nan_to_num(ess[i], nan=np.inf)))
        first = [i for i, name in enumerate(self.names) if name == LOGLIK]
        moving = [i for i in order if np.isfinite(ess[i]) and i not in first]
        return [*first, *moving][: SHOWN if count is None else count]


def quantities(fit: "xr.DataTree", posterior: Posterior, columns: Sequence[str]) -> Quantities:
    """Collect weights, means, standard deviations, hyperparameters, and the log likelihood.

    Parameters
    ----------
    fit : DataTree
    posterior : Posterior
        Relabelled draws.
    columns : sequence of str
        Names of the columns.
    """
    chains = fit["posterior"].sizes["chain"], fit["posterior"].sizes["draw"]
    components = [str(name) for name in fit["posterior"].coords["component"].values]
    names: list[str] = []
    draws: list[Array] = []
    keys: list[Key] = []

    def add(name: str, values: Array, *key: str | int) -> None:
        names.append(name)
        draws.append(values.reshape(chains))
        keys.append(key)

    p = posterior.parameters
    sd = np.sqrt(np.diagonal(p.covariance, axis1=-2, axis2=-1))
    for k, component in enumerate(components):
        if len(components) > 1:
            add(f"component {component}: weight", p.weight[:, k], "weight", k)
        for j, column in enumerate(columns):
            add(f"component {component}: mean of {column}", p.mean[:, k, j], "mean", k, j)
            add(f"component {component}: sd of {column}", sd[:, k, j], "sd", k, j)
    for name, value in _hyperparameters(fit, columns).items():
        add(name, value, *name.split())
    if (loglik := statistic(fit, "loglik")) is not None:
        add(LOGLIK, loglik.transpose("chain", "draw").values, LOGLIK)
    return Quantities(tuple(names), np.stack(draws), tuple(keys))


def _hyperparameters(fit: "xr.DataTree", columns: Sequence[str]) -> dict[str, Array]:
    """Return the hyperparameters by name, each (chain, draw)."""
    draws = {}
    for name, variable in fit["posterior"].to_dataset().data_vars.items():
        rest = [dim for dim in variable.dims if dim not in {"chain", "draw"}]
        if name in OWN or rest not in ([], ["feature"]):
            continue
        values = variable.transpose("chain", "draw", *rest).values
        if not rest:
            draws[str(name)] = values
        else:
            draws |= {f"{name} of {column}": values[..., j] for j, column in enumerate(columns)}
    return draws
