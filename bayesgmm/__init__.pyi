from . import apps, datasets, errors, model, plots
from .cards.card import load_card
from .cards.explanations import explain_card
from .cards.runs import run_card
from .clusterings.co_clusterings import co_clustering
from .clusterings.component_numbers import condition, n_components
from .clusterings.credible_balls import credible_ball
from .clusterings.discriminants import discriminant_plane
from .clusterings.label_draws import n_clusters
from .clusterings.loadings import factor_loadings
from .clusterings.merging import merge_components
from .clusterings.partitions import partition
from .data.tables import read_frame
from .diagnosis import diagnose
from .diagnosis.convergence import label_convergence
from .diagnosis.summary import component_table
from .errors import BayesGMMError, CheckpointWarning, FitWarning, TableWarning
from .estimators import AnomalyDetector, BayesianGaussianMixture, GaussianMixture, MixtureClassifier, MixtureRegressor
from .families.factors import FactorAnalysers
from .files import guarded_csv
from .inference import fit
from .inference.builder import build_model, initial_point
from .inference.coresets import Coreset, coreset
from .labels.relabelling import relabel
from .model import MixtureModel
from .model_selection.bootstrap import bootstrap_test
from .model_selection.comparison import compare
from .model_selection.information import standard_errors
from .model_selection.marginal_likelihoods import evidence
from .model_selection.selection import select
from .model_selection.transform_choice import choose_transforms, transform_table
from .posterior.info import FitInfo, info
from .posterior.schema import load, save, with_points
from .predictions.anomalies import anomaly_scores
from .predictions.assignment_tables import assignments_table
from .predictions.conditionals import conditional_density
from .predictions.deconvolution import deconvolve
from .predictions.elicitation import elicit, prior_predictive
from .predictions.imputations import impute
from .predictions.label_errors import label_errors
from .predictions.log_likelihoods import log_likelihood
from .predictions.predictive import assignments, density
from .predictions.reasons import explain_anomalies
from .predictions.replication import posterior_predictive
from .priors.backgrounds import Background
from .priors.counts import BetaNegativeBinomial, Geometric, Poisson, Uniform
from .priors.covariances import DecomposedCovariance, LKJCovariance, MultiplicativeGamma, WishartPrecision
from .priors.means import ConjugateMeans, HierarchicalMeans, NormalMeans
from .priors.scalars import Exponential, Gamma, HalfCauchy, HalfNormal, HalfStudentT, InverseGamma, LogNormal
from .priors.weights import Dirichlet, DirichletProcess, FiniteMixture, PitmanYor, SparseDirichlet
from .reading.settings import TableFile
from .reports import report
from .reports.methods import methods_text
from .screening.checks import data_check
from .screening.results import DataCheck
from .sources.opening import source
from .transforms.columns import ColumnTransforms
from .transforms.curves import Arcsinh, Power

__version__: str

__all__ = [
    "AnomalyDetector",
    "Arcsinh",
    "Background",
    "BayesGMMError",
    "BayesianGaussianMixture",
    "BetaNegativeBinomial",
    "CheckpointWarning",
    "ColumnTransforms",
    "ConjugateMeans",
    "Coreset",
    "DataCheck",
    "DecomposedCovariance",
    "Dirichlet",
    "DirichletProcess",
    "Exponential",
    "FactorAnalysers",
    "FiniteMixture",
    "FitInfo",
    "FitWarning",
    "Gamma",
    "GaussianMixture",
    "Geometric",
    "HalfCauchy",
    "HalfNormal",
    "HalfStudentT",
    "HierarchicalMeans",
    "InverseGamma",
    "LKJCovariance",
    "LogNormal",
    "MixtureClassifier",
    "MixtureModel",
    "MixtureRegressor",
    "MultiplicativeGamma",
    "NormalMeans",
    "PitmanYor",
    "Poisson",
    "Power",
    "SparseDirichlet",
    "TableFile",
    "TableWarning",
    "Uniform",
    "WishartPrecision",
    "anomaly_scores",
    "apps",
    "assignments",
    "assignments_table",
    "bootstrap_test",
    "build_model",
    "choose_transforms",
    "co_clustering",
    "compare",
    "component_table",
    "condition",
    "conditional_density",
    "coreset",
    "credible_ball",
    "data_check",
    "datasets",
    "deconvolve",
    "density",
    "diagnose",
    "discriminant_plane",
    "elicit",
    "errors",
    "evidence",
    "explain_anomalies",
    "explain_card",
    "factor_loadings",
    "fit",
    "guarded_csv",
    "impute",
    "info",
    "initial_point",
    "label_convergence",
    "label_errors",
    "load",
    "load_card",
    "log_likelihood",
    "merge_components",
    "methods_text",
    "model",
    "n_clusters",
    "n_components",
    "partition",
    "plots",
    "posterior_predictive",
    "prior_predictive",
    "read_frame",
    "relabel",
    "report",
    "run_card",
    "save",
    "select",
    "source",
    "standard_errors",
    "transform_table",
    "with_points",
]
