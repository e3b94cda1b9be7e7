from . import apps, datasets, errors, model, plots
from .bootstrap import bootstrap_test
from .builder import build_model, initial_point
from .comparison import compare
from .covariances import LKJCovariance, WishartPrecision
from .elicitation import elicit, prior_predictive
from .errors import BayesGMMError, FitWarning
from .estimators import AnomalyDetector, BayesianGaussianMixture, GaussianMixture, MixtureClassifier
from .inference import fit
from .information import standard_errors
from .means import ConjugateMeans, HierarchicalMeans, NormalMeans
from .model import MixtureModel, load_card
from .posterior import load, save
from .predictive import anomaly_scores, assignments, density
from .scalars import Exponential, Gamma, HalfCauchy, HalfNormal, HalfStudentT, InverseGamma, LogNormal
from .selection import select
from .weights import Dirichlet, DirichletProcess, PitmanYor, SparseDirichlet

__all__ = [
    "AnomalyDetector",
    "BayesGMMError",
    "BayesianGaussianMixture",
    "ConjugateMeans",
    "Dirichlet",
    "DirichletProcess",
    "Exponential",
    "FitWarning",
    "Gamma",
    "GaussianMixture",
    "HalfCauchy",
    "HalfNormal",
    "HalfStudentT",
    "HierarchicalMeans",
    "InverseGamma",
    "LKJCovariance",
    "LogNormal",
    "MixtureClassifier",
    "MixtureModel",
    "NormalMeans",
    "PitmanYor",
    "SparseDirichlet",
    "WishartPrecision",
    "anomaly_scores",
    "apps",
    "assignments",
    "bootstrap_test",
    "build_model",
    "compare",
    "datasets",
    "density",
    "elicit",
    "errors",
    "fit",
    "initial_point",
    "load",
    "load_card",
    "model",
    "plots",
    "prior_predictive",
    "save",
    "select",
    "standard_errors",
]
