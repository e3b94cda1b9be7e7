"""Plots with mclust's names: classes, their uncertainty, and the borders between them."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.errors import DataError
from bayesgmm.plots import boundary_data, classification_data

mpl.use("Agg")
import matplotlib.pyplot as plt

DRAWS = [bg.plots.classification, bg.plots.uncertainty, bg.plots.boundaries]
SINGLE = [*DRAWS, bg.plots.weights, bg.plots.n_clusters, bg.plots.co_clustering]


@pytest.fixture(scope="module")
def halves():
    """Two round clusters of equal weights and spreads, mirror images at 0 in the first column."""
    right = np.random.default_rng(0).normal(size=(150, 3)) + np.array([2.0, 0.0, 0.0])
    x = np.concatenate([right, right * [-1, 1, 1]])
    model = bg.MixtureModel(2, "spherical")
    return bg.fit(model, pd.DataFrame(x, columns=["a", "b", "c"]), "gibbs", draws=100, seed=1, progress=False)


def test_the_border_of_two_mirror_images_is_in_the_middle(halves):
    data = boundary_data(halves, ["a", "b"])
    middle = data.sel(up=0, method="nearest")
    assert (middle["region"].values[middle["across"] < -0.5] == middle["region"].values[0]).all()
    assert (middle["region"].values[middle["across"] > 0.5] == middle["region"].values[-1]).all()
    assert middle["region"].values[0] != middle["region"].values[-1]


def test_draws_agree_except_near_the_border(halves):
    agreement = boundary_data(halves, ["a", "b"])["agreement"].sel(up=0, method="nearest")
    assert agreement.sel(across=0, method="nearest") < 0.9
    assert (agreement.values[np.abs(agreement["across"]) > 1] == 1).all()


def test_columns_are_those_that_matter_and_there_are_two_of_them(halves):
    assert classification_data(halves)["feature"].values[0] == "a"
    with pytest.raises(DataError, match="two columns, and there are 3"):
        classification_data(halves, ["a", "b", "c"])
    with pytest.raises(DataError, match="two columns, and there is 1$"):
        classification_data(halves, ["a"])


def test_the_area_of_a_point_grows_with_its_uncertainty(halves):
    figure = bg.plots.uncertainty(halves, ["a", "b"])
    data = classification_data(halves, ["a", "b"])
    for k, scatter in enumerate(figure.axes[0].collections[:2]):
        own = data["uncertainty"].values[data["label"].values == k]
        assert np.corrcoef(scatter.get_sizes(), own)[0, 1] == pytest.approx(1)
    plt.close(figure)


@pytest.mark.parametrize("draw", SINGLE)
def test_a_plot_is_drawn_in_the_panel_that_is_given(halves, draw):
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    left.set_xscale("log")
    own = left.xaxis.get_major_formatter()
    assert draw(halves, ax=right) is figure
    assert len(plt.get_fignums()) == 1
    assert not left.has_data()
    assert left.xaxis.get_major_formatter() is own  # its labels stay as the user has them
    assert right.get_xlabel()
    figure.canvas.draw()
    assert right.get_position().width > 0.2  # nothing pushes the panel aside
    plt.close(figure)


def test_a_plot_of_bic_is_that_of_selection_and_leaves_room_for_others():
    table = bg.select([0.0, 1.0, 2.0, 50.0, 51.0, 53.0], [1, 2], "tied", seed=1, progress=False)
    figure, panels = plt.subplots(1, 2, layout="constrained")
    bg.plots.bic(table, ax=panels[0])
    bg.plots.selection(table, ax=panels[1])
    figure.canvas.draw()
    assert [panel.get_ylabel() for panel in panels] == ["BIC (lower is better)"] * 2
    assert min(panel.get_position().width for panel in panels) > 0.25
    np.testing.assert_array_equal(*(panel.lines[0].get_ydata() for panel in panels))
    plt.close(figure)
