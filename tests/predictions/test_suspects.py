"""Suspect cells: the smallest set without which a row is ordinary, by brute force; and the reasons that name them."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, multivariate_normal

import bayesgmm as bg
from bayesgmm.predictions.suspects import ORDINARY, Gaussians, find_suspects, given_rest


def gaussians(n_components, n_columns, seed=0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n_components, n_columns, n_columns)) + 2 * np.eye(n_columns)
    weight = rng.dirichlet(np.full(n_components, 5.0))
    return Gaussians(np.log(weight), 4 * rng.normal(size=(n_components, n_columns)), root @ root.swapaxes(1, 2))


def rest_by_brute_force(x, components, suspects):
    """Squared distance and component of the cells that are not suspect, from covariances."""
    rest = [j for j in range(len(x)) if j not in suspects]
    scores, distances = [], []
    for log_weight, mean, precision in zip(components.log_weight, components.mean, components.precision, strict=True):
        covariance = np.linalg.inv(precision)[np.ix_(rest, rest)]
        scores.append(log_weight + multivariate_normal(mean[rest], covariance).logpdf(x[rest]))
        away = x[rest] - mean[rest]
        distances.append(away @ np.linalg.solve(covariance, away))
    best = int(np.argmax(scores))
    return distances[best], best


def wrong_rows(components, n_rows, n_wrong, seed):
    rng = np.random.default_rng(seed)
    k = rng.integers(len(components.mean), size=n_rows)
    x = np.array([rng.multivariate_normal(components.mean[i], np.linalg.inv(components.precision[i])) for i in k])
    for row in x[::2]:
        row[rng.choice(x.shape[1], n_wrong, replace=False)] += 30.0 * rng.choice([-1, 1], n_wrong)
    return x


@pytest.mark.parametrize("n_wrong", [1, 2])
def test_suspects_are_the_smallest_set_without_which_the_rest_is_ordinary(n_wrong):
    """Oracle: all sets, with the covariances of the rest."""
    components = gaussians(3, 5)
    x = wrong_rows(components, 20, n_wrong, seed=1)
    found = find_suspects(x, components)
    assert found.cells[::2].any(axis=1).all()
    for row, cells, component, distance in zip(x, found.cells, found.component, found.distance, strict=True):
        size = int(cells.sum())
        for smaller in range(size):
            limit = chi2.isf(ORDINARY, 5 - smaller)
            assert all(rest_by_brute_force(row, components, s)[0] > limit for s in combinations(range(5), smaller))
        best = min(rest_by_brute_force(row, components, s) for s in combinations(range(5), size))
        assert (distance, component) == pytest.approx(best)


def test_cells_added_one_by_one_are_those_of_the_full_search(monkeypatch):
    components = gaussians(2, 8, seed=3)
    x = wrong_rows(components, 20, 3, seed=4)
    expected = find_suspects(x, components).cells
    monkeypatch.setattr("bayesgmm.predictions.suspects.MAX_SETS", 8)
    one_by_one = find_suspects(x, components).cells
    assert (one_by_one.sum(axis=1) >= expected.sum(axis=1)).all()
    assert (one_by_one == expected).all(axis=1).mean() > 0.7


def test_z_scores_given_the_rest_are_those_of_the_conditional_gaussian():
    components = gaussians(1, 4)
    x = wrong_rows(components, 6, 1, seed=2)
    found = find_suspects(x, components)
    z, expected = given_rest(x, components, found)
    mean, covariance = components.mean[0], np.linalg.inv(components.precision[0])
    for row, cells, own_z, own_expected in zip(x, found.cells, z, expected, strict=True):
        for j in range(4):
            rest = [i for i in range(4) if not cells[i] and i != j]
            slope = np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, j])
            centre = mean[j] + (row[rest] - mean[rest]) @ slope
            sd = np.sqrt(covariance[j, j] - covariance[j, rest] @ slope)
            assert (own_expected[j], own_z[j]) == pytest.approx((centre, (row[j] - centre) / sd))


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    parts = [(rng.normal(m, 3, 80), rng.normal(i, 0.12 * i, 80)) for m, i in ((20, 1500), (50, 3000), (80, 9000))]
    table = pd.DataFrame(
        {"age": np.concatenate([p[0] for p in parts]), "income": np.concatenate([p[1] for p in parts])}
    )
    table["height"] = rng.normal(170, 8, 240)
    return table


@pytest.fixture(scope="module")
def fit_of_people(people):
    return bg.fit(bg.MixtureModel(3, "tied"), people, "vb", seed=0, progress=False)


def reason(fit, age, income, height):
    rows = pd.DataFrame({"age": [age], "income": [income], "height": [height]})
    return bg.explain_anomalies(fit, rows)["reason"].item()


def test_a_wrong_cell_is_not_held_against_the_others(fit_of_people):
    """By the whole row, an income of 1e6 makes an ordinary age 21 impossible."""
    text = reason(fit_of_people, 21, 1e6, 170)
    assert text.startswith("income 1,000,000 (+")
    assert "age" not in text
    assert "given the other columns" in text


def test_two_wrong_cells_are_both_named(fit_of_people):
    text = reason(fit_of_people, 21, 1e6, 900)
    assert "income" in text
    assert "height" in text
    assert "age" not in text


def test_cells_that_do_not_go_together_are_both_named(fit_of_people):
    """An age of the first group with an income of the third: either can be wrong."""
    text = reason(fit_of_people, 20, 9000, 170)
    assert "; or it is " in text
    assert "age" in text
    assert "income" in text
    assert "height" not in text


def test_an_ordinary_row_is_called_ordinary(fit_of_people):
    assert reason(fit_of_people, 21, 1500, 171).startswith("ordinary for component ")


def test_a_row_that_is_wrong_everywhere_is_said_to_be(fit_of_people):
    assert reason(fit_of_people, 900, 1e6, 1e4).startswith("every column: ")


@pytest.mark.filterwarnings("ignore:A higher maximum of the likelihood may exist")
def test_a_component_of_a_few_rows_explains_nothing(people, whole_searches):
    """Two absurd incomes hold a component of their own; by that, they would be ordinary."""
    table = people.copy()
    table.loc[[5, 100], "income"] = 1e6
    fit = bg.fit(bg.MixtureModel(4, "full"), table, "em", seed=0, progress=False)
    assert bg.explain_anomalies(fit, table.iloc[[5]])["reason"].item().startswith("income 1,000,000 (+")
