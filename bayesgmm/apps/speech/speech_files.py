"""Files of trained speech models: NetCDF with a schema of this package, whatever the extension; never a pickle."""

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.speech.cepstral_features import FeatureSettings
from bayesgmm.apps.speech.rejection import COLUMNS, KINDS, Rejection
from bayesgmm.apps.speech.word_models import WordModels
from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.errors import FitFileError
from bayesgmm.files import writable
from bayesgmm.posterior.info import FitInfo, annotate
from bayesgmm.posterior.packing import pack
from bayesgmm.posterior.parameters import Parameters, are_covariances, are_probabilities
from bayesgmm.sweep.stats import Array
from bayesgmm.tree_files import read_tree, write_tree

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
class SpeechModel:
    """Trained speech model, with all parameters for recognition.

    Parameters
    ----------
    labels : (C,) str or int
    words : WordModels
    prior : (C,) float
        Probability of each label.
    exponent : float
        Exponent of the likelihood, which calibrates the probabilities.
    bigram : (C, C) float
        Probability of a label (column) after another (row).
    feature_settings : FeatureSettings, optional
        Settings of the feature extraction; None for a model of tables.
    silence : WordModels, optional
        Model of silence, one word with one state; None for a model of tables.
    info : dict
        Training parameters and results.
    rejection : Rejection, optional
        Calibration of the answer "none"; None for a model of tables, or if no recording was held out.
    """

    labels: NDArray[Any]
    words: WordModels
    prior: Array
    exponent: float
    bigram: Array
    feature_settings: FeatureSettings | None = None
    silence: WordModels | None = None
    info: dict[str, Any] = field(default_factory=dict)
    rejection: Rejection | None = None


def to_tree(trained: SpeechModel) -> "xr.DataTree":
    """Convert a model to a DataTree in the schema."""
    import xarray as xr

    words, features = trained.words, np.array(trained.words.columns)
    values = {name: getattr(words, name) for name in ("weight", "mean", "covariance", "stay")}
    values |= {"prior": trained.prior, "follows": trained.bigram}
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
    if trained.rejection is not None:
        values = {"score": (("held_out", "kind"), trained.rejection.scores)}
        rates = {"rate": (("level", "rate_kind"), trained.rejection.rates)}
        groups["rejection"] = xr.Dataset(values | rates, coords={"rate_kind": list(COLUMNS)})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs["bayesgmm"] = json.dumps(
        {
            "kind": KIND,
            "schema": SCHEMA,
            "exponent": trained.exponent,
            "hearing": None if trained.feature_settings is None else asdict(trained.feature_settings),
            "versions": {name: version(name) for name in ("bayesgmm", "numpy")},
            "info": trained.info,
        },
        default=_plain,
    )
    return tree


def _plain(value: object) -> object:
    """Convert values that JSON lacks: NumPy numbers to numbers, others to their ``repr``."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else repr(value)


def save(trained: SpeechModel, path: str | Path) -> Path:
    """Write a model; return the path. After an error no incomplete file is left.

    Raises
    ------
    FitFileError
        If the file can't be written.
    """
    path = writable(path)
    write_tree(to_tree(trained), path)
    return path


def load(path: str | Path) -> SpeechModel:
    """Read a saved model.

    Raises
    ------
    FitFileError
        If the file does not exist, is damaged, has a later schema, or is not a speech model.
    """
    path = Path(path)
    tree = read_tree(path, "a speech model")
    trained = _from_tree(tree, _metadata(tree, path), path)
    _require_values(trained, path)
    return trained


def _require_values(trained: SpeechModel, path: Path) -> None:
    """Raise FitFileError if the numbers of a model can't be those of mixtures, transitions and labels."""
    words, quiet = trained.words, trained.silence
    shift, scale, labels = words.standard.shift, words.standard.scale, trained.labels
    mixtures = [words] if quiet is None else [words, quiet]
    wrong = {
        "a weight is not a probability, or those of a state do not sum to one": not all(
            are_probabilities(one.weight) for one in mixtures
        ),
        "a mean is not a finite number": not all(np.isfinite(one.mean).all() for one in mixtures),
        "a covariance is not symmetric and positive definite": not all(
            are_covariances(one.covariance, scale) for one in mixtures
        ),
        "a scale is not a positive number": not (scale > 0).all() or not np.isfinite(shift).all(),
        "a probability to stay in a state is not from 0 to 1": not ((words.stay >= 0) & (words.stay < 1)).all(),
        "the probabilities of the labels do not sum to one": not are_probabilities(trained.prior),
        "the probabilities of the next label do not sum to one": not are_probabilities(trained.bigram),
        "the exponent is not a positive number": not trained.exponent > 0,
        "two labels are equal": len(set(labels.tolist())) < len(labels),
        "its training parameters are missing": not isinstance(trained.info.get("parameters", {}), dict),
        "it does not say whether its features are logarithms": (
            trained.feature_settings is None and not isinstance(trained.info.get("log"), bool)
        ),
    }
    if found := [fault for fault, there in wrong.items() if there]:
        raise FitFileError(f"{path} is a damaged speech model: {'; '.join(found)}")


def _metadata(tree: "xr.DataTree", path: Path) -> dict[str, Any]:
    """Read and validate the metadata of a file.

    Raises
    ------
    FitFileError
        If it is not a speech model, is damaged, or has a later schema.
    """
    try:
        metadata = json.loads(tree.attrs.get("bayesgmm", "{}"))
    except (TypeError, ValueError, RecursionError):
        metadata = {}
    if not isinstance(metadata, dict) or metadata.get("kind") != KIND:
        what = "a fit of one mixture" if "posterior" in tree.children else "another kind of file"
        raise FitFileError(f"{path} is not a speech model: it is {what}\n  Train one with: bayesgmm speech train")
    schema = metadata.get("schema")
    if not isinstance(schema, int):
        raise FitFileError(f"{path} is a damaged speech model: the schema is missing")
    if schema > SCHEMA:
        raise FitFileError(f"{path} has schema {schema}; this version reads up to {SCHEMA}: upgrade bayesgmm")
    return metadata


def _from_tree(tree: "xr.DataTree", metadata: dict[str, Any], path: Path) -> SpeechModel:
    """Convert a DataTree and its metadata to a model.

    Raises
    ------
    FitFileError
        If a variable is missing or invalid.
    """
    try:
        posterior, constant = tree["posterior"].to_dataset(), tree["constant_data"].to_dataset()
        values = {name: _finite(name, posterior[name].transpose(*dims).values) for name, dims in DIMS.items()}
        _require_equal(posterior, "label", "label_bis")
        _require_equal(posterior, "feature", "feature_bis")
        columns = tuple(str(name) for name in posterior["feature"].values)
        constant = constant.sel(feature=posterior["feature"].values)
        standard = Standard(constant["shift"].values, constant["scale"].values)
        labels = posterior["label"].values
        mixture = (values["weight"], values["mean"], values["covariance"])
        return SpeechModel(
            labels if labels.dtype.kind in "iu" else labels.astype(str),
            WordModels(*mixture, values["stay"], standard, columns),
            values["prior"],
            _finite("exponent", float(metadata["exponent"])),
            values["follows"],
            _feature_settings(metadata["hearing"], columns),
            _silence(tree, standard, columns),
            dict(metadata["info"]),
            _rejection(tree),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise FitFileError(f"{path} is a damaged speech model: {error}") from error


def _require_equal(part: "xr.Dataset", one: str, other: str) -> None:
    """Check that two coordinates are the same, in the same order.

    Raises
    ------
    ValueError
        If they are not.
    """
    if part[one].values.tolist() != part[other].values.tolist():
        raise ValueError(f"{one} and {other} differ")


def _finite[T: (Array, float)](name: str, values: T) -> T:
    """Check that values are finite.

    Raises
    ------
    ValueError
        If they are not.
    """
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite numbers")
    return values


def _feature_settings(metadata: dict[str, Any] | None, columns: tuple[str, ...]) -> FeatureSettings | None:
    """Read the settings of the feature extraction.

    Raises
    ------
    ValueError
        If they do not match the features of the model.
    """
    feature_settings = None if metadata is None else FeatureSettings(**metadata)
    if feature_settings is not None and feature_settings.columns != columns:
        raise ValueError(f"the settings give {len(feature_settings.columns)} features, the model has {len(columns)}")
    return feature_settings


def _silence(tree: "xr.DataTree", standard: Standard, columns: tuple[str, ...]) -> WordModels | None:
    if "silence" not in tree.children:
        return None
    quiet = tree["silence"].to_dataset()
    _require_equal(quiet, "feature", "feature_bis")
    quiet = quiet.sel(feature=list(columns), feature_bis=list(columns))
    weight, mean, covariance = (quiet[name].transpose(*dims).values[None] for name, dims in QUIET.items())
    return WordModels(weight, mean, covariance, np.zeros((1, 1)), standard, columns)


def _rejection(tree: "xr.DataTree") -> Rejection | None:
    """Read the calibration of rejection, which models of earlier versions lack.

    Raises
    ------
    ValueError
        If its values can't be scores of recordings or shares of them.
    """
    if "rejection" not in tree.children:
        return None
    part = tree["rejection"].to_dataset()
    scores = _finite("rejection", part["score"].transpose("held_out", "kind").values)
    rates = _finite("rejection", part["rate"].transpose("level", "rate_kind").sel(rate_kind=list(COLUMNS)).values)
    if scores.shape[1] != len(KINDS) or not len(scores) or not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError("the calibration of rejection is not one of scores and shares")
    return Rejection(scores, rates)


def state_fit(words: WordModels, word: int, state: int) -> "xr.DataTree":
    """Convert the mixture of one state of a word to a fit without data."""
    one = words.posterior(word, state)
    p = one.parameters
    nothing = Points(np.empty((0, len(words.columns))), words.columns, np.empty(0))
    unknown = np.full((1, one.n_draws), np.nan)
    tree = pack(nothing, words.standard, Parameters(p.weight[None], p.mean[None], p.covariance[None]), {"lp": unknown})
    del tree["observed_data"]
    return annotate(tree, FitInfo(method="speech", relabelled="by the fit that it was read from"))
