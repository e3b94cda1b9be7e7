"""Simulated data for teaching: each data set shows one thing, and its true classes are known."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import positive, probability, whole
from bayesgmm.keywords import checks_keywords

if TYPE_CHECKING:
    import pandas as pd


@checks_keywords
def heights(n_points: int = 400, gap: float = 14.0, seed: int = 0) -> "pd.DataFrame":
    """Simulate heights of as many women as men: two Gaussians in one column, each with standard deviation 7 cm.

    Parameters
    ----------
    n_points : int
    gap : float
        Distance of the two means in cm; their average is 171 cm. Up to 14 cm, two standard deviations, the density has
        only one peak.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``height`` in cm and ``sex``.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> heights(4)["sex"].tolist()
    ['woman', 'man', 'woman', 'man']
    """
    import pandas as pd

    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    man = np.arange(whole("n_points", n_points)) % 2 == 1
    height = 171.0 + np.where(man, 0.5, -0.5) * positive("gap", gap) + rng.normal(0.0, 7.0, size=man.size)
    return pd.DataFrame({"height": height.round(1), "sex": np.where(man, "man", "woman")})


@checks_keywords
def one_heap(n_points: int = 300, seed: int = 0) -> "pd.DataFrame":
    """Simulate one Gaussian in two columns, with correlation 0.6: data without clusters.

    Parameters
    ----------
    n_points : int
    seed : int

    Returns
    -------
    DataFrame
        Columns ``x`` and ``y``.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> list(one_heap(2))
    ['x', 'y']
    """
    import pandas as pd

    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    covariance = [[1.0, 0.6], [0.6, 1.0]]
    return pd.DataFrame(
        rng.multivariate_normal([0, 0], covariance, size=whole("n_points", n_points)), columns=["x", "y"]
    )


@checks_keywords
def moons(n_points: int = 600, noise: float = 0.08, seed: int = 0) -> "pd.DataFrame":
    """Simulate two interleaved half circles by scikit-learn's ``make_moons``: clusters that are not Gaussian.

    Parameters
    ----------
    n_points : int
    noise : float
        Standard deviation of the noise; the circles have radius 1.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``x``, ``y`` and ``moon``.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> moons(4)["moon"].value_counts().tolist()
    [2, 2]
    """
    import pandas as pd
    from sklearn.datasets import make_moons

    X, moon = make_moons(
        whole("n_points", n_points), noise=positive("noise", noise), random_state=whole("seed", seed, minimum=0)
    )
    return pd.DataFrame(X, columns=["x", "y"]).assign(moon=np.where(moon == 1, "lower", "upper"))


@checks_keywords
def blobs(n_points: int = 400, n_blobs: int = 4, spread: float = 1.0, seed: int = 0) -> "pd.DataFrame":
    """Simulate round clusters of equal size by scikit-learn's ``make_blobs``: the case that suits k-means.

    Parameters
    ----------
    n_points, n_blobs : int
    spread : float
        Standard deviation of a cluster.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``x``, ``y`` and ``blob``.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> blobs(n_blobs=2)["blob"].nunique()
    2
    """
    import pandas as pd
    from sklearn.datasets import make_blobs

    X, blob = make_blobs(
        whole("n_points", n_points),
        centers=whole("n_blobs", n_blobs),
        cluster_std=positive("spread", spread),
        random_state=whole("seed", seed, minimum=0),
    )
    return pd.DataFrame(X, columns=["x", "y"]).assign(blob=[str(label) for label in blob])


@checks_keywords
def wreath(n_points: int = 400, n_leaves: int = 7, seed: int = 0) -> "pd.DataFrame":
    """Simulate a wreath of leaves: clusters of the same size and shape around a circle, each turned by its own angle.

    Their covariances have the structure EEV: standard deviations of 1.2 along a leaf and 0.25 across it. The leaves lie
    on a circle of radius 4 about (0, 0), and make an angle of 45 degrees with it.

    Parameters
    ----------
    n_points, n_leaves : int
    seed : int

    Returns
    -------
    DataFrame
        Columns ``x``, ``y`` and ``leaf``.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    References
    ----------
    .. [1] Fraley & Raftery (2003), J. Classification 20, 263-286: the wreath of R's mclust.

    Examples
    --------
    >>> wreath(6, n_leaves=3)["leaf"].tolist()
    ['0', '1', '2', '0', '1', '2']
    """
    import pandas as pd

    count, leaves = whole("n_points", n_points), whole("n_leaves", n_leaves)
    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    leaf = np.arange(count) % leaves
    place = 2 * np.pi * leaf / leaves
    along, across = np.array([[1.2], [0.25]]) * rng.normal(size=(2, count))
    x = 4.0 * np.cos(place) + along * np.cos(place + np.pi / 4) - across * np.sin(place + np.pi / 4)
    y = 4.0 * np.sin(place) + along * np.sin(place + np.pi / 4) + across * np.cos(place + np.pi / 4)
    return pd.DataFrame({"x": x, "y": y, "leaf": leaf.astype(str)})


@checks_keywords
def sensors(n_points: int = 1000, share: float = 0.03, seed: int = 0) -> "pd.DataFrame":
    """Simulate readings of a machine with two modes of operation (70 C at 20 bar, 90 C at 30 bar) and bad readings.

    Parameters
    ----------
    n_points : int
    share : float
        Share of bad readings: uniform between 40 and 120 C and between 0 and 50 bar, but at least 5 standard
        deviations from both modes.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``temperature`` in C, ``pressure`` in bar, and ``kind``: slow, fast or bad.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> sensors(100, share=0.1)["kind"].eq("bad").sum()
    np.int64(10)
    """
    import pandas as pd

    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    count = whole("n_points", n_points)
    middle = np.array([[70.0, 20.0], [90.0, 30.0]])
    covariance = np.array([[[4.0, 1.5], [1.5, 1.0]], [[9.0, -2.0], [-2.0, 2.0]]])
    kind = (rng.random(count) < 0.4).astype(int)
    X = middle[kind] + np.einsum("nij,nj->ni", np.linalg.cholesky(covariance)[kind], rng.normal(size=(count, 2)))
    bad = rng.choice(count, size=round(probability("share", share) * count), replace=False)
    for i in bad:
        X[i] = _far_away(rng, middle, covariance)
    names = np.where(kind == 0, "slow", "fast").astype(object)
    names[bad] = "bad"
    return pd.DataFrame(X.round(3), columns=["temperature", "pressure"]).assign(kind=names)


def _far_away(rng: np.random.Generator, middle: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    while True:
        point = rng.uniform([40.0, 0.0], [120.0, 50.0])
        apart = point - middle
        if (np.einsum("ki,kij,kj->k", apart, np.linalg.inv(covariance), apart) > 25.0).all():
            return point


@checks_keywords
def waiting_times(n_points: int = 150, given_up: int = 15, seed: int = 0) -> "pd.DataFrame":
    """Simulate waiting times of requests: about 8 seconds, and exactly 20.0 for those that timed out.

    The likelihood of a mixture has no upper bound here: a component can shrink to the equal numbers.

    Parameters
    ----------
    n_points : int
    given_up : int
        Number of requests that timed out.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``seconds`` and ``kind``.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> int((waiting_times()["seconds"] == 20.0).sum())
    15
    """
    import pandas as pd

    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    lost = whole("given_up", given_up, minimum=0, maximum=whole("n_points", n_points) - 1)
    answered = np.minimum(rng.normal(8.0, 2.0, size=n_points - lost), 19.9)
    kinds = ["answered"] * answered.size + ["given up"] * lost
    return pd.DataFrame({"seconds": np.append(answered, np.full(lost, 20.0)), "kind": kinds})


@checks_keywords
def open_cluster(n_points: int = 600, n_members: int = 200, seed: int = 0) -> "pd.DataFrame":
    """Simulate stars around an open cluster, with errors of measurement that are larger for faint stars.

    Parameters
    ----------
    n_points : int
    n_members : int
        Number of stars of the cluster. Their true values have a standard deviation of 0.2 in each column; those of the
        others 1 in parallax and 2 in proper motion.
    seed : int

    Returns
    -------
    DataFrame
        Measured ``parallax`` in mas, proper motions ``pm_ra`` and ``pm_dec`` in mas per year; the standard errors of
        each, ``parallax_error``, ``pm_ra_error`` and ``pm_dec_error``; and ``group``: cluster or field.

    Raises
    ------
    DeclarationError
        When an argument has a value that is not allowed.

    Examples
    --------
    >>> open_cluster(10, 4)["group"].value_counts().to_dict()
    {'field': 6, 'cluster': 4}
    """
    import pandas as pd

    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    count = whole("n_points", n_points)
    member = np.arange(count) < whole("n_members", n_members, minimum=0, maximum=count)
    own, other = rng.normal(size=(2, count, 3))
    true = np.where(member[:, None], [4.0, 2.0, -3.0] + 0.2 * own, [2.0, 0.0, -5.0] + np.array([1.0, 2.0, 2.0]) * other)
    error = rng.lognormal(np.log(0.3), 0.8, size=(count, 1)) * [1.0, 1.2, 1.2]
    measured = true + error * rng.normal(size=true.shape)
    names = ["parallax", "pm_ra", "pm_dec"]
    values = np.concatenate([measured, error], axis=1).round(3)
    table = pd.DataFrame(values, columns=[*names, *(f"{name}_error" for name in names)])
    return table.assign(group=np.where(member, "cluster", "field"))
