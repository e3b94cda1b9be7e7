"""The single numbers of a posterior by name, labels undone, and which of them mix worst: what ArviZ is asked about."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.posterior.schema import Posterior
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

SHOWN = 6  # numbers that a picture shows
OWN = {"weight", "mean", "covariance"}
SAMPLER = {"loglik": "log likelihood", "lp": "log posterior"}


@dataclass(frozen=True)
class Quantities:
    """Single numbers of a posterior.

    Parameters
    ----------
    names : tuple of str
        Of each, as a reader calls it.
    draws : (Q, chain, draw) float
    keys : tuple of tuple
        Which number of the mixture it is: ``('mean', k, j)``, ``('weight', k)``, ...
    """

    names: tuple[str, ...]
    draws: Array
    keys: tuple[tuple[Any, ...], ...]

    @cached_property
    def diagnostics(self) -> dict[str, Array]:
        """R-hat, bulk and tail ESS of each."""
        import arviz as az

        dataset = self.dataset(range(len(self.names)))
        with np.errstate(all="ignore"):  # a number that never moves has none: NaN
            found = {
                "r_hat": az.rhat(dataset),
                "ess_bulk": az.ess(dataset, method="bulk"),
                "ess_tail": az.ess(dataset, method="tail"),
            }
        return {name: values["q"].values for name, values in found.items()}

    def dataset(self, chosen: Any) -> "xr.Dataset":
        """Some of them as one variable ``q`` [chain, draw, quantity]."""
        import xarray as xr

        values = self.draws[list(chosen)]
        names = [self.names[i] for i in chosen]
        return xr.Dataset({"q": (("quantity", "chain", "draw"), values)}, coords={"quantity": names})

    def worst(self, count: int = SHOWN) -> list[int]:
        """Those that mix worst, by their R-hat, then by their bulk ESS; the first is the label-free log likelihood."""
        r_hat, ess = self.diagnostics["r_hat"], self.diagnostics["ess_bulk"]
        by_rhat = np.nan_to_num(r_hat, nan=0.0).round(3)
        order = sorted(range(len(self.names)), key=lambda i: (-by_rhat[i], np.nan_to_num(ess[i], nan=np.inf)))
        first = [i for i, name in enumerate(self.names) if name == SAMPLER["loglik"]]
        moving = [i for i in order if np.isfinite(ess[i]) and i not in first]
        return [*first, *moving][:count]


def quantities(fit: "xr.DataTree", posterior: Posterior, columns: Sequence[str]) -> Quantities:
    """Weights, means, standard deviations, what the priors learn, the log likelihood.

    Parameters
    ----------
    fit : DataTree
    posterior : Posterior
        Its draws with label switching undone.
    columns : sequence of str
        What to call the columns of the data.
    """
    chains = fit["posterior"].sizes["chain"], fit["posterior"].sizes["draw"]
    components = [str(name) for name in fit["posterior"].coords["component"].values]
    names: list[str] = []
    draws: list[Array] = []
    keys: list[tuple[Any, ...]] = []

    def add(name: str, values: Array, *key: Any) -> None:
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
    for name, value in _learned(fit, columns).items():
        add(name, value, *name.split())
    if "sample_stats" in fit.children:
        stats = fit["sample_stats"].to_dataset()
        for name, said in SAMPLER.items():
            if name in stats:
                add(said, stats[name].transpose("chain", "draw").values, said)
    return Quantities(tuple(names), np.stack(draws), tuple(keys))


def _learned(fit: "xr.DataTree", columns: Sequence[str]) -> dict[str, Array]:
    """Return the parameters of the priors that are estimated, each (chain, draw)."""
    found = {}
    for name, variable in fit["posterior"].to_dataset().data_vars.items():
        rest = [dim for dim in variable.dims if dim not in {"chain", "draw"}]
        if name in OWN or rest not in ([], ["feature"]):
            continue
        values = variable.transpose("chain", "draw", *rest).values
        if not rest:
            found[str(name)] = values
        else:
            found |= {f"{name} of {column}": values[..., j] for j, column in enumerate(columns)}
    return found
