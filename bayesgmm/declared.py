"""What every declared value shares: frozen, checked, positional where it reads better, one error for all mistakes."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Annotated, Any, Self, dataclass_transform

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bayesgmm.errors import DeclarationError, allowed, choose


@dataclass_transform(kw_only_default=False)
class Declared(BaseModel):
    """A frozen, validated value that is written alike in Python, TOML and JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fields = list(type(self).model_fields)
        if len(args) > len(fields):
            raise DeclarationError(f"{type(self).__name__} takes {', '.join(fields)}; got {len(args)} values")
        if twice := [name for name in fields[: len(args)] if name in kwargs]:
            raise DeclarationError(f"{type(self).__name__} got {', '.join(twice)} twice: by place and by name")
        kwargs.update(zip(fields, args, strict=False))
        try:
            super().__init__(**kwargs)
        except ValidationError as error:
            raise _as_ours(error, f"{type(self).__name__}(...)") from None

    # Nested declarations are read from their values, not through our __init__: one error then holds every problem.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def parse(cls, values: object, where: str) -> Self:
        """Read a declaration from plain values (TOML, JSON); all mistakes come in one error."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _as_ours(error, where) from None

    def plain(self) -> dict[str, Any]:
        """The declaration as plain values, as a card writes it; what is unset is left out."""
        return self.model_dump(exclude_none=True)


def _as_ours(error: ValidationError, where: str) -> DeclarationError:
    """All problems of a declaration: how many, then one a line; a lone error of ours stays as it was."""
    causes = [problem.get("ctx", {}).get("error") for problem in error.errors()]
    if len(causes) == 1 and isinstance(causes[0], DeclarationError):
        return causes[0]
    lines = list(dict.fromkeys(_line(problem) for problem in error.errors()))
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return DeclarationError(f"{where} has {count}\n" + "\n".join(f"  {line}" for line in lines))


def _line(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{place}: is required"
    if problem["type"] == "extra_forbidden":
        return f"{place}: is not a field here"
    if problem["type"] == "value_error":
        return f"{place}: {message}" if place else message
    return f"{place}: {message.replace('Input should', 'must')}, got {problem['input']!r}"


def by_name(registry: Mapping[str, type[Declared]]) -> Any:
    """A validator that reads plain values as the prior that their ``prior`` field names."""
    return BeforeValidator(lambda value: read_prior(value, registry))


def read_prior(value: object, registry: Mapping[str, type[Declared]]) -> object:
    """A prior of the registry; from plain values, the one that their ``prior`` field names."""
    if isinstance(value, tuple(registry.values())):
        return value
    if not isinstance(value, Mapping):
        names = ", ".join(sorted(kind.__name__ for kind in registry.values()))
        raise ValueError(f"must be one of {names}, got {value!r}")
    if "prior" not in value:
        raise ValueError(f"prior is required: one of {allowed(registry)}")
    return choose(value["prior"], registry, "prior").model_validate(value)


def whole(name: str, value: Any, least: int = 1, most: int = 2**63 - 1) -> int:
    """A whole number given as an argument, numpy's and 3.0 too; raises DeclarationError for anything else."""
    if not _is_finite(value) or value != int(value) or not least <= value <= most:
        limits = f"at least {least}" if most >= 2**63 - 1 else f"from {least} to {most}"
        raise DeclarationError(f"{name}={value!r}: must be a whole number, {limits}")
    return int(value)


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_) and math.isfinite(value)


def positive(name: str, value: Any) -> float:
    """A positive, finite number given as an argument."""
    if not _is_finite(value) or not value > 0:
        raise DeclarationError(f"{name}={value!r}: must be a positive number")
    return float(value)


def probability(name: str, value: Any) -> float:
    """A number strictly between 0 and 1 given as an argument."""
    if not _is_finite(value) or not 0 < value < 1:
        raise DeclarationError(f"{name}={value!r}: must be between 0 and 1")
    return float(value)


def _numbers(value: Any, most_dims: int, above_zero: bool) -> Any:
    """A number, or nested tuples of numbers; lists and arrays are taken too."""
    try:
        array = np.asarray(value)
        fits = array.dtype.kind in "iuf" and array.ndim <= most_dims and array.size > 0
    except ValueError:  # ragged
        fits = False
    if not fits or not np.isfinite(array).all() or (above_zero and array.ndim < 2 and not (array > 0).all()):
        kind = "positive number" if above_zero else "number"
        raise ValueError(
            f"must be a {kind}, or {('one for each', 'a row or a matrix of them')[most_dims - 1]}, got {value!r}"
        )
    return _tuples(array.astype(np.float64).tolist())


def no_boolean(value: Any) -> Any:
    """The value, where it is not True or False, which would pass for 1 or 0."""
    if isinstance(value, bool | np.bool_):
        raise ValueError(f"must be a number, got {value!r}")
    return value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def read_positive(value: Any) -> Any:
    """A positive number, or a row of them, as tuples."""
    return _numbers(value, 1, above_zero=True)


def read_scale(value: Any) -> Any:
    """A positive number, a row of them, or a matrix, as tuples."""
    return _numbers(value, 2, above_zero=True)


Row = tuple[float, ...]
Numbers = Annotated[float | Row, BeforeValidator(lambda value: _numbers(value, 1, above_zero=False))]
PositiveNumbers = Annotated[float | Row, BeforeValidator(read_positive)]
Positive = Annotated[float, BeforeValidator(no_boolean), Field(gt=0)]
