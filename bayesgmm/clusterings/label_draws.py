"""Draws of the labels of points, given draws of the parameters, and the posterior of the number of clusters."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings import label_draw_kernels
from bayesgmm.clusterings.merging import merged_clusters, posterior_for
from bayesgmm.clusterings.random_keys import key_of
from bayesgmm.data.points import DataLike, Points
from bayesgmm.errors import warn
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, points_for
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array
from bayesgmm.sweep.threads import run_ranges

if TYPE_CHECKING:
    import xarray as xr

Labels = NDArray[np.int16]
DISAGREEMENT = 0.1  # difference of probabilities between chains that a conclusion can tolerate
STANDARD_ERRORS = 4  # difference of two chains that may be sampling error, in standard errors
MIN_DRAWS = 100  # minimum number of draws of the labels: fewer posterior draws are used more than once


def draw_labels(posterior: Posterior, blocks: Blocks, seed: int = 0, threads: int | None = None) -> Labels:
    r"""Draw the label of each point under each draw of the parameters.

    .. math:: z^{(s)}_n \sim \mathrm{Categorical}(r^{(s)}_{n1}, \dots, r^{(s)}_{nK})

    Given the parameters, labels are independent, so these are exact draws from their posterior. Where the blocks have
    a background, it is component K.

    Parameters
    ----------
    posterior : Posterior
        S draws.
    blocks : Blocks
        N points, from ``posterior.standard.blocks``.
    seed : int
    threads : int, optional
        Default: all cores. The labels do not depend on it.

    Returns
    -------
    (S, N) int16
    """
    out = np.empty((posterior.n_draws, blocks.n_points), np.int16)
    _run(label_draw_kernels.draw_labels, posterior, blocks, seed, threads, out)
    return out


def count_labels(posterior: Posterior, blocks: Blocks, seed: int = 0, threads: int | None = None) -> NDArray[np.int64]:
    """(S, K) number of points of each component, from the labels that ``draw_labels`` draws, which are not stored."""
    out = np.zeros(posterior.parameters.weight.shape, np.int64)
    _run(label_draw_kernels.count_labels, posterior, blocks, seed, threads, out)
    return out


def _run(
    kernel: Callable[..., None], posterior: Posterior, blocks: Blocks, seed: int, threads: int | None, out: NDArray[Any]
) -> None:
    args = (blocks.native, posterior.tables().native, key_of(seed))
    run_ranges(lambda start, stop: kernel(*args, start, stop, out), posterior.n_draws, threads or os.cpu_count() or 1)


def repeated(posterior: Posterior, minimum: int = MIN_DRAWS) -> Posterior:
    """The same draws, repeated so that there are at least ``minimum``: the labels of a point estimate are random too.

    Examples
    --------
    >>> from bayesgmm.data.standards import Standard
    >>> one = Parameters(np.ones((1, 1)), np.zeros((1, 1, 1)), np.ones((1, 1, 1, 1)))
    >>> repeated(Posterior(one, ("x",), Standard(np.zeros(1), np.ones(1))), 3).n_draws
    3
    """
    if posterior.n_draws >= minimum:
        return posterior
    again = np.repeat(np.arange(posterior.n_draws), -(-minimum // posterior.n_draws))
    p = posterior.parameters
    return Posterior(
        Parameters(p.weight[again], p.mean[again], p.covariance[again]), posterior.columns, posterior.standard
    )


def warn_of_weights(answer: str, points: Points) -> None:
    """Warn that a result that is computed from one label for each row ignores row weights."""
    if points.weights is not None:
        warn(
            [
                f"{answer} counts each row as one point and ignores row weights. The fit uses them; to use them here "
                "too, repeat the rows and give them as data."
            ]
        )


@takes_fit
def n_clusters(
    fit: FitLike,
    data: DataLike | None = None,
    *,
    merge: "xr.Dataset | None" = None,
    draws: int | None = None,
    seed: int = 0,
) -> "xr.DataArray":
    r"""Compute the posterior of the number of clusters: components that hold at least one of the points [1]_.

    .. math:: P(K_+ = k) = \frac1S \sum_s \mathbb{1}\bigl[\, |\{z^{(s)}_1, \dots, z^{(s)}_N\}| = k \bigr]

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    merge : Dataset, optional
        From ``merge_components``: count its clusters, not single components.
    draws : int, optional
        Number of posterior draws, evenly spaced; None for all. Fewer than 100 are used more than once.
    seed : int
        Seed of the labels.

    Returns
    -------
    DataArray
        ``probability`` [n_clusters], for 1 to the number of components or merged clusters. Coordinates ``lowest`` and
        ``highest`` [n_clusters]: the smallest and largest probability in a single chain.
        ``answer.to_series()`` is a table.

    Raises
    ------
    DeclarationError
        When ``merge`` is not from ``merge_components`` for this fit, or a number is out of range.
    DataError
        When the data do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Warns
    -----
    FitWarning
        When rows have weights: each row counts as one point. When the chains disagree.

    References
    ----------
    .. [1] Malsiner-Walli, Frühwirth-Schnatter & Grün (2016), Stat. Comput. 26(1), 303-324.

    Examples
    --------
    Two groups that are far apart. A single point is in one cluster.

    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> n_clusters(fit, [[0.0]]).values
    array([1., 0.])
    """
    import xarray as xr

    points = points_for(fit, data)
    warn_of_weights("n_clusters", points)
    posterior = repeated(posterior_for(fit, merge, draws))
    counts = count_labels(posterior, posterior.standard.blocks(points), seed)
    clusters = merged_clusters(merge, counts.shape[1])
    if clusters is not None:
        counts = counts @ (clusters[:, None] == np.arange(clusters.max() + 1))
    occupied = (counts > 0).sum(axis=1)
    by_chain = _by_chain(occupied, chains_of(fit, posterior.n_draws, draws), counts.shape[1])
    probability: Array = np.bincount(occupied, minlength=counts.shape[1] + 1)[1:] / len(occupied)
    _warn_of_chains(by_chain, posterior.n_draws)
    return xr.DataArray(
        probability,
        dims="n_clusters",
        coords={
            "n_clusters": np.arange(1, len(probability) + 1),
            "lowest": ("n_clusters", by_chain.min(axis=0)),
            "highest": ("n_clusters", by_chain.max(axis=0)),
        },
        name="probability",
        attrs={"draws": posterior.n_draws, "seed": seed},
    )


def chains_of(fit: "xr.DataTree", n_used: int, draws: int | None) -> NDArray[np.intp]:
    """Chain (n_used,) of each draw, after a fit was thinned to ``draws``, and each draw was repeated."""
    sizes = fit["posterior"].sizes
    total = sizes["chain"] * sizes["draw"]
    n_thinned = total if draws is None else min(draws, total)
    chain = np.linspace(0, total - 1, n_thinned).round().astype(int) // sizes["draw"]
    return np.repeat(chain, n_used // n_thinned)


def _by_chain(occupied: NDArray[np.int64], chain: NDArray[np.intp], n_components: int) -> Array:
    """Probability (chains, K) of each number of clusters in each chain."""
    of_chains = [occupied[chain == c] for c in set(chain)]
    return np.array([np.bincount(one, minlength=n_components + 1)[1:] / len(one) for one in of_chains])


def _warn_of_chains(by_chain: Array, n_draws: int) -> None:
    """Warn when probabilities differ between chains by more than 0.1 plus four standard errors of the difference."""
    low, high = by_chain.min(axis=0), by_chain.max(axis=0)
    middle = by_chain.mean(axis=0)
    noise = np.sqrt(2 * middle * (1 - middle) * len(by_chain) / n_draws)
    excess = high - low - (DISAGREEMENT + STANDARD_ERRORS * noise)
    k = int(excess.argmax())
    if len(by_chain) > 1 and excess[k] > 0:
        warn(
            [
                f"The chains disagree about the number of clusters: the probability of {k + 1} is {low[k]:.2f} in one "
                f"chain and {high[k]:.2f} in another, so their average can be wrong by as much. Try more draws, "
                "other priors, or fewer components."
            ]
        )
