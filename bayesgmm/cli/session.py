"""State of one run of the command line: common options, and results for the JSON document."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Session:
    """One run of the command line.

    Parameters
    ----------
    quiet : bool
        Show no progress, no remarks, and no table that is also written to a file.
    json : bool
        Print one JSON document on stdout, and nothing else there.
    debug : bool
        Print tracebacks.
    guard_csv : bool
        Write CSV files in which a spreadsheet runs nothing.
    interrupted, unread : bool
        Ctrl-C was pressed; nobody reads the output any more.
    typed : dict
        The options that were given, with their long names, by the names of the command's parameters.
    options : dict
        The same of all options of the command.
    """

    quiet: bool = False
    json: bool = False
    debug: bool = False
    guard_csv: bool = False
    interrupted: bool = False
    unread: bool = False
    command: str = ""
    typed: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    results: dict[str, object] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[dict[str, object]] = field(default_factory=list)
    error: dict[str, str] | None = None

    def ask(self, **given: bool) -> None:
        """Set the common options; an option that was given before the name of the command stays set."""
        for name, wanted in given.items():
            setattr(self, name, wanted or getattr(self, name))

    def document(self) -> str:
        """Return the JSON document.

        Examples
        --------
        >>> Session(command="fit", results={"seed": 1}).document()
        '{"command": "fit", "seed": 1, "messages": [], "warnings": [], "wrote": []}'
        """
        ends: dict[str, object] = {"interrupted": True} if self.interrupted else {}
        ends |= {"error": self.error} if self.error else {}
        body = {"messages": self.messages, "warnings": self.warnings, "wrote": self.files}
        return json.dumps({"command": self.command, **plain(self.results), **body, **ends}, allow_nan=False)


def options_of(command: Any) -> dict[str, str]:
    """Return the long names of the options of a command, by the names of its parameters."""
    return {str(p.name): max(p.opts, key=len) for p in command.params if p.param_type_name == "option"}


def records(frame: "pd.DataFrame") -> list[dict[str, object]]:
    """Convert a table to a list of rows; an index with a name becomes a column.

    Examples
    --------
    >>> import pandas as pd
    >>> records(pd.DataFrame({"bic": [1.5, float("nan")]}, index=pd.Index(["em", "nuts"], name="fit")))
    [{'fit': 'em', 'bic': 1.5}, {'fit': 'nuts', 'bic': None}]
    """
    whole = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
    names = [str(name) for name in whole.columns]
    whole = whole.astype(object).where(whole.notna(), None)
    columns = [plain(whole.iloc[:, j].tolist()) for j in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def plain(value: object) -> Any:
    """Convert a value to types that JSON has; numbers that are not finite become null.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> plain({"rhat": np.float64("nan"), "n": np.int64(3), "path": Path("fit.nc"), 1: (True, None)})
    {'rhat': None, 'n': 3, 'path': 'fit.nc', '1': [True, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
