"""Model cards that come with bayesgmm."""

from pathlib import Path

from bayesgmm.errors import choose


def card_path(name: str) -> Path:
    """Return the path of a bundled card.

    Raises
    ------
    UnknownName
        When there is no card of that name.

    Examples
    --------
    >>> card_path("iris").name
    'iris.toml'
    """
    return choose(name, cards(), "card")


def cards() -> dict[str, Path]:
    """Return the paths of all bundled cards by name.

    They are in the installed package, or beside it in a checkout of the repository.

    Examples
    --------
    >>> "iris" in cards()
    True
    """
    package = Path(__file__).parent
    folders = [package / "models", package.parent / "models"]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}
