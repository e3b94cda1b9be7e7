"""Problems on which a search for the best maximum can fail: real tables and simulated ones."""

from dataclasses import dataclass

import numpy as np
from sklearn import datasets as public

from bayesgmm import datasets


@dataclass(frozen=True)
class Problem:
    """Data (N, D), the number of components, and the covariance family."""

    name: str
    x: np.ndarray
    n_components: int
    covariance: str

    @property
    def key(self):
        """Name that is unique among the problems."""
        return f"{self.name}, {len(self.x)} x {self.x.shape[1]}, K = {self.n_components}, {self.covariance}"


def numbers(table):
    return table.select_dtypes("number").to_numpy(float)


def one_column(n_features, seed, distance=20.0, n_points=1000):
    """Three clusters that differ in the first column; the other columns are noise."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, n_points)
    x = rng.normal(size=(n_points, n_features))
    x[:, 0] += distance * label
    return x


def one_direction(n_features, seed):
    """Three clusters that differ in a random direction."""
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(n_features, n_features)))[0]
    return one_column(n_features, seed + 1, 8.0) @ rotation


def sizes(seed):
    """Clusters of 600, 60 and 20 points."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(600, 2)), rng.normal([6, 0], 0.5, (60, 2)), rng.normal([0, 7], 0.3, (20, 2))]
    return np.concatenate(parts)


def widths(seed):
    """A narrow cluster inside a wide one, and another next to them."""
    rng = np.random.default_rng(seed)
    wide, narrow = rng.normal(0, 5, (400, 3)), rng.normal(0, 0.3, (200, 3))
    return np.concatenate([wide, narrow, rng.normal([9, 0, 0], 1, (200, 3))])


def stripes(count, seed):
    """Long parallel clusters."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(150 * count, 2)) * [10.0, 0.5]
    x[:, 1] += 3.0 * np.repeat(np.arange(count), 150)
    return x @ np.linalg.qr(rng.normal(size=(2, 2)))[0]


def grid(side, seed):
    """Round clusters on a grid."""
    rng = np.random.default_rng(seed)
    centre = np.array([[i, j] for i in range(side) for j in range(side)], float) * 5
    return np.concatenate([c + rng.normal(size=(60, 2)) for c in centre])


def far(seed):
    """Two close clusters, and one a thousand times as far away."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=(200, 2)), rng.normal([5, 0], 1, (200, 2)), rng.normal(5000, 1, (100, 2))])


def crosses(seed):
    """Two crossing clusters with opposite correlations, in four columns."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(600, 4))
    x[:300, 1] = 0.95 * x[:300, 0] + 0.3 * x[:300, 1]
    x[300:, 1] = -0.95 * x[300:, 0] + 0.3 * x[300:, 1]
    return x


def tails(seed):
    """Two groups of lognormal columns."""
    rng = np.random.default_rng(seed)
    return np.exp(np.concatenate([rng.normal(0, 1, (170, 4)), rng.normal([1.5, -1.5, 0, 0], 0.4, (50, 4))]))


def problems():
    """Return all problems; the first ten are quick."""
    return [*quick_problems(), *real_problems(), *simulated_problems()]


def quick_problems():
    iris, galaxies = numbers(datasets.iris()), numbers(datasets.galaxies())
    return [
        Problem("one column of 20", one_column(20, 0), 3, "full"),
        Problem("one column of 10", one_column(10, 2), 3, "diag"),
        Problem("iris", iris, 3, "full"),
        Problem("wine", public.load_wine().data, 3, "diag"),
        Problem("galaxies", galaxies, 3, "full"),
        Problem("skewed groups", tails(0), 2, "diag"),
        Problem("grid of 9", grid(3, 0), 9, "spherical"),
        Problem("stripes", stripes(4, 0), 4, "full"),
        Problem("sizes", sizes(0), 3, "full"),
        Problem("far cluster", far(0), 3, "full"),
    ]


def real_problems():
    iris, wine = numbers(datasets.iris()), public.load_wine().data
    galaxies, vowels = numbers(datasets.galaxies()), numbers(datasets.vowels())[:, -3:]
    cancer, diabetes = public.load_breast_cancer().data, public.load_diabetes().data
    digits = public.load_digits().data - public.load_digits().data.mean(axis=0)
    digits = digits @ np.linalg.svd(digits, full_matrices=False)[2][:6].T
    return [
        Problem("iris", iris, 2, "full"),
        Problem("iris", iris, 3, "tied"),
        Problem("iris", iris, 3, "diag"),
        Problem("iris", iris, 4, "diag"),
        Problem("iris", iris, 4, "spherical"),
        Problem("wine", wine, 3, "tied"),
        Problem("wine, six columns", wine[:, [0, 6, 9, 10, 11, 12]], 3, "full"),
        Problem("galaxies", galaxies, 4, "tied"),
        Problem("galaxies", galaxies, 2, "full"),
        Problem("vowels", vowels, 5, "full"),
        Problem("vowels", vowels, 10, "tied"),
        Problem("breast cancer", cancer[:, :10], 2, "diag"),
        Problem("breast cancer", cancer[:, :6], 3, "full"),
        Problem("diabetes", diabetes[:, [2, 3, 4, 8, 9]], 3, "tied"),
        Problem("digits, six projections", digits, 6, "full"),
        Problem("digits, six projections", digits, 10, "spherical"),
    ]


def simulated_problems():
    mixture = datasets.make_mixture
    return [
        Problem("one direction of 8", one_direction(8, 0), 3, "full"),
        Problem("one direction of 8", one_direction(8, 4), 3, "tied"),
        Problem("one column of 10", one_column(10, 5, 6.0), 3, "full"),
        Problem("stripes", stripes(3, 1), 3, "tied"),
        Problem("grid of 16", grid(4, 1), 16, "diag"),
        Problem("narrow in wide", widths(0), 3, "full"),
        Problem("crossing", crosses(0), 2, "full"),
        Problem("moons", numbers(datasets.moons())[:, :2], 6, "full"),
        Problem("blobs", numbers(datasets.blobs())[:, :2], 4, "full"),
        Problem("overlap 0.1", mixture(500, 3, 4, overlap=0.1, seed=3).X, 4, "full"),
        Problem("overlap 0.3", mixture(1000, 2, 3, overlap=0.3, seed=4).X, 3, "full"),
        Problem("overlap 0.2", mixture(2000, 4, 6, overlap=0.2, seed=5).X, 6, "tied"),
        Problem("overlap 0.1", mixture(10_000, 5, 5, overlap=0.1, seed=1).X, 5, "full"),
        Problem("overlap 0.05", mixture(3000, 8, 8, overlap=0.05, seed=6).X, 8, "diag"),
    ]
