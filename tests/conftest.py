"""Fits that many tests read."""

import warnings

import pytest

import bayesgmm as bg


def pytest_addoption(parser):
    parser.addoption(
        "--every-combination",
        action="store_true",
        help="hold the two writings of the posterior equal for every combination of priors: hours",
    )


def sampled(model, data, **settings):
    """A fit by NUTS that may be too short to be trusted: tests of what reads it do not care."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return bg.fit(model, data, progress=False, **settings)


@pytest.fixture(scope="session")
def iris():
    return bg.datasets.iris()


@pytest.fixture(scope="session")
def fit(iris):
    """Three full components on the iris measurements."""
    model = bg.load_card(bg.model.card_path("iris")).mixture
    return sampled(model, iris.drop(columns="species"), draws=250, chains=4, seed=1)


@pytest.fixture(scope="session")
def galaxies_fit():
    """Three components on the galaxies: one column."""
    return sampled(bg.MixtureModel(3), bg.datasets.galaxies(), draws=250, seed=2)
