"""Whole fits by EM from k-means starts, scikit-learn's default, by both packages in turns: the shortest of several."""

import time
import warnings

from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning

from bayesgmm import estimators
from bayesgmm.datasets import make_mixture

TITLE = "## Whole fits from k-means starts, compared with scikit-learn"
# N, D, K, overlap, tol, target of times faster; with the overlap of the second EM converges slowly
CASES = [(100_000, 5, 5, 0.1, 1e-6, 25), (100_000, 2, 5, 0.4, 1e-9, 50), (100_000, 32, 10, 0.1, 1e-5, 10)]
MAX_ITER = 5000
TURNS, OWN = 3, 5  # fits of scikit-learn, and of bayesgmm for each of them


def timed(kind, x, n_components, tol):
    """Return wall time, processor time and the fitted estimator."""
    estimator = kind.GaussianMixture(n_components, tol=tol, max_iter=MAX_ITER, random_state=0)
    wall, processor = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(x)
    return time.perf_counter() - wall, time.process_time() - processor, estimator


def main():
    print(
        "| N, D, K | overlap, tol | bayesgmm, s | iterations | scikit-learn, s | iterations | times faster "
        "| in processor time | target |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for n_points, n_features, n_components, overlap, tol, wanted in CASES:
        x = make_mixture(n_points, n_features, n_components, overlap=overlap, seed=1).X
        timed(estimators, x, n_components, tol)  # compiles
        ours, theirs = [], []
        for _ in range(TURNS):
            ours += [timed(estimators, x, n_components, tol) for _ in range(OWN)]
            theirs.append(timed(mixture, x, n_components, tol))
        own, peer = ours[0][2], theirs[0][2]
        assert own.score(x) > peer.score(x) - 2 * tol
        (wall, processor), (peer_wall, peer_processor) = (
            (min(run[0] for run in runs), min(run[1] for run in runs)) for runs in (ours, theirs)
        )
        faster = f"{peer_wall / wall:.0f} | {peer_processor / processor:.0f}"
        print(
            f"| {n_points:,}, {n_features}, {n_components} | {overlap}, {tol:g} | {wall:.3f} | {own.n_iter_} "
            f"| {peer_wall:.2f} | {peer.n_iter_} | {faster} | {wanted} |",
            flush=True,
        )
