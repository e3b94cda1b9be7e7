"""Every plot: it draws where it is told to, and in the user's style."""

import inspect

import matplotlib as mpl
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import DeclarationError
from bayesgmm.plots.style import grey, towards_text
from tests.conftest import quick_gibbs

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D
from matplotlib.text import Text

PLOTS = sorted(name for name in bg.plots.__all__ if not name.endswith("_data") and name != "animate")
BLACK = (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def flowers():
    return bg.datasets.iris().drop(columns="species")[["sepal_length", "petal_length", "petal_width"]]


@pytest.fixture(scope="module")
def drawings(flowers):
    """A call of each plot, by its name."""
    plots, quiet = bg.plots, {"seed": 1, "progress": False}
    fit = bg.fit(bg.MixtureModel(3), flowers, "em", **quiet)
    holed = flowers.mask(np.random.default_rng(0).random(flowers.shape) < 0.1)
    with_gaps = bg.fit(bg.MixtureModel(2), holed, "em", **quiet)
    bounded = bg.fit(bg.MixtureModel(2), flowers, "vb", n_init=1, draws=20, **quiet)
    finite = bg.MixtureModel(3, "diag", weights=bg.FiniteMixture(bg.Geometric(0.5)))
    of_number = quick_gibbs(finite, flowers[:60])
    tree = bg.prior_predictive(bg.MixtureModel(2), flowers, draws=30, seed=1)
    table, merged = bg.select(flowers, [1, 2], "full", n_init=2, **quiet), bg.merge_components(fit)
    label = np.arange(len(flowers)) // 50
    return {
        "bic": lambda **where: plots.bic(table, **where),
        "elbo": lambda **where: plots.elbo(bounded, **where),
        "entropy": lambda **where: plots.entropy(merged, **where),
        "flagged_rows": lambda **where: plots.flagged_rows(flowers, np.arange(len(flowers)) < 4, **where),
        "imputations": lambda **where: plots.imputations(with_gaps, **where),
        "missing": lambda **where: plots.missing(with_gaps, **where),
        "n_components": lambda **where: plots.n_components(of_number, **where),
        "prior": lambda **where: plots.prior(tree, **where),
        "selection": lambda **where: plots.selection(table, **where),
        "separation": lambda **where: plots.separation(flowers, label, label / 4, **where),
    } | {name: lambda name=name, **where: getattr(plots, name)(fit, **where) for name in OF_A_FIT}


OF_A_FIT = [
    "anomalies",
    "assignments",
    "boundaries",
    "check",
    "classification",
    "co_clustering",
    "density",
    "discriminant_plane",
    "n_clusters",
    "pairs",
    "partition",
    "uncertainty",
    "weights",
]


def of_panels(name):
    """True for a plot of several panels."""
    return "figure" in inspect.signature(getattr(bg.plots, name)).parameters


def test_each_plot_is_tried(drawings):
    assert sorted(drawings) == PLOTS


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_takes_the_place_to_draw_in(name):
    parameters = inspect.signature(getattr(bg.plots, name)).parameters
    assert len({"ax", "figure"} & {*parameters}) == 1


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_draws_only_where_it_is_told_to(name, drawings):
    """In one half of a figure: the other half, what belongs to the whole figure, and the settings stay as they are."""
    figure = plt.figure(figsize=(14, 6), layout="constrained")
    left, right = figure.subfigures(1, 2)
    other = right.subplots()
    other.plot([0, 1], [0, 1])
    where = {"figure": left} if of_panels(name) else {"ax": left.subplots()}
    before = dict(mpl.rcParams), len(other.findobj()), len(right.findobj()), len(figure.get_children())
    assert drawings[name](**where) is figure
    figure.draw_without_rendering()
    assert (dict(mpl.rcParams), len(other.findobj()), len(right.findobj()), len(figure.get_children())) == before
    assert len(left.axes) >= (2 if of_panels(name) else 1)
    assert plt.get_fignums() == [figure.number]
    plt.close(figure)


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@pytest.mark.parametrize("name", PLOTS)
def test_on_a_dark_background_nothing_is_black(name, drawings):
    with plt.style.context("dark_background"):
        figure = drawings[name]()
    assert mpl.colors.to_rgb(figure.get_facecolor()) == BLACK
    drawn = [part for part in figure.findobj() if isinstance(part, Text | Line2D) and part.get_visible()]
    black = [part for part in drawn if mpl.colors.to_rgb(part.get_color()) == BLACK]
    rings = [part for part in figure.findobj(PathCollection) if not len(part.get_facecolor())]
    assert all(mpl.colors.to_rgb(edge) != BLACK for ring in rings for edge in ring.get_edgecolor())
    on_an_image = {"check"}  # whose numbers are dark on bright cells
    assert [part for part in black if name not in on_an_image] == []
    plt.close(figure)


def test_greys_lie_between_the_colours_of_text_and_of_panels():
    with mpl.rc_context({"text.color": "#ff0000", "axes.facecolor": "#0000ff"}):
        assert (grey(0.0), grey(1.0), grey(0.5)) == ("#ff0000", "#0000ff", "#800080")


def titled():
    figure = plt.figure()
    figure.suptitle("a title")
    return figure


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: plt.subplots()[0], r"figure= holds 1 panel; .*\n  Give an empty figure"),
        (titled, r"figure= holds a title; "),
        (lambda: plt.figure().subfigures(1, 2)[0].figure, r"figure= holds parts; "),
        (lambda: plt.subplots()[1], r"figure=<Axes.*: must be a matplotlib Figure, or a part of one"),
    ],
)
def test_what_is_no_empty_figure_is_refused(given, message, drawings):
    with pytest.raises(DeclarationError, match=message):
        drawings["entropy"](figure=given())
    plt.close("all")


@pytest.mark.parametrize("given", ["figure", "number", "polar"])
def test_what_is_no_panel_with_straight_axes_is_refused(given, drawings):
    places = {"figure": plt.figure, "number": lambda: 3, "polar": lambda: plt.subplots(subplot_kw={"polar": True})[1]}
    with pytest.raises(DeclarationError, match=r"ax=.*: must be matplotlib Axes with straight axes"):
        drawings["weights"](ax=places[given]())


def test_colours_towards_the_text_are_named_by_the_style():
    assert towards_text() == "darker"
    with plt.style.context("dark_background"):
        assert towards_text() == "lighter"


@pytest.mark.parametrize("size", [(5.0, 4.0), (6.0, 6.0), (14.0, 7.0)])
def test_titles_of_panels_are_apart_in_a_small_figure(size, drawings):
    figure = plt.figure(figsize=size, layout="constrained")
    drawings["check"](figure=figure)
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in figure.axes if axis.get_title()]
    assert len(boxes) == 4
    assert not [(one, other) for i, one in enumerate(boxes) for other in boxes[:i] if one.overlaps(other)]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)


def test_one_number_of_components_is_one_tick(flowers):
    table = bg.select(flowers, [3], ["full", "tied"], n_init=1, seed=1, progress=False)
    (axis,) = bg.plots.bic(table).axes
    low, high = axis.get_xlim()
    assert [tick for tick in axis.get_xticks() if low <= tick <= high] == [3]
    assert high - low >= 1


def test_panels_in_a_small_figure_are_as_large_as_they_can_be_and_their_text_shrinks(drawings):
    """Four panels of 4.1 by 3.2 inches in 5 by 4: two in a row have 61 % of the width, three 41 %."""
    figure = plt.figure(figsize=(5.0, 4.0), layout="constrained")
    drawings["check"](figure=figure)
    assert figure.axes[0].get_gridspec().ncols == 2
    assert figure.axes[0].title.get_fontsize() == pytest.approx(10 * 2.5 / 4.1)
