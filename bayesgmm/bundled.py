"""The model cards that come with bayesgmm, by name."""

from pathlib import Path

from bayesgmm.errors import choose


def card_path(name: str) -> Path:
    """Where a bundled card is: in the installed package, or beside it in a checkout."""
    return choose(name, cards(), "card")


def cards() -> dict[str, Path]:
    """The bundled cards by name."""
    package = Path(__file__).parent
    folders = [package / "models", package.parent / "models"]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}
