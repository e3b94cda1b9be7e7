"""The schema of fits, common to all engines: unpack, save, load; ``packing`` makes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.columns import not_numeric
from bayesgmm.data.containers import named_frame
from bayesgmm.data.labels import Labels
from bayesgmm.data.points import DataLike, Points, as_points
from bayesgmm.data.standards import Standard
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, FitFileError
from bayesgmm.files import writable
from bayesgmm.keywords import checks_keywords
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.info import SCHEMA, info, stored_schema
from bayesgmm.posterior.missing_codes import decoded
from bayesgmm.posterior.packing import DIMS, observed_data
from bayesgmm.posterior.parameters import Parameters, are_covariances, are_probabilities
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array, Table
from bayesgmm.transforms.columns import ColumnTransforms
from bayesgmm.tree_files import ENDINGS, read_tree, write_tree
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import xarray as xr

FORMATS = ENDINGS
KNOWN = ("noise", "plausibility")  # what is known of the fitted points beside their values
FAR = 1.2e150  # standard deviations from the fitted points beyond which all log densities have one value, -1e300


@dataclass(frozen=True)
class Posterior:
    """Draws of a fit, with all chains combined, and the standardisation of the points.

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
        """Number of draws, S."""
        return len(self.parameters.weight)

    def thin(self, draws: int | None) -> "Posterior":
        """Return at most ``draws`` evenly spaced draws; all if None.

        Raises
        ------
        DeclarationError
            If ``draws`` is not a whole number of at least 1.
        """
        if draws is None or whole("draws", draws) >= self.n_draws:
            return self
        chosen = np.linspace(0, self.n_draws - 1, draws).round().astype(int)
        p = self.parameters
        kept = Parameters(p.weight[chosen], p.mean[chosen], p.covariance[chosen])
        return Posterior(kept, self.columns, self.standard)

    def tables(self) -> Table:
        """Make the tables (S, K) that score points under each draw, in standardised coordinates."""
        p, (shift, scale) = self.parameters, (self.standard.shift, self.standard.scale)
        chol = cholesky(p.covariance / np.outer(scale, scale))
        root = np.linalg.solve(chol, np.broadcast_to(np.eye(len(scale)), chol.shape))
        with np.errstate(divide="ignore"):  # the log of a zero weight is minus infinity
            log_weight = np.log(p.weight)
        return Table.from_parameters(log_weight, (p.mean - shift) / scale, np.tril(root))


def unpack(fit: "xr.DataTree") -> Posterior:
    """Read the draws of a fit, or of a trace from a PyMC model of ``build_model``.

    Raises
    ------
    FitFileError
        If it does not have the schema of a fit.
    """
    _require_schema(fit, "this object")
    posterior = fit["posterior"].to_dataset()
    values = {name: posterior[name].transpose("chain", "draw", *dims).values for name, dims in DIMS.items()}
    columns = tuple(str(name) for name in posterior["feature"].values)
    parameters = Parameters(values["weight"], values["mean"], values["covariance"]).flat()
    return Posterior(parameters, columns, _standard(fit, parameters))


def _standard(fit: "xr.DataTree", parameters: Parameters) -> Standard:
    """Return the shift and scale of a fit; if not stored, they are estimated from the draws."""
    if "constant_data" in fit.children and "shift" in fit["constant_data"]:
        constant = fit["constant_data"].to_dataset()
        return Standard(constant["shift"].values, constant["scale"].values)
    variance = np.diagonal(parameters.covariance, axis1=-2, axis2=-1)
    return Standard(parameters.mean.mean(axis=(0, 1)), 2.0 ** np.round(0.5 * np.log2(variance.mean(axis=(0, 1)))))


def transforms_of(fit: "xr.DataTree") -> ColumnTransforms:
    """Return the transforms from data units to the columns of a fit; none changes if it was fitted in data units."""
    return info(fit).transforms or ColumnTransforms(dict.fromkeys(_features(fit)))


def _features(fit: "xr.DataTree") -> list[str]:
    return [str(name) for name in fit["posterior"].coords["feature"].values]


def observed(fit: "xr.DataTree") -> Points:
    """Return the fitted points, in the columns of the fit: transformed ones, if it has transforms.

    Raises
    ------
    FitFileError
        If the fit has none.
    """
    if not holds_points(fit):
        raise FitFileError(_without_points(fit))
    data = fit["observed_data"].to_dataset()
    if "constant_data" in fit.children:  # where PyMC stores what is not random
        constant = fit["constant_data"].to_dataset()
        data = data.assign({name: constant[name] for name in KNOWN if name in constant})
    x = data["x"].transpose("point", "feature")
    columns = tuple(str(name) for name in x.coords["feature"].values)
    index = x["point"].values if "point" in x.coords else np.arange(x.sizes["point"])
    weights = data["sample_weight"].values if "sample_weight" in data else None
    noise = data["noise"].transpose("point", "feature", ...).values if "noise" in data else None
    return Points(x.values, columns, index, weights, noise, _labels(data))


def _without_points(fit: "xr.DataTree") -> str:
    if (source := info(fit).source) is None:
        return "this fit has no observed data; pass the data"
    return (
        f"this fit has no observed data: the {plural(source.n_rows, 'row')} of {source.name} were read in parts\n"
        "  Pass the rows, or make a fit that holds some of them: with_points(fit, rows)."
    )


@takes_fit
def with_points(fit: FitLike, data: DataLike) -> "xr.DataTree":
    """Return a copy of a fit that holds these points as its data, for answers about the fitted points.

    A fit to rows that were read in parts does not hold them. With some or all of them, ``diagnose``, plots and the
    report show these rows.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or table
        In data units; columns are found by their names.

    Returns
    -------
    DataTree

    Raises
    ------
    DataError
        If the columns are not those of the fit.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), [[0.0], [1.0], [3.0]], "em", memory="1GiB", progress=False)
    >>> with_points(fit, [[0.0], [3.0]])["observed_data"].sizes["point"]
    2
    """
    import xarray as xr

    held = fit.copy()
    held["observed_data"] = xr.DataTree(observed_data(points_for(fit, data)))
    return held


def _labels(data: "xr.Dataset") -> Labels | None:
    """Read the labels of the fitted points."""
    if "plausibility" not in data:
        return None
    plausible = data["plausibility"].transpose("point", "labelled")
    names = tuple(str(name) for name in plausible["labelled"].values[:-1])
    are_numbers = names == tuple(map(str, range(len(names))))
    return Labels(plausible.values, () if are_numbers else names)


def holds_points(fit: "xr.DataTree") -> bool:
    """Return True if a fit contains the fitted points; a PyMC fit with minibatches does not."""
    if "observed_data" not in fit.children or "x" not in fit["observed_data"]:
        return False
    return set(fit["observed_data"]["x"].dims) == {"point", "feature"}


def in_fit_columns(fit: "xr.DataTree", values: Array) -> Points:
    """Return values (N, D) in the columns of a fit as points: they are not transformed."""
    return Points(values, tuple(_features(fit)), np.arange(len(values)))


def points_for(fit: "xr.DataTree", data: DataLike | None, noise: ArrayLike | None = None) -> Points:
    """Return new data as points in the columns of a fit; the fitted points, with their errors, if ``data`` is None.

    If the fit has transforms, data are in data units and are transformed. ``Points`` in the columns of the fit are not.

    Raises
    ------
    DataError
        If the columns are not those of the fit, or the data are not valid.
    FitFileError
        If ``data`` is None and the fit has no points.
    """
    _require_schema(fit, "this object")
    if data is None:
        return observed(fit).measured(noise)
    points = _of_same_columns(fit, data).measured(noise)
    if noise is not None:
        transforms_of(fit).require_none("noise")
    _require_near(fit, points)
    return points


def _of_same_columns(fit: "xr.DataTree", data: DataLike) -> Points:
    """Convert data to points with the columns of a fit: by name where they have names, else by position."""
    if isinstance(data, Points) and [*data.columns] == _features(fit):
        return _in_columns(data, _features(fit))
    transforms = transforms_of(fit)
    return transforms.applied(decoded(fit, _in_columns(data, list(transforms.names))))


def _in_columns(data: DataLike, columns: list[str]) -> Points:
    frame = None if isinstance(data, Points) else named_frame(data, columns)
    if frame is None:
        points = as_points(data, gaps=True)
        if points.values.shape[1] != len(columns):
            raise DataError(
                f"the fit has {len(columns)} columns ({listing(columns)}), the data have shape {points.values.shape}"
            )
        return replace(points, columns=tuple(columns), weights=None)
    names = [str(name) for name in frame.columns]
    if missing := [name for name in columns if name not in names]:
        others = [name for name in names if name not in columns]
        raise DataError(
            f"the fit was made for columns {listing(columns)}; the data lack {listing(missing)}\n"
            f"  They have {'no others' if not others else listing(others) + ' besides'}."
        )
    own = frame[[name for name in frame.columns if str(name) in columns]].infer_objects()
    require_numbers(columns, not_numeric(own))
    return as_points(frame, columns, gaps=True)


def require_numbers(columns: Sequence[str], wrong: Mapping[str, str]) -> None:
    """Check that data have numbers in the columns of a fit; the others are given, each with the reason.

    Raises
    ------
    DataError
    """
    if text := [name for name in columns if wrong.get(name)]:
        what = plural(len(text), "column is", "columns are")
        raise DataError(
            f"the fit needs numbers in {listing(columns)}; in these data {what} not numeric: {listing(text)}\n"
            "  Convert the text to numbers, or fit the other columns."
        )


def _require_near(fit: "xr.DataTree", points: Points) -> None:
    """Raise DataError for points of which the densities under all components are zero, whatever their ratio."""
    if "constant_data" not in fit.children or "shift" not in fit["constant_data"]:
        return
    constant = fit["constant_data"].to_dataset()
    shift, scale = constant["shift"].values, constant["scale"].values
    with np.errstate(over="ignore"):
        far = (np.abs(points.values - shift) > FAR * scale).any(axis=1)
    if far.any():
        raise DataError(
            f"{plural(int(far.sum()), 'row is', 'rows are')} further than {FAR:g} standard deviations from the fitted "
            f"points, where no density can be computed: row {points.index[far][0]}"
        )


def _require_schema(fit: Any, what: str) -> None:
    groups = getattr(fit, "children", {})
    present = set(fit["posterior"].data_vars) if "posterior" in groups else set()
    missing = [name for name in DIMS if name not in present]
    if missing:
        raise FitFileError(f"{what} is not a fit: its posterior lacks {listing(missing)}")
    for name, dims in DIMS.items():
        actual = fit["posterior"][name].dims
        if set(actual) != {"chain", "draw", *dims}:
            raise FitFileError(f"{what} is not a fit: {name} has dims {actual}, not {('chain', 'draw', *dims)}")
    posterior = fit["posterior"].to_dataset()
    unnamed = [dim for dim in ("component", "feature") if dim not in posterior.coords]
    if unnamed:
        raise FitFileError(f"{what} is not a fit: its posterior has no coordinates for {listing(unnamed)}")
    if empty := [dim for dim in ("chain", "draw", "component", "feature") if not posterior.sizes[dim]]:
        raise FitFileError(f"{what} is not a fit: it has no {listing(empty)}")
    if posterior.sizes["feature"] != posterior.sizes["feature_bis"]:
        raise FitFileError(f"{what} is not a fit: its covariances are not square; select feature_bis like feature")


@takes_fit
def save(fit: FitLike, path: str | Path) -> Path:
    """Write a fit as NetCDF (``.nc``) or zarr (``.zarr``). If writing fails, no partial file remains.

    Parameters
    ----------
    fit : DataTree or estimator
    path : str or Path
        Its suffix, ``.nc`` or ``.zarr``, is the format.

    Returns
    -------
    Path

    Raises
    ------
    FitFileError
        If ``fit`` is not a fit, or the file can't be written.

    Examples
    --------
    >>> import tempfile
    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), [[0.0], [1.0], [3.0]], "em", seed=1, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = bg.save(fit, f"{folder}/fit.nc")
    ...     bg.load(path)["posterior"].sizes["component"]
    1
    """
    path = writable(path, *FORMATS)
    _require_schema(fit, "this object")
    write_tree(fit, path)
    return path


@checks_keywords
def load(path: str | Path) -> "xr.DataTree":
    """Read a fit from a file that ``save`` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    DataTree

    Raises
    ------
    FitFileError
        If the file does not exist, is damaged, is not a fit, or has the schema of a later version.

    Examples
    --------
    >>> load("missing.nc")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.FitFileError: there is no file missing.nc
    """
    fit = read_tree(path, "a fit")
    _require_schema(fit, str(path))
    stored = stored_schema(fit)
    if stored > SCHEMA:
        raise FitFileError(f"{path} has schema {stored}; this version reads up to {SCHEMA}: upgrade bayesgmm")
    _require_values(fit, str(path))
    return fit


def _require_values(fit: "xr.DataTree", what: str) -> None:
    """Raise FitFileError if the numbers of a fit can't be those of a mixture."""
    posterior = unpack(fit)
    p, standard = posterior.parameters, posterior.standard
    wrong = {
        "a weight is not a probability, or those of a draw do not sum to one": not are_probabilities(p.weight),
        "a mean is not a finite number": not np.isfinite(p.mean).all(),
        "a covariance is not symmetric and positive definite": not are_covariances(p.covariance, standard.scale),
        "a scale is not a positive number": not (standard.scale > 0).all() or not np.isfinite(standard.shift).all(),
        "a fitted point is not finite": holds_points(fit) and bool(np.isinf(observed(fit).values).any()),
        "the columns of the points are not those of the posterior": (
            holds_points(fit) and {*observed(fit).columns} != {*posterior.columns}
        ),
    }
    if found := [fault for fault, there in wrong.items() if there]:
        raise FitFileError(f"{what} is damaged: {'; '.join(found)}")
