"""Declarations for simulation-based calibration: every registered prior, and every covariance family."""

from itertools import product

import numpy as np

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.engines import engine_named
from bayesgmm.priors.covariances import CovariancesPrior
from bayesgmm.priors.means import MeansPrior
from bayesgmm.priors.scalars import Scalar
from bayesgmm.priors.weights import WeightsPrior
from bayesgmm.wording import plural
from tests.declarations import covariance_priors, decomposed_priors, factor_priors, mean_priors, weight_priors

K = 3
FAMILIES = ("full", "tied", "diag", "spherical")
DECOMPOSED = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
CLOUD = 3.0 * np.random.default_rng(3).normal(size=(50, 2))  # what is not declared is set from these points
WIDE = 3.0 * np.random.default_rng(4).normal(size=(50, 4))  # the same for factor analysers, which need more columns
FACTORS = ("factors:1", "factors:1:UCU", "factors:1:CUC")
Declared = tuple[str, int, bg.MixtureModel]


def every_declaration() -> list[Declared]:
    """Return (title, D, model) for each family of ``FAMILIES``, prior of means and of precisions; weights in turn."""
    found, weights = [], weight_priors(K)
    for i, family in enumerate(FAMILIES):
        for j, w in product(range(3), range(2)):
            d = 1 + (i + j + w) % 2
            chosen = weights[(2 * j + w + i) % len(weights)]
            found.append(_declared(d, family, chosen, mean_priors(d)[j], _wishart(d, family, w)))
    found += [_declared(1, "full", weights[1], ordered, _wishart(1, "full", 0)) for ordered in mean_priors(1)[3:]]
    for i, lkj in enumerate(covariance_priors(2)[2:]):
        d = 1 + i % 2
        found.append(_declared(d, FAMILIES[i % 4], weights[i % len(weights)], mean_priors(d)[i % 3], lkj))
    for family, chosen in (("full", weights[0]), ("diag", weights[3])):
        priors = chosen, mean_priors(2)[0], _wishart(2, family, 0)
        found.append(_declared(2, family, *priors, bg.Background(0.1, location=0.0, scale=9.0)))
    return found


def structured_declarations() -> list[Declared]:
    """Return (title, D, model) for each decomposed family, and for factor analysers; all other priors in turn."""
    found, weights = [], weight_priors(K)
    for i, family in enumerate(DECOMPOSED):
        priors = weights[i % 2], mean_priors(2)[i % 3], decomposed_priors()[i % 2]
        found.append(_declared(2, family, *priors))
    for i, family in enumerate(FACTORS):
        found.append(_declared(4, family, weights[i % 2], mean_priors(4)[i % 3], factor_priors()[i % 2]))
    return found


def taken_by(method: str, declarations: list[Declared]) -> list[Declared]:
    """Return the declarations that an engine can fit."""
    return [one for one in declarations if not engine_named(method).refused(one[2])]


def _wishart(d: int, family: str, index: int) -> bg.WishartPrecision:
    prior = covariance_priors(d)[index]
    return bg.WishartPrecision(2.5, 1.3) if family == "spherical" and np.ndim(prior.scale) == 2 else prior


def _declared(
    d: int,
    family: str,
    weights: WeightsPrior,
    means: MeansPrior,
    covariances: CovariancesPrior,
    background: bg.Background | None = None,
) -> Declared:
    declared = bg.MixtureModel(K, family, weights, means, covariances, background)
    words = [_named(prior) for prior in (weights, means, covariances)] + ["Background"] * (background is not None)
    return (
        f"{family}, {plural(d, 'column')}, {', '.join(words)}",
        d,
        declared.resolve(as_points((CLOUD if d <= 2 else WIDE)[:, :d])),
    )


def _named(prior: WeightsPrior | MeansPrior | CovariancesPrior) -> str:
    """Name a prior and what it learns."""
    learned = [f"{type(value).__name__} {name}" for name, value in prior if isinstance(value, Scalar)]
    words = ["ordered"] * bool(getattr(prior, "ordered", False)) + learned
    return type(prior).__name__ + (f" ({', '.join(words)})" if words else "")
