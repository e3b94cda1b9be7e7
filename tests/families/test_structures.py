"""Covariance families: no other module depends on their parts; engines that can't fit a structure refuse it by name."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.errors import DeclarationError, DegenerateComponent, EmptyComponent, UnknownName
from bayesgmm.families.family import Family
from bayesgmm.families.sharing import OneEach
from bayesgmm.families.squares import Squares
from bayesgmm.families.structures import COVARIANCES, chart_of, families_named, without_chart
from bayesgmm.inference import ENGINES
from tests.commands import run
from tests.families.registry import DECOMPOSED

PACKAGE = Path(__file__).parents[2] / "bayesgmm"
FLAG = re.compile(r"(?<!\bnp)(?<!\bpt)\.(diagonal|tied|isotropic)\b")  # NumPy and PyTensor have functions of that name


def branches(source):
    """Flags of a family that a source reads."""
    return FLAG.findall(source)


def test_no_other_room_branches_on_what_a_family_is():
    outside = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "families"]
    assert len(outside) > 100
    assert {path.name: found for path in outside if (found := branches(path.read_text()))} == {}


def test_the_count_of_branches_can_fail():
    assert branches("if family.diagonal:\n    pass") == ["diagonal"]
    assert branches("count = 1 if model.family.tied else k; common=family.isotropic") == ["tied", "isotropic"]
    assert branches("variance = np.diagonal(core); log = pt.diagonal(root); family.tied_name") == []


WORDS = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical"}


def test_two_names_are_the_same_value():
    for mclust, word in WORDS.items():
        assert bg.MixtureModel(3, covariance=mclust) == bg.MixtureModel(3, covariance=word)
    assert families_named(["VVV", "full", "VEV"]) == ["full", "VEV"]
    assert families_named("all") == families_named(["all"]) == list(COVARIANCES)
    with pytest.raises(UnknownName, match="did you mean 'VEV'"):
        bg.MixtureModel(3, covariance="VEVV")


def clusters(n=60, d=2):
    rng = np.random.default_rng(0)
    own = np.arange(n) % 3
    return rng.normal(scale=0.5, size=(n, d)) * [1.0, 1.5] + 10.0 * own[:, None], own


def test_a_structure_is_fitted_by_em():
    """Clusters are apart, so the estimates are theirs: for EVI their variances, scaled to one volume."""
    x, own = clusters()
    fit = bg.fit(bg.MixtureModel(3, covariance="EVI"), x, "em", seed=1, progress=False)
    posterior = fit["posterior"]
    covariance = posterior["covariance"].values[0, 0]
    weight, mean = posterior["weight"].values[0, 0], posterior["mean"].values[0, 0]
    order = np.argsort(mean[:, 0])
    variance = np.array([x[own == k].var(axis=0) for k in range(3)])
    volume = np.sqrt(variance.prod(axis=1))
    expected = [np.diag(one) for one in variance / volume[:, None] * volume.mean()]
    np.testing.assert_allclose(covariance[order], expected, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(mean[order], [x[own == k].mean(axis=0) for k in range(3)], rtol=1e-8)
    density = sum(w * multivariate_normal(m, c).pdf(x) for w, m, c in zip(weight, mean, covariance, strict=True))
    np.testing.assert_allclose(fit["sample_stats"]["loglik"].item(), np.log(density).sum(), rtol=1e-10)
    assert bg.density(fit, x).sizes["point"] == len(x)


@pytest.mark.usefixtures("whole_searches")
@pytest.mark.parametrize("name", DECOMPOSED)
def test_em_of_overlapping_clusters_ends_at_a_maximum(name):
    rng, own = np.random.default_rng(1), np.arange(300) % 2
    x = rng.normal(size=(300, 2)) * np.where(own == 1, 1.0, 1.5)[:, None] @ [[1.0, 0.4], [0.0, 0.6]]
    x += 2.0 * own[:, None]
    fit = bg.fit(bg.MixtureModel(2, covariance=name), x, "em", seed=1, progress=False, tol=1e-10, max_iter=5000)
    found = fit["sample_stats"]["loglik"].item()
    one = bg.GaussianMixture(2, covariance_type=name, tol=1e-9, max_iter=5000, random_state=0).fit(x)
    assert one.converged_
    assert one.covariances_.shape == ((2, 2) if name.endswith("I") else (2, 2, 2))
    assert one.score(x) * 300 < found + 1e-3
    freer = bg.fit(bg.MixtureModel(2, covariance="full"), x, "em", seed=1, progress=False, start=fit)
    assert found <= freer["sample_stats"]["loglik"].item()


@pytest.mark.parametrize("method", ["gibbs", "vb"])
def test_engines_that_need_conjugate_priors_refuse_other_structures(method):
    with pytest.raises(DeclarationError) as error:
        bg.fit(bg.MixtureModel(3, covariance="VEV"), clusters()[0], method, progress=False)
    able = "Methods that can: 'advi', 'em', 'fullrank_advi', 'map', 'mle', 'nuts'"
    for part in (method, "covariance='VEV'", "'full' or 'tied' or 'diag' or 'spherical'"):
        assert part in str(error.value)
    assert sorted(re.findall(r"'(\w+)'", str(error.value).split("Methods that can: ")[1].split(".")[0])) == sorted(
        re.findall(r"'(\w+)'", able)
    )


class Chartless(Family):
    """Full covariances without coordinates."""

    name, mclust, sharing, form = "chartless", "chartless", OneEach(), Squares()
    needs_common_scale = False


@pytest.fixture
def chartless(monkeypatch):
    """A declaration of a family that only EM can fit."""
    monkeypatch.setitem(COVARIANCES, "chartless", Chartless())
    return bg.MixtureModel(3, covariance="chartless")


@pytest.mark.parametrize("method", [name for name in ENGINES if name != "em"])
def test_engines_that_need_a_chart_refuse_a_structure_without_one(chartless, method):
    with pytest.raises(DeclarationError) as error:
        bg.fit(chartless, clusters()[0], method, progress=False)
    for part in (method, "covariance='chartless'", "Methods that can: 'em'", "'full' or 'tied' or 'diag'"):
        assert part in str(error.value)


def test_what_needs_the_prior_of_a_structure_without_a_chart_is_refused_by_name(chartless):
    x = clusters()[0]
    fit = bg.fit(chartless, x, "em", seed=1, progress=False)
    with_priors = {
        "build_model": lambda: bg.build_model(chartless, x),
        "prior_predictive": lambda: bg.prior_predictive(chartless, x, seed=1),
        "standard_errors": lambda: bg.standard_errors(fit),
    }
    for name, call in with_priors.items():
        with pytest.raises(DeclarationError, match="covariance='chartless' has no unconstrained coordinates"):
            pytest.fail(f"{name} returned {call()}")


def test_advice_does_not_name_methods_that_refuse_the_structure(chartless):
    for model, is_named in ((chartless, False), (bg.MixtureModel(3, covariance="VVE"), True)):
        with pytest.raises(EmptyComponent) as error:
            bg.fit(model, clusters(n=7)[0], "em", seed=1, progress=False)
        assert "Try" in str(error.value)
        assert ("method='map'" in str(error.value)) == is_named


@pytest.mark.parametrize("name", ["VEV", "EVE", "VEE"])
def test_a_singular_component_of_a_structure_is_named(name):
    x = clusters()[0]
    x = np.column_stack([x, x[:, 0]])
    with pytest.raises(DegenerateComponent, match="the covariance of component . is singular"):
        bg.fit(bg.MixtureModel(3, covariance=name), x, "em", seed=1, progress=False)


def test_coordinates_of_a_family_without_a_chart_are_refused_by_name(chartless):
    with pytest.raises(DeclarationError, match="covariance='chartless' has no unconstrained coordinates"):
        chart_of(chartless.family)
    assert [name for name, family in COVARIANCES.items() if without_chart(family)] == ["chartless"]


def test_select_compares_structures_that_have_no_conjugate_prior():
    table = bg.select(clusters()[0], [2, 3], ["VEI", "VII"], seed=0, progress=False, n_init=3)
    assert {*table["covariance"]} == {"VEI", "spherical"}
    assert table["n_components"].iloc[0] == 3
    row = table[(table["covariance"] == "VEI") & (table["n_components"] == 3)].iloc[0]
    assert row["n_parameters"] == 2 + 6 + 3 + 1
    assert row["problem"] == ""
    by_bound = bg.select(clusters()[0], [3], ["VEI"], criterion="elbo", seed=0, progress=False, n_init=3)
    assert "No elbo: variational Bayes can't fit this family" in by_bound["problem"].iloc[0]


@pytest.mark.parametrize("name", ["EII", "EEI"])
@pytest.mark.parametrize("method", ["map", "nuts", "gibbs", "vb"])
def test_other_combinations_of_sharing_and_form_go_through_every_kind_of_engine(name, method):
    """The engines agree with EM on clusters that are apart, to a tenth of the variance."""
    x, own = clusters(n=300)
    settings = {"nuts": {"draws": 50, "tune": 200, "chains": 1}, "vb": {"draws": 50}}.get(method, {})
    fit = bg.fit(bg.MixtureModel(3, covariance=name), x, method, seed=1, progress=False, **settings)
    covariance = fit["posterior"]["covariance"].values.mean(axis=(0, 1))
    variance = np.mean([x[own == k].var(axis=0) for k in range(3)], axis=0)
    expected = np.diag(variance if name == "EEI" else np.full(2, variance.mean()))
    np.testing.assert_allclose(covariance, np.broadcast_to(expected, (3, 2, 2)), rtol=0.2, atol=1e-12)
    assert np.ptp(covariance, axis=0).max() < 1e-12


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_structure_goes_through_declarations_and_files(name, tmp_path):
    model = bg.MixtureModel(3, covariance=name)
    assert bg.MixtureModel.parse(tomllib.loads(model.to_toml())["mixture"], "a card") == model
    x = clusters()[0]
    fit = bg.fit(model, x, "em", seed=1, progress=False)
    bg.save(fit, tmp_path / "fit.nc")
    again = bg.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(bg.density(again, x)["log_density"], bg.density(fit, x)["log_density"])
    assert bg.GaussianMixture(3, covariance_type=COVARIANCES[name].mclust, random_state=0).fit(x).score(x) < 0


def test_the_terminal_takes_the_names_of_structures(tmp_path):
    table = tmp_path / "table.csv"
    np.savetxt(table, clusters()[0], delimiter=",", header="a,b", comments="")
    chosen = run("select", str(table), "--covariance", "all", "-k", "3", "-o", str(tmp_path / "choices.csv"))
    assert chosen.returncode == 0, chosen.stderr
    listed = (tmp_path / "choices.csv").read_text()
    assert all(name in listed for name in COVARIANCES)
    refused = run("fit", str(table), "-k", "3", "--covariance", "VEV", "--method", "vb", "-o", str(tmp_path / "fit.nc"))
    assert refused.returncode != 0
    assert "method 'vb' can't take --covariance VEV" in " ".join(refused.stderr.split())
    fitted = run("fit", str(table), "-k", "3", "--covariance", "VEV", "--method", "em", "-o", str(tmp_path / "fit.nc"))
    assert fitted.returncode == 0, fitted.stderr
