"""The fold: against brute force, and the laws that statistics obey."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import numba as nb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.sweep import simd, stats
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.parts import joined
from bayesgmm.sweep.stats import Table, fold, fold_each, log_densities, responsibilities
from bayesgmm.sweep.threads import run_rows


def make_table(rng, n_components, n_features, diagonal=False):
    weight = rng.dirichlet(np.ones(n_components))
    mean = rng.normal(size=(n_components, n_features))
    root = 0.3 * np.tril(rng.normal(size=(n_components, n_features, n_features)), -1)
    d = np.arange(n_features)
    root[:, d, d] = rng.uniform(0.5, 2.0, size=(n_components, n_features))
    if diagonal:
        return Table.from_parameters(np.log(weight), mean, root[:, d, d])
    return Table.from_parameters(np.log(weight), mean, root)


def full_roots(table):
    return table.root if table.root.ndim == 3 else table.root[:, :, None] * np.eye(table.mean.shape[1])


def brute(x, weights, table):
    """n, s1, s2 about the table's means, log likelihood, responsibilities: written with scipy."""
    log_norm = np.log(np.diagonal(full_roots(table), axis1=1, axis2=2)).sum(1) - 0.5 * x.shape[1] * np.log(2 * np.pi)
    scores = np.stack(
        [
            log_weight + multivariate_normal(m, np.linalg.inv(r.T @ r)).logpdf(x).reshape(len(x))
            for log_weight, m, r in zip(table.offset - log_norm, table.mean, full_roots(table), strict=True)
        ],
        axis=1,
    )
    total = logsumexp(scores, axis=1)
    r = np.exp(scores - total[:, None])
    share = r * weights[:, None]
    d = x[:, None] - table.mean
    return share.sum(0), (share[..., None] * d).sum(0), np.einsum("nk,nki,nkj->kij", share, d, d), weights @ total, r


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 5, 8, 31])
@pytest.mark.parametrize("n_points", [1, 31, 32, 33, 200])
def test_fold_agrees_with_brute_force(n_points, n_features, diagonal):
    rng = np.random.default_rng(n_points + n_features)
    x, weights = rng.normal(size=(n_points, n_features)), rng.uniform(0, 3, size=n_points)
    table = make_table(rng, 3, n_features, diagonal)
    n, s1, s2, loglik, r = brute(x, weights, table)
    stats = fold(Blocks.from_rows(x, weights), table)
    np.testing.assert_allclose(stats.n, n, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(stats.s1, s1, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(stats.s2, np.diagonal(s2, axis1=1, axis2=2) if diagonal else s2, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(stats.loglik, loglik, rtol=1e-12)
    np.testing.assert_allclose(responsibilities(Blocks.from_rows(x), table), r, rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize("n_points", [5, 33, 300, 9_000])
def test_points_gathered_from_many_blocks_have_the_moments_of_all(n_points):
    """In many columns few points of a block have a share in a component; in the last one more have than are few."""
    rng = np.random.default_rng(n_points)
    table, others = (make_table(rng, 5, 20) for _ in range(2))
    table = replace(table, mean=table.mean + np.repeat([4 * np.arange(5.0) // 2], 20, axis=0).T)
    x = table.mean[rng.choice(5, n_points, p=[0.1, 0.1, 0.1, 0.1, 0.6])] + rng.normal(size=(n_points, 20))
    weights = rng.choice([0.0, 0.5, 3.0], n_points)
    blocks, expected = Blocks.from_rows(x, weights), brute(x, weights, table)
    found = fold(blocks, table, threads=3)
    assert ((expected[4] > 0) & (expected[4] < 1e-30)).any()  # these are left out
    for name, right in zip(("n", "s1", "s2", "loglik"), expected, strict=False):
        np.testing.assert_allclose(getattr(found, name), right, rtol=1e-9, atol=1e-10, err_msg=name)
    both = fold_each(blocks, Table(*(np.stack(pair) for pair in zip(*map(parts, (others, table)), strict=True))))[1]
    assert np.array_equal(both.s2[5:], fold_each(blocks, Table(*(part[None] for part in parts(table))))[1].s2)
    np.testing.assert_allclose(both.s2[:5], brute(x, weights, others)[2], rtol=1e-9, atol=1e-9)


def parts(table):
    return table.offset, table.mean, table.root


DATA = np.random.default_rng(0).normal(size=(300, 3))
TABLE = make_table(np.random.default_rng(1), 4, 3)


def same(a, b, rtol=1e-12):
    pairs = [(a.n, b.n), (a.s1, b.s1), (a.s2, b.s2), (a.loglik, b.loglik)]
    return all(np.allclose(one, other, rtol=rtol, atol=1e-11) for one, other in pairs)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 299))
def test_fold_ignores_order_and_chunking(seed, cut):
    shuffled = np.random.default_rng(seed).permutation(DATA)
    whole = fold(Blocks.from_rows(DATA), TABLE)
    parts = fold(Blocks.from_rows(shuffled[:cut]), TABLE) + fold(Blocks.from_rows(shuffled[cut:]), TABLE)
    assert same(parts, whole)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_fold_is_the_same_to_the_last_bit_on_any_number_of_threads(threads):
    x = np.random.default_rng(2).normal(size=(50_000, 3))
    one, many = (fold(Blocks.from_rows(x), TABLE, t) for t in (1, threads))
    for name in ("n", "s1", "s2", "loglik"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))


def test_a_row_of_weight_three_counts_as_three_rows():
    weights = np.random.default_rng(3).integers(0, 4, size=len(DATA))
    repeated = np.repeat(DATA, weights, axis=0)
    assert same(fold(Blocks.from_rows(DATA, weights), TABLE), fold(Blocks.from_rows(repeated), TABLE))


def test_statistics_of_different_tables_do_not_add_up():
    other = make_table(np.random.default_rng(9), 4, 3)
    with pytest.raises(ValueError, match="different tables"):
        fold(Blocks.from_rows(DATA), TABLE) + fold(Blocks.from_rows(DATA), other)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_covariance_keeps_ten_digits_far_from_the_origin(offset):
    x = np.random.default_rng(4).normal(size=(1000, 2)) + offset
    table = Table.from_parameters([0.0], [[offset + 0.1, offset]], np.eye(2)[None])
    stats = fold(Blocks.from_rows(x), table)
    np.testing.assert_allclose(stats.scatter()[0] / len(x), np.cov((x - offset).T, bias=True), rtol=1e-9)


def test_a_component_of_weight_zero_holds_no_points():
    with np.errstate(divide="ignore"):
        table = Table.from_parameters(np.log([1.0, 0.0]), [[0.0], [0.0]], [[1.0], [1.0]])
    stats = fold(Blocks.from_rows(DATA[:, :1]), table)
    assert stats.n[1] < 1e-200
    assert np.isfinite(stats.loglik)


def test_a_mean_over_draws_of_probability_one_is_not_more():
    """Sums of the shares of draws have rounding errors, in either direction."""
    means = {}
    for size in (1, 3, 7, *range(40, 60)):
        table = Table.from_parameters(np.zeros((size, 1)), np.zeros((size, 1, 1)), np.ones((size, 1, 1)))
        means[size] = responsibilities(Blocks.from_rows([[0.0]]), table).item()
    assert max(means.values()) == 1.0
    assert min(means.values()) == pytest.approx(1.0, rel=1e-14)


def test_a_point_with_huge_coordinates_gets_finite_answers():
    far = Blocks.from_rows([[1e160], [0.0]])
    table = Table.from_parameters(np.log([0.5, 0.5]), [[0.0], [1.0]], [[1.0], [1.0]])
    assert np.isfinite(responsibilities(far, table)).all()
    assert np.isfinite(log_densities(far, table)).all()


@pytest.mark.parametrize("size", [(1, 3), (64, 1), (70, 4), (40_000, 4)])
def test_rows_are_laid_out_whatever_their_order_in_memory(size):
    """Also of single precision, read-only, reversed, repeated without a copy, or part of a wider array."""
    x, shift, scale = np.random.default_rng(0).normal(size=size), np.arange(size[1]), 2.0 ** np.arange(size[1])
    wide = np.repeat(x, 2, axis=1)
    fixed = x.copy()
    fixed.flags.writeable = False
    for rows in (x, np.asfortranarray(x), wide[:, ::2], x[::-1, ::-1], fixed, x.astype(np.float32), x[:1].repeat(3, 0)):
        blocks = Blocks.from_rows(rows, None, shift, scale, threads=2)
        np.testing.assert_array_equal(blocks.rows(), (rows - shift) / scale)
        assert not blocks.x.reshape(blocks.n_blocks, size[1], -1)[-1, :, len(rows) % 32 or 32 :].any()
    stacked = np.broadcast_to(x[0], size)
    np.testing.assert_array_equal(Blocks.from_rows(stacked).rows(), stacked)


def test_blocks_return_the_same_rows():
    np.testing.assert_array_equal(Blocks.from_rows(DATA).rows(), DATA)


@nb.njit
def _exp_and_log(x, exped, logged):
    for i in range(0, x.size, 8):
        simd.store(exped, i, simd.exp(simd.load(x, i)))
        simd.store(logged, i, simd.log(simd.load(exped, i)))


def test_exp_and_log_are_right_to_three_units_in_the_last_place():
    x = np.concatenate([np.linspace(-600, 700, 8000), np.linspace(-1, 1, 8000)])
    exped, logged = np.empty_like(x), np.empty_like(x)
    _exp_and_log(x, exped, logged)
    assert np.max(np.abs(exped - np.exp(x)) / np.spacing(np.exp(x))) <= 3
    wanted = np.log(exped)
    assert np.max(np.abs(logged - wanted) / np.maximum(np.spacing(np.abs(wanted)), 2e-16)) <= 3


@nb.njit
def _by_row(x, y, out):
    row, other = simd.load_row(x, 0), simd.load_row(y, 0)
    simd.store(out, 0, simd.larger(simd.fma(simd.exp(row), other, simd.log(other)), simd.sqrt(other) / row - other))


@nb.njit
def _by_vectors(x, y, out):
    for p in range(0, x.size, 8):
        v, w = simd.load(x, p), simd.load(y, p)
        simd.store(out, p, simd.larger(simd.fma(simd.exp(v), w, simd.log(w)), simd.sqrt(w) / v - w))


@nb.njit
def _taken_apart(x, out):
    a, b, c, d = simd.parts(simd.load_row(x, 0))
    simd.store(out, 0, simd.join(d, c, b, a))


def test_a_row_of_a_block_is_computed_as_its_vectors():
    """To the last bit: a value must not depend on how many numbers are computed at a time."""
    x, y = np.random.default_rng(0).uniform(0.1, 3.0, size=(2, 32))
    by_row, by_vectors, turned = np.empty((3, 32))
    _by_row(x, y, by_row)
    _by_vectors(x, y, by_vectors)
    _taken_apart(x, turned)
    np.testing.assert_array_equal(by_row, by_vectors)
    np.testing.assert_array_equal(turned.reshape(4, 8), x.reshape(4, 8)[::-1])
    assert len(set(by_row)) == 32


@pytest.mark.parametrize("n_points", [1, 70, 100_000])
def test_vectors_of_points_lie_in_one_line_of_the_cache(n_points):
    blocks = Blocks.from_rows(np.zeros((n_points, 2)))
    for laid_out in (blocks, joined([blocks], n_points, 2)):
        assert laid_out.x.ctypes.data % 64 == 0


FORK = """
import os, signal, warnings
import numpy as np
from bayesgmm.sweep.threads import run_ranges
warnings.simplefilter("ignore")
out = np.zeros(4)
run_ranges(lambda a, b: out.__setitem__(slice(a, b), 1), 4, 2)
child = os.fork()
if not child:
    signal.alarm(20)
    run_ranges(lambda a, b: out.__setitem__(slice(a, b), 2), 4, 2)
    os._exit(int(out.sum()))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_small_sweep_wakes_no_other_thread(monkeypatch):
    """Which takes longer than the sweep: a search makes thousands of them."""
    used = []
    monkeypatch.setattr(stats, "run_rows", lambda task, size, n: used.append(n) or task(np.zeros(1, np.int64)))
    for n_points in (100, 100_000):
        fold(Blocks.from_rows(np.zeros((n_points, TABLE.mean.shape[1]))), TABLE, 3)
    assert used == [1, 3]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_thread_that_is_late_takes_fewer_rows(threads):
    """All rows are taken once, whoever takes them."""
    rows, late = np.zeros(40), threading.Event()

    def take(taken):
        if threads > 1 and threading.current_thread() is threading.main_thread():
            late.wait(20)
        _take_rows(taken, rows)
        late.set()

    run_rows(take, rows.size, threads)
    np.testing.assert_array_equal(rows, 1)


@nb.njit
def _take_rows(taken, rows):
    row = simd.take_next(taken)
    while row < rows.size:
        rows[row] += 1
        row = simd.take_next(taken)


def test_threads_work_after_a_fork():
    """A fork has the pool of its parent, but none of its threads: multiprocessing waited for ever."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=False)
    assert done.stdout == "8\n", done.stderr
