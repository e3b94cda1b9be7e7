"""Estimators of factor analysers: their prior is that of loadings and noise, their start knows no units."""

import numpy as np
import pytest

import bayesgmm as bg

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], 100)
X = RNG.normal(size=(200, 1)) * np.ones(5) + 0.5 * RNG.normal(size=(200, 5)) + 4.0 * LABELS[:, None] * np.eye(5)[0]
TYPE = "factors:1"


@pytest.mark.parametrize("unlabelled", [False, True])
def test_a_classifier_finds_classes_that_differ_along_the_noise(unlabelled):
    labels = np.where(np.arange(200) % 3 == 0, -1, LABELS) if unlabelled else LABELS
    classifier = bg.MixtureClassifier(covariance_type=TYPE, unlabelled=-1, random_state=0).fit(X, labels)
    assert classifier.score(X, LABELS) > 0.97


def test_a_regressor_predicts_as_well_as_with_covariances_without_restrictions():
    """Share of the variance that is predicted, of a column that has one factor in common with the others."""
    scores = [
        bg.MixtureRegressor(1, covariance_type=name).fit(X[:, :4], X[:, 4]).score(X[:, :4], X[:, 4])
        for name in (TYPE, "full")
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)


def test_attributes_of_a_bayesian_mixture_are_the_means_of_its_draws():
    given = {"covariance_type": bg.FactorAnalysers(1), "method": "gibbs", "settings": {"draws": 50, "tune": 50}}
    with pytest.warns(bg.FitWarning):  # few draws
        mixture = bg.BayesianGaussianMixture(2, random_state=0, **given).fit(X)
    draws = mixture.posterior_["posterior"]["covariance"].mean(("chain", "draw")).values
    np.testing.assert_allclose(mixture.covariances_, draws)
    np.testing.assert_allclose(mixture.precisions_ @ mixture.covariances_, [np.eye(5)] * 2, atol=1e-8)
    assert not hasattr(mixture, "covariance_prior_")


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (bg.BayesianGaussianMixture(2, covariance_type=TYPE), "can't take covariance_type='factors:1'"),
        (
            bg.BayesianGaussianMixture(2, covariance_type=TYPE, method="gibbs", covariance_prior=1.0),
            "covariance_prior is",
        ),
        (
            bg.BayesianGaussianMixture(covariance_type=TYPE, method="gibbs", degrees_of_freedom_prior=9),
            "freedom_prior is",
        ),
        (bg.GaussianMixture(covariance_type="factors:3"), "covariance_type='factors:3': 5 columns .* at most 2"),
        (bg.MixtureClassifier(covariance_type=TYPE, method="vb"), "can't take covariance_type='factors:1'"),
    ],
)
def test_a_refusal_is_in_the_words_of_the_estimator(estimator, message):
    with pytest.raises(bg.errors.DeclarationError, match=message):
        estimator.fit(X, LABELS)


@pytest.mark.parametrize("name", [TYPE, "EEI"])
def test_the_start_does_not_depend_on_units(name):
    """scikit-learn does not have these types: powers of two as units change nothing but the scale of the density."""
    units = 2.0 ** np.array([0, 12, 0, 0, 0])
    fits = [bg.GaussianMixture(2, covariance_type=name, random_state=0, reg_covar=0).fit(x) for x in (X, X * units)]
    np.testing.assert_allclose(fits[1].means_, fits[0].means_ * units)
