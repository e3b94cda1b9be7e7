"""Structures of MixtureClassifier, chosen by BIC: EDDA and MclustDA, against the stored numbers of R's mclust."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

import bayesgmm as bg
from bayesgmm.errors import ComponentError
from bayesgmm.estimators.discriminants import ACROSS, Wanted
from bayesgmm.families.structures import COVARIANCES, family_named
from bayesgmm.posterior.criteria import n_parameters
from bayesgmm.posterior.schema import unpack

STORED = json.loads((Path(__file__).parents[1] / "families/mclust/numbers.json").read_text())
TABLES = [name for name in STORED if "classes" in STORED[name]]
RNG = np.random.default_rng(0)
CLASS = RNG.integers(0, 2, 200)
X = np.where(CLASS[:, None] == 1, 0.0, np.where(np.arange(200)[:, None] % 4 < 2, -4.0, 4.0)) + RNG.normal(size=(200, 2))
"""Class 1 is one cluster, class 0 two on both sides of it."""


def stored(name):
    return np.array(STORED[name]["x"]), np.array(STORED[name]["classes"]["class"])


def classifier(**settings):
    return bg.MixtureClassifier(**({"random_state": 0, "covariance_type": ["full", "tied", "EEI", "EII"]} | settings))


@cache
def selected(name):
    counts = "select" if name == "iris" else "1-4"
    return classifier(n_components=counts, covariance_type="select").fit(*stored(name))


def log_joint(fitted, x):
    """Log density of values (N, C) times the shares of the classes."""
    return np.column_stack([bg.density(fit, x)["log_density"] for fit in fitted.posteriors_]) + np.log(fitted.priors_)


@pytest.mark.parametrize("name", TABLES)
def test_gaussians_of_all_classes_in_each_structure_are_mclusts(name):
    """EDDA: mclust's log likelihood is that of the values; it does not count the shares of the classes.

    For common axes, found by iteration, both stop near a maximum of the likelihood of values and labels.
    """
    x, y = stored(name)
    for model, theirs in STORED[name]["classes"]["edda"].items():
        fitted = classifier(covariance_type=[model], across="classes").fit(x, y)
        loglik = logsumexp(log_joint(fitted, x), axis=1).sum()
        if model in {"EVE", "VVE"}:
            assert loglik > theirs["loglik"] - 0.05, model
        else:
            assert loglik == pytest.approx(theirs["loglik"], abs=1e-4), model
        assert fitted.selection_["n_parameters"][0] == theirs["n_parameters"] + len(fitted.classes_) - 1


def test_iris_is_vev_with_the_published_numbers():
    """Log likelihood -187.7097 and 38 parameters; VEV by the BIC of all choices, mixtures of the classes among them."""
    x, _ = stored("iris")
    fitted = selected("iris")
    assert fitted.covariance_types_ == ["VEV"] * 3
    assert fitted.selection_["n_parameters"][0] == 38
    assert logsumexp(log_joint(fitted, x), axis=1).sum() == pytest.approx(-187.7097, abs=5e-5)
    assert len(fitted.selection_) == 15


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_mixtures_of_the_classes_are_at_least_as_good_as_mclusts(name):
    """BIC of the best mixture of each class, of all structures."""
    x, y = stored(name)
    for label, theirs in STORED[name]["classes"]["mixtures"]["classes"].items():
        structure = family_named("full" if theirs["model"] == "XXX" else theirs["model"])
        size = n_parameters(structure, theirs["n_components"], x.shape[1])
        bic = size * np.log((y == label).sum()) - 2 * theirs["loglik"]
        ours = selected(name).class_selections_[label].iloc[0]
        assert ours["bic"] < bic + 1e-3, label
        if ours["bic"] > bic - 0.1:  # the same maximum, to mclust's tolerance
            assert (ours["covariance"], ours["n_components"]) == (structure.name, theirs["n_components"])


@pytest.mark.parametrize("across", ACROSS)
def test_the_log_likelihood_is_that_of_values_and_labels(across):
    fitted = classifier(n_components="1-2", covariance_type=["full", "tied", "EII"], across=across).fit(X, CLASS)
    row = fitted.selection_.iloc[0]
    assert row["loglik"] == pytest.approx(log_joint(fitted, X)[np.arange(200), CLASS].sum(), abs=1e-6)
    assert row["bic"] == pytest.approx(row["n_parameters"] * np.log(200) - 2 * row["loglik"])
    structures = [COVARIANCES[name] for name in fitted.covariance_types_]
    if across == "components":
        sizes = (n_parameters(one, k, 2) for one, k in zip(structures, fitted.n_components_, strict=True))
        assert row["n_parameters"] == sum(sizes) + 1
    else:
        assert row["n_parameters"] == n_parameters(structures[0], 2, 2)


def test_a_class_of_two_clusters_gets_two_components():
    fitted = classifier(n_components="select").fit(X, np.where(CLASS == 1, "one", "two"))
    assert fitted.selection_["across"][0] == "components"
    assert dict(zip(fitted.classes_, fitted.n_components_, strict=True)) == {"one": 1, "two": 2}
    assert fitted.score(X, np.where(CLASS == 1, "one", "two")) > 0.95
    assert fitted.selection_["bic"].is_monotonic_increasing
    assert [fit["posterior"].sizes["component"] for fit in fitted.posteriors_] == [1, 2]


def test_the_names_of_the_classes_do_not_matter():
    numbers, texts = (classifier(covariance_type=["full", "EEI"]).fit(X, y) for y in (CLASS, CLASS.astype(str)))
    np.testing.assert_array_equal(numbers.predict(X).astype(str), texts.predict(X))
    np.testing.assert_array_equal(numbers.selection_["bic"], texts.selection_["bic"])


def test_weights_count_rows():
    weight = RNG.integers(0, 4, 200)
    settings = {"n_components": "1-2", "covariance_type": ["full", "VEI"]}
    one = classifier(**settings).fit(X, CLASS, sample_weight=weight)
    other = classifier(**settings).fit(X.repeat(weight, axis=0), CLASS.repeat(weight))
    np.testing.assert_allclose(one.selection_["bic"], other.selection_["bic"], rtol=1e-6)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-4)


def test_missing_values_have_a_part_in_the_choice():
    holed = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
    fitted = classifier(covariance_type=["full", "diag", "EII"], across="classes").fit(holed, CLASS)
    assert np.isfinite(fitted.selection_["bic"]).all()
    np.testing.assert_allclose(fitted.predict_proba(holed).sum(axis=1), 1.0)


def test_unlabelled_rows_help_to_choose_one_structure_for_all_classes():
    flowers = bg.datasets.iris()
    x, y = flowers.drop(columns="species"), flowers["species"].to_numpy(dtype=object)
    few = np.where(np.arange(150) % 5 == 0, y, -1)
    fitted = classifier(n_components="select", covariance_type="select", unlabelled=-1).fit(x, few)
    assert fitted.covariance_types_ == ["VEV"] * 3
    assert fitted.score(x, y) > 0.96
    assert (fitted.priors_ != 1 / 3).all()
    problem = fitted.selection_.iloc[-1]["problem"]
    assert "can't be chosen class by class" in problem
    with pytest.raises(ComponentError, match="With unlabelled rows the mixtures of all classes are fitted together"):
        classifier(n_components="select", across="components", unlabelled=-1).fit(x, few)


def test_components_with_as_many_parameters_as_rows_are_left_out():
    """They would have singular covariances, of a high likelihood. One component has no such maxima."""
    rows = np.random.default_rng(1).normal(size=(24, 4))
    fitted = classifier(n_components="1-3", covariance_type=["full", "EII"], across="components").fit(rows, [0, 1] * 12)
    table = fitted.class_selections_[0]
    many = (table["n_components"] > 1) & (table["n_parameters"] >= 12)
    assert many.sum() == 3
    assert table.loc[many, "problem"].str.contains("for 12 rows: too many for BIC.").all()
    assert np.isfinite(table.loc[table["n_components"] == 1, "bic"]).any()
    assert table.loc[many, "bic"].isna().all()


def test_a_class_of_few_rows_says_why_it_has_no_mixture():
    """Structures that the classes share need no more than one row of a class."""
    label = np.where(np.arange(200) == 3, 2, CLASS)
    fitted = classifier(n_components="select").fit(X, label)
    assert fitted.selection_["across"][0] == "classes"
    mixtures = fitted.selection_[fitted.selection_["across"] == "components"]
    assert mixtures["problem"].item().startswith("Class 2: ")
    with pytest.raises(ComponentError, match=r"no choice can be fitted.*\n  Give a number and one structure"):
        classifier(across="components").fit(X, label)


def test_in_one_column_there_are_two_structures():
    fitted = classifier(covariance_type="select", across="classes").fit(X[:, :1], CLASS)
    assert len(fitted.selection_) == 2


def test_another_method_fits_what_was_chosen_under_its_priors():
    fitted = classifier(n_components="1-2", method="vb", settings={"draws": 50}).fit(X, CLASS)
    assert fitted.n_components_.tolist() == [2, 1]
    assert [fit["posterior"].sizes["draw"] for fit in fitted.posteriors_] == [50, 50]


def test_a_new_fit_forgets_the_choice_of_an_earlier_one():
    fitted = classifier(covariance_type=["full", "tied"]).fit(X, CLASS)
    fitted.set_params(covariance_type="full").fit(X, CLASS)
    assert not hasattr(fitted, "selection_")
    assert fitted.covariance_types_ == ["full", "full"]


def test_what_is_given_is_not_chosen():
    assert Wanted.of(2, "VEV", None, "em") is None
    assert Wanted.of(1, "VEV", "classes", "em").across == ["classes"]
    assert Wanted.of(2, "select", None, "em").across == ["components"]
    assert Wanted.of("1-2", ["VVV", "full"], None, "em").names == ["full"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"covariance_type": "selct"}, "covariance_type='selct' is not one of .*'select'.*did you mean 'select'"),
        ({"covariance_type": ["full", "VVW"]}, "covariance_type='VVW' is not one of"),
        ({"covariance_type": []}, "covariance_type=.*give at least one family"),
        ({"n_components": "selct"}, "n_components='selct'.*'select', which chooses from 1 to 5"),
        ({"n_components": [0, 1]}, "n_components=0: must be a whole number, at least 1"),
        ({"across": "class"}, "across='class' is not one of 'classes', 'components'; did you mean 'classes'"),
        ({"n_components": 2, "across": "classes"}, "n_components=2: each class then has one component"),
        ({"settings": {"draws": 3}}, "draws"),
    ],
)
def test_parameters_that_can_t_be_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        classifier(**settings).fit(X, CLASS)


def test_the_shares_sum_up():
    fitted = selected("iris")
    np.testing.assert_allclose(fitted.predict_proba(stored("iris")[0]).sum(axis=1), 1.0)
    assert all(unpack(fit).parameters.weight.sum() == pytest.approx(1.0) for fit in fitted.posteriors_)


@pytest.mark.parametrize("structure", ["EEV", "VEV"])
def test_a_class_of_few_rows_has_no_directions_of_its_own(structure):
    """Where its rows do not span all directions, the rest would depend on the order of the columns."""
    values, known = (part[:102] for part in stored("iris"))
    with pytest.raises(ComponentError, match="has 2 rows: directions of its own in 4 columns need at least 4"):
        classifier(n_components=1, covariance_type=structure, across="classes").fit(values, known)
    turned = values[:, [2, 0, 3, 1]]
    one, other = (classifier().fit(x, known).predict_proba(x) for x in (values, turned))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_advice_of_a_classifier_names_only_what_it_has():
    """A constant column, a class of one row, and unlabelled rows."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 2)), np.repeat([0, 1], 20)
    chosen = bg.MixtureClassifier("select", covariance_type="select", across="components", unlabelled=-1)
    with pytest.raises(bg.errors.ComponentError, match="column 'x1' is constant.*\n  Drop constant columns") as caught:
        chosen.fit(np.column_stack([x[:, 0], np.ones(40)]), y)
    assert "means=" not in str(caught.value)
    with pytest.raises(bg.errors.ComponentError, match="class 2: component 0 holds 1.0 points"):
        bg.MixtureClassifier(method="mle").fit(np.r_[x, [[9.0, 9.0]]], np.r_[y, 2])
    with pytest.raises(bg.errors.ComponentError, match="class by class.\n  Give across='classes'"):
        chosen.fit(x, np.where(np.arange(40) % 5 == 0, -1, y))
