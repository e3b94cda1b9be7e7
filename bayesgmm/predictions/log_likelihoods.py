"""Pointwise log likelihoods, for leave-one-out cross-validation and ArviZ."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.packing import plain_index
from bayesgmm.posterior.schema import observed, transforms_of
from bayesgmm.posterior.subsets import thinned
from bayesgmm.predictions.densities import kept
from bayesgmm.predictions.predictive import log_jacobian

if TYPE_CHECKING:
    import xarray as xr

SINGLE_ABOVE = 50_000_000  # numbers (400 MB) above which they are stored in single precision


@takes_fit
def log_likelihood(fit: FitLike, draws: int | None = None, *, progress: bool = True) -> "xr.DataTree":
    r"""Compute the log likelihood of each fitted point under each draw, in data units.

    .. math:: \ell_{sn} = \log \sum_k w_k^{(s)} \, \mathrm{Normal}(x_n \mid \mu_k^{(s)}, \Sigma_k^{(s)})

    With errors of measurement the covariance is the sum of :math:`\Sigma_k` and that of the errors of the point. Of a
    row with missing values the density is that of what is observed.

    Row weights are not used: each row counts as one point. ``az.loo`` [1]_ then leaves out single points, not rows that
    represent several; ``compare`` computes no leave-one-out for weighted rows.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit that holds its data.
    draws : int, optional
        Maximum number of draws, evenly spaced, the same number from each chain. Default: all.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    DataTree
        The fit, with these draws only, and a group ``log_likelihood``: ``x`` [chain, draw, point], the log of one over
        the product of the columns' units. Above 50 million numbers they are in single precision (seven digits).
        ``az.loo`` and other functions of ArviZ can use it.

    Raises
    ------
    FitFileError
        When ``fit`` is not a fit, or holds no data.
    DataError
        When the result needs more than 2 GiB.
    DeclarationError
        When ``draws`` is not positive.

    References
    ----------
    .. [1] Vehtari, Gelman & Gabry (2017), Stat. Comput. 27(5), 1413-1432.

    Examples
    --------
    One Gaussian with mean 1 and standard deviation 1; both points are one standard deviation away.

    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), [[0.0], [2.0]], "em", progress=False)
    >>> log_likelihood(fit, progress=False)["log_likelihood"]["x"].values.round(3)
    array([[[-1.419, -1.419]]])
    """
    import xarray as xr

    points, tree = observed(fit), thinned(fit, draws)
    posterior, of = as_modelled(tree), tree["posterior"]
    single = posterior.n_draws * len(points.values) > SINGLE_ABOVE
    log = kept(posterior, points, np.float32 if single else np.float64, progress)
    log += log_jacobian(points, transforms_of(fit)).astype(log.dtype)
    coords = {"chain": of["chain"].values, "draw": of["draw"].values, "point": plain_index(points.index)}
    shape = of.sizes["chain"], of.sizes["draw"], len(points.values)
    data = xr.Dataset({"x": (("chain", "draw", "point"), log.reshape(shape))}, coords=coords)
    tree["log_likelihood"] = xr.DataTree(data)
    return tree
