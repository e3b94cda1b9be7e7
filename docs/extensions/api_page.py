"""The page of all public names, by purpose, made from what the package offers: a new name is on it unasked."""

import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType

OPENING = """\
Everything, by purpose
======================

All of this comes with ``import bayesgmm as bg``; nothing heavy is imported before it is used. Shapes are written
with N points, D features (columns) and K components.

.. currentmodule:: bayesgmm
"""
PURPOSES = {
    "Read a table": (
        "Files as people bring them, and a check of what is in them: :doc:`/guides/tables`.",
        "TableFile read_frame data_check DataCheck TableWarning "
        "choose_transforms transform_table ColumnTransforms Power Arcsinh",
    ),
    "Declare": (
        "A model and its priors. What is left open is resolved from the data once, to numbers that the fit stores.",
        "MixtureModel FactorAnalysers Dirichlet SparseDirichlet DirichletProcess PitmanYor FiniteMixture NormalMeans "
        "ConjugateMeans HierarchicalMeans WishartPrecision LKJCovariance DecomposedCovariance "
        "MultiplicativeGamma Background",
    ),
    "Positive numbers": (
        "Priors of a concentration, a standard deviation, a spread or a scale, with PyMC's parameters.",
        "HalfNormal HalfCauchy HalfStudentT Exponential LogNormal Gamma InverseGamma",
    ),
    "Numbers of components": (
        "Priors of an unknown number of components, for ``FiniteMixture``.",
        "Uniform Poisson Geometric BetaNegativeBinomial",
    ),
    "Look before you fit": (
        "What is believed before any data, and declarations as files.",
        "prior_predictive elicit load_card explain_card run_card model.cards model.card_path",
    ),
    "Fit": (
        "One declaration, every engine, one result.",
        "fit coreset Coreset build_model initial_point save load info FitInfo CheckpointWarning guarded_csv",
    ),
    "Ask": (
        "Every answer reads a fit of any engine, a point estimate, or a trace that PyMC made.",
        "component_table assignments density conditional_density anomaly_scores explain_anomalies posterior_predictive "
        "log_likelihood standard_errors",
    ),
    "Cluster": (
        "Answers that need no names for the components.",
        "partition credible_ball co_clustering n_clusters n_components condition merge_components discriminant_plane "
        "factor_loadings",
    ),
    "Diagnose": (
        "Convergence, label switching, checks of a fit, and what is written about it.",
        "diagnose report methods_text reports.methods.MethodsText relabel label_convergence findings.Finding "
        "findings.Findings",
    ),
    "Choose": ("How many components, and which method.", "select bootstrap_test compare evidence"),
    "scikit-learn's estimators": (
        "scikit-learn's parameters and attributes, over the same engines.",
        "GaussianMixture BayesianGaussianMixture MixtureClassifier MixtureRegressor AnomalyDetector",
    ),
}
MODULES = {
    "Plots": ("plots", "First data, an xarray object (``..._data``), then a matplotlib figure: :doc:`/gallery/plots`."),
    "Data sets": ("datasets", "Small ones that need no download, and generators with a known truth."),
    "Applications": ("apps", "What mixtures are used for, end to end, from files to files."),
    "Errors and warnings": ("errors", ":doc:`/messages` says what they mean and what to do."),
}
FURTHER = "Further names"


def page() -> str:
    """The page as reStructuredText."""
    import bayesgmm

    placed = {name for _, names in PURPOSES.values() for name in names.split()}
    parts = [_section(title, about, names.split()) for title, (about, names) in PURPOSES.items()]
    shown = {module for module, _ in MODULES.values()} | {"model"}
    if further := [name for name in bayesgmm.__all__ if name not in placed | shown | {"BayesGMMError", "FitWarning"}]:
        parts.append(_section(FURTHER, "What came last.", further))
    for title, (module, about) in MODULES.items():
        parts.append(_section(title, about, names_of(getattr(bayesgmm, module, None) or _module(module), module)))
    return "\n".join([OPENING, *parts])


def names_of(module: ModuleType, path: str) -> list[str]:
    """What a module offers: its ``__all__``, or what it defines; modules in it the same way."""
    names: list[str] = []
    for name in getattr(module, "__all__", None) or _defined(module):
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            names += names_of(thing, thing.__name__.removeprefix("bayesgmm."))
        else:
            names.append(f"{path}.{name}")
    return names


def _defined(module: ModuleType) -> Iterator[str]:
    for name, thing in vars(module).items():
        ours = getattr(thing, "__module__", "").startswith(module.__name__)
        if not name.startswith("_") and ours and (inspect.isfunction(thing) or inspect.isclass(thing)):
            yield name


def _module(name: str) -> ModuleType:
    import importlib

    return importlib.import_module(f"bayesgmm.{name}")


def _section(title: str, about: str, names: Iterable[str]) -> str:
    listed = "\n".join(f"   {name}" for name in names)
    return f"{title}\n{'-' * len(title)}\n\n{about}\n\n.. autosummary::\n   :toctree: made\n\n{listed}\n"
