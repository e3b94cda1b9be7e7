"""Loadings and noise of fits with factor analysers."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.errors import DeclarationError
from bayesgmm.families.factors import FactorAnalysers
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import unpack

if TYPE_CHECKING:
    import xarray as xr


@takes_fit
def factor_loadings(fit: FitLike) -> "xr.Dataset":
    r"""Compute the loadings and the noise of a fit with factor analysers: what each factor says about the columns.

    .. math:: \Sigma_k = \Lambda_k \Lambda_k^\top + \Psi_k

    The likelihood does not change when the factors are rotated. Here :math:`\Lambda_k^\top \Psi_k^{-1} \Lambda_k` is
    diagonal, with the largest number first [1]_; where loadings are tied, the mean over the components is. The largest
    loading of each factor, in standard deviations of the columns, is positive.

    Parameters
    ----------
    fit : DataTree or estimator
        With ``covariance=FactorAnalysers(...)``.

    Returns
    -------
    Dataset
        ``loadings`` [component, feature, factor], in data units; ``noise`` [component, feature], the variances
        :math:`\Psi_k`, in squared data units; ``communality`` [component, feature], the share of a column's variance
        within the component that the factors explain. ``answer.to_dataframe()`` is a table.

        With transforms, columns are the transformed ones.

    Raises
    ------
    DeclarationError
        When the fit has another covariance family.
    FitFileError
        When ``fit`` is not a fit.

    References
    ----------
    .. [1] Lawley & Maxwell (1971), Factor Analysis as a Statistical Method, chapter 2.

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

    model, posterior = info(fit).model, unpack(fit)
    family = FactorAnalysers.named("" if model is None else model.covariance)
    if family is None:
        what = "this fit stores no declaration" if model is None else f"this fit has covariance={model.covariance!r}"
        raise DeclarationError(f"{what}, which has no factors\n  Declare covariance=FactorAnalysers(2).")
    scale = posterior.standard.scale
    covariance = posterior.parameters.covariance[0] / np.outer(scale, scale)
    roots = family.rotated(family.cores(covariance))
    noise = (scale / roots[..., -1]) ** 2
    loadings = roots[..., :-1] / roots[..., -1:] * scale[:, None]
    explained = (loadings**2).sum(axis=-1)
    each = ("component", "feature")
    return xr.Dataset(
        {
            "loadings": ((*each, "factor"), loadings),
            "noise": (each, noise),
            "communality": (each, explained / (explained + noise)),
        },
        {
            "component": fit["posterior"].coords["component"].values,
            "feature": list(posterior.columns),
            "factor": np.arange(1, family.n_factors + 1),
        },
    )
