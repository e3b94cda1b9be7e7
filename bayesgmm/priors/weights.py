"""Registry of the priors of the mixture weights."""

from bayesgmm.priors.dirichlet import Dirichlet, SparseDirichlet
from bayesgmm.priors.finite_mixtures import FiniteMixture
from bayesgmm.priors.stick_breaking import DirichletProcess, PitmanYor, StickBreaking
from bayesgmm.priors.weight_priors import WeightsPrior

__all__ = [
    "WEIGHTS",
    "Dirichlet",
    "DirichletProcess",
    "FiniteMixture",
    "PitmanYor",
    "SparseDirichlet",
    "StickBreaking",
    "WeightsPrior",
]

WEIGHTS: dict[str, type[WeightsPrior]] = {
    "dirichlet": Dirichlet,
    "sparse_dirichlet": SparseDirichlet,
    "dirichlet_process": DirichletProcess,
    "pitman_yor": PitmanYor,
    "finite_mixture": FiniteMixture,
}
