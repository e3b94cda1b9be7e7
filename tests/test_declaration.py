"""Declarations: equal in Python and TOML, resolved to explicit numbers, all mistakes in one error."""

import re

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.cards.card import load_card
from bayesgmm.data.points import as_points
from bayesgmm.errors import CardError, DeclarationError, UnknownName
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.model import model_from_json
from bayesgmm.priors.covariances import COVARIANCE_PRIORS

MODELS = [
    bg.MixtureModel(3),
    bg.MixtureModel(n_components=2, covariance="diag", weights=bg.Dirichlet((1, 2))),
    bg.MixtureModel(2, "tied", bg.Dirichlet(0.5), bg.NormalMeans([0.0, 1.0], 2.0), bg.WishartPrecision(5.0, 3.0)),
    bg.MixtureModel(2, covariances=bg.WishartPrecision(scale=np.eye(2))),
]


@pytest.mark.parametrize("model", MODELS)
def test_python_toml_and_json_are_equal(model, tmp_path):
    card = tmp_path / "card.toml"
    card.write_text(model.to_toml())
    assert load_card(card).mixture == model
    assert model_from_json(model.model_dump_json()) == model


def test_a_declaration_is_frozen_and_can_be_a_key():
    with pytest.raises(Exception, match="frozen"):
        MODELS[0].n_components = 4
    assert {MODELS[0]: 1}[bg.MixtureModel(3)] == 1


@pytest.mark.parametrize("covariance", [*COVARIANCES, "factors:1"])
@pytest.mark.parametrize("prior", COVARIANCE_PRIORS.values())
def test_a_prior_of_other_covariances_is_refused_by_the_declaration_with_one_that_is_accepted(covariance, prior):
    try:
        model = bg.MixtureModel(2, covariance, covariances=prior())
    except DeclarationError as error:
        advised = re.search(r"\n  Use covariances=(\w+)\(\)", str(error))
        kept = {"covariances": getattr(bg, advised[1])()} if advised else {}
        model = bg.MixtureModel(2, covariance, **kept)
    assert model.resolve(as_points(np.random.default_rng(0).normal(size=(30, 3)))).covariance == model.covariance


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_resolving_sets_every_parameter_and_is_idempotent(covariance):
    points = as_points(np.random.default_rng(0).normal(size=(30, 2)))
    resolved = bg.MixtureModel(2, covariance).resolve(points)
    assert None not in (resolved.means.location, resolved.means.scale, resolved.covariances.dof)
    assert resolved.resolve(points) == resolved


def test_defaults_are_the_published_ones():
    x = np.array([[0.0], [1.0], [2.0], [5.0]])
    resolved = bg.MixtureModel(2).resolve(as_points(x))
    assert resolved.means.location == (2.5,)
    assert resolved.means.scale == (5.0,)
    assert resolved.covariances.dof == 3.0
    np.testing.assert_allclose(resolved.covariances.scale, x.var(ddof=1) / 4)


@pytest.mark.parametrize("weights", [bg.SparseDirichlet(), bg.DirichletProcess(), bg.PitmanYor(0.8, 0.3)])
def test_where_the_number_of_components_is_a_bound_no_default_depends_on_it(weights):
    points = as_points(np.random.default_rng(0).normal(size=(60, 2)))
    ten, forty = [bg.MixtureModel(k, weights=weights).resolve(points) for k in (10, 40)]
    np.testing.assert_allclose(ten.covariances.scale, forty.covariances.scale)
    assert ten.means == forty.means
    narrow = bg.MixtureModel(10).resolve(points).covariances.scale
    assert np.trace(ten.covariances.scale) > 3 * np.trace(narrow)


def test_diagonal_defaults_treat_each_column_separately():
    x = np.random.default_rng(0).normal(size=(30, 9)) * np.arange(1, 10)
    together = bg.MixtureModel(2, "diag").resolve(as_points(x)).covariances
    alone = [bg.MixtureModel(2, "diag").resolve(as_points(column)).covariances for column in x.T]
    assert {one.dof for one in alone} == {together.dof}
    np.testing.assert_allclose(together.scale, np.ravel([one.scale for one in alone]))


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UnknownName, match="covariance='fulll' is not one of .*; did you mean 'full'"):
        bg.MixtureModel(3, covariance="fulll")


@pytest.mark.parametrize("count", [0, -1, 2.5, "3", True, None])
def test_the_number_of_components_is_a_positive_integer(count):
    with pytest.raises(DeclarationError, match="n_components"):
        bg.MixtureModel(count)


@pytest.mark.parametrize("value", [0, -1, (1, 0), (), "a", float("nan"), float("inf"), [[1, 2]]])
def test_concentrations_are_positive_numbers(value):
    with pytest.raises(DeclarationError, match="must be a positive number, or one for each"):
        bg.Dirichlet(value)


def test_too_many_arguments_are_an_error():
    with pytest.raises(DeclarationError, match="takes concentration, prior"):
        bg.Dirichlet(1, "dirichlet", 3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (bg.MixtureModel(3, weights=bg.Dirichlet((1, 2))), "2 concentrations for 3 components"),
        (bg.MixtureModel(2, means=bg.NormalMeans((1, 2, 3))), "NormalMeans location has 3 numbers for 2 columns"),
        (bg.MixtureModel(2, covariances=bg.WishartPrecision(0.5)), "dof=0.5 is too small"),
        (bg.MixtureModel(2, covariances=bg.WishartPrecision(scale=(1, 2, 3))), r"scale has shape \(3,\) for 2 columns"),
        (bg.MixtureModel(2, covariances=bg.WishartPrecision(scale=[[1, 2], [2, 1]])), "positive definite"),
    ],
)
def test_a_declaration_that_does_not_fit_the_data_is_an_error(model, message):
    with pytest.raises(DeclarationError, match=message):
        model.resolve(as_points(np.random.default_rng(0).normal(size=(30, 2))))


def test_all_mistakes_of_a_card_come_in_one_message(tmp_path):
    card = tmp_path / "card.toml"
    card.write_text(
        '[mixture]\nn_components = 0\nfoo = 1\n[mixture.weights]\nprior = "dirichet"\n'
        '[mixture.means]\nlocation = 1\n[mixture.covariances]\nprior = "wishart"\ndof = -1\n'
    )
    with pytest.raises(CardError) as caught:
        load_card(card)
    message = str(caught.value)
    for part in (
        "5 problems",
        "mixture.n_components: must be greater than 0, got 0",
        "mixture.foo: is not a field here",
        "did you mean 'dirichlet'?",
        "mixture.means: prior is required: one of 'conjugate', 'hierarchical', 'normal'",
        "mixture.covariances.dof: must be greater than 0",
    ):
        assert part in message


def test_an_error_names_a_card_that_can_not_be_read(tmp_path):
    with pytest.raises(CardError, match="can't be read"):
        load_card(tmp_path / "nothing.toml")
    for text in ("[mixture", "a = " + "[" * 100_000, "a = " + "9" * 5000):
        (tmp_path / "broken.toml").write_text(text)
        with pytest.raises(CardError, match="is not TOML"):
            load_card(tmp_path / "broken.toml")


def test_a_value_given_twice_is_an_error():
    with pytest.raises(DeclarationError, match="got n_components twice"):
        bg.MixtureModel(2, n_components=3)


def test_a_boolean_is_not_accepted_as_a_number():
    with pytest.raises(DeclarationError, match="must be a number, got True"):
        bg.LKJCovariance(True)
