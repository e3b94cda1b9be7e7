"""Declared settings of a table file: whatever is not given is recognised."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeGuard

from bayesgmm.errors import DeclarationError
from bayesgmm.keywords import checks_keywords

BLANKS = "whitespace"  # any number of spaces and tabs
NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", r"\t": "\t", "pipe": "|", "space": BLANKS, " ": BLANKS}
NOTHING = "none"  # as na: no value stands for a missing one
WORDS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", BLANKS: "space"}


@checks_keywords
@dataclass(frozen=True)
class TableFile:
    r"""A table in a file, with the settings to read it by.

    Every function that takes the path of a table takes a ``TableFile``. What is not given is recognised from the
    contents of the file; where two readings are possible, an error says what was seen and which setting decides.

    Parameters
    ----------
    path : str or Path
        CSV or any other text with separators, also compressed; Parquet; Excel (``.xlsx``, ``.xls``, ``.ods``).
    sep : str, optional
        Separator: one character, or ``'tab'``, ``'space'`` for any number of spaces.
    decimal : str, optional
        ``'.'`` or ``','``.
    encoding : str, optional
        Encoding of the text, for example ``'cp1252'``.
    sheet : str or int, optional
        Sheet of an Excel file, by name or by number from 0.
    na : str, float, or sequence of them, optional
        Values that stand for missing ones, besides empty cells and marks such as ``NA``. Numbers that look like codes
        for missing values, such as -999, are then not looked for; ``na=[]`` or ``'none'`` only turns that off.

    Raises
    ------
    DeclarationError
        When a setting is not allowed.

    Examples
    --------
    >>> import tempfile, warnings
    >>> import bayesgmm as bg
    >>> warnings.simplefilter("ignore", bg.TableWarning)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "sales.csv")
    ...     _ = path.write_text("shop;sales\nnorth;1.234\nsouth;2.345\n")
    ...     bg.read_frame(TableFile(path, decimal=","))["sales"].tolist()
    [1234, 2345]
    """

    path: str | Path
    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    sheet: str | int | None = None
    na: str | float | Sequence[str | float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "sep", _separator(self.sep))
        if self.decimal not in (None, ".", ","):
            raise DeclarationError(f"decimal={self.decimal!r} must be '.' or ','")
        if self.sep is not None and self.sep == self.decimal:
            raise DeclarationError(f"sep={self.sep!r} and decimal={self.decimal!r} must differ")
        if self.encoding is not None:
            _require_encoding(self.encoding)
        if self.na is not None:
            values = (self.na,) if isinstance(self.na, str | float | int) else tuple(self.na)
            object.__setattr__(self, "na", () if values == (NOTHING,) else values)

    @property
    def missing(self) -> tuple[str | float, ...] | None:
        """Values that stand for missing ones; None if they were not declared."""
        return None if self.na is None else tuple(self.na)  # type: ignore[arg-type]


Source = str | Path | TableFile
"""What names a table in a file."""


def is_source(data: object) -> TypeGuard[Source]:
    """Return True for the path of a table, and for a ``TableFile``."""
    return isinstance(data, str | Path | TableFile)


_defaults: ContextVar[dict[str, object] | None] = ContextVar("table_settings", default=None)


@contextmanager
def default_settings(**settings: object) -> Iterator[None]:
    """Use settings for every table file that a block reads, except those that declare their own."""
    token = _defaults.set({name: value for name, value in settings.items() if value is not None})
    try:
        yield
    finally:
        _defaults.reset(token)


def as_file(source: "str | Path | TableFile") -> TableFile:
    """Return a table file with the default settings where it declares none."""
    file = source if isinstance(source, TableFile) else TableFile(source)
    declared = {field.name for field in fields(file) if getattr(file, field.name) is not None}
    missing = {name: value for name, value in (_defaults.get() or {}).items() if name not in declared}
    return replace(file, **missing) if missing else file  # type: ignore[arg-type]


def _separator(sep: str | None) -> str | None:
    if sep is None:
        return None
    sep = NAMED.get(sep, sep)
    if sep != BLANKS and (len(sep) != 1 or sep.isalnum() or sep in '"\r\n'):
        raise DeclarationError(f"sep={sep!r} must be one character, 'tab' or 'space'")
    return sep


def _require_encoding(name: str) -> None:
    import codecs

    try:
        codecs.lookup(name)
    except LookupError:
        raise DeclarationError(f"encoding={name!r} is unknown; try 'utf-8', 'cp1252' or 'utf-16'") from None
