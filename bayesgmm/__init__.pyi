from . import datasets, errors, model, plots
from .covariances import WishartPrecision
from .errors import BayesGMMError, FitWarning
from .inference import fit
from .means import NormalMeans
from .model import MixtureModel, load_card
from .posterior import load, save
from .predictive import anomaly_scores, assignments, density
from .weights import Dirichlet

__all__ = [
    "BayesGMMError",
    "Dirichlet",
    "FitWarning",
    "MixtureModel",
    "NormalMeans",
    "WishartPrecision",
    "anomaly_scores",
    "assignments",
    "datasets",
    "density",
    "errors",
    "fit",
    "load",
    "load_card",
    "model",
    "plots",
    "save",
]
