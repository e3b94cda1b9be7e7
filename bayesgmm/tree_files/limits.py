"""Limits on what is read from a file."""

from pathlib import Path

from bayesgmm.errors import FitFileError

MAX_GROUPS = 100


def require_few(groups: list[str], path: Path) -> None:
    """Raise FitFileError if a file has more groups than are read."""
    if len(groups) > MAX_GROUPS:
        raise FitFileError(f"{path} is refused: it has {len(groups):,} groups; at most {MAX_GROUPS} are read")
