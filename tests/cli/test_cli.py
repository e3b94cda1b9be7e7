"""The commands: typical command lines work, and an error is one message."""

import json
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.apps import examples
from bayesgmm.diagnosis.summary import component_sizes, component_table, convergence_line
from tests.commands import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory, iris):
    path = tmp_path_factory.mktemp("cli")
    iris.to_csv(path / "flowers.csv", index=False)
    iris.drop(columns="species").head(5).to_parquet(path / "new.parquet")
    iris[["sepal_length"]].to_csv(path / "short.csv", index=False)
    pd.DataFrame({"x": iris["sepal_length"], "lack": np.nan}).to_csv(path / "empty.csv", index=False)
    return path


@pytest.fixture(scope="module")
def fitted(folder):
    args = ["fit", "flowers.csv", "-k", "3", "-o", "fit.nc", "--draws", "100", "--chains", "2", "--seed", "1"]
    return run(*args, cwd=folder)


def test_fit_writes_a_fit_and_shows_it_in_the_data_s_own_columns(folder, fitted):
    assert fitted.returncode == 0, fitted.stderr
    assert "petal_width" in fitted.stdout
    assert "2 chains of 100 draws" in fitted.stdout
    assert "left out, not numeric: 'species'; choose columns with --columns" in fitted.stderr
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


def test_score_flags_anomalies_at_a_false_discovery_rate(folder, fitted):
    done = run("score", "fit.nc", "new.parquet", "-o", "flagged.csv", "--fdr", "0.2", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "0 of 5 points flagged at a false discovery rate of 0.2" in done.stdout
    assert set(pd.read_csv(folder / "flagged.csv").columns) >= {"p_value", "q_value", "anomaly"}
    args = ["--calibration", "flowers.csv"]
    done = run("score", "fit.nc", "new.parquet", "-o", "conformal.csv", *args, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "150 of 150 calibration points equal fitted points" in done.stderr
    assert (pd.read_csv(folder / "conformal.csv")["p_value"] * 151).round(6).mod(1).eq(0).all()


def test_a_card_is_fitted(folder):
    done = run(
        "fit", "flowers.csv", "--model", bg.model.card_path("iris"), "--method", "em", "-o", "card.nc", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert "a point estimate" in done.stdout


def test_density_writes_points_and_grids(folder, fitted):
    fit = bg.load(folder / "fit.nc")
    assert run("density", "fit.nc", "-o", "density.csv", cwd=folder).returncode == 0
    table = pd.read_csv(folder / "density.csv")
    np.testing.assert_allclose(table["density"], bg.density(fit)["density"])
    assert (table["lower"] < table["upper"]).all()
    assert run("density", "fit.nc", "new.parquet", "-o", "some.csv", "--ci-prob", "0.5", cwd=folder).returncode == 0
    assert len(pd.read_csv(folder / "some.csv")) == 5
    args = ["--over", "petal_length", "--given", "petal_width=1.2, sepal_width=3"]
    assert run("density", "fit.nc", "-o", "grid.csv", *args, cwd=folder).returncode == 0
    table = pd.read_csv(folder / "grid.csv")
    answer = bg.conditional_density(fit, {"petal_width": 1.2, "sepal_width": 3.0}, "petal_length")
    np.testing.assert_allclose(table["petal_length"], answer["x"][:, 0])
    np.testing.assert_allclose(table["upper"], answer["band"].sel(ci_bound="upper"))
    done = run("density", "card.nc", "-o", "alone.csv", "--over", "petal_length", cwd=folder)
    assert "a single draw has no credible band" in done.stderr
    assert pd.read_csv(folder / "alone.csv")["lower"].isna().all()


def test_models_are_listed_and_shown(folder):
    listed = run("models").stdout
    for path in bg.model.cards():
        assert path in listed
    (folder / "mine.toml").write_text(run("models", "show", "iris", "--toml").stdout)
    assert bg.load_card(folder / "mine.toml").mixture.n_components == 3


def test_the_prior_of_a_card_is_plotted(folder):
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
    args = ["-k", "1-2,4", "--covariance", "full,diag", "--seed", "1", "-o", "table.csv", "--plot", "table.png"]
    done = run("select", "flowers.csv", *args, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "The best by bic" in done.stdout
    table = pd.read_csv(folder / "table.csv")
    assert sorted(set(table["n_components"])) == [1, 2, 4]
    assert (table["n_components"][0], table["covariance"][0]) == (2, "full")
    assert table["bic"].is_monotonic_increasing
    assert f"{table['bic'][0]:.1f}" in done.stdout
    assert (folder / "table.png").stat().st_size > 10_000


def test_select_shows_the_posterior_of_the_number_of_components(folder):
    args = ["--bayes", "-k", "1-4", "--columns", "petal_width", "--seed", "1"]
    done = run("select", "flowers.csv", *args, "-o", "numbers.csv", "--plot", "numbers.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Posterior of the numbers of components and of clusters, full covariances" in done.stdout
    table = pd.read_csv(folder / "numbers.csv")
    assert table["components_prior"].tolist() == [0.25] * 4
    assert table["components"].sum() == pytest.approx(1.0)
    assert f"{table['components'].max():.3f}" in done.stdout
    assert (folder / "numbers.png").stat().st_size > 10_000


def test_select_reports_choices_that_can_not_be_fitted(folder):
    args = ["--covariance", "full", "--columns", "petal_length,petal_width", "--criterion", "icl"]
    done = run("select", "flowers.csv", "-k", "2,40", *args, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "40 components, full: component" in done.stderr
    assert "The best by icl" in done.stdout
    none = run("select", "flowers.csv", "-k", "40", "--covariance", "full", "--columns", "petal_width", cwd=folder)
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


def test_compare_continues_when_a_method_fails(folder):
    args = ["-k", "23", "--methods", "em,vb", "--covariance", "diag", "--columns", "petal_width", "--seed", "1"]
    done = run("compare", "flowers.csv", *args, "-o", "half.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(folder / "half.csv", index_col="fit")
    assert "Try fewer components" in table.loc["em", "problem"]
    assert table.drop(columns="problem").loc["em"].isna().all()
    assert table.loc["vb", "agreement"] == 1
    assert "em: " in done.stderr
    assert "labels with those of vb" in done.stdout


WRONG = [
    (["fit", "nothing.csv", "-k", 3, "-o", "x.nc"], "there is no file nothing.csv"),
    (["fit", "flowers.csv", "-o", "x.nc"], "give either -k"),
    (["fit", "flowers.csv", "-k", 3, "-o", "nowhere/x.nc"], "there is no folder nowhere"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.txt"], "must end in .nc"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.nc", "--columns", "petal"], "there is no column 'petal'"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.nc", "--columns", "species"], "is not numeric: 'species'"),
    (["fit", "empty.csv", "-k", 1, "-o", "x.nc", "--columns", "x,lack"], "Leave them out with --columns.\n"),
    (["select", "empty.csv", "--columns", "x,lack"], "1 column has no values: 'lack'"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.nc", "--covariance", "ful"], "did you mean 'full'"),
    (["fit", "flowers.csv", "-k", 3, "-o", "x.nc", "--method", "nut"], "did you mean 'nuts'"),
    (["fit", "flowers.csv", "-k", 200, "-o", "x.nc"], "150 rows can't hold 200 components"),
    (["fit", "flowers.csv", "-k", 23, "--columns", "petal_width", "--method", "em", "-o", "x.nc"], "or --method map"),
    (["fit", "flowers.csv", "--model", "nothing.toml", "-o", "x.nc"], "nothing.toml can't be read"),
    (["fit", "flowers.csv", "-k", 2, "--method", "em", "--draws", 5, "-o", "x.nc"], "has no setting 'draws'"),
    (["fit", "flowers.csv", "--model", "irsi", "-o", "x.nc"], "did you mean 'iris'"),
    (["models", "show", "wime"], "did you mean 'wine'"),
    (["prior", "iris", "flowers.csv", "-o", "x.txt"], "must end in .png, .pdf or .svg"),
    (["prior", "iris", "short.csv", "-o", "x.png"], "there is no column 'sepal_width'"),
    (["assign", "nothing.nc", "-o", "x.csv"], "there is no file nothing.nc"),
    (["assign", "flowers.csv", "-o", "x.csv"], "flowers.csv is not a fit: its name ends in .csv"),
    (["score", "fit.nc", "short.csv", "-o", "x.csv"], "the data lack 'sepal_width'"),
    (["score", "fit.nc", "-o", "x.csv", "--fdr", 2], "--fdr 2.0: must be between 0 and 1"),
    (["score", "fit.nc", "-o", "flowers.csv", "--calibration", "flowers.csv"], "is an input of this command"),
    (["density", "fit.nc", "-o", "x.csv", "--given", "a=1"], "--given a=1 needs --over"),
    (["density", "fit.nc", "-o", "x.csv", "--over", "petal_length", "--given", "a"], "'a' is not column=number"),
    (["density", "fit.nc", "-o", "x.csv", "--over", "petal"], "no column 'petal'"),
    (["density", "fit.nc", "new.parquet", "-o", "x.csv", "--over", "petal_length"], "give either points"),
    (["density", "fit.nc", "-o", "x.csv", "--ci-prob", 2], "--ci-prob 2.0: must be between 0 and 1"),
    (["assign", "fit.nc", "-o", "nowhere/x.csv"], "there is no folder nowhere"),
    (["assign", "fit.nc", "-o", "fit.nc"], "must end in .csv, .parquet or .pq"),
    (["score", "fit.nc", "flowers.csv", "-o", "flowers.csv"], "is an input of this command"),
    (["fit", "flowers.csv", "-k", 2, "-o", "x.nc", "--seed", -1], "--seed -1: "),
    (["fit", "flowers.csv", "-k", 2, "-o", "x.nc", "--columns", "sepal_length, petal"], "no column 'petal'"),
    (
        ["select", "flowers.csv", "-k", "3-1"],
        "--components 3-1: '3-1' is not a number or a range; give 3, or 2,4,6, or 1-9",
    ),
    (["select", "flowers.csv", "-k", "1,two"], "--components 1,two: 'two' is not a number or a range"),
    (["select", "flowers.csv", "-k", ""], "'' is not a number or a range"),
    (["select", "flowers.csv", "-k", "0"], "'0' is not a number or a range"),
    (["select", "flowers.csv", "--criterion", "bik"], "did you mean 'bic'"),
    (["select", "flowers.csv", "--covariance", "full,tide"], "did you mean 'tied'"),
    (["select", "flowers.csv", "--bayes", "--covariance", "full,tied"], "--bayes takes one family, for example full"),
    (["select", "flowers.csv", "-o", "x.nc"], "must end in .csv, .parquet or .pq"),
    (["select", "flowers.csv", "-o", "flowers.csv"], "is an input of this command"),
    (["select", "flowers.csv", "--plot", "x.csv"], "must end in .png, .pdf or .svg"),
    (["compare", "flowers.csv"], "give either -k"),
    (["compare", "flowers.csv", "-k", 2, "--methods", "em,nut"], "did you mean 'nuts'"),
    (["compare", "flowers.csv", "-k", 2, "--methods", ","], "--methods ,: name at least one"),
    (["compare", "flowers.csv", "-k", 2, "--methods", "em", "--columns", "petal"], "there is no column 'petal'"),
    (["compare", "flowers.csv", "-k", 200, "--methods", "em,nuts"], "150 rows can't hold 200 components"),
]


@pytest.mark.parametrize(("args", "message"), WRONG, ids=lambda a: " ".join(map(str, a)) if isinstance(a, list) else "")
def test_an_error_is_one_message(folder, fitted, args, message):
    done = run(*args, cwd=folder)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (folder / "x.nc").exists()
    assert not (folder / "x.csv").exists()


def document(done):
    """Return the JSON document that stdout consists of."""
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_json_of_fit_has_the_component_table(folder):
    args = ["fit", "flowers.csv", "-k", 2, "--draws", 40, "--chains", 2, "--seed", 1, "-o", "machine.nc", "--json"]
    done = run(*args, cwd=folder)
    told, fit = document(done), bg.load(folder / "machine.nc")
    assert (told["command"], told["method"], told["seed"]) == ("fit", "nuts", 1)
    table = pd.DataFrame(told["components"]).set_index(["component", "quantity"])
    expected = component_table(fit)
    assert list(table.index) == list(expected.index)
    np.testing.assert_array_equal(table.to_numpy(), expected.to_numpy())
    assert told["points"] == pytest.approx(bg.assignments(fit)["probability"].sum("point").values)
    assert (told["convergence"]["chains"], told["convergence"]["draws"]) == (2, 40)
    assert f"{told['convergence']['rhat']:.3f}" in convergence_line(fit)
    assert told["wrote"] == [{"path": "machine.nc"}]
    assert "left out, not numeric: 'species'; choose columns with --columns" in told["warnings"]
    assert any("The chains have not mixed well" in warning for warning in told["warnings"])
    for warning in told["warnings"]:
        assert warning in done.stderr


@pytest.mark.parametrize("command", ["assign", "score"])
def test_json_lists_the_written_files(folder, fitted, command):
    told = document(run(command, "fit.nc", "new.parquet", "-o", f"{command}_told.csv", "--json", cwd=folder))
    assert told["wrote"] == [{"path": f"{command}_told.csv", "rows": 5}]
    pd.testing.assert_frame_equal(pd.DataFrame(told["points"]), pd.read_csv(folder / f"{command}_told.csv"))


def test_json_of_select_and_compare_has_all_rows_and_no_nan(folder):
    args = ["-k", "1,40", "--covariance", "full", "--columns", "petal_width", "--json"]
    told = document(run("select", "flowers.csv", *args, cwd=folder))
    assert [row["n_components"] for row in told["choices"]] == [1, 40]
    assert told["choices"][1]["bic"] is None
    assert "40 components, full: 22 distinct rows" in told["warnings"][-1]
    args = ["-k", 2, "--methods", "em,vb", "--seed", 1, "-o", "told.csv", "--json"]
    told = document(run("compare", "flowers.csv", *args, cwd=folder))
    assert [row["fit"] for row in told["methods"]] == ["em", "vb"]
    assert (told["methods"][0]["elbo"], told["reference"]) == (None, "em")


def test_json_of_prior_and_models(folder):
    told = document(run("prior", "iris", "flowers.csv", "-o", "told.png", "--draws", 20, "--json", cwd=folder))
    assert told["expected_clusters"] == pytest.approx(3)
    assert told["wrote"] == [{"path": "told.png"}]
    assert [card["name"] for card in document(run("models", "--json"))["models"]] == list(bg.model.cards())
    told = document(run("models", "show", "iris", "--json"))
    assert (told["command"], told["card"]["mixture"]["n_components"]) == ("models show", 3)


def test_quiet_leaves_out_what_is_in_a_file_but_no_warning(folder):
    args = ["fit", "flowers.csv", "-k", 2, "--draws", 40, "--chains", 2, "--seed", 1, "-o", "quiet.nc"]
    done = run(*args, "--quiet", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert "The chains have not mixed well" in done.stderr
    args = ["select", "flowers.csv", "-k", "1,2", "--covariance", "full", "--seed", 1]
    assert "The best by bic" in run(*args, "-q", cwd=folder).stdout
    assert run(*args, "-q", "-o", "quiet.csv", cwd=folder).stdout == ""
    assert run("models", "show", "iris", "--toml", "-q").stdout.startswith('title = "Iris"')


def test_the_demo_shows_and_writes(tmp_path):
    done = run("demo", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for part in ("petal_width", "adjusted Rand index 0.9", "most uncertain", "largest R-hat"):
        assert part in done.stdout
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"iris.nc", "iris.csv", "iris.png", *examples.WORDS}
    assert all(f"wrote {tmp_path / 'out' / name}\n" in done.stdout for name in written)


def test_the_demo_leaves_out_recordings_without_their_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert set(examples.WORDS) - set(examples.write_examples(tmp_path)) == {"recordings", "new.wav"}


def test_fit_without_a_seed_has_one_all_the_same(folder):
    for name in ("a.nc", "b.nc"):
        assert run("fit", "flowers.csv", "-k", 2, "--method", "em", "-o", name, cwd=folder).returncode == 0
    first, second = (bg.load(folder / name) for name in ("a.nc", "b.nc"))
    assert bg.info(first).seed == 0
    assert first["posterior"].equals(second["posterior"])


def test_compare_gives_each_method_the_settings_that_it_has(folder):
    args = ["compare", "flowers.csv", "-k", 2, "--methods", "em,gibbs", "--draws", 60, "--max-draws", 60, "--n-init", 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        done = run(*args, "--json", cwd=folder)
    assert [row["problem"] for row in document(done)["methods"]] == ["", ""]
    wrong = run("compare", "flowers.csv", "-k", 2, "--methods", "em", "--draws", 60, cwd=folder)
    assert "method 'em' has no setting 'draws'; a setting of method 'nuts'" in wrong.stderr


def test_datasets_are_listed_and_saved(tmp_path):
    listed = document(run("datasets", "--json"))["datasets"]
    assert {each["name"] for each in listed} == set(bg.datasets.DATASETS)
    assert all(each["about"].endswith(".") for each in listed)
    assert run("datasets", "save", "wine", "wine.csv", cwd=tmp_path).returncode == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "wine.csv"), bg.datasets.wine())
    assert "did you mean 'wine'" in run("datasets", "save", "wime", "wine.csv", cwd=tmp_path).stderr


def test_partition_writes_clusters_and_their_uncertainty(folder, fitted):
    done = run("partition", "fit.nc", "-o", "clusters.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    clusters = pd.read_csv(folder / "clusters.csv")
    assert list(clusters.columns) == ["point", "label", "expected_distance"]
    assert len(clusters) == 150
    assert "Optimal partition: 3 clusters" in done.stdout
    assert "3 (1.00)" in done.stdout
    assert "95% credible ball: radius" in done.stdout
    merged = run("partition", "fit.nc", "new.parquet", "-o", "few.csv", "--merge", "--loss", "binder", cwd=folder)
    assert merged.returncode == 0, merged.stderr
    assert "3 components merged into" in merged.stdout
    assert len(pd.read_csv(folder / "few.csv")) == 5
    assert "did you mean 'binder'" in run("partition", "fit.nc", "-o", "x.csv", "--loss", "bindr", cwd=folder).stderr
    told = json.loads(run("partition", "fit.nc", "-o", "clusters.csv", "--json", cwd=folder).stdout)
    sizes = np.bincount(clusters["label"]).tolist()
    assert [row["points"] for row in told["clusters"]] == sizes  # numbers, under a name that never changes
    iris = pd.read_csv(folder / "flowers.csv").drop(columns="species")
    iris.head(1).to_parquet(folder / "one.parquet")
    lone = run("partition", "fit.nc", "one.parquet", "-o", "1.csv", cwd=folder).stdout
    assert "Optimal partition: 1 cluster " in lone
    assert "radius 0.000 bits, 1 cluster\n" in lone


def test_discriminant_plane_writes_coordinates(folder, fitted):
    done = run("discriminant-plane", "fit.nc", "-o", "plane.csv", "--plot", "plane.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "petal_length" in done.stdout
    answer = bg.discriminant_plane(bg.load(folder / "fit.nc"))
    written = pd.read_csv(folder / "plane.csv", index_col="point")
    assert list(written.columns) == ["direction_1", "direction_2"]
    np.testing.assert_allclose(written, answer["coordinates"])
    assert (folder / "plane.png").stat().st_size > 10_000
    told = document(run("discriminant-plane", "fit.nc", "new.parquet", "-o", "new.csv", "--json", cwd=folder))
    assert [row["between"] for row in told["directions"]] == pytest.approx(answer["between"].values)
    assert len(told["points"]) == 5


def test_commands_use_row_weights_and_background(folder, iris):
    x = iris.drop(columns="species")
    weights = np.repeat([3.0, 1.0], [50, 100])
    model = bg.MixtureModel(2, background=bg.Background(share=0.05))
    fit = bg.fit(model, x, "em", seed=1, progress=False, sample_weight=weights)
    assert component_sizes(fit).sum() == pytest.approx(250)
    bg.save(fit, folder / "heavy.nc")
    run("assign", "heavy.nc", "-o", "labels.csv", cwd=folder)
    np.testing.assert_allclose(pd.read_csv(folder / "labels.csv")["background"], bg.assignments(fit)["background"])
    done = run("diagnose", "heavy.nc", "--plot", "check.png", cwd=folder)
    assert done.returncode == 1
    assert "the rows have weights" in done.stderr


def test_diagnose_lists_possible_problems(folder, fitted):
    done = run("diagnose", "fit.nc", "-o", "findings.csv", "--plot", "check.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "No findings from:" in done.stdout
    assert "Not checked: last stick" in done.stdout
    assert (folder / "check.png").stat().st_size > 10_000
    assert list(pd.read_csv(folder / "findings.csv").columns) == ["severity", "check", "what", "why", "advice"]
    told = json.loads(run("diagnose", "fit.nc", "--json", cwd=folder).stdout)
    assert told["skipped"]["last stick"]
    assert {finding["check"] for finding in told["findings"]} | set(told["passed"]) >= {"mixing", "predictive fit"}


def test_diagnose_strict_fails_on_a_problem_only(folder, fitted):
    short = ["fit", "flowers.csv", "-k", "3", "-o", "short.nc", "--draws", "3", "--chains", "2", "--seed", "1"]
    assert run(*short, cwd=folder).returncode == 0
    done = run("diagnose", "short.nc", "--strict", cwd=folder)
    assert done.returncode == 1
    assert "Do not trust these results yet" in done.stdout
    assert run("diagnose", "short.nc", cwd=folder).returncode == 0
    assert "there is no file" in run("diagnose", "missing.nc", cwd=folder).stderr


def test_select_warns_of_coarsely_rounded_columns(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"rooms": rng.integers(1, 9, 200), "size": rng.normal(size=200)})
    table.to_csv(tmp_path / "houses.csv", index=False)
    done = run("select", tmp_path / "houses.csv", "-k", "1", "--covariance", "diag", "--seed", "1")
    assert done.returncode == 0
    assert "coarsely rounded: 'rooms'; a component may then be a single value" in done.stderr
    table.drop(columns="rooms").to_csv(tmp_path / "sizes.csv", index=False)
    done = run("select", tmp_path / "sizes.csv", "-k", "1", "--covariance", "diag", "--seed", "1")
    assert "rounded" not in done.stderr


def test_a_fit_goes_on_from_its_checkpoint(folder):
    args = ["fit", "flowers.csv", "-k", "2", "--method", "em", "-o", "kept.nc", "--checkpoint", "run/"]
    assert run(*args, cwd=folder).returncode == 0
    again = run(*args, cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "run holds the result of this fit: it is not computed again." in again.stderr
    assert "warning: run" not in again.stderr
    other = run(*args, "--seed", "7", cwd=folder)
    assert other.returncode == 1
    assert "run is the checkpoint of another fit, with --seed 0 (here --seed 7)" in other.stderr
