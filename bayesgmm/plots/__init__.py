"""Plots of a fit. For each plot a function ``..._data`` returns its data, and another draws the figure."""

from typing import TYPE_CHECKING

from bayesgmm.plots.animations import animate, animation_data
from bayesgmm.plots.anomalies import anomalies, anomaly_data
from bayesgmm.plots.checks import check, check_data
from bayesgmm.plots.classification import (
    boundaries,
    boundary_data,
    classification,
    classification_data,
    uncertainty,
)
from bayesgmm.plots.cluster_numbers import n_clusters, n_clusters_data, n_components, n_components_data
from bayesgmm.plots.clusters import assignment_data, assignments
from bayesgmm.plots.densities import density, density_data
from bayesgmm.plots.discriminants import discriminant_plane, discriminant_plane_data
from bayesgmm.plots.flagged_rows import flagged_rows, flagged_rows_data
from bayesgmm.plots.forests import weights, weights_data
from bayesgmm.plots.merging import entropy, entropy_data
from bayesgmm.plots.missing_values import imputation_data, imputations, missing, missing_data
from bayesgmm.plots.mixtures import pairs, pairs_data
from bayesgmm.plots.optimisation import elbo, elbo_data
from bayesgmm.plots.partitions import co_clustering, co_clustering_data, partition, partition_data
from bayesgmm.plots.priors import prior, prior_data
from bayesgmm.plots.selection import bic, selection, selection_data
from bayesgmm.plots.separation import separation, separation_data
from bayesgmm.renamed import names_of

if not TYPE_CHECKING:  # for type checkers, every other name is a mistake
    __getattr__ = names_of(__name__, globals())

__all__ = [
    "animate",
    "animation_data",
    "anomalies",
    "anomaly_data",
    "assignment_data",
    "assignments",
    "bic",
    "boundaries",
    "boundary_data",
    "check",
    "check_data",
    "classification",
    "classification_data",
    "co_clustering",
    "co_clustering_data",
    "density",
    "density_data",
    "discriminant_plane",
    "discriminant_plane_data",
    "elbo",
    "elbo_data",
    "entropy",
    "entropy_data",
    "flagged_rows",
    "flagged_rows_data",
    "imputation_data",
    "imputations",
    "missing",
    "missing_data",
    "n_clusters",
    "n_clusters_data",
    "n_components",
    "n_components_data",
    "pairs",
    "pairs_data",
    "partition",
    "partition_data",
    "prior",
    "prior_data",
    "selection",
    "selection_data",
    "separation",
    "separation_data",
    "uncertainty",
    "weights",
    "weights_data",
]


def __dir__() -> list[str]:
    return __all__  # what completion offers
