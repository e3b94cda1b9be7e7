"""Diagnosis: each check detects its problem and gives no false alarm; every fit can be diagnosed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats as st

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.diagnosis import CHECKS, components, mixing, modes, points, priors
from bayesgmm.diagnosis.summary import component_words
from bayesgmm.errors import FitFileError, UnknownName
from bayesgmm.findings import Finding, Findings
from bayesgmm.inference import nuts
from bayesgmm.labels import relabelling
from bayesgmm.posterior import schema
from bayesgmm.posterior.info import FitInfo, annotate
from bayesgmm.posterior.notes import LabelInfo, TruncationInfo
from bayesgmm.posterior.packing import pack
from bayesgmm.posterior.parameters import Parameters
from tests.conftest import sampled

NOTHING = FitInfo()


def draws_of(x, weight, mean, covariance, chains=4, draws=100, noise=0.0, stats=None, told=NOTHING, seed=0):
    """A fit whose draws are one mixture with a little noise: weights (K,), means (K, D), covariances (K, D, D)."""
    rng = np.random.default_rng(seed)
    weight, mean, covariance = (np.asarray(v, float) for v in (weight, mean, covariance))
    shape = (chains, draws)
    means = mean + noise * rng.normal(size=(*shape, *mean.shape))
    parameters = Parameters(
        np.broadcast_to(weight, (*shape, *weight.shape)).copy(),
        means,
        np.broadcast_to(covariance, (*shape, *covariance.shape)).copy(),
    )
    data = as_points(x)
    tree = pack(data, Standard.of(data), parameters, {"lp": rng.normal(size=shape)} | (stats or {}))
    return annotate(tree, replace(told, relabelled="stephens"))


@pytest.fixture(scope="module")
def blob():
    """300 points from a standard normal distribution, with mean exactly 0 and covariance exactly the identity."""
    x = np.random.default_rng(3).normal(size=(300, 2))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T


@pytest.fixture(scope="module")
def right(blob):
    """The right model of a blob."""
    return draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], noise=0.06)


def checks_of(findings, severity=None):
    return {finding.check for finding in findings if severity in (None, finding.severity)}


# ---- the whole ----


def test_a_right_model_passes(right):
    found = bg.diagnose(right, progress=False)
    assert not checks_of(found, "problem") | checks_of(found, "warning"), str(found)
    assert "checks found no problem." in found.verdict
    assert {"mixing", "predictive fit", "unexplained points", "rounding"} <= set(found.passed)


def test_every_check_runs_or_gives_a_reason(fit):
    found = bg.diagnose(fit, progress=False)
    told = set(found.passed) | set(found.skipped) | checks_of(found)
    assert set(CHECKS) <= told
    assert checks_of(found) <= set(CHECKS) | {"warnings of the fit"}
    assert all(found.skipped.values())


def test_only_requested_checks_run(right):
    found = bg.diagnose(right, ["mixing"], progress=False)
    assert (found.passed, found.skipped, len(found)) == (("mixing",), {}, 0)
    with pytest.raises(UnknownName, match="did you mean 'mixing'"):
        bg.diagnose(right, ["mixng"])
    with pytest.raises(FitFileError, match="is not a fit"):
        bg.diagnose({"a": 1})


def test_two_runs_give_the_same_findings(fit):
    assert str(bg.diagnose(fit, progress=False)) == str(bg.diagnose(fit, progress=False))


def test_warnings_of_the_fit_are_not_repeated(galaxies_fit):
    """Fit and diagnosis write the same sentences, so those of the checks are recognised, and the rest is kept."""
    tree = galaxies_fit.copy()
    again = [*mixing.fit_warnings(tree), "Interrupted: kept 3 of 9 draws."]
    annotate(tree, replace(bg.info(tree), warnings=tuple(again)))
    said = [f.what for f in bg.diagnose(tree, progress=False) if f.check == "warnings of the fit"]
    assert said == ["Interrupted: kept 3 of 9 draws."]


@pytest.mark.parametrize("method", ["em", "map", "vb", "advi"])
def test_every_engine_can_be_diagnosed(method, iris):
    found = bg.diagnose(
        sampled(bg.MixtureModel(3), iris.drop(columns="species"), method=method, seed=1), progress=False
    )
    assert "predictive fit" not in found.skipped
    expected = "a point estimate has no chains" if method in {"em", "map"} else "its draws are independent"
    assert expected in found.skipped["mixing"]


def test_a_point_estimate_that_misfits_is_detected(iris):
    one = sampled(bg.MixtureModel(1), iris[["petal_length"]], method="em", seed=1)
    assert "predictive fit" in checks_of(bg.diagnose(one, progress=False))


def foreign(fit):
    """A fit as a trace that PyMC made would be: no declaration, other names, and labels that switch between chains."""
    import xarray as xr

    draws = fit["posterior"].to_dataset().copy(deep=True)
    for name in ("weight", "mean", "covariance"):
        values = draws[name].values
        values[1] = np.roll(values[1], 1, axis=1)
    stats = fit["sample_stats"].to_dataset().drop_vars(["lp", "loglik"]).assign(logp=fit["sample_stats"]["lp"])
    observed = fit["observed_data"].to_dataset()
    return xr.DataTree.from_dict({"posterior": draws, "sample_stats": stats, "observed_data": observed})


def test_a_trace_of_pymc_is_diagnosed(fit):
    """The README has a real one."""
    found = bg.diagnose(foreign(fit), progress=False)
    assert "no declaration" in found.skipped["prior"]
    assert "mixing" not in checks_of(found, "problem"), str(found)
    assert "modes" in found.passed
    assert "labels" in found.passed


def test_a_fit_without_data_gets_the_checks_that_need_none(fit):
    tree = fit.copy()
    del tree["observed_data"]
    found = bg.diagnose(tree, progress=False)
    assert "holds no observed data" in found.skipped["predictive fit"]
    assert "divergences" in set(found.passed) | checks_of(found)


def test_a_loaded_fit_gets_the_same_findings(fit, tmp_path):
    bg.save(fit, tmp_path / "fit.nc")
    assert str(bg.diagnose(bg.load(tmp_path / "fit.nc"), progress=False)) == str(bg.diagnose(fit, progress=False))


def test_row_weights_skip_checks_that_count_rows(blob):
    weighted = sampled(bg.MixtureModel(1), blob, sample_weight=np.full(300, 2.0), draws=60, chains=2, seed=1)
    found = bg.diagnose(weighted, progress=False)
    assert "rows have weights" in found.skipped["predictive fit"]


# ---- chains ----


def test_advice_on_one_component_is_not_fewer_components(blob):
    diverging = {"diverging": np.ones((4, 100), bool)}
    for weights, means, has_fewer in (([1.0], [[0.0, 0.0]], False), ([0.5, 0.5], [[0.0, 0.0], [9.0, 9.0]], True)):
        wild = draws_of(blob, weights, means, [np.eye(2)] * len(weights), noise=0.06, stats=diverging)
        (found,) = bg.diagnose(wild, ["divergences"], progress=False)
        assert ("a stronger prior" in found.advice, "fewer components" in found.advice) == (True, has_fewer)


def test_one_chain_few_draws_and_all_divergent(blob):
    alone = draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], chains=1, noise=0.06)
    assert "chains" in checks_of(bg.diagnose(alone, progress=False), "warning")
    few = draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], chains=2, draws=3, noise=0.06)
    assert "mixing" in checks_of(bg.diagnose(few, progress=False), "problem")
    diverging = {"diverging": np.ones((4, 100), bool)}
    wild = draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], noise=0.06, stats=diverging)
    (found,) = bg.diagnose(wild, ["divergences"])
    assert (found.severity, found.what[:3]) == ("problem", "All")
    some = {"diverging": np.arange(400).reshape(4, 100) < 3}
    (found,) = bg.diagnose(draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], noise=0.06, stats=some), ["divergences"])
    assert (found.severity, found.evidence["count"]) == ("note", 3)


def test_few_divergent_transitions_matter_if_the_results_move_without_them(blob):
    far = draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], noise=0.06, stats={"diverging": np.zeros((4, 100), bool)})
    far["posterior"]["mean"][0, :4] += 2.0
    far["sample_stats"]["diverging"][0, :4] = True
    (found,) = bg.diagnose(far, ["divergences"])
    assert (found.severity, found.evidence["count"]) == ("warning", 4)
    assert found.evidence["change"] > 0.1


def test_low_energy_and_cut_trajectories(blob):
    rng = np.random.default_rng(0)
    walk = {"energy": rng.normal(size=(4, 100)).cumsum(axis=1), "reached_max_treedepth": rng.random((4, 100)) < 0.2}
    slow = draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], noise=0.06, stats=walk)
    assert checks_of(bg.diagnose(slow, ["energy", "tree depth"])) == {"energy", "tree depth"}
    fine = {"energy": rng.normal(size=(4, 100)), "reached_max_treedepth": np.zeros((4, 100), bool)}
    fast = draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], noise=0.06, stats=fine)
    assert not bg.diagnose(fast, ["energy", "tree depth"])


def test_nuts_stores_which_trajectories_were_cut_short(fit):
    assert "reached_max_treedepth" in fit["sample_stats"]


def apart(blob, gap):
    """Four chains, two of them at a slightly different place."""
    tree = draws_of(blob, [1.0], [[0.0, 0.0]], [np.eye(2)], noise=0.05, stats={"loglik": np.zeros((4, 100))})
    mean = tree["posterior"]["mean"].values
    mean[2:] += gap
    loglik = mixing._log_densities(tree, blob).sum(axis=1).reshape(4, 100)
    tree["sample_stats"]["lp"].values[:] = tree["sample_stats"]["loglik"].values[:] = loglik
    return tree


def test_chains_in_different_modes_are_grouped_and_weighted(blob):
    (found,) = bg.diagnose(apart(blob, 1.0), ["modes"])
    near, far = found.evidence["modes"]
    assert (near["chains"], far["chains"], near["share"]) == ([0, 1], [2, 3], 0.5)
    assert near["lp"] > far["lp"]
    assert near["stacking_weight"] > 0.95
    assert found.severity == "problem"
    assert not bg.diagnose(apart(blob, 0.0), ["modes"])


def test_stacking_weights_are_those_of_the_chains_predictive_densities(blob):
    """Narrow posteriors, unchanged when a point is left out: the weights maximise the log score of their mixture.

    Half the points are near 0 and half near 4, and so are the chains' means.
    """
    x = np.concatenate([blob[:, :1], blob[:100, :1] + 4])
    tree = draws_of(x, [1.0], [[0.0]], [[[1.0]]], chains=2, draws=200, noise=1e-3)
    tree["posterior"]["mean"].values[1] += 4
    near, far = st.norm.pdf(x[:, 0]), st.norm.pdf(x[:, 0], 4)
    grid = np.linspace(0.01, 0.99, 981)
    best = grid[np.argmax([np.log(w * near + (1 - w) * far).sum() for w in grid])]
    assert modes.stacking(tree) == pytest.approx([best, 1 - best], abs=0.01)


def test_modes_of_weighted_rows_have_no_stacking_weights(blob):
    """A row of weight three can't be left out as one point."""
    tree = apart(blob, 1.0)
    data = tree["observed_data"].to_dataset().assign(sample_weight=("point", np.full(len(blob), 3.0)))
    tree["observed_data"] = xr.DataTree(data)
    (found,) = bg.diagnose(tree, ["modes"])
    assert [mode["stacking_weight"] for mode in found.evidence["modes"]] == [None, None]
    assert "stacking" not in str(found)


def test_stacking_includes_the_background(blob):
    """Outliers belong to the background: without it they favour the chain that is nearer to them."""
    x = np.vstack([blob[:, :1], blob[:100, :1] + 60])
    told = FitInfo(model=bg.MixtureModel(1, background=bg.Background(0.05, location=[0.0], scale=[30.0])))
    tree = draws_of(x, [1.0], [[0.0]], [[[1.0]]], chains=2, draws=200, noise=1e-3, told=told)
    tree["posterior"]["mean"].values[1] += 3
    assert modes.stacking(tree)[0] > 0.9


# ---- components ----


def test_a_sample_of_rows_contains_rows_with_weight(blob):
    """Of many rows 1,000 are used: chosen among all rows, they would all have weight zero here."""
    x = np.tile(blob, (10, 1))
    weights = np.ones(len(x))
    weights[np.linspace(0, len(x) - 1, components.POINTS).round().astype(int)] = 0.0
    tree = draws_of(x, [0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], [np.eye(2)] * 2, noise=0.05)
    data = tree["observed_data"].to_dataset().assign(sample_weight=("point", weights))
    tree["observed_data"] = xr.DataTree(data)
    share, stands_for = components.shares(tree)
    assert stands_for.sum() == pytest.approx(weights.sum())
    assert share.shape[1] == len(stands_for) == components.POINTS


def three(counts, seed=5):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(5 * k, 0.5, size=(n, 1)) for k, n in enumerate(counts)])


def test_empty_components_are_counted_and_expected_under_a_sparse_prior():
    x = three([100, 60])
    weight = [0.62, 0.37, 0.01]
    tree = draws_of(x, weight, [[0.0], [5.0], [60.0]], np.full((3, 1, 1), 0.25))
    (found,) = bg.diagnose(tree, ["empty components"])
    assert (found.severity, found.evidence["occupied"]) == ("warning", [0, 0, 1, 0])
    sparse = FitInfo(model=bg.MixtureModel(3, weights=bg.SparseDirichlet()))
    tree = draws_of(x, weight, [[0.0], [5.0], [60.0]], np.full((3, 1, 1), 0.25), told=sparse)
    (found,) = bg.diagnose(tree, ["empty components"])
    assert found.severity == "note"
    assert not bg.diagnose(draws_of(x, [0.6, 0.4], [[0.0], [5.0]], np.full((2, 1, 1), 0.25)), ["empty components"])


def test_thin_and_singular_components():
    x = np.random.default_rng(0).normal(size=(100, 2))
    x[0] = 9
    share = [0.99, 0.01]
    (found,) = bg.diagnose(draws_of(x, share, [[0, 0], [9, 9]], [np.eye(2), np.eye(2)]), ["thin components"])
    assert "component 1 holds 1.0" in found.what
    for covariance, needed in (("full", 3), ("diag", 2), ("tied", 0)):
        told = FitInfo(model=bg.MixtureModel(2, covariance))
        tree = draws_of(x, share, [[0, 0], [9, 9]], [np.eye(2), np.eye(2)], told=told)
        takes = [finding.what for finding in bg.diagnose(tree, ["thin components"])]
        assert [f"needs at least {needed}." in what for what in takes] == [True] * (needed > 0)
    spike = [np.eye(2), np.array([[1, 1 - 1e-9], [1 - 1e-9, 1]])]
    x[:50, 1] = x[:50, 0]
    found = bg.diagnose(draws_of(x, [0.5, 0.5], [[0, 0], [0, 0]], spike), ["thin components"])
    assert "Nearly singular" in found[0].what
    assert not bg.diagnose(draws_of(x, [0.5, 0.5], [[0, 0], [0, 0]], [np.eye(2), np.eye(2)]), ["thin components"])


def test_labels_of_overlapping_components_are_not_determined():
    same = draws_of(three([200]), [0.5, 0.5], [[0.0], [0.0]], np.full((2, 1, 1), 0.25), noise=0.1)
    bare = annotate(same, FitInfo())
    (found,) = bg.diagnose(bare, ["labels"])
    assert found.what.startswith("Some labels have no meaning: components 0 and 1 can't")
    two = draws_of(three([100, 100]), [0.5, 0.5], [[0.0], [5.0]], np.full((2, 1, 1), 0.25), noise=0.05)
    assert not bg.diagnose(two, ["labels"])
    told = FitInfo(labels=LabelInfo("stephens", doubtful_weight=0.3, indistinct=((0, 1),)))
    assert bg.diagnose(annotate(two, told), ["labels"])[0].evidence["doubtful_weight"] == 0.3


def test_a_last_stick_with_mass_is_a_finding():
    told = FitInfo(model=bg.MixtureModel(4), truncation=TruncationInfo(0.2, 0.1, 2.0))
    (found,) = components.cut_off(told)
    assert "The last of 4 sticks has 20.0% of the weight" in found.what
    assert not components.cut_off(replace(told, truncation=TruncationInfo(0.001, 0.1, 2.0)))
    assert not components.cut_off(FitInfo())
    assert "Try n_components=10, or a smaller concentration." in found.advice
    assert found.advice != components.cut_off(told, n_rows=8)[0].advice
    (many,) = components.cut_off(replace(told, truncation=TruncationInfo(0.9, 0.997, 2.0)))
    assert many.advice == "Try a smaller concentration: under this one, about 4,599 components would be needed."
    one = replace(told, model=bg.MixtureModel(1), truncation=TruncationInfo(1.0, 1.0, 2.0))
    assert not components.cut_off(one)


def test_a_last_stick_that_probably_holds_one_point_or_none_is_a_note():
    heavy = TruncationInfo(0.2, 0.1, 2.0, several_points=components.SEVERAL)
    told = FitInfo(model=bg.MixtureModel(4), truncation=heavy)
    assert components.cut_off(told)[0].severity == "warning"
    (found,) = components.cut_off(replace(told, truncation=replace(heavy, several_points=0.14)))
    assert found.severity == "note"
    assert "20.0% of the weight, but holds several points only with probability 0.14" in found.what


# ---- the prior ----


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize(
    ("weights", "d"), [(bg.Dirichlet(2.0), 2), (bg.Dirichlet(bg.Gamma(2, 4)), 1), (bg.DirichletProcess(), 2)]
)
def test_the_log_prior_is_that_of_weights_means_and_covariances(covariance, weights, d):
    """Against the priors' own densities by scipy, where the stored ones differ by the change of coordinates."""
    x = np.random.default_rng(1).normal(size=(60, d)) + 3 * (np.arange(60) % 2)[:, None]
    model = bg.MixtureModel(2, covariance=covariance, weights=weights, covariances=bg.WishartPrecision(d + 3.0, 0.5))
    fit = sampled(model, x, draws=20, chains=2, seed=2)  # no chain is relabelled: a process has an order
    resolved = bg.info(fit).model
    drawn = relabelling.inverse(relabelling.component_order(fit))  # sticks have different priors: the order counts
    p = relabelling.reorder(schema.unpack(fit).parameters, drawn)
    expected = np.array([density_of(resolved, fit, p, s) for s in range(40)])
    difference = priors.log_prior(fit).ravel() - expected
    assert np.ptp(difference) < 1e-6 * (1 + np.abs(expected).max())


def density_of(model, fit, p, s):
    """Log prior density of draw s, up to a constant, in weights, means, covariances and the concentration."""
    means, covariances = model.means, model.covariances
    total = st.norm.logpdf(p.mean[s], means.location, means.scale).sum()
    count, *shape = model.family.core_shape(2, p.mean.shape[-1])
    scale = np.broadcast_to(np.asarray(covariances.scale), (p.mean.shape[-1],) * 2) * np.eye(p.mean.shape[-1])
    dof = covariances.dof
    for k in range(count):
        cov = p.covariance[s, k]
        if len(shape) == 1:
            own = slice(*shape)
            total += st.invgamma.logpdf(np.diag(cov)[own], dof / 2, scale=np.diag(scale)[own] / 2).sum()
        else:
            total += st.invwishart.logpdf(cov, dof, scale)
    alpha = fit["posterior"]["concentration"].values.ravel()[s] if "concentration" in fit["posterior"] else None
    if model.weights.prior == "dirichlet_process":
        prior = model.weights.concentration
        stick = st.beta.logpdf(p.weight[s, 0], 1, alpha)
        return total + stick + st.gamma.logpdf(alpha, prior.alpha, scale=1 / prior.beta)
    if alpha is not None:
        prior = model.weights.concentration
        total += st.gamma.logpdf(alpha, prior.alpha, scale=1 / prior.beta)
    return total + st.dirichlet.logpdf(p.weight[s], [2.0 if alpha is None else alpha] * 2)


def test_a_dominant_prior_is_detected(blob):
    """A narrow prior far from 20 points: the density depends on the power of the prior."""
    weak = bg.MixtureModel(1, means=bg.NormalMeans(0.0, 10.0), covariances=bg.WishartPrecision(3.0, 1.0))
    tame = sampled(weak, blob[:, :1], draws=250, chains=2, seed=1)
    strong = weak.model_copy(update={"means": bg.NormalMeans(3.0, 0.2)})
    ruled = sampled(strong, blob[:20, :1], draws=250, chains=2, seed=1)
    assert not bg.diagnose(tame, ["prior"], progress=False)
    (found,) = bg.diagnose(ruled, ["prior"], progress=False)
    assert max(found.evidence["prior"].values()) > 0.1


# ---- points ----


def test_points_that_no_component_explains_are_flagged(blob):
    x = blob.copy()
    x[[7, 40]] = [[8.0, 8.0], [-9.0, 5.0]]
    (found,) = bg.diagnose(draws_of(x, [1.0], [[0, 0]], [np.eye(2)], noise=0.06), ["unexplained points"])
    assert sorted(found.evidence["rows"]) == [7, 40]
    far = np.array([[1e6, 0.0]])
    assert points.farness(far, schema.unpack(draws_of(x, [1.0], [[0, 0]], [np.eye(2)]))).max() == 0.0


def test_farness_is_uniform_for_one_component_and_larger_for_more():
    """Kolmogorov-Smirnov at 0.001, in one direction for two: points are nearer to the nearest than to their own."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(2000, 3))
    one = schema.unpack(draws_of(x, [1.0], [[0, 0, 0]], [np.eye(3)], chains=1, draws=1))
    assert st.kstest(points.farness(x, one)[0], "uniform").pvalue > 0.001
    x[:1000, 0] += 2
    two = schema.unpack(draws_of(x, [0.5, 0.5], [[0, 0, 0], [2, 0, 0]], [np.eye(3)] * 2, chains=1, draws=1))
    assert st.kstest(points.farness(x, two)[0], "uniform", alternative="greater").pvalue > 0.001


def test_influential_points_are_detected(blob):
    """Sixty draws of one chain, and a point so far away that it determines the fit."""
    x = blob[:40, :1].copy()
    x[3] = 30.0
    ruled = sampled(bg.MixtureModel(1), x, draws=250, chains=2, seed=1)
    (found,) = bg.diagnose(ruled, ["influential points"], progress=False)
    assert found.evidence["rows"] == [3]
    calm = sampled(bg.MixtureModel(1), blob, draws=250, chains=2, seed=1)
    assert not bg.diagnose(calm, ["influential points"], progress=False)


def test_rounding_as_coarse_as_a_component(blob):
    coarse = np.round(blob[:, :1] * 0.3)
    (found,) = bg.diagnose(draws_of(coarse, [1.0], [[0.0]], [[[0.09]]]), ["rounding"])
    assert "steps of 1" in found.what
    assert not bg.diagnose(draws_of(np.round(blob, 1), [1.0], [[0, 0]], [np.eye(2)]), ["rounding"])


# ---- words ----


def test_findings_are_printed_as_sentences():
    worst = Finding("problem", "mixing", "The chains do not agree.", "Averages would differ.", "Draw more.")
    small = Finding("note", "tree <depth>", "Cut & short.", "", "")
    found = Findings([small, worst], ["energy"], {"prior": "no declaration"})
    assert [f.severity for f in found] == ["problem", "note"]
    assert found.verdict == (
        "Do not trust these results yet: the chains do not agree. Draw more. The other checks found only 1 note."
    )
    text = str(found)
    assert text.index("PROBLEM (mixing)") < text.index("NOTE") < text.index("No findings from: energy")
    assert "prior: no declaration" in text
    assert max(map(len, text.splitlines())) <= 100
    html = found._repr_html_()
    assert "Cut &amp; short" in html
    assert "<details>" in html
    assert list(found.table["check"]) == ["mixing", "tree <depth>"]
    assert repr(found) == "<Findings: 1 problem, 1 note (1 passed, 1 skipped)>"


def test_an_empty_diagnosis_is_reported():
    assert "Nothing was checked" in Findings().verdict
    assert "1 check found no problem" in Findings([], ["mixing"]).verdict
    note = Finding("note", "prior", "The prior has a say.", "", "")
    assert Findings([note]).verdict == "No problem was found. 1 note below."
    assert list(Findings().table.columns) == ["severity", "check", "what", "why", "advice"]


def test_columns_called_weight_and_points_have_rows_of_their_own():
    """A column called weight once ended the command, and one called points took the place of the sizes."""
    x = pd.DataFrame({"weight": np.arange(12.0), "points": np.repeat([0.0, 5.0, 9.0], 4)})
    fit = bg.fit(bg.MixtureModel(1), x, "map", seed=1, progress=False)
    words = component_words(fit)[1]["component 0"]
    assert list(words.index) == ["points", "weight", "column weight", "column points"]
    assert words["points"] == "12.0"
    assert float(words["column weight"]) == pytest.approx(5.5, abs=0.2)


@pytest.mark.parametrize(("draws", "noted"), [(100, True), (200, False)])
def test_chains_that_are_too_short_for_a_comparison_with_a_gibbs_run_say_so(draws, noted, whole_searches):
    x = np.random.default_rng(0).normal(size=(60, 1)) + np.repeat([[0.0], [12.0]], 30, axis=0)
    found = bg.diagnose(bg.fit(bg.MixtureModel(2), x, seed=1, draws=draws, progress=False), ["modes"], progress=False)
    notes = [finding.what for finding in found if "not compared with a Gibbs run" in finding.what]
    assert (
        notes == ["The chains were not compared with a Gibbs run: that takes at least 200 draws of each chain."] * noted
    )


@pytest.mark.parametrize(("prior", "noted"), [(bg.WishartPrecision(), True), (bg.LKJCovariance(), False)])
def test_interrupted_chains_that_a_gibbs_sampler_could_judge_say_so(prior, noted, whole_searches, monkeypatch):
    real = nuts.draw_from_modes
    monkeypatch.setattr(nuts, "draw_from_modes", lambda *given: replace(real(*given), interrupted=True))
    x = np.random.default_rng(0).normal(size=(60, 1)) + np.repeat([[0.0], [12.0]], 30, axis=0)
    with pytest.warns(bg.FitWarning, match="Interrupted"):
        fit = bg.fit(bg.MixtureModel(2, covariances=prior), x, seed=1, draws=200, progress=False)
    found = bg.diagnose(fit, ["modes"], progress=False)
    assert any("the run was interrupted" in finding.what for finding in found) == noted
