"""Moves between local maxima: split and merge, and combinations of two mixtures."""

import numpy as np

from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.populations import Climb, Population

APART = 0.8  # distance of the halves of a split from its centre, in standard deviations


def offspring(climb: Climb, parents: list[Mixture], count: int, rng: np.random.Generator) -> Population:
    """Make mixtures from others: alternately a merge with a split, and a combination of two."""
    children = []
    for number in range(count):
        one = parents[int(rng.integers(len(parents)))] if number % 2 else parents[number // 2 % len(parents)]
        other = parents[int(rng.integers(len(parents)))]
        if number % 2 and other is not one:
            children.append(combine(climb, one, other, rng))
        else:
            children.append(split_and_merge(climb, one, rng))
    return Population.of(children)


def split_and_merge(climb: Climb, mixture: Mixture, rng: np.random.Generator) -> Mixture:
    """Remove a component, whose rows its neighbours take, and split another in two along a random direction.

    References
    ----------
    .. [1] Ueda, Nakano, Ghahramani & Hinton (2000), Neural Computation 12(9), 2109-2128.
    """
    k, d = mixture.mean.shape
    chance = 1 / (mixture.weight + 1 / k)
    removed = int(rng.choice(k, p=chance / chance.sum()))
    heavy = mixture.weight.copy()
    if k > 1:
        heavy[removed] = 0.0
    heavy = np.sqrt(heavy)
    chosen = int(rng.choice(k, p=heavy / heavy.sum()))
    direction = rng.normal(size=d)
    steps = np.zeros((k, d))
    steps[chosen] = APART * direction / np.linalg.norm(direction)
    step = climb.family.stretch(mixture.core_roots, steps)[chosen]
    weight, mean, roots = mixture.weight.copy(), mixture.mean.copy(), mixture.core_roots.copy()
    weight[removed] = weight[chosen] = weight[chosen] / 2
    mean[removed], mean[chosen] = mean[chosen] + step, mean[chosen] - step
    if len(roots) == k:
        roots[removed] = roots[chosen]
    return Mixture(weight / weight.sum(), mean, roots)


def combine(climb: Climb, one: Mixture, other: Mixture, rng: np.random.Generator) -> Mixture:
    """Take the components on one side of a random plane from one mixture, and those on the other side from another.

    References
    ----------
    .. [1] Pernkopf & Bouchaffra (2005), IEEE Trans. Pattern Anal. Mach. Intell. 27(8), 1344-1348.
    """
    k, d = one.mean.shape
    direction = rng.normal(size=d)
    below = np.argsort(one.mean @ direction, kind="stable")
    above = np.argsort(other.mean @ direction, kind="stable")
    cut = int(rng.integers(1, k)) if k > 1 else 1
    below, above = below[:cut], above[cut:]
    weight = np.concatenate([one.weight[below], other.weight[above]])
    mean = np.concatenate([one.mean[below], other.mean[above]])
    roots = one.core_roots
    if len(roots) == k:
        roots = np.concatenate([one.core_roots[below], other.core_roots[above]])
    return Mixture(weight / weight.sum(), mean, roots)
