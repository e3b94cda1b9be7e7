"""Choosing the mixture of an anomaly detector: the fraction of artificial points denser than held-out rows."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from bayesgmm.data.points import as_points
from bayesgmm.errors import BayesGMMError, FitWarning
from bayesgmm.inference import fit, gibbs_judge
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.schema import observed, unpack
from bayesgmm.predictions.predictive import mean_log_density
from bayesgmm.predictions.ranks import references_by_pattern
from bayesgmm.priors.backgrounds import Background
from bayesgmm.progress import track
from bayesgmm.screening.dependence import numbers_of
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

COMPONENTS = (1, 2, 3, 4, 6, 8, 10)
MIN_IMPROVEMENT = 0.2  # of the simplest model's error; a larger model must reduce it by this fraction
MIN_BACKGROUND_GAIN = 0.01  # reduction in error that a background must give
STANDARD_ERRORS = 2.0  # of a difference
CLIPPED = 3.0  # largest difference of a row's log densities that counts
SEARCHED = 500  # sweeps of the search for a mixture that is only compared: a good maximum is enough
MAX_ROWS_TRIED = 4_000  # half to fit, half to evaluate
N_ARTIFICIAL = 4_000  # points that held-out rows are compared with
MIN_ARTIFICIAL, N_GAPPED = 200, 40_000  # for each pattern of missing columns, and for all together
EDGE = 0.05  # quantile of a column at which its range ends
MARGIN = 0.25  # added to the range on each side, as a fraction of it


@dataclass(frozen=True)
class Candidate:
    """Model that was tried, with its error on held-out rows.

    Parameters
    ----------
    model : MixtureModel
    denser : (M,) float
        For each of M held-out rows, the fraction of the artificial points with a higher density; empty if the fit
        failed.
    log_density : (M,) float, optional
        Of the held-out rows.
    """

    model: MixtureModel
    denser: Array
    log_density: Array | None = None

    @property
    def error(self) -> float:
        """Fraction of pairs (row, artificial point) in which the point has the higher density; NaN if no fit."""
        return float(self.denser.mean()) if self.denser.size else np.nan

    def improvement_bound(self, other: Self) -> float:
        """Lower bound of how much smaller this error is than another's: the paired mean less two standard errors."""
        return _lower_bound(other.denser - self.denser)

    def describes_better(self, other: Self) -> bool:
        """Return True if held-out rows are clearly more probable than under another model; single rows count little."""
        if self.log_density is None or other.log_density is None:
            return False
        return _lower_bound(np.clip(self.log_density - other.log_density, -CLIPPED, CLIPPED)) > 0


def _lower_bound(ahead: Array) -> float:
    """Mean of differences (M,) less two standard errors."""
    return float(ahead.mean()) - STANDARD_ERRORS * float(ahead.std(ddof=1)) / math.sqrt(ahead.size)


def candidates(
    n_components: Sequence[int], covariance: str, backgrounds: Sequence[Background | None]
) -> list[MixtureModel]:
    """Declare a model for each number of components and each background, the simplest first."""
    return [MixtureModel(k, covariance, background=behind) for k in n_components for behind in backgrounds]


def artificial_points(x: Array, size: int, rng: np.random.Generator) -> Array:
    """Draw points without structure.

    Half are uniform over the columns' ranges; half combine values drawn from each column independently.

    Parameters
    ----------
    x : (N, D) float
        NaN where a value is missing.
    size : int
    rng : Generator

    Returns
    -------
    (size, D) float
    """
    low, high = np.nanquantile(x, [EDGE, 1 - EDGE], axis=0)
    margin = MARGIN * (high - low)
    uniform = rng.uniform(low - margin, high + margin, size=(size // 2, x.shape[1]))
    independent = np.stack([rng.choice(column[~np.isnan(column)], size - size // 2) for column in x.T], axis=1)
    return np.concatenate([uniform, independent])


def evaluate_models(
    x: "pd.DataFrame", models: Sequence[MixtureModel], seed: int, progress: bool = True
) -> list[Candidate]:
    """Measure how well each model separates held-out rows from artificial points without structure.

    Anomaly detection can be stated as classification of the data against a reference distribution [1]_. The held-out
    likelihood is not used: it rewards narrow components around repeated or rounded values, and such mixtures detect
    fewer anomalies.

    References
    ----------
    .. [1] Steinwart, Hush & Scovel (2005), J. Mach. Learn. Res. 6, 211-232.
    """
    rng = np.random.default_rng((seed, 11))
    rows = rng.permutation(len(x))[:MAX_ROWS_TRIED]
    training, held_out = x.iloc[rows[::2]], x.iloc[rows[1::2]]
    artificial = artificial_points(numbers_of(x)[rows], N_ARTIFICIAL, rng)
    return [
        Candidate(model, *_denser(model, training, held_out, artificial, seed))
        for model in track(models, "choosing", progress)
    ]


def _denser(
    model: MixtureModel, training: "pd.DataFrame", held_out: "pd.DataFrame", artificial: Array, seed: int
) -> tuple[Array, Array | None]:
    try:
        with warnings.catch_warnings(), gibbs_judge.ignored():
            warnings.simplefilter("ignore", FitWarning)
            tree = fit(
                model,
                as_points(training, gaps=True),
                "em",
                seed=seed,
                progress=False,
                n_init=3,
                tol=1e-5,
                sweeps=SEARCHED,
            )
    except BayesGMMError:
        return np.empty(0), None
    own, denser = mean_log_density(tree, held_out), np.empty(len(held_out))
    gaps = np.isnan(numbers_of(held_out))
    by_pattern = references_by_pattern(partial(mean_log_density, tree), gaps, artificial, MIN_ARTIFICIAL, N_GAPPED)
    for rows, score in by_pattern:  # densities of the same columns
        denser[rows] = 1 - np.searchsorted(score, own[rows], side="right") / len(score)
    return denser, own


def choose_model(tried: Sequence[Candidate]) -> MixtureModel:
    """Choose the simplest model whose error is close to the smallest.

    The first model is kept unless the best one reduces its error by a fifth, and by two standard errors. Else the
    simplest model is chosen whose error does not differ from the best by more than two standard errors; or a larger
    one of these, if it describes held-out rows better. P-values come from points that are simulated from this model: if
    it joins groups, points between them are simulated, and rows that are improbable would not be among the few lowest.
    A background is included if it reduces the error by 0.01.

    Examples
    --------
    >>> denser = np.array([[0.3, 0.3, 0.4], [0.1, 0.0, 0.2], [0.0, 0.1, 0.1]])
    >>> choose_model([Candidate(MixtureModel(k + 1), row) for k, row in enumerate(denser)]).n_components
    2
    """
    fitted = [candidate for candidate in tried if candidate.denser.size]
    if not fitted:
        return tried[0].model
    fitted = [_choose_background([c for c in fitted if c.model.n_components == k]) for k in _counts(fitted)]
    best = min(fitted, key=lambda candidate: candidate.error)
    if best.improvement_bound(fitted[0]) <= 0 or best.error > (1 - MIN_IMPROVEMENT) * fitted[0].error:
        return fitted[0].model
    chosen, *larger = [candidate for candidate in fitted if best.improvement_bound(candidate) <= 0]
    for candidate in larger:
        chosen = candidate if candidate.describes_better(chosen) else chosen
    return chosen.model


def without_small(model: MixtureModel, tree: "xr.DataTree", counts: Sequence[int]) -> MixtureModel | None:
    """Return a model with a background in place of components on few rows, or None: these rows may be anomalies.

    A component is on few rows if there are no more of them than columns. The model has as many components, among the
    numbers that are tried, as there are others.

    Parameters
    ----------
    model : MixtureModel
        Without a background.
    tree : DataTree
        Its fit, which holds the points.
    counts : sequence of int
        Numbers of components that are tried.
    """
    points = observed(tree)
    rows = unpack(tree).parameters.weight.mean(axis=0) * points.total_weight
    larger = int((rows > len(points.columns)).sum())
    if model.background is not None or larger == model.n_components:
        return None
    n_components = max((k for k in counts if k <= larger), default=min(counts))
    return MixtureModel(n_components, model.covariance, background=Background())


def _counts(tried: Sequence[Candidate]) -> list[int]:
    return [*dict.fromkeys(candidate.model.n_components for candidate in tried)]


def _choose_background(alike: list[Candidate]) -> Candidate:
    """Choose among mixtures that differ only in their background: the first, unless another's error is 0.01 smaller."""
    best = min(alike, key=lambda candidate: candidate.error)
    return best if alike[0].error - best.error >= MIN_BACKGROUND_GAIN else alike[0]
