"""A point estimate in the one schema of results: a posterior with one draw."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import Points, Standard
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import annotate, pack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Fitted:
    """What a point estimate was made from.

    Parameters
    ----------
    points : Points
        The data (not a copy); none of them once they are forgotten.
    standard : Standard
    loglik : float
        Total log likelihood of the points under the estimate, in data units.
    """

    points: Points
    standard: Standard
    loglik: float

    def forgotten(self) -> "Fitted":
        """The same without the data."""
        return replace(self, points=self.points.forgotten())


def one_draw(
    fitted: Fitted, model: MixtureModel, mixture: tuple[Array, Array, Array], info: dict[str, Any]
) -> "xr.DataTree":
    """A mixture as a fit; its components keep their order.

    Parameters
    ----------
    fitted : Fitted
        Without data, the fit holds no ``observed_data``. With no prior looked at, the log likelihood stands for the log
        posterior, too.
    model : MixtureModel
    mixture : (K,), (K, D) and (K, D, D) float
        Weights, means, covariances, in data units.
    info : dict
        How it was made, beyond what is the same for all.
    """
    points = fitted.points
    total = np.array([[fitted.loglik]])
    weight, mean, covariance = (values[None, None] for values in mixture)
    parameters = Parameters(weight, mean, covariance)
    tree = pack(points, fitted.standard, parameters, {"lp": total, "loglik": total.copy()})
    known = len(points.values) > 0
    if not known:
        del tree["observed_data"]
    common = {
        "model": (_resolved(model, points) if known else model).plain(),
        "fingerprint": points.fingerprint if known else None,
        "versions": {name: version(name) for name in ("bayesgmm", "numpy", "scikit-learn", "arviz")},
        "relabelled": "one draw needs none",
    }
    return annotate(tree, common | info)


def _resolved(model: MixtureModel, points: Points) -> MixtureModel:
    """With every number explicit where the data can set them: maximum likelihood asks for none."""
    try:
        return model.resolve(points)
    except (DataError, DeclarationError):
        return model
