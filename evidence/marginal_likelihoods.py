"""Log evidence, co-clustering and number of clusters, compared with sums over all partitions of eight points."""

import sys
import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, multigammaln

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import UnreliableEvidence
from bayesgmm.predictions.elicitation import draw, simulate
from evidence.enumeration import Labels, set_partitions, together
from evidence.errors import estimate

Array = NDArray[np.float64]
STRENGTH, CONCENTRATION = 0.2, 1.5
ENGINES = ("gibbs", "nuts", "vb", "advi")
CASES = ((1, 3, 30), (2, 1, 8), (3, 1, 8), (3, 2, 8), (4, 1, 8))  # components, columns, points
FEW = 5  # with fewer data sets, only one case and one engine


def model(k: int, d: int) -> bg.MixtureModel:
    """Declare K components with Normal-Wishart priors, centred at 0, and symmetric Dirichlet weights."""
    means, covariances = bg.ConjugateMeans((0.0,) * d, STRENGTH), bg.WishartPrecision(d + 3.0, 2.0)
    declared = bg.MixtureModel(k, weights=bg.Dirichlet(CONCENTRATION), means=means, covariances=covariances)
    return declared.resolve(as_points(np.random.default_rng(0).normal(size=(50, d))))


def log_marginal(x: Array) -> float:
    """Log marginal likelihood of points (N, D) in one component (Murphy 2007, Conjugate Bayesian analysis)."""
    n, d = x.shape
    dof, mean = d + 3.0, x.mean(axis=0)
    scatter = (x - mean).T @ (x - mean) + STRENGTH * n / (STRENGTH + n) * np.outer(mean, mean)
    return float(
        -0.5 * n * d * np.log(np.pi)
        + multigammaln((dof + n) / 2, d)
        - multigammaln(dof / 2, d)
        + 0.5 * dof * d * np.log(2.0)
        - 0.5 * (dof + n) * np.linalg.slogdet(2.0 * np.eye(d) + scatter)[1]
        + 0.5 * d * np.log(STRENGTH / (STRENGTH + n))
    )


def log_probability(partition: Labels, k: int) -> float:
    """Log prior probability of a partition (N,) into at most K clusters, summed over labels and weights."""
    size = np.bincount(partition)
    ways = gammaln(k + 1) - gammaln(k - len(size) + 1)
    total = gammaln(k * CONCENTRATION) - gammaln(k * CONCENTRATION + len(partition))
    return float(ways + total + (gammaln(CONCENTRATION + size) - gammaln(CONCENTRATION)).sum())


@dataclass(frozen=True)
class Exact:
    """Exact answers for K components: the log evidence, and the posterior of the partition of the points.

    Parameters
    ----------
    log_evidence : float
    together : (N, N) float
        Co-clustering probabilities.
    n_clusters : (K,) float
        Probabilities of 1 to K clusters.
    """

    log_evidence: float
    together: Array
    n_clusters: Array


def exact(x: Array, k: int) -> Exact:
    """Sum over all partitions of the points (N, D)."""
    every = set_partitions(len(x)) if k > 1 else np.zeros((1, len(x)), dtype=np.int64)
    every = every[every.max(axis=1) < k]
    known: dict[bytes, float] = {}
    terms = []
    for partition in every:
        terms.append(log_probability(partition, k))
        for j in range(partition.max() + 1):
            inside = partition == j
            if inside.tobytes() not in known:
                known[inside.tobytes()] = log_marginal(x[inside])
            terms[-1] += known[inside.tobytes()]
    value = float(logsumexp(terms))
    probability = np.exp(np.array(terms) - value)
    pairs = np.einsum("p,pij->ij", probability, together(every).astype(float))
    return Exact(value, pairs, np.bincount(every.max(axis=1), probability, minlength=k))


@dataclass
class Differences:
    """Estimates of one engine minus exact values."""

    evidence: list[float] = field(default_factory=list)
    se: list[float] = field(default_factory=list)
    together: list[Array] = field(default_factory=list)
    n_clusters: list[Array] = field(default_factory=list)
    refused: int = 0

    def add(self, x: Array, declared: bg.MixtureModel, method: str, seed: int, right: Exact) -> None:
        """Fit points, and compare."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bg.FitWarning)
            fit = bg.fit(declared, x, method, seed=seed, progress=False)
        pairs = bg.co_clustering(fit, draws=None, progress=False)["probability"].values - right.together
        self.together.append(pairs[np.triu_indices(len(x), 1)])
        self.n_clusters.append(bg.n_clusters(fit).values - right.n_clusters)
        try:
            found = bg.evidence(fit, seed=seed)
        except UnreliableEvidence:
            self.refused += 1
            return
        self.evidence.append(found.log_evidence - right.log_evidence)
        self.se.append(found.se)

    def row(self) -> dict[str, object]:
        """Return the numbers of the table."""
        rms = float(np.sqrt((np.array(self.together) ** 2).mean()))
        mean = np.array(self.together).mean(axis=1)
        clusters = {
            "P(together) - exact": estimate(mean.mean(), mean.std() / np.sqrt(mean.size), 4),
            "rms of it": rms,
            "largest error of P(clusters)": float(abs(np.array(self.n_clusters)).max()),
        }
        if not self.se:
            return {"data sets": mean.size, "refused": self.refused} | clusters
        difference, se, count = np.array(self.evidence), np.array(self.se), len(self.se)
        return {
            "data sets": mean.size,
            "refused": self.refused,
            "evidence - exact": estimate(difference.mean(), difference.std() / np.sqrt(count), 4),
            "largest": float(abs(difference).max()),
            "stated error": float(np.median(se)),
            "rms of difference / stated error": float(np.sqrt(((difference / se) ** 2).mean())),
        } | clusters


def against_exact(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Compare engines with exact answers, for data simulated from the prior; a replicate is a data set of each case."""
    rows: list[dict[str, object]] = []
    cases, engines = (CASES, ENGINES) if replicates >= FEW else (CASES[1:2], ENGINES[:1])
    for k, d, n in cases:
        found = {method: Differences() for method in engines}
        rng = np.random.default_rng((seed, k, d, n))
        for _ in range(replicates):
            x = simulate(draw(model(k, d), rng, 1, d), rng, n)[0]
            right, fit_seed = exact(x, k), int(rng.integers(2**31))
            for method, differences in found.items():
                differences.add(x, model(k, d), method, fit_seed, right)
        case = {"components": k, "columns": d, "points": n}
        rows += [case | {"engine": method} | differences.row() for method, differences in found.items()]
        print(pd.DataFrame(rows[-len(found) :]).to_string(header=False), file=sys.stderr, flush=True)
    table = pd.DataFrame(rows)
    text = f"""With conjugate priors, the posterior of the partition of eight points is known exactly: a sum over all
        partitions. It gives the log evidence, the probability that two points are together, and the probabilities of
        the number of clusters; for one component the evidence has a closed form. The points are simulated from the
        prior. `bg.evidence` differs from the exact value by at most {table["largest"].max():.2g} nats;
        {int(table["refused"].sum())} of {int(table["data sets"].sum())} estimates were refused. Where the stated error
        is right, the root mean square of difference / stated error is near 1. `vb` and `advi` are approximations: their
        draws serve the evidence only as a start, but their clusterings are their own."""
    return text, table
