"""Number of clusters where K is only an upper bound: it should not depend on the bound.

Each cell has the numbers found at bounds of 10, 20 and 40: for variational Bayes the components that hold points, for
samplers the posterior mean of the number of clusters. NUTS is slow with many components: it runs at 10 and 20 in one
column, and not at all with --quick. FiniteMixture is for Gibbs sampling alone.
"""

import warnings
from dataclasses import dataclass

import numpy as np

import bayesgmm as bg
from bayesgmm import datasets
from bayesgmm.data.points import as_points
from bayesgmm.inference.coordinate_ascent import Ascent
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.stochastic import Minibatches
from bayesgmm.inference.variational import find
from bayesgmm.posterior.log_posterior import LogPosterior
from benchmarks.problems import numbers

TITLE = "## Number of clusters found, at three upper bounds"
BOUNDS = (10, 20, 40)
PRIORS = {
    "sparse": bg.SparseDirichlet(),
    "process": bg.DirichletProcess(),
    "Pitman-Yor": bg.PitmanYor(),
    "finite": bg.FiniteMixture(),
}
GIBBS = {"draws": 250, "max_draws": 250, "tune": 1000, "thin": 4, "chains": 4, "disagreement": "report"}
NUTS = {"draws": 250, "max_draws": 250, "tune": 300, "chains": 2, "disagreement": "report"}


@dataclass(frozen=True)
class Table:
    """Data (N, D), and the number of groups that are known or were simulated, in words."""

    name: str
    x: np.ndarray
    groups: str


def apart(groups, n_features, n_points, distance, seed):
    """Draw round clusters of standard deviation 1 whose centres are at least ``distance`` apart."""
    rng = np.random.default_rng(seed)
    while True:
        centre = rng.uniform(-1, 1, (groups, n_features)) * distance * groups ** (1 / n_features)
        between = np.linalg.norm(centre[:, None] - centre, axis=-1)
        if between[~np.eye(groups, dtype=bool)].min(initial=np.inf) > distance:
            break
    x = centre[rng.integers(0, groups, n_points)] + rng.normal(size=(n_points, n_features))
    return Table(f"{groups} clusters", x, str(groups))


def tables():
    wine = numbers(datasets.wine())[:, :13]
    return [
        Table("iris", numbers(datasets.iris())[:, :4], "3 species"),
        Table("wine", wine, "3 cultivars"),
        Table("wine, six columns", wine[:, [0, 6, 9, 10, 11, 12]], "3 cultivars"),
        Table("galaxies", numbers(datasets.galaxies())[:, :1], "3 to 6"),
        Table("waiting times", numbers(datasets.waiting_times())[:, :2], "2"),
        apart(2, 1, 150, 6.0, 1),
        apart(6, 1, 600, 7.0, 7),
        apart(8, 2, 160, 7.0, 11),
        apart(7, 2, 700, 8.0, 5),
        apart(5, 2, 3000, 6.0, 4),
        apart(3, 5, 1000, 6.0, 2),
        apart(4, 10, 600, 6.0, 3),
    ]


def occupied(x, weights, bound):
    """Return the number of components that hold points in the best approximation by variational Bayes."""
    ascent = Ascent(LogPosterior.of(bg.MixtureModel(bound, weights=weights), as_points(x)))
    settings = {"n_init": 10, "max_iter": 1000, "tol": 1e-8, "batches": Minibatches(None, 1.0, 0.7)}
    found = find(ascent, 0, Silent(), **settings)
    return f"{(ascent.fold(found.factors).n > 0.5).sum()}"


def sampled(x, weights, bound, method, settings):
    """Posterior mean of the number of clusters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fit = bg.fit(bg.MixtureModel(bound, weights=weights), x, method, seed=0, progress=False, **settings)
        number = bg.n_clusters(fit, draws=400)
    return f"{float(number @ number['n_clusters']):.1f}"


def cells(table, weights, quick):
    varies = weights.draws_n_components
    yield "" if varies else " ".join(occupied(table.x, weights, bound) for bound in BOUNDS)
    yield " ".join(sampled(table.x, weights, bound, "gibbs", GIBBS) for bound in BOUNDS)
    if quick or varies or table.x.shape[1] > 1:
        yield ""
        return
    yield " ".join(sampled(table.x, weights, bound, "nuts", NUTS) for bound in BOUNDS[:2])


def main(quick=False):
    print(" ".join(__doc__.split()) + "\n")
    print("| data | N, D | groups | prior of the weights | vb | gibbs | nuts |")
    print("|---|---|---|---|---|---|---|")
    for table in tables():
        size = f"{table.x.shape[0]:,}, {table.x.shape[1]}"
        for name, weights in PRIORS.items():
            found = " | ".join(cells(table, weights, quick))
            print(f"| {table.name} | {size} | {table.groups} | {name} | {found} |", flush=True)
