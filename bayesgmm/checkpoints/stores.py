"""The file of a checkpoint: an SQLite database, which a kill at any moment leaves whole, locked while it is in use.

The lock is the operating system's own: it ends with the process that holds it, however that ends.
"""

import sqlite3
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from bayesgmm.checkpoints.values import decoded
from bayesgmm.errors import CheckpointError, CheckpointWarning, FitFileError, warn
from bayesgmm.files import made_folder

NAME = "checkpoint.sqlite"
TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS units (place TEXT PRIMARY KEY, seconds REAL, seal BLOB, value BLOB);
"""
FORMAT = "1"


class Unit(NamedTuple):
    """A unit of work that is stored: its result, and the time that it took."""

    value: Any
    seconds: float


class Store:
    """Values by their place, in a file that one process has open at a time.

    A place is a path of numbers; what is below a place belongs to the same unit of work.

    Parameters
    ----------
    folder : Path
        Is made if there is none.

    Raises
    ------
    CheckpointError
        If another process has it open, or it is damaged.
    FitFileError
        If the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.fails = made_folder(folder, [NAME]), False
        self._lock = Lock()  # one thread at a time
        path = folder / NAME
        try:
            self._base = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            self._prepare()
            is_whole = self._base.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        except sqlite3.Error as error:
            self._base.close()
            raise self._refusal(error) from error
        if not is_whole or self.facts.get("format", FORMAT) != FORMAT:
            self._base.close()
            raise CheckpointError(self._damaged())
        self.tell(format=FORMAT)
        self._found = {place for (place,) in self._base.execute("SELECT place FROM units")}

    def _prepare(self) -> None:
        """Open the file for this process alone. Each change is written at once; a power cut may undo the last ones."""
        for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
            self._base.execute(f"PRAGMA {setting}").fetchall()
        self._base.execute("BEGIN EXCLUSIVE")
        for line in TABLES.strip().splitlines():
            self._base.execute(line)
        self._base.execute("COMMIT")

    def _refusal(self, error: sqlite3.Error) -> Exception:
        """Return the error for a file that can't be opened, with the reason."""
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_BUSY"):
            return CheckpointError(
                f"{self.folder} is the checkpoint of a command or fit that is running\n"
                "  Wait for it, or give another folder for this one."
            )
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return CheckpointError(self._damaged())
        return FitFileError(f"{self.folder / NAME} can't be written: {error}")

    def _damaged(self) -> str:
        return f"{self.folder / NAME} is damaged, or not a checkpoint of this version\n  Remove it to start again."

    @property
    def facts(self) -> dict[str, str]:
        """Facts about the checkpoint."""
        return dict(self._base.execute("SELECT name, value FROM facts").fetchall())

    def tell(self, **facts: str) -> None:
        """Store facts about the checkpoint."""
        self._write([("INSERT OR REPLACE INTO facts VALUES (?, ?)", item) for item in facts.items()])

    @property
    def seconds(self) -> float:
        """Time that it took to compute what is stored."""
        return float(self._base.execute("SELECT TOTAL(seconds) FROM units").fetchone()[0])

    def unit(self, place: str) -> Unit | None:
        """Return the unit at a place that an earlier process stored; None if there is none, or it is damaged."""
        if place not in self._found:  # most are not
            return None
        with self._lock:
            line = "SELECT value, seconds, seal FROM units WHERE place = ?"
            value, seconds, seal = self._base.execute(line, [place]).fetchone() or (b"", 0.0, b"")
        return Unit(decoded(value), seconds) if _seal(value) == seal else None

    def keep(self, place: str, stored: bytes, seconds: float) -> None:
        """Store an encoded value at a place, and remove all below it: a finished unit needs its parts no more."""
        insert = "INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?)"
        below = "DELETE FROM units WHERE place > ? AND place < ?"
        rows = (place, seconds, _seal(stored), stored)
        self._write([(below, (f"{place}.", f"{place}/")), (insert, rows)])

    def _write(self, lines: list[tuple[str, tuple[Any, ...]]]) -> None:
        """Execute lines, all or none. If that fails, nothing more is stored: what was stays, and the work goes on."""
        with self._lock:  # of several threads that fail at the same time, one warns
            if self.fails:
                return
            try:
                self._execute(lines)
            except sqlite3.Error as error:
                self.fails = True
                what = f"{self.folder} can't be written any more: {error}. The fit goes on, and what was saved stays."
                warn([what], CheckpointWarning)

    def _execute(self, lines: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._base.execute("BEGIN")
        try:
            for line, values in lines:
                self._base.execute(line, values)
            self._base.execute("COMMIT")
        except BaseException:  # Ctrl-C, too
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file, for others to open."""
        self._base.close()


def _seal(stored: bytes) -> bytes:
    return blake2b(stored, digest_size=16).digest()
