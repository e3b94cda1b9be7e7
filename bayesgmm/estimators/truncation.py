"""Truncation of a Dirichlet process: a warning if ``method='vb'`` has cut it off too early."""

import numpy as np

from bayesgmm.diagnosis.components import LAST_STICK, cut_off
from bayesgmm.estimators.variational_search import Approximation
from bayesgmm.posterior.info import FitInfo
from bayesgmm.posterior.notes import TruncationInfo

DRAWS = 100  # of a learned concentration


def truncated_early(approximation: Approximation, is_declared: bool) -> list[str]:
    """Return a warning if the last stick has too much weight.

    Scikit-learn's parameters declare a process by default, and often as many components as clusters; the last stick
    then has a cluster. So the weight that counts is the expected weight of what is cut off: without the truncation, the
    last stick would leave the share c / (1 + c + n) of its weight to others, with a concentration c and n points.
    """
    model, weight, rng = approximation.model, approximation.weights, np.random.default_rng(0)
    if weight[-1] < LAST_STICK:
        return []
    learned = approximation.draw(rng, DRAWS).extras.get("concentration") if model.weights.n_extra else None
    mass = model.weights.truncated_mass(learned, len(weight))
    if mass is None:  # not of a process
        return []
    last, concentration = float(weight[-1]), model.weights.concentration
    if not is_declared and isinstance(concentration, float):
        left = concentration / (1 + concentration + last * approximation.n_points)
        if last * left < LAST_STICK:
            return []
    truncation = TruncationInfo(last, float(mass.mean()), min(2.0, 4 * approximation.n_points * float(mass.mean())))
    found = cut_off(FitInfo(model=model, truncation=truncation), approximation.n_points)
    name = "concentration" if is_declared else "weight_concentration_prior"
    return [str(finding).replace("smaller concentration", f"smaller {name}") for finding in found]
