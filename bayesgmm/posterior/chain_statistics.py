"""Rank-normalised R-hat and effective sample sizes, of many quantities at once.

The numbers are those of ArviZ, which ranks each quantity three times and one quantity after another. Fits and tests
compute them so often that this took a twentieth of the time.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

MIN_DRAWS = 4  # per chain: with fewer, neither is defined


def rhat_and_bulk_ess(values: Array) -> tuple[Array, Array]:
    """Compute R-hat and the bulk effective sample size of M quantities.

    Parameters
    ----------
    values : (chains, draws, M) float

    Returns
    -------
    rhat : (M,) float
        The larger one of bulk and tail. NaN for a constant, and for a single chain.
    ess : (M,) float
        NaN where a value is NaN; the number of draws for a constant.

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), 667-718.

    Examples
    --------
    Chains that agree, and chains that do not.

    >>> noise = np.random.default_rng(0).normal(size=(2, 500, 1))
    >>> apart = noise + np.array([0.0, 9.0])[:, None, None]
    >>> rhat, ess = rhat_and_bulk_ess(np.concatenate([noise, apart], axis=2))
    >>> rhat.round(1), ess.round(-2)
    (array([1. , 1.8]), array([1000.,    0.]))
    """
    chains, _, m = values.shape
    rhat, ess = np.full((2, m), np.nan)
    valid = _valid(values)
    if not valid.any():
        return rhat, ess
    halves = _halves(values[..., valid])
    scores = _normal_scores(halves)
    ess[valid] = _effective_sizes(scores)
    if chains > 1:
        rhat[valid] = _rhat_of(halves, scores)
    return rhat, ess


def rhat_only(values: Array) -> Array:
    """Compute R-hat (M,) of quantities (chains, draws, M), as ``rhat_and_bulk_ess``, in half the time.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(2, 500, 1))
    >>> rhat_only(noise + np.array([0.0, 9.0])[:, None, None]).round(1)
    array([1.8])
    """
    rhat, valid = np.full(values.shape[2], np.nan), _valid(values)
    if valid.any() and len(values) > 1:
        halves = _halves(values[..., valid])
        rhat[valid] = _rhat_of(halves, _normal_scores(halves))
    return rhat


def _rhat_of(halves: Array, scores: Array) -> Array:
    """Return R-hat (M,) of half chains (M, chains, draws) and of their distances from the median, the larger one."""
    folded = np.abs(halves - np.median(halves, axis=(1, 2), keepdims=True))
    return np.fmax(_split_rhat(scores), _split_rhat(_normal_scores(folded)))


def mean_ess(values: Array) -> Array:
    """Compute the effective sample sizes (M,) of quantities (chains, draws, M) for their means.

    Examples
    --------
    >>> mean_ess(np.random.default_rng(0).normal(size=(2, 500, 1))).round(-2)
    array([1000.])
    """
    ess = np.full(values.shape[2], np.nan)
    valid = _valid(values)
    if valid.any():
        ess[valid] = _effective_sizes(_halves(values[..., valid].astype(float)))
    return ess


def tail_ess(values: Array, tail: float = 0.05) -> Array:
    """Compute the effective sample sizes (M,) of quantities (chains, draws, M) for the ends of their distributions.

    Parameters
    ----------
    values : (chains, draws, M) float
    tail : float
        The size is that of this quantile or of the opposite one, the smaller of both: 5 % or 95 % [1]_.

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), 667-718.

    Examples
    --------
    >>> tail_ess(np.random.default_rng(0).normal(size=(2, 500, 1))) > 700
    array([ True])
    """
    ess = np.full(values.shape[2], np.nan)
    valid = _valid(values)
    if valid.any():
        ends = np.quantile(values[..., valid], [tail, 1 - tail], axis=(0, 1))
        ess[valid] = np.minimum(*(mean_ess(values[..., valid] <= end) for end in ends))
    return ess


def mean_and_sd_errors(values: Array) -> tuple[Array, Array]:
    """Compute Monte Carlo standard errors (M,) of means and standard deviations of quantities (chains, draws, M)."""
    apart = values - values.mean(axis=(0, 1))
    variance = (apart**2).mean(axis=(0, 1))
    of_variance = ((apart**4).mean(axis=(0, 1)) - variance**2) / mean_ess(apart**2)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN for a constant
        return values.std(axis=(0, 1), ddof=1) / np.sqrt(mean_ess(values)), np.sqrt(of_variance / variance / 4)


def bfmi(energy: Array) -> Array:
    """Compute the Bayesian fraction of missing information (chains,) from energies (chains, draws).

    References
    ----------
    .. [1] Betancourt (2016), arXiv:1604.00695.

    Examples
    --------
    >>> bfmi(np.random.default_rng(0).normal(size=(1, 5000))).round(1)
    array([2.])
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1, ddof=1)


def _valid(values: Array) -> NDArray[np.bool_]:
    """Return which quantities (M,) have statistics."""
    enough = values.shape[1] >= MIN_DRAWS
    return np.isfinite(values).all(axis=(0, 1)) & enough


def _halves(values: Array) -> Array:
    """Split chains (chains, draws, M) in two: (M, 2 chains, draws // 2)."""
    half = values.shape[1] // 2
    return np.concatenate([values[:, :half], values[:, -half:]]).transpose(2, 0, 1)


def of_dataset(values: "xr.Dataset") -> tuple["xr.Dataset", "xr.Dataset"]:
    """Compute R-hat and the bulk effective sample size of every number of a Dataset [chain, draw, ...].

    Examples
    --------
    >>> import xarray as xr
    >>> draws = np.random.default_rng(0).normal(size=(2, 500, 3))
    >>> rhat, ess = of_dataset(xr.Dataset({"mean": (("chain", "draw", "feature"), draws)}))
    >>> rhat["mean"].dims, bool((ess["mean"] > 800).all())
    (('feature',), True)
    """
    arrays = {name: one.transpose("chain", "draw", ...) for name, one in values.data_vars.items()}
    columns = [one.values.reshape(*one.shape[:2], -1).astype(float) for one in arrays.values()]
    if not columns:
        return values, values
    ends = np.cumsum([one.shape[2] for one in columns])[:-1]
    first = {name: one.isel(chain=0, draw=0, drop=True) for name, one in arrays.items()}

    def named(numbers: Array) -> "xr.Dataset":
        parts = zip(first.items(), np.split(numbers, ends), strict=True)
        return values.isel(chain=0, draw=0, drop=True).assign(
            {name: one.copy(data=part.reshape(one.shape)) for (name, one), part in parts}
        )

    rhat, ess = rhat_and_bulk_ess(np.concatenate(columns, axis=2))
    return named(rhat), named(ess)


def _normal_scores(values: Array) -> Array:
    """Replace the values (M, chains, draws) of each quantity by normal quantiles of their ranks, ties by the mean."""
    from scipy.special import ndtri

    flat = values.reshape(len(values), -1)
    m, n = flat.shape
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    is_new = np.ones((m, n), dtype=bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    scores = np.empty((m, n))
    np.put_along_axis(scores, order, ndtri((_mean_ranks(is_new) - 3 / 8) / (n + 1 / 4)), axis=1)
    return scores.reshape(values.shape)


def _mean_ranks(is_new: NDArray[np.bool_]) -> Array:
    """Return the ranks 1 to n of ordered values (M, n), equal ones by their mean rank; each row begins a new one.

    (1, n) if no values are equal.
    """
    n = is_new.shape[1]
    if is_new.all():
        return np.arange(1.0, n + 1)[None]
    first = np.flatnonzero(is_new)
    count = np.diff(first, append=is_new.size)
    ranks = first % n + (count + 1) / 2
    return np.repeat(ranks, count).reshape(is_new.shape)


def _split_rhat(scores: Array) -> Array:
    """Compute R-hat (M,) of half chains (M, chains, draws)."""
    n = scores.shape[2]
    between = n * scores.mean(axis=2).var(axis=1, ddof=1)
    within = scores.var(axis=2, ddof=1).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN for a constant
        return np.sqrt((between / within + n - 1) / n)


def _effective_sizes(scores: Array) -> Array:
    """Compute the effective sample sizes (M,) of chains (M, chains, draws), by Geyer's sequence of autocorrelations."""
    from scipy.fft import irfft, next_fast_len, rfft

    _, chains, n = scores.shape
    mean = scores.mean(axis=2, keepdims=True)
    size = next_fast_len(2 * n, real=True)
    waves = rfft(scores - mean, n=size, axis=2)
    covariance = irfft((waves * waves.conj()).real, n=size, axis=2)[:, :, :n].mean(axis=1) / n
    within = covariance[:, :1] * n / (n - 1)
    total = covariance[:, :1] + (mean.var(axis=1, ddof=1) if chains > 1 else 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = 1 - (within - covariance) / total
    correlation[:, 0] = 1.0
    sizes = np.array([chains * n / _autocorrelation_time(one, chains * n) for one in correlation])
    return np.where(np.ptp(scores, axis=(1, 2)) > 0, sizes, float(chains * n))


def _autocorrelation_time(correlation: Array, n_draws: int) -> float:
    """Sum autocorrelations (n,) while pairs of neighbours are positive, none above the pair before it."""
    n = len(correlation)
    pairs = correlation[: n - n % 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(~(pairs > 0))
    end = min(negative[0] if negative.size else n, (n - 3) // 2)
    left = correlation[2 * end]  # of the pair at which the sum ends
    beyond = left if left > 0 or pairs[end] >= 0 else 0.0
    return float(max(2 * np.minimum.accumulate(pairs[:end]).sum() + beyond - 1, 1 / np.log10(n_draws)))
