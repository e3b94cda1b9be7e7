"""The commonest slips of newcomers: each message is short and says what to write instead."""

import inspect

import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.engines import ENGINES
from bayesgmm.synonyms import SYNONYMS
from tests.commands import run

X = bg.datasets.iris().drop(columns="species")
MODEL = bg.MixtureModel(2)
FIT = bg.fit(MODEL, X, "em", n_init=1, seed=1, progress=False)
SLIPS = {
    "covariance_type: is not a field here; write covariance='full'": lambda: bg.MixtureModel(3, covariance_type="full"),
    "write n_components=3": lambda: bg.MixtureModel(k=3),
    "must be one number, got range(1, 4); to compare several, write select(data": lambda: bg.MixtureModel(range(1, 4)),
    "must be one number, got [1, 2]": lambda: bg.MixtureModel([1, 2]),
    "write concentration=1.0": lambda: bg.Dirichlet(alpha=1.0),
    "has no setting 'random_state'; write seed=1": lambda: bg.fit(MODEL, X, random_state=1),
    "has no setting 'random_seed'; write seed=1": lambda: bg.fit(MODEL, X, random_seed=1),
    "write draws=1000": lambda: bg.fit(MODEL, X, n_samples=100),
    "a setting of method 'vb', 'mle', or 'em'": lambda: bg.fit(MODEL, X, n_init=5),
    "the data are given before the model; give the model first": lambda: bg.fit(X, MODEL),
    "model=a DataFrame of shape (150, 4): must be a MixtureModel": lambda: bg.fit(X, X),
    "model=3: must be a MixtureModel, for example MixtureModel(n_components=3)": lambda: bg.fit(3, X),
    "prior=Dirichlet(concentration=1.0): must be True or False; priors are declared in the model": lambda: bg.fit(
        MODEL, X, prior=bg.Dirichlet()
    ),
    "seed=a DataFrame of shape (150, 4): must be a whole number": lambda: bg.fit(MODEL, X, seed=X),
    "method=a DataFrame of shape (150, 4) is not one of": lambda: bg.fit(MODEL, X, X),
    "select() has no argument 'random_state'; write seed=1": lambda: bg.select(X, [1, 2], random_state=1),
    "posterior_predictive() has no argument 'random_seed'; write seed=1": lambda: bg.posterior_predictive(
        FIT, random_seed=1
    ),
    "assignments() has no argument 'n_draws'; write draws=1000": lambda: bg.assignments(FIT, n_draws=1),
    "pairs() has no argument 'column'; did you mean 'columns'?": lambda: bg.plots.pairs(FIT, column=["a"]),
    "blobs() has no argument 'random_state'; write seed=1": lambda: bg.datasets.blobs(random_state=1),
    "GaussianMixture() has no argument 'seed'; write random_state=1": lambda: bg.GaussianMixture(3, seed=1),
    "GaussianMixture() has no argument 'covariance'; write covariance_type='full'": lambda: bg.GaussianMixture(
        3, covariance="full"
    ),
    "covariance='FACTORS:2' is not one of": lambda: bg.MixtureModel(3, "FACTORS:2"),
    "; did you mean 'factors:2'?": lambda: bg.fit(bg.MixtureModel(3, "FACTORS:2"), X),
    "'three' is not a number or a range; give 3, or 2,4,6, or 1-9": lambda: bg.select(X, "three"),
}


PLAIN = {"guarded_csv", "galaxies", "iris", "wine"}  # without arguments
PLAIN |= {"checks_keywords", "dataclass", "names_of", "probability", "whole"}  # of other modules


@pytest.mark.parametrize("words", SLIPS)
def test_a_slip_is_answered_with_what_to_write(words):
    with pytest.raises(bg.errors.DeclarationError) as caught:
        SLIPS[words]()
    message = str(caught.value)
    assert words in message
    assert len(message) < 400


def public_functions():
    for module in (bg, bg.plots, bg.apps, bg.datasets):
        for name in getattr(module, "__all__", ()) or dir(module):
            if inspect.isfunction(function := getattr(module, name)) and name[0] != "_":
                yield pytest.param(function, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("function", [*public_functions()])
def test_every_public_function_says_which_arguments_it_has(function):
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    if function.__name__ in PLAIN or inspect.Parameter.VAR_KEYWORD in kinds:
        return
    with pytest.raises(TypeError, match=r"\(\) has no argument 'no_such_argument'") as caught:
        function(no_such_argument=1)
    assert isinstance(caught.value, bg.BayesGMMError)


@pytest.mark.parametrize(
    ("option", "instead"),
    [("--random-state", "--seed"), ("--n-components", "--components"), ("--covariance-type", "--covariance")],
)
def test_an_option_of_another_name_is_answered_with_the_right_one(option, instead, tmp_path):
    refused = run("fit", "x.csv", option, "1", "-o", "fit.nc", "--json", cwd=tmp_path)
    assert refused.returncode == 2
    assert f"No such option: {option} (Possible options: {instead})" in refused.stderr


def test_every_synonym_names_an_argument_that_exists():
    ours = {*inspect.signature(bg.fit).parameters, *(name for engine in ENGINES.values() for name in engine.defaults)}
    ours |= {*bg.MixtureModel.model_fields, "concentration"}
    assert {here.partition("=")[0] for here in SYNONYMS.values()} <= ours
    assert (ours - {"prior"}).isdisjoint(SYNONYMS)  # fit has one, which is no declaration


def test_numbers_of_components_are_read_as_at_the_terminal():
    settings = {"covariance": "tied", "seed": 1, "progress": False}
    pd.testing.assert_frame_equal(bg.select(X, "1-2,4", **settings), bg.select(X, [1, 2, 4], **settings))


@pytest.mark.parametrize("command", ["fit", "compare"])
def test_a_number_of_components_that_is_a_word_is_refused_in_words(command, tmp_path):
    X.to_csv(tmp_path / "x.csv", index=False)
    more = ["-o", "fit.nc", "--json"] if command == "fit" else ["--json"]
    refused = run(command, "x.csv", "-k", "three", *more, cwd=tmp_path)
    assert refused.returncode == 2
    assert "'three' is not a whole number of at least 1; write for example -k 3" in refused.stderr
    assert "bayesgmm select TABLE -k 1-5" in run(command, "x.csv", "-k", "1-5", *more, cwd=tmp_path).stderr
