"""Convergence of the chains: of each component, before and after relabelling, and of label-free quantities."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.labels.alignments import Responsibilities
from bayesgmm.labels.relabelling import KEPT, component_order, inverse, relabel, reorder
from bayesgmm.labels.subsamples import Rows, evenly
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, holds_points, observed, unpack
from bayesgmm.sweep.stats import Array, Blocks, draw_responsibilities, log_densities

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

REFERENCES = 20  # points at which the density is looked at
POINTS = 10_000  # points that stand for all, in sums over them
LEAST_DRAWS = 4  # a chain: with fewer R-hat says nothing


def label_convergence(fit: "xr.DataTree", *, progress: bool = True) -> "pd.DataFrame":
    """R-hat and bulk effective sample size as the draws were drawn, after relabelling, and of what needs no labels.

    Chains that call components differently have a large R-hat as drawn and a good one after relabelling. Where it stays
    large, look at the label-free rows: when they are good, the labels mean nothing (``info(fit).labels`` says
    which); when they are not, the chains are in different places, and no relabelling helps.

    Parameters
    ----------
    fit : DataTree
        A trace that has not been relabelled is, by ``relabel``.
    progress : bool
        Show how far it is where it takes longer than two seconds.

    Returns
    -------
    DataFrame
        Columns ``rhat_drawn``, ``rhat``, ``ess_drawn``, ``ess``. Rows by ``kind`` and ``quantity``: ``"labelled"``:
        every component's ``weight``, ``mean`` and ``variance``, under ArviZ's names, ``mean[0, petal_width]``;
        ``"label-free"``: what ``label_free`` returns, ``log_density[3]``, alike in both. NaN for what never varies, for
        R-hat of one chain, with fewer than four draws, and as drawn in a file that does not tell.

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), 667-718.
    """
    import pandas as pd

    unknown = info(fit).relabelled is not None and not _holds_order(fit)
    if not _holds_order(fit) and not unknown and holds_points(fit):
        fit = relabel(fit, progress=progress)
    posterior, order = unpack(fit), component_order(fit)
    drawn = replace(posterior, parameters=reorder(posterior.parameters, inverse(order)))
    before, after = (_measured(_labelled(fit, one)) for one in (drawn, posterior))
    if unknown:
        before = before * np.nan
    labelled = before.add_suffix("_drawn").join(after)
    free = _measured(label_free(fit, progress=progress))
    parts = {"labelled": labelled, "label-free": free.add_suffix("_drawn").join(free)}
    return pd.concat(parts, names=["kind", "quantity"])[["rhat_drawn", "rhat", "ess_drawn", "ess"]]


def label_free(fit: "xr.DataTree", *, progress: bool = True) -> "xr.Dataset":
    r"""Compute quantities that do not depend on labels, by which chains can be compared.

    Of more than 10,000 points, evenly spaced ones are used. Only the total log likelihood that a fit by bayesgmm stores
    is that of all points.

    Returns
    -------
    Dataset
        For every [chain, draw]: ``loglik``, the total log likelihood; ``log_density`` [reference], at 20 points of the
        data from one end to the other along their longest axis; ``n_occupied``, how many components have any of the
        points, on average over the allocations, :math:`\sum_k 1 - \prod_n (1 - p_{nk})`; ``together`` [pair], the
        probability that two neighbours among the 20 are of one component. Nothing in a fit without observed data but
        ``loglik``, where it holds that.
    """
    import xarray as xr

    dims = ("chain", "draw")
    sizes = tuple(fit["posterior"].sizes[name] for name in dims)
    found = {}
    if "sample_stats" in fit.children and "loglik" in fit["sample_stats"]:
        found["loglik"] = fit["sample_stats"]["loglik"].transpose(*dims).values
    if holds_points(fit):
        found |= _of_points(unpack(fit), observed(fit), "loglik" not in found, progress)
    inner = {"log_density": ("reference",), "together": ("pair",)}
    named = {
        name: (
            (*dims, *inner.get(name, ())),
            values.reshape(*sizes, *values.shape[values.ndim - len(inner.get(name, ())) :]),
        )
        for name, values in found.items()
    }
    return xr.Dataset(named, coords={name: np.arange(size) for name, size in zip(dims, sizes, strict=True)})


def _of_points(posterior: Posterior, points: Points, with_loglik: bool, progress: bool) -> dict[str, Array]:
    """The label-free numbers of S draws."""
    tables, standard, threads = posterior.tables(), posterior.standard, os.cpu_count() or 1
    rows = evenly(np.arange(len(points.values)), POINTS)
    few = (points.values[rows] - standard.shift) / standard.scale
    weight = np.ones(len(rows)) if points.weights is None else points.weights[rows]
    responsibilities = Responsibilities(Blocks.from_rows(few, weight), tables, threads, progress)
    references = Blocks.from_rows(few[along_longest_axis(few, REFERENCES)])
    shares = draw_responsibilities(references, tables, threads)
    found = {
        "log_density": log_densities(references, tables, threads) - standard.log_scale,
        "n_occupied": -np.expm1(responsibilities.log_empty()).sum(axis=1),
        "together": (shares[:, 1:] * shares[:, :-1]).sum(axis=2),
    }
    if with_loglik:
        scaled = responsibilities.logliks() * _total(points) / responsibilities.blocks.total_weight
        found = {"loglik": scaled - standard.log_scale * _total(points)} | found
    return found


def _total(points: Points) -> float:
    return float(len(points.values) if points.weights is None else points.weights.sum())


def along_longest_axis(rows: Array, size: int) -> Rows:
    """Some of the rows (N, D), evenly spaced by rank along their first principal axis.

    Examples
    --------
    Of four rows in the order 1, 0, 3, 2, the second and the fourth.

    >>> along_longest_axis(np.array([[0.0, 5.0], [0.0, 1.0], [0.1, 9.0], [0.0, 7.0]]), 2)
    array([0, 2])
    """
    centred = rows - rows.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    longest = axes[:, -1] * np.sign(axes[np.abs(axes[:, -1]).argmax(), -1])
    ranks = (np.arange(size) + 0.5) * len(rows) / size
    return np.argsort(centred @ longest, kind="stable")[np.unique(ranks.astype(int))]


def _holds_order(fit: "xr.DataTree") -> bool:
    return "sample_stats" in fit.children and KEPT in fit["sample_stats"]


def _labelled(fit: "xr.DataTree", posterior: Posterior) -> "xr.Dataset":
    """Weights, means and variances of draws, by chain and draw."""
    import xarray as xr

    coords = {name: fit["posterior"].coords[name] for name in ("component", "feature")}
    shape = tuple(fit["posterior"].sizes[name] for name in ("chain", "draw"))
    p = posterior.parameters
    variance = np.diagonal(p.covariance, axis1=-2, axis2=-1)
    values = {"weight": p.weight, "mean": p.mean, "variance": variance}
    dims = ("chain", "draw", "component", "feature")
    return xr.Dataset(
        {name: (dims[: v.ndim + 1], v.reshape(*shape, *v.shape[1:])) for name, v in values.items()}, coords
    )


def _measured(values: "xr.Dataset") -> "pd.DataFrame":
    """R-hat and bulk ESS of every number, by ArviZ's names."""
    import arviz as az
    import pandas as pd

    if values.sizes["draw"] < LEAST_DRAWS:
        blank = values.isel(chain=0, draw=0, drop=True) * np.nan
        return pd.DataFrame({"rhat": _listed(blank), "ess": _listed(blank)})
    with np.errstate(invalid="ignore", divide="ignore"):  # what never moves has none: NaN
        rhat, ess = az.rhat(values), az.ess(values)
    found = pd.DataFrame({"rhat": _listed(rhat), "ess": _listed(ess)})
    found.loc[found["rhat"].isna() & (values.sizes["chain"] > 1), "ess"] = np.nan
    return found


def _listed(values: "xr.Dataset") -> "pd.Series[float]":
    """Every number of a Dataset by its name, ``mean[0, petal_width]``."""
    import pandas as pd

    found = {}
    for name, array in values.data_vars.items():
        for index in np.ndindex(array.shape):
            place = ", ".join(
                str(array[dim].values[i] if dim in array.coords else i)
                for dim, i in zip(array.dims, index, strict=True)
            )
            found[f"{name}[{place}]" if place else str(name)] = float(array.values[index])
    return pd.Series(found)
