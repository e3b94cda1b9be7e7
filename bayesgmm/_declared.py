"""What every declared value shares: frozen, checked, positional where it reads better, one error for all mistakes."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from bayesgmm.errors import DeclarationError, choose


class Declared(BaseModel):
    """A frozen, validated value that is written alike in Python, TOML and JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    positional: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if len(args) > len(self.positional):
            raise DeclarationError(
                f"{type(self).__name__} takes at most {len(self.positional)} positional arguments "
                f"({', '.join(self.positional) or 'none'}), got {len(args)}"
            )
        kwargs.update(zip(self.positional, args, strict=False))
        try:
            super().__init__(**kwargs)
        except ValidationError as error:
            raise _as_ours(error, f"{type(self).__name__}(...)") from None

    @classmethod
    def parse(cls, values: object, where: str) -> Self:
        """Read a declaration from plain values (TOML, JSON); all mistakes come in one error."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _as_ours(error, where) from None

    def plain(self) -> dict[str, Any]:
        """The declaration as plain values, as a card writes it; what is unset is left out."""
        return self.model_dump(mode="json", exclude_none=True)


def _as_ours(error: ValidationError, where: str) -> DeclarationError:
    """All problems of a declaration: how many, then one a line; a lone error of ours stays as it was."""
    causes = [problem.get("ctx", {}).get("error") for problem in error.errors()]
    if len(causes) == 1 and isinstance(causes[0], DeclarationError):
        return causes[0]
    lines = list(dict.fromkeys(_line(problem) for problem in error.errors()))
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return DeclarationError(f"{where} has {count}\n" + "\n".join(f"  {line}" for line in lines))


def _line(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"] if not _is_tag(part))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{place}: is required"
    if problem["type"] == "extra_forbidden":
        return f"{place}: is not a field here"
    if problem["type"] == "value_error":
        return f"{place}: {message}" if place else message
    return f"{place}: {message.replace('Input should', 'must')}, got {problem['input']!r}"


def _is_tag(part: object) -> bool:
    """Pydantic adds type names such as 'float' or 'tuple[float, ...]' for the branches of a union."""
    return isinstance(part, str) and (part in {"float", "int"} or "[" in part)


def by_name(registry: Mapping[str, type[Declared]]) -> Any:
    """A validator that reads plain values as the prior that their ``prior`` field names."""

    def read(value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return choose(value.get("prior", ""), registry, "prior").model_validate(value)

    return BeforeValidator(read)
