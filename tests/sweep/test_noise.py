"""Errors of measurement in the sweep: against brute force by scipy, for each kind of errors."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.imputation import as_rows, expected
from bayesgmm.sweep.stats import Table, fold, log_densities, responsibilities
from tests.sweep.test_gaps import LOG_2PI, make_table, with_gaps


def errors(rng: np.random.Generator, n_points: int, n_features: int, kind: str) -> np.ndarray:
    """Variances or covariances of errors; some rows, and some cells of others, have none."""
    if kind == "variances":
        sd = rng.uniform(0, 1, size=(n_points, n_features)) * (rng.random((n_points, n_features)) < 0.7)
        sd[3] *= 100
        return sd**2
    a = rng.normal(size=(n_points, n_features, n_features))
    covariance = 0.3 * a @ a.transpose(0, 2, 1) + 1e-3 * np.eye(n_features)
    covariance[::3] = 0
    covariance[1] *= 1000
    return covariance


class Brute:
    """Scores (N, K), expected deviations of true values (N, K, D) and their conditional covariances, by scipy."""

    def __init__(self, x: np.ndarray, noise: np.ndarray, table: Table) -> None:
        n, (k, d) = len(x), table.mean.shape
        noise = noise if noise.ndim == 3 else noise[:, :, None] * np.eye(d)
        root = table.root if table.root.ndim == 3 else table.root[:, :, None] * np.eye(d)
        covariance = np.linalg.inv(root.transpose(0, 2, 1) @ root)
        log_weight = table.offset - np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1) + 0.5 * d * LOG_2PI
        self.score, self.away, self.variance = np.zeros((n, k)), np.zeros((n, k, d)), np.zeros((n, k, d, d))
        for i in range(n):
            seen = ~np.isnan(x[i])
            for c in range(k):
                s = covariance[c]
                measured, off = (s + noise[i])[np.ix_(seen, seen)], x[i, seen] - table.mean[c, seen]
                density = multivariate_normal(np.zeros(seen.sum()), measured).logpdf(off) if seen.any() else 0.0
                self.score[i, c] = log_weight[c] + density
                gain = s[:, seen] @ np.linalg.inv(measured)
                self.away[i, c], self.variance[i, c] = gain @ off, s - gain @ s[seen]
        self.total = logsumexp(self.score, axis=1)
        self.share = np.exp(self.score - self.total[:, None])


@pytest.mark.parametrize("kind", ["variances", "covariances"])
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("n_features", [1, 2, 5, 9])
def test_sums_are_expected_moments_of_the_true_values(n_features: int, diagonal: bool, kind: str) -> None:
    """Cells are exact, missing, or measured with errors of any size; with nine columns a product of roots is cut."""
    rng = np.random.default_rng(n_features)
    x, weight = with_gaps(rng, 200, n_features, 0.15), rng.uniform(0, 3, size=200)
    noise, table = errors(rng, 200, n_features, kind), make_table(rng, 3, n_features, diagonal)
    brute, stats = Brute(x, noise, table), fold(Blocks.from_rows(x, weight, noise=noise), table)
    share = brute.share * weight[:, None]
    s2 = np.einsum("nk,nkij->kij", share, brute.away[..., None] * brute.away[..., None, :] + brute.variance)
    np.testing.assert_allclose(stats.n, share.sum(0), rtol=1e-10)
    np.testing.assert_allclose(stats.s1, np.einsum("nk,nki->ki", share, brute.away), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(stats.s2, np.diagonal(s2, axis1=1, axis2=2) if diagonal else s2, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(stats.loglik, weight @ brute.total, rtol=1e-12)
    blocks = Blocks.from_rows(x, noise=noise)
    np.testing.assert_allclose(responsibilities(blocks, table), brute.share, rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(log_densities(blocks, table)[0], brute.total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["variances", "covariances"])
def test_expectations_are_those_of_the_true_values(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, noise, table = with_gaps(rng, 100, 3, 0.1), errors(rng, 100, 3, kind), make_table(rng, 2, 3, diagonal=False)
    brute, blocks = Brute(x, noise, table), Blocks.from_rows(x, noise=noise)
    mean, covariance = expected(blocks, Table(table.offset[None], table.mean[None], table.root[None]), cross=True)
    centre = table.mean + brute.away
    one = np.einsum("nk,nkd->nd", brute.share, centre)
    two = np.einsum("nk,nkij->nij", brute.share, centre[..., None] * centre[..., None, :] + brute.variance)
    i, j = np.tril_indices(3)
    np.testing.assert_allclose(as_rows(blocks, mean), one, rtol=1e-9, atol=1e-12)
    right = (two - one[:, :, None] * one[:, None, :])[:, i, j]
    np.testing.assert_allclose(covariance.transpose(0, 2, 1).reshape(-1, 6)[:100], right, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("shape", [(300, 3), (300, 3, 3)])
def test_errors_of_zero_change_nothing(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    x, table = rng.normal(size=(300, 3)), make_table(rng, 2, 3, diagonal=False)
    plain, zero = fold(Blocks.from_rows(x), table), fold(Blocks.from_rows(x, noise=np.zeros(shape)), table)
    assert plain.loglik == zero.loglik
    assert np.array_equal(plain.s2, zero.s2)


def test_small_errors_lose_no_digits() -> None:
    """The variance of an error is added to that of a component: down to 1e-9 times its standard deviation."""
    rng = np.random.default_rng(2)
    x, table = rng.normal(size=(100, 3)), make_table(rng, 2, 3, diagonal=False)
    plain = log_densities(Blocks.from_rows(x), table)
    for sd in (1e-9, 1e-6):
        measured = log_densities(Blocks.from_rows(x, noise=np.full(x.shape, sd**2)), table)
        np.testing.assert_allclose(measured, plain, rtol=1e-9, atol=100 * sd**2 + 1e-12)


def test_very_large_errors_say_as_much_as_missing_cells() -> None:
    """The density of a measurement with an error of standard deviation s falls with s; responsibilities do not."""
    rng = np.random.default_rng(3)
    x, table = rng.normal(size=(100, 3)), make_table(rng, 3, 3, diagonal=False)
    noise, missing = np.zeros(x.shape), x.copy()
    noise[:, 1], missing[:, 1] = 1e16, np.nan
    measured, without = fold(Blocks.from_rows(x, noise=noise), table), fold(Blocks.from_rows(missing), table)
    np.testing.assert_allclose(measured.n, without.n, rtol=1e-12)
    np.testing.assert_allclose(measured.s2, without.s2, rtol=1e-9, atol=1e-9)
    assert measured.loglik == pytest.approx(without.loglik - 100 * (0.5 * LOG_2PI + 8 * np.log(10)), rel=1e-12)


def test_a_part_of_the_blocks_keeps_its_errors() -> None:
    rng = np.random.default_rng(4)
    x, noise, table = rng.normal(size=(96, 2)), errors(rng, 96, 2, "variances"), make_table(rng, 2, 2, diagonal=False)
    some = Blocks.from_rows(x, noise=noise).part(np.array([2, 0]))
    rows = np.r_[64:96, :32]
    alone = fold(Blocks.from_rows(x[rows], noise=noise[rows]), table)
    assert fold(some, table).loglik == pytest.approx(alone.loglik, rel=1e-14)
