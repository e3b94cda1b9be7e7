"""The plot of the directions in which the clusters differ."""

import matplotlib as mpl
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.plots import boundary_data, discriminant_plane_data

mpl.use("Agg")
import matplotlib.pyplot as plt

FLOWERS = bg.datasets.iris().drop(columns="species")


@pytest.fixture(scope="module")
def fits():
    """Fits of two, three and four components."""
    return {k: bg.fit(bg.MixtureModel(k, "tied"), FLOWERS, "em", seed=1, progress=False) for k in (2, 3, 4)}


def test_the_regions_hold_the_points_of_their_components(fits):
    """With a tied covariance and three components the plane holds all that is known of the labels."""
    data = discriminant_plane_data(fits[3])
    nearest = [int(data["region"].sel(across=a, up=u, method="nearest")) for a, u in data["x"].values]
    assert np.mean(nearest == bg.assignments(fits[3])["label"].values) > 0.98
    np.testing.assert_array_equal(data["x"], bg.discriminant_plane(fits[3])["coordinates"])


def test_in_two_columns_the_regions_are_those_of_the_columns():
    """The plane of two columns is both of them, in other coordinates."""
    two = FLOWERS[["petal_length", "petal_width"]]
    fit = bg.fit(bg.MixtureModel(3), two, "em", seed=1, progress=False)
    plane, columns, answer = discriminant_plane_data(fit), boundary_data(fit), bg.discriminant_plane(fit)
    regions = []
    for row in two.values:
        a, u = (row - answer["center"].values) @ answer["direction_vector"].values.T
        here = plane["region"].sel(across=a, up=u, method="nearest")
        regions.append(int(here) == int(columns["region"].sel(across=row[0], up=row[1], method="nearest")))
    assert np.mean(regions) > 0.97


def test_one_direction_is_drawn_as_densities(fits):
    data = discriminant_plane_data(fits[2])
    assert data.sizes["feature"] == 1
    step = float(data["at"][1] - data["at"][0])
    np.testing.assert_allclose(data["density"].sum("step") * step, data["weight"], atol=0.01)
    figure = bg.plots.discriminant_plane(fits[2])
    assert figure.axes[0].get_xlabel() == data["feature"].values[0]
    plt.close(figure)


def test_axes_name_the_columns_that_matter_and_what_is_left_out_is_said(fits):
    figure = bg.plots.discriminant_plane(fits[4])
    label = figure.axes[0].get_xlabel()
    assert label.startswith("direction 1 (")
    assert "petal_length" in label
    assert figure.get_supxlabel() == "the first 2 of 3 directions"
    plt.close(figure)


@pytest.mark.parametrize("k", [2, 3])
def test_the_plane_is_drawn_in_the_panel_that_is_given(fits, k):
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    assert bg.plots.discriminant_plane(fits[k], ax=right) is figure
    assert not left.has_data()
    assert right.has_data()
    plt.close(figure)
