"""The terminal: what a stranger types works, and what goes wrong is one message."""

import subprocess
import sys

import pandas as pd
import pytest

import bayesgmm as bg


def run(*args, cwd=None):
    done = subprocess.run([sys.executable, "-m", "bayesgmm", *map(str, args)], capture_output=True, text=True, cwd=cwd)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory, iris):
    path = tmp_path_factory.mktemp("cli")
    iris.to_csv(path / "flowers.csv", index=False)
    iris.drop(columns="species").head(5).to_parquet(path / "new.parquet")
    iris[["sepal_length"]].to_csv(path / "short.csv", index=False)
    return path


@pytest.fixture(scope="module")
def fitted(folder):
    args = ["fit", "flowers.csv", "-k", "3", "-o", "fit.nc", "--draws", "100", "--chains", "2", "--seed", "1"]
    return run(*args, cwd=folder)


def test_fit_writes_a_fit_and_shows_it_in_the_data_s_own_columns(folder, fitted):
    assert fitted.returncode == 0, fitted.stderr
    assert "petal_width" in fitted.stdout
    assert "2 chains of 100 draws" in fitted.stdout
    assert "not numeric, left out: 'species'; choose with --columns" in fitted.stderr
    assert bg.load(folder / "fit.nc")["posterior"].sizes["draw"] == 100


def test_assign_writes_probabilities(folder, fitted):
    assert run("assign", "fit.nc", "-o", "labels.csv", cwd=folder).returncode == 0
    labels = pd.read_csv(folder / "labels.csv")
    assert len(labels) == 150
    assert labels.filter(like="probability_").sum(axis=1).between(0.999, 1.001).all()
    assert run("assign", "fit.nc", "new.parquet", "-o", "labels.parquet", cwd=folder).returncode == 0
    assert len(pd.read_parquet(folder / "labels.parquet")) == 5


def test_score_writes_p_values(folder, fitted):
    assert run("score", "fit.nc", "new.parquet", "-o", "scores.csv", cwd=folder).returncode == 0
    assert pd.read_csv(folder / "scores.csv")["p_value"].between(0, 1).all()


def test_a_card_is_fitted(folder):
    done = run(
        "fit", "flowers.csv", "--model", bg.model.card_path("iris"), "--method", "em", "-o", "card.nc", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert "a point estimate" in done.stdout


def test_models_are_listed_and_shown(folder):
    listed = run("models").stdout
    for path in bg.model.cards():
        assert path in listed
    (folder / "mine.toml").write_text(run("models", "show", "iris").stdout)
    assert bg.load_card(folder / "mine.toml").mixture.n_components == 3


def test_a_card_s_prior_is_drawn(folder):
    done = run("prior", "iris", "flowers.csv", "-o", "prior.png", "--draws", "50", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "3.0 clusters are expected among 150 points" in done.stdout
    assert (folder / "prior.png").stat().st_size > 10_000


def test_advi_from_a_named_card(folder):
    args = ["--model", "iris", "--method", "advi", "--draws", "100", "--seed", "1"]
    done = run("fit", "flowers.csv", *args, "-o", "advi.nc", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "ELBO" in done.stdout


def test_select_shows_writes_and_draws(folder):
    args = ["-k", "1-3,5", "--covariance", "full,diag", "--seed", "1", "-o", "table.csv", "--plot", "table.png"]
    done = run("select", "flowers.csv", *args, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "The best by bic" in done.stdout
    table = pd.read_csv(folder / "table.csv")
    assert sorted(set(table["n_components"])) == [1, 2, 3, 5]
    assert (table["n_components"][0], table["covariance"][0]) == (2, "full")
    assert table["bic"].is_monotonic_increasing
    assert f"{table['bic'][0]:.1f}" in done.stdout
    assert (folder / "table.png").stat().st_size > 10_000


def test_select_says_what_can_not_be_fitted(folder):
    done = run("select", "flowers.csv", "-k", "2,100", "--covariance", "full", "--criterion", "icl", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "100 components, full: component" in done.stderr
    assert "The best by icl" in done.stdout
    none = run("select", "flowers.csv", "-k", "100", "--covariance", "full", cwd=folder)
    assert none.returncode == 0
    assert "no choice has a bic" in none.stdout


def test_compare_shows_methods_side_by_side(folder):
    args = ["--methods", "em,advi", "--seed", "1", "-o", "compared.parquet"]
    done = run("compare", "flowers.csv", "--model", "iris", *args, cwd=folder)
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(folder / "compared.parquet")
    assert list(table.index) == ["em", "advi"]
    for method, column in {"em": "bic", "advi": "elpd_loo"}.items():
        assert f"{table.loc[method, column]:.1f}" in done.stdout
    assert table["bic"].isna().tolist() == [False, True]
    assert "labels with those of em" in done.stdout


def test_compare_goes_on_when_a_method_fails(folder):
    args = ["-k", "40", "--methods", "em,advi", "--covariance", "diag", "--columns", "petal_width", "--seed", "1"]
    done = run("compare", "flowers.csv", *args, "-o", "half.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(folder / "half.csv", index_col="fit")
    assert "Try fewer components" in table.loc["em", "problem"]
    assert table.drop(columns="problem").loc["em"].isna().all()
    assert table.loc["advi", "agreement"] == 1
    assert "em: " in done.stderr
    assert "labels with those of advi" in done.stdout


WRONG = [
    (["fit", "nothing.csv", "-k", 3, "-o", "x.nc"], "there is no file nothing.csv"),
    (["fit", "flowers.csv", "-o", "x.nc"], "give either -k"),
    (["fit", "flowers.csv", "-k", 3, "-o", "nowhere/x.nc"], "there is no folder nowhere"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.txt"], "must end in .nc"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.nc", "--columns", "petal"], "there is no column 'petal'"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.nc", "--columns", "species"], "is not numeric: 'species'"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.nc", "--covariance", "ful"], "did you mean 'full'"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.nc", "--method", "nut"], "did you mean 'nuts'"),
    (["fit", "flowers.csv", "-k", 200, "-o", "x.nc"], "150 rows can't hold 200 components"),
    (["fit", "flowers.csv", "--model", "nothing.toml", "-o", "x.nc"], "nothing.toml can't be read"),
    (["fit", "flowers.csv", "-k", 2, "--method", "em", "--draws", 5, "-o", "x.nc"], "has no setting 'draws'"),
    (["fit", "flowers.csv", "--model", "irsi", "-o", "x.nc"], "did you mean 'iris'"),
    (["models", "show", "wime"], "did you mean 'wine'"),
    (["prior", "iris", "flowers.csv", "-o", "x.txt"], "must end in .png, .pdf or .svg"),
    (["prior", "iris", "short.csv", "-o", "x.png"], "there is no column 'sepal_width'"),
    (["assign", "nothing.nc", "-o", "x.csv"], "there is no file nothing.nc"),
    (["assign", "flowers.csv", "-o", "x.csv"], "can't be read as a fit"),
    (["score", "fit.nc", "short.csv", "-o", "x.csv"], "the data lack 'sepal_width'"),
    (["assign", "fit.nc", "-o", "nowhere/x.csv"], "there is no folder nowhere"),
    (["assign", "fit.nc", "-o", "fit.nc"], "must end in .csv or .parquet"),
    (["score", "fit.nc", "flowers.csv", "-o", "flowers.csv"], "is what is read"),
    (["fit", "flowers.csv", "-k", 2, "-o", "x.nc", "--seed", -1], "seed=-1"),
    (["fit", "flowers.csv", "-k", 2, "-o", "x.nc", "--columns", "sepal_length, petal"], "no column 'petal'"),
    (["select", "flowers.csv", "-k", "3-1"], "-k 3-1: '3-1' is not a number of components; give 3, or 2,4,6, or 1-9"),
    (["select", "flowers.csv", "-k", "1,two"], "-k 1,two: 'two' is not a number of components"),
    (["select", "flowers.csv", "-k", ""], "'' is not a number of components"),
    (["select", "flowers.csv", "-k", "0"], "'0' is not a number of components"),
    (["select", "flowers.csv", "--criterion", "bik"], "did you mean 'bic'"),
    (["select", "flowers.csv", "--covariance", "full,tide"], "did you mean 'tied'"),
    (["select", "flowers.csv", "-o", "x.nc"], "must end in .csv or .parquet"),
    (["select", "flowers.csv", "-o", "flowers.csv"], "is what is read"),
    (["select", "flowers.csv", "--plot", "x.csv"], "must end in .png, .pdf or .svg"),
    (["compare", "flowers.csv"], "give either -k"),
    (["compare", "flowers.csv", "-k", 2, "--methods", "em,nut"], "did you mean 'nuts'"),
    (["compare", "flowers.csv", "-k", 2, "--methods", ","], "--methods ,: name at least one"),
    (["compare", "flowers.csv", "-k", 2, "--methods", "em", "--columns", "petal"], "there is no column 'petal'"),
    (["compare", "flowers.csv", "-k", 200, "--methods", "em,nuts"], "150 rows can't hold 200 components"),
]


@pytest.mark.parametrize(("args", "message"), WRONG, ids=lambda a: " ".join(map(str, a)) if isinstance(a, list) else "")
def test_what_goes_wrong_is_one_message(folder, fitted, args, message):
    done = run(*args, cwd=folder)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (folder / "x.nc").exists()
    assert not (folder / "x.csv").exists()


def test_the_demo_shows_and_writes(tmp_path):
    done = run("demo", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for part in ("petal_width", "adjusted Rand index 0.9", "least sure", "largest R-hat"):
        assert part in done.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"iris.nc", "iris.csv", "iris.png"}


def test_diagnose_says_what_may_be_wrong(folder, fitted):
    done = run("diagnose", "fit.nc", "-o", "findings.csv", "--plot", "check.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Nothing found by:" in done.stdout
    assert "Not checked: last stick" in done.stdout
    assert (folder / "check.png").stat().st_size > 10_000
    assert list(pd.read_csv(folder / "findings.csv").columns) == ["severity", "check", "what", "why", "advice"]


def test_diagnose_strict_fails_on_a_problem_only(folder, fitted):
    short = ["fit", "flowers.csv", "-k", "3", "-o", "short.nc", "--draws", "3", "--chains", "2", "--seed", "1"]
    assert run(*short, cwd=folder).returncode == 0
    done = run("diagnose", "short.nc", "--strict", cwd=folder)
    assert done.returncode == 1
    assert "Do not trust these answers yet" in done.stdout
    assert run("diagnose", "short.nc", cwd=folder).returncode == 0
    assert "there is no file" in run("diagnose", "missing.nc", cwd=folder).stderr
