"""The report: every fit gets one, its numbers are those of the fit, it needs no other file, and no data break it."""

import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise, product

import arviz as az
import html5lib
import matplotlib as mpl
import numpy as np
import pytest
import scipy.stats
import xarray as xr

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.diagnosis.rosenblatt import rosenblatt, unrounded
from bayesgmm.errors import DeclarationError, FitFileError, FitWarning
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.labels import alignments
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.priors.covariances import COVARIANCE_PRIORS
from bayesgmm.priors.means import MEANS
from bayesgmm.priors.scalars import SCALARS
from bayesgmm.priors.weights import WEIGHTS
from bayesgmm.reports import checks, clusters, declared, groupings, pictures, remaking, sections, terms
from bayesgmm.reports.blocks import Omitted
from bayesgmm.reports.markdown import typeset_powers
from bayesgmm.reports.mathematics import latex, lowered, mathml, number
from bayesgmm.reports.predictions import smoothed, transformed
from bayesgmm.reports.priors import descriptions
from bayesgmm.reports.remaking import in_python
from bayesgmm.reports.sections import SECTIONS
from bayesgmm.reports.subject import Subject
from tests import browser
from tests.commands import run
from tests.conftest import sampled
from tests.declarations import decomposed_priors
from tests.families.registry import CHARTED, DECOMPOSED
from tests.undrawn import PANELS

mpl.use("Agg")

HTML = "{http://www.w3.org/1999/xhtml}"
HOSTILE = [
    "<script>alert(1)</script> \"quoted\" 'name' & $x_{",
    r"$\frac{1}{2$ " + "a very long name " * 20,
    "温度 °C\n=cmd|' /C calc'!A0",
]


def parse(text):
    """Parse the document with a parser that accepts no mistake."""
    return html5lib.HTMLParser(strict=True).parse(text)


def said(element):
    """Its text; every white space is one blank."""
    return " ".join("".join(element.itertext()).split())


def find(document, name):
    return document.findall(f".//{HTML}{name}")


@pytest.fixture(scope="module")
def fit(iris):
    """Two components on the petals of the iris measurements: a pair of columns."""
    model = bg.MixtureModel(2, weights=bg.Dirichlet(2.0))
    return sampled(model, iris[["petal_length", "petal_width"]], draws=250, seed=2)


@pytest.fixture(scope="module")
def iris_report(fit, tmp_path_factory):
    return bg.report(fit, tmp_path_factory.mktemp("reports") / "iris.html", title="Iris", progress=False)


@pytest.fixture(scope="module")
def page(iris_report):
    return parse(iris_report.read_text(encoding="utf-8"))


def rebuilt(fit, keep_attrs=True, **changed):
    """A fit with some groups changed, or left out where None."""
    groups = {name: fit[name].to_dataset() for name in fit.children} | changed
    tree = xr.DataTree.from_dict({name: group for name, group in groups.items() if group is not None})
    tree.attrs = dict(fit.attrs) if keep_attrs else {}
    return tree


def part_of(fit, **chosen):
    """Some chains, some draws."""
    groups = {name: fit[name].to_dataset() for name in fit.children}
    return rebuilt(
        fit, **{name: g.isel({d: c for d, c in chosen.items() if d in g.dims}) for name, g in groups.items()}
    )


def renamed(fit, columns):
    groups = {name: fit[name].to_dataset() for name in fit.children}
    dims = ("feature", "feature_bis")
    return rebuilt(fit, **{n: g.assign_coords({d: columns for d in dims if d in g.dims}) for n, g in groups.items()})


@pytest.fixture(scope="module")
def short(galaxies_fit):
    """A fit whose report takes half the time."""
    return part_of(galaxies_fit, draw=slice(60))


@pytest.fixture(scope="module")
def by_command(fit, tmp_path_factory):
    """Return the output of the command, and the report that it writes."""
    folder = tmp_path_factory.mktemp("command")
    bg.save(fit, folder / "fit.nc")
    few = "".join(f"{module}.{name} = {number}; " for module, name, number in PANELS)
    code = f"from bayesgmm.reports import checks, quantities; {few}from bayesgmm.__main__ import main; main()"
    words = [sys.executable, "-c", code, "report", "fit.nc", "-o", "iris.html", "--title", "Iris"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    return done, folder / "iris.html"


@pytest.fixture
def coarse(monkeypatch):
    """Draw pictures at a low resolution, because their content does not matter here."""
    monkeypatch.setattr("bayesgmm.reports.pictures.WIDEST", 300)


# The page


def test_every_section_is_there_and_can_be_reached(page):
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert [section.get("id") for section in find(page, "section")] == [section.name for section in SECTIONS]
    links = [link.get("href") for link in find(page, "a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert {f"#{section.name}" for section in SECTIONS} <= set(links)


def test_nothing_is_left_out_of_a_good_fit(page):
    notes = [said(p) for p in find(page, "p") if p.get("class") == "note"]
    assert notes == []
    assert len(find(page, "img")) >= 9


def test_a_report_defines_its_terms_as_the_glossary_does(page):
    section = next(s for s in find(page, "section") if s.get("id") == "terms")
    shown = dict(zip(map(said, find(section, "dt")), map(said, find(section, "dd")), strict=True))
    assert shown == {name: terms.glossary()[name] for name in shown}
    assert {"component", "credible interval", "R-hat", "divergence", "label switching"} <= set(shown)
    assert not re.search(r"[$*`\\]", " ".join(terms.glossary().values()))  # no marks of Markdown, no formulas


def test_headings_come_in_order(page):
    levels = [int(e.tag[-1]) for e in page.iter() if isinstance(e.tag, str) and re.fullmatch(rf"{HTML}h[1-6]", e.tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_screen_reader_has_what_it_needs(page):
    assert page.get("lang") == "en"
    assert len(find(page, "main")) == len(find(page, "nav")) == len(find(page, "header")) == 1
    alts = [image.get("alt") for image in find(page, "img")]
    assert all(len(alt) > 40 and re.search(r"\d", alt) for alt in alts)
    assert len(set(alts)) == len(alts)
    for table in find(page, "table"):
        assert said(table.find(f"{HTML}caption"))
        assert all(head.get("scope") in {"col", "row"} for head in find(table, "th"))
        assert all(row.find(f"{HTML}th") is not None for row in find(table.find(f"{HTML}tbody"), "tr"))


def test_the_report_needs_no_other_file(page, iris_report):
    sources = [e.get(name) for e in page.iter() for name in ("src", "href") if e.get(name)]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not find(page, "script")
    policy = next(m for m in find(page, "meta") if m.get("http-equiv") == "Content-Security-Policy").get("content")
    assert "default-src 'none'" in policy
    assert iris_report.stat().st_size < 5 * 2**20


def channel(value):
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def contrast(one, other):
    """WCAG 2: the ratio of the relative luminances of two colours."""
    lights = []
    for colour in (one, other):
        red, green, blue = (channel(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(lights) / min(lights)


def test_black_on_white_has_the_largest_contrast():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_every_text_has_enough_contrast_in_light_in_dark_and_on_paper(iris_report):
    styles = re.findall(r":root \{(.*?)\}", iris_report.read_text(encoding="utf-8"), re.DOTALL)
    assert len(styles) == 3
    for style in styles:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", style))
        for name in ("ink", "quiet", "link", "problem", "warning", "note"):
            assert contrast(colours[name], colours["ground"]) >= 4.5, (name, colours)
        assert contrast(colours["ink"], colours["soft"]) >= 4.5


# What it says


def test_the_first_sentences_are_those_of_the_fit(page, fit):
    verdict = said(next(s for s in find(page, "section") if s.get("id") == "verdict"))
    answer = bg.assignments(fit)
    sure = int((answer["probability"].max("component") > 0.9).sum())
    weights = fit["posterior"]["weight"].mean(("chain", "draw")).values
    assert f"{sure} of 150 points" in verdict
    assert f"row {int(answer['entropy'].values.argmax())}" in verdict
    assert all(f"{100 * weight:.1f} %" in verdict for weight in weights)


def test_the_table_of_components_holds_the_posterior_means(page, fit):
    table = find(page, "table")[0]
    rows = {said(row.find(f"{HTML}th")): [said(cell) for cell in find(row, "td")] for row in find(table, "tr")[1:]}
    mean = fit["posterior"]["mean"].mean(("chain", "draw")).sel(feature="petal_length").values
    shown = [float(cell.split()[0]) for cell in rows["petal_length, mean"]]
    np.testing.assert_allclose(shown, mean, atol=0.06)  # as many digits as its interval deserves
    assert sum(float(cell) for cell in rows["expected points"]) == pytest.approx(150, abs=0.2)


def test_the_numbers_of_convergence_are_arviz_s(page, fit):
    import arviz as az

    text = said(next(s for s in find(page, "section") if s.get("id") == "draws"))
    rhat = float(re.search(r"The largest is (\d\.\d+)", text)[1])
    assert rhat >= round(float(az.rhat(fit["posterior"].to_dataset()[["weight", "mean"]]).to_array().max()), 3)
    assert rhat < 1.1


def test_the_declaration_in_it_makes_the_same_model(page, fit):
    codes = [said_exactly(code) for code in find(page, "code")]
    import tomllib

    from bayesgmm.posterior.info import declaration

    stored = declaration(fit)
    card, python = codes  # and no command: it has no option for ``disagreement``
    assert bg.MixtureModel.parse(tomllib.loads(card)["mixture"], "card") == stored
    model = re.search(r"model = (bg\.MixtureModel\(.*?\n\))", python, re.DOTALL)[1]
    assert eval(model, {"bg": bg}) == stored
    assert "seed=2" in python
    assert "disagreement='report'" in python


def test_the_command_in_it_makes_the_same_fit(galaxies_fit):
    subject = Subject(galaxies_fit)
    subject.info = replace(subject.info, settings=subject.info.settings | {"disagreement": "reconcile"})
    command = remaking._command(subject)
    assert command.startswith("bayesgmm fit data.csv --model model.toml --method nuts")
    assert "--draws 250 --max-draws 250" in command


def said_exactly(element):
    return "".join(element.itertext())


def test_the_same_fit_gives_the_same_bytes(iris_report, by_command):
    """Here, and in another process from the fit's file."""
    _, path = by_command
    assert iris_report.read_bytes() == path.read_bytes()


# Numbers that appear twice

PERCENT = r"((?:[<>] )?[\d.]+ %)"
CLAIMS = {  # what is said, by patterns of the number, after the name of what it is about if there are several
    "weight": [
        rf"^component (\d+) \({PERCENT}\)$",
        rf"Component (\d+) \(weight {PERCENT}\)",
        rf"component (\d+) {PERCENT}[,. ]",
    ],
    "R-hat": [
        r"R-hat is ([\d.]+) for (?:loglik|log_density)",
        r"do not depend on labels.*?largest R-hat is ([\d.]+)",
        r"does not depend on labels.*?largest R-hat is ([\d.]+)",
    ],
    "points": [r"fitted to ([\d,]+) points", r": ([\d,]+) points, ", r"of (?:the )?([\d,]+) points (?:are drawn|\()"],
    "uncertain row": [r"most uncertain is row (\d+), with probability [\d.]+ %", r"second ?x0 ?x1 ?(\d+)\d \("],
    "uncertain probability": [
        rf"most uncertain is row \d+, with probability {PERCENT}",
        rf"second ?x0 ?x1 ?\d+ \({PERCENT}\)",
    ],
    "anomalies": [r"(\d+) anomalous points?", r"^(\d+) of \d+ points flagged"],
    "k-hat": [r"Pareto k-hat of [\d,]+ points; the largest is ([\d.]+)", r"strong .*?The largest is ([\d.]+), for row"],
    "uncertain labels": [r"(\d+) uncertain labels?", r"For (\d+) of [\d,]+ points, no component"],
    "clusters": [r"optimal partition has (\d+) cluster", r"^optimal.*?: (\d+) cluster", r"ordered by (\d+) cluster"],
}


def claimed(texts):
    """Return the values of each claim in some texts, one for each time it is made."""
    found = {}
    for name, patterns in CLAIMS.items():
        for pattern, text in product(patterns, texts):
            for *of, value in (match.groups() for match in re.finditer(pattern, text, re.DOTALL)):
                found.setdefault((name, *of), []).append(value)
    return found


@pytest.fixture
def drawn_texts(monkeypatch):
    """Return the list of the texts in the figures of a report."""
    from matplotlib.text import Text

    texts = []

    def kept(figure, vectors):
        texts.extend(text.get_text() for text in figure.findobj(Text))
        return "data:,", 1, 1

    monkeypatch.setattr("bayesgmm.reports.pictures._encoded", kept)
    return texts


def test_a_number_that_appears_twice_is_the_same(tmp_path, monkeypatch, drawn_texts):
    """In a fit of which 100 of 250 points are drawn, and whose chains disagree."""
    monkeypatch.setattr("bayesgmm.reports.subject.DRAWN", 100)
    fit = many(250, 2, 3, apart=2.0)
    posterior = fit["posterior"].to_dataset()
    posterior["mean"] = posterior["mean"] + 0.1 * (posterior["chain"] == 0)
    path = bg.report(rebuilt(fit, posterior=posterior), tmp_path / "report.html", progress=False)
    page = parse(path.read_text(encoding="utf-8"))
    alts = [image.get("alt") for image in find(page, "img")]
    texts = [" ".join(text.split()) for text in (said(page), *alts, *drawn_texts)]
    found = claimed(texts)
    assert {name: values for name, values in found.items() if len(set(values)) > 1} == {}
    assert {name for (name, *_), values in found.items() if len(values) > 1} == set(CLAIMS)


def test_labels_that_are_all_certain_are_not_called_uncertain(tmp_path, unsaved):
    text = said(
        parse(bg.report(many(40, 2, 2, apart=20.0), tmp_path / "r.html", progress=False).read_text(encoding="utf-8"))
    )
    assert "Every point belongs to one component with probability > 99.9 %." in text
    assert "most uncertain is row" not in text
    assert "No label is uncertain." in text


def test_a_quick_report_has_all_findings_and_few_figures(short, tmp_path, unsaved):
    page = parse(bg.report(short, tmp_path / "r.html", quick=True, progress=False).read_text(encoding="utf-8"))
    whole = {section.name for section in SECTIONS}
    shown = [section.get("id") for section in find(page, "section")]
    assert whole - set(shown) == {"together", "fit", "priors"}
    assert len(find(page, "img")) == 2
    assert str(Subject(short).findings.verdict) in said(page)


@pytest.mark.parametrize("part", [checks.calibration, checks.replicates])
def test_what_has_no_panel_is_named_with_its_value(part, iris, unsaved):
    """The panels are those of the columns that fit worst."""
    fit = sampled(bg.MixtureModel(2), iris.drop(columns="species"), method="vb", seed=1, draws=300)
    subject = Subject(fit)
    (shown,) = part(subject)
    _, _, rest = shown.reading.partition("Not drawn, because")
    values = dict(re.findall(r"([a-z_ ]+) \((?:p = )?([\d.]+)[^)]*\)", rest.partition(": ")[2]))
    named = {name.strip().removeprefix("and "): float(value) for name, value in values.items()}
    assert named
    assert {name for name in subject.informative if name in shown.alt} == set(subject.informative) - set(named)
    if part is checks.calibration:
        assert min(named.values()) >= float(re.search(r"p-values is ([\d.]+)", shown.verdict)[1])


# Models in words and mathematics


def priors():
    """One of every kind, with a prior of a number in every place that takes one."""
    scalars = [(kind(2.0, 3.0) if len(kind.model_fields) == 3 else kind(2.0)) for kind in SCALARS.values()]
    numbers = {"location": 0.0, "scale": 1.0, "concentration": 0.1, "strength": 0.1, "discount": 0.4}
    weights = [kind(**{n: numbers[n] for n in kind.model_fields if n in numbers}) for kind in WEIGHTS.values()]
    weights += [kind(concentration=bg.Gamma(1.0, 10.0)) for kind in WEIGHTS.values()]
    weights += [bg.Dirichlet(tuple(range(1, 4)))]
    means = [kind() for kind in MEANS.values()] + [bg.HierarchicalMeans(spread=scalar) for scalar in scalars]
    covariances = [
        kind() for name, kind in COVARIANCE_PRIORS.items() if name not in ("decomposed", "multiplicative_gamma")
    ] + [bg.LKJCovariance(2.0, scalar) for scalar in scalars]
    covariances += [bg.WishartPrecision(8.0, scalar) for scalar in scalars]
    return weights, means, covariances


WEIGHTS_SAID, MEANS_SAID, COVARIANCES_SAID = priors()
EVERY = [
    *product(WEIGHTS_SAID, MEANS_SAID[:1], COVARIANCES_SAID[:1], ["full"]),
    *product(WEIGHTS_SAID[:1], MEANS_SAID, COVARIANCES_SAID[:1], ["full"]),
    *product(WEIGHTS_SAID[:1], MEANS_SAID[:1], COVARIANCES_SAID, CHARTED),
    *product(WEIGHTS_SAID[:1], MEANS_SAID[:1], decomposed_priors(), DECOMPOSED),
]


def test_dots_keep_their_greys():
    """A matrix of probabilities has 200 greys, which must not be reduced to a dozen."""
    import io

    import matplotlib.pyplot as plt
    from PIL import Image

    ramp = np.linspace(0, 1, 200)[None]
    figure = plt.figure(figsize=(4, 1))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(ramp, cmap="Greys_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axis.set_axis_off()
    dots, _, _ = pictures._dots(figure, 100.0)
    plt.close(figure)
    with Image.open(io.BytesIO(dots)) as image:
        greys = set(np.asarray(image.convert("L"))[image.height // 2].tolist())
    assert len(greys) > 150


@pytest.mark.parametrize("limit", [0, 10**9])
def test_a_large_svg_becomes_a_png(monkeypatch, limit):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(pictures, "HEAVY", limit)
    made = pictures.picture(lambda: plt.subplots(figsize=(2, 1))[0], title="", alt="", reading="", verdict="")
    assert made.source.startswith("data:image/svg+xml" if limit else "data:image/png")
    assert made.width == pytest.approx(2 * 96, rel=0.2)


def test_every_sentence_uses_row_weights(iris, tmp_path, undrawn):
    x, weights = iris[["sepal_length", "petal_length"]], np.repeat([3.0, 1.0], [50, 100])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fit = bg.fit(bg.MixtureModel(3), x, sample_weight=weights, draws=50, tune=50, chains=2, seed=1, progress=False)
    text = said(parse(bg.report(fit, tmp_path / "heavy.html", progress=False).read_text(encoding="utf-8")))
    assert "150 rows that count as 250 points" in text
    assert f"sepal_length4.3{np.average(x['sepal_length'], weights=weights):.4g}7.9" in text
    assert text.count("Each row counts as one point here; row weights are not used.") == 3


def test_the_order_of_weights_is_that_of_the_weights(galaxies_fit):
    """By mean the heaviest component is in the middle, and much heavier than the others."""
    fit = bg.relabel(galaxies_fit, "ordered", by="velocity")
    verdict = clusters.weights(Subject(fit))[0].verdict
    assert verdict == "It is uncertain which component has the larger weight: 0 or 2."


def test_no_component_is_reported_empty_if_all_hold_points(galaxies_fit, monkeypatch, undrawn):
    chance = xr.DataArray([0.0, 0.3, 0.7], {"n_clusters": [1, 2, 3]}, "n_clusters")
    monkeypatch.setattr(groupings, "count_clusters", lambda fit: chance)
    (block,) = groupings.how_many(Subject(galaxies_fit))
    assert block.verdict.replace("\N{NO-BREAK SPACE}", " ") == "Most probably 3 of 3 components hold points (70.0 %)."


def test_leave_one_out_agrees_with_the_checks_also_for_an_approximation(iris, undrawn):
    x = iris.drop(columns="species").iloc[50:]
    fit = bg.fit(bg.MixtureModel(1, means=bg.ConjugateMeans()), x, "vb", seed=1, draws=400, progress=False)
    subject = Subject(fit)
    found, rows = subject.loo
    theirs = az.loo_approximate_posterior(
        bg.log_likelihood(fit), fit["sample_stats"]["lp"], fit["sample_stats"]["log_q"], pointwise=True
    )
    np.testing.assert_allclose(found.elpd, theirs.elpd_i.values)
    assert list(rows) == list(range(100))
    log = bg.log_likelihood(fit, progress=False)["log_likelihood"]["x"]
    stats, drawn = fit["sample_stats"].to_dataset(), fit["posterior"].to_dataset()
    ratio = np.exp(stats["lp"] - stats["log_q"] - log)
    column = subject.names.index(subject.informative[0])
    mean, variance = drawn["mean"][:, :, 0, column], drawn["covariance"][:, :, 0, column, column]
    below = scipy.stats.norm.cdf(
        unrounded(x.to_numpy())[:, column], mean.values[..., None], variance.values[..., None] ** 0.5
    )
    direct = (ratio * below).sum(("chain", "draw")) / ratio.sum(("chain", "draw"))
    np.testing.assert_allclose(subject.pit["q0"].values, direct.values, atol=0.005)  # but for smoothing


def test_a_leave_one_out_transform_is_that_of_a_fit_without_the_point():
    """The most distant galaxy has a high transform, and a higher one if it is left out of the fit."""
    x = np.sort(bg.datasets.galaxies().to_numpy().ravel())[-8:, None]
    model = bg.MixtureModel(1)
    all_of_them, others = (bg.fit(model, part, seed=0, draws=4000, progress=False) for part in (x, x[:-1]))
    (left_out,) = transformed(all_of_them, [0])["q0"].values[-1:]
    without = rosenblatt(x[-1:], as_modelled(others).parameters).mean()
    within = rosenblatt(x[-1:], as_modelled(all_of_them).parameters).mean()
    assert within + 0.01 < without == pytest.approx(left_out, abs=0.01)


def test_ratios_without_a_tail_are_weights_as_they_are():
    """Of 200 equal ratios there is no tail to smooth; of 200 normal ones the weights keep their order."""
    ratio = np.column_stack([np.zeros(200), np.random.default_rng(0).normal(size=200)])
    weight = smoothed(ratio)
    np.testing.assert_allclose(weight.sum(axis=0), 1.0)
    np.testing.assert_allclose(weight[:, 0], 1 / 200)
    assert (np.diff(weight[ratio[:, 1].argsort(), 1]) >= 0).all()


def test_the_command_has_every_setting_or_is_left_out(iris):
    x = iris.drop(columns="species")
    plain, careful = (bg.fit(bg.MixtureModel(2), x, "em", seed=1, progress=False, **s) for s in ({}, {"n_init": 3}))
    assert remaking._command(Subject(plain)).startswith("bayesgmm fit data.csv --model model.toml --method em")
    assert remaking._command(Subject(careful)) == ""


def test_the_report_of_a_point_estimate_mentions_no_draws(iris, tmp_path, undrawn):
    fit = bg.fit(bg.MixtureModel(2), iris.drop(columns="species"), "em", seed=1, progress=False)
    text = said(parse(bg.report(fit, tmp_path / "point.html", progress=False).read_text(encoding="utf-8")))
    assert "one draw, so where the lines scatter" not in text
    assert "25 draws" not in text
    assert "Label switching" not in text


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize(("weights", "means", "covariances", "family"), EVERY)
def test_every_prior_is_described(weights, means, covariances, family, columns):
    points = as_points(np.random.default_rng(0).normal(size=(20, columns)))
    model = bg.MixtureModel(3, family, weights, means, covariances).resolve(points)
    for description in descriptions(model, columns).values():
        assert description.words.endswith(".")
        assert description.formulas
        for formula in description.formulas:
            ET.fromstring(str(mathml(formula)))
            assert latex(formula).isascii()
            assert "None" not in formula
        for values in description.columns.values():
            assert values.shape == (columns,)
    assert eval(in_python(model), {"bg": bg}) == model


@pytest.mark.parametrize("covariance", [*COVARIANCES, "factors:1", "factors:1:CCC"])
def test_every_structure_has_formulas_for_the_report_and_for_a_paper(covariance):
    points = as_points(np.random.default_rng(0).normal(size=(20, 4)))
    model = bg.MixtureModel(3, covariance).resolve(points)
    for description in descriptions(model, 4).values():
        for formula in description.formulas:
            assert "{}" not in formula
            ET.fromstring(str(mathml(formula)))
            assert latex(formula).isascii()


def test_a_formula_shows_the_numbers_that_were_declared():
    points = as_points(np.random.default_rng(0).normal(size=(20, 1)))
    model = bg.MixtureModel(2, weights=bg.Dirichlet(7.0), means=bg.NormalMeans(3.5, 4.5)).resolve(points)
    description = descriptions(model, 1)
    assert description["weights"].formulas == ("(w_1, …, w_{2}) ∼ Dirichlet(7)",)
    assert description["means"].formulas == ("μ_k ∼ Normal(3.5, 4.5)",)


def test_a_variance_s_prior_is_the_one_that_is_drawn_from():
    """The Gamma distribution of the formula against draws of the prior. False alarm: 1e-6 (Kolmogorov-Smirnov)."""
    from scipy.stats import gamma, kstest

    points = as_points(np.random.default_rng(0).normal(size=(20, 1)))
    model = bg.MixtureModel(1, "diag", covariances=bg.WishartPrecision(5.0, 3.0)).resolve(points)
    shape, rate = re.search(
        r"Gamma\(([\d.]+), ([\d.]+ / 2)\)", descriptions(model, 1)["covariances"].formulas[0]
    ).groups()
    drawn, _ = model.covariances.draw(np.random.default_rng(1), model.family, (4000, 1, 1))
    assert kstest(1 / drawn.ravel(), gamma(float(shape), scale=1 / eval(rate)).cdf).pvalue > 1e-6


def test_a_number_with_an_exponent_is_a_power_of_ten_in_a_formula():
    """LaTeX reads 7.9e-09 as 7.9 times e, minus nine."""
    assert latex("Gamma(0.2, 7.9e−09) + 1e+10") == r"\mathrm{Gamma}(0.2, 7.9 \times 10^{-9}) + 1 \times 10^{10}"
    assert "<mn>7.9</mn><mo>×</mo><msup><mn>10</mn><mrow><mo>−</mo><mn>9</mn></mrow></msup>" in mathml("7.9e-09")


@pytest.mark.parametrize("value", [1.3e8, -2.25e12, 7.9e-9])
def test_a_number_of_a_sentence_is_a_power_of_ten_also_in_a_formula(value):
    shown = number(value)
    digits, power = re.fullmatch(r"(−?[\d.]+)\s×\s10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", shown).groups()
    assert float(digits.replace("−", "-")) * 10.0 ** int(lowered(power).replace("−", "-")) == pytest.approx(value)
    assert mathml(f"Normal(0, {shown})") == mathml(f"Normal(0, {value:.4g})".replace("-", "−"))
    assert latex(shown) == latex(f"{value:.4g}") == typeset_powers(shown).strip("$")


def test_a_structure_is_described_in_words_and_mathematics():
    points = as_points(np.random.default_rng(0).normal(size=(20, 2)))
    described = {
        name: descriptions(bg.MixtureModel(2, name, background=background).resolve(points), 2)["data"]
        for name, background in (("VEV", None), ("EVI", bg.Background()), ("full", None))
    }
    assert "the same shape but different sizes and directions" in described["VEV"].words
    assert described["VEV"].formulas[1:] == ("Σ_k = λ_k D_k A D_k^⊤, |A| = 1",)
    assert described["EVI"].formulas[1:] == ("Σ_k = λ A_k, |A_k| = 1",)
    assert len(described["full"].formulas) == 1
    assert "⊤" in mathml(described["VEV"].formulas[1])


def test_every_family_and_relabelling_has_a_description():
    assert all(family.words for family in COVARIANCES.values())
    assert set(declared.RELABELLED) == set(alignments.METHODS)


@pytest.mark.parametrize("wrong", ["a_", "{a", "a}", "x^"])
def test_an_invalid_formula_is_an_error(wrong):
    with pytest.raises(ValueError, match="brace|ends"):
        mathml(wrong)


def test_sums_have_their_limits_below_and_above():
    root = ET.fromstring(str(mathml("∑_{k = 1}^{3} w_k^2")))
    assert [child.tag for child in root[0]] == ["munderover", "msubsup"]


# Every fit gets one


FITS = {
    "one chain": lambda fit: part_of(fit, chain=[0]),
    "one draw": lambda fit: part_of(fit, chain=[0], draw=[0]),
    "one draw a chain": lambda fit: part_of(fit, draw=[0]),
    "no data": lambda fit: rebuilt(fit, observed_data=None),
    "nothing but draws": lambda fit: rebuilt(
        fit, keep_attrs=False, observed_data=None, constant_data=None, sample_stats=None
    ),
    "made elsewhere": lambda fit: rebuilt(fit, keep_attrs=False, constant_data=None),
    "weighted rows, all divergent": lambda fit: rebuilt(
        fit,
        sample_stats=fit["sample_stats"].to_dataset().assign(diverging=xr.ones_like(fit["sample_stats"].diverging)),
        observed_data=fit["observed_data"].to_dataset().assign(sample_weight=("point", np.full(82, 2.0))),
    ),
    "stuck chains": lambda fit: rebuilt(
        fit, posterior=fit["posterior"].to_dataset().isel(draw=[0]).reindex(draw=np.arange(60), method="nearest")
    ),
}


DRAWN = {"one draw", "stuck chains"}  # their axes have no width of their own


@pytest.mark.parametrize("name", FITS)
def test_a_fit_gets_a_report_whatever_it_lacks(short, name, tmp_path, request):
    request.getfixturevalue("coarse" if name in DRAWN else "unsaved")
    path = bg.report(FITS[name](short), tmp_path / "report.html", progress=False)
    page = parse(path.read_text(encoding="utf-8"))
    assert [section.get("id") for section in find(page, "section")] == [section.name for section in SECTIONS]
    for section in find(page, "section"):
        assert len(list(section)) > 1, section.get("id")  # more than its heading: a sentence why, at least
    assert "Left out:" not in said(page)


@pytest.mark.parametrize("method", ["mle", "vb"])
def test_every_engine_s_fit_gets_a_report(method, tmp_path, unsaved):
    model = bg.MixtureModel(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        made = bg.fit(model, bg.datasets.galaxies(), method, seed=1, progress=False)
    page = parse(bg.report(made, tmp_path / "report.html", progress=False).read_text(encoding="utf-8"))
    assert "Left out:" not in said(page)


def many(n_points, n_features, n_components, apart=6.0):
    """A simulated fit, made by no engine: a few draws around the true values."""
    from bayesgmm.data.standards import Standard
    from bayesgmm.posterior.packing import pack
    from bayesgmm.posterior.parameters import Parameters

    rng = np.random.default_rng(0)
    centres = apart * rng.normal(size=(n_components, n_features))
    x = centres[rng.integers(n_components, size=n_points)] + rng.normal(size=(n_points, n_features))
    points = as_points(x)
    shape = (2, 60, n_components)
    weight = rng.dirichlet(np.full(n_components, 1000.0), size=shape[:2])
    mean = centres + 0.05 * rng.normal(size=(*shape, n_features))
    covariance = np.broadcast_to(np.eye(n_features), (*shape, n_features, n_features)).copy()
    stats = {"lp": rng.normal(size=shape[:2]), "loglik": rng.normal(size=shape[:2])}
    return pack(points, Standard.of(points), Parameters(weight, mean, covariance, {}), stats)


@pytest.mark.parametrize(("n_points", "n_features", "n_components"), [(250, 2, 3), (40, 2, 1), (40, 1, 12)])
def test_large_and_single_column_fits_get_a_report(n_points, n_features, n_components, tmp_path, monkeypatch, unsaved):
    """As if 200 points were as many as figures show."""
    monkeypatch.setattr("bayesgmm.reports.subject.DRAWN", 200)
    path = bg.report(many(n_points, n_features, n_components), tmp_path / "report.html", progress=False)
    page = parse(path.read_text(encoding="utf-8"))
    assert "Left out:" not in said(page)
    assert path.stat().st_size < 5 * 2**20
    assert ("200 of the 250 points are drawn" in said(page)) == (n_points == 250)


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory):
    """Return the report on a wide fit, in which the columns that are shown have difficult names."""
    wide, path = many(60, 14, 2), tmp_path_factory.mktemp("reports") / "hostile.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesgmm.reports.pictures.WIDEST", 300)
        patch.setattr("bayesgmm.reports.subject.PANELS", len(HOSTILE))
        shown = dict(zip(Subject(wide).informative, HOSTILE, strict=True))
        names = [shown.get(name, name) for name in wide["posterior"]["feature"].values.tolist()]
        return bg.report(renamed(wide, names), path, title="<b>&\"'", progress=False)


def test_a_wide_fit_gets_a_report_in_which_names_are_escaped(hostile_report):
    page = parse(hostile_report.read_text(encoding="utf-8"))
    assert not find(page, "script")
    assert not find(page, "b")
    assert said(find(page, "h1")[0]) == "<b>&\"'"
    heads = [said(head) for head in find(page, "th")]
    for name in HOSTILE:
        assert " ".join(name.split()) in heads  # whole in the table of the data
    assert "Left out:" not in said(page)
    assert hostile_report.stat().st_size < 5 * 2**20


def test_a_section_that_fails_is_reported_and_the_others_are_shown(galaxies_fit, tmp_path, monkeypatch):
    def broken(subject):
        raise ZeroDivisionError("unexpected")

    def impossible(subject):
        raise Omitted("This fit can't have it.")

    first = sections.Section("broken", "Broken", (broken, impossible))
    monkeypatch.setattr("bayesgmm.reports.SECTIONS", (first, SECTIONS[0]))
    with pytest.warns(FitWarning, match="broken could not be made: ZeroDivisionError: unexpected"):
        path = bg.report(galaxies_fit, tmp_path / "report.html", progress=False)
    text = path.read_text(encoding="utf-8")
    assert "unexpected" in text
    assert "This fit can&#39;t have it." in text
    assert SECTIONS[0].title in text


# Files


def test_it_is_written_completely_or_not_at_all(galaxies_fit, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("what was there")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bayesgmm.reports.SECTIONS", SECTIONS[:1])
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", full)
        with pytest.raises(FitFileError, match="No space left"):
            bg.report(galaxies_fit, path, progress=False)
    assert path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]
    bg.report(galaxies_fit, path, progress=False)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("path", "match"), [("report.nc", "must end in .html"), ("nowhere/report.html", "there is no folder")]
)
def test_a_bad_path_is_found_before_the_work(galaxies_fit, tmp_path, path, match, monkeypatch):
    monkeypatch.setattr("bayesgmm.reports.SECTIONS", None)  # any work would fail
    with pytest.raises(FitFileError, match=match):
        bg.report(galaxies_fit, tmp_path / path)


def test_invalid_fits_and_titles_are_refused(galaxies_fit, tmp_path):
    with pytest.raises(FitFileError, match="is not a fit"):
        bg.report(xr.DataTree(), tmp_path / "report.html")
    with pytest.raises(DeclarationError, match="title="):
        bg.report(galaxies_fit, tmp_path / "report.html", title=" ")


def test_the_command_writes_it(by_command):
    done, path = by_command
    assert done.returncode == 0, done.stderr
    assert "wrote iris.html" in done.stdout
    assert said(find(parse(path.read_text(encoding="utf-8")), "h1")[0]) == "Iris"


def test_the_command_does_not_write_over_the_fit(by_command):
    done = run("report", "fit.nc", "-o", "fit.nc", cwd=by_command[1].parent)
    assert done.returncode == 1
    assert "is an input of this command" in done.stderr


def test_the_names_in_pictures_differ_from_each_other(fit):
    alike = ["the same beginning of a long name " + end for end in "ab"]
    names = Subject(renamed(fit, alike)).names
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 26


# In a browser


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    if not (browser.DRIVER and browser.CHROMIUM):
        pytest.skip("there is no Chromium, or no chromedriver")
    with browser.browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


MEASURE = """
const images = [...document.images];
return {
  broken: images.filter(i => !(i.complete && i.naturalWidth > 0)).length, images: images.length,
  sections: [...document.querySelectorAll('main section')].map(s => s.id),
  empty: [...document.querySelectorAll('main section')].filter(s => s.offsetHeight < 40).length,
  mathematics: [...document.querySelectorAll('math')].filter(m => m.getBoundingClientRect().height > 5).length,
  wide: [...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth)
    .map(s => getComputedStyle(s).backgroundAttachment),
  sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  ground: getComputedStyle(document.body).backgroundColor,
};
"""


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (1280, True)])
def test_a_browser_shows_it_on_large_and_small_screens_and_in_dark_mode(iris_report, window, width, dark):
    window.logs()
    window.open(iris_report, width, dark=dark)
    seen = window.run(MEASURE)
    console, asked = window.logs()
    assert console == []
    assert [url for url in asked if url != iris_report.resolve().as_uri()] == []
    assert seen["broken"] == 0
    assert seen["images"] >= 9
    assert seen["sections"] == [section.name for section in SECTIONS]
    assert seen["empty"] == 0
    assert seen["mathematics"] >= 4
    assert seen["sideways"] == 0
    assert seen["ground"] == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")


def test_names_with_scripts_run_nothing_in_a_browser(hostile_report, window):
    window.logs()
    window.open(hostile_report, 390)
    seen = window.run(MEASURE)
    assert seen["broken"] == 0
    assert seen["sideways"] == 0
    assert window.logs()[0] == []


def test_a_wide_table_has_a_shadow_where_more_of_it_is_hidden(tmp_path, window, undrawn):
    path = bg.report(many(200, 2, 14), tmp_path / "wide.html", sections=["clusters"], progress=False)
    window.open(path, 1280)
    seen = window.run(MEASURE)
    assert seen["wide"] == ["local, local, scroll, scroll"]
    assert seen["sideways"] == 0


def test_it_prints(iris_report, window):
    window.open(iris_report)
    import base64

    pdf = base64.b64decode(window.tell("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert 5 <= pdf.count(b"/Type /Page\n") <= 25
