"""The one schema of results: pack, unpack, save, load. Whoever has a fit has this, whatever made it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import DataLike, Points, RowLabels, Standard, as_points, has_columns, listing
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, FitFileError
from bayesgmm.files import in_place_of, writable
from bayesgmm.posterior.info import SCHEMA, stored_schema
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.stats import Array, Table, cholesky

if TYPE_CHECKING:
    import xarray as xr

FORMATS = (".nc", ".zarr")  # NetCDF and zarr
DIMS = {
    "weight": ("component",),
    "mean": ("component", "feature"),
    "covariance": ("component", "feature", "feature_bis"),
}


def pack(
    points: Points,
    standard: Standard,
    parameters: Parameters,
    stats: dict[str, Array],
    groups: dict[str, dict[str, tuple[str, Array]]] | None = None,
) -> "xr.DataTree":
    """Put draws into the schema.

    Parameters
    ----------
    points : Points
        The data that were fitted.
    standard : Standard
        Their shift and scale.
    parameters : Parameters
        Draws with leading axes (chain, draw), in data units.
    stats : dict of (chain, draw) or (chain, draw, component) arrays
        Becomes ``sample_stats``.
    groups : dict, optional
        More groups: variables by name, each its dimension and its values.
    """
    import xarray as xr

    more = {name: xr.Dataset(variables) for name, variables in (groups or {}).items()}
    own = {"posterior": _mixtures(points.columns, parameters), "sample_stats": _statistics(stats, parameters)}
    return xr.DataTree.from_dict(own | _data(points, standard) | more)


def pack_prior(points: Points, standard: Standard, parameters: Parameters, simulated: Array) -> "xr.DataTree":
    """Put draws from the prior (S, ...) into the schema, and data sets (S, M, D) that were simulated from them."""
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


def _mixtures(columns: tuple[str, ...], parameters: Parameters) -> "xr.Dataset":
    import xarray as xr

    values = {name: (DIMS[name], getattr(parameters, name)) for name in DIMS}
    for name, value in parameters.extras.items():  # a number, or one a column
        values[name] = ((), ("feature",))[value.ndim - 2], value
    chain, draw, component = (np.arange(n) for n in parameters.weight.shape)
    features = np.array(columns)
    return xr.Dataset(
        {name: (("chain", "draw", *dims), value) for name, (dims, value) in values.items()},
        coords={"chain": chain, "draw": draw, "component": component, "feature": features, "feature_bis": features},
    )


def _statistics(stats: dict[str, Array], parameters: Parameters) -> "xr.Dataset":
    import xarray as xr

    dims = ("chain", "draw", "component")
    named = {name: (dims[: value.ndim], value) for name, value in stats.items()}
    used = dims[: max(value.ndim for value in stats.values())]
    return xr.Dataset(
        named, coords={name: np.arange(n) for name, n in zip(used, parameters.weight.shape, strict=False)}
    )


def _data(points: Points, standard: Standard) -> "dict[str, xr.Dataset]":
    import xarray as xr

    features = np.array(points.columns)
    values: dict[str, Any] = {"x": (("point", "feature"), points.values)}
    if points.weights is not None:
        values["sample_weight"] = ("point", points.weights)
    observed = xr.Dataset(values, coords={"point": plain_index(points.index), "feature": features})
    constant = xr.Dataset(
        {"shift": ("feature", standard.shift), "scale": ("feature", standard.scale)}, coords={"feature": features}
    )
    return {"observed_data": observed, "constant_data": constant}


def plain_index(index: RowLabels) -> NDArray:
    """Row labels that a file can hold: numbers and dates of our centuries as they are, all else as text."""
    index = np.asarray(index)
    if index.dtype.kind == "M":
        years = index.astype("M8[Y]")
        fits = ~((years < np.datetime64("1678")) | (years > np.datetime64("2261")))
        return index if fits.all() else np.array([str(label) for label in index])
    return index if index.dtype.kind in "iuf" else np.array([str(label) for label in index])


@dataclass(frozen=True)
class Posterior:
    """The draws of a fit, chains laid end to end, with what is needed to score points.

    Parameters
    ----------
    parameters : Parameters
        (S, ...) draws in data units.
    columns : tuple of str
    standard : Standard
    """

    parameters: Parameters
    columns: tuple[str, ...]
    standard: Standard

    @property
    def n_draws(self) -> int:
        """S."""
        return len(self.parameters.weight)

    def thin(self, draws: int | None) -> "Posterior":
        """At most this many draws, evenly spaced; all when None."""
        if draws is None or whole("draws", draws) >= self.n_draws:
            return self
        chosen = np.linspace(0, self.n_draws - 1, draws).round().astype(int)
        p = self.parameters
        kept = Parameters(p.weight[chosen], p.mean[chosen], p.covariance[chosen])
        return Posterior(kept, self.columns, self.standard)

    def tables(self) -> Table:
        """(S, K) the tables of all draws, in standardised coordinates."""
        p, (shift, scale) = self.parameters, (self.standard.shift, self.standard.scale)
        chol = cholesky(p.covariance / np.outer(scale, scale))
        root = np.linalg.solve(chol, np.broadcast_to(np.eye(len(scale)), chol.shape))
        with np.errstate(divide="ignore"):  # a weight of zero scores minus infinity, as it should
            log_weight = np.log(p.weight)
        return Table.from_parameters(log_weight, (p.mean - shift) / scale, np.tril(root))


def unpack(fit: "xr.DataTree") -> Posterior:
    """Read the draws of any tree of the schema, ours or one that PyMC made.

    Raises
    ------
    FitFileError
        When it is not a tree of the schema.
    """
    _require_schema(fit, "this object")
    posterior = fit["posterior"].to_dataset()
    values = {name: posterior[name].transpose("chain", "draw", *dims).values for name, dims in DIMS.items()}
    columns = tuple(str(name) for name in posterior["feature"].values)
    parameters = Parameters(values["weight"], values["mean"], values["covariance"]).flat()
    return Posterior(parameters, columns, _standard(fit, parameters))


def _standard(fit: "xr.DataTree", parameters: Parameters) -> Standard:
    """The shift and scale that the fit was made with; without them, what its draws look like."""
    if "constant_data" in fit.children and "shift" in fit["constant_data"]:
        constant = fit["constant_data"].to_dataset()
        return Standard(constant["shift"].values, constant["scale"].values)
    variance = np.diagonal(parameters.covariance, axis1=-2, axis2=-1)
    return Standard(parameters.mean.mean(axis=(0, 1)), 2.0 ** np.round(0.5 * np.log2(variance.mean(axis=(0, 1)))))


def observed(fit: "xr.DataTree") -> Points:
    """The points that were fitted."""
    if not holds_points(fit):
        raise FitFileError("this fit holds no observed data; give the points to be scored")
    data = fit["observed_data"].to_dataset()
    x = data["x"].transpose("point", "feature")
    columns = tuple(str(name) for name in x.coords["feature"].values)
    index = x["point"].values if "point" in x.coords else np.arange(x.sizes["point"])
    return Points(x.values, columns, index, data["sample_weight"].values if "sample_weight" in data else None)


def holds_points(fit: "xr.DataTree") -> bool:
    """Whether a fit has the points that it was made from; PyMC's minibatches leave none."""
    if "observed_data" not in fit.children or "x" not in fit["observed_data"]:
        return False
    return set(fit["observed_data"]["x"].dims) == {"point", "feature"}


def points_for(fit: "xr.DataTree", data: DataLike | None) -> Points:
    """New data with the columns of a fit; the fit's own data when there are none.

    Raises
    ------
    DataError
        When the columns are not those of the fit.
    """
    _require_schema(fit, "this object")
    if data is None:
        return observed(fit)
    columns = [str(name) for name in fit["posterior"].coords["feature"].values]
    if not has_columns(data):
        points = as_points(data)
        if points.values.shape[1] != len(columns):
            raise DataError(
                f"the fit has {len(columns)} columns ({listing(columns)}), the data have shape {points.values.shape}"
            )
        return Points(points.values, tuple(columns), points.index)
    missing = [name for name in columns if name not in {str(c) for c in data.columns}]
    if missing:
        raise DataError(
            f"the fit was made for columns {listing(columns)}; the data lack {listing(missing)}\n"
            f"  They have {listing([str(c) for c in data.columns])}."
        )
    return as_points(data, columns)


def _require_schema(fit: Any, what: str) -> None:
    groups = getattr(fit, "children", {})
    present = set(fit["posterior"].data_vars) if "posterior" in groups else set()
    missing = [name for name in DIMS if name not in present]
    if missing:
        raise FitFileError(f"{what} is not a fit: its posterior lacks {listing(missing)}")
    for name, dims in DIMS.items():
        found = fit["posterior"][name].dims
        if set(found) != {"chain", "draw", *dims}:
            raise FitFileError(f"{what} is not a fit: {name} has dims {found}, not {('chain', 'draw', *dims)}")
    posterior = fit["posterior"].to_dataset()
    unnamed = [dim for dim in ("component", "feature") if dim not in posterior.coords]
    if unnamed:
        raise FitFileError(f"{what} is not a fit: its posterior has no coordinates for {listing(unnamed)}")
    if posterior.sizes["feature"] != posterior.sizes["feature_bis"]:
        raise FitFileError(f"{what} is not a fit: its covariances are not square; select feature_bis like feature")


def save(fit: "xr.DataTree", path: str | Path) -> Path:
    """Write a fit as NetCDF (``.nc``) or zarr (``.zarr``): all of it, or nothing.

    Raises
    ------
    FitFileError
        When it can't be written.
    """
    path = writable(path, *FORMATS)
    _require_schema(fit, "this object")
    with in_place_of(path) as partial:
        if path.suffix.lower() == ".nc":
            fit.to_netcdf(partial, engine="h5netcdf")
            return path
        try:
            fit.to_zarr(partial, mode="w", consolidated=False)
        except ImportError as error:
            raise FitFileError(f"{path} can't be written: {error}\n  Try pip install 'bayesgmm[zarr]'.") from error
    return path


def load(path: str | Path) -> "xr.DataTree":
    """Read a fit back into memory.

    Raises
    ------
    FitFileError
        When it is not there, damaged, or not a fit.
    """
    import xarray as xr

    path = Path(path)
    if not path.exists():
        raise FitFileError(f"there is no file {path}")
    keywords: dict[str, Any] = {"engine": "h5netcdf"}
    if path.is_dir():
        keywords = {"engine": "zarr", "consolidated": False}
    try:
        with xr.open_datatree(path, **keywords) as tree:
            fit = tree.load()
    except Exception as error:  # each format has its own family of errors
        raise FitFileError(f"{path} can't be read as a fit: it is damaged, or something else ({error})") from error
    _require_schema(fit, str(path))
    stored = stored_schema(fit)
    if stored > SCHEMA:
        raise FitFileError(f"{path} has schema {stored}; this version reads up to {SCHEMA}: upgrade bayesgmm")
    return fit
