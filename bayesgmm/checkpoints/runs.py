"""The checkpoint of one fit or table: opened for it alone, checked to be its own, and what is said when it goes on."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.checkpoints.units import Checkpoint
from bayesgmm.errors import CheckpointError, DeclarationError
from bayesgmm.wording import in_short

if TYPE_CHECKING:
    from bayesgmm.checkpoints.stores import Store

FIRST = "fit.000000"  # the place of the result


@dataclass
class FitCheckpoint:
    """The checkpoint of a fit; without a store, nothing is kept.

    Parameters
    ----------
    store : Store, optional
    """

    store: "Store | None" = None

    def seed(self, given: int | None) -> int:
        """Return the given seed; by default that of the fit that is kept, or a random one."""
        known = self._facts
        if given is None and "seed" in known:
            return int(known["seed"])
        return int(np.random.default_rng().integers(2**31)) if given is None else given

    @property
    def _facts(self) -> dict[str, str]:
        return self.store.facts if self.store else {}

    def of(self, identity: Mapping[str, object]) -> Checkpoint | None:
        """Return the units of work of the fit with this identity.

        Raises
        ------
        CheckpointError
            If what is kept is another fit.
        """
        if self.store is None:
            return None
        self.require(identity, "fit")
        return Checkpoint(self.store)

    def require(self, identity: Mapping[str, object], what: str) -> None:
        """Check that what is kept has this identity, and store it.

        Parameters
        ----------
        identity : dict
        what : str
            In words: ``'fit'`` or ``'table'``.

        Raises
        ------
        CheckpointError
            If it is another one.
        """
        assert self.store is not None
        texts = {name: json.dumps(value, sort_keys=True, default=str) for name, value in identity.items()}
        known = self._facts
        if "data" in known and (wrong := _differences(known, texts)):
            raise CheckpointError(
                f"{self.store.folder} is the checkpoint of another {what}, with {' and '.join(wrong)}\n"
                f"  Give another folder for this {what}, or remove that one."
            )
        self.store.tell(**texts)

    @property
    def words(self) -> list[str]:
        """What the fit goes on from, in a sentence; nothing if it is new."""
        if self.store is None or not self.store.seconds:
            return []
        if self.store.unit(FIRST):
            return [f"{self.store.folder} holds the result of this fit: it is not computed again."]
        saved = in_words(self.store.seconds)
        return [f"The fit goes on from {self.store.folder}, where {saved} of its work were saved."]


@contextmanager
def opened(folder: str | Path | None) -> Iterator[FitCheckpoint]:
    """Open the checkpoint in a folder, which is made if there is none, for one fit; None: without a checkpoint.

    Raises
    ------
    DeclarationError
        If it is not the name of a folder.
    CheckpointError
        If another process uses it, or it is damaged.
    FitFileError
        If the folder can't be written.
    """
    if folder is None:
        yield FitCheckpoint()
        return
    if not isinstance(folder, str | os.PathLike) or not str(folder):
        raise DeclarationError(f"checkpoint={in_short(folder)}: must be the name of a folder, for example 'run/'")
    from bayesgmm.checkpoints.stores import Store  # which needs SQLite

    store = Store(Path(folder))
    try:
        yield FitCheckpoint(store)
    finally:
        store.close()


def _differences(known: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Describe what a kept fit has that differs from another one."""
    wrong = [name for name, text in own.items() if known.get(name) != text]
    if "method" in wrong or "answer" in wrong:  # whose settings differ, too
        wrong = [name for name in wrong if name not in ("settings", "calibration")]
    return [_difference(name, json.loads(known.get(name, "null")), json.loads(own[name])) for name in wrong]


def _difference(name: str, known: object, own: object) -> str:
    if name in ("data", "fit", "model", "start", "transform", "calibration"):
        return f"another {name}" if name != "data" else "other data"
    if name == "answer":
        return f"the answers of {known} (here {own})"
    if isinstance(known, dict) and isinstance(own, dict):
        return " and ".join(_difference(key, known.get(key), own[key]) for key in own if known.get(key) != own[key])
    return f"{name}={in_short(known)} (here {name}={in_short(own)})"


def in_words(seconds: float) -> str:
    """Write a time in words.

    Examples
    --------
    >>> in_words(0.3), in_words(59), in_words(600), in_words(12_000)
    ('0.3 seconds', '59 seconds', '10 minutes', '3.3 hours')
    """
    if seconds < 120:
        return f"{seconds:.2g} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
