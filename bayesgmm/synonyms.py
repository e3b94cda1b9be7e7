"""Names that other programs give to arguments, and what to write here instead."""

from collections.abc import Container

SYNONYMS = {
    **dict.fromkeys(("covariance_type", "cov_type", "modelNames"), "covariance='full'"),
    **dict.fromkeys(("k", "K", "G", "n_clusters", "n_mixtures", "components", "num_components"), "n_components=3"),
    **dict.fromkeys(("random_state", "random_seed", "rng", "rng_key"), "seed=1"),
    **dict.fromkeys(("n_samples", "num_samples", "n_draws", "num_draws", "iter"), "draws=1000"),
    **dict.fromkeys(("num_warmup", "warmup", "burn", "burn_in", "burnin", "n_tune"), "tune=1000"),
    **dict.fromkeys(("num_chains", "n_chains"), "chains=4"),
    **dict.fromkeys(("n_iter", "maxiter", "maxit"), "max_iter=1000"),
    **dict.fromkeys(("n_jobs", "num_cores", "n_cores"), "cores=4"),
    **dict.fromkeys(("verbose", "progressbar", "progress_bar"), "progress=False"),
    **dict.fromkeys(("algorithm", "engine", "inference", "sampler", "step"), "method='nuts'"),
    **dict.fromkeys(("weights_init", "means_init", "precisions_init", "initvals", "initial"), "start=earlier_fit"),
    **dict.fromkeys(("sample_weights",), "sample_weight=w"),
    **dict.fromkeys(("prior", "weight_concentration_prior"), "weights=Dirichlet(1.0)"),
    **dict.fromkeys(("alpha", "a"), "concentration=1.0"),
    **dict.fromkeys(("weight_concentration_prior_type",), "weights=DirichletProcess()"),
    **dict.fromkeys(("mean_prior", "mean_precision_prior"), "means=ConjugateMeans()"),
    **dict.fromkeys(("covariance_prior", "degrees_of_freedom_prior", "reg_covar"), "covariances=WishartPrecision()"),
}
"""An argument as it is written here, with an example of a value, by the names that others give to it."""


PAIRS = {other: tuple(here.split("=", 1)) for other, here in SYNONYMS.items()}


def written_here(name: object, known: Container[str]) -> str:
    """Return the argument to write instead of one that has another name elsewhere, if it is a known one, else ``""``.

    Examples
    --------
    >>> written_here("covariance_type", {"covariance", "n_components"})
    "covariance='full'"
    >>> written_here("random_state", {"covariance", "n_components"})
    ''

    Estimators have the names of scikit-learn:

    >>> written_here("seed", {"covariance_type", "random_state"})
    'random_state=1'
    """
    here = SYNONYMS.get(str(name), "")
    if here.partition("=")[0] in known:
        return here
    others = (f"{other}={value}" for other, (own, value) in PAIRS.items() if own == str(name) and other in known)
    return next(others, "")
