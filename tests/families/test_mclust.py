"""All structures against R's mclust: its numbers are stored, and computed again where R is installed.

``mclust/numbers.R`` makes ``mclust/numbers.json``: data, partitions from which EM starts, and the fits.
"""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.families.structures import COVARIANCES, family_named
from bayesgmm.inference import em_steps
from bayesgmm.inference.starts import from_responsibilities
from bayesgmm.posterior.criteria import n_parameters

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
    result = em_steps.run(em_steps.Sweep(blocks, family), start, max_iter=20_000, tol=1e-13)
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


@pytest.mark.parametrize("name", [name for name in TABLES if "chosen" in STORED[name]])
def test_select_chooses_what_mclust_is_published_to_choose(name):
    """Iris VEV with 2 components, diabetes VVV with 3, Old Faithful EEE with 3, by the BIC of all fourteen."""
    structure, n_components = STORED[name]["chosen"]
    table = bg.select(np.array(STORED[name]["x"]), [2, 3, 4], "all", seed=1, progress=False)
    best = table.iloc[0]
    assert (best["covariance"], best["n_components"]) == (family_named(structure).name, int(n_components))
    assert -0.05 < best["bic"] + STORED[name]["bic"] < 1e-4  # mclust's tolerance is larger


def test_labels_make_eigenvalue_decomposition_discriminant_analysis():
    """EDDA: each class is a component. mclust does not count the weights of the classes."""
    edda = STORED["iris"]["classes"]["edda"]["VEV"]
    flowers = bg.datasets.iris()
    x, species = flowers.drop(columns="species"), flowers["species"]
    fit = bg.fit(bg.MixtureModel(3, covariance="VEV"), x, "em", labels=species, progress=False)
    assert float(bg.density(fit, x)["log_density"].sum()) == pytest.approx(edda["loglik"], abs=1e-6)
    assert n_parameters(COVARIANCES["VEV"], 3, 4) == edda["n_parameters"] + 2


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_the_stored_numbers_are_those_of_mclust(tmp_path):
    made = tmp_path / "numbers.json"
    done = subprocess.run(["Rscript", HERE / "numbers.R", made], capture_output=True, text=True, check=False)
    if "there is no package called" in done.stderr:
        pytest.skip("mclust is not installed")
    assert done.returncode == 0, done.stderr
    now = json.loads(made.read_text())
    for name, model in FITS:
        one, other = now[name]["fits"][model], STORED[name]["fits"][model]
        assert one["loglik"] == pytest.approx(other["loglik"], abs=1e-5)
        assert one["n_parameters"] == other["n_parameters"] == n_parameters(family_named(model), *np.shape(one["mean"]))
    for name in now:
        if "classes" in now[name]:
            one, other = now[name]["classes"], STORED[name]["classes"]
            assert one["mixtures"]["loglik"] == pytest.approx(other["mixtures"]["loglik"], abs=1e-5)
            assert {model: fit["loglik"] for model, fit in one["edda"].items()} == pytest.approx(
                {model: fit["loglik"] for model, fit in other["edda"].items()}, abs=1e-5
            )
