"""Path of EM: the mixture before each iteration, from a random start. For animations."""

from dataclasses import dataclass, field

import numpy as np

from bayesgmm.errors import ComponentError
from bayesgmm.inference.em_steps import Sweep, take_steps
from bayesgmm.inference.label_matching import matched_start
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.starts import CENTRES, from_centres, sample_rows
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.stats import Array

START = "random_from_data"  # a start that is far from the maximum, so that there is something to see
TRIES = 20  # maximum number of starts, if a component of those before lost its points
TOLERANCE = 1e-6  # remaining gain in mean log likelihood, in nats


@dataclass(frozen=True)
class Recorder(Sweep):
    """An EM iteration that keeps the mixtures that it was applied to, in order."""

    path: list[Mixture] = field(default_factory=list)

    def __call__(self, mixture: Mixture) -> tuple[float, Mixture]:
        """Keep the mixture, and return what ``Sweep`` returns."""
        self.path.append(mixture)
        return super().__call__(mixture)


def em_path(density: LogPosterior, seed: int, max_iter: int = 1000) -> tuple[Parameters, Array]:
    """Run plain EM from centres that are points drawn at random, and return every mixture on its way.

    Parameters
    ----------
    density : LogPosterior
        Of the data; its priors are ignored.
    seed : int
    max_iter : int
        Maximum number of iterations.

    Returns
    -------
    tuple of Parameters and (S,) float
        The start, and the mixture after each iteration, (S, ...) in data units; the total log likelihood of each, which
        never decreases.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from each of some starts a component can't be estimated.
    """
    rng, family = np.random.default_rng(seed), density.model.family
    for left in reversed(range(TRIES)):
        sweep = Recorder(density.blocks, family)
        rows, weight = sample_rows(density.blocks, rng)
        start = from_centres(rows, weight, CENTRES[START](rows, weight, density.n_components, rng), family)
        start = matched_start(density.blocks, family, start)
        try:
            loglik = take_steps(sweep, start, max_iter, TOLERANCE).history
            break
        except ComponentError:
            if not left:
                raise
    stacked = (np.stack([getattr(one, name) for one in sweep.path]) for name in ("weight", "mean", "core_roots"))
    return density.in_data_units(*stacked), np.array(loglik) - density.log_units
