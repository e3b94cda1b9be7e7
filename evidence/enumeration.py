"""All partitions of a few points, and losses by their definitions: this module uses no code of the package."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Array = NDArray[np.float64]


def set_partitions(n_points: int) -> Labels:
    """Return all partitions (B, N), as labels in order of first appearance.

    Examples
    --------
    >>> set_partitions(3).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 1, 2]]
    """
    found = np.zeros((1, 1), dtype=np.int64)
    for _ in range(n_points - 1):
        ways = found.max(axis=1) + 2
        last = np.concatenate([np.arange(count) for count in ways])
        found = np.column_stack([np.repeat(found, ways, axis=0), last])
    return found


def together(labels: Labels) -> NDArray[np.bool_]:
    """Return (P, N, N): True where two points are in the same cluster of a partition."""
    return labels[:, :, None] == labels[:, None, :]


def expected_losses(name: str, partitions: Labels, draws: Labels) -> tuple[Array, Array]:
    """Compute the expected costs (P,) of splitting and of joining points, of each partition over draws (S, N).

    ``vi``: the entropy of the partition given the draw, and of the draw given the partition, in bits; an entropy is an
    average over points. ``binder``: shares of the N x N pairs. The loss is the sum, each times its cost.
    """
    n = draws.shape[1]
    distinct, count = np.unique(together(draws).reshape(len(draws), -1), axis=0, return_counts=True)
    theirs, share = distinct.reshape(-1, n, n).astype(np.float32), count / len(draws)
    parts = np.array_split(together(partitions).astype(np.float32), 1 + len(partitions) * len(theirs) // 500_000)
    shared, size = {"vi": (logs_in_common, logs), "binder": (pairs_in_common, pairs)}[name]
    common = np.concatenate([shared(part, theirs) @ share for part in parts])
    return size(theirs) @ share - common, np.concatenate([size(part) for part in parts]) - common


def logs(relation: NDArray[np.float32]) -> Array:
    """Return the mean log2 size (P,) of a point's cluster."""
    return np.log2(relation.sum(axis=2)).mean(axis=1).astype(float)


def logs_in_common(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> Array:
    """Return the mean log2 number (P, S) of points that are with a point in both partitions."""
    n = ours.shape[1]
    log = np.log2(np.maximum(np.arange(n + 1), 1)) / n
    total = np.zeros((len(ours), len(theirs)))
    for i in range(n):
        total += log[(ours[:, i] @ theirs[:, i].T).astype(np.intp)]
    return total


def pairs(relation: NDArray[np.float32]) -> Array:
    """Return the share (P,) of the pairs that are together."""
    return relation.mean(axis=(1, 2)).astype(float)


def pairs_in_common(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> Array:
    """Return the share (P, S) of the pairs that are together in both partitions."""
    n = ours.shape[1]
    return (ours.reshape(len(ours), -1) @ theirs.reshape(len(theirs), -1).T).astype(float) / n**2
