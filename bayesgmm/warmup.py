"""Compile all functions of the package for this machine, so that later calls do not have to."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.apps.images.random_fields import edge_weights, smooth
from bayesgmm.clusterings.label_draws import n_clusters
from bayesgmm.clusterings.partitions import partition
from bayesgmm.diagnosis import diagnose
from bayesgmm.errors import FitWarning
from bayesgmm.estimators.gaussian import GaussianMixture
from bayesgmm.inference import fit
from bayesgmm.inference.em import local_maxima
from bayesgmm.inference.em_steps import Sweep
from bayesgmm.inference.native_em import NativeEM
from bayesgmm.labels.responsibilities import Responsibilities
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions.anomalies import anomaly_scores
from bayesgmm.predictions.imputations import impute
from bayesgmm.predictions.predictive import assignments, density
from bayesgmm.priors.scalars import ENTRIES, log_densities
from bayesgmm.priors.weights import FiniteMixture, SparseDirichlet
from bayesgmm.progress import track
from bayesgmm.sources.opening import source
from bayesgmm.sources.surveys import stream
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.compilation import KERNELS, Callback

if TYPE_CHECKING:
    import xarray as xr

Step = Callable[[], object]


def warm_up(progress: bool = True) -> int:
    """Compile all functions that are otherwise compiled at their first call, and cache the code on disk.

    Later processes load the code from there. It is valid for one type of machine and one version of this package, of
    Python and of numba.

    Parameters
    ----------
    progress : bool
        Show a progress bar.

    Returns
    -------
    int
        Number of compiled functions.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the fits have too few draws
        for step in track(_steps(), "compiling", progress):
            step()
    return len(KERNELS)


def _compile(made: Callback[..., Any]) -> int:
    return made.address


def _steps() -> list[Step]:
    """Return steps that compile everything: densities of priors directly, other functions by a small problem."""
    densities = [partial(_compile, made) for made in KERNELS if isinstance(made, Callback)]
    x = np.random.default_rng(0).normal(size=(40, 2)) + np.repeat([[0.0], [6.0]], 20, axis=0)
    wide = np.concatenate([x, x[::-1]], axis=1)
    model = MixtureModel(2)
    fits: dict[str, xr.DataTree] = {}

    unknown, bound = (MixtureModel(3, weights=weights) for weights in (FiniteMixture(), SparseDirichlet()))
    shared = MixtureModel(2, covariance="tied")  # without split-merge moves
    few = MixtureModel(2, covariance="factors:1")

    def fit_by(method: str, **settings: Any) -> None:
        fits[method] = fit(model, x, method, seed=0, cores=1, progress=False, **settings)

    def draw_others() -> None:
        for model, rows in ((unknown, x), (bound, x), (shared, x), (few, wide)):
            fit(model, rows, "gibbs", seed=0, cores=1, progress=False, draws=100, tune=100, chains=2)

    def steps_of_em() -> None:
        sweep = Sweep(Blocks.from_rows(x), MixtureModel(2, covariance="VVE").family)
        mixture = local_maxima(sweep, 2, 0, n_init=2, sweeps=1).optima[0].mixture
        sweep(mixture)
        NativeEM(sweep.blocks, sweep.family, 2).extrapolate(mixture, 0.0, 3)

    def with_gaps() -> None:
        holed = np.where(np.arange(x.size).reshape(x.shape) % 7 == 0, np.nan, x)
        impute(fit(model, holed, "em", seed=0, cores=1, progress=False, n_init=1))

    def in_parts() -> None:
        density = LogPosterior.of(model, replace(stream(source(x), 2**30, seed=0), held=False))
        density(np.zeros(density.size))

    def sampled() -> "xr.DataTree":
        return fits["nuts"]

    return [
        *densities,
        lambda: fit_by("em", n_init=1),
        steps_of_em,
        lambda: fit(few, wide, "em", seed=0, cores=1, progress=False, n_init=1),
        lambda: fit_by("mle", n_init=1),
        in_parts,
        lambda: GaussianMixture(2, random_state=0).fit(x),
        lambda: fit_by("gibbs", draws=100, tune=100, chains=2),
        lambda: fit_by("gibbs", draws=100, tune=100, chains=2, tempering="parallel"),
        draw_others,
        with_gaps,
        lambda: fit_by("nuts", draws=100, tune=100, chains=2),
        lambda: assignments(sampled()),
        lambda: anomaly_scores(sampled()),
        lambda: density(sampled(), x, progress=False),
        lambda: partition(sampled(), progress=False),
        lambda: diagnose(sampled(), progress=False),
        lambda: n_clusters(sampled()),
        lambda: Responsibilities(Blocks.from_rows(x), unpack(sampled()).tables(), 1, False).logliks(),
        lambda: log_densities(np.ones(ENTRIES), np.zeros(1)),
        lambda: smooth(np.full((4, 4, 2), 0.5, np.float32), edge_weights(np.zeros((4, 4, 3), np.float32), 1.0), 1.0, 1),
    ]
