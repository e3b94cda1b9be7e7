"""The directions in which clusters differ: against mclust and scikit-learn, and the laws that they follow."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import bayesgmm as bg
from bayesgmm.errors import DeclarationError

STORED = json.loads((Path(__file__).parents[1] / "families" / "mclust" / "numbers.json").read_text())
FITS = [(name, model) for name, table in STORED.items() for model in table.get("fits", {})]
FLOWERS = bg.datasets.iris()
X, SPECIES = FLOWERS.drop(columns="species"), FLOWERS["species"]


def mixture(weight, mean, covariance, x):
    """A fit with draws (S, K), (S, K, D), (S, K, D, D) and points, as another program would write it."""
    draws = xr.Dataset(
        {
            "weight": (("chain", "draw", "component"), np.asarray(weight)[None]),
            "mean": (("chain", "draw", "component", "feature"), np.asarray(mean)[None]),
            "covariance": (("chain", "draw", "component", "feature", "feature_bis"), np.asarray(covariance)[None]),
        },
        coords={
            "chain": [0],
            "draw": range(len(mean)),
            "component": range(np.shape(mean)[1]),
            "feature": [f"x{j}" for j in range(np.shape(x)[1])],
        },
    )
    observed = xr.Dataset({"x": (("point", "feature"), np.asarray(x))}, coords={"feature": draws["feature"]})
    return xr.DataTree.from_dict({"posterior": draws, "observed_data": observed})


def round_mixture(means, variance=1.0):
    """Draws of a spherical mixture of equal weights, with means (S, K, D) and points at the means of the first."""
    means = np.asarray(means, float)
    weight = np.full(means.shape[:2], 1 / means.shape[1])
    covariance = np.broadcast_to(variance * np.eye(means.shape[2]), (*means.shape, means.shape[2]))
    return mixture(weight, means, covariance, means[0])


@pytest.fixture(scope="module")
def drawn():
    return bg.fit(bg.MixtureModel(3, "tied"), X, "gibbs", draws=200, seed=1, progress=False)


# -- oracles --


@pytest.mark.parametrize(("name", "model"), FITS)
def test_directions_are_those_of_mclust(name, model):
    theirs, x = STORED[name]["fits"][model], STORED[name]["x"]
    answer = bg.discriminant_plane(mixture([theirs["weight"]], [theirs["mean"]], [theirs["covariance"]], x))
    values, vectors = theirs["plane"]["evalues"], np.array(theirs["plane"]["directions"])
    count = len(values)
    np.testing.assert_allclose(2 * answer["eigenvalue"].values[:count], values, rtol=1e-4, atol=1e-8)
    ours = answer["direction_vector"].values[:count]
    sign = np.sign((ours * vectors).sum(axis=1, keepdims=True))
    sd = np.array(x).std(axis=0)
    np.testing.assert_allclose(ours * sd, sign * vectors * sd, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(answer["eigenvalue"].values[count:], 0, atol=1e-8)  # mclust drops what is this small


def test_classes_with_a_common_covariance_make_linear_discriminant_analysis():
    fit = bg.fit(bg.MixtureModel(3, "tied"), X, "em", labels=SPECIES, progress=False)
    answer = bg.discriminant_plane(fit)
    lda = LinearDiscriminantAnalysis().fit(X, SPECIES)
    theirs = lda.transform(X)
    between = np.corrcoef(answer["coordinates"].T, theirs.T)[:2, 2:]
    np.testing.assert_allclose(np.abs(between), np.eye(2), atol=1e-4)
    ratio = answer["between"] / (1 - answer["between"])  # between to within
    np.testing.assert_allclose(ratio / ratio.sum(), lda.explained_variance_ratio_, atol=1e-4)


# -- laws --


def test_coordinates_have_variance_one_and_are_not_correlated(drawn):
    """By maximum likelihood the covariance of the points is that of the mixture."""
    answer = bg.discriminant_plane(bg.fit(bg.MixtureModel(3), X, "em", seed=1, progress=False))
    np.testing.assert_allclose(np.cov(answer["coordinates"].T, bias=True), np.eye(2), atol=1e-6)
    np.testing.assert_allclose(answer["coordinates"].mean("point"), 0, atol=1e-9)


@pytest.mark.parametrize("structure", ["tied", "EII", "EEI"])
def test_with_a_common_covariance_the_plane_holds_all_that_is_known_of_the_labels(structure):
    fit = bg.fit(bg.MixtureModel(3, structure), X, "em", seed=1, progress=False)
    answer, p = bg.discriminant_plane(fit), fit["posterior"].isel(chain=0, draw=0)
    vector = answer["direction_vector"].values
    assert vector.shape == (2, 4)
    mean = (p["mean"].values - answer["center"].values) @ vector.T
    covariance = vector @ p["covariance"].values @ vector.T
    plane = mixture([p["weight"].values], [mean], [covariance], answer["coordinates"].values)
    there = bg.assignments(plane)["probability"].values
    np.testing.assert_allclose(there, bg.assignments(fit)["probability"].values, atol=1e-8)
    np.testing.assert_allclose(answer["mean"], mean, atol=1e-8)


def test_two_round_clusters_differ_in_the_direction_from_one_to_the_other():
    answer = bg.discriminant_plane(round_mixture([[[0.0, 0.0, 0.0], [3.0, -4.0, 0.0]]]))
    assert answer.sizes["direction"] == 1
    vector = answer["direction_vector"].values[0]
    np.testing.assert_allclose(vector / np.linalg.norm(vector), [-0.6, 0.8, 0.0], atol=1e-12)
    assert float(answer["between"][0]) == pytest.approx(6.25 / 7.25)
    assert float(answer["share"][0]) == 1


def test_units_do_not_matter(drawn):
    units = np.array([1.0, 1e-6, 1e3, 1e9])
    p = drawn["posterior"]
    scaled = mixture(
        p["weight"].values.reshape(-1, 3),
        (p["mean"].values * units).reshape(-1, 3, 4),
        (p["covariance"].values * np.outer(units, units)).reshape(-1, 3, 4, 4),
        X * units,
    )
    one, other = bg.discriminant_plane(drawn), bg.discriminant_plane(scaled)
    for name in ("coordinates", "loading", "between", "loading_band", "between_band", "angle", "subspace_angle"):
        np.testing.assert_allclose(other[name], one[name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(other["direction_vector"] * units, one["direction_vector"], atol=1e-6)


def test_labels_do_not_matter(drawn):
    p = drawn["posterior"]
    order = np.random.default_rng(0).permuted(np.tile(range(3), (p.sizes["chain"] * p.sizes["draw"], 1)), axis=1)
    each = np.arange(len(order))[:, None]
    flat = [
        p[name].values.reshape(len(order), *p[name].shape[2:])[each, order] for name in ("weight", "mean", "covariance")
    ]
    switched = mixture(*flat, X)
    one, other = bg.discriminant_plane(drawn), bg.discriminant_plane(switched)
    for name in ("coordinates", "between", "loading_band", "between_band", "angle", "subspace_angle"):
        np.testing.assert_allclose(other[name], one[name], atol=1e-8, err_msg=name)


@pytest.mark.parametrize("rest", [0.0, 1e-13])
def test_a_column_that_repeats_others_changes_no_coordinates(drawn, rest):
    """Covariances of collinear columns are singular; what rounding leaves of them is not a direction.

    Far from the origin, means have rounding errors, too.
    """
    far = 1e6 * np.array([1.0, 2.0, 3.0, 5.0, 7.0])
    add = np.vstack([np.eye(4), [1.0, 0.0, -2.0, 0.5]])
    p = drawn["posterior"]
    mean = (p["mean"].values @ add.T).reshape(-1, 3, 5) + far
    covariance = (add @ p["covariance"].values @ add.T).reshape(-1, 3, 5, 5) + rest * np.eye(5)
    more = mixture(p["weight"].values.reshape(-1, 3), mean, covariance, X.values @ add.T + far)
    one, other = bg.discriminant_plane(drawn), bg.discriminant_plane(more)
    for name in ("coordinates", "between", "between_band", "angle", "subspace_angle"):
        np.testing.assert_allclose(other[name], one[name], atol=1e-5, err_msg=name)


# -- uncertainty --


def test_the_angle_is_that_by_which_the_directions_of_draws_turn():
    """Two clusters that are close together, so that the covariance is nearly round; 10 degrees to either side."""
    turned = [[[0.0, 0.0], 1e-3 * np.array([np.cos(a), np.sin(a)])] for a in np.radians([-10, 0, 10])]
    answer = bg.discriminant_plane(round_mixture(turned), ci_prob=1 - 1e-9)
    np.testing.assert_allclose([answer["angle"], answer["subspace_angle"]], 10, atol=1e-4)
    lower, upper = answer["loading_band"].values[0, 1]
    np.testing.assert_allclose([lower, upper], [-np.sin(np.radians(10)), np.sin(np.radians(10))], atol=1e-5)


def test_directions_that_change_places_are_matched():
    """In every other draw the second direction differs most; the signs of the directions are alike in all draws."""
    wide, high = [[-3, 0], [3, 0], [0, 2.6], [0, -2.6]], [[-3, 0], [3, 0], [0, 3.2], [0, -3.2]]
    answer = bg.discriminant_plane(round_mixture([wide, high] * 5))
    np.testing.assert_allclose(answer["angle"], 0, atol=1e-5)
    np.testing.assert_allclose(np.ptp(answer["loading_band"].values, axis=-1), 0, atol=1e-7)
    assert float(answer["subspace_angle"][0]) == pytest.approx(90, abs=1e-4)  # the first direction of a draw
    assert float(answer["subspace_angle"][1]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("column", range(5))
def test_directions_of_draws_have_the_same_sign(column):
    rng = np.random.default_rng(column)
    away = 3 * np.eye(5)[column] + 0.3 * rng.normal(size=(50, 5))
    lower, upper = bg.discriminant_plane(round_mixture(np.stack([-away, away], axis=1)))["loading_band"].values[0].T
    assert lower[column] > 0.8
    assert np.ptp([lower, upper], axis=0).max() < 0.5


def test_a_plane_is_certain_although_its_directions_are_not():
    """Three means at the corners of a triangle with a random rotation in the plane; the third column is noise."""
    corners = np.array([[0.0, 2.0, 0.0], [-(3**0.5), -1.0, 0.0], [3**0.5, -1.0, 0.0]])
    stretched = corners * [1.05, 1.0, 1.0]
    turns = Rotation.from_euler("z", np.random.default_rng(0).uniform(0, 360, (200, 1)), degrees=True).as_matrix()
    answer = bg.discriminant_plane(round_mixture(stretched @ turns.swapaxes(1, 2)))
    assert (answer["angle"] > 20).all()
    assert float(answer["subspace_angle"][1]) == pytest.approx(0, abs=1e-4)


def test_bands_hold_the_directions_and_shrink_with_more_data(drawn):
    answer = bg.discriminant_plane(drawn)
    lower, upper = answer["between_band"].values.T
    assert ((lower < answer["between"]) & (answer["between"] < upper)).all()
    few = bg.fit(bg.MixtureModel(3, "tied"), X[::3], "gibbs", draws=200, labels=SPECIES[::3], seed=1, progress=False)
    assert (bg.discriminant_plane(few)["subspace_angle"] > answer["subspace_angle"]).all()


def test_a_point_estimate_has_no_uncertainty():
    answer = bg.discriminant_plane(bg.GaussianMixture(3, random_state=1).fit(X))
    for name in ("angle", "subspace_angle", "loading_band", "between_band"):
        assert np.isnan(answer[name]).all()


# -- points, and what can't be answered --


def test_new_points_have_coordinates(drawn):
    answer = bg.discriminant_plane(drawn)
    np.testing.assert_array_equal(bg.discriminant_plane(drawn, X[::10])["coordinates"], answer["coordinates"][::10])


def test_a_missing_value_is_replaced_by_its_expectation(drawn):
    row = X.iloc[[0]].copy()
    row.iloc[0, 2] = np.nan
    answer = bg.discriminant_plane(drawn, row)
    filled = bg.impute(drawn, row)["mean"].to_pandas()
    np.testing.assert_allclose(answer["coordinates"], bg.discriminant_plane(drawn, filled)["coordinates"], atol=0.01)


def test_one_component_and_equal_means_have_no_direction():
    with pytest.raises(DeclarationError, match="one component"):
        bg.discriminant_plane(round_mixture([[[1.0, 2.0]]]))
    with pytest.raises(DeclarationError, match="the same mean"):
        bg.discriminant_plane(round_mixture([[[1.0, 2.0], [1.0, 2.0]]]))


def test_components_whose_means_lie_on_a_line_differ_in_one_direction():
    answer = bg.discriminant_plane(round_mixture([[[0.0, 0.0], [1.0, 2.0], [3.0, 6.0]]]))
    assert answer.sizes["direction"] == 1


def test_there_are_no_more_directions_than_columns():
    assert bg.discriminant_plane(round_mixture([[[0.0], [5.0], [9.0]]])).sizes["direction"] == 1
