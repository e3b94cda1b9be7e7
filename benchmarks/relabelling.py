"""Relabelling with all points, compared with a plain implementation of Stephens' algorithm in numpy and scipy."""

import os
import time

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.datasets import make_mixture
from bayesgmm.labels.alignments import METHODS, MIN_RESPONSIBILITY
from bayesgmm.labels.relabelling import POINTS, Options, find_order
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import draw_responsibilities

TITLE = "## Relabelling: seconds for 4,000 draws of 10 components"
DRAWS, D, K = 4_000, 5, 10
CASES = [1_000, 10_000]  # points
WANTED = {(10_000, "stephens", None): 10}  # seconds


def switched(n_points, n_draws=DRAWS, seed=0):
    """Make points, draws around the true values with their posterior width, and the random order of each draw."""
    sample = make_mixture(n_points, D, K, overlap=0.05, seed=seed)
    rng = np.random.default_rng(seed)
    held = sample.weight * n_points
    weight = rng.dirichlet(held, size=n_draws)
    sd = np.sqrt(np.diagonal(sample.covariance, axis1=1, axis2=2))
    mean = sample.mean + sd / np.sqrt(held)[:, None] * rng.normal(size=(n_draws, K, D))
    width = np.exp(rng.normal(size=(n_draws, K)) / np.sqrt(D * held))
    covariance = sample.covariance * width[:, :, None, None]
    shuffle = np.array([rng.permutation(K) for _ in range(n_draws)])
    parameters = Parameters(
        np.take_along_axis(weight, shuffle, 1),
        np.take_along_axis(mean, shuffle[..., None], 1),
        np.take_along_axis(covariance, shuffle[..., None, None], 1),
    )
    columns = tuple(f"x{j}" for j in range(D))
    points = Points(sample.X, columns, np.arange(n_points))
    return points, Posterior(parameters, columns, Standard.of(points)), shuffle


def plain_stephens(shares, start, max_iter=50):
    """(S, K) orders from responsibilities (S, N, K) held in memory: algorithm 2 of Stephens (2000) as published."""
    order, centre = None, start
    for _ in range(max_iter):
        cost = [-np.log(np.maximum(centre, MIN_RESPONSIBILITY)).T @ share for share in shares]
        new = np.array([linear_sum_assignment(one)[1] for one in cost])
        if order is not None and np.array_equal(new, order):
            break
        order = new
        centre = np.mean([share[:, one] for share, one in zip(shares, order, strict=True)], axis=0)
    return order


def plain(points, drawn):
    blocks = Blocks.from_rows((points.values - drawn.standard.shift) / drawn.standard.scale)
    shares = draw_responsibilities(blocks, drawn.tables(), os.cpu_count())
    return plain_stephens(shares, shares[0])


def same_names(order, other):
    """Return True if two relabellings differ only by a permutation of the labels."""
    return bool((np.take_along_axis(np.argsort(other, axis=1), order, axis=1) == np.argsort(other[0])[order[0]]).all())


def timed(task):
    start = time.perf_counter()
    out = task()
    return time.perf_counter() - start, out


def main():
    print("| points | method | points used | seconds | target, seconds |\n|---|---|---|---|---|")
    points, drawn, _ = switched(200, n_draws=50)  # loads compiled code
    find_order(drawn, 0, points, Options())
    for n_points in CASES:
        points, drawn, shuffle = switched(n_points)
        for method in METHODS:
            settings = {"by": "weight"} if method == "ordered" else {}
            for asked in [None, POINTS] if n_points > POINTS else [None]:
                options = Options(method, settings, asked, os.cpu_count())
                seconds, (order, _) = timed(
                    lambda options=options, drawn=drawn, points=points: find_order(drawn, 0, points, options)
                )
                if method != "ordered":
                    assert same_names(order, np.argsort(shuffle, axis=1)), method
                limit = WANTED.get((n_points, method, asked), "")
                print(
                    f"| {n_points:,} | {method} | {asked or 'all'} | {seconds:.2f} | {limit} |".replace("  |", " |"),
                    flush=True,
                )
        if n_points <= POINTS:
            seconds, order = timed(lambda drawn=drawn, points=points: plain(points, drawn))
            assert same_names(order, np.argsort(shuffle, axis=1))
            print(f"| {n_points:,} | stephens, by numpy and scipy | all | {seconds:.2f} | |", flush=True)


if __name__ == "__main__":
    main()
