"""Covariance families: no other module depends on their parts, and a structure without a chart is valid."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.errors import DeclarationError
from bayesgmm.families.structures import COVARIANCES, chart_of, without_chart
from bayesgmm.inference import ENGINES
from tests.families.toys import TOYS, EqualSpheres

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


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(COVARIANCES, "EII", TOYS["EII"])


def clusters(n=60, d=2):
    rng = np.random.default_rng(0)
    own = np.arange(n) % 3
    return rng.normal(scale=0.5, size=(n, d)) + 10.0 * own[:, None], own


def within(x, own):
    """Mean squared distance of points from the means of their clusters, by column."""
    return np.mean([x[own == k].var(axis=0) * (own == k).mean() * 3 for k in range(3)])


@pytest.mark.usefixtures("registered")
def test_a_structure_without_a_chart_is_fitted_by_em():
    """Clusters are apart, so the estimates are theirs: one variance, pooled over clusters and columns."""
    x, own = clusters()
    fit = bg.fit(bg.MixtureModel(3, covariance="EII"), x, "em", seed=1, progress=False)
    posterior = fit["posterior"]
    covariance = posterior["covariance"].values[0, 0]
    np.testing.assert_allclose(covariance, np.broadcast_to(within(x, own) * np.eye(2), (3, 2, 2)), rtol=1e-8)
    weight, mean = posterior["weight"].values[0, 0], posterior["mean"].values[0, 0]
    np.testing.assert_allclose(sorted(mean[:, 0]), [x[own == k, 0].mean() for k in range(3)], rtol=1e-8)
    density = sum(w * multivariate_normal(m, c).pdf(x) for w, m, c in zip(weight, mean, covariance, strict=True))
    for name in ("loglik", "lp"):
        np.testing.assert_allclose(fit["sample_stats"][name].item(), np.log(density).sum(), rtol=1e-10)
    assert bg.density(fit, x).sizes["point"] == len(x)


@pytest.mark.usefixtures("registered")
def test_em_of_overlapping_clusters_needs_no_chart_and_ends_at_a_maximum(whole_searches):
    x = np.random.default_rng(1).normal(size=(300, 2)) + 0.8 * (np.arange(300) % 2)[:, None]
    one = bg.GaussianMixture(2, covariance_type="EII", tol=1e-9, max_iter=5000, random_state=0).fit(x)
    assert one.converged_
    assert one.covariances_.shape == ()
    again = bg.fit(bg.MixtureModel(2, covariance="EII"), x, "em", seed=1, progress=False, tol=1e-12, max_iter=5000)
    np.testing.assert_allclose(one.score(x) * 300, again["sample_stats"]["loglik"].item(), rtol=1e-6)
    freer = bg.fit(bg.MixtureModel(2, covariance="tied"), x, "em", seed=1, progress=False, start=again)
    assert again["sample_stats"]["loglik"].item() <= freer["sample_stats"]["loglik"].item()


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("method", [name for name in ENGINES if name != "em"])
def test_engines_that_need_a_chart_refuse_a_structure_without_one(method):
    with pytest.raises(DeclarationError) as error:
        bg.fit(bg.MixtureModel(3, covariance="EII"), clusters()[0], method, progress=False)
    for part in (method, "covariance='EII'", "Methods that can: 'em'", "'full' or 'tied' or 'diag' or 'spherical'"):
        assert part in str(error.value)


def test_coordinates_of_a_family_without_a_chart_are_refused_by_name():
    with pytest.raises(DeclarationError, match="covariance='EII' has no unconstrained coordinates"):
        chart_of(EqualSpheres())
    assert not any(without_chart(family) for family in COVARIANCES.values())


@pytest.mark.usefixtures("registered")
def test_select_compares_a_structure_without_a_chart():
    table = bg.select(clusters()[0], [2, 3], ["EII", "spherical"], seed=0, progress=False, n_init=3)
    best = table.iloc[0]
    assert (best["covariance"], best["n_components"]) == ("EII", 3)
    assert best["n_parameters"] == 2 + 6 + 1
    assert np.isnan(best["elbo"])
    assert "No elbo: method 'vb' can't take covariance='EII'" in best["problem"]


@pytest.mark.parametrize("name", [name for name in TOYS if name != "EII"])
@pytest.mark.parametrize("method", ["map", "nuts", "gibbs", "vb"])
def test_other_combinations_of_sharing_and_form_go_through_every_kind_of_engine(monkeypatch, name, method):
    """The engines agree with EM on clusters that are apart, to a tenth of the variance."""
    monkeypatch.setitem(COVARIANCES, name, TOYS[name])
    x, own = clusters(n=300)
    settings = {"nuts": {"draws": 50, "tune": 200, "chains": 1}, "vb": {"draws": 50}}.get(method, {})
    fit = bg.fit(bg.MixtureModel(3, covariance=name), x, method, seed=1, progress=False, **settings)
    covariance = fit["posterior"]["covariance"].values.mean(axis=(0, 1))
    np.testing.assert_allclose(covariance, np.broadcast_to(within(x, own) * np.eye(2), (3, 2, 2)), rtol=0.2, atol=1e-12)
    assert np.ptp(covariance, axis=0).max() < 1e-12
