"""Pictures: their data first, then that they draw what they say."""

import matplotlib as mpl
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import DataError
from bayesgmm.plots import assignment_data, density_data
from bayesgmm.plots.densities import held_by
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


# -- densities --


def test_the_density_picture_shows_densities(fit, galaxies_fit):
    data = density_data(fit)
    for j, name in enumerate(data["feature"].values):
        grid, mean = data["grid"].values[j], data["density"].values[j]
        wanted = bg.density(fit, grid, columns=[name])
        np.testing.assert_allclose(mean, wanted["density"], rtol=1e-9)
        np.testing.assert_allclose(data["band"].values[j], wanted["band"], rtol=1e-9)
        np.testing.assert_allclose(data["component_density"].values[j].sum(axis=1), mean, rtol=1e-9)
    pair = list(data["pair"].values).index("sepal_width, petal_width")
    across, up = data["place"].values[pair]
    at = np.array([[across[10], up[40]], [across[40], up[10]]])
    wanted = bg.density(fit, at, columns=["sepal_width", "petal_width"])["density"]
    cells = data["pair_density"].values[pair]
    np.testing.assert_allclose([cells[10, 40], cells[40, 10]], wanted, rtol=1e-9)
    few = density_data(galaxies_fit)
    assert "pair_density" not in few
    np.testing.assert_array_equal(few["x"], galaxies_fit["observed_data"]["x"])


def test_given_values_the_picture_shows_what_is_left(fit):
    data = density_data(fit, given={"petal_width": 1.2})
    assert list(data["feature"].values) == ["sepal_length", "sepal_width", "petal_length"]
    assert "x" not in data
    wanted = bg.conditional_density(fit, {"petal_width": 1.2}, "petal_length", data["grid"].values[2])["density"]
    np.testing.assert_allclose(data["density"].values[2], wanted, rtol=1e-9)
    with pytest.raises(DataError, match="all columns are given"):
        density_data(fit, given=dict.fromkeys(data["feature"].values, 1.0) | {"petal_width": 1.0})


def test_levels_hold_the_share_that_they_say(fit):
    cells = density_data(fit, ["petal_length", "petal_width"])["pair_density"].values[0]
    for share, level in zip((0.5, 0.95), held_by(cells, [0.5, 0.95]), strict=True):
        assert cells[cells >= level].sum() / cells.sum() == pytest.approx(share, abs=0.01)


def test_density_draws_a_panel_for_every_pair(fit, galaxies_fit, iris):
    figure = bg.plots.density(fit)
    assert len([axis for axis in figure.axes if axis.get_visible()]) == 10
    assert [axis.get_xlabel() for axis in bg.plots.density(galaxies_fit).axes] == ["velocity"]
    given = bg.plots.density(fit, ["sepal_length", "petal_length"], given={"petal_width": 1.2})
    assert given.legends[0].get_title().get_text() == "given petal_width = 1.2"
    one = bg.fit(bg.MixtureModel(2), iris[["petal_length", "petal_width"]], "em", seed=1, progress=False)
    texts = [text.get_text() for text in bg.plots.density(one).legends[0].get_texts()]
    assert not any("band" in text or "one draw" in text for text in texts)
    plt.close("all")
