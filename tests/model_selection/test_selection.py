"""Model selection: criteria against scikit-learn, the search, the bootstrap test, the plot."""

import math
import os
import signal
import threading
import warnings
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.special import xlogy
from scipy.stats import binom, multivariate_normal
from sklearn.mixture import GaussianMixture

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import ComponentError, DataError, DeclarationError, UnknownName
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import searches
from bayesgmm.model_selection import bootstrap, candidates, rounds
from bayesgmm.plots import selection_data
from bayesgmm.posterior.criteria import CRITERIA, assignment_entropy, n_parameters
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import unpack
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Table, fold

mpl.use("Agg")
import matplotlib.pyplot as plt

from tests.families.registry import SKLEARN

SAMPLE = make_mixture(n_points=200, n_features=2, n_components=3, overlap=0.01, seed=1)
OVERLAPPING = make_mixture(n_points=200, n_features=2, n_components=3, overlap=0.2, seed=1).X
SPIKE = np.concatenate([np.zeros(50), np.random.default_rng(0).normal(3, 1, size=50)])  # no maximum with K > 1
NUMBERS = ["loglik", "bic", "aic", "icl"]


def choose(x=SAMPLE.X, n_components=(1, 2, 3), covariance=("full", "diag"), **arguments):
    return bg.select(x, n_components, covariance, **({"seed": 1, "progress": False} | arguments))


@pytest.fixture(scope="module")
def table():
    return choose()


@pytest.fixture
def no_bound(monkeypatch):
    """No search for the ELBO, which takes longer than the rest: tests that do not read it."""
    monkeypatch.setattr(candidates, "highest_elbo", lambda *_: math.nan)


@pytest.mark.parametrize("covariance", SKLEARN)
def test_the_number_of_parameters_matches_scikit_learn(covariance):
    theirs = GaussianMixture(3, covariance_type=covariance).fit(np.random.default_rng(0).normal(size=(50, 4)))
    assert n_parameters(COVARIANCES[covariance], 3, 4) == theirs._n_parameters()


@pytest.mark.parametrize("diagonal", [False, True])
def test_entropy_from_statistics_matches_the_responsibilities(diagonal):
    rng = np.random.default_rng(0)
    x, weight, row_weight = rng.normal(size=(70, 2)), np.array([0.2, 0.3, 0.5]), rng.uniform(0, 3, size=70)
    mean, chol = rng.normal(size=(3, 2)), np.tril(rng.normal(size=(3, 2, 2))) + 2 * np.eye(2)
    covariance = np.array([np.diag(np.diag(c @ c.T)) if diagonal else c @ c.T for c in chol])
    root = np.linalg.inv(np.linalg.cholesky(covariance))
    dense = np.array([w * multivariate_normal(m, c).pdf(x) for w, m, c in zip(weight, mean, covariance, strict=True)])
    shares = dense / dense.sum(axis=0)
    wanted = -(row_weight * xlogy(shares, shares)).sum()
    table = Table.from_parameters(np.log(weight), mean, np.diagonal(root, 0, 1, 2).copy() if diagonal else root)
    assert assignment_entropy(fold(Blocks.from_rows(x, row_weight), table), table) == pytest.approx(wanted)


def test_a_component_without_weight_adds_no_entropy():
    with np.errstate(divide="ignore"):
        table = Table.from_parameters(np.log([1.0, 0.0]), [[0.0], [9.0]], [[1.0], [1.0]])
    assert assignment_entropy(fold(Blocks.from_rows([[0.0], [1.0]]), table), table) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("covariance", SKLEARN)
def test_criteria_match_scikit_learn_at_the_same_maximum(covariance, no_bound):
    row = choose(OVERLAPPING, 3, covariance).iloc[0]
    p = unpack(bg.fit(bg.MixtureModel(3, covariance), OVERLAPPING, "em", seed=1, progress=False)).parameters
    theirs = GaussianMixture(3, covariance_type=covariance, tol=1e-12, max_iter=5000, reg_covar=0)
    precision = COVARIANCES[covariance].squeezed(COVARIANCES[covariance].cores(np.linalg.inv(p.covariance[0])))
    theirs.set_params(weights_init=p.weight[0], means_init=p.mean[0], precisions_init=precision).fit(OVERLAPPING)
    shares = theirs.predict_proba(OVERLAPPING)
    assert row["bic"] == pytest.approx(theirs.bic(OVERLAPPING), rel=1e-5)
    assert row["aic"] == pytest.approx(theirs.aic(OVERLAPPING), rel=1e-5)
    assert row["icl"] == pytest.approx(theirs.bic(OVERLAPPING) - 2 * xlogy(shares, shares).sum(), abs=1)
    assert row["icl"] > row["bic"] + 1


@pytest.mark.parametrize("covariance", SKLEARN)
def test_each_choice_is_the_fit_by_em(covariance, no_bound):
    x = SAMPLE.X * [1.0, 50.0]
    fit = bg.fit(bg.MixtureModel(2, covariance), x, "em", seed=1, progress=False)
    row, compared = choose(x, 2, covariance).iloc[0], bg.compare({"em": fit}).loc["em"]
    for name in [*NUMBERS, "n_parameters"]:
        assert row[name] == pytest.approx(compared[name], rel=1e-9), name


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_the_best_choice_is_the_true_one_and_comes_first(criterion, no_bound):
    table = choose(n_components=range(1, 5), criterion=criterion)
    assert table[criterion].is_monotonic_increasing
    assert len(table) == 8
    if criterion != "aic":  # which takes too many, now and then
        assert table["n_components"][0] == 3


def test_the_choice_does_not_depend_on_units(no_bound):
    """Densities in other units differ by a constant, the same for all choices."""
    one, other = choose(covariance=list(COVARIANCES)), choose(1000 * SAMPLE.X, covariance=list(COVARIANCES))
    constant = 2 * 200 * 2 * math.log(1000)
    one, other = (t.sort_values(["n_components", "covariance"]) for t in (one, other))
    np.testing.assert_allclose(other["bic"].to_numpy(), one["bic"].to_numpy() + constant, rtol=1e-5)


def test_a_row_of_weight_two_counts_as_two_rows(no_bound):
    weight = np.where(np.arange(200) < 50, 2.0, 1.0)
    twice = np.repeat(SAMPLE.X, weight.astype(int), axis=0)
    one, other = choose(sample_weight=weight), choose(twice)
    np.testing.assert_allclose(one[NUMBERS], other[NUMBERS], rtol=1e-6)


def test_the_same_seed_gives_the_same_table_on_any_number_of_cores():
    one, two, three = (choose(n_components=(1, 2), cores=cores) for cores in (1, 2, 3))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    pd.testing.assert_frame_equal(one, three, check_exact=True)


def test_a_choice_that_can_not_be_fitted_has_a_problem_and_the_others_go_on(no_bound):
    table = choose(SPIKE, [1, 2, 200], ["full", "tied"])
    failed = table[table["problem"] != ""]
    assert set(zip(failed["n_components"], failed["covariance"], strict=True)) == {
        (2, "full"),
        (200, "full"),
        (200, "tied"),
    }
    assert failed[NUMBERS].isna().all(axis=None)
    assert failed["n_parameters"].notna().all()
    assert list(table.index[:3]) == [0, 1, 2]
    assert table["problem"][:3].tolist() == ["", "", ""]
    reasons = failed.set_index(["n_components", "covariance"])["problem"]
    assert "singular" in reasons[2, "full"]
    assert "100 rows can't hold 200 components" in reasons[200, "tied"]


def test_a_fit_that_has_not_converged_has_a_problem(monkeypatch, no_bound):
    search = searches.em.maximise_likelihood
    monkeypatch.setattr(searches.em, "maximise_likelihood", lambda *args, **kwargs: search(*args, max_iter=3, **kwargs))
    table = choose(n_components=5, covariance="full")
    assert table["problem"][0] == "EM stopped after 3 iterations before it converged."
    assert np.isfinite(table["bic"][0])


def test_a_maximum_that_was_missed_gives_a_warning(monkeypatch):
    """The larger mixture includes the smaller one, so its maximum can't be lower."""
    find = searches.find_maximum

    def careless(blocks, family, n_components, *args):
        return find(blocks, family, 1 if n_components == 3 else n_components, *args)

    monkeypatch.setattr(candidates, "find_maximum", careless)
    message = r"covariance='diag': the likelihood decreases from 2 to 3 components.* Try n_init=12"
    with pytest.warns(bg.FitWarning, match=message):
        choose(covariance="diag", n_init=4)


@pytest.mark.parametrize(("unsettled", "warns"), [({3}, True), ({2}, False), ({6}, False)])
def test_close_choices_with_a_search_that_has_not_settled_give_a_warning(unsettled, warns, monkeypatch):
    """The BIC of two components is the best, that of three is 7 higher, that of six 100 higher or more."""
    find = searches.find_maximum

    def unsettled_choice(blocks, family, n_components, *args):
        found = find(blocks, family, n_components, *args)
        return replace(found, undiscovered=0.6 if n_components in unsettled else 0.0)

    monkeypatch.setattr(candidates, "find_maximum", unsettled_choice)
    iris = bg.datasets.iris().drop(columns="species")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = bg.select(iris, [2, 3, 6], "full", seed=0, sweeps=500, progress=False)
    assert table["n_components"].tolist() == [2, 3, 6]
    message = (
        "A higher maximum of the likelihood may exist for 3 components with 'full', which by BIC is little worse than "
        "the best. Try sweeps=2000."
    )
    assert [str(one.message) for one in caught] == ([message] if warns else [])


def test_after_a_brief_search_the_thorough_one_tells_whether_it_has_settled(monkeypatch):
    """Also where the brief one ended at a likelihood that is higher by rounding."""
    find = searches.find_maximum

    def higher_if_brief(blocks, family, n_components, seed, n_init, stop, sweeps, threads):
        found = find(blocks, family, n_components, seed, n_init, stop, sweeps, threads)
        is_brief = sweeps < 500
        return replace(found, loglik=found.loglik + 1e-9 * is_brief, undiscovered=0.6 * is_brief)

    monkeypatch.setattr(candidates, "find_maximum", higher_if_brief)
    iris = bg.datasets.iris().drop(columns="species")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = bg.select(iris, [2, 3], "full", seed=0, sweeps=500, search="brief", progress=False)
    assert sorted(table["n_components"]) == [2, 3]
    assert not caught


def test_a_single_number_and_a_single_covariance_are_accepted(no_bound):
    assert len(choose(n_components=2, covariance="tied")) == 1
    assert choose(n_components=np.int64(2), covariance="tied")["n_components"][0] == 2
    assert len(choose(n_components=[2, 2, 1], covariance=["tied", "tied"])) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": []}, DeclarationError, "give at least one number"),
        ({"n_components": [0, 1]}, DeclarationError, "n_components=0: must be a whole number"),
        ({"covariance": []}, DeclarationError, "give at least one family"),
        ({"covariance": ["fulll"]}, UnknownName, "did you mean 'full'"),
        ({"criterion": "bik"}, UnknownName, "did you mean 'bic'"),
        ({"columns": ["z"]}, DataError, "1 column names were given for 2 columns"),
        ({"n_init": 0}, DeclarationError, "n_init=0"),
        ({"sweeps": 0}, DeclarationError, "sweeps=0"),
        ({"cores": 0}, DeclarationError, "cores=0"),
        ({"seed": -1}, DeclarationError, "seed=-1"),
    ],
)
def test_bad_arguments_are_refused_before_any_fit(arguments, error, message):
    with pytest.raises(error, match=message):
        choose(**arguments)


@pytest.mark.parametrize("function", [bg.select, bg.bootstrap_test])
def test_a_declaration_in_place_of_the_data_is_refused_with_the_call(function):
    with pytest.raises(DeclarationError, match=rf"(?s)give the data first.*{function.__name__}\(data, n_components="):
        function(bg.MixtureModel(2), SAMPLE.X)


@pytest.fixture
def with_bound(monkeypatch):
    """A search for the bound that returns the number of components, and fails for two."""

    def search(density, seed, settings, cores):
        if density.n_components == 2:
            raise ComponentError("no bound\n  for two")
        return 100.0 * density.n_components

    monkeypatch.setattr(candidates, "highest_elbo", search)


def test_the_elbo_includes_all_equal_labellings(with_bound):
    table = choose(covariance="full", criterion="elbo")
    assert list(table["n_components"]) == [3, 1, 2]
    assert table["elbo"][0] == pytest.approx(300 + math.log(6))
    assert table["elbo"][1] == pytest.approx(100)
    assert np.isnan(table["elbo"][2])
    assert table["problem"][2] == "No elbo: no bound for two"
    assert np.isfinite(table["bic"]).all()


def test_the_elbo_is_that_of_the_engine():
    row = choose(n_components=2, covariance="full", criterion="elbo").iloc[0]
    fit = bg.fit(bg.MixtureModel(2), SAMPLE.X, "vb", seed=1, progress=False)
    assert row["elbo"] == pytest.approx(info(fit).notes.elbo + math.log(2))


def test_the_elbo_is_computed_only_where_it_is_the_criterion(monkeypatch):
    monkeypatch.setattr(candidates, "highest_elbo", lambda *_: pytest.fail("it takes as long as all else"))
    found = choose(covariance="full")
    assert "elbo" not in found
    with pytest.raises(DataError, match=r"no column 'elbo'; give one from select\(data, criterion='elbo'\)"):
        selection_data(found, "elbo")


# -- a brief search, and choices that are the same --


def test_a_brief_search_finds_the_best_choice_of_a_thorough_one(table):
    """The best are searched as thoroughly: they have the same criteria."""
    brief = choose(n_components=range(1, 6), search="brief")
    assert brief["search"].tolist()[:1] == ["thorough"]
    assert (brief["search"] == "thorough").sum() >= 5
    assert len(brief) == 10
    assert brief.loc[0, NUMBERS].tolist() == pytest.approx(table.loc[0, NUMBERS].tolist(), rel=1e-7)
    assert "search" not in table
    with pytest.raises(DeclarationError, match="search='brif' is not one of 'brief', 'thorough'"):
        choose(search="brif")


def test_a_brief_search_starts_from_the_mixtures_of_other_families():
    """A poor row of one family, next to a good one of another: it takes over the assignments, and never gets worse."""
    x = make_mixture(300, 2, 4, overlap=0.01, seed=2).X
    tried = candidates.Candidates.of(as_points(x), ["full", "tied"], 0, 5)
    good, poor = (tried.row(4, name, threading.Event()) for name in ("full", "tied"))
    spoiled = poor | {"loglik": poor["loglik"] - 100.0}
    found = tried.near(spoiled, [("full", good["mixture"])], threading.Event())
    assert found["loglik"] == pytest.approx(poor["loglik"], abs=1e-3)
    assert tried.near(poor | {"loglik": 0.0}, [("full", good["mixture"])], threading.Event())["loglik"] == 0.0
    assert found["bic"] == pytest.approx(poor["bic"], abs=2e-3)


def test_choices_that_are_close_to_the_best_are_searched_again():
    rows = [{"n_components": k, "covariance": "full", "bic": 10.0 * k} for k in range(1, 9)]
    assert len(rounds.best_choices(rows)) == 5
    assert rounds.best_choices(rows, near=60.0) == [(k, "full") for k in range(1, 8)]


@pytest.mark.parametrize(("columns", "n_components", "distinct"), [(1, 2, 2), (2, 1, 3), (2, 2, 14)])
def test_families_that_are_the_same_model_are_fitted_once(columns, n_components, distinct, monkeypatch):
    """In one column there are only volumes; one component shares nothing."""
    find, fitted = candidates.find_maximum, []
    monkeypatch.setattr(candidates, "find_maximum", lambda *args: fitted.append(args[1].name) or find(*args))
    found = choose(SAMPLE.X[:, :columns], [n_components], "all", n_init=2, cores=1)
    assert len(fitted) == distinct
    assert sorted(found["covariance"]) == sorted(COVARIANCES)
    values = {(row.n_parameters, round(row.loglik, 6)) for row in found.itertuples()}
    assert len(values) == distinct
    assert all(
        n_parameters(COVARIANCES[row.covariance], n_components, columns) == row.n_parameters
        for row in found.itertuples()
    )


# -- Ctrl-C --


def interrupt_after(monkeypatch, calls):
    """Send Ctrl-C after a number of fits."""
    find, count, lock = searches.find_maximum, [0], threading.Lock()

    def counted(*args):
        with lock:
            count[0] += 1
            if count[0] == calls + 1:
                os.kill(os.getpid(), signal.SIGINT)
                args[5].wait(10)  # until the search is told to stop
        return find(*args)

    for module in (candidates, bootstrap):
        monkeypatch.setattr(module, "find_maximum", counted)


def test_ctrl_c_keeps_the_choices_that_are_done(monkeypatch, table):
    interrupt_after(monkeypatch, 3)
    with pytest.warns(bg.FitWarning, match="Interrupted: the table has 3 of 6 choices"):
        kept = choose(cores=1)
    pd.testing.assert_frame_equal(kept, table.merge(kept[["n_components", "covariance"]]), check_exact=True)


def test_ctrl_c_before_the_first_result_is_raised(monkeypatch):
    interrupt_after(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        choose(cores=1)


def test_ctrl_c_while_tasks_are_submitted_stops_the_others():
    def patient(stop):
        assert stop.wait(10)
        raise searches.Stopped

    class Calls(list):
        """Ctrl-C comes while the third is asked for."""

        def __iter__(self):
            yield from self[:2]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searches.run_all(patient, Calls([()] * 3), "", cores=2, progress=False)


def test_ctrl_c_stops_a_long_fit_in_the_middle():
    stop = threading.Event()
    stop.set()
    with pytest.raises(searches.Stopped):
        searches.find_maximum(Blocks.from_rows(SAMPLE.X), COVARIANCES["full"], 2, 0, 1, stop)


def test_an_unexpected_error_in_a_task_is_raised():
    def task(number, stop):
        return 1 / number and stop.wait(10)

    with pytest.raises(ZeroDivisionError):
        searches.run_all(task, [(0,), (1,), (1,)], "", cores=2, progress=False)


# -- the bootstrap test --


def test_the_p_value_is_uniform_under_the_null_hypothesis():
    """One Gaussian: the ratio has one distribution, whatever its mean and variance, so the test is exact.

    40 data sets, 3 replicates: a p-value of at most one half is a coin toss. False alarm: 3e-5 (fewer than 8 or
    more than 32 of them).
    """
    rng = np.random.default_rng(3)
    settings = {"covariance": "tied", "replicates": 3, "n_init": 1, "progress": False}
    p_values = [bg.bootstrap_test(rng.normal(size=20), 1, seed=i, **settings).p_value for i in range(40)]
    assert binom.cdf(7, 40, 0.5) + binom.sf(32, 40, 0.5) < 5e-5
    assert 8 <= int((np.array(p_values) <= 0.5).sum()) <= 32


def test_the_right_number_of_clear_clusters_is_found():
    """Two bumps, eight standard deviations apart. The second p-value falls to 1 / 10 by chance in 1 of 10 data sets."""
    bumps = np.random.default_rng(1).normal([0.0, 8.0], size=(30, 2)).ravel()
    test = bg.bootstrap_test(bumps, 1, covariance="tied", replicates=9, seed=1, n_init=2, progress=False)
    assert test.p_value == 1 / 10
    assert (test.n_components, test.against, test.replicates.shape) == (1, 2, (9,))
    enough = bg.bootstrap_test(bumps, 2, 3, "tied", replicates=9, seed=1, n_init=2, progress=False)
    assert enough.p_value > 1 / 10
    assert enough.against == 3
    assert "2 against 3 components (tied)" in str(enough)


def test_the_statistic_is_twice_the_log_ratio(table):
    loglik = table[table["covariance"] == "diag"].set_index("n_components")["loglik"]
    test = bg.bootstrap_test(SAMPLE.X, 1, 3, "diag", replicates=1, seed=1, progress=False)
    assert test.statistic == pytest.approx(2 * (loglik[3] - loglik[1]))


def test_replicates_are_drawn_from_the_null_hypothesis(monkeypatch):
    """The points of the replicates have the data's moments: 5 standard errors, 5 numbers: false alarm 3e-6."""
    drawn = []
    statistic = bootstrap.Hypotheses.statistic
    monkeypatch.setattr(
        bootstrap.Hypotheses, "statistic", lambda self, blocks, *a: drawn.append(blocks) or statistic(self, blocks, *a)
    )
    settings = {"covariance": "tied", "seed": 1, "n_init": 1, "cores": 1}
    test = bg.bootstrap_test(SAMPLE.X, 1, replicates=30, **settings, progress=False)
    family = COVARIANCES["tied"]
    for blocks, value in zip(drawn[1:4], test.replicates[:3], strict=True):  # twice the log ratio, as for the data
        null, other = (searches.find_maximum(blocks, family, k, 1, 1).loglik for k in (1, 2))
        assert value == pytest.approx(max(0.0, 2 * (other - null)))
    data, *replicates = (blocks.rows() for blocks in drawn)
    assert {rows.shape for rows in replicates} == {data.shape}
    rows = np.concatenate(replicates)
    covariance, size = np.cov(data.T, bias=True), len(rows)
    error = np.sqrt(np.diag(covariance) / size)
    assert (np.abs(rows.mean(axis=0) - data.mean(axis=0)) < 5 * error).all()
    variance = np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2
    assert (np.abs(np.cov(rows.T) - covariance) < 5 * np.sqrt(variance / size)).all()


def test_the_bootstrap_is_the_same_on_any_number_of_cores():
    one, two, other = (
        bg.bootstrap_test(SAMPLE.X[:60], 1, replicates=4, seed=s, cores=c, n_init=1, progress=False)
        for s, c in [(1, 1), (1, 3), (2, 2)]
    )
    np.testing.assert_array_equal(one.replicates, two.replicates)
    assert len(set(one.replicates)) == 4
    assert not np.array_equal(one.replicates, other.replicates)


def test_ctrl_c_keeps_the_replicates_that_are_done(monkeypatch):
    interrupt_after(monkeypatch, 2 + 2 * 4)
    with pytest.warns(bg.FitWarning, match="Interrupted: [45] of 50 replicates were done"):
        test = bg.bootstrap_test(SAMPLE.X, 1, replicates=50, seed=1, cores=1, n_init=1, progress=False)
    assert test.replicates.size in (4, 5)  # a small fit under way is finished
    assert test.p_value >= 1 / 6


def test_replicates_that_can_not_be_fitted_are_not_used(monkeypatch):
    replicate = bootstrap.Hypotheses.fit

    def fails(self, blocks, n_components, stop=None):
        if stop is not None and blocks.x[0] > 0:
            raise ComponentError("no")
        return replicate(self, blocks, n_components, stop)

    monkeypatch.setattr(bootstrap.Hypotheses, "fit", fails)
    with pytest.warns(bg.FitWarning, match=r"\d of 9 replicates could not be fitted and are not used"):
        test = bg.bootstrap_test(SAMPLE.X, 1, replicates=9, seed=1, n_init=1, progress=False)
    assert 0 < test.replicates.size < 9
    assert np.isfinite(test.replicates).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": 2, "against": 2}, DeclarationError, "against=2: must be more than n_components=2"),
        ({"n_components": 0}, DeclarationError, "n_components=0"),
        ({"n_components": 1, "replicates": 0}, DeclarationError, "replicates=0"),
        ({"n_components": 1, "covariance": "dia"}, UnknownName, "did you mean 'diag'"),
        ({"n_components": 200}, DataError, "200 rows can't hold 201 components"),
        ({"n_components": 150, "n_init": 1}, ComponentError, "Try fewer components"),
    ],
)
def test_bad_arguments_of_the_test_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        bg.bootstrap_test(SAMPLE.X, progress=False, seed=1, **arguments)


# -- its picture --


def test_selection_data_hold_the_table():
    table = choose(SPIKE, [1, 2, 3], ["full", "tied"])
    data = selection_data(table, "icl")
    for row in table.itertuples():
        cell = data.sel(covariance=row.covariance, n_components=row.n_components)
        assert bool(cell["failed"]) == (row.problem != "")
        np.testing.assert_equal(float(cell["value"]), row.icl)
    assert int(data["best"].sum()) == 1
    assert float(data["value"].where(data["best"]).max()) == table["icl"].min()


def test_the_best_elbo_is_the_highest(with_bound):
    data = selection_data(choose(covariance="full", criterion="elbo"), "elbo")
    assert float(data["value"].where(data["best"]).max()) == pytest.approx(300 + math.log(6))
    assert CRITERIA["elbo"] < 0
    assert bool(data["failed"].sel(n_components=2, covariance="full"))


def test_selection_draws_a_line_for_each_covariance_and_marks_best_and_failed():
    table = choose(SPIKE, [1, 2, 3], ["full", "tied"])
    figure = bg.plots.selection(table)
    (axis,) = figure.axes
    texts = [text.get_text() for text in axis.get_legend().get_texts()]
    assert texts == ["full", "tied", "no fit", "best: 3, tied"]
    assert "BIC" in axis.get_ylabel()
    plt.close(figure)
    failed = table[table["problem"] != ""]
    plt.close(bg.plots.selection(failed))  # nothing to mark


def test_a_table_without_the_criterion_is_refused(table):
    with pytest.raises(UnknownName, match="did you mean 'icl'"):
        selection_data(table, "icll")
    with pytest.raises(DataError, match="the table has no column 'bic'"):
        selection_data(table.drop(columns="bic"))


def test_checked_points_are_accepted():
    points = as_points(SAMPLE.X, ["a", "b"])
    pd.testing.assert_frame_equal(choose(points, [1], "full"), choose(n_components=[1], covariance="full"))


@pytest.fixture(scope="module")
def long_table():
    """More rows than 2 MiB suffice for."""
    return make_mixture(n_points=100_000, n_features=2, n_components=3, overlap=0.01, seed=4).X


def test_files_that_fit_into_memory_give_the_table_of_their_rows(tmp_path):
    frame = pd.DataFrame(SAMPLE.X, columns=["a", "b"])
    for number in range(2):
        frame[100 * number : 100 * number + 100].to_csv(tmp_path / f"{number}.csv", index=False)
    expected = choose(frame, transform="auto")
    pd.testing.assert_frame_equal(choose(tmp_path / "*.csv", transform="auto"), expected)
    test = {"replicates": 5, "seed": 1, "progress": False}
    one, other = (bg.bootstrap_test(data, 1, **test) for data in (frame, tmp_path / "*.csv"))
    assert (one.replicates.tolist(), one.statistic) == (other.replicates.tolist(), other.statistic)


def test_rows_read_in_each_sweep_have_the_criteria_of_the_same_rows_in_memory(long_table):
    known, read = (choose(long_table, (2, 3), n_init=2, **given) for given in ({}, {"memory": "2MiB"}))
    assert read["n_components"].tolist() == known["n_components"].tolist()
    assert read[NUMBERS].to_numpy() == pytest.approx(known[NUMBERS].to_numpy(), rel=1e-6)


@pytest.mark.parametrize("given", [{"transform": "log"}, {"noise": 0.1}])
def test_arguments_that_need_all_rows_are_refused_where_these_are_read_in_parts(given, long_table):
    with pytest.raises(DeclarationError, match=f"{next(iter(given))}= can't be used with rows that are read in parts"):
        choose(long_table, memory="2MiB", **given)


def test_a_client_is_not_ignored_where_rows_are_read_here(long_table):
    with pytest.raises(DeclarationError, match=r"client= can't be used .*\n.*memory='3MiB', which suffices"):
        choose(long_table, memory="2MiB", client=object())


def test_a_bootstrap_test_says_what_memory_its_simulated_tables_need(long_table):
    with pytest.raises(DeclarationError, match=r"of 100,000 rows: each needs 3MiB .*\n.*memory='3MiB'"):
        bg.bootstrap_test(long_table, 2, memory="2MiB", progress=False)
