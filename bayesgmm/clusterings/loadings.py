"""Loadings and noise of fits with factor analysers."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.errors import DeclarationError, FitFileError
from bayesgmm.families.factors import FactorAnalysers
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.info import info
from bayesgmm.posterior.packing import FACTORS
from bayesgmm.posterior.schema import Posterior, unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr


@takes_fit
def factor_loadings(fit: FitLike, ci_prob: float = 0.9) -> "xr.Dataset":
    r"""Compute the loadings and the noise of a fit with factor analysers: what each factor says about the columns.

    .. math:: \Sigma_k = \Lambda_k \Lambda_k^\top + \Psi_k

    The likelihood does not change when the factors are rotated. In a fit by EM,
    :math:`\Lambda_k^\top \Psi_k^{-1} \Lambda_k` is diagonal, with the largest number first [1]_; where loadings are
    tied, the mean over the components is. In other fits, the loadings of each draw have been rotated by varimax, and
    order and signs of the factors matched between the draws [2]_; the factors come by decreasing sums of squares. The
    largest loading of each factor is positive.

    Parameters
    ----------
    fit : DataTree or estimator
        With ``covariance=FactorAnalysers(...)``.
    ci_prob : float
        Probability of the bands.

    Returns
    -------
    Dataset
        ``loadings`` [component, feature, factor], in data units; ``noise`` [component, feature], the variances
        :math:`\Psi_k`, in squared data units; ``communality`` [component, feature], the share of a column's variance
        within the component that the factors explain. Of a fit with draws, these are posterior means.

        The uncertainty, NaN for a point estimate: ``loadings_band``, ``noise_band`` and ``communality_band``, with the
        last dimension ``ci_bound``, equal-tailed intervals. ``answer["loadings"].to_dataframe()`` is a table.

        With transforms, columns are the transformed ones.

    Raises
    ------
    DeclarationError
        When the fit has another covariance family, or ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds draws of covariances without their loadings.

    References
    ----------
    .. [1] Lawley & Maxwell (1971), Factor Analysis as a Statistical Method, chapter 2.
    .. [2] Poworoznek, Anceschi, Ferrari & Dunson (2021), Efficiently resolving rotational ambiguity in Bayesian matrix
       sampling with matching, arXiv:2107.13783.

    Examples
    --------
    Four columns that measure the same thing, the last with twice the noise.

    >>> import bayesgmm as bg
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(10_000, 1)) + rng.normal(size=(10_000, 4)) * [1, 1, 1, 2]
    >>> fit = bg.fit(bg.MixtureModel(1, covariance=bg.FactorAnalysers(1)), x, "em", seed=1, progress=False)
    >>> factor_loadings(fit)["communality"].values.round(1)
    array([[0.5, 0.5, 0.5, 0.2]])
    """
    import xarray as xr

    ci_prob = probability("ci_prob", ci_prob)
    model, posterior = info(fit).model, unpack(fit)
    family = FactorAnalysers.named("" if model is None else model.covariance)
    if family is None:
        if model is None:
            raise DeclarationError(
                "this fit does not store its model, so that its factors are not known\n  Fit by bg.fit, with "
                "covariance=FactorAnalysers(...); a trace of PyMC has 'loadings', with rotations that are not undone."
            )
        raise DeclarationError(
            f"this fit has covariance={model.covariance!r}, which has no factors\n"
            "  Declare covariance=FactorAnalysers(2)."
        )
    loadings, noise = _stored(fit) if FACTORS in fit.children else _rotated(family, posterior)
    explained = (loadings**2).sum(axis=-1)
    draws = {"loadings": loadings, "noise": noise, "communality": explained / (explained + noise)}
    tails = (1 - ci_prob) / 2, (1 + ci_prob) / 2
    each = ("component", "feature")
    variables = {}
    for name, values in draws.items():
        dims = (*each, "factor") if name == "loadings" else each
        is_point = len(values) == 1
        bands = np.full((2, *values.shape[1:]), np.nan) if is_point else np.quantile(values, tails, axis=0)
        variables[name] = dims, values.mean(axis=0)
        variables[f"{name}_band"] = (*dims, "ci_bound"), np.moveaxis(bands, 0, -1)
    return xr.Dataset(
        variables,
        {
            "component": fit["posterior"].coords["component"].values,
            "feature": list(posterior.columns),
            "factor": np.arange(1, family.n_factors + 1),
            "ci_bound": ["lower", "upper"],
        },
        {"draws": len(loadings), "ci_prob": ci_prob},
    )


def _stored(fit: "xr.DataTree") -> tuple[Array, Array]:
    """Return loadings (S, K, D, q) and variances of the noise (S, K, D) of the draws of a fit, in data units."""
    group, each = fit[FACTORS].to_dataset(), ("chain", "draw", "component", "feature")
    loadings, noise = group["loadings"].transpose(*each, "factor").values, group["noise"].transpose(*each).values
    return loadings.reshape(-1, *loadings.shape[2:]), noise.reshape(-1, *noise.shape[2:])


def _rotated(family: FactorAnalysers, posterior: Posterior) -> tuple[Array, Array]:
    """Return loadings (1, K, D, q) and variances of the noise (1, K, D) of a fit by EM, in data units.

    Raises
    ------
    FitFileError
        When there are several draws, whose loadings are not stored.
    """
    if posterior.n_draws > 1:
        raise FitFileError(
            "this fit has no loadings of its draws\n  Fit by bg.fit with method='gibbs'; a trace of PyMC has the "
            "variable 'loadings', with rotations that are not undone."
        )
    scale = posterior.standard.scale
    covariance = posterior.parameters.covariance[0] / np.outer(scale, scale)
    roots = family.rotated(family.cores(covariance))
    loadings = roots[..., :-1] / roots[..., -1:] * scale[:, None]
    return loadings[None], ((scale / roots[..., -1]) ** 2)[None]
