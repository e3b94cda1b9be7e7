"""The columns, markers and scales of plots: what a figure shows, and that it says so."""

import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.plots import anomaly_data, assignment_data, density_data, partition_data

mpl.use("Agg")
import matplotlib.pyplot as plt

MATTER = ["x3", "x7"]  # the components differ in these columns only
NOTE = "6 of 9 columns: those in which the components differ most"


@pytest.fixture(scope="module")
def wide():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 9))
    x[:100, [3, 7]] += 8.0
    return bg.fit(bg.MixtureModel(2, "diag"), pd.DataFrame(x).add_prefix("x"), "em", seed=1, progress=False)


@pytest.mark.parametrize("data", [assignment_data, density_data])
def test_a_plot_shows_the_columns_in_which_the_components_differ_and_says_so(wide, data):
    shown = data(wide)
    assert set(MATTER) < set(shown["feature"].values)
    assert shown.attrs["note"] == NOTE
    assert data(wide, ["x0", "x1"]).attrs["note"] == ""


def test_partitions_are_shown_in_the_columns_that_matter(wide):
    assert set(MATTER) < set(partition_data(wide)["feature"].values)


@pytest.mark.parametrize("draw", [bg.plots.assignments, bg.plots.pairs, bg.plots.density, bg.plots.check])
def test_the_note_is_in_the_figure(wide, draw):
    figure = draw(wide)
    assert figure.get_supxlabel() == NOTE
    plt.close(figure)


def test_anomalies_are_not_shown_in_more_columns_than_the_plot_has(wide):
    names = wide["observed_data"]["feature"].values.tolist()[:3]
    with pytest.raises(bg.errors.DataError, match="one or two columns, and columns= names 3"):
        anomaly_data(wide, columns=names)


def test_anomalies_are_shown_in_the_columns_in_which_they_are_unusual(wide):
    strange = np.zeros((20, 9))
    strange[:3, [4, 6]] = 9.0
    scores = anomaly_data(wide, strange)
    assert scores["feature"].values.tolist() == ["x4", "x6"]
    assert scores.attrs["note"] == "2 of 9 columns: those in which the anomalies are most unusual"
    assert anomaly_data(wide, strange[3:])["feature"].values.tolist() == MATTER  # none: where the components differ


def test_components_differ_by_marker_as_well_as_colour(wide):
    figure = bg.plots.assignments(wide, MATTER)
    scatters = [c for c in figure.axes[2].collections if isinstance(c, mpl.collections.PathCollection)]
    shapes = [tuple(map(tuple, c.get_paths()[0].vertices.round(3))) for c in scatters[:2]]
    assert len(set(shapes)) == 2
    assert [handle.get_marker() for handle in figure.legends[0].legend_handles[:2]] == ["o", "s"]
    plt.close(figure)


@pytest.mark.parametrize("draw", [bg.plots.assignments, bg.plots.density, bg.plots.pairs])
def test_the_density_of_one_column_has_a_scale(wide, draw):
    figure = draw(wide, ["x3"])
    assert figure.axes[0].get_ylabel() == "density"
    assert len(figure.axes[0].get_yticks()) > 2
    plt.close(figure)


def test_curves_from_the_prior_are_not_clipped():
    """Some are a hundred times as high as most others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = bg.prior_predictive(bg.MixtureModel(2), np.random.default_rng(1).normal(size=(50, 1)), draws=50, seed=1)
    panel = bg.plots.prior(tree).axes[0]
    assert max(line.get_ydata().max() for line in panel.lines) < panel.get_ylim()[1]
    plt.close("all")
