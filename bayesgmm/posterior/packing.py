"""Fits are made from draws: the groups, variables and coordinates of the schema."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.cells import RowLabels
from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.data.streams import Stream
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

DIMS = {
    "weight": ("component",),
    "mean": ("component", "feature"),
    "covariance": ("component", "feature", "feature_bis"),
}
EXTRA_DIMS = {"factor_shrinkage": ("factor",)}  # of hyperparameters that are not numbers of columns
FACTORS = "factors"  # group with loadings and noise

Groups = Mapping[str, Mapping[str, tuple[str | tuple[str, ...], NDArray[Any]]]]


def pack(
    points: Points | Stream,
    standard: Standard,
    parameters: Parameters,
    stats: dict[str, Array],
    groups: Groups | None = None,
) -> "xr.DataTree":
    """Make a fit from draws.

    Parameters
    ----------
    points : Points or Stream
        Fitted data. The rows of a stream are not stored.
    standard : Standard
        Shift and scale of the data.
    parameters : Parameters
        Draws with leading axes (chain, draw), in data units.
    stats : dict of (chain, draw) or (chain, draw, component) arrays
        Variables of ``sample_stats``.
    groups : dict, optional
        Additional groups: for each variable name, its dimensions and values.
    """
    import xarray as xr

    names = np.arange(parameters.weight.shape[-1])
    if points.labels is not None:
        names = points.labels.component_names(names.size)
    coords = {"component": names, "feature": np.array(points.columns)}
    more = {name: _additional(variables, coords) for name, variables in (groups or {}).items()}
    own = {
        "posterior": _mixtures(points.columns, parameters, names),
        "sample_stats": _statistics(stats, parameters, names),
    }
    return xr.DataTree.from_dict(own | _data(points, standard) | more)


def _additional(variables: Mapping[str, Any], coords: dict[str, NDArray[Any]]) -> "xr.Dataset":
    """Return a group of variables, with the coordinates of the dimensions that they have."""
    import xarray as xr

    group = xr.Dataset(variables)
    return group.assign_coords({name: values for name, values in coords.items() if name in group.dims})


def pack_prior(points: Points, standard: Standard, parameters: Parameters, simulated: Array) -> "xr.DataTree":
    """Make a tree from prior draws (S, ...) and data sets (S, M, D) simulated from them."""
    import xarray as xr

    one_chain = Parameters(
        parameters.weight[None],
        parameters.mean[None],
        parameters.covariance[None],
        {name: value[None] for name, value in parameters.extras.items()},
    )
    predictive = xr.Dataset(
        {"x": (("chain", "draw", "point", "feature"), simulated[None])},
        coords={
            "chain": [0],
            "draw": np.arange(len(simulated)),
            "point": np.arange(simulated.shape[1]),
            "feature": np.array(points.columns),
        },
    )
    groups = {"prior": _mixtures(points.columns, one_chain), "prior_predictive": predictive}
    return xr.DataTree.from_dict(groups | _data(points, standard))


def _mixtures(columns: tuple[str, ...], parameters: Parameters, names: NDArray[Any] | None = None) -> "xr.Dataset":
    import xarray as xr

    values = {name: (DIMS[name], getattr(parameters, name)) for name in DIMS}
    for name, value in parameters.extras.items():  # one number, or one per column or factor
        values[name] = EXTRA_DIMS.get(name, ("feature",)) if value.ndim > 2 else (), value
    chain, draw, component = (np.arange(n) for n in parameters.weight.shape)
    component = component if names is None else names
    features = np.array(columns)
    return xr.Dataset(
        {name: (("chain", "draw", *dims), value) for name, (dims, value) in values.items()},
        coords={"chain": chain, "draw": draw, "component": component, "feature": features, "feature_bis": features},
    )


def _statistics(stats: dict[str, Array], parameters: Parameters, names: NDArray[Any]) -> "xr.Dataset":
    import xarray as xr

    dims = ("chain", "draw", "component")
    named = {name: (dims[: value.ndim], value) for name, value in stats.items()}
    used = dims[: max(value.ndim for value in stats.values())]
    coords = {name: np.arange(n) for name, n in zip(used, parameters.weight.shape, strict=False)}
    return xr.Dataset(named, coords=coords | ({"component": names} if "component" in coords else {}))


def _data(points: Points | Stream, standard: Standard) -> "dict[str, xr.Dataset]":
    import xarray as xr

    features = np.array(points.columns)
    constant = xr.Dataset(
        {"shift": ("feature", standard.shift), "scale": ("feature", standard.scale)}, coords={"feature": features}
    )
    if isinstance(points, Stream):
        return {"constant_data": constant}
    return {"observed_data": observed_data(points), "constant_data": constant}


def observed_data(points: Points) -> "xr.Dataset":
    """Return the group of a fit that holds its points."""
    import xarray as xr

    values: dict[str, object] = {"x": (("point", "feature"), points.values)}
    if points.weights is not None:
        values["sample_weight"] = ("point", points.weights)
    if points.noise is not None:
        values["noise"] = (("point", "feature", "feature_bis")[: points.noise.ndim], points.noise)
    coords = {"point": plain_index(points.index), "feature": np.array(points.columns)}
    if points.labels is not None:
        values["plausibility"] = (("point", "labelled"), points.labels.plausible)
        coords["labelled"] = np.array(points.labels.columns)
    return xr.Dataset(values, coords=coords)


def plain_index(index: RowLabels) -> NDArray[Any]:
    """Convert row labels to types that a file can store: numbers, dates from 1678 to 2261, and text for all others."""
    index = np.asarray(index)
    if index.dtype.kind == "M":
        years = index.astype("M8[Y]")
        fits = ~((years < np.datetime64("1678")) | (years > np.datetime64("2261")))
        return index if fits.all() else np.array([str(label) for label in index])
    return index if index.dtype.kind in "iuf" else np.array([str(label) for label in index])
