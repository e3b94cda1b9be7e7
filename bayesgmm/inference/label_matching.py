"""Mixtures whose components are put in the order that agrees best with the labels of rows: starts have any order."""

import numpy as np

from bayesgmm.data.labels import component_columns
from bayesgmm.families.family import Family
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.populations import Population
from bayesgmm.labels.alignments import solve_assignments
from bayesgmm.labels.responsibilities import Order, Responsibilities
from bayesgmm.labels.subsamples import evenly
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array, Table

ROWS = 2_000  # maximum number of rows with a label that are compared


def matched(blocks: Blocks, family: Family, population: Population, threads: int = 1) -> Population:
    """Return mixtures with their components in the order that agrees best with the labels of the points.

    Parameters
    ----------
    blocks : Blocks
        Points, some of which may have labels; without any, the mixtures stay as they are.
    family : Family
    population : Population
        S mixtures.
    threads : int
    """
    if blocks.labels is None or population.mean.shape[1] == 1:
        return population
    order = best_order(blocks, population.tables(family), threads)
    pairs = zip(population, order, strict=True)
    return Population.of([reordered(mixture, own, family) for mixture, own in pairs])


def matched_start(blocks: Blocks, family: Family, start: Mixture, threads: int = 1) -> Mixture:
    """Return one mixture with its components in the order that agrees best with the labels of the points."""
    return matched(blocks, family, Population.of([start]), threads)[0]


def reordered(mixture: Mixture, order: Order, family: Family) -> Mixture:
    """Return a mixture whose component k is what ``order[k]`` was."""
    core_roots = family.sharing.reordered(mixture.core_roots, order)
    return Mixture(mixture.weight[order], mixture.mean[order], core_roots)


def best_order(blocks: Blocks, tables: Table, threads: int = 1) -> Order:
    """Compute the orders (S, K) that give rows with a label their plausible components most often.

    Parameters
    ----------
    blocks : Blocks
        Points, some of which have labels.
    tables : Table
        S tables.
    """
    labels, n_components = blocks.labels, tables.offset.shape[1]
    assert labels is not None
    rows = evenly(np.flatnonzero((labels[: blocks.n_points] != 0).any(axis=1) & _counts(blocks)), ROWS)
    plausible = np.exp(labels[rows])[:, component_columns(labels.shape[1], n_components)]
    known = blocks.take(rows).with_labels(None)
    target = np.zeros((known.n_blocks * BLOCK, n_components))
    target[: len(rows)] = -plausible
    costs = Responsibilities(known, tables, threads).costs(_laid_out(target))
    return solve_assignments(np.nan_to_num(costs))  # a start may not be finite


def _counts(blocks: Blocks) -> np.ndarray:
    return blocks.weight[: blocks.n_points] > 0


def _laid_out(target: Array) -> Array:
    return np.ascontiguousarray(target.reshape(-1, BLOCK, target.shape[1]).swapaxes(1, 2))
