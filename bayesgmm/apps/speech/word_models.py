"""Hidden Markov models of words, with Gaussian mixtures as states, trained by expectation maximisation."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.apps.speech.hidden_markov_models import Padded, log_probability, occupancies, uniform_occupancies
from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.declared import positive, whole
from bayesgmm.errors import DeclarationError, FitWarning
from bayesgmm.estimators import arguments, fits
from bayesgmm.families.factors import FactorAnalysers
from bayesgmm.families.family import Family
from bayesgmm.inference.mixtures import CovariancePrior, Mixture, closest_wishart, maximise
from bayesgmm.inference.starts import from_centres, spread_out_centres
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, unpack
from bayesgmm.priors.covariances import WishartPrecision
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, Stats, Table, fold, log_densities

MAX_ITER, TOL = 12, 1e-3  # maximum number of iterations; minimum gain in log likelihood per frame
MIN_OCCUPANCY = 1e-3  # relative occupancy below which a frame is not used for a state
RELATIVE_RIDGE = 1e-6  # added to every variance, as a fraction of the mean variance
CHUNK = 16_000  # frames scored at the same time


@dataclass(frozen=True)
class WordSettings:
    """Settings of word models.

    Parameters
    ----------
    n_states : int
        Number of states of a word; 1 for a sustained sound.
    n_components : int
        Number of components of each state's mixture.
    covariance_type : str
    shrinkage : float
        Weight, in frames, of the covariance within all states in each component's covariance.
    method : str
        'em', or any method of ``bayesgmm.fit``, for the final fit of each state's mixture.
    settings : dict, optional
        Settings of the method.
    seed : int

    Raises
    ------
    DeclarationError
        If a value is invalid.
    """

    n_states: int = 8
    n_components: int = 1
    covariance_type: str = "full"
    shrinkage: float = 100.0
    method: str = "em"
    settings: dict[str, Any] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_states", whole("n_states", self.n_states, maximum=100))  # 3.0 becomes 3
        object.__setattr__(self, "n_components", whole("n_components", self.n_components))
        positive("shrinkage", self.shrinkage)
        if FactorAnalysers.named(self.covariance_type) is not None:
            raise DeclarationError(
                f"covariance_type={arguments.family_of(self.covariance_type).name!r}: word models do not take factor "
                "analysers, because their states are shrunk towards a common matrix\n  Try 'full', 'tied' or 'diag'."
            )
        arguments.family_of(self.covariance_type)

    @property
    def family(self) -> Family:
        """Covariance family."""
        return arguments.family_of(self.covariance_type)

    def prior(self, within: Array) -> WishartPrecision:
        """Prior of the covariances: ``shrinkage`` frames with the covariance (D, D) within all states.

        With EM the mode is ``(scatter + shrinkage * within) / (n + shrinkage)``; else ``within`` is the prior's mean.

        Raises
        ------
        DeclarationError
            If ``shrinkage`` is too small for the number of columns.
        """
        free = self.family.form.block_size(len(within))
        dof = self.shrinkage + (free + 1) * (-1 if self.method == "em" else 1)
        minimum = free - 1
        if not dof > minimum:
            needed = minimum + free + 1
            raise DeclarationError(
                f"shrinkage={self.shrinkage:g}: must be more than {needed} for {self.covariance_type!r} covariances of "
                f"{free} {'column' if free == 1 else 'columns'}\n  Try covariance_type='diag' for less."
            )
        return WishartPrecision(dof=dof, scale=tuple(map(tuple, (within * self.shrinkage).tolist())))


def _regularised(within: Array) -> Array:
    """Add a small ridge to a covariance (D, D), which may be singular with few frames."""
    return within + RELATIVE_RIDGE * (np.trace(within) / len(within) or 1.0) * np.eye(len(within))


@dataclass(frozen=True)
class WordModels:
    """Trained models of C words with S states; each state has M draws of a mixture of K components in D features.

    Parameters
    ----------
    weight, mean, covariance : (C, S, M, K), (C, S, M, K, D), (C, S, M, K, D, D) float
        Parameters in data units.
    stay : (C, S) float
        Self-transition probabilities.
    standard : Standard
    columns : tuple of D str
    """

    weight: Array
    mean: Array
    covariance: Array
    stay: Array
    standard: Standard
    columns: tuple[str, ...]

    def posterior(self, word: int, state: int) -> Posterior:
        """Return the draws of one state's mixture."""
        values = (self.weight[word, state], self.mean[word, state], self.covariance[word, state])
        return Posterior(Parameters(*values), self.columns, self.standard)

    def log_density(self, values: Array) -> Array:
        """Compute the log posterior mean density (N, C, S) of frames (N, D) in each state."""
        n_words, n_states, n_draws, n_components = self.weight.shape
        flat = Parameters(
            self.weight.reshape(-1, n_components),
            self.mean.reshape(-1, *self.mean.shape[3:]),
            self.covariance.reshape(-1, *self.covariance.shape[3:]),
        )
        tables = Posterior(flat, self.columns, self.standard).tables()
        parts = [self._log_density(values[i : i + CHUNK], tables, n_draws) for i in range(0, len(values), CHUNK)]
        return np.concatenate(parts).reshape(-1, n_words, n_states)

    def _log_density(self, values: Array, tables: Table, n_draws: int) -> Array:
        log = log_densities(self.standard.blocks(values), tables, os.cpu_count() or 1) - self.standard.log_scale
        if n_draws > 1:
            log = logsumexp(log.reshape(-1, n_draws, log.shape[1]), axis=1) - np.log(n_draws)
        return log.T

    def log_likelihood(self, parts: Sequence[Array]) -> Array:
        """Compute the log likelihood (R, C) of R recordings, arrays of frames (T_r, D), for each word."""
        return self.chain_log_likelihood(
            self.log_density(np.concatenate(parts)), np.array([len(part) for part in parts])
        )

    def chain_log_likelihood(self, density: Array, lengths: NDArray[np.int64]) -> Array:
        """Compute the log likelihood (R, C) of recordings with T_r frames, from the log densities (N, C, S) of all."""
        emitted = Padded.of(np.split(density.reshape(len(density), -1), lengths.cumsum()[:-1]))
        n_words, n_states = self.stay.shape
        values = emitted.values.reshape(len(lengths), -1, n_words, n_states)
        scores = [log_probability(Padded(values[:, :, c], lengths), self.stay[c]) for c in range(n_words)]
        return np.stack(scores, axis=1)

    def only(self, words: NDArray[np.intp]) -> "WordModels":
        """Select words by index."""
        parts = {name: getattr(self, name)[words] for name in ("weight", "mean", "covariance", "stay")}
        return replace(self, **parts)


@dataclass(frozen=True)
class _WordData:
    """Recordings of one word, as blocks of frames."""

    blocks: Blocks
    lengths: NDArray[np.int64]
    weight: Array  # of each recording

    def unpadded(self, padded: Array) -> Array:
        """Remove the padding of (R, T, S): rows (N, S)."""
        exists = np.arange(padded.shape[1]) < self.lengths[:, None]
        return padded[exists]


def train(
    parts: Sequence[Array], word: NDArray[np.intp], weight: Array, shape: WordSettings, columns: tuple[str, ...]
) -> WordModels:
    """Train word models.

    The states of the frames are latent. In each iteration of expectation maximisation [1]_, each state's mixture is
    fitted to all frames of its word, weighted by the probability that the frame is in that state. Covariances are
    shrunk towards the covariance within all states [2]_.

    Parameters
    ----------
    parts : R arrays of (T_r, D) frames
        Each with at least as many frames as states.
    word : (R,) int
        Labels from 0 to C - 1.
    weight : (R,) float
        Weight of each recording, as a number of copies.
    shape : WordSettings
    columns : tuple of D str

    References
    ----------
    .. [1] Rabiner (1989), Proc. IEEE 77(2), 257-286.
    .. [2] Friedman (1989), J. Am. Stat. Assoc. 84(405), 165-175: regularised discriminant analysis.
    """
    rows = np.concatenate(parts)
    repeated = np.repeat(weight, [len(part) for part in parts])
    points = Points(rows, columns, np.arange(len(rows)), repeated)
    standard = Standard.of(points, common=shape.family.needs_common_scale)
    corpora = [_word_data(parts, weight, word == c, standard) for c in range(int(word.max()) + 1)]
    training = _Training(corpora, shape, standard, points)
    training.run_em()
    if shape.n_components > 1:
        training.split()
        training.run_em()
    return training.words()


def _word_data(parts: Sequence[Array], weight: Array, chosen: NDArray[np.bool_], standard: Standard) -> _WordData:
    own = [part for part, wanted in zip(parts, chosen, strict=True) if wanted]
    return _WordData(standard.blocks(np.concatenate(own)), np.array([len(part) for part in own]), weight[chosen])


class _Training:
    """Expectation maximisation over all words, which share the covariance towards which theirs are shrunk."""

    def __init__(self, corpora: list[_WordData], shape: WordSettings, standard: Standard, points: Points) -> None:
        self.corpora, self.shape, self.standard, self.points = corpora, shape, standard, points
        n_features = points.values.shape[1]
        start = Mixture(np.ones(1), np.zeros((1, n_features)), shape.family.identity(1, n_features))
        self.mixtures = [[start] * shape.n_states for _ in corpora]
        self.occupancy = [c.unpadded(uniform_occupancies(c.lengths, shape.n_states)) for c in corpora]
        self.within = np.eye(n_features)
        self.stay = np.empty((len(corpora), shape.n_states))

    def run_em(self) -> None:
        """Iterate until the gain in log likelihood is below the tolerance."""
        before = -np.inf
        for _ in range(MAX_ITER):
            self._maximise()
            loglik = self._expect()
            if loglik - before < TOL * self.points.total_weight:
                return
            before = loglik

    def _folds(self) -> list[list[Stats]]:
        return [
            [self._fold(c, s, mixture) for s, mixture in enumerate(states)] for c, states in enumerate(self.mixtures)
        ]

    def _fold(self, word: int, state: int, mixture: Mixture) -> Stats:
        return fold(self._weighted(word, state), mixture.table(self.shape.family))

    def _weighted(self, word: int, state: int) -> Blocks:
        """Return the frames of a word, weighted by their occupancy of a state."""
        corpus = self.corpora[word]
        weight = np.zeros(len(corpus.blocks.weight))
        each = np.repeat(corpus.weight, corpus.lengths)
        weight[: corpus.blocks.n_points] = each * self.occupancy[word][:, state]
        return replace(corpus.blocks, weight=weight)

    def _maximise(self) -> None:
        stats = self._folds()
        every = [one for states in stats for one in states]
        scatter = np.sum([one.scatter().sum(axis=0) for one in every], axis=0) / np.sum([one.n.sum() for one in every])
        self.within = _regularised(np.diag(scatter) if scatter.ndim == 1 else scatter)
        prior = self._prior()
        self.mixtures = [[maximise(self.shape.family, one, prior) for one in states] for states in stats]
        self.stay = np.array([self._stay_probabilities(c) for c in range(len(self.corpora))])

    def _stay_probabilities(self, word: int) -> Array:
        """Estimate self-transition probabilities; one extra recording, two frames per state, keeps them off 0 and 1."""
        corpus = self.corpora[word]
        frames = (self.occupancy[word] * np.repeat(corpus.weight, corpus.lengths)[:, None]).sum(axis=0)
        return 1 - (corpus.weight.sum() + 1) / (frames + 2)

    def _declared(self) -> MixtureModel:
        """Declare the mixture of a state, with its priors in data units."""
        scale = self.standard.scale
        within = self.within * np.outer(scale, scale)
        covariances = self.shape.prior((within + within.T) / 2)
        model = MixtureModel(self.shape.n_components, self.shape.covariance_type, covariances=covariances)
        return fits.proper(model, self.points, np.diagonal(within))

    def _prior(self) -> CovariancePrior:
        return closest_wishart(self._declared().covariances, self.standard, self.shape.family)

    def _expect(self) -> float:
        """Update the occupancies; return the log likelihood of all recordings."""
        total = 0.0
        for c, corpus in enumerate(self.corpora):
            tables = [mixture.table(self.shape.family) for mixture in self.mixtures[c]]
            stacked = Table(*(np.stack([getattr(t, name) for t in tables]) for name in ("offset", "mean", "root")))
            log = log_densities(corpus.blocks, stacked).T
            padded, loglik = occupancies(Padded.of(np.split(log, corpus.lengths.cumsum()[:-1])), self.stay[c])
            self.occupancy[c] = corpus.unpadded(padded)
            total += float(corpus.weight @ loglik)
        return total

    def split(self) -> None:
        """Replace the single component of each state by several, started at frames far from each other."""
        rng = np.random.default_rng(self.shape.seed)
        for c, corpus in enumerate(self.corpora):
            rows = corpus.blocks.rows()
            self.mixtures[c] = [self._seeded(rows, self._weighted(c, s), rng) for s in range(self.shape.n_states)]

    def _seeded(self, rows: Array, weighted: Blocks, rng: np.random.Generator) -> Mixture:
        weight = weighted.weight[: len(rows)]
        own = np.flatnonzero(weight > MIN_OCCUPANCY * weight.max())
        own = np.resize(
            own, max(len(own), self.shape.n_components)
        )  # with fewer frames than components, some are repeated
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # k-means++ warns about equal frames
            centres = spread_out_centres(rows[own], weight[own], self.shape.n_components, rng)
        return from_centres(rows[own], weight[own], centres, self.shape.family)

    def words(self) -> WordModels:
        """Return word models in data units; with a method other than EM, each state is fitted once more."""
        if self.shape.method == "em":
            draws = [[self._point_estimate(mixture) for mixture in states] for states in self.mixtures]
        else:
            model = self._declared()
            n_states = range(self.shape.n_states)
            draws = [[self._fitted(model, c, s) for s in n_states] for c in range(len(self.corpora))]
        weight, mean, covariance = (np.array([[getattr(p, name) for p in s] for s in draws]) for name in NAMES)
        return WordModels(weight, mean, covariance, self.stay, self.standard, self.points.columns)

    def _point_estimate(self, mixture: Mixture) -> Parameters:
        mean = mixture.mean * self.standard.scale + self.standard.shift
        covariance = self.shape.family.matrices(mixture.core_roots, *mean.shape)
        return Parameters(
            mixture.weight[None], mean[None], (covariance * np.outer(self.standard.scale, self.standard.scale))[None]
        )

    def _fitted(self, model: MixtureModel, word: int, state: int) -> Parameters:
        blocks = self._weighted(word, state)
        weight = blocks.weight[: blocks.n_points]
        own = weight > MIN_OCCUPANCY * weight.max()
        values = blocks.rows()[own] * self.standard.scale + self.standard.shift
        points = Points(values, self.points.columns, np.arange(len(values)), weight[own])
        with warnings.catch_warnings():  # hundreds of small fits; the held-out evaluation measures their quality
            warnings.simplefilter("ignore", FitWarning)
            return unpack(fits.fit(model, points, self.shape.method, self.shape.seed, self.shape.settings)).parameters


NAMES = ("weight", "mean", "covariance")
