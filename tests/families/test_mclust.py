"""All structures against R's mclust: its numbers are stored, and computed again where R is installed.

``mclust/numbers.R`` makes ``mclust/numbers.json``: data, partitions from which EM starts, and the fits.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.families.structures import COVARIANCES, family_named
from bayesgmm.inference import em
from bayesgmm.inference.starts import from_responsibilities

HERE = Path(__file__).parent / "mclust"
STORED = json.loads((HERE / "numbers.json").read_text())
TABLES = [name for name, table in STORED.items() if "fits" in table]
FITS = [(name, model) for name in TABLES for model in STORED[name]["fits"]]
NAMES = [family.mclust for family in COVARIANCES.values()]


@cache
def fitted(name, model):
    """Log likelihood, weights, means and covariances by EM from the stored partition, in the units of the data."""
    table, family = STORED[name], family_named(model)
    x, partition = np.array(table["x"]), np.array(table["partition"])
    standard = Standard.of(as_points(x), common=family.needs_common_scale)
    rows = (x - standard.shift) / standard.scale
    shares = (partition[:, None] == np.unique(partition)).astype(float)
    blocks = standard.blocks(x)
    start = from_responsibilities(rows, np.ones(len(x)), shares, family)
    result = em.run(em.Sweep(blocks, family), start, max_iter=20_000, tol=1e-13)
    mixture, scale = result.mixture, standard.scale
    covariance = family.matrices(mixture.core_roots, *mixture.mean.shape) * np.outer(scale, scale)
    return (
        result.loglik - standard.log_units(blocks),
        mixture.weight,
        mixture.mean * scale + standard.shift,
        covariance,
    )


def test_the_names_are_mclusts_fourteen():
    assert len(NAMES) == 14
    assert {*NAMES} == {*STORED["faithful"]["fits"]}


@pytest.mark.parametrize(("name", "model"), FITS)
def test_from_the_same_start_the_likelihood_is_at_least_mclusts(name, model):
    theirs = STORED[name]["fits"][model]
    loglik, weight, mean, covariance = fitted(name, model)
    assert loglik >= theirs["loglik"] - 1e-6
    if loglik < theirs["loglik"] + 1e-4:  # the same maximum
        sd = np.sqrt(np.diagonal(np.array(theirs["covariance"]), axis1=1, axis2=2))
        np.testing.assert_allclose(weight, theirs["weight"], atol=1e-4)
        np.testing.assert_allclose((mean - theirs["mean"]) / sd, 0, atol=1e-3)
        np.testing.assert_allclose((covariance - theirs["covariance"]) / (sd[:, :, None] * sd[:, None]), 0, atol=2e-3)
