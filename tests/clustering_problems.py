"""Clustering problems with known classes, after the Fundamental Clustering Problems Suite (Thrun & Ultsch 2020).

Each function returns the points (N, D) and the class of each. They are made by the published descriptions: the same
kinds of shape, sizes and gaps, not the same points.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Problem = tuple[NDArray[np.float64], NDArray[np.int64]]


def _joined(*parts: NDArray[np.float64]) -> Problem:
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _ball(rng: np.random.Generator, n: int, d: int, radius: float) -> NDArray[np.float64]:
    direction = rng.normal(size=(n, d))
    return radius * rng.random((n, 1)) ** (1 / d) * direction / np.linalg.norm(direction, axis=1, keepdims=True)


def _circle(rng: np.random.Generator, n: int, radius: float, width: float) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([np.cos(angle), np.sin(angle)]) * (radius + rng.normal(0, width, n))[:, None]


def tetra(seed: int = 0) -> Problem:
    """Four balls at the corners of a tetrahedron that nearly touch each other."""
    rng = np.random.default_rng(seed)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(2)  # 2 apart
    return _joined(*(corner + _ball(rng, 100, 3, 0.97) for corner in corners))


def engytime(seed: int = 0) -> Problem:
    """Two Gaussians that overlap: 4 % of the points are nearer to the other class."""
    rng = np.random.default_rng(seed)
    low = rng.multivariate_normal([0, 0], [[1, 0.2], [0.2, 0.8]], 2048)
    return _joined(low, rng.multivariate_normal([2.7, 2.7], [[0.9, 0.3], [0.3, 1.2]], 2048))


def wingnut(seed: int = 0) -> Problem:
    """Two rectangles beside each other, each denser towards a corner; the gap is 0.3."""
    rng = np.random.default_rng(seed)
    lattice = np.stack(np.meshgrid(np.arange(0, 2.01, 0.2), np.arange(0, 3.01, 0.2)), axis=-1).reshape(-1, 2)
    corner = np.array([2.0, 3.0]) * (1 - rng.random((508 - len(lattice), 2)) ** 2)
    left = np.concatenate([lattice, corner])
    return _joined(left, np.array([2 * 2.0 + 0.35, 3.0]) - left)


def two_diamonds(seed: int = 0) -> Problem:
    """Two squares on their corners, which touch in one point."""
    rng = np.random.default_rng(seed)
    turn = np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    squares = [rng.uniform(-0.5, 0.5, (400, 2)) @ turn for _ in range(2)]
    return _joined(squares[0], squares[1] + [np.sqrt(2) * 1.02, 0])


def hepta(seed: int = 0) -> Problem:
    """Seven separate Gaussians in three dimensions, the middle one denser."""
    rng = np.random.default_rng(seed)
    centres = 3.5 * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    return _joined(*(c + rng.normal(0, 0.25 if k == 0 else 0.5, (30, 3)) for k, c in enumerate(centres)))


def lsun(seed: int = 0) -> Problem:
    """Two bars that form an L, and a ball: different shapes and variances."""
    rng = np.random.default_rng(seed)
    upright, flat = rng.uniform([0, 0.9], [0.5, 5], (200, 2)), rng.uniform([0.9, 0], [5, 0.5], (100, 2))
    return _joined(upright, flat, rng.normal([3.5, 3], 0.35, (100, 2)))


def chainlink(seed: int = 0) -> Problem:
    """Two rings in three dimensions that are linked like a chain."""
    rng = np.random.default_rng(seed)
    one, two = _circle(rng, 500, 1, 0.06), _circle(rng, 500, 1, 0.06)
    depth = rng.normal(0, 0.06, (2, 500))
    return _joined(np.column_stack([one, depth[0]]), np.column_stack([two[:, 0] + 1, depth[1], two[:, 1]]))


def target(seed: int = 0) -> Problem:
    """A disc in a ring."""
    rng = np.random.default_rng(seed)
    return _joined(_ball(rng, 363, 2, 0.9), _circle(rng, 395, 2.6, 0.1))


def moons(seed: int = 0) -> Problem:
    """Two crescents, each around an end of the other."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, np.pi, (2, 300))
    one = np.column_stack([np.cos(angle[0]), np.sin(angle[0])]) + rng.normal(0, 0.08, (300, 2))
    return _joined(one, np.column_stack([1 - np.cos(angle[1]), 0.5 - np.sin(angle[1])]) + rng.normal(0, 0.08, (300, 2)))


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    f.__name__: f for f in (tetra, engytime, wingnut, two_diamonds, hepta, lsun, chainlink, target, moons)
}
