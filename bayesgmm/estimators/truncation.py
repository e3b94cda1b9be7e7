"""Truncation of a Dirichlet process: a warning if ``method='vb'`` has cut it off too early."""

import numpy as np

from bayesgmm.diagnosis.components import LAST_STICK, cut_off
from bayesgmm.estimators.variational_search import Approximation
from bayesgmm.inference.truncation import truncation
from bayesgmm.posterior.info import FitInfo
from bayesgmm.posterior.schema import Posterior

DRAWS = 1000


def truncated_early(approximation: Approximation, is_declared: bool) -> list[str]:
    """Return a warning if the last stick has too much weight.

    Scikit-learn's parameters declare a process by default, and often as many components as clusters; the last stick
    then has a cluster. So the weight that counts is the expected weight of what is cut off: without the truncation, the
    last stick would leave the share c / (1 + c + n) of its weight to others, with a concentration c and n points.
    """
    model, points, weight = approximation.model, approximation.points, approximation.weights
    if weight[-1] < LAST_STICK:
        return []
    drawn = approximation.draw(np.random.default_rng(0), DRAWS)
    effect = truncation(model, Posterior(drawn, points.columns, approximation.standard), points)
    if effect is None:  # not of a process
        return []
    concentration = model.weights.concentration
    if not is_declared and isinstance(concentration, float):
        left = concentration / (1 + concentration + weight[-1] * approximation.n_points)
        if weight[-1] * left < LAST_STICK:
            return []
    found = cut_off(FitInfo(model=model, truncation=effect), approximation.n_points)
    name = "concentration" if is_declared else "weight_concentration_prior"
    told = [str(finding) for finding in found if finding.severity != "note"]
    return [message.replace("smaller concentration", f"smaller {name}") for message in told]
