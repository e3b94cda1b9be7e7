"""Shell completion. It must be quick, so nothing heavy is imported.

The names equal those of the registries; a test compares them.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from bayesgmm.bundled import cards
from bayesgmm.engines import ENGINES

METHODS = tuple(ENGINES)
CRITERIA = ("bic", "aic", "icl", "elbo")
FAMILIES = ("full", "tied", "diag", "spherical", "EII", "EEI", "VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
FACTORS = "factors:2"  # an example: any number of factors may follow
STRUCTURES = (*FAMILIES, FACTORS)
CONJUGATE = ("full", "tied", "diag", "spherical", "EII", "EEI")  # those of variational Bayes
LOSSES = ("vi", "binder")
TABLES = (".csv", ".parquet", ".pq", ".tsv", ".txt", ".xlsx", ".xls", ".ods")
FITS = (".nc", ".zarr")
Completer = Callable[[str], list[str]]


def one_of(*names: str) -> Completer:
    """Make a completer for one of some names.

    Examples
    --------
    >>> one_of("mle", "map", "em")("m")
    ['mle', 'map']
    """

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def either(names: Iterable[str]) -> str:
    """Format names for a help text.

    Examples
    --------
    >>> either(["full", "tied", "diag"])
    'full, tied or diag'
    """
    *before, last = names
    return f"{', '.join(before)} or {last}" if before else last


def some_of(*names: str) -> Completer:
    """Make a completer for names that are separated by commas, each at most once.

    Examples
    --------
    >>> some_of("full", "tied", "diag")("full,")
    ['full,tied', 'full,diag']
    """

    def complete(incomplete: str) -> list[str]:
        *before, last = incomplete.split(",")
        return [",".join([*before, name]) for name in names if name.startswith(last) and name not in before]

    return complete


def files(*suffixes: str) -> Completer:
    """Make a completer for files with some suffixes; it leaves folders to the shell."""

    def complete(incomplete: str) -> list[str]:
        folder, _, start = incomplete.rpartition("/")
        try:
            paths = list(Path(folder or ("/" if "/" in incomplete else ".")).iterdir())
        except OSError:
            return []
        fitting = sorted(path for path in paths if path.name.startswith(start) and not path.name.startswith("."))
        if any(path.is_dir() and path.suffix not in suffixes for path in fitting):
            return []
        before = incomplete[: len(incomplete) - len(start)]
        return [before + path.name for path in fitting if path.suffix.lower() in suffixes]

    return complete


def card_names(incomplete: str) -> list[str]:
    """Complete the name of a bundled card or of a TOML file."""
    return sorted(name for name in cards() if name.startswith(incomplete)) + files(".toml")(incomplete)
