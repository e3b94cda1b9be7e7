"""The files that the examples of the documentation read: small tables, a photograph, recordings."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm import datasets
from bayesgmm.apps.speech.synthesis import make_recordings
from bayesgmm.datasets.teaching import open_cluster
from bayesgmm.errors import MissingExtra
from bayesgmm.files import in_place_of, made_folder, write_csv, write_parquet

if TYPE_CHECKING:
    import pandas as pd

PHOTO, RECORDINGS, RECORDING, PARTS = "photo.jpg", "recordings", "new.wav", "data"
SPOKEN = ("one", "two", "six")


def like_iris(n_points: int, seed: int) -> "pd.DataFrame":
    """Simulate flowers like those of iris: each species with its own mean and covariance, rounded to 1 mm.

    Parameters
    ----------
    n_points : int
    seed : int

    Returns
    -------
    DataFrame
        The columns of ``datasets.iris``.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    known = dict(list(datasets.iris().groupby("species")))
    species = rng.choice(list(known), n_points)
    measured = {name: frame.drop(columns="species") for name, frame in known.items()}
    columns = measured[species[0]].columns
    rows = rng.standard_normal((n_points, len(columns)))
    for name, frame in measured.items():
        axes, variances, _ = np.linalg.svd(frame.cov())
        rows[species == name] = rows[species == name] @ (axes * np.sqrt(variances)).T + frame.mean().to_numpy()
    return pd.DataFrame(rows, columns=columns).round(1).assign(species=species)


def new_flowers() -> "pd.DataFrame":
    """Simulate twenty flowers like those of iris; in two of them, a measurement is wrong."""
    frame = like_iris(20, seed=1)
    frame.loc[3, "petal_length"] *= 10  # a decimal point was left out
    frame.loc[12, "sepal_width"] = 0.3
    return frame


def customers(n_points: int = 300, seed: int = 0) -> "pd.DataFrame":
    """Simulate customers of a shop in three groups: occasional, regular and wholesale.

    Returns
    -------
    DataFrame
        ``customer`` (an id), ``visits`` in a year, ``basket`` (mean bill) and ``items`` in a basket.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    group = rng.choice(3, n_points, p=[0.5, 0.35, 0.15])
    visits, basket = np.array([6.0, 40.0, 12.0])[group], np.array([25.0, 18.0, 400.0])[group]
    bills = basket * np.exp(rng.normal(0, 0.25, n_points))
    numbers = {
        "visits": np.maximum(np.rint(visits * np.exp(rng.normal(0, 0.3, n_points))), 1).astype(int),
        "basket": bills.round(2),
        "items": (bills / np.array([6.0, 4.0, 8.0])[group] * np.exp(rng.normal(0, 0.15, n_points))).round(1),
    }
    return pd.DataFrame({"customer": [f"C{number:04d}" for number in range(n_points)], **numbers})


def transactions(n_points: int = 400, n_wrong: int = 6, seed: int = 0) -> "pd.DataFrame":
    """Simulate payments in a shop, a few of them wrong: their amount does not suit the number of items.

    Returns
    -------
    DataFrame
        ``transaction`` (an id), ``amount``, ``items`` and ``minutes`` at the checkout.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    items = rng.normal(20, 4, n_points)
    amount = 3.0 * items + rng.normal(0, 3, n_points)
    minutes = 0.5 + 0.1 * items + rng.normal(0, 0.2, n_points)
    amount[rng.choice(n_points, n_wrong, replace=False)] *= 3
    frame = pd.DataFrame({"amount": amount.round(2), "items": items.round(1), "minutes": minutes.round(2)})
    frame.insert(0, "transaction", [f"T{number:05d}" for number in range(n_points)])
    return frame


TABLES: "dict[str, Callable[[], pd.DataFrame]]" = {
    "flowers.csv": datasets.iris,
    "new.csv": new_flowers,
    "held_out.csv": lambda: like_iris(600, seed=2),
    "gaps.csv": lambda: datasets.iris(missing=0.1, seed=1),
    "stars.csv": open_cluster,
    "new_stars.csv": lambda: open_cluster(20, 8, seed=1),
    "velocities.csv": datasets.galaxies,
    "customers.csv": customers,
    "transactions.csv": transactions,
}
WORDS = {
    "flowers.csv": "150 iris flowers of three species",
    "new.csv": "20 flowers like them, two with a wrong measurement",
    "held_out.csv": "600 flowers like them, to calibrate p-values",
    "gaps.csv": "iris, with missing values",
    "stars.csv": "stars with errors of measurement",
    "new_stars.csv": "20 more of them",
    "velocities.csv": "82 galaxies",
    "customers.csv": "customers of a shop, in groups",
    "transactions.csv": "payments, a few of them wrong",
    PHOTO: "a photograph of a dahlia",
    RECORDINGS: "synthetic recordings of three words by three speakers",
    RECORDING: "one of these words by another speaker",
    PARTS: "6,000 flowers in three files, to be read in parts",
}
"""What each file holds."""


def write_examples(folder: Path) -> dict[str, str]:
    """Write the files that the examples of the documentation read into a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict of str
        What each file that was written holds, by its name. Recordings are left out if soundfile is not installed.

    Raises
    ------
    FitFileError
        If the folder can't be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = write_examples(Path(folder))
    >>> written["velocities.csv"]
    '82 galaxies'
    """
    from importlib.resources import files

    made_folder(folder, [*TABLES, PHOTO, RECORDING])
    for name, table in TABLES.items():
        write_csv(table(), folder / name, index=False)
    picture = files("sklearn.datasets.images") / "flower.jpg"
    with in_place_of(folder / PHOTO) as partial:
        partial.write_bytes(picture.read_bytes())
    _write_parts(folder)
    try:
        _write_recordings(folder)
    except MissingExtra:
        return {name: what for name, what in WORDS.items() if name not in (RECORDINGS, RECORDING)}
    return WORDS


def _write_parts(folder: Path) -> None:
    """Write flowers like those of iris to three Parquet files."""
    names = ["0.parquet", "1.parquet", "2.parquet"]
    made_folder(folder / PARTS, names)
    for number, name in enumerate(names):
        write_parquet(like_iris(2000, seed=3 + number), folder / PARTS / name, index=False)


def _write_recordings(folder: Path) -> None:
    """Write recordings of three words by three speakers, and one of another speaker."""
    make_recordings(folder / RECORDINGS, SPOKEN, speakers=3, takes=3)
    with TemporaryDirectory(dir=folder) as beside:
        path = make_recordings(beside, ["two"], speakers=1, takes=1, seed=5)["path"][0]
        Path(path).replace(folder / RECORDING)
