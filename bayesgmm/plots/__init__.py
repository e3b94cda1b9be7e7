"""Pictures of a fit. Each is first data, an xarray object that can be tested, and then a figure."""

from bayesgmm.plots.checks import check, check_data
from bayesgmm.plots.clusters import assignment_data, assignments
from bayesgmm.plots.optimisation import elbo, elbo_data
from bayesgmm.plots.priors import prior, prior_data
from bayesgmm.plots.selection import selection, selection_data

__all__ = [
    "assignment_data",
    "assignments",
    "check",
    "check_data",
    "elbo",
    "elbo_data",
    "prior",
    "prior_data",
    "selection",
    "selection_data",
]
