"""Pictures: their data first, then that they draw what they say."""

import matplotlib as mpl
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import DataError
from bayesgmm.plots import assignment_data
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
