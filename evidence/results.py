"""Results of sections: one small JSON file each, from which the page is rendered."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

SEED = 1  # default of the command
FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """Result of one run of a section.

    Parameters
    ----------
    text : str
        What was done and found: one paragraph.
    table : DataFrame
    replicates, seed : int
    seconds : float
        Processor time.
    version : str
        Version of the package.
    day : str
        Date of the run, such as ``2026-11-28``.
    """

    text: str
    table: pd.DataFrame
    replicates: int
    seed: int
    seconds: float
    version: str
    day: str


def write(name: str, result: Result, folder: Path = FOLDER) -> Path:
    """Store the result of a section; return the path of its file."""
    plain = vars(result) | {"table": json.loads(result.table.to_json(orient="split", index=False, double_precision=15))}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(plain, indent=1) + "\n")
    return path


def read(name: str, folder: Path = FOLDER) -> Result | None:
    """Read the stored result of a section; None if it has not been run."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    plain: dict[str, Any] = json.loads(path.read_text())
    table = pd.DataFrame(plain.pop("table")["data"], columns=plain_columns(path))
    return Result(table=table, **plain)


def plain_columns(path: Path) -> list[str]:
    """Return the columns of a stored table."""
    columns: list[str] = json.loads(path.read_text())["table"]["columns"]
    return columns
