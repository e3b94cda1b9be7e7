"""All functions that take a fit take a fitted estimator, too."""

import inspect

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as OfScikitLearn
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesgmm as bg
from bayesgmm import apps
from bayesgmm.errors import FitFileError

PRIOR = {"plots.prior", "plots.prior_data"}  # they take the tree of prior_predictive
X = bg.datasets.iris()[["petal_length", "petal_width"]]


def takers():
    """Public functions with a parameter that is a fit: the function, and the name of the parameter."""
    for place, module in (("", bg), ("plots.", bg.plots), ("apps.", apps)):
        for name in module.__all__:
            function = getattr(module, name)
            if not inspect.isfunction(function) or place + name in PRIOR:
                continue
            for parameter in inspect.signature(function).parameters.values():
                kind = parameter.annotation if isinstance(parameter.annotation, str) else str(parameter.annotation)
                if "DataTree" in kind or "FitLike" in kind:
                    yield pytest.param(function, parameter.name, id=place + name)


TAKERS = list(takers())
OTHERS = {"model": bg.MixtureModel(2), "image": np.zeros((4, 4))}


def given(function, parameter, fit):
    """Call a function with a fit, and with something for each other argument that it needs."""
    value = {"one": fit} if parameter == "fits" else fit
    every = inspect.signature(function).parameters.values()
    needed = {p.name for p in every if p.default is p.empty and p.kind is not p.VAR_KEYWORD} - {parameter}
    others = {name: OTHERS.get(name, X) for name in needed}
    return function(**others, **{parameter: value}, **({"method": "em"} if parameter == "start" else {}))


@pytest.fixture(scope="module")
def gmm():
    return bg.GaussianMixture(2, random_state=0).fit(X)


def test_the_functions_that_take_a_fit_are_found():
    names = {parameter.id for parameter in TAKERS}
    assert {"assignments", "compare", "fit", "save", "plots.assignments", "apps.judge", "apps.segment_image"} <= names
    assert len(names) > 50


@pytest.mark.parametrize(("function", "parameter"), TAKERS)
def test_an_estimator_is_read_by_every_function_that_takes_a_fit(function, parameter):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        given(function, parameter, bg.GaussianMixture(2))


@pytest.mark.parametrize(("function", "parameter"), TAKERS)
def test_what_is_no_fit_is_refused_by_name(function, parameter):
    with pytest.raises(FitFileError, match="an? ndarray is not a fit\n  Give what bayesgmm.fit"):
        given(function, parameter, np.zeros(3))


def test_the_answers_are_those_of_its_posterior(gmm):
    assert bg.assignments(gmm).identical(bg.assignments(gmm.posterior_))
    assert bg.density(fit=gmm).identical(bg.density(gmm.posterior_))
    assert bg.plots.assignment_data(gmm).identical(bg.plots.assignment_data(gmm.posterior_))
    table = bg.compare({"one": gmm, "two": gmm.posterior_}).drop(columns="seconds")
    assert table.loc["one"].equals(table.loc["two"])
    assert bg.fit(bg.MixtureModel(2), X, "em", start=gmm, progress=False)["posterior"].sizes["component"] == 2


def test_every_estimator_with_a_posterior_is_accepted():
    weights = {"weight_concentration_prior_type": "dirichlet_distribution"}
    fitted = [
        bg.BayesianGaussianMixture(2, random_state=0, **weights).fit(X),
        bg.AnomalyDetector(n_components=1, random_state=0).fit(X),
        bg.MixtureRegressor(1, random_state=0).fit(X[["petal_length"]], X["petal_width"]),
    ]
    for estimator in fitted:
        assert bg.component_table(estimator).equals(bg.component_table(estimator.posterior_))


def test_estimators_without_a_posterior_say_what_to_give(gmm):
    y = bg.datasets.iris()["species"]
    wrong = {
        "give bayesgmm.GaussianMixture": OfScikitLearn(2).fit(X),
        "give one of its posteriors_": bg.MixtureClassifier(n_components=1).fit(X, y),
        "give its best_estimator_": GridSearchCV(bg.GaussianMixture(2), {"n_components": [1, 2]}, cv=2).fit(X),
        r"give its last step, \[-1\]": make_pipeline(StandardScaler(), bg.GaussianMixture(2)).fit(X),
    }
    for words, estimator in wrong.items():
        with pytest.raises(FitFileError, match=words):
            bg.assignments(estimator)
