"""Limits of engines: models that an engine can't fit, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Limit:
    """Limitation of an engine: models that it can't fit.

    Parameters
    ----------
    wrong : callable or str
        Function of a MixtureModel that returns its unsupported parts, each with an alternative, or an empty dict. Or
        the place of that function, as ``"module:name"``.
    because : str
        Reason: the end of the sentence in the error.
    of_priors : bool
        True if the limitation concerns priors. The error then does not suggest engines that ignore priors.
    """

    wrong: Callable[..., dict[str, str]] | str
    because: str
    of_priors: bool = True

    def refused(self, model: object) -> dict[str, str]:
        """Return the unsupported parts of a MixtureModel, each with an alternative."""
        return loaded(self.wrong)(model)


def loaded[R](function: Callable[..., R] | str) -> Callable[..., R]:
    """Return a function; import it if only its place is given."""
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    loaded: Callable[..., R] = getattr(import_module(module), name)
    return loaded


NEEDS_COORDINATES = Limit(
    "bayesgmm.inference.engine:without_coordinates",
    "its covariances have no prior yet, so that only EM can fit it",
    of_priors=False,
)
NEEDS_A_POINT = Limit(
    "bayesgmm.inference.engine:without_a_point",
    "rotated factors have the same likelihood, so that a maximum is no point in its coordinates",
    of_priors=False,
)
NEEDS_DISTRIBUTION = Limit(
    "bayesgmm.inference.engine:without_distribution",
    "only the mode under this prior is known; it is not a distribution that can be drawn from",
)
NEEDS_FIXED_NUMBER = Limit(
    "bayesgmm.inference.engine:with_unknown_number",
    "it needs a fixed number of components",
    of_priors=False,
)
NEEDS_CONJUGATE_STRUCTURE = Limit(
    "bayesgmm.inference.engine:without_conjugate_update",
    "it needs conjugate priors, and covariances that share only volume, shape or orientation have none, nor have "
    "loadings and noise",
    of_priors=False,
)
NEEDS_DRAWN_STRUCTURE = Limit(
    "bayesgmm.inference.conditionals:without_drawn_structure",
    "it needs conditional distributions, and covariances that share only volume, shape or orientation have none",
    of_priors=False,
)
NEEDS_CONDITIONALS = Limit(
    "bayesgmm.inference.conditionals:without_conditionals",
    "Gibbs sampling needs conditional distributions that it can draw from",
)
NEEDS_CONJUGATE = Limit("bayesgmm.inference.variational:not_conjugate", "coordinate ascent needs conjugate priors")

MANY_SWEEPS = "each of its many steps is a sweep over all rows"
EACH_ROW = "each sweep draws an assignment of each row"
