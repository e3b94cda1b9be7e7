"""Facts that a fit stores about itself: model, engine, settings, diagnostics. They are read and written only here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING

from bayesgmm.errors import FitFileError
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.notes import EngineNotes, Facts, LabelInfo, SourceInfo, TruncationInfo, known_facts
from bayesgmm.transforms.columns import ColumnTransforms

if TYPE_CHECKING:
    import xarray as xr
    from pydantic import TypeAdapter

SCHEMA = 1
KEY = "bayesgmm"  # the attribute of a fit that holds its info as JSON
Setting = bool | int | float | str | None


@dataclass(frozen=True, repr=False)
class FitInfo(Facts):
    """Facts that a fit stores about itself. For a trace from another program all are None or empty.

    Parameters
    ----------
    model : MixtureModel, optional
        The declaration, with all priors resolved to numbers.
    transforms : ColumnTransforms, optional
        The transforms of the columns, if the mixture was fitted to transformed ones.
    method : str, optional
        The engine.
    settings : dict
        Every setting of the engine.
    seed : int, optional
    fingerprint : str, optional
        Hash of the data.
    missing_codes : dict of str to tuple of float
        Numbers that stand for missing values, by column, such as -999: also in new data.
    source : SourceInfo, optional
        Where the rows came from, if they were read part by part: the fit then does not hold them.
    seconds : float, optional
        Wall time of the engine, in seconds.
    recovered : float, optional
        Part of that time whose work was recovered from a checkpoint.
    versions : dict
        Version of each package that computed it.
    notes : EngineNotes
        Facts that the engine stores: convergence, ELBO, Pareto k-hat and others.
    truncation : TruncationInfo, optional
        Set where the prior of the weights is a truncated process.
    relabelled : str, optional
        Method that undid label switching; None if that was not done.
    labels : LabelInfo, optional
        How well the labels are determined.
    warnings : tuple of str
        Warnings that were given.
    unknown : dict
        Facts stored by a newer version; they are kept when the fit is saved.

    Examples
    --------
    >>> FitInfo(method="em", seed=1)
    FitInfo(
        method='em',
        seed=1,
    )
    """

    model: MixtureModel | None = None
    transforms: ColumnTransforms | None = None
    method: str | None = None
    settings: dict[str, Setting] = field(default_factory=dict)
    seed: int | None = None
    fingerprint: str | None = None
    missing_codes: dict[str, tuple[float, ...]] = field(default_factory=dict)
    source: SourceInfo | None = None
    seconds: float | None = None
    recovered: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    notes: EngineNotes = field(default_factory=EngineNotes)
    truncation: TruncationInfo | None = None
    relabelled: str | None = None
    labels: LabelInfo | None = None
    warnings: tuple[str, ...] = ()
    unknown: dict[str, object] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the known facts, one per line."""
        return "\n".join(["FitInfo(", *(f"    {name}={value!r}," for name, value in known_facts(self).items()), ")"])


@takes_fit
def info(fit: FitLike) -> FitInfo:
    """Read the facts that a fit stores: model, engine, settings, seed, versions, labels and warnings.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit by any engine, or a trace of PyMC, which stores nothing.

    Returns
    -------
    FitInfo

    Raises
    ------
    FitFileError
        If the stored text is damaged.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), [[0.0], [1.0], [3.0]], "em", seed=1, progress=False)
    >>> bg.info(fit).method, bg.info(fit).seed
    ('em', 1)
    >>> bg.info(fit).notes
    EngineNotes(maximum='likelihood', converged=True)
    """
    return read(fit.attrs.get(KEY, "{}"))


def annotate(fit: "xr.DataTree", facts: FitInfo) -> "xr.DataTree":
    """Store facts in a fit; they replace those stored before."""
    fit.attrs[KEY] = written(facts)
    return fit


def declaration(fit: "xr.DataTree") -> MixtureModel:
    """Return the resolved model that was fitted.

    Raises
    ------
    FitFileError
        If the fit stores none.
    """
    model = info(fit).model
    if model is None:
        raise FitFileError("this fit stores no model: it was not made by bayesgmm.fit")
    return model


def stored_schema(fit: "xr.DataTree") -> int:
    """Return the version of the schema that a fit was written with."""
    stored = _mapping(fit.attrs.get(KEY, "{}")).get("schema", SCHEMA)
    return stored if isinstance(stored, int) else SCHEMA


def read(text: str) -> FitInfo:
    """Read facts from JSON. The notes of the engine are stored at the same level as the other facts.

    Raises
    ------
    FitFileError
        If the text is not valid.

    Examples
    --------
    >>> read('{"schema": 1, "method": "em", "converged": true, "mood": "good"}')
    FitInfo(
        method='em',
        notes=EngineNotes(converged=True),
        unknown={'mood': 'good'},
    )
    """
    from pydantic import ValidationError

    stored = dict(_mapping(text))
    stored.pop("schema", None)
    facts = {name: stored.pop(name) for name in _names(FitInfo) - NESTED if name in stored}
    notes = {name: stored.pop(name) for name in _names(EngineNotes) if name in stored}
    try:
        return _reader().validate_python({**facts, "notes": notes, "unknown": stored})
    except ValidationError as error:
        raise FitFileError(f"what this fit stores about itself is damaged: {error}") from None


def written(facts: FitInfo) -> str:
    """Write facts as JSON, without unknown ones.

    Examples
    --------
    >>> written(FitInfo(method="em", notes=EngineNotes(converged=True)))
    '{"schema": 1, "method": "em", "converged": true}'
    """
    known = {name: value for name, value in known_facts(facts).items() if name not in NESTED}
    return json.dumps({"schema": SCHEMA} | known | known_facts(facts.notes) | facts.unknown, default=_plain)


NESTED = {"notes", "unknown"}  # parts whose facts are stored at the same level as the others in the JSON


def _names(kind: type[Facts]) -> set[str]:
    return {f.name for f in fields(kind)}


def _mapping(text: str) -> Mapping[str, object]:
    """Parse JSON that should be an object."""
    try:
        stored = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise FitFileError(f"what this fit stores about itself is damaged: {error}") from None
    if not isinstance(stored, dict):
        raise FitFileError("what this fit stores about itself is damaged: it is not a JSON object")
    return stored


@cache
def _reader() -> "TypeAdapter[FitInfo]":
    from pydantic import TypeAdapter

    return TypeAdapter(FitInfo)


def _plain(value: object) -> object:
    """Convert a part to plain values, for JSON."""
    if isinstance(value, MixtureModel):
        return value.plain()
    if isinstance(value, ColumnTransforms):  # a column that stays as it is, None, is kept
        return value.model_dump()
    if isinstance(value, Facts):
        return known_facts(value)
    raise TypeError(f"{type(value).__name__} can't be stored in a fit")
