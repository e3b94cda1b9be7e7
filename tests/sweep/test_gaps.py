"""Missing cells in the sweep: against brute force with scipy's marginals and conditional moments."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal, norm

from bayesgmm.sweep.blocks import BackgroundRow, Blocks
from bayesgmm.sweep.imputation import as_rows, drawn, expected, imputed
from bayesgmm.sweep.stats import Table, fold, fold_each, log_densities, responsibilities

LOG_2PI = np.log(2 * np.pi)


def make_table(rng: np.random.Generator, n_components: int, n_features: int, diagonal: bool) -> Table:
    mean = rng.normal(size=(n_components, n_features))
    root = 0.3 * np.tril(rng.normal(size=(n_components, n_features, n_features)), -1)
    d = np.arange(n_features)
    root[:, d, d] = rng.uniform(0.5, 2.0, size=(n_components, n_features))
    log_weight = np.log(rng.dirichlet(np.ones(n_components)))
    return Table.from_parameters(log_weight, mean, root[:, d, d] if diagonal else root)


def with_gaps(rng: np.random.Generator, n_points: int, n_features: int, share: float = 0.3) -> np.ndarray:
    x = rng.normal(size=(n_points, n_features))
    return np.where(rng.random(x.shape) < share, np.nan, x)


class Brute:
    """Scores (N, K), expected deviations (N, K, D) and conditional covariances (N, K, D, D), by scipy."""

    def __init__(self, x: np.ndarray, table: Table) -> None:
        n, (k, d) = len(x), table.mean.shape
        root = table.root if table.root.ndim == 3 else table.root[:, :, None] * np.eye(d)
        covariance = np.linalg.inv(root.transpose(0, 2, 1) @ root)
        log_weight = table.offset - np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1) + 0.5 * d * LOG_2PI
        self.score, self.away, self.variance = np.zeros((n, k)), np.zeros((n, k, d)), np.zeros((n, k, d, d))
        for i in range(n):
            seen = ~np.isnan(x[i])
            o, m = np.ix_(seen, seen), np.ix_(~seen, ~seen)
            for c in range(k):
                off, s = x[i, seen] - table.mean[c, seen], covariance[c]
                density = multivariate_normal(np.zeros(seen.sum()), s[o]).logpdf(off) if seen.any() else 0.0
                self.score[i, c] = log_weight[c] + density
                slope = s[np.ix_(~seen, seen)] @ np.linalg.inv(s[o])
                self.away[i, c, seen], self.away[i, c, ~seen] = off, slope @ off
                self.variance[i, c][m] = s[m] - slope @ s[np.ix_(seen, ~seen)]
        self.total = logsumexp(self.score, axis=1)
        self.share = np.exp(self.score - self.total[:, None])


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("n_features", [1, 2, 3, 5, 12])
def test_sums_are_expected_moments(n_features: int, diagonal: bool) -> None:
    """With twelve columns nearly every row has a pattern of its own, and some rows have no value at all."""
    rng = np.random.default_rng(n_features)
    x, weight = with_gaps(rng, 400, n_features), rng.uniform(0, 3, size=400)
    x[3] = np.nan
    table = make_table(rng, 3, n_features, diagonal)
    brute, stats = Brute(x, table), fold(Blocks.from_rows(x, weight), table)
    share = brute.share * weight[:, None]
    s2 = np.einsum("nk,nkij->kij", share, brute.away[..., None] * brute.away[..., None, :] + brute.variance)
    np.testing.assert_allclose(stats.n, share.sum(0), rtol=1e-10)
    np.testing.assert_allclose(stats.s1, np.einsum("nk,nki->ki", share, brute.away), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(stats.s2, np.diagonal(s2, axis1=1, axis2=2) if diagonal else s2, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(stats.loglik, weight @ brute.total, rtol=1e-12)
    np.testing.assert_allclose(responsibilities(Blocks.from_rows(x), table), brute.share, rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(log_densities(Blocks.from_rows(x), table)[0], brute.total, rtol=1e-9, atol=1e-12)


def test_what_is_kept_follows_the_table() -> None:
    """Two tables in one call have other precisions: what was computed for the first must not serve the second."""
    rng = np.random.default_rng(1)
    x = with_gaps(rng, 200, 3)
    tables = [make_table(rng, 2, 3, diagonal=False) for _ in range(3)]
    stack = Table(*(np.stack([getattr(table, name) for table in tables]) for name in ("offset", "mean", "root")))
    blocks = Blocks.from_rows(x)
    np.testing.assert_allclose(fold_each(blocks, stack)[0], [fold(blocks, table).loglik for table in tables])
    right = [Brute(x, table).total for table in tables]
    np.testing.assert_allclose(log_densities(blocks, stack), right, rtol=1e-9, atol=1e-12)


def test_sums_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(2)
    blocks, table = Blocks.from_rows(with_gaps(rng, 60_000, 3, 0.1)), make_table(rng, 4, 3, diagonal=False)
    one, two = fold(blocks, table, threads=1), fold(blocks, table, threads=3)
    assert one.loglik == two.loglik
    assert np.array_equal(one.s2, two.s2)


def test_complete_points_have_the_same_sums_bit_for_bit() -> None:
    """A block without missing cells takes the same path, whether other blocks have some or not."""
    rng = np.random.default_rng(3)
    x, table = rng.normal(size=(64, 3)), make_table(rng, 2, 3, diagonal=False)
    some = x.copy()
    some[40, 1] = np.nan
    weight = np.repeat([1.0, 0.0], 32)
    plain, other = fold(Blocks.from_rows(x, weight), table), fold(Blocks.from_rows(some, weight), table)
    assert Blocks.from_rows(x).latent is None
    assert plain.loglik == other.loglik
    assert np.array_equal(plain.s2, other.s2)


def test_a_background_sees_what_is_observed() -> None:
    rng = np.random.default_rng(4)
    x, table = with_gaps(rng, 100, 2), make_table(rng, 2, 2, diagonal=False)
    sd = np.array([3.0, 4.0])
    row = BackgroundRow(np.log(0.9), np.log(0.1) - LOG_2PI - np.log(sd).sum(), np.zeros(2), 1 / sd)
    stats = fold(replace(Blocks.from_rows(x), background=row), table)
    behind = np.where(np.isnan(x), 0.0, norm.logpdf(x, 0.0, sd)).sum(axis=1) + np.log(0.1)
    total = np.logaddexp(Brute(x, table).total + np.log(0.9), behind)
    np.testing.assert_allclose(stats.loglik, total.sum(), rtol=1e-12)


@pytest.mark.parametrize("diagonal", [False, True])
def test_expectations_and_draws_are_those_of_the_conditional_mixture(diagonal: bool) -> None:
    """Draws are compared by the distribution function of the mixture; false alarms: 1 in 1,000."""
    rng = np.random.default_rng(5)
    table = make_table(rng, 2, 3, diagonal)
    x = np.repeat([[0.5, np.nan, np.nan], [np.nan, 1.0, -1.0]], 4000, axis=0)
    blocks, brute = Blocks.from_rows(x), Brute(x[[0, -1]], table)
    stack = Table(table.offset[None], table.mean[None], table.root[None])
    mean, variance = (as_rows(blocks, part.reshape(-1)) for part in expected(blocks, stack))
    centre = table.mean + brute.away
    sd = np.sqrt(np.diagonal(brute.variance, axis1=2, axis2=3))
    one = np.einsum("nk,nkd->nd", brute.share, centre)
    two = np.einsum("nk,nkd->nd", brute.share, centre**2 + sd**2)
    np.testing.assert_allclose(mean[[0, -1]], one, rtol=1e-9)
    np.testing.assert_allclose(variance[[0, -1]], two - one**2, rtol=1e-9, atol=1e-15)
    values = as_rows(blocks, drawn(blocks, stack, 7, (1, 2)))
    for row, column, part in ((0, 1, slice(4000)), (0, 2, slice(4000)), (1, 0, slice(4000, None))):
        own = values[part, column]
        u = np.einsum("k,nk->n", brute.share[row], norm.cdf(own[:, None], centre[row, :, column], sd[row, :, column]))
        assert kstest(u, "uniform").pvalue > 0.001 / 3
    together = np.cov(values[:4000, 1:].T)[0, 1]
    between = brute.share[0] @ (centre[0, :, 1] * centre[0, :, 2]) - one[0, 1] * one[0, 2]
    assert together == pytest.approx(between + brute.share[0] @ brute.variance[0, :, 1, 2], abs=0.12)


def test_starts_have_guesses_in_place_of_missing_cells() -> None:
    x = np.random.default_rng(6).normal(size=(200, 1)) * [1.0, 2.0, -1.0]
    holes = x.copy()
    holes[::3, 1] = np.nan
    np.testing.assert_allclose(imputed(Blocks.from_rows(holes)).rows(), x, atol=0.05)
