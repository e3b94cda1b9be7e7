"""What a detector of anomalies rests on: how much structure the data have, and p-values that are honest about it."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bayesgmm.errors import BayesGMMError, FitWarning
from bayesgmm.inference import fit
from bayesgmm.labels.relabelling import aligned
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.schema import holds_points, observed
from bayesgmm.predictions.anomalies import rank_p_values
from bayesgmm.predictions.predictive import assignments, mean_log_density
from bayesgmm.predictions.replication import simulate
from bayesgmm.priors.backgrounds import QUARTILES_APART, Background
from bayesgmm.progress import track
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

COMPONENTS = (1, 2, 3, 4, 6, 8, 10)
MUST_PAY = 0.2  # of the simplest model's error: what another must surely take away, or the simplest is taken
BACKGROUND_MUST_PAY = 0.01  # of the pairs: what a background must tell apart beyond the same mixture without one
SURE = 2.0  # standard errors of a difference
TRIED_ROWS = 4_000  # rows that choosing looks at, half to fit and half to judge
MADE_UP = 4_000  # points that held-out rows are compared with
SIMULATED = 100_000  # points behind the p-values of a fit that was not calibrated
COUNTED = 20_000  # rows that components are weighed by, at most
ROUGH_DRAWS = 50  # of a model that is tried
DRAWS = 200  # of the one that is taken
EDGE = 0.05  # quantile of a column where its range is taken to end
MARGIN = 0.25  # beyond it, of the range
LEAST_CENTRE = 200  # p-values whose centre can be trusted
TAIL = 0.01  # share of the reference scores that the tail is fitted to


@dataclass(frozen=True)
class Choice:
    """A model that was tried.

    Parameters
    ----------
    model : MixtureModel
    denser : (M,) float
        Share of the made-up points that are denser than each held-out row; empty where the model could not be fitted.
    """

    model: MixtureModel
    denser: Array

    @property
    def error(self) -> float:
        """Share of pairs in which the made-up point is the denser one; NaN where the model could not be fitted."""
        return float(self.denser.mean()) if self.denser.size else np.nan

    def surely_ahead_of(self, other: Self) -> float:
        """How much smaller its error is at least: two standard errors less than in the rows that both have judged."""
        ahead = other.denser - self.denser
        return float(ahead.mean()) - SURE * float(ahead.std(ddof=1)) / math.sqrt(ahead.size)


def candidates(
    n_components: Sequence[int], covariance: str, backgrounds: Sequence[Background | None]
) -> list[MixtureModel]:
    """Models from the simplest on: each number of components, with each background."""
    return [MixtureModel(k, covariance, background=behind) for k in n_components for behind in backgrounds]


def made_up(x: Array, size: int, rng: np.random.Generator) -> Array:
    """(size, D) points without structure: half evenly over the columns' ranges, half of the columns' own values."""
    low, high = np.quantile(x, [EDGE, 1 - EDGE], axis=0)
    margin = MARGIN * (high - low)
    even = rng.uniform(low - margin, high + margin, size=(size // 2, x.shape[1]))
    scrambled = np.stack([rng.choice(column, size - size // 2) for column in x.T], axis=1)
    return np.concatenate([even, scrambled])


def structure(x: "pd.DataFrame", models: Sequence[MixtureModel], seed: int, progress: bool = True) -> list[Choice]:
    """How well each model tells rows that it has not seen from points that were made up.

    To find anomalies is to tell the data from what is spread out without structure [1]_. Likelihoods would ask for
    something else: they pay for every spike and rounded number, and a mixture that follows those finds fewer anomalies.

    References
    ----------
    .. [1] Steinwart, Hush & Scovel (2005), J. Mach. Learn. Res. 6, 211-232.
    """
    rng = np.random.default_rng((seed, 11))
    rows = rng.permutation(len(x))[:TRIED_ROWS]
    seen, unseen = x.iloc[rows[::2]], x.iloc[rows[1::2]]
    false = made_up(x.to_numpy(np.float64)[rows], MADE_UP, rng)
    return [Choice(model, _denser(model, seen, unseen, false, seed)) for model in track(models, "choosing", progress)]


def _denser(model: MixtureModel, seen: "pd.DataFrame", unseen: "pd.DataFrame", false: Array, seed: int) -> Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            rough = fit(model, seen, "vb", seed=seed, progress=False, draws=ROUGH_DRAWS, n_init=5)
    except BayesGMMError:
        return np.empty(0)
    below = np.searchsorted(np.sort(mean_log_density(rough, false)), mean_log_density(rough, unseen), side="right")
    return 1 - below / len(false)


def simplest(choices: Sequence[Choice]) -> MixtureModel:
    """The first model, unless another surely takes away a fifth of its error; then the first that this is not ahead of.

    A background follows no structure, so one pair in a hundred is enough for it.

    Examples
    --------
    >>> denser = np.array([[0.3, 0.3, 0.4], [0.1, 0.0, 0.2], [0.0, 0.1, 0.1]])
    >>> simplest([Choice(MixtureModel(k + 1), row) for k, row in enumerate(denser)]).n_components
    2
    """
    able = [choice for choice in choices if choice.denser.size]
    if not able:
        return choices[0].model
    able = [_with_or_without([c for c in able if c.model.n_components == k]) for k in _counts(able)]
    best = min(able, key=lambda choice: choice.error)
    if best.surely_ahead_of(able[0]) < MUST_PAY * able[0].error:
        return able[0].model
    return next(choice.model for choice in able if best.surely_ahead_of(choice) <= 0)


def _counts(choices: Sequence[Choice]) -> list[int]:
    return [*dict.fromkeys(choice.model.n_components for choice in choices)]


def _with_or_without(alike: list[Choice]) -> Choice:
    """Of mixtures that differ in their background, the first unless another gains enough."""
    best = min(alike, key=lambda choice: choice.error)
    return best if alike[0].error - best.error >= BACKGROUND_MUST_PAY else alike[0]


def log_p_values(score: Array, reference: Array) -> Array:
    r"""Logarithms of p-values among sorted scores that a model simulates, also where no simulated point is as strange.

    A Gaussian's log density, below its maximum, is a gamma variable; its tail falls nearly exponentially, and ever
    faster. So below the lowest hundredth an exponential tail is put in its place: p-values come out rather too large.

    Examples
    --------
    One Gaussian in the plane: the tail is exponential, p = exp(-r^2 / 2).

    >>> reference = np.sort(np.log(np.random.default_rng(0).random(100_000)))
    >>> log_p_values(np.array([-20.0]), reference).round()
    array([-20.])
    """
    log_p = np.log(rank_p_values(score, reference))
    count = int(TAIL * reference.size)
    if count < 2:
        return log_p
    edge = reference[count]
    rate = 1 / (edge - reference[:count]).mean()
    return np.where(score < edge, np.log(TAIL) + rate * (score - edge), log_p)


@dataclass(frozen=True)
class Null:
    r"""How good points of a source differ from what a model expects: the middle half of them is taken to be good.

    With :math:`z = \Phi^{-1}(p)`, the good points' z would be standard normal under the right model. The quartiles of
    all say what they are instead. P-values are only ever made larger; they stay as they are where there are few.

    Parameters
    ----------
    middle, spread : float
        Of z; at most 0 and at least 1.

    References
    ----------
    .. [1] Efron (2004), J. Am. Stat. Assoc. 99(465), 96-104.

    Examples
    --------
    >>> Null.of(np.log((np.arange(999) + 1) / 1000))
    Null(middle=0.0, spread=1.0)
    """

    middle: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, log_p: Array) -> Self:
        """From the logarithms of many p-values."""
        if len(log_p) < LEAST_CENTRE:
            return cls()
        low, middle, high = np.quantile(_z(log_p), [0.25, 0.5, 0.75])
        return cls(min(0.0, round(float(middle), 9)), max(1.0, float(high - low) / QUARTILES_APART))

    def p_values(self, log_p: Array) -> Array:
        """P-values, corrected."""
        from scipy.special import ndtr

        return np.maximum(np.exp(log_p), ndtr((_z(log_p) - self.middle) / self.spread))


def _z(log_p: Array) -> Array:
    from scipy.special import ndtri_exp

    return np.asarray(ndtri_exp(np.minimum(log_p, -1e-12)))


def simulated_scores(tree: "xr.DataTree", size: int) -> Array:
    """(size,) scores of points that a fit simulates; always the same ones.

    Components count by how many of the fitted rows they hold. By their weights, one that holds none would still make a
    point in every N, anywhere: enough of them for no p-value to be small.
    """
    posterior = aligned(tree, DRAWS)
    if holds_points(tree):
        p = posterior.parameters
        posterior = replace(posterior, parameters=replace(p, weight=np.broadcast_to(_held(tree), p.weight.shape)))
    return mean_log_density(tree, simulate(posterior, size, np.random.default_rng(0)))


def _held(tree: "xr.DataTree") -> Array:
    """(K,) the share of the fitted rows that each component holds; rows of a background are nobody's."""
    points = observed(tree)
    some = slice(None, None, 1 + len(points.values) // COUNTED)
    answer = assignments(tree, points.values[some], draws=DRAWS)
    counted = np.ones(answer.sizes["point"]) if points.weights is None else points.weights[some]
    if "background" in answer:
        counted = counted * (1 - answer["background"].values)
    held = counted @ answer["probability"].transpose("point", "component").values
    return np.asarray(held / held.sum())


def with_reference(tree: "xr.DataTree", unseen: Any) -> "xr.DataTree":
    """A fit that keeps the scores of good points it has not seen: group ``calibration``, ``score`` [reference]."""
    return _calibrated(tree, {"score": ("reference", np.sort(mean_log_density(tree, unseen)))})


def with_null(tree: "xr.DataTree", log_p: Array) -> "xr.DataTree":
    """A fit that keeps how far it is off, by the p-values of its own rows: group ``calibration``."""
    null = Null.of(log_p)
    return _calibrated(tree, {"middle": null.middle, "spread": null.spread})


def with_expected(tree: "xr.DataTree") -> "xr.DataTree":
    """A fit that keeps the scores it expects, ``expected`` [reference], unless it keeps what it was calibrated by."""
    if {"score", "expected"} & set(_kept(tree)):
        return tree
    return _calibrated(tree, {"expected": ("reference", np.sort(simulated_scores(tree, SIMULATED)))})


def _calibrated(tree: "xr.DataTree", more: dict[str, Any]) -> "xr.DataTree":
    import xarray as xr

    tree = tree.copy()
    tree["calibration"] = xr.DataTree(xr.Dataset({**_kept(tree), **more}))
    return tree


def _kept(tree: "xr.DataTree") -> dict[Any, Any]:
    return dict(tree["calibration"].to_dataset()) if "calibration" in tree.children else {}


def reference_of(tree: "xr.DataTree") -> Array | None:
    """The sorted scores of unseen points that a fit keeps; None where it keeps none."""
    kept = _kept(tree)
    return kept["score"].values if "score" in kept else None


def expected_of(tree: "xr.DataTree") -> Array:
    """The sorted scores of points that a fit expects."""
    return np.asarray(_kept(with_expected(tree))["expected"].values)


def null_of(tree: "xr.DataTree") -> Null:
    """How far a fit is off, as it keeps it; not at all where nobody has looked."""
    kept = _kept(tree)
    return Null(kept["middle"].item(), kept["spread"].item()) if "spread" in kept else Null()
