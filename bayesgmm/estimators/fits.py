"""Fits as DataTrees: of a point estimate, and by any engine for an estimator that needs one that never fails."""

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from bayesgmm import inference, posterior
from bayesgmm.data import Points, Standard
from bayesgmm.errors import choose
from bayesgmm.families import Family
from bayesgmm.inference import em
from bayesgmm.inference.mixtures import CovariancePrior
from bayesgmm.log_posterior import Parameters
from bayesgmm.model import MixtureModel
from bayesgmm.stats import Array

if TYPE_CHECKING:
    import xarray as xr

SAFE_EM = {"n_init": 10, "max_iter": 1000, "tol": 1e-8}
