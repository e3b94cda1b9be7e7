"""Doctests import each module of the package once."""

from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent


def pytest_collect_file(file_path: Path) -> None:
    """Import the package of a file before pytest imports the file.

    With ``--import-mode=importlib``, pytest imports the package itself and then runs the file, although the package may
    have imported it by then. Every class and every registration of the module would exist twice.
    """
    folder = file_path.parent
    if file_path.suffix == ".py" and folder.is_relative_to(ROOT / "bayesgmm"):
        import_module(".".join(folder.relative_to(ROOT).parts))
