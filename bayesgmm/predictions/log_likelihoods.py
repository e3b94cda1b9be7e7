"""Log likelihoods point by point: what leave-one-out densities and ArviZ's model checks are made from."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.schema import observed, plain_index
from bayesgmm.posterior.subsets import thinned
from bayesgmm.predictions.densities import kept

if TYPE_CHECKING:
    import xarray as xr

SINGLE_ABOVE = 50_000_000  # numbers (400 MB): more of them are kept in single precision


def log_likelihood(fit: "xr.DataTree", draws: int | None = None, *, progress: bool = True) -> "xr.DataTree":
    r"""Log density of each fitted point under each draw, in data units.

    .. math:: \ell_{sn} = \log \sum_k w_k^{(s)} \, \mathrm{Normal}(x_n \mid \mu_k^{(s)}, \Sigma_k^{(s)})

    A row's weight has no part in it: it is the density of the row as one point. ``az.loo`` leaves out such points,
    which is not what it would be to leave out a row that stands for several (``compare`` forgoes it there).

    Parameters
    ----------
    fit : DataTree
        A fit that holds its data.
    draws : int, optional
        At most so many draws, evenly spaced, the same number of each chain; all unless told.
    progress : bool
        Whether to show how far it is, where it takes longer than two seconds.

    Returns
    -------
    DataTree
        The fit, cut to those draws, with a group ``log_likelihood``: ``x`` [chain, draw, point]. In double precision up
        to 50 million numbers, beyond that in single: seven digits. ``az.loo`` and its kind read it as it is.

    Raises
    ------
    FitFileError
        When the fit holds no data.
    DataError
        When it would take more than 2 GiB.

    References
    ----------
    .. [1] Vehtari, Gelman & Gabry (2017), Stat. Comput. 27(5), 1413-1432.
    """
    import xarray as xr

    points, tree = observed(fit), thinned(fit, draws)
    posterior, of = as_modelled(tree), tree["posterior"]
    single = posterior.n_draws * len(points.values) > SINGLE_ABOVE
    log = kept(posterior, points.values, np.float32 if single else np.float64, progress)
    coords = {"chain": of["chain"].values, "draw": of["draw"].values, "point": plain_index(points.index)}
    shape = of.sizes["chain"], of.sizes["draw"], len(points.values)
    data = xr.Dataset({"x": (("chain", "draw", "point"), log.reshape(shape))}, coords=coords)
    tree["log_likelihood"] = xr.DataTree(data)
    return tree
