"""Trained speech models as files: NetCDF of our own schema, whatever the name ends in; never a pickle."""

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.speech.cepstra import Hearing
from bayesgmm.apps.speech.word_models import Words
from bayesgmm.data.points import Points, Standard
from bayesgmm.errors import FitFileError
from bayesgmm.files import in_place_of, writable
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import annotate, pack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

SCHEMA = 1
KIND = "speech model"
DIMS = {
    "weight": ("label", "state", "draw", "component"),
    "mean": ("label", "state", "draw", "component", "feature"),
    "covariance": ("label", "state", "draw", "component", "feature", "feature_bis"),
    "stay": ("label", "state"),
    "prior": ("label",),
    "follows": ("label", "label_bis"),
}
QUIET = {name: dims[1:] for name, dims in DIMS.items() if name in ("weight", "mean", "covariance")}


@dataclass(frozen=True)
class Trained:
    """All that recognition needs.

    Parameters
    ----------
    labels : (C,) str or int
    words : Words
    prior : (C,) float
        Probability of each label.
    exponent : float
        Of the density of a recording, so that probabilities are calibrated.
    follows : (C, C) float
        Probability of a label after another.
    hearing : Hearing, optional
        How recordings become frames; none for a model of tables.
    silence : Words, optional
        One word of one state; none for a model of tables.
    info : dict
        How it was made.
    """

    labels: NDArray
    words: Words
    prior: Array
    exponent: float
    follows: Array
    hearing: Hearing | None = None
    silence: Words | None = None
    info: dict[str, Any] = field(default_factory=dict)


def to_tree(trained: Trained) -> "xr.DataTree":
    """A model in the schema."""
    import xarray as xr

    words, features = trained.words, np.array(trained.words.columns)
    values = {name: getattr(words, name) for name in ("weight", "mean", "covariance", "stay")}
    values |= {"prior": trained.prior, "follows": trained.follows}
    coords = {"label": trained.labels, "label_bis": trained.labels, "feature": features, "feature_bis": features}
    groups = {
        "posterior": xr.Dataset({name: (DIMS[name], value) for name, value in values.items()}, coords=coords),
        "constant_data": xr.Dataset(
            {"shift": ("feature", words.standard.shift), "scale": ("feature", words.standard.scale)},
            coords={"feature": features},
        ),
    }
    if trained.silence is not None:
        quiet = {name: (dims, getattr(trained.silence, name)[0]) for name, dims in QUIET.items()}
        groups["silence"] = xr.Dataset(quiet, coords={"feature": features, "feature_bis": features})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs["bayesgmm"] = json.dumps(
        {
            "kind": KIND,
            "schema": SCHEMA,
            "exponent": trained.exponent,
            "hearing": None if trained.hearing is None else asdict(trained.hearing),
            "versions": {name: version(name) for name in ("bayesgmm", "numpy")},
            "info": trained.info,
        },
        default=_plain,
    )
    return tree


def _plain(value: Any) -> Any:
    """What JSON lacks: numpy's numbers as numbers, whatever else in words."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else repr(value)


def save(trained: Trained, path: str | Path) -> Path:
    """Write a model: all of it, or nothing.

    Raises
    ------
    FitFileError
        When it can't be written.
    """
    path = writable(path)
    with in_place_of(path) as partial:
        to_tree(trained).to_netcdf(partial, engine="h5netcdf")
    return path


def load(path: str | Path) -> Trained:
    """Read a model back.

    Raises
    ------
    FitFileError
        When it is not there, damaged, of a later version, or something else.
    """
    import xarray as xr

    path = Path(path)
    if not path.is_file():
        raise FitFileError(f"there is no file {path}")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except Exception as error:  # each layer of the format has its own family of errors
        raise FitFileError(f"{path} can't be read as a speech model: it is damaged, or something else") from error
    return _from_tree(tree, _told(tree, path), path)


def _told(tree: "xr.DataTree", path: Path) -> dict[str, Any]:
    """What the file says of itself, checked."""
    try:
        told = json.loads(tree.attrs.get("bayesgmm", "{}"))
    except (TypeError, ValueError):
        told = {}
    if not isinstance(told, dict) or told.get("kind") != KIND:
        what = "a fit of one mixture" if "posterior" in tree.children else "something else"
        raise FitFileError(f"{path} is no speech model: it is {what}\n  Make one: bayesgmm speech train.")
    schema = told.get("schema")
    if not isinstance(schema, int):
        raise FitFileError(f"{path} is a damaged speech model: it does not say its schema")
    if schema > SCHEMA:
        raise FitFileError(f"{path} has schema {schema}; this version reads up to {SCHEMA}: upgrade bayesgmm")
    return told


def _from_tree(tree: "xr.DataTree", told: dict[str, Any], path: Path) -> Trained:
    try:
        posterior, constant = tree["posterior"].to_dataset(), tree["constant_data"].to_dataset()
        values = {name: _finite(name, posterior[name].transpose(*dims).values) for name, dims in DIMS.items()}
        columns = tuple(str(name) for name in posterior["feature"].values)
        standard = Standard(constant["shift"].values, constant["scale"].values)
        labels = posterior["label"].values
        mixture = (values["weight"], values["mean"], values["covariance"])
        return Trained(
            labels if labels.dtype.kind in "iu" else labels.astype(str),
            Words(*mixture, values["stay"], standard, columns),
            values["prior"],
            _finite("exponent", float(told["exponent"])),
            values["follows"],
            _hearing(told["hearing"], columns),
            _silence(tree, standard, columns),
            dict(told["info"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise FitFileError(f"{path} is a damaged speech model: {error}") from error


def _finite[T: (Array, float)](name: str, values: T) -> T:
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds values that are not numbers")
    return values


def _hearing(told: dict[str, Any] | None, columns: tuple[str, ...]) -> Hearing | None:
    hearing = None if told is None else Hearing(**told)
    if hearing is not None and hearing.columns != columns:
        raise ValueError(f"it hears {len(hearing.columns)} features, and knows {len(columns)}")
    return hearing


def _silence(tree: "xr.DataTree", standard: Standard, columns: tuple[str, ...]) -> Words | None:
    if "silence" not in tree.children:
        return None
    quiet = tree["silence"].to_dataset()
    weight, mean, covariance = (quiet[name].transpose(*dims).values[None] for name, dims in QUIET.items())
    return Words(weight, mean, covariance, np.zeros((1, 1)), standard, columns)


def state_fit(words: Words, word: int, state: int) -> "xr.DataTree":
    """The mixture of one state of a word as a fit of the toolkit's schema, without the data."""
    one = words.posterior(word, state)
    p = one.parameters
    nothing = Points(np.empty((0, len(words.columns))), words.columns, np.empty(0))
    unknown = np.full((1, one.n_draws), np.nan)
    tree = pack(nothing, words.standard, Parameters(p.weight[None], p.mean[None], p.covariance[None]), {"lp": unknown})
    del tree["observed_data"]
    return annotate(tree, {"method": "speech", "relabelled": "by the fit that it was read from", "warnings": []})
