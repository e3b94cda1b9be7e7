"""MixtureClassifier with rows whose class is not known."""

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score

import bayesgmm as bg
from bayesgmm.errors import DataError, DeclarationError

RNG = np.random.default_rng(0)
CLASS = RNG.integers(0, 3, 300)
X = np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 4.0]])[CLASS] + RNG.normal(size=(300, 2))
FEW = np.where(np.arange(300) < 12, CLASS, -1)
OF_MINUS_ONE = pytest.mark.filterwarnings("error::bayesgmm.errors.FitWarning")


def fitted(y=FEW, **settings):
    return bg.MixtureClassifier(**({"random_state": 0, "unlabelled": -1} | settings)).fit(X, y)


@pytest.mark.parametrize("method", ["em", "gibbs", "vb"])
@pytest.mark.filterwarnings("ignore::bayesgmm.errors.FitWarning")
def test_unlabelled_rows_improve_the_classes(method: str) -> None:
    settings = {"gibbs": {"draws": 200, "tune": 100, "max_draws": 200}}.get(method)
    classifier = fitted(method=method, settings=settings)
    assert classifier.classes_.tolist() == [0, 1, 2]
    known = bg.MixtureClassifier(random_state=0).fit(X[:12], CLASS[:12])
    rest = slice(12, None)
    assert classifier.score(X[rest], CLASS[rest]) > max(0.93, known.score(X[rest], CLASS[rest]))
    share = np.bincount(CLASS) / 300
    np.testing.assert_allclose(classifier.priors_, share, atol=0.04)
    for c, fit in enumerate(classifier.posteriors_):
        mean = fit["posterior"]["mean"].mean(("chain", "draw")).values[0]
        np.testing.assert_allclose(mean, X[c == CLASS].mean(axis=0), atol=0.3)
        assert fit["posterior"]["weight"].values == pytest.approx(1.0)
        assert fit["observed_data"].sizes["point"] == (c == FEW).sum()
        assert np.isfinite(bg.anomaly_scores(fit)["p_value"]).all()


def test_several_components_of_a_class_are_its_own() -> None:
    """Class 0 has two clusters, and labels in both."""
    y = np.where(FEW >= 0, np.minimum(FEW, 1), -1)
    classifier = fitted(y, n_components=2)
    assert classifier.score(X, np.minimum(CLASS, 1)) > 0.93
    assert [fit["posterior"].sizes["component"] for fit in classifier.posteriors_] == [2, 2]
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1.0)


def test_few_labels_in_many_columns_do_not_make_narrow_classes() -> None:
    """Five wines of each kind are known. The density under the prior is highest where a class is little more."""
    wine = bg.datasets.wine()
    values, kinds = wine.drop(columns="cultivar").to_numpy(), np.unique(wine["cultivar"], return_inverse=True)[1]
    known = np.concatenate([np.random.default_rng(0).choice(np.flatnonzero(kinds == c), 5, False) for c in range(3)])
    y = np.full(len(kinds), -1)
    y[known] = kinds[known]
    classifier = bg.MixtureClassifier(random_state=0, unlabelled=-1).fit(values, y)
    assert classifier.score(values, kinds) > 0.97
    assert classifier.priors_.min() > 0.2


def test_labels_of_all_rows_give_the_plain_classifier() -> None:
    plain = bg.MixtureClassifier(random_state=0).fit(X, CLASS)
    np.testing.assert_array_equal(plain.predict_proba(X), fitted(CLASS).predict_proba(X))


def test_minus_one_is_unlabelled_with_a_warning() -> None:
    with pytest.warns(bg.FitWarning, match="288 of 300 rows have y = -1 and count as unlabelled"):
        classifier = fitted(unlabelled="auto")
    np.testing.assert_array_equal(classifier.predict(X), fitted().predict(X))


@OF_MINUS_ONE
def test_two_classes_may_be_called_minus_one_and_one() -> None:
    y = np.where(CLASS == 0, -1, 1)
    assert fitted(y, unlabelled="auto").classes_.tolist() == [-1, 1]
    assert fitted(FEW, unlabelled=None).classes_.tolist() == [-1, 0, 1, 2]


@OF_MINUS_ONE
def test_another_value_may_mean_unlabelled() -> None:
    names = np.array(["a", "b", "c"])
    text = np.where(FEW < 0, "?", names[FEW])
    of_objects = np.where(FEW < 0, -1, names[FEW].astype(object))
    expected = names[fitted().predict(X)]
    np.testing.assert_array_equal(fitted(text, unlabelled="?").predict(X), expected)
    np.testing.assert_array_equal(fitted(of_objects).predict(X), expected)
    of_texts = np.where(FEW < 0, "-1", names[FEW])  # numpy makes -1 beside texts a text
    np.testing.assert_array_equal(fitted(of_texts).predict(X), expected)
    with pytest.warns(bg.FitWarning, match="288 of 300 rows have y = -1"):
        fitted(of_texts, unlabelled="auto")


def test_rows_without_a_label_have_no_part_in_the_score() -> None:
    weight = np.random.default_rng(2).random(300)
    for classifier in (fitted(), bg.MixtureClassifier(random_state=0).fit(X[:12], CLASS[:12])):
        right = np.average((classifier.predict(X) == CLASS)[:12], weights=weight[:12])
        assert classifier.score(X, FEW, weight) == pytest.approx(right)
        with pytest.raises(DataError, match="y has no label"):
            classifier.score(X, np.full(300, -1))
    sign = np.where(CLASS == 0, -1, 1)
    two = fitted(sign, unlabelled="auto")
    assert two.score(X, sign) == np.mean(two.predict(X) == sign)


def test_cross_validation_scores_the_labelled_rows() -> None:
    partly = np.where(np.arange(300) % 3, CLASS, -1)
    scores = cross_val_score(bg.MixtureClassifier(unlabelled=-1), X, partly, cv=3, error_score="raise")
    assert scores.min() > 0.85


@pytest.mark.parametrize("missing", [np.nan, None])
def test_a_missing_label_is_one_clear_error(missing: object) -> None:
    y = np.where(FEW < 0, missing, FEW.astype(object))
    with pytest.raises(DataError, match="Input y contains NaN: 288 of 300 rows have no label\n  Give .* -1"):
        fitted(y)


def test_given_priors_are_kept() -> None:
    assert fitted(priors=[0.5, 0.25, 0.25]).priors_.tolist() == [0.5, 0.25, 0.25]


def test_a_tied_covariance_of_one_component_is_full() -> None:
    one, other = (fitted(covariance_type=name) for name in ("tied", "full"))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    with pytest.raises(DeclarationError, match="all classes would share it"):
        fitted(covariance_type="tied", n_components=2)


def test_weights_repeat_rows() -> None:
    weight = np.random.default_rng(1).integers(0, 3, 300)
    one = bg.MixtureClassifier(random_state=0, unlabelled=-1).fit(X, FEW, sample_weight=weight)
    other = bg.MixtureClassifier(random_state=0, unlabelled=-1).fit(X.repeat(weight, axis=0), FEW.repeat(weight))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=1e-6)


def test_missing_cells_and_unlabelled_rows_go_together() -> None:
    holed = X.copy()
    holed[::5, 0] = np.nan
    classifier = bg.MixtureClassifier(random_state=0, unlabelled=-1).fit(holed, FEW)
    assert classifier.score(X, CLASS) > 0.9


def test_a_label_of_no_row_is_one_clear_error() -> None:
    with pytest.raises(DataError, match="y has no label"):
        fitted(np.full(300, -1))
    with pytest.raises(DataError, match="y has no label"):
        bg.MixtureClassifier(unlabelled=-1).fit(X, FEW, sample_weight=FEW == -1)
