r"""The choice of two clusters to be merged, compiled: near ones are chosen more often.

A first cluster is drawn at random, and a second one with probabilities proportional to 1 / (1 + m / D), where m is the
squared Mahalanobis distance of its mean from that of the first, by a typical precision of the first. Two clusters that
lie apart are hardly ever merged, so with pairs at random most proposals would be in vain.

Means and precisions are those of the points, not those of the state, for which a move draws new ones.
"""

from bayesgmm.inference.draw_kernels import uniforms
from bayesgmm.inference.gibbs_state_kernels import Law, Scratch
from bayesgmm.inference.marginal_kernels import Given, centre_on_points, row_of, squared_length, typical_root
from bayesgmm.inference.pair_kernels import Pair
from bayesgmm.sweep.compilation import plain_jit
from bayesgmm.sweep.layout import Array, IntArray


@plain_jit
def _nearness(
    law: Law, pair: Pair, mean: Array, mean_at: int, sums: Array, at: int, about: Array, about_at: int
) -> float:
    """Weight of the cluster with these sums about a mean, seen from the one at ``mean`` moved by ``pair.shift``."""
    d, away = law.n_features, pair.spare
    for i in range(d):
        away[i] = about[about_at + i] + sums[row_of(law, at, i)] / sums[at] - mean[mean_at + i] - pair.shift[i]
    return 1.0 / (1.0 + squared_length(law, pair.table.root, away) / d)


@plain_jit
def weigh_neighbours(
    given: Given, memory: Scratch, pair: Pair, c: int, sums: Array, at: int, mean: Array, mean_at: int
) -> float:
    """Write ``pair.near``, the weight of every cluster but c, seen from the one with these sums; return the total."""
    law, counts, near, total = given.law, memory.counts, pair.near, 0.0
    d, width = law.n_features, pair.whole.size
    centre_on_points(given, sums, at, mean, mean_at, pair.shift)
    typical_root(given, sums, at, mean, mean_at, pair, pair.table.root, 0)
    for k in range(counts.size):
        near[k] = 0.0
        if k != c and counts[k] > 0.0:
            near[k] = _nearness(law, pair, mean, mean_at, memory.sums, k * width, memory.mean, k * d)
            total += near[k]
    return total


@plain_jit
def draw_neighbour(stream: IntArray, pair: Pair, total: float) -> int:
    """Draw a cluster with probabilities proportional to ``pair.near``."""
    u, _ = uniforms(stream)
    left, drawn = u * total, -1
    for k in range(pair.near.size):
        if left > 0.0 and pair.near[k] > 0.0:
            drawn = k
        left -= pair.near[k]
    return drawn


@plain_jit
def chance_of_sides(given: Given, memory: Scratch, pair: Pair, c: int) -> float:
    """Probability that the first side of a proposed split of c is drawn as the neighbour of the second."""
    law, width, mean = given.law, pair.whole.size, pair.table.mean
    others = weigh_neighbours(given, memory, pair, c, pair.sums, width, mean, law.n_features)
    side = _nearness(law, pair, mean, law.n_features, pair.sums, 0, mean, 0)
    return side / (side + others)
