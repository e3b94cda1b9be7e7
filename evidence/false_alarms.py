"""False discoveries of ``find_anomalies`` on tables of skewed, heavy-tailed and whole numbers."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayesgmm as bg
from bayesgmm.apps import find_anomalies
from evidence.errors import mean, share

Array = NDArray[np.float64]
ROWS, COLUMNS = 1000, 4
PLANTED = 10  # anomalies among the rows
FAR = 9.0  # distance of an anomaly on the Gaussian scale, in standard deviations of a column
RATE = 0.05
MAY_NOT_HOLD = "the false discovery rate may not hold"
FEW, FEW_ROWS = 3, 40  # with fewer tables, the first kind only, and few rows


def two_groups(rng: np.random.Generator, n_rows: int) -> Array:
    """Draw log-normal rows around two centres."""
    centre = np.array([[0.0, 0, 0, 0], [3, 2, 0, 0]])
    return np.exp(centre[rng.integers(2, size=n_rows)] + 0.6 * rng.normal(size=(n_rows, COLUMNS)))


def three_groups(rng: np.random.Generator, n_rows: int) -> Array:
    """Draw rows of t distributions with five degrees of freedom around three centres."""
    centre = rng.normal(0, 8, size=(3, COLUMNS))
    return centre[rng.integers(3, size=n_rows)] + rng.standard_t(5, size=(n_rows, COLUMNS))


KINDS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "log-normal": lambda rng, n: np.exp(rng.normal(size=(n, COLUMNS))),
    "gamma(2)": lambda rng, n: rng.gamma(2, size=(n, COLUMNS)),
    "t(5)": lambda rng, n: rng.standard_t(5, size=(n, COLUMNS)),
    "Poisson(3)": lambda rng, n: rng.poisson(3, size=(n, COLUMNS)).astype(np.float64),
    "two log-normal groups": two_groups,
    "three groups of t(5)": three_groups,
}


def of_tables(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Count false discoveries in tables with and without planted anomalies; a replicate is a table of each kind."""
    few = replicates < FEW
    kinds = [*KINDS][: 1 if few else None]
    rows = [_without_anomalies(kind, replicates, seed, FEW_ROWS if few else ROWS) for kind in kinds]
    rows.append(_with_anomalies(replicates, seed, FEW_ROWS if few else ROWS))
    text = f"""
        Tables of {ROWS} rows and {COLUMNS} independent columns, by find_anomalies at its defaults: a false discovery
        rate of {RATE}, and a transform of each column that is chosen by evidence. Where no anomaly is planted, every
        flagged row is a false discovery, so the rate is the share of tables in which a row is flagged. "Without a
        warning" is the share of tables with a false discovery whose answer does not warn that the rate may not hold.
        In the last line, {PLANTED} rows of a log-normal table are anomalies: {FAR:g} standard deviations from the
        centre on the logarithmic scale, in a random direction.
    """
    return text, pd.DataFrame(rows)


def _flagged(x: Array) -> tuple[NDArray[np.bool_], bool]:
    """Return which rows are flagged, and whether a warning says that the rate may not hold."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", bg.FitWarning)
        flagged = find_anomalies(x, progress=False).rows["anomaly"].to_numpy(bool)
    return flagged, any(MAY_NOT_HOLD in str(one.message) for one in caught)


def _without_anomalies(kind: str, replicates: int, seed: int, n_rows: int) -> dict[str, object]:
    place = [*KINDS].index(kind)
    tables = [KINDS[kind](np.random.default_rng((seed, place, number)), n_rows) for number in range(replicates)]
    answers = [_flagged(x) for x in tables]
    counts = np.array([flagged.sum() for flagged, _ in answers])
    silent = sum(bool(flagged.any()) and not warned for flagged, warned in answers)
    return {
        "columns": kind,
        "planted": 0,
        "false discovery rate": share(int((counts > 0).sum()), replicates),
        "without a warning": share(silent, replicates),
        "flagged rows per table": f"{counts.mean():.2f}",
        "anomalies found": "",
    }


def _with_anomalies(replicates: int, seed: int, n_rows: int) -> dict[str, object]:
    false, unwarned, found, counts = [], [], [], []
    for number in range(replicates):
        rng = np.random.default_rng((seed, len(KINDS), number))
        z, away = rng.normal(size=(n_rows, COLUMNS)), rng.normal(size=(PLANTED, COLUMNS))
        z[:PLANTED] = FAR * away / np.linalg.norm(away, axis=1, keepdims=True)
        flagged, warned = _flagged(np.exp(z))
        unwarned.append(not warned and bool(flagged[PLANTED:].any()))
        false.append(float(flagged[PLANTED:].sum()) / max(1, int(flagged.sum())))
        found.append(flagged[:PLANTED].mean())
        counts.append(flagged.sum())
    return {
        "columns": "log-normal",
        "planted": PLANTED,
        "false discovery rate": mean(false),
        "without a warning": share(sum(unwarned), replicates),
        "flagged rows per table": f"{np.mean(counts):.2f}",
        "anomalies found": mean(found),
    }
