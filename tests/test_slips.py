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
    "'three' is not a number or a range; give 3, or 2,4,6, or 1-9": lambda: bg.select(X, "three"),
}


@pytest.mark.parametrize("words", SLIPS)
def test_a_slip_is_answered_with_what_to_write(words):
    with pytest.raises(bg.errors.DeclarationError) as caught:
        SLIPS[words]()
    message = str(caught.value)
    assert words in message
    assert len(message) < 400


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
