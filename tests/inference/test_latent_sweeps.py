"""Gibbs sweeps with latent cells leave the joint distribution of mixture, points and measurements as it is.

A mixture and its points are drawn from the prior, some cells are deleted and others measured with errors, and sweeps
are made. The pair of mixture and measurements must have the same distribution as before (Geweke 2004).
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from bayesgmm.inference import conjugate_sweeps
from bayesgmm.inference.conditionals import exchangeable
from bayesgmm.sweep.assignment_kernels import Sweep, fold_draws
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.compilation import KERNELS, kernel
from bayesgmm.sweep.kernels import moments_width
from bayesgmm.sweep.latent_cells import LatentCells
from bayesgmm.sweep.layout import LANES
from bayesgmm.sweep.orchestration import workspace
from bayesgmm.sweep.stats import Table, fold_sums
from tests.inference.test_gibbs import DECLARATIONS, Prior, sweeps
from tests.inference.test_telescoping import DECLARATIONS as FINITE
from tests.inference.test_telescoping import Joint, features

KINDS = ("missing", "variances", "covariances")
MOVED = [(m.weights.is_overfitted or exchangeable(m.weights)) and m.covariance != "tied" for _, m in DECLARATIONS]
WITH_MOVES = [one for one, is_moved in zip(DECLARATIONS, MOVED, strict=True) if is_moved][::2]
CHOSEN = [*WITH_MOVES, *[one for one, is_moved in zip(DECLARATIONS, MOVED, strict=True) if not is_moved][::7]]


def measured(density, rng, kind):
    """The density given what is measured of its points: two fifths of the cells are missing, or all have errors."""
    x = density.blocks.rows()
    n, d = x.shape
    missing, noise = rng.uniform(size=(n, d)) < 0.4, None
    if kind == "missing":
        x = np.where(missing, 0.0, x)
    else:
        missing &= rng.uniform(size=(n, d)) < 0.5
        root = np.eye(d) * rng.uniform(0.2, 1.0, size=(n, d, 1))
        if kind == "covariances":
            root = root + np.tril(np.full((d, d), 0.3), -1)
        noise = root @ root.transpose(0, 2, 1)
        x = np.where(missing, 0.0, x + np.einsum("nij,nj->ni", root, rng.normal(size=(n, d))))
        noise = noise if kind == "covariances" else np.diagonal(noise, axis1=1, axis2=2).copy()
    blocks = Blocks.from_rows(x).with_latent(LatentCells(missing, noise))
    return replace(density, blocks=replace(blocks, background=density.blocks.background))


def largest_change(before, after):
    """Largest mean change of bounded functions of pairs (M, V), and of their products, in standard errors."""
    middle = np.median(before, axis=0)
    width = np.subtract(*np.quantile(before, [0.8, 0.2], axis=0)) + 1e-12
    first, last = (np.tanh((values - middle) / width) for values in (before, after))
    i, j = np.triu_indices(first.shape[1])
    change = np.concatenate([last - first, last[:, i] * last[:, j] - first[:, i] * first[:, j]], axis=1)
    error = change.std(axis=0) / math.sqrt(len(change))
    return np.abs(change.mean(axis=0)[error > 1e-9] / error[error > 1e-9]).max()


def replicates(d, model, kind, count):
    """Coordinates and log likelihoods before and after sweeps."""
    prior, pairs = Prior(model, d, 8, 12), []
    for chain in range(count):
        density, q = prior.draw()
        density = measured(density, prior.rng, kind)
        pairs.append([[*at, density.value(at)] for at in (q, sweeps(density, q, 6, chain)[0])])
    return np.array(pairs).transpose(1, 0, 2)


@pytest.mark.parametrize("number", range(len(CHOSEN)), ids=lambda n: f"{CHOSEN[n][0]}-{CHOSEN[n][1].covariance}-{n}")
def test_sweeps_leave_the_joint_distribution_as_it_is(number):
    """5.5 standard errors: 4e-8 for each of some 100 functions, 2e-4 for all declarations."""
    d, model = CHOSEN[number]
    assert largest_change(*replicates(d, model, KINDS[number % 3], 250)) < 5.5


@pytest.mark.parametrize("number", range(0, len(FINITE), 2))
def test_sweeps_of_an_unknown_number_of_components_leave_it_as_it_is(number):
    """5.2 standard errors: 2e-7 for each of some 100 functions."""
    joint, pairs = Joint(FINITE[number], 7), []
    for chain in range(200):
        density, q, _ = joint.draw()
        density = measured(density, joint.rng, KINDS[number // 2 % 3])
        x = density.blocks.rows()
        pairs.append([features(density, at, x) for at in (q, joint.sweeps(density, q, 5, chain))])
    assert largest_change(*np.array(pairs).transpose(1, 0, 2)) < 5.2


def test_split_merge_moves_are_among_the_sweeps():
    for d, model in WITH_MOVES:
        density = measured(Prior(model, d, 8, 12).draw()[0], np.random.default_rng(0), "missing")
        assert conjugate_sweeps.split_merge_period(density) > 0


@kernel
def drawn_sums(points, table, single, out):
    """The sums of sweeps 0, 1, ... of sampled assignments and latent cells."""
    work, lanes = workspace(points, table), np.empty(out.shape[1] * LANES)
    counts = np.empty(work.score.size)
    for number in range(out.shape[0]):
        fold_draws(points, table, Sweep(number, 0, 5, 9), single, work, counts, lanes, out[number])


KERNELS.remove(drawn_sums)  # those of the package are compiled by ``warmup``


def test_sampled_sums_of_distant_components_are_those_of_a_fold():
    """In many columns points are gathered; the last ones of a sweep are not left for the next one."""
    rng, mean = np.random.default_rng(3), np.repeat(9 * np.arange(4.0)[:, None], 20, axis=1)
    blocks = Blocks.from_rows(mean[rng.integers(0, 4, 700)] + rng.normal(size=(700, 20)), rng.uniform(0.5, 2, 700))
    table = Table.from_parameters(np.log([0.4, 0.3, 0.2, 0.1]), mean, np.repeat([np.eye(20)], 4, axis=0))
    out = np.empty((2, 4 * moments_width(20, False)))
    drawn_sums(blocks.native, table.native, True, out)
    np.testing.assert_allclose(out, np.tile(fold_sums(blocks, table)[1:], (2, 1)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_weight_three_has_the_sums_of_three_rows(kind, diagonal):
    """Means and variances of all sums over 4,000 sweeps.  5 standard errors: 6e-7 for each of some 60 numbers."""
    rng = np.random.default_rng(6)
    d, model = next((d, m) for d, m in DECLARATIONS if d == 2 and m.covariance == "full" and not m.background)
    blocks = measured(Prior(model, d, 8, 12).draw()[0], rng, kind).blocks
    root = np.array([[[1.0, 0.0], [0.4, 0.8]], [[0.6, 0.0], [-0.5, 0.7]]])
    table = Table(
        np.array([0.0, 0.3]), np.array([[0.0, 0.5], [0.7, -0.4]]), root[:, [0, 1], [0, 1]] if diagonal else root
    )
    rows, cells = blocks.rows(), blocks.latent_of(np.arange(8))
    moments = []
    for copies in (1, 3):
        each = np.repeat(np.arange(8), 3 // copies)
        weighted = Blocks.from_rows(rows[each], np.full(each.size, float(copies))).with_latent(cells.take(each))
        out = np.empty((4000, 2 * moments_width(d, diagonal)))
        drawn_sums(weighted.native, table.native, copies == 1, out)
        moments.append((out, out - out.mean(axis=0)))
    (one, one_away), (other, other_away) = moments
    error = np.hypot(one.std(axis=0), other.std(axis=0)) / math.sqrt(4000)
    assert (np.abs(one.mean(axis=0) - other.mean(axis=0)) < 5 * error).all()
    i, j = np.triu_indices(one.shape[1])
    one, other = one_away[:, i] * one_away[:, j], other_away[:, i] * other_away[:, j]
    error = np.hypot(one.std(axis=0), other.std(axis=0)) / math.sqrt(4000)
    assert (np.abs(one.mean(axis=0) - other.mean(axis=0)) < 5 * error).all()
