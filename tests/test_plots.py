"""Pictures: their data first, then that they draw what they say."""

import matplotlib as mpl
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.plots import assignment_data, co_clustering_data, entropy_data, n_clusters_data, partition_data
from bayesgmm.plots.partitions import matched
from bayesgmm.plots.style import COLOURS, colour

mpl.use("Agg")
import matplotlib.pyplot as plt


def test_marginals_are_densities_inside_their_band(fit):
    data = assignment_data(fit)
    for j in range(4):
        grid, total = data["grid"].values[j], data["marginal"].values[j].sum(axis=1)
        assert 0.9 < np.trapezoid(total, grid) < 1.01
        inside = (total >= data["band"].values[j, :, 0]) & (total <= data["band"].values[j, :, 1])
        assert inside.mean() > 0.95


def test_outlines_hold_the_share_that_they_say(fit):
    """An ellipse of 90 % of a component, by its Mahalanobis distance."""
    from scipy.stats import chi2

    from bayesgmm.posterior import unpack

    data = assignment_data(fit, ["sepal_length", "petal_width"], ci_prob=0.9)
    p = unpack(fit).parameters
    outline = data["outline"].values[0, 0, 1]
    pair = [0, 3]
    d = outline - p.mean[0, 1][pair][:, None]
    distance = (d * np.linalg.solve(p.covariance[0, 1][np.ix_(pair, pair)], d)).sum(axis=0)
    np.testing.assert_allclose(distance, chi2(2).ppf(0.9))


def test_assignments_draws_a_panel_for_every_pair(fit):
    figure = bg.plots.assignments(fit)
    visible = [axis for axis in figure.axes if axis.get_visible()]
    assert len(visible) == 10
    assert {axis.get_xlabel() for axis in figure.axes} - {""} == set(fit["posterior"]["feature"].values)
    plt.close(figure)


def test_one_column_is_one_panel(galaxies_fit):
    figure = bg.plots.assignments(galaxies_fit)
    assert [axis.get_xlabel() for axis in figure.axes] == ["velocity"]
    plt.close(figure)


def test_columns_can_be_chosen_and_misspelt(fit):
    assert list(assignment_data(fit, ["petal_width"])["feature"].values) == ["petal_width"]
    with pytest.raises(DataError, match="did you mean 'petal_width'"):
        bg.plots.assignments(fit, ["petal_with"])


def test_colours_come_round_again():
    assert colour(0) == COLOURS[0] == colour(len(COLOURS))


def test_co_clustering_is_drawn_in_the_order_of_the_partition(fit):
    best = bg.partition(fit, draws=100)
    data = co_clustering_data(fit, best)
    label, matrix = data["label"].values, data["probability"].values
    assert (np.diff(label) >= 0).all()
    assert np.bincount(label).tolist() == best["size"].values.tolist()
    np.testing.assert_array_equal(matrix, matrix.T)
    same = label[:, None] == label
    assert matrix[same].mean() > 0.9 > 0.1 > matrix[~same].mean()
    figure = bg.plots.co_clustering(fit, best)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), matrix)
    plt.close(figure)


def test_a_cluster_has_the_colour_of_its_component_in_every_panel(fit):
    data = partition_data(fit, bg.partition(fit, draws=100))
    labels = bg.assignments(fit)["label"].values
    assert ((data["label"] == labels).mean("point") > 0.8).all()
    assert data["distance"].values[0] == 0
    assert (data["distance"].values[1:] > 0).all()


def test_a_number_of_its_own_for_a_cluster_without_partner():
    found = matched(np.array([0, 0, 1, 2, 3]), np.array([1, 1, 0, 0, 0]))
    assert len(set(found.tolist())) == 4
    assert found[0] == 1


def test_partition_draws_a_row_for_each_pair_or_a_histogram(fit, galaxies_fit):
    figure = bg.plots.partition(fit, bg.partition(fit, draws=100), ["petal_length", "petal_width", "sepal_width"])
    assert len(figure.axes) == 12
    lone = bg.plots.partition(galaxies_fit, bg.partition(galaxies_fit, draws=100))
    assert len(lone.axes) == 4
    counts = sum(patch.get_height() for patch in lone.axes[0].patches)
    assert counts == 82
    plt.close("all")


def test_n_clusters_is_drawn_as_it_is(galaxies_fit):
    data = n_clusters_data(galaxies_fit)
    assert float(data["probability"].sum()) == pytest.approx(1)
    figure = bg.plots.n_clusters(galaxies_fit)
    np.testing.assert_allclose([bar.get_height() for bar in figure.axes[0].patches], data["probability"])
    plt.close(figure)


def test_the_entropy_curve_has_its_elbow_where_its_lines_meet_best(fit):
    merged = bg.merge_components(fit)
    data = entropy_data(merged)
    assert int(data["elbow"]) == 2
    np.testing.assert_allclose(data["line"].values @ [1, 2], data["entropy"].values[1], atol=1e-9)
    figure = bg.plots.entropy(merged)
    assert [axis.get_xlabel() for axis in figure.axes] == ["clusters", "clusters"]
    plt.close(figure)
    with pytest.raises(DeclarationError, match="merge_components"):
        entropy_data(fit)
