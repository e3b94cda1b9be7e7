"""The same posterior as a PyMC user would write it: ``pm.Mixture`` of ``pm.MvNormal``, LKJ priors."""

import numpy as np

import bayesgmm as bg


def declaration(sample, n_components):
    """Declare the model with the priors of ``by_hand``."""
    low, high = sample.X.min(axis=0), sample.X.max(axis=0)
    return bg.MixtureModel(
        n_components,
        means=bg.NormalMeans((low + high) / 2, high - low),
        covariances=bg.LKJCovariance(1.0, bg.HalfNormal(2.0)),
    )


def by_hand(sample, n_components):
    """Return the model, and a start at the true values for all of its free variables."""
    import pymc as pm

    d = sample.X.shape[1]
    low, high = sample.X.min(axis=0), sample.X.max(axis=0)
    start = {"weight": sample.weight}
    with pm.Model() as model:
        weight = pm.Dirichlet("weight", np.ones(n_components))
        parts = []
        for k in range(n_components):
            mean = pm.Normal(f"mean_{k}", (low + high) / 2, high - low, shape=d)
            chol, _, _ = pm.LKJCholeskyCov(f"chol_{k}", n=d, eta=1.0, sd_dist=pm.HalfNormal.dist(2.0, size=d))
            parts.append(pm.MvNormal.dist(mean, chol=chol))
            start[f"mean_{k}"] = sample.mean[k]
            start[f"chol_{k}"] = np.linalg.cholesky(sample.covariance[k])[np.tril_indices(d)]
        pm.Mixture("x", weight, parts, observed=sample.X)
    return model, start


def fused(sample, n_components):
    """Return the same by ``build_model``."""
    model = bg.build_model(declaration(sample, n_components), sample.X)
    return model, {"weight": sample.weight, "mean": sample.mean, "covariance": sample.covariance}
