"""Names that other programs give to arguments, and what to write here instead."""

from collections.abc import Container

SYNONYMS = {
    "n_factors=2": ("k", "q", "n_components", "n_latent"),
    "covariance='full'": ("covariance_type", "cov_type", "modelNames"),
    "n_components=3": ("k", "K", "G", "n_clusters", "n_mixtures", "components", "num_components"),
    "seed=1": ("random_state", "random_seed", "rng", "rng_key"),
    "size=10_000": ("n", "m", "n_points", "n_samples", "n_rows"),
    "n_points=400": ("n", "n_samples", "size"),
    "draws=1000": ("n_samples", "num_samples", "n_draws", "num_draws", "iter"),
    "tune=1000": ("num_warmup", "warmup", "burn", "burn_in", "burnin", "n_tune"),
    "chains=4": ("num_chains", "n_chains"),
    "max_iter=1000": ("n_iter", "maxiter", "maxit"),
    "cores=4": ("n_jobs", "num_cores", "n_cores"),
    "progress=False": ("verbose", "progressbar", "progress_bar"),
    "loss='vi'": ("method",),
    "method='nuts'": ("algorithm", "engine", "inference", "sampler", "step"),
    "start=earlier_fit": ("weights_init", "means_init", "precisions_init", "initvals", "initial"),
    "sample_weight=w": ("sample_weights", "weights", "weight", "case_weights"),
    "weights=Dirichlet(1.0)": ("prior", "weight_concentration_prior"),
    "concentration=1.0": ("alpha", "a"),
    "fdr=0.05": ("alpha",),
    "ci_prob=0.9": ("ci", "hdi_prob", "prob", "credible_level"),
    "data=X": ("X", "x", "newdata", "new_data"),
    "weights=DirichletProcess()": ("weight_concentration_prior_type",),
    "means=ConjugateMeans()": ("mean_prior", "mean_precision_prior"),
    "covariances=WishartPrecision()": ("covariance_prior", "degrees_of_freedom_prior", "reg_covar"),
}
"""Names that others give to an argument, or to a value of one, by what is written here.

One name may mean several arguments: that which a function has is meant.
"""

VALUES = dict.fromkeys(("fa", "mfa", "factor_analysers", "factor_analyzers", "FactorAnalysers"), "factors:2")
"""A value of an argument as it is written here, by the names that others give to it."""

OF_COVARIANCES = ("covariance", "covariance_type")
"""Arguments that have other names elsewhere, and the same values."""

OF_ESTIMATORS = {
    "covariance": "covariance_type='full'",
    "seed": "random_state=1",
    "progress": "verbose=0",
    "data": "X=data",
    **dict.fromkeys(("draws", "n", "size"), "n_samples=400"),
}
"""Arguments of estimators, which have the names of scikit-learn, by the names of the functions."""


def meanings(name: str) -> list[str]:
    """Return what is written here for a name that others use, each as an argument with a value.

    Examples
    --------
    >>> meanings("k")
    ['n_factors=2', 'n_components=3']
    """
    return [here for here, others in SYNONYMS.items() if name in others]


def written_here(name: object, known: Container[str], value: object = None) -> str:
    """Return the argument to write instead of one that has another name elsewhere, if it is a known one, else ``""``.

    Its value is the given one, where that is a positive number or the name of a covariance; else an example.

    Examples
    --------
    >>> written_here("covariance_type", {"covariance", "n_components"})
    "covariance='full'"
    >>> written_here("random_state", {"covariance", "n_components"})
    ''

    Estimators have the names of scikit-learn:

    >>> written_here("seed", {"covariance_type", "random_state"})
    'random_state=1'
    >>> written_here("covariance", {"covariance_type", "random_state"}, "diag")
    "covariance_type='diag'"
    """
    candidates = [*meanings(str(name)), OF_ESTIMATORS.get(str(name), "")]
    here = next((here for here in candidates if here.partition("=")[0] in known), "")
    argument, _, example = here.partition("=")
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    keeps = (is_number and example[:1].isdigit()) or (isinstance(value, str) and argument in OF_COVARIANCES)
    return f"{argument}={value!r}" if keeps else here
