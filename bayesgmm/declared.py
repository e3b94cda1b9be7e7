"""Base class of declarations: frozen values that are checked when they are made; one error lists all mistakes."""

import math
import re
from collections.abc import Iterable, Mapping
from inspect import Parameter, Signature
from numbers import Real
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Self,
    TypeGuard,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
)

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bayesgmm.errors import DeclarationError, allowed, choose, instead_of
from bayesgmm.notebooks import declaration_html
from bayesgmm.wording import in_short

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
    from pydantic_core import ErrorDetails
else:
    ModelMetaclass = type(BaseModel)  # it has no public name


class Written(str):
    """A type as it is written in a signature, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text itself."""
        return str(self)


def type_in_words(kind: Any) -> Written:
    """Write a type as the documentation does: by the names of the classes, without validators.

    Examples
    --------
    >>> type_in_words(float | tuple[float, ...] | None)
    float | tuple[float, ...] | None
    """
    parts = get_args(kind)
    if get_origin(kind) is Annotated:
        return type_in_words(parts[0])
    if get_origin(kind) in (Union, UnionType):
        return Written(" | ".join(map(type_in_words, parts)))
    if get_origin(kind) is Literal:
        return Written(" | ".join(map(repr, parts)))
    if parts:
        inside = ("..." if part is ... else type_in_words(part) for part in parts)
        return Written(f"{get_origin(kind).__name__}[{', '.join(inside)}]")
    return Written("None" if kind is type(None) else getattr(kind, "__name__", str(kind)))


class DeclaredClass(ModelMetaclass):
    """Class of declarations: ``help`` and completion show its own parts, in words, and not those of pydantic."""

    @property
    def __signature__(self) -> Signature:
        """Parameters with their types and defaults."""
        return _signature(self)  # type: ignore[arg-type]  # a class of this metaclass is a declaration

    @__signature__.setter
    def __signature__(self, made_by_pydantic: object) -> None:
        pass

    def __dir__(self) -> list[str]:
        """List the names that are not pydantic's."""
        return [name for name in super().__dir__() if not is_of_pydantic(name)]


def _signature(kind: type["Declared"]) -> Signature:
    hidden = names_of_kind(kind)
    shown = {name: field for name, field in kind.model_fields.items() if name not in hidden}
    defaults = {
        name: Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in shown.items()
    }
    either = Parameter.POSITIONAL_OR_KEYWORD
    return Signature(
        [
            Parameter(name, either, default=defaults[name], annotation=type_in_words(field.annotation))
            for name, field in shown.items()
        ]
    )


def names_of_kind(kind: type["Declared"]) -> set[str]:
    """Return the fields that only name the class, for files: ``prior = "dirichlet"``."""
    return {name for name, field in kind.model_fields.items() if _is_one_word(field.annotation)}


def _is_one_word(kind: Any) -> bool:
    return get_origin(kind) is Literal and len(get_args(kind)) == 1


def is_of_pydantic(name: str) -> bool:
    """Return True for an attribute that all models of pydantic have."""
    return name.startswith("__pydantic") or (name in vars(BaseModel) and not hasattr(object, name))


@dataclass_transform(kw_only_default=False)
class Declared(BaseModel, metaclass=DeclaredClass):
    """Frozen, validated value that can be written in Python, TOML and JSON.

    Its fields can be given by position or by name.

    Raises
    ------
    DeclarationError
        All mistakes at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a declaration of fields that are given by position or by name."""
        fields = list(type(self).model_fields)
        if len(args) > len(fields):
            raise DeclarationError(f"{type(self).__name__} takes {', '.join(fields)}; got {len(args)} values")
        if twice := [name for name in fields[: len(args)] if name in kwargs]:
            raise DeclarationError(f"{type(self).__name__} got {', '.join(twice)} twice: by position and by name")
        kwargs.update(zip(fields, args, strict=False))
        try:
            super().__init__(**kwargs)
        except ValidationError as error:
            raise _declaration_error(error, f"{type(self).__name__}(...)", type(self)) from None

    # pydantic then validates nested declarations without this __init__, so that one error lists all problems.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def parse(cls, values: object, where: str) -> Self:
        """Read a declaration from plain values, as TOML and JSON hold them.

        Parameters
        ----------
        values : mapping
        where : str
            Where the values come from, for the error message.

        Raises
        ------
        DeclarationError
            All mistakes at once.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _declaration_error(error, where, cls) from None

    def __repr_args__(self) -> "Iterable[tuple[str | None, Any]]":
        """Return what the representation shows: all but the fields that only name the class."""
        hidden = names_of_kind(type(self))
        return [(name, value) for name, value in super().__repr_args__() if name not in hidden]

    def __str__(self) -> str:
        """Return the declaration as it is written in Python."""
        return repr(self)

    def _repr_html_(self) -> str:
        fields = {name: value for name, value in self if name not in names_of_kind(type(self))}
        return declaration_html(type(self), fields)

    def __dir__(self) -> list[str]:
        """List the names that are not pydantic's."""
        return [name for name in super().__dir__() if not is_of_pydantic(name)]

    def plain(self) -> dict[str, Any]:
        """Return the declaration as plain values, as in a card, without the fields that are not set."""
        return self.model_dump(exclude_none=True)


def _declaration_error(error: ValidationError, where: str, kind: type[Declared]) -> DeclarationError:
    """Convert pydantic's error to one that lists all problems; a single error of this package is returned unchanged."""
    causes = [problem.get("ctx", {}).get("error") for problem in error.errors()]
    if len(causes) == 1 and isinstance(causes[0], DeclarationError):
        return causes[0]
    lines = list(dict.fromkeys(_line(problem, kind) for problem in error.errors()))
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return DeclarationError(f"{where} has {count}\n" + "\n".join(f"  {line}" for line in lines))


def _line(problem: "ErrorDetails", kind: type[Declared]) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{place}: is required"
    if problem["type"] == "extra_forbidden":
        known = {name: None for name in kind.model_fields if len(problem["loc"]) == 1}
        return f"{place}: is not a field here{instead_of(place, known, problem['input'])}"
    if problem["type"] == "value_error":
        return f"{place}: {message}" if place else message
    if problem["type"] in ("model_type", "dataclass_type"):
        name = problem["ctx"]["class_name"]
        field = problem["loc"][-1]
        return f"{place}: must be of the class {name}, got {in_short(problem['input'])}; write {field}={name}(...)"
    return f"{place}: {message.replace('Input should', 'must')}, got {in_short(problem['input'])}"


def by_name(registry: Mapping[str, type[Declared]], field: str = "prior") -> BeforeValidator:
    """Make a validator that reads a declaration of a registry by ``read_named``."""
    return BeforeValidator(lambda value: read_named(value, registry, field))


def read_named(value: object, registry: Mapping[str, type[Declared]], field: str = "prior") -> object:
    """Return a declaration of the registry; plain values become the one that a field of them names.

    Raises
    ------
    ValueError
        When the value is no declaration of the registry, or lacks the field.
    UnknownName
        When the registry has none of that name.
    """
    if isinstance(value, tuple(registry.values())):
        return value
    if not isinstance(value, Mapping):
        names = ", ".join(sorted(kind.__name__ for kind in registry.values()))
        raise ValueError(f"must be one of {names}, got {in_short(value)}")
    if field not in value:
        raise ValueError(f"{field} is required: one of {allowed(registry)}")
    return choose(value[field], registry, field).model_validate(value)


def whole(name: str, value: object, minimum: int = 1, maximum: int = 2**63 - 1) -> int:
    """Validate an argument that must be a whole number; numpy's integers and 3.0 are allowed.

    Raises
    ------
    DeclarationError
        When it is anything else, or out of range.

    Examples
    --------
    >>> whole("draws", 100.0)
    100
    """
    if not _is_finite(value) or value != int(value) or not minimum <= value <= maximum:
        limits = f"at least {minimum}" if maximum >= 2**63 - 1 else f"from {minimum} to {maximum}"
        raise DeclarationError(f"{name}={in_short(value)}: must be a whole number, {limits}")
    return int(value)


def whole_numbers(name: str, value: object) -> list[int]:
    """Validate an argument that is one or several positive whole numbers; each is kept once.

    A text is read as at the terminal: ``"3"``, ``"2,4,6"`` or ``"1-9"``.

    Raises
    ------
    DeclarationError
        When it is anything else, or there is none.

    Examples
    --------
    >>> whole_numbers("n_components", "1-3,6"), whole_numbers("n_components", range(1, 3))
    ([1, 2, 3, 6], [1, 2])
    >>> whole_numbers("n_components", "4-2")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DeclarationError: n_components='4-2': '4-2' is not a number or a range; give 3, or 2,4,6, or 1-9
    """
    if isinstance(value, str):
        return [*dict.fromkeys(number for part in value.split(",") for number in _range(name, value, part))]
    numbers = [*dict.fromkeys(whole(name, k) for k in (value if isinstance(value, Iterable) else [value]))]
    if not numbers:
        raise DeclarationError(f"{name}={value!r}: give at least one number, for example range(1, 10)")
    return numbers


def _range(name: str, text: str, part: str) -> range:
    match = re.fullmatch(r"\s*(\d{1,4})\s*(?:-\s*(\d{1,4})\s*)?", part)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last:
        raise DeclarationError(f"{name}={text!r}: {part!r} is not a number or a range; give 3, or 2,4,6, or 1-9")
    return range(first, last + 1)


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and math.isfinite(value)


def positive(name: str, value: object) -> float:
    """Validate an argument that must be a positive, finite number.

    Raises
    ------
    DeclarationError
        When it is anything else.
    """
    if not _is_finite(value) or not value > 0:
        raise DeclarationError(f"{name}={in_short(value)}: must be a positive number")
    return float(value)


def probability(name: str, value: object) -> float:
    """Validate an argument that must be a number between 0 and 1, both excluded.

    Raises
    ------
    DeclarationError
        When it is anything else.
    """
    if not _is_finite(value) or not 0 < value < 1:
        raise DeclarationError(f"{name}={in_short(value)}: must be between 0 and 1")
    return float(value)


def _numbers(value: object, max_dims: int, above_zero: bool, each: str = "column") -> object:
    """Convert a number, list or array of numbers to a number or nested tuples."""
    try:
        array = np.asarray(value)
        fits = array.dtype.kind in "iuf" and array.ndim <= max_dims and array.size > 0
    except ValueError:  # ragged
        fits = False
    if not fits or not np.isfinite(array).all() or (above_zero and array.ndim < 2 and not (array > 0).all()):
        kind = "positive number" if above_zero else "number"
        more = (f"one for each {each}", "a vector or a matrix")[max_dims - 1]
        raise ValueError(f"must be a {kind}, or {more}, got {in_short(value)}")
    return _tuples(array.astype(np.float64).tolist())


def no_boolean(value: object) -> object:
    """Reject True and False, which pydantic would read as 1 and 0.

    Raises
    ------
    ValueError
    """
    if isinstance(value, bool | np.bool_):
        raise ValueError(f"must be a number, got {in_short(value)}")
    return value


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def read_positive(value: object) -> object:
    """Read a positive number, or several as a tuple; raises ValueError for anything else."""
    return _numbers(value, 1, above_zero=True)


def read_scale(value: object) -> object:
    """Read a positive number, or an array of one or two dimensions as tuples; raises ValueError for anything else."""
    return _numbers(value, 2, above_zero=True)


Row = tuple[float, ...]
Numbers = Annotated[float | Row, BeforeValidator(lambda value: _numbers(value, 1, above_zero=False))]
PositiveNumbers = Annotated[float | Row, BeforeValidator(read_positive)]
PerFactor = Annotated[float | Row, BeforeValidator(lambda value: _numbers(value, 1, above_zero=True, each="factor"))]
Positive = Annotated[float, BeforeValidator(no_boolean), Field(gt=0)]
