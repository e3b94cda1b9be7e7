"""Draws with label switching."""

import itertools
import warnings

import numpy as np
from scipy.special import softmax

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.errors import FitWarning
from bayesgmm.labels.relabelling import reorder
from bayesgmm.labels.responsibilities import Responsibilities
from bayesgmm.posterior.packing import pack
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import unpack
from bayesgmm.sweep.stats import BLOCK

SETTINGS = {"stephens": {}, "ecr": {}, "pivot": {}, "ordered": {"by": "a"}}


def draws_of(n_draws=60, n_points=90, gap=4.0, wobble=0.1, seed=0, k=3, d=2):
    """A fit of two chains whose draws lie around k components in a row, and their points."""
    rng = np.random.default_rng(seed)
    centre = np.zeros((k, d))
    centre[:, 0] = gap * np.arange(k)
    x = centre[rng.integers(k, size=n_points)] + rng.normal(size=(n_points, d))
    weight = rng.dirichlet(np.arange(2.0, k + 2) * 30, size=n_draws)
    mean = centre + wobble * rng.normal(size=(n_draws, k, d))
    covariance = np.eye(d) * np.exp(wobble * rng.normal(size=(n_draws, k, 1, 1)))
    return as_fit(Parameters(weight, mean, covariance), x)


def as_fit(p, x, chains=2, sample_weight=None):
    """Draws (S, ...) as a trace of another library, without relabelling."""
    points = as_points(np.asarray(x), ["a", "b", "c"][: np.shape(x)[1]]).weighed(sample_weight)
    shaped = Parameters(
        *(v.reshape(chains, -1, *v.shape[1:]) for v in (p.weight, p.mean, p.covariance)),
    )
    lp = np.random.default_rng(9).normal(size=shaped.weight.shape[:2])
    return pack(points, Standard.of(points), shaped, {"lp": lp})


def shuffled(fit, seed=1):
    """The same draws, the components of each in a random order; and that order."""
    p = unpack(fit).parameters
    rng = np.random.default_rng(seed)
    order = np.array([rng.permutation(p.weight.shape[1]) for _ in p.weight])
    rows = fit["observed_data"]["x"].values
    return as_fit(reorder(p, order), rows), order


def responsibilities_of(fit, threads=1, weights=None):
    posterior = unpack(fit)
    return Responsibilities(
        posterior.standard.blocks(fit["observed_data"]["x"].values, weights), posterior.tables(), threads
    )


def shares_of(responsibilities):
    """(S, N, K) responsibilities, written with numpy."""
    x, t = responsibilities.blocks.rows(), responsibilities.tables
    y = np.einsum("skij,sknj->skni", t.root, x[None, None] - t.mean[:, :, None])
    return softmax(t.offset[:, :, None] - 0.5 * (y**2).sum(axis=-1), axis=1).transpose(0, 2, 1)


def in_blocks(rows):
    """(N, K) in the layout of blocks."""
    padded = np.zeros((-(-len(rows) // BLOCK) * BLOCK, rows.shape[1]))
    padded[: len(rows)] = rows
    return np.ascontiguousarray(padded.reshape(-1, BLOCK, rows.shape[1]).transpose(0, 2, 1))


def in_rows(blocks, n_points):
    return blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])[:n_points]


def orders(k):
    return np.array(list(itertools.permutations(range(k))))


def relabelled(fit, method="stephens", **settings):
    """``relabel`` without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.relabel(fit, method, progress=False, **settings)


def as_fit_of(drawn, points):
    p = drawn.parameters
    lead = Parameters(p.weight[None], p.mean[None], p.covariance[None])
    return pack(points, drawn.standard, lead, {"lp": np.zeros((1, drawn.n_draws))})


def two_modes():
    """Two chains in different modes: one divides the points along the first column, the other along the second."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    mean = np.zeros((400, 2, 2))
    mean[:200, :, 0] = mean[200:, :, 1] = [-1, 1]
    covariance = np.zeros((400, 2, 2, 2))
    covariance[:200] = np.diag([0.1, 1.0])
    covariance[200:] = np.diag([1.0, 0.1])
    mean += 0.05 * rng.normal(size=mean.shape)
    return as_fit(Parameters(rng.dirichlet([100, 100], size=400), mean, covariance), x)
