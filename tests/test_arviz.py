"""ArviZ's promise: which of its public functions take a fit as it is, which need a stored group, and which can't."""

import inspect
import re
import warnings
from pathlib import Path

import arviz as az
import arviz_plots
import arviz_stats
import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import bayesgmm as bg
from tests.conftest import sampled

X = bg.datasets.iris()[["petal_length", "petal_width"]]
SOME = {"var_names": ["weight"]}
STATISTICS = ("bfmi", "diagnose", "ess", "eti", "extract", "hdi", "histogram", "iqr", "kde", "mad", "mcse", "mean")
STATISTICS += ("median", "mode", "qds", "rhat", "std", "var", "get_unconstrained_samples")
PAIRS = ("hexbin", "histogram2d", "kde2d")  # of two arrays of draws
DISTANCES = ("kl_divergence", "wasserstein")  # of two fits
PLOTS = (
    "autocorr",
    "convergence_dist",
    "dgof",
    "dgof_dist",
    "dist",
    "energy",
    "ess",
    "ess_evolution",
    "forest",
    "mcse",
)
PLOTS += ("pair", "parallel", "rank", "rank_dist", "ridge", "trace", "trace_dist")


def renamed(fit):
    """A fit whose components have another dimension: ``psense_summary`` has one of the name ``component`` itself."""
    return fit.map_over_datasets(lambda group: group.rename(component="k") if "component" in group.dims else group)


def both_means(fit):
    """Draws of the mean of component 0 in both columns."""
    mean = fit["posterior"]["mean"].isel(component=0)
    return mean.isel(feature=0), mean.isel(feature=1)


ALONE = {
    **{name: lambda fit, name=name: getattr(az, name)(fit) for name in STATISTICS},
    **{name: lambda fit, name=name: getattr(az, name)(*both_means(fit)) for name in PAIRS},
    **{name: lambda fit, name=name: getattr(az, name)(fit, fit, num_samples=50) for name in DISTANCES},
    "ecdf": lambda fit: az.ecdf(fit["posterior"].dataset),
    "combine_plots": lambda fit: az.combine_plots(fit, [(az.plot_dist, {}), (az.plot_rank, {})], **SOME),
    "add_lines": lambda fit: az.add_lines(az.plot_dist(fit, **SOME), values=0.5),
    "add_bands": lambda fit: az.add_bands(az.plot_dist(fit, **SOME), values=[(0.4, 0.5)]),
    "summary": az.summary,
    "thin": az.thin,
    "ci_in_rope": lambda fit: az.ci_in_rope(fit, rope=(0.3, 0.5), **SOME),
    "rhat_nested": lambda fit: az.rhat_nested(fit, superchain_ids=[0, 1]),
    "plot_energy": az.plot_energy,
    **{
        f"plot_{name}": lambda fit, name=name: getattr(az, f"plot_{name}")(fit, **SOME)
        for name in PLOTS
        if name != "energy"
    },
    "plot_pair_focus": lambda fit: az.plot_pair_focus(
        fit, focus_var="weight", focus_var_coords={"component": 0}, **SOME
    ),
}
"""Functions that take a fit as it is."""

LIKELIHOOD = {
    "loo": az.loo,
    "loo_i": lambda fit: az.loo_i(0, fit),
    "loo_subsample": lambda fit: az.loo_subsample(fit, observations=50),
    "update_subsample": lambda fit: az.update_subsample(
        az.loo_subsample(fit, observations=50, pointwise=True), fit, observations=20
    ),
    "get_log_likelihood": az.get_log_likelihood,
    "loo_approximate_posterior": lambda fit: az.loo_approximate_posterior(
        fit, fit["sample_stats"]["lp"], fit["sample_stats"]["lp"]
    ),
    "compare": lambda fit: az.compare({"one": fit, "other": fit}),
    "plot_compare": lambda fit: az.plot_compare(az.compare({"one": fit, "other": fit})),
    "plot_khat": lambda fit: az.plot_khat(az.loo(fit, pointwise=True)),
}
"""Functions that need ``fit(..., log_likelihood=True)``."""

PRIOR = {
    "plot_prior_posterior": lambda fit: az.plot_prior_posterior(fit, **SOME),
    "plot_bf": lambda fit: az.plot_bf(fit, var_names="weight"),
}
"""Functions that need ``fit(..., prior=True)``."""

BOTH = {
    "psense": az.psense,
    "psense_summary": lambda fit: az.psense_summary(renamed(fit)),
    "plot_psense_dist": lambda fit: az.plot_psense_dist(fit, **SOME),
    "plot_psense_quantities": lambda fit: az.plot_psense_quantities(fit, **SOME),
}
"""Functions that need both."""

PREDICTIVE = {
    "plot_ppc_dist": az.plot_ppc_dist,
    "plot_ppc_tstat": az.plot_ppc_tstat,
    "loo_expectations": lambda fit: az.loo_expectations(fit, var_name="x"),
    "loo_influence": lambda fit: az.loo_influence(fit, var_names=["x"]),
    "loo_r2": lambda fit: az.loo_r2(fit, var_name="x"),
    "weight_predictions": lambda fit: az.weight_predictions([fit, fit], weights=[0.5, 0.5]),
}
"""Functions that need ``bg.posterior_predictive(fit, draws=None)``; those of loo also ``log_likelihood=True``."""

ONE_VALUE = "one value for each point is needed, a point has several: use bg.plots.check"
REGRESSION = "it is for regression"
REFIT = "it fits again, by a wrapper of your own"
NOT = {
    **dict.fromkeys(("loo_pit", "loo_score", "loo_metrics", "metrics"), ONE_VALUE),
    **dict.fromkeys(("plot_loo_pit", "plot_loo_interval", "plot_ppc_interval", "plot_ppc_pit"), ONE_VALUE),
    "plot_ppc_dist_pit": ONE_VALUE,
    **dict.fromkeys(("plot_lm", "bayesian_r2", "residual_r2"), REGRESSION),
    **dict.fromkeys(("plot_loo_pava", "plot_ppc_pava", "plot_ppc_pava_residuals"), "it is for categories"),
    "plot_ppc_rootogram": "it is for counts",
    **dict.fromkeys(
        ("plot_ppc_censored", "kaplan_meier", "generate_survival_curves"), "it is for times that are cut off"
    ),
    "lfo_cv": "it is for time series",
    "plot_ecdf_pit": "it is for simulation-based calibration",
    **dict.fromkeys(("loo_kfold", "loo_moment_match", "reloo"), REFIT),
    "bayes_factor": "it takes single numbers, not weights or means of several components",
}
OTHERS = {"get_function"}  # it looks a function up by its name
OF_BASE = {"extract", "get_unconstrained_samples"}  # functions of arviz-base
DOCS = Path(__file__).parents[1] / "docs"
EVERY = ALONE | LIKELIHOOD | PRIOR | BOTH | PREDICTIVE


@pytest.fixture(scope="module")
def stored():
    mpl.use("Agg")
    settings = {"draws": 100, "chains": 2, "seed": 1, "log_likelihood": True, "prior": True}
    fit = sampled(bg.MixtureModel(2, "tied"), X, **settings)
    fit["posterior_predictive"] = bg.posterior_predictive(fit, draws=None, progress=False)["posterior_predictive"]
    return fit


def without(fit, *groups):
    return fit.filter(lambda node: node.name not in groups)


def attempt(function, fit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(fit)
        finally:
            plt.close("all")


def test_every_public_function_of_arviz_for_fits_is_listed():
    named = {
        name
        for module in (arviz_plots, arviz_stats)
        for name, _ in inspect.getmembers(module, inspect.isfunction)
        if name[0] != "_"
    }
    assert named - OTHERS == {*EVERY, *NOT} - OF_BASE
    assert named <= set(dir(az))
    assert EVERY.keys().isdisjoint(NOT)


def advice(error):
    """What the page of messages says to do about an error of ArviZ."""
    errors = (DOCS / "messages.md").read_text().partition("\n## Errors of ArviZ\n")[2].partition("\n## ")[0]
    answers = re.findall(r"^(`.*)\n: (.*(?:\n  .*)*)$", errors, re.MULTILINE)
    (found,) = [answer for texts, answer in answers if any(text in str(error) for text in re.findall("`(.*?)`", texts))]
    return found


@pytest.mark.parametrize("name", ALONE)
def test_a_fit_is_enough(name, stored):
    bare = without(stored, "log_likelihood", "prior", "prior_predictive", "log_prior", "posterior_predictive")
    assert attempt(ALONE[name], bare) is not None


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        *((name, ("log_likelihood",)) for name in LIKELIHOOD),
        *((name, ("prior",)) for name in PRIOR),
        *((name, ("log_likelihood", "log_prior")) for name in BOTH),
        *((name, ("posterior_predictive",)) for name in PREDICTIVE),
    ],
)
def test_a_stored_group_is_what_a_function_needs(name, groups, stored):
    assert attempt(EVERY[name], stored) is not None
    with pytest.raises(Exception, match=r".") as caught:
        attempt(EVERY[name], without(stored, *groups))
    assert not isinstance(caught.value, AssertionError)
    assert all(group.removeprefix("log_") in advice(caught.value) for group in groups)


def test_the_page_of_messages_says_what_a_summary_of_the_priors_influence_needs(stored):
    with pytest.raises(ValueError, match="conflicting sizes") as caught:
        az.psense_summary(stored)
    call = re.search("`az\\.(.*)`", advice(caught.value))[1]
    assert set(eval(f"az.{call}", {"az": az, "fit": stored})["diagnosis"])


def test_the_page_of_messages_says_what_to_do_about_too_many_panels(stored):
    with az.rc_context({"plot.max_subplots": 3}):
        with pytest.raises(ValueError, match="max_subplots") as caught:
            az.plot_prior_posterior(stored)
        assert eval(re.search("`(az\\..*)`", advice(caught.value))[1], {"az": az, "fit": stored})


def test_groups_are_those_of_the_functions_that_compute_them(stored):
    again = bg.log_likelihood(without(stored, "log_likelihood"), progress=False)
    assert again["log_likelihood"].identical(stored["log_likelihood"])
    assert stored["prior"].sizes["draw"] == 1000
    assert set(stored["prior"].data_vars) >= {"weight", "mean", "covariance"}


def test_stored_groups_are_saved(stored, tmp_path):
    loaded = bg.load(bg.save(stored, tmp_path / "fit.nc"))
    assert {"log_likelihood", "prior", "log_prior"} <= set(loaded.children)
    assert attempt(az.loo, loaded).elpd == attempt(az.loo, stored).elpd


def test_a_point_estimate_has_no_log_prior():
    fit = bg.fit(bg.MixtureModel(2), X, "em", seed=1, progress=False, prior=True, log_likelihood=True)
    assert "prior" in fit.children
    assert "log_likelihood" in fit.children
    assert "log_prior" not in fit.children


def test_a_log_likelihood_that_is_too_large_is_left_out_with_a_warning(monkeypatch):
    def refuse(*args, **settings):
        raise bg.errors.DataError("too large")

    monkeypatch.setattr("bayesgmm.inference.stored_groups.log_likelihood", refuse)
    with pytest.warns(bg.FitWarning, match="The log likelihoods are not stored: too large"):
        fit = bg.fit(bg.MixtureModel(2), X, "em", seed=1, progress=False, log_likelihood=True)
    assert "posterior" in fit.children


def test_the_guide_lists_them_all():
    page = (DOCS / "guides/arviz.md").read_text()
    assert [name for name in {*EVERY, *NOT} if f"`{name}`" not in page] == []
