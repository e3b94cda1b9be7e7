"""Every card in models/ is run, held to its own facts, and says nothing of the toolkit that is not so."""

import ast
import functools
import inspect
import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.bundled import card_path, cards
from bayesgmm.cards.card import Card, Interval, load_card
from bayesgmm.cards.data import DataCard
from bayesgmm.cards.explanations import explain_card
from bayesgmm.cards.facts import FACTS, Fitted, Promise, fact_named, promises
from bayesgmm.cards.transforms import PrincipalComponents
from bayesgmm.cli.cards import _show_promises
from bayesgmm.cli.session import Session
from bayesgmm.cli.terminal import start_session
from bayesgmm.errors import CardError, DataError, DeclarationError, UnknownName
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior import schema
from tests.commands import run as command

CARDS = sorted(cards())
PARTS = ["The data", "The question", "The model", "The priors", "What to expect", "What to look at", "How to run it"]


@functools.cache
def fitted(name):
    """A card's run, made once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return bg.run_card(name, progress=False)


# The gallery


def test_there_are_at_least_twelve_and_they_differ():
    assert len(CARDS) >= 12
    told = [load_card(name) for name in CARDS]
    assert len({card.title for card in told}) == len({card.about for card in told}) == len(CARDS)
    assert {card.fit.method for card in told} >= {"nuts", "vb"}
    assert {card.mixture.covariance for card in told} == {"full", "tied", "diag", "spherical"}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_keeps_its_promises(name):
    run = fitted(name)
    assert len(run.promises) == len(run.card.expect) + len(run.card.intervals) >= 3
    assert [promise for promise in run.promises if not promise.kept] == []


@pytest.mark.parametrize("name", CARDS)
def test_a_promise_is_not_one_of_a_single_seed(name):
    """A promise is of the analysis.  No false alarm by chance: the seed is fixed."""
    card = load_card(name)
    other = card.model_copy(update={"fit": card.fit.model_copy(update={"seed": 300})})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        run = bg.run_card(other, progress=False)
    assert [promise for promise in run.promises if not promise.kept] == []


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_a_whole_lesson(name):
    lesson = load_card(name).lesson
    assert all([lesson.data, lesson.question, lesson.expect, lesson.look, lesson.exercises, lesson.references])
    assert all([lesson.why.components, lesson.why.weights, lesson.why.means, lesson.why.covariances])
    assert all(re.search(r"\(\d{4}\)|CC BY", reference) for reference in lesson.references)


def calls(text):
    """What is between back-ticks and calls bayesgmm."""
    return [code for code in re.findall(r"`([^`]+)`", text) if code.startswith("bg.")]


@pytest.mark.parametrize("name", CARDS)
def test_the_calls_that_a_card_names_exist_and_take_what_they_are_given(name):
    lesson = load_card(name).lesson
    found = [code for text in (*lesson.look, *lesson.exercises) for code in calls(text)]
    assert found
    for code in found:
        for node in ast.walk(ast.parse(code, mode="eval")):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(r"bg\.[\w.]+", name):
                takes = inspect.signature(eval(name, {"bg": bg}))
                takes.bind(*node.args, **{keyword.arg: None for keyword in node.keywords})


def test_by_maximum_likelihood_nothing_comes_out_of_the_waiting_times():
    run = fitted("waiting_times")
    with pytest.raises(bg.errors.ComponentError, match="singular"):
        bg.fit(run.card.mixture, run.data.frame, method="mle", seed=1, progress=False)


def test_a_third_component_explains_the_bad_readings_away():
    run = fitted("sensors")
    three = run.card.mixture.model_copy(update={"n_components": 3})
    fit = bg.fit(three, run.data.frame, method="vb", seed=1, progress=False)
    assert not bg.anomaly_scores(fit, fdr=0.05)["anomaly"].any()


def test_what_a_card_says_to_look_at_runs():
    run = fitted("overlapping")
    for text in run.card.lesson.look:
        for code in calls(text):
            assert eval(code, {"bg": bg, "fit": run.fit, "data": run.data, "card": run.card}) is not None


# Explanations


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_explained_part_by_part(name):
    told, card = explain_card(name), load_card(name)
    assert [part.title for part in told.parts][:7] == PARTS
    text = str(told)
    for prior in ("Weights", "Means", "Covariances"):
        assert f"**{prior}.**" in text
    assert text.count("*Why?*") == 3
    for fact in card.expect:
        assert FACTS[fact].words in text
    assert "None" not in text
    assert "{'" not in text
    assert text.count("```") % 2 == 0
    priors = next(part for part in told.parts if part.title == "The priors")
    assert set(priors.sayings) == {"weights", "means", "covariances"}


def test_numbers_that_are_left_open_are_told_as_the_data_resolve_them():
    text = str(explain_card("galaxies"))
    assert "`velocity`" in text
    middle = (9172 + 34279) / 2
    assert f"Normal({middle:.0f}, {34279 - 9172})" in text
    assert "leaves location and scale open" in text
    assert "open" not in str(explain_card("galaxies_lkj")).split("**Covariances.**")[1].split("##")[0]


def test_the_code_that_an_explanation_shows_makes_the_fit_that_it_speaks_of():
    (code,) = re.findall(r"```python\n(.*?)```", str(explain_card("waiting_times")), re.DOTALL)
    here = {}
    exec(code, here)
    np.testing.assert_array_equal(here["fit"]["posterior"]["mean"], fitted("waiting_times").fit["posterior"]["mean"])


def test_a_card_without_data_is_explained_without_numbers(tmp_path):
    path = tmp_path / "bare.toml"
    path.write_text("[mixture]\nn_components = 2\ncovariance = 'diag'\n[lesson.why]\ncomponents = 'Because.'\n")
    told = explain_card(path)
    assert (told.name, told.title) == ("bare", "bare")
    assert "names no data" in str(told)
    assert "Because." in str(told)
    assert "A mixture of 2 Gaussians" in str(told)
    with pytest.raises(CardError, match="names no data"):
        bg.run_card(path)


# Facts, against what they say of themselves


def test_facts_are_read_off_the_fit():
    run = fitted("sensors")
    facts = Fitted(run.fit, run.data.truth)
    weight = run.fit["posterior"]["weight"].mean(("chain", "draw")).values
    label = bg.assignments(run.fit)["label"].values
    sd = np.sqrt(run.fit["posterior"]["covariance"].mean(("chain", "draw")).values[:, [0, 1], [0, 1]])
    called = bg.anomaly_scores(run.fit, fdr=0.05)["anomaly"].values
    bad = (run.data.truth == "bad").to_numpy()
    expected = {
        "smallest_weight": weight.min(),
        "largest_weight": weight.max(),
        "clusters": len(set(label)),
        "occupied": 2,
        "uncertainty": bg.assignments(run.fit)["uncertainty"].values.mean(),
        "flagged": called.sum(),
        "flagged_wrongly": (called & ~bad).sum() / called.sum(),
        "found": (called & bad).sum() / bad.sum(),
    }
    assert {name: FACTS[name].of(facts) for name in expected} == pytest.approx(expected)
    assert FACTS["narrowest_sd"].of(facts) == pytest.approx(sd.min(), rel=0.01)
    swapped = replace(facts, truth=run.data.truth.where(~bad, "slow"))
    table = pd.crosstab(swapped.truth, label).to_numpy()
    pairs = lambda counts: (counts * (counts - 1) / 2).sum()  # noqa: E731
    by_chance = pairs(table.sum(0)) * pairs(table.sum(1)) / pairs(table.sum())
    best = (pairs(table.sum(0)) + pairs(table.sum(1))) / 2
    rand = (pairs(table) - by_chance) / (best - by_chance)
    assert FACTS["adjusted_rand_index"].of(swapped) == pytest.approx(rand)


def test_a_promise_can_be_broken():
    run = fitted("waiting_times")
    wrong = run.card.model_copy(update={"expect": {"clusters": (3, 4)}, "intervals": (Interval("mean", 0, 12.0),)})
    assert [promise.kept for promise in promises(wrong, run.fit, run.data.truth)] == [False, False]


def test_intervals_are_the_quantiles_of_the_draws():
    run = fitted("overlapping")
    p = aligned(run.fit).parameters
    asked = (
        Interval("weight", 1, 0.3, ci_prob=0.5),
        Interval("mean", 2, 5.7, "x2"),
        Interval("sd", 0, 2.0, "x2", ci_prob=0.8),
    )
    draws = [p.weight[:, 1], p.mean[:, 2, 1], np.sqrt(p.covariance[:, 0, 1, 1])]
    card = run.card.model_copy(update={"expect": {}, "intervals": asked})
    for promise, values, interval in zip(promises(card, run.fit, None), draws, asked, strict=True):
        outside = (1 - interval.ci_prob) / 2
        assert (values < promise.low).mean() == pytest.approx(outside, abs=0.001)
        assert (values > promise.high).mean() == pytest.approx(outside, abs=0.001)
        assert promise.found == interval.value


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([Interval("weight", 3, 0.1)], "no component 3; the last is 2"),
        ([Interval("mean", 0, 0.1)], "needs a column: one of x1, x2"),
        ([Interval("sd", 0, 0.1, "x3")], "column='x3' is not one of"),
    ],
)
def test_intervals_that_are_not_there_are_refused(intervals, message):
    run = fitted("overlapping")
    card = run.card.model_copy(update={"expect": {}, "intervals": tuple(intervals)})
    with pytest.raises(DeclarationError, match=message):
        promises(card, run.fit, None)


def test_facts_that_do_not_exist_or_need_what_is_not_there_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'clusters'"):
        fact_named("cluster")
    run = fitted("overlapping")
    with pytest.raises(CardError, match="needs known classes"):
        promises(run.card, run.fit, None)
    with pytest.raises(DeclarationError, match=r"clusters: the lower bound comes first, got \[3, 2\]"):
        Card(mixture=run.card.mixture, expect={"clusters": (3, 2)})


@pytest.fixture(scope="module")
def point():
    """A point estimate of the overlapping points."""
    return bg.fit(bg.MixtureModel(2), fitted("overlapping").data.frame, method="em", seed=1, progress=False)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ("label_agreement", "needs draws"),
        ("largest_rhat", "compares chains"),
        ("loglik_rhat", "compares chains"),
        ("concentration", "needs weights whose prior learns one"),
        ("truncated_mass", "needs weights made of sticks"),
        ("found", "need rows whose class is 'bad' in 'component'"),
        ("flagged_wrongly", "need rows whose class is 'bad'"),
    ],
)
def test_facts_that_a_fit_has_nothing_for_are_refused(fact, message, point):
    with pytest.raises(CardError, match=message):
        FACTS[fact].of(Fitted(point, fitted("overlapping").data.truth))


def test_an_estimate_has_no_intervals_and_half_a_truth_is_none(point):
    card = Card(mixture=bg.MixtureModel(2), intervals=(Interval("weight", 0, 0.5),))
    with pytest.raises(CardError, match="intervals need draws"):
        promises(card, point, None)
    truth = fitted("overlapping").data.truth.copy()
    truth.iloc[4] = None
    with pytest.raises(CardError, match="column 'component' has none in row 4"):
        FACTS["adjusted_rand_index"].of(Fitted(point, truth))


def test_where_nothing_is_called_nothing_is_called_wrongly(point):
    truth = fitted("overlapping").data.truth.copy()
    truth.iloc[0] = "bad"
    facts = Fitted(point, truth)
    assert not facts.called.any()
    assert (FACTS["flagged_wrongly"].of(facts), FACTS["found"].of(facts)) == (0.0, 0.0)


def test_a_fact_that_does_not_exist_is_noticed_before_the_work():
    card = fitted("overlapping").card.model_copy(update={"expect": {"cluster": (3, 3)}, "data": DataCard()})
    with pytest.raises(UnknownName, match="did you mean 'clusters'"):
        bg.run_card(card)


# The data of a card


def test_a_card_reads_a_file_beside_it(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0, 9.0], "b": [2.0, 4.0, 8.0], "note": list("xyz"), "kind": ["p", "q", "q"]})
    (tmp_path / "data").mkdir()
    frame.to_csv(tmp_path / "data" / "points.csv", index=False)
    path = tmp_path / "own.toml"
    path.write_text("[mixture]\nn_components = 1\n[data]\npath = 'data/points.csv'\ntruth = 'kind'\n")
    table = load_card(path).data.read()
    pd.testing.assert_frame_equal(table.frame, frame[["a", "b"]])
    assert table.truth.tolist() == ["p", "q", "q"]
    assert load_card(path).data.model_copy(update={"columns": ("b",)}).read().frame.columns.tolist() == ["b"]
    assert "points.csv" in str(explain_card(path))


def test_no_fit_sees_known_classes_that_are_numbers(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0, 9.0, 8.0], "kind": [0, 0, 1, 1]})
    frame.to_csv(tmp_path / "points.csv", index=False)
    text = "[mixture]\nn_components = 1\n[fit]\nmethod = 'em'\n[data]\npath = 'points.csv'\ntruth = 'kind'\n"
    (tmp_path / "own.toml").write_text(text)
    table = load_card(tmp_path / "own.toml").data.read()
    assert (list(table.frame), table.truth.tolist()) == (["a"], [0, 0, 1, 1])
    for args in (["fit", "points.csv"], ["fit"]):
        done = command(*args, "--model", "own.toml", "-o", "fit.nc", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert bg.load(tmp_path / "fit.nc")["posterior"].coords["feature"].values.tolist() == ["a"]


def test_transforms_are_done_in_order_and_the_truth_follows_the_rows():
    steps = [{"transform": "rows", "n_rows": 40, "seed": 3}, {"transform": "log"}, {"transform": "pca", "n_columns": 2}]
    card = DataCard.parse({"dataset": "iris", "truth": "species", "transforms": steps}, "card")
    table, flowers = card.read(), bg.datasets.iris()
    rows = table.frame.index
    assert len(rows) == len(set(rows)) == 40
    assert rows.is_monotonic_increasing
    assert table.truth.tolist() == flowers.loc[rows, "species"].tolist()
    logs = np.log(flowers.loc[rows].drop(columns="species").to_numpy())
    left, size, _ = np.linalg.svd(logs - logs.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(table.frame), np.abs(left[:, :2] * size[:2]), atol=1e-12)
    assert DataCard.parse(card.plain(), "card") == card


def test_standardised_components_do_not_know_units():
    frame = bg.datasets.wine().drop(columns="cultivar")
    pca = PrincipalComponents(n_columns=3, standardise=True)
    np.testing.assert_allclose(pca.apply(frame), pca.apply(frame * np.logspace(-3, 3, 13)), atol=1e-9)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"dataset": "irsi"}, "did you mean 'iris'"),
        ({"dataset": "iris", "path": "x.csv"}, "dataset or path, not both"),
        ({"parameters": {"seed": 1}}, "parameters go with dataset"),
        ({"dataset": "moons", "parameters": {"nois": 1}}, "parameter='nois' is not one of .*did you mean 'noise'"),
        ({"dataset": "iris", "parameters": {"seed": 1}}, "dataset 'iris' takes no parameters, got seed"),
        ({"dataset": "iris", "transforms": [{"transform": "pcs", "n_columns": 2}]}, "did you mean 'pca'"),
        ({"dataset": "iris", "transforms": [{"n_columns": 2}]}, "transform is required: one of 'log', 'pca', 'rows'"),
        ({"dataset": "iris", "transforms": [{"transform": "pca", "n_columns": 0}]}, "greater than 0"),
        ({"dataset": "iris", "rows": 3}, "is not a field here"),
    ],
)
def test_data_that_make_no_sense_are_refused(data, message):
    with pytest.raises(DeclarationError, match=message):
        DataCard.parse(data, "card")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"dataset": "iris", "truth": "specis"}, "did you mean 'species'"),
        ({"dataset": "iris", "columns": ["petal"]}, "there is no column 'petal'"),
        ({"path": "nowhere.csv"}, "there is no file nowhere.csv"),
        ({"dataset": "photo", "parameters": {"name": "x.jpg"}}, "name='x.jpg' is not one of 'china.jpg', 'flower.jpg'"),
        ({"dataset": "photo", "parameters": {"n_pixels": 10**7}}, "n_pixels=10000000: must be a whole number, from 1"),
        ({"dataset": "vowels", "parameters": {"talker": "men"}}, "did you mean 'man'"),
        ({"dataset": "one_heap", "transforms": [{"transform": "log"}]}, "not positive; they have no logarithm"),
        (
            {"dataset": "iris", "transforms": [{"transform": "pca", "n_columns": 5}]},
            "have no 5 principal components: 4 at most",
        ),
        (
            {
                "dataset": "iris",
                "transforms": [{"transform": "rows", "n_rows": 2}, {"transform": "pca", "n_columns": 2}],
            },
            "2 rows of 4 columns have no 2 principal components: 1 at most",
        ),
    ],
)
def test_data_that_can_not_be_had_are_refused(data, message):
    with pytest.raises((DataError, DeclarationError), match=message):
        DataCard.parse(data, "card").read()


@pytest.mark.parametrize("step", [{"transform": "pca", "n_columns": 1}, {"transform": "log"}])
@pytest.mark.parametrize("value", ["", "inf"])
def test_no_transform_hides_a_missing_value(step, value, tmp_path):
    (tmp_path / "x.csv").write_text(f"a,b\n1,2\n{value},4\n5,7\n")
    card = DataCard.parse({"path": str(tmp_path / "x.csv"), "transforms": [step]}, "card")
    with pytest.raises(DataError, match="1 value is missing or infinite: row 1, column 'a'"):
        card.read()


def test_a_card_that_is_wrong_names_its_file_and_all_mistakes(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text("[mixture]\nn_components = 0\n[fit]\nseed = -1\n[lesson]\nlok = []\n[[intervals]]\ncomponent = 0\n")
    with pytest.raises(CardError, match=r"wrong.toml has 5 problems") as error:
        load_card(path)
    for place in ("mixture.n_components", "fit.seed", "lesson.lok", "intervals.0.quantity", "intervals.0.value"):
        assert place in str(error.value)


def test_cards_are_found_by_name_whatever_lies_about(tmp_path, monkeypatch):
    assert card_path("iris").name == "iris.toml"
    (tmp_path / "iris").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_card("iris").title == "Iris"
    with pytest.raises(UnknownName, match="did you mean 'iris'"):
        load_card("irsi")


# Runs, and the terminal


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder that ``models run`` has written, and what it said."""
    folder = tmp_path_factory.mktemp("cards")
    done = command("models", "run", "waiting_times", "-o", "w", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "w", json.loads(done.stdout)


def test_a_run_is_written_as_it_is(written):
    folder, _ = written
    run = fitted("waiting_times")
    pd.testing.assert_frame_equal(pd.read_csv(folder / "data.csv"), run.data.frame.assign(kind=run.data.truth))
    np.testing.assert_array_equal(bg.load(folder / "fit.nc")["posterior"]["mean"], run.fit["posterior"]["mean"])
    page = (folder / "report.html").read_text()
    assert re.search(r"<h1[^>]*>\s*Waiting times", page)


def test_a_folder_that_can_not_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(bg.errors.FitFileError, match="is a file; give the name of a folder"):
        bg.run_card("digits", tmp_path / "file")


def test_models_run_says_what_came_out(written):
    _, told = written
    assert [promise["kept"] for promise in told["promises"]] == [True] * 5
    assert {entry["path"] for entry in told["wrote"]} == {"w/data.csv", "w/fit.nc", "w/report.html"}


def test_broken_promises_are_said(capsys):
    start_session(Session())
    _show_promises([Promise("clusters", 3, 3, 2.0), Promise("the largest weight", 0.8, 0.9, 0.85)])
    said = capsys.readouterr()
    assert "clusters is 2, not from 3 to 3" in said.err
    assert "largest" not in said.err
    assert "What the card says of its fit" in said.out


def test_models_show_explains_names_and_files(tmp_path):
    assert command("models", "show", "moons").stdout.strip() == str(explain_card("moons")).strip()
    toml = command("models", "show", "moons", "--toml").stdout
    (tmp_path / "mine.toml").write_text(toml)
    assert load_card(tmp_path / "mine.toml") == load_card("moons")
    shown = command("models", "show", "mine.toml", cwd=tmp_path).stdout
    assert "bayesgmm models run mine.toml -o mine/" in shown
    told = json.loads(command("models", "show", "moons", "--json").stdout)
    assert [part["title"] for part in told["explanation"]][:7] == PARTS
    assert told["card"]["fit"] == {"method": "vb", "seed": 1, "settings": {}}


def test_a_card_fits_its_own_data_unless_it_is_given_others(tmp_path):
    assert command("fit", "--model", "waiting_times", "-o", "own.nc", cwd=tmp_path).returncode == 0
    own = bg.load(tmp_path / "own.nc")
    np.testing.assert_array_equal(own["posterior"]["mean"], fitted("waiting_times").fit["posterior"]["mean"])
    bg.datasets.vowels("child", seed=5).assign(speaker=range(600)).to_csv(tmp_path / "children.csv", index=False)
    args = ["fit", "children.csv", "--model", "vowels", "--seed", 1, "-o", "other.nc"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        done = command(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "as the card says, logarithms are taken of all columns" in done.stdout
    other = bg.load(tmp_path / "other.nc")
    assert schema.info(other)["method"] == "vb"
    frame = np.log(bg.datasets.vowels("child", seed=5)[["f1", "f2"]])
    np.testing.assert_allclose(other["observed_data"]["x"], frame)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fit", "-k", 3, "-o", "x.nc"], "there are no data: give a table"),
        (["fit", "-o", "x.nc"], "give either -k"),
        (["models", "run", "nope", "-o", "x"], "card='nope' is not one of"),
        (["models", "run", "nope.toml", "-o", "x"], "nope.toml can't be read"),
    ],
)
def test_what_is_missing_is_said_at_the_terminal(args, message, tmp_path):
    done = command(*args, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr


def test_the_prior_of_a_card_is_drawn_beside_its_own_data(tmp_path):
    done = command("prior", "moons", "-o", "prior.png", "--draws", 20, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "clusters are expected among 600 points" in done.stdout


def test_cards_are_equal_in_python_and_toml():
    card = load_card("vowels")
    assert Card.parse(card.plain(), "card") == card
