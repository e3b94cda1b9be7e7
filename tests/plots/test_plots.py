"""Plots: their data, and what the figures show."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.plots import (
    assignment_data,
    co_clustering_data,
    density_data,
    entropy_data,
    n_clusters_data,
    pairs_data,
    partition_data,
    weights_data,
)
from bayesgmm.plots.mixtures import AVERAGED, MEANS, region
from bayesgmm.plots.partitions import matched
from bayesgmm.plots.style import COLOURS, colour, held_by, literal
from bayesgmm.posterior.info import declaration
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions.replication import simulate
from bayesgmm.reports.pictures import style

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.path import Path


@pytest.mark.parametrize("drawing", [literal, lambda draw: style()(draw)])
def test_a_plot_keeps_what_a_backend_sets_at_its_first_figure(drawing):
    """Inline backends make matplotlib interactive then, and show nothing if that is undone."""

    @drawing
    def draw():
        assert not mpl.rcParams["text.parse_math"]
        mpl.rcParams["interactive"] = True
        return plt.figure()

    with mpl.rc_context({"interactive": False, "text.parse_math": True, "font.size": 3.0}):
        draw()
        assert mpl.rcParams["interactive"]
        assert mpl.rcParams["text.parse_math"]
        assert mpl.rcParams["font.size"] == 3.0


def test_a_plot_refuses_a_partition_of_other_points(fit, iris):
    few = bg.partition(fit, iris.drop(columns="species").iloc[::2], restarts=1)
    for draw in (co_clustering_data, partition_data):
        with pytest.raises(DataError, match="partition of 75 points, not of these 150"):
            draw(fit, few)


def test_marginals_are_densities_inside_their_band(fit):
    data = assignment_data(fit)
    for j in range(4):
        grid, total = data["grid"].values[j], data["marginal"].values[j].sum(axis=1)
        assert 0.9 < np.trapezoid(total, grid) < 1.01
        inside = (total >= data["band"].values[j, :, 0]) & (total <= data["band"].values[j, :, 1])
        assert inside.mean() > 0.95


def test_outlines_contain_the_stated_share(fit):
    """An ellipse of 90 % of a component, by its Mahalanobis distance."""
    from scipy.stats import chi2

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


def test_columns_can_be_chosen_and_misspelt_ones_are_refused(fit):
    assert list(assignment_data(fit, ["petal_width"])["feature"].values) == ["petal_width"]
    with pytest.raises(DataError, match="did you mean 'petal_width'"):
        bg.plots.assignments(fit, ["petal_with"])


def test_colours_repeat_after_the_last():
    assert colour(0) == COLOURS[0] == colour(len(COLOURS))


def test_contours_of_pairs_contain_the_stated_share_of_new_points(fit):
    """Simulated points inside a contour. False alarm: 1e-4 (4 sd), and 0.02 for the grid and the thinned draws."""
    from scipy.interpolate import RegularGridInterpolator

    data = pairs_data(fit, ["sepal_length", "petal_width"], ci_prob=0.8)
    x, y = data["coarse"].values
    density = data["density"].values[0]
    assert np.trapezoid(np.trapezoid(density, x), y) == pytest.approx(1, abs=0.05)
    new = simulate(unpack(fit), 20_000, np.random.default_rng(3))[:, [0, 3]]
    at = RegularGridInterpolator((y, x), density, bounds_error=False, fill_value=0.0)(new[:, ::-1])
    for level, height in zip(data["level"].values, data["height"].values[0], strict=True):
        assert (at > height).mean() == pytest.approx(level, abs=0.02 + 4 * np.sqrt(0.25 / len(new)))


def test_the_density_in_the_plane_matches_scipy(fit):
    from scipy.stats import multivariate_normal

    data = pairs_data(fit, ["sepal_length", "petal_width"])
    x, y = data["coarse"].values
    p, plane = unpack(fit).thin(MEANS).thin(AVERAGED).parameters, [0, 3]
    for up, across in ((20, 10), (5, 30)):
        terms = [
            p.weight[s, k]
            * multivariate_normal(p.mean[s, k][plane], p.covariance[s, k][np.ix_(plane, plane)]).pdf([x[across], y[up]])
            for s, k in np.ndindex(p.weight.shape)
        ]
        assert data["density"].values[0][up, across] == pytest.approx(sum(terms) / len(p.weight), rel=1e-9)


def test_a_region_of_the_means_does_not_depend_on_units():
    draws, units = np.random.default_rng(0).normal(size=(400, 2)), np.array([1e6, 1e-6])
    np.testing.assert_allclose(region(draws * units, 0.9), region(draws, 0.9) * units[:, None], rtol=1e-9)
    assert np.isnan(region(np.column_stack([draws[:, 0], 3 * draws[:, 0]]), 0.9)).all()


def test_histograms_count_rows_by_their_weight(iris):
    x = iris[["petal_length"]]
    heavy = bg.fit(bg.MixtureModel(2), x, "em", seed=1, progress=False, sample_weight=np.repeat([3.0, 1.0], [50, 100]))
    for draw in (bg.plots.assignments, bg.plots.density):
        figure = draw(heavy)
        bars = [bar for bar in figure.axes[0].patches if hasattr(bar, "get_x")]
        light = sum(bar.get_height() * bar.get_width() for bar in bars if bar.get_x() < 2.5)
        assert light == pytest.approx(0.6)  # 50 setosas of weight 3, and 100 others
        plt.close(figure)


def test_regions_of_the_means_contain_the_stated_share_of_draws(fit):
    data = pairs_data(fit, ["sepal_length", "petal_width"], ci_prob=0.8)
    for k in range(3):
        inside = Path(data["region"].values[0, k].T).contains_points(data["centre"].values[:, k])
        assert inside.mean() == pytest.approx(0.8, abs=0.01)


def test_pairs_uses_both_triangles_and_transposes_the_upper_one(fit):
    figure = bg.plots.pairs(fit, ["sepal_length", "petal_width", "petal_length"])
    axes = np.array(figure.axes).reshape(3, 3)
    data = pairs_data(fit, ["sepal_length", "petal_width", "petal_length"])
    for row in range(3):
        for column in range(3):
            low, high = axes[row, column].get_xlim()
            assert low <= data["centre"].values[..., column].min() < data["centre"].values[..., column].max() <= high
    upper = axes[0, 2].collections[-1].get_offsets()  # means of the last component
    np.testing.assert_array_equal(upper, data["centre"].values[:, 2][:, [2, 0]])
    region = Path(axes[0, 2].lines[-1].get_xydata())
    assert region.contains_points(upper).mean() == pytest.approx(0.9, abs=0.01)
    inner = [Path(polygon) for polygon in axes[0, 2].collections[0].get_paths()[1].to_polygons()]
    new = simulate(unpack(fit), 4000, np.random.default_rng(1))[:, [2, 0]]
    held = np.any([part.contains_points(new) for part in inner], axis=0).mean()
    assert held == pytest.approx(0.5, abs=0.06)  # 4 sd are 0.03, the grid is coarse
    inner, outer = (data["ellipse"].sel(level=level).values[1, 0] for level in (0.5, 0.9))  # pair 1: columns 0 and 2
    drawn = [line.get_xydata().T for line in axes[2, 0].lines]
    assert any(np.array_equal(inner, line) for line in drawn)
    assert any(np.array_equal(outer, line) for line in drawn)
    plt.close(figure)


def test_a_point_estimate_has_means_but_no_regions(iris):
    best = bg.fit(bg.MixtureModel(2), iris[["sepal_length", "petal_width"]], method="em", seed=1, progress=False)
    assert np.isnan(pairs_data(best)["region"]).all()
    figure = bg.plots.pairs(best)
    plt.close(figure)
    data = weights_data(best)
    np.testing.assert_array_equal(data["interval"].values[..., 0], data["interval"].values[..., 1])
    assert np.isnan(data["prior_interval"]).all()  # EM knows no prior
    plt.close(bg.plots.weights(best))


def test_pairs_of_one_column_has_its_marginal_density(galaxies_fit):
    figure = bg.plots.pairs(galaxies_fit)
    assert [axis.get_xlabel() for axis in figure.axes] == ["velocity"]
    plt.close(figure)


def test_weights_and_their_prior_match_closed_forms(fit):
    """A Dirichlet's margins are Beta. False alarm: 1e-4 (60,000 draws, of which 20,000 are independent)."""
    from scipy.stats import beta

    data = weights_data(fit, ci_prob=0.8)
    weight = fit["posterior"]["weight"].values.reshape(-1, 3)
    np.testing.assert_allclose(data["interval"].values[:, 1, 0], np.quantile(weight, 0.1, axis=0))
    np.testing.assert_allclose(data["mean"], weight.mean(axis=0))
    concentration = declaration(fit).weights.concentration
    margin = beta(concentration, 2 * concentration)
    assert float(data["prior_mean"]) == pytest.approx(1 / 3, abs=1e-9)
    for bound, p in zip(data["prior_interval"].values, (0.1, 0.9), strict=True):
        assert margin.cdf(bound) == pytest.approx(p, abs=4 * np.sqrt(0.09 / 20_000))


def test_the_probability_of_being_occupied_matches_sampled_labels(galaxies_fit):
    """Labels by simulation, for a thin third component. False alarm: 1e-4 (4 sd)."""
    from bayesgmm.labels.relabelling import aligned

    few = galaxies_fit.copy()
    places = galaxies_fit["observed_data"].to_dataset().isel(point=slice(4))
    few["observed_data"] = xr.DataTree(places.assign(x=places["x"] * 0 + [[13_000.0], [14_000], [28_000], [29_000]]))
    chance = weights_data(few)["occupied"].values
    posterior = aligned(few)
    x, p = few["observed_data"]["x"].values[:, 0], posterior.parameters
    variance = p.covariance[..., 0, 0]
    density = p.weight * np.exp(-0.5 * (x[:, None, None] - p.mean[..., 0]) ** 2 / variance) / np.sqrt(variance)
    shares = (density / density.sum(axis=-1, keepdims=True)).cumsum(axis=-1)
    rng = np.random.default_rng(0)
    held = np.zeros(3)
    for _ in range(20):
        label = (rng.random((*shares.shape[:2], 1)) > shares).sum(axis=-1)
        held += [(label == k).any(axis=0).mean() / 20 for k in range(3)]
    assert ((chance > 0.2) & (chance < 0.8)).any(), chance
    np.testing.assert_allclose(chance, held, atol=4 * np.sqrt(0.25 / (20 * posterior.n_draws)))


def test_weights_draws_a_row_for_each_component_in_its_colour(fit):
    figure = bg.plots.weights(fit)
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["component 0", "component 1", "component 2"]
    thick = [line for line in axis.lines if line.get_linewidth() == 5]
    assert [line.get_color() for line in thick] == list(COLOURS[:3])
    assert sum(text.get_text() == "100 %" for text in axis.texts) == 3
    plt.close(figure)


# -- densities --


def test_density_data_are_densities(fit, galaxies_fit):
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


def test_with_given_values_the_other_columns_are_shown(fit):
    data = density_data(fit, given={"petal_width": 1.2})
    assert list(data["feature"].values) == ["sepal_length", "sepal_width", "petal_length"]
    assert "x" not in data
    wanted = bg.conditional_density(fit, {"petal_width": 1.2}, "petal_length", data["grid"].values[2])["density"]
    np.testing.assert_allclose(data["density"].values[2], wanted, rtol=1e-9)
    with pytest.raises(DataError, match="all columns are given"):
        density_data(fit, given=dict.fromkeys(data["feature"].values, 1.0) | {"petal_width": 1.0})


def test_levels_contain_the_stated_share(fit):
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


def test_a_cluster_without_a_partner_gets_a_number_of_its_own():
    found = matched(np.array([0, 0, 1, 2, 3]), np.array([1, 1, 0, 0, 0]))
    assert len(set(found.tolist())) == 4
    assert found[0] == 1


def test_partition_draws_a_row_for_each_pair_or_a_histogram(fit, galaxies_fit):
    best, columns = bg.partition(fit, draws=100), ["petal_length", "petal_width", "sepal_width"]
    label = partition_data(fit, best, columns)["label"].values
    figure = bg.plots.partition(fit, best, columns)
    assert len(figure.axes) == 3 * len(np.unique(label, axis=0))
    lone = bg.plots.partition(galaxies_fit, bg.partition(galaxies_fit, draws=100))
    counts = sum(patch.get_height() for patch in lone.axes[0].patches)
    assert counts == 82
    plt.close("all")


def test_partitions_that_are_equal_share_a_panel():
    """Two groups far apart have one plausible partition, so its bounds are that partition."""
    apart = bg.fit(bg.MixtureModel(2, "tied"), [[-1.0], [0.0], [1.0], [29.0], [30.0], [31.0]], "em", progress=False)
    figure = bg.plots.partition(apart)
    (panel,) = figure.axes
    for name in ("optimal", "farthest", "fewest clusters", "most clusters"):
        assert name in panel.get_title("left")
    plt.close(figure)


def test_n_clusters_draws_the_probabilities(galaxies_fit):
    data = n_clusters_data(galaxies_fit)
    assert float(data["probability"].sum()) == pytest.approx(1)
    figure = bg.plots.n_clusters(galaxies_fit)
    np.testing.assert_allclose([bar.get_height() for bar in figure.axes[0].patches], data["probability"])
    plt.close(figure)


def test_the_elbow_of_the_entropy_is_where_its_lines_meet(fit):
    merged = bg.merge_components(fit)
    data = entropy_data(merged)
    assert int(data["elbow"]) == 2
    np.testing.assert_allclose(data["line"].values @ [1, 2], data["entropy"].values[1], atol=1e-9)
    figure = bg.plots.entropy(merged)
    assert [axis.get_xlabel() for axis in figure.axes] == ["clusters", "clusters"]
    plt.close(figure)
    with pytest.raises(DeclarationError, match="merge_components"):
        entropy_data(fit)


def test_every_plot_draws_names_as_they_are():
    """``literal`` wraps all of them, so that no name is a formula."""
    draws = [name for name in bg.plots.__all__ if not name.endswith("_data")]
    assert [name for name in draws if not hasattr(getattr(bg.plots, name), "__wrapped__")] == []


def test_names_are_no_formulas():
    names = [r"$\frac{a$", "price ($) per $", "b\x1b"]
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=names)
    one = bg.fit(bg.MixtureModel(1), table, "em", progress=False)
    figure = bg.plots.assignments(one)
    figure.savefig(io.BytesIO(), dpi=30)
    assert {axis.get_xlabel() for axis in figure.axes} - {""} == {r"$\frac{a$", "price ($) per $", r"b\x1b"}
    assert not any(text.get_parse_math() for axis in figure.axes for text in (axis.xaxis.label, axis.yaxis.label))
    plt.close(figure)
