"""Moves between local maxima: combinations of two mixtures, pairs of components divided again, and means that jump."""

import numpy as np

from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.populations import Climb, Population

APART = 0.8  # distance of the halves of a split from its centre, in standard deviations
NEAR = 3  # number of nearest components, one of which is divided again together with a component
JUMP = (1.0, 2.5)  # range of the standard deviation of the jumps of the means, in standard deviations of a component
COMBINED = 0.55  # share of the moves that combine two mixtures
REMOVED = 0.15  # share of the others that remove a component and split another
DIVIDED = 0.4  # share of the rest that divide a pair again; in the others the means jump


def offspring(climb: Climb, parents: list[Mixture], count: int, rng: np.random.Generator) -> Population:
    """Make mixtures from others: most are combinations of two, the rest changes of one.

    On data with many maxima a combination leads to a higher one most often: each of the two may be right in a part.

    Parameters
    ----------
    climb : Climb
    parents : list of Mixture
        The best first: it is chosen most often.
    count : int
    rng : Generator
    """
    children = []
    chance = 1 / np.arange(1.0, len(parents) + 1)
    for _ in range(count):
        one = parents[int(rng.choice(len(parents), p=chance / chance.sum()))]
        other = parents[int(rng.integers(len(parents)))]
        if rng.random() < COMBINED and other is not one:
            children.append(combine(climb, one, other, rng))
        elif rng.random() < REMOVED:
            children.append(split_and_merge(climb, one, rng))
        elif rng.random() < DIVIDED:
            children.append(divide_again(climb, one, rng))
        else:
            children.append(jump(climb, one, rng))
    return Population.of(children)


def jump(climb: Climb, mixture: Mixture, rng: np.random.Generator) -> Mixture:
    """Move each mean at random, in proportion to the spread of its component."""
    steps = rng.uniform(*JUMP) * rng.normal(size=mixture.mean.shape)
    return Mixture(mixture.weight, mixture.mean + climb.family.stretch(mixture.core_roots, steps), mixture.core_roots)


def divide_again(climb: Climb, mixture: Mixture, rng: np.random.Generator) -> Mixture:
    """Merge a component with a near one, and split the result along a random direction.

    References
    ----------
    .. [1] Richardson & Green (1997), J. R. Stat. Soc. B 59(4), 731-792: a merge and a split keep the moments.
    """
    (k, d), family = mixture.mean.shape, climb.family
    if k == 1:
        return jump(climb, mixture, rng)
    covariance = family.matrices(mixture.core_roots, k, d)
    first = int(rng.integers(k))
    away = mixture.mean - mixture.mean[first]
    distance = (away * np.linalg.solve(covariance[first], away.T).T).sum(axis=1)
    near = np.argsort(distance, kind="stable")
    pair = [first, int(rng.choice(near[near != first][:NEAR]))]
    weight, mean, roots = mixture.weight.copy(), mixture.mean.copy(), mixture.core_roots
    share = weight[pair] / weight[pair].sum()
    centre = share @ mean[pair]
    off = mean[pair] - centre
    whole = np.einsum("i,ijk->jk", share, covariance[pair] + off[:, :, None] * off[:, None, :])
    direction = rng.normal(size=d)
    step = APART * np.linalg.cholesky(whole) @ (direction / np.linalg.norm(direction))
    mean[pair] = centre + step, centre - step
    weight[pair] = weight[pair].mean()
    if len(roots) == k:
        covariance[pair] = whole - np.outer(step, step)
        roots = family.roots_near(covariance)
    return Mixture(weight, mean, roots)


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
