"""Interactive plots by plotly: what is under the pointer, what is refused, and a report that holds them."""

import html
import re

import matplotlib as mpl
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import DeclarationError, MissingExtra, UnknownName
from bayesgmm.plots import interactive
from bayesgmm.plots.backends import INTERACTIVE
from tests import browser

mpl.use("Agg")

HOSTILE = "<b>$a_1$</b>"
DRAWN = """
return [...document.querySelectorAll('.live')].map(f => f.querySelectorAll('.scatterlayer .points path').length)
"""
FIGURES = ("pairs", "density", "anomalies")  # of a report


@pytest.fixture(scope="module")
def flowers():
    table = bg.datasets.iris()[["sepal_length", "petal_length", "petal_width"]]
    return table.set_axis([f"flower {i}" for i in range(len(table))])


@pytest.fixture(scope="module")
def fit(flowers):
    return bg.fit(bg.MixtureModel(3), flowers, "gibbs", draws=60, chains=2, seed=1, progress=False)


def drawn(name, fit, **arguments):
    return getattr(bg.plots, name)(fit, backend="plotly", **arguments)


def under_the_pointer(figure):
    """The lines of each text, by the row that it starts with."""
    texts = [text for trace in figure.data if trace.hovertext is not None for text in trace.hovertext]
    lines = [html.unescape(re.sub("</?b>", "", text)).split("<br>") for text in texts]
    return {first.removeprefix("row "): rest for first, *rest in lines}


@pytest.mark.parametrize("name", INTERACTIVE)
def test_under_the_pointer_are_the_row_its_probabilities_and_its_values(name, fit, flowers):
    import plotly.graph_objects as go

    figure, table = drawn(name, fit), bg.assignments_table(fit)
    shown = under_the_pointer(figure)
    assert isinstance(figure, go.Figure)
    assert set(shown) == set(flowers.index)
    for row in flowers.index[::10]:
        likely = float(table.loc[row, f"probability_{table.loc[row, 'label']}"])
        assert shown[row][0] == f"component {table.loc[row, 'label']}: {bg.wording.share(likely)}"
        for column in flowers:
            assert f"{column}: {flowers.loc[row, column]:.4g}" in shown[row]


def test_a_point_is_where_its_values_are(fit, flowers):
    figure = drawn("assignments", fit, columns=["petal_length", "petal_width"])
    points = [trace for trace in figure.data if trace.hovertext is not None]
    names = np.concatenate([[re.search("flower \\d+", text)[0] for text in trace.hovertext] for trace in points])
    places = np.concatenate([np.column_stack([trace.x, trace.y]) for trace in points])
    np.testing.assert_array_equal(places, flowers.loc[names, ["petal_length", "petal_width"]])


def test_anomalies_among_new_points_have_their_p_values_and_columns(fit, flowers):
    new = flowers.iloc[:5].set_axis(list("abcde"))
    new.loc["c"] = 40.0
    figure, scores = drawn("anomalies", fit, data=new), bg.anomaly_scores(fit, new)
    assert under_the_pointer(figure)["c"][-1] == f"p-value: {float(scores['p_value'][2]):.3g}"
    assert [trace.name for trace in figure.data if trace.hovertext is not None][-1] == "anomalies (1)"


def test_a_component_has_one_entry_in_the_legend_for_all_panels(fit):
    names = [trace.name for trace in drawn("pairs", fit).data if trace.showlegend]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("component") for name in names) == 3


def test_all_panels_of_a_column_have_one_range(fit):
    """A column is on the vertical axis of some panels and on the horizontal axis of others."""
    layout = drawn("assignments", fit).layout
    axes = {axis: layout[axis].matches for axis in layout if re.match("[xy]axis", axis) and layout[axis].matches}
    assert sorted(set(axes.values())) == ["x", "x3", "x6"]
    assert axes["yaxis2"] == "x3"  # below the first panel: the second column upwards
    assert axes["xaxis2"] == "x"


def test_names_are_shown_as_they_are(flowers):
    table = flowers.set_axis([HOSTILE, "b", "c"], axis=1).set_axis([HOSTILE] * len(flowers))
    fit = bg.fit(bg.MixtureModel(2), table, "em", seed=1, progress=False)
    for name in INTERACTIVE:
        written = drawn(name, fit).to_json()
        assert HOSTILE not in written
        assert "$a" not in written


def test_with_many_points_some_are_drawn_and_the_figure_says_so():
    x = np.random.default_rng(0).normal(size=(9_000, 1))
    x[0] = 60.0
    fit = bg.fit(bg.MixtureModel(1), x, "em", progress=False)
    figure = drawn("density", fit)
    assert len(under_the_pointer(figure)) == 5_000
    assert figure.layout.title.text == "5,000 of 9,000 points are drawn"
    anomalies = drawn("anomalies", fit)
    assert "0" in under_the_pointer(anomalies)
    assert "all anomalies and 5,000 of 8,999 other points are drawn" in anomalies.layout.title.text


def test_the_edge_of_a_region_is_closed_where_it_leaves_the_grid():
    for line in interactive.edges(np.arange(4.0), np.arange(3.0), np.ones((3, 4)), 0.5):
        np.testing.assert_array_equal(line[:, 0], line[:, -1])


@pytest.mark.parametrize("name", ["weights", "classification", "n_clusters"])
def test_other_plots_name_those_that_plotly_draws(name, fit):
    with pytest.raises(DeclarationError, match=rf"plots\.{name} is drawn by matplotlib only\n.*plots\.pairs"):
        drawn(name, fit)


def test_other_backends_and_figures_to_draw_in_are_refused(fit):
    with pytest.raises(UnknownName, match="backend='bokeh' is not one of 'matplotlib', 'plotly'"):
        bg.plots.pairs(fit, backend="bokeh")
    with pytest.raises(DeclarationError, match="figure= can't be used with backend='plotly'"):
        drawn("pairs", fit, figure=mpl.figure.Figure())


def test_without_plotly_one_error_names_the_extra(fit, monkeypatch, tmp_path):
    monkeypatch.setattr("bayesgmm.plots.backends.find_spec", lambda name: None)
    for use in (lambda: drawn("pairs", fit), lambda: bg.report(fit, tmp_path / "a.html", interactive=True)):
        with pytest.raises(MissingExtra, match=r"pip install 'bayesgmm\[plotly\]'"):
            use()
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def live(flowers, tmp_path_factory):
    """An interactive report about columns with names that would be scripts."""
    table = flowers.set_axis(["</script><script>alert(1)</script>", "b", "c"], axis=1)
    fit = bg.fit(bg.MixtureModel(2), table, "gibbs", draws=60, chains=2, seed=1, progress=False)
    path = tmp_path_factory.mktemp("live") / "live.html"
    return bg.report(fit, path, interactive=True, sections=["pictures", "fit"], progress=False)


def test_a_report_holds_plotly_once_and_nothing_from_elsewhere(live):
    from plotly.offline import get_plotlyjs

    written = live.read_text(encoding="utf-8")
    assert written.count(get_plotlyjs()) == 1
    assert written.count('<figure class="live">') == len(FIGURES)
    rest = written.replace(get_plotlyjs(), "")
    assert not re.search(r'(src|href)="(?!#|data:)', rest)
    assert "<script>alert" not in rest


@pytest.mark.skipif(not (browser.DRIVER and browser.CHROMIUM), reason="there is no Chromium, or no chromedriver")
def test_a_browser_draws_it_without_a_network(live, tmp_path):
    with browser.browser(tmp_path / "profile") as window:
        window.tell("Network.enable")
        window.tell(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )
        window.logs()
        window.open(live)
        seen = window.run(DRAWN)
        console, asked = window.logs()
    assert console == []
    assert asked == [live.resolve().as_uri()]
    assert len(seen) == len(FIGURES)
    assert min(seen) >= 150
