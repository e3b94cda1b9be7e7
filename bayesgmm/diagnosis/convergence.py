"""Convergence of the chains, for each component before and after relabelling, and for label-free quantities."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.diagnosis.mixing import rhat_and_ess
from bayesgmm.labels.relabelling import KEPT, component_order, inverse, relabel, reorder
from bayesgmm.labels.responsibilities import Responsibilities
from bayesgmm.labels.subsamples import Rows, evenly
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.chain_statistics import MIN_DRAWS
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, holds_points, observed, unpack
from bayesgmm.sweep.stats import Array, draw_responsibilities, log_densities

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

REFERENCES = 20  # number of points at which the density is computed
POINTS = 10_000  # maximum number of points in sums over the points


@takes_fit
def label_convergence(fit: FitLike, *, progress: bool = True) -> "pd.DataFrame":
    """Compute R-hat and bulk ESS before and after relabelling, and for quantities that do not depend on labels.

    If the chains number the components differently, R-hat is large before relabelling and near 1 after it. If it is
    still large after relabelling, compare the label-free rows. If these are near 1, the labels have no meaning
    (``info(fit).labels`` names the components). If not, the chains are in different modes, and relabelling can't help.

    Parameters
    ----------
    fit : DataTree or estimator
        A trace that has not been relabelled is relabelled first, by ``relabel``.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    DataFrame
        Columns ``rhat_drawn``, ``rhat``, ``ess_drawn``, ``ess``. Rows by ``kind`` and ``quantity``: ``"labelled"``:
        every component's ``weight``, ``mean`` and ``variance``, under ArviZ's names, ``mean[0, petal_width]``;
        ``"label-free"``: the total log likelihood, log densities, the number of occupied components and co-clustering
        probabilities, equal in both columns. NaN for constants, for R-hat of one chain, with fewer than four draws, and
        in the ``_drawn`` columns of a fit that does not store the order of its components.

    Raises
    ------
    FitFileError
        When ``fit`` is not a fit.

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), 667-718.

    Examples
    --------
    Two groups that are far apart: the chains agree about both components.

    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [9.0], [10.0], [11.0], [12.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "gibbs", draws=500, seed=1, progress=False)
    >>> table = label_convergence(fit, progress=False)
    >>> bool(table.loc[("labelled", "mean[0, x0]"), "rhat"] < 1.05)
    True
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
    r"""Compute quantities that do not depend on labels, to compare chains.

    With more than 10,000 points, an evenly spaced subset is used. Only a total log likelihood that the fit stores is
    that of all points.

    Returns
    -------
    Dataset
        For every [chain, draw]: ``loglik``, the total log likelihood; ``log_density`` [reference], at 20 points of the
        data along their first principal axis; ``n_occupied``, the expected number of components with at least one
        point, :math:`\sum_k 1 - \prod_n (1 - p_{nk})`; ``together`` [pair], the probability that two neighbours among
        the 20 points are in the same component. Without observed data, only ``loglik``, if the fit stores it.
    """
    import xarray as xr

    dims = ("chain", "draw")
    sizes = tuple(fit["posterior"].sizes[name] for name in dims)
    quantities = {}
    if "sample_stats" in fit.children and "loglik" in fit["sample_stats"]:
        quantities["loglik"] = fit["sample_stats"]["loglik"].transpose(*dims).values
    if holds_points(fit):
        quantities |= _of_points(unpack(fit), observed(fit), "loglik" not in quantities, progress)
    inner = {"log_density": ("reference",), "together": ("pair",)}
    named = {
        name: (
            (*dims, *inner.get(name, ())),
            values.reshape(*sizes, *values.shape[values.ndim - len(inner.get(name, ())) :]),
        )
        for name, values in quantities.items()
    }
    return xr.Dataset(named, coords={name: np.arange(size) for name, size in zip(dims, sizes, strict=True)})


def _of_points(posterior: Posterior, points: Points, with_loglik: bool, progress: bool) -> dict[str, Array]:
    """Compute the label-free quantities of S draws from points."""
    tables, standard, threads = posterior.tables(), posterior.standard, os.cpu_count() or 1
    rows = evenly(np.arange(len(points.values)), POINTS)
    few = points.take(rows)
    responsibilities = Responsibilities(standard.blocks(few, few.weights), tables, threads, progress)
    references = standard.blocks(few.take(along_longest_axis(responsibilities.blocks.rows(), REFERENCES)))
    shares = draw_responsibilities(references, tables, threads)
    quantities = {
        "log_density": log_densities(references, tables, threads) - standard.log_scales(references),
        "n_occupied": -np.expm1(responsibilities.log_empty()).sum(axis=1),
        "together": (shares[:, 1:] * shares[:, :-1]).sum(axis=2),
    }
    if with_loglik:
        blocks = responsibilities.blocks
        inflated = _total(points) / blocks.total_weight
        quantities = {"loglik": inflated * (responsibilities.logliks() - standard.log_units(blocks))} | quantities
    return quantities


def _total(points: Points) -> float:
    return float(len(points.values) if points.weights is None else points.weights.sum())


def along_longest_axis(rows: Array, size: int) -> Rows:
    """Choose some of the rows (N, D), evenly spaced by rank along their first principal axis.

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
    """Return weights, means and variances of draws, by chain and draw."""
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
    """Compute R-hat and bulk ESS of every quantity, by ArviZ's names."""
    import pandas as pd

    if values.sizes["draw"] < MIN_DRAWS:
        blank = values.isel(chain=0, draw=0, drop=True) * np.nan
        return pd.DataFrame({"rhat": _listed(blank), "ess": _listed(blank)})
    rhat, ess = rhat_and_ess(values)
    measured = pd.DataFrame({"rhat": _listed(rhat), "ess": _listed(ess)})
    measured.loc[measured["rhat"].isna() & (values.sizes["chain"] > 1), "ess"] = np.nan
    return measured


def _listed(values: "xr.Dataset") -> "pd.Series[float]":
    """Return every number of a Dataset by its name, ``mean[0, petal_width]``."""
    import pandas as pd

    numbers = {}
    for name, array in values.data_vars.items():
        for index in np.ndindex(array.shape):
            place = ", ".join(
                str(array[dim].values[i] if dim in array.coords else i)
                for dim, i in zip(array.dims, index, strict=True)
            )
            numbers[f"{name}[{place}]" if place else str(name)] = float(array.values[index])
    return pd.Series(numbers)
