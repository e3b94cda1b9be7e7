"""Small real data sets that need no download, and generators of data whose true clusters are known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.datasets.formants import vowels
from bayesgmm.datasets.pictures import digits, photo
from bayesgmm.datasets.teaching import blobs, heights, moons, one_heap, open_cluster, sensors, waiting_times, wreath
from bayesgmm.declared import probability, whole
from bayesgmm.errors import DeclarationError
from bayesgmm.keywords import checks_keywords
from bayesgmm.renamed import names_of
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

if not TYPE_CHECKING:  # for type checkers, every other name is a mistake
    __getattr__ = names_of(__name__, globals())

__all__ = [
    "Sample",
    "blobs",
    "digits",
    "galaxies",
    "heights",
    "iris",
    "make_mixture",
    "mixture",
    "moons",
    "one_heap",
    "open_cluster",
    "photo",
    "sensors",
    "vowels",
    "waiting_times",
    "wine",
    "wreath",
]


def __dir__() -> list[str]:
    return __all__  # what completion offers


EACH_SPECIES = 50  # flowers of iris
GALAXIES = """
9172 9350 9483 9558 9775 10227 10406 16084 16170 18419 18552 18600 18927 19052 19070 19330 19343 19349 19440 19473
19529 19541 19547 19663 19846 19856 19863 19914 19918 19973 19989 20166 20175 20179 20196 20215 20221 20415 20629
20795 20821 20846 20875 20986 21137 21492 21701 21814 21921 21960 22185 22209 22242 22249 22314 22374 22495 22746
22747 22888 22914 23206 23241 23263 23484 23538 23542 23666 23706 23711 24129 24285 24289 24366 24717 24990 25633
26960 26995 32065 32789 34279
"""


@checks_keywords
def galaxies() -> "pd.DataFrame":
    """Load the velocities of 82 galaxies in the Corona Borealis region, in km/s; their clusters are superclusters.

    Returns
    -------
    DataFrame
        Column ``velocity``.

    References
    ----------
    .. [1] Roeder (1990), J. Am. Stat. Assoc. 85, 617-624, from Postman, Huchra & Geller (1986), Astron. J. 92,
       1238-1247; the 78th, often printed as 26690, is 26960.

    Examples
    --------
    >>> len(galaxies())
    82
    """
    import pandas as pd

    return pd.DataFrame({"velocity": [float(v) for v in GALAXIES.split()]})


@checks_keywords
def iris(missing: float = 0.0, labelled: int = 0, seed: int = 0) -> "pd.DataFrame":
    """Load measurements of 150 iris flowers of three species, from scikit-learn.

    Parameters
    ----------
    missing : float
        Share of the measurements that are deleted at random, to try methods for missing values.
    labelled : int
        Number of flowers of each species whose species is known, chosen at random, to try methods for a few labels.
    seed : int
        Seed of the choice.

    Returns
    -------
    DataFrame
        Columns ``sepal_length``, ``sepal_width``, ``petal_length`` and ``petal_width`` in cm, and ``species``. With
        ``labelled`` also ``label``, the species where it is known, else missing.

    Raises
    ------
    DeclarationError
        When ``missing`` is not between 0 and 1, ``labelled`` not between 0 and 50, or ``seed`` is negative.

    References
    ----------
    .. [1] Fisher (1936), Annals of Eugenics 7(2), 179-188.

    Examples
    --------
    >>> iris()["species"].value_counts().tolist()
    [50, 50, 50]
    >>> int(iris(missing=0.1).isna().sum().sum())
    60
    >>> iris(labelled=3)["label"].count()
    np.int64(9)
    """
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    frame = bunch.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    if missing > 0:
        count = round(probability("missing", missing) * frame.size)
        deleted = np.zeros(frame.size, dtype=bool)
        deleted[rng.choice(frame.size, count, replace=False)] = True
        frame = frame.mask(deleted.reshape(frame.shape))
    frame = frame.assign(species=[str(bunch.target_names[t]) for t in bunch.target])
    if whole("labelled", labelled, minimum=0):
        if labelled > EACH_SPECIES:
            raise DeclarationError(f"labelled={labelled}: there are {EACH_SPECIES} flowers of each species")
        each = frame.groupby("species").sample(labelled, random_state=rng).index
        frame["label"] = frame["species"].where(frame.index.isin(each))
    return frame


@checks_keywords
def wine() -> "pd.DataFrame":
    """Load chemical measurements of 178 wines of three cultivars, from scikit-learn.

    Returns
    -------
    DataFrame
        13 columns of measurements, and ``cultivar``.

    Examples
    --------
    >>> wine().shape
    (178, 14)
    """
    from sklearn.datasets import load_wine

    bunch = load_wine(as_frame=True)
    return bunch.data.assign(cultivar=[str(bunch.target_names[t]) for t in bunch.target])


@checks_keywords
def mixture(
    n_points: int = 500, n_features: int = 2, n_components: int = 3, overlap: float = 0.1, seed: int = 0
) -> "pd.DataFrame":
    """Draw points from a random mixture, as ``make_mixture`` does, with the component of each.

    Parameters
    ----------
    n_points, n_features, n_components, overlap, seed
        As for ``make_mixture``.

    Returns
    -------
    DataFrame
        Columns ``x1``, ``x2``, ... and ``component``.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> list(mixture(n_points=10, seed=1))
    ['x1', 'x2', 'component']
    """
    import pandas as pd

    sample = make_mixture(n_points, n_features, n_components, overlap, seed)
    frame = pd.DataFrame(sample.X, columns=[f"x{j + 1}" for j in range(n_features)])
    return frame.assign(component=[str(k) for k in sample.label])


DATASETS: dict[str, "Callable[..., pd.DataFrame]"] = {  # a card can name them; text columns hold the true classes
    "galaxies": galaxies,
    "iris": iris,
    "wine": wine,
    "digits": digits,
    "photo": photo,
    "vowels": vowels,
    "heights": heights,
    "one_heap": one_heap,
    "moons": moons,
    "blobs": blobs,
    "wreath": wreath,
    "sensors": sensors,
    "waiting_times": waiting_times,
    "open_cluster": open_cluster,
    "mixture": mixture,
}
GENERATED = frozenset(
    {"vowels", "heights", "one_heap", "moons", "blobs", "wreath", "sensors", "waiting_times", "open_cluster", "mixture"}
)


@dataclass(frozen=True)
class Sample:
    """Points drawn from a known mixture.

    Parameters
    ----------
    X : (N, D) float
    label : (N,) int
        True component of each point.
    weight, mean, covariance : (K,), (K, D), (K, D, D) float
        True parameters.

    Examples
    --------
    >>> sample = make_mixture(n_points=100, n_features=2, n_components=3, seed=1)
    >>> sample.X.shape, sample.label.shape, sample.covariance.shape
    ((100, 2), (100,), (3, 2, 2))
    """

    X: Array
    label: np.ndarray
    weight: Array
    mean: Array
    covariance: Array


@checks_keywords
def make_mixture(
    n_points: int = 500, n_features: int = 2, n_components: int = 3, overlap: float = 0.1, seed: int = 0
) -> Sample:
    """Draw points from a random mixture with a given overlap of its two closest components.

    Parameters
    ----------
    n_points, n_features, n_components : int
        N, D, K.
    overlap : float
        Between 0 (far apart) and 1 (the same place): the area that the densities of the closest two components have in
        common, if both had their average covariance. A linear border between them misclassifies half of this share of
        their points. The distance of their means is ``2 * norm.isf(overlap / 2)`` standard deviations.
    seed : int

    Returns
    -------
    Sample

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> make_mixture(n_points=10, seed=1).X.shape
    (10, 2)
    """
    from scipy.stats import norm, wishart

    n_points, n_features = whole("n_points", n_points), whole("n_features", n_features)
    n_components, overlap = whole("n_components", n_components), probability("overlap", overlap)
    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    dof = n_features + 5
    raw = wishart(dof, np.eye(n_features) / dof).rvs(n_components, random_state=rng)
    covariance = raw.reshape(n_components, n_features, n_features)
    mean = rng.normal(size=(n_components, n_features))
    if n_components > 1:
        mean *= 2 * norm.isf(overlap / 2) / _nearest(mean, covariance)
    weight = rng.dirichlet(np.full(n_components, 5.0))
    label = rng.choice(n_components, size=n_points, p=weight)
    chol = np.linalg.cholesky(covariance)[label]
    X = mean[label] + np.einsum("nij,nj->ni", chol, rng.normal(size=(n_points, n_features)))
    return Sample(X, label, weight, mean, covariance)


def _nearest(mean: Array, covariance: Array) -> float:
    """Compute the smallest Mahalanobis distance between two means, under their average covariance."""
    distances = []
    for j in range(len(mean)):
        for k in range(j):
            difference = mean[j] - mean[k]
            average = (covariance[j] + covariance[k]) / 2
            distances.append(float(np.sqrt(difference @ np.linalg.solve(average, difference))))
    return min(distances)
