"""Coresets: a few weighted rows stand for many, wherever these are, and their error is what is said."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.data.standards import Standard
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.inference import coresets
from bayesgmm.inference.coresets import Sensitivity
from bayesgmm.sources.reservoirs import drawn_by
from bayesgmm.sources.surveys import stream
from tests.commands import run

N = 20_000
RARE = 400  # rows of a small cluster far from the large one


@pytest.fixture(scope="module")
def rows():
    x = np.random.default_rng(0).normal(size=(N, 2))
    x[:RARE] += 12
    return np.random.default_rng(1).permutation(x)


def drawn(rows, size=500, seed=1, k=2, **settings):
    return bg.coreset(rows, k, size, seed=seed, progress=False, **settings)


def test_weighted_sums_are_unbiased(rows):
    """Of the number of rows, of a column, of its square, and of a small cluster. False alarm: 2.3e-6 (5 sd, 4 sums)."""
    standard = Standard.of(stream(bg.source(rows), 2**30, 1))
    sensitivity = Sensitivity.of(rows, standard, 2, np.random.default_rng(0))
    found = []
    for seed in range(300):
        reservoir = drawn_by(sensitivity, 201, (seed,), [rows])
        x, _, weight = coresets._weighted(reservoir.rows, reservoir.at, reservoir.key, sensitivity, 200)
        assert len(x) == 200
        found.append([weight.sum(), weight @ x[:, 0], weight @ x[:, 0] ** 2, weight @ (x[:, 0] > 6)])
    exact = [N, rows[:, 0].sum(), (rows[:, 0] ** 2).sum(), (rows[:, 0] > 6).sum()]
    z = (np.mean(found, axis=0) - exact) / (np.std(found, axis=0, ddof=1) / np.sqrt(len(found)))
    assert np.abs(z).max() < 5


def test_the_weights_are_those_of_all_rows_in_sum(rows):
    some = drawn(rows)
    assert len(some.points) == len(some.weight) == 500
    assert some.weight.sum() == pytest.approx(N, rel=1e-12)
    np.testing.assert_array_equal(some.points, rows[some.points.index])
    assert some.points.index.is_monotonic_increasing
    assert some.points.index.is_unique


def test_a_small_cluster_has_more_rows_than_in_a_random_sample(rows):
    points = drawn(rows).points
    assert (points["x0"] > 6).mean() > 1.5 * RARE / N


def test_fewer_rows_than_are_asked_for_are_all_taken_and_have_no_error(rows):
    some = drawn(rows[:300])
    assert (some.weight == 1).all()
    np.testing.assert_array_equal(some.points, rows[:300])
    np.testing.assert_allclose(some.errors["error"], 0, atol=1e-12)
    assert some.width == 1


@pytest.mark.parametrize("kind", ["files", "little memory", "collection", "frame"])
def test_the_same_rows_are_drawn_wherever_they_are(kind, rows, tmp_path):
    frame = pd.DataFrame(rows, columns=["a", "b"])
    known = drawn(frame)
    for number, part in enumerate((frame[:7_000], frame[7_000:])):
        part.to_parquet(tmp_path / f"{number}.parquet")
    settings = {"memory": "1500KiB"} if kind == "little memory" else {}
    data = {"collection": da.from_array(rows, chunks=(3_001, 2)), "frame": frame}.get(kind, f"{tmp_path}/*.parquet")
    found = drawn(data, columns=["a", "b"], **settings)
    np.testing.assert_array_equal(found.points, known.points)
    np.testing.assert_array_equal(found.points.index, known.points.index)
    np.testing.assert_allclose(found.weight, known.weight, rtol=1e-12)
    np.testing.assert_allclose(found.errors, known.errors, rtol=1e-9, atol=1e-12)


def test_errors_are_those_of_log_likelihoods_of_all_rows(rows, monkeypatch):
    """Compared with scipy, for the mixtures that were made."""
    made = []

    def mixtures(*args):
        made.append(known(*args))
        return made[0]

    known = coresets._mixtures
    monkeypatch.setattr(coresets, "_mixtures", mixtures)
    some = drawn(rows)
    standard = Standard.of(stream(bg.source(rows), 2**30, 1))

    def mean_log_density(mixture, x):
        z = (x - standard.shift) / standard.scale
        covariances = [np.linalg.inv(root.T @ root) for root in mixture.core_roots]
        each = [multivariate_normal(m, c).logpdf(z) for m, c in zip(mixture.mean, covariances, strict=True)]
        return logsumexp(np.array(each) + np.log(mixture.weight)[:, None], axis=0)

    single = multivariate_normal(rows.mean(axis=0), np.diag(rows.var(axis=0)))
    for name, mixture in made[0].items():
        own, all_rows = (
            mean_log_density(mixture, x) - single.logpdf(x) - np.log(standard.scale).sum() for x in (some.points, rows)
        )
        assert some.errors.loc[name, "all_rows"] == pytest.approx(all_rows.mean(), abs=1e-9)
        assert some.errors.loc[name, "coreset"] == pytest.approx(some.weight @ own / N, abs=1e-9)


def test_errors_are_as_large_as_is_expected(rows):
    """Mean square of 40 errors in units of their standard errors. False alarm: 1e-4."""
    z = [
        found["error"].iloc[0] / found["standard_error"].iloc[0]
        for found in (drawn(rows, 300, seed).errors for seed in range(40))
    ]
    assert 0.3 < np.mean(np.square(z)) < 2.1


def test_means_of_components_are_as_wrong_as_the_width_says(rows):
    """The errors of 40 coresets, in units of the posterior standard deviation of the full weights."""
    large = rows[:, 0] < 6
    found, widths = [], []
    for seed in range(40):
        some = drawn(rows, 400, seed)
        x, inside = some.points.to_numpy(), some.points["x0"].to_numpy() < 6
        each = []
        for own, whole in ((inside, large), (~inside, ~large)):
            mean = np.average(x[own], axis=0, weights=some.weight[own])
            each.append((mean - rows[whole].mean(axis=0)) * np.sqrt(whole.sum()))
        found.append(each)
        widths.append(some.width)
    errors = np.sqrt(np.square(found).mean(axis=(0, 2)))
    assert errors.max() == pytest.approx(np.mean(widths), rel=0.35)


def test_calibrated_weights_make_intervals_wider_by_the_width(rows, no_doubts):
    some = drawn(rows, 1000)
    narrow, wide = (
        bg.fit(bg.MixtureModel(2), some.points, "vb", sample_weight=weight, seed=1, progress=False)["posterior"]["mean"]
        .std(("chain", "draw"))
        .values[0]
        for weight in (some.weight, some.calibrated_weight)
    )
    assert wide / narrow == pytest.approx(some.width, rel=0.15)


def test_a_fit_of_a_coreset_is_close_to_that_of_all_rows(rows):
    some = drawn(rows, 2000)
    model = bg.MixtureModel(2)
    own = bg.fit(model, some.points, "em", sample_weight=some.weight, seed=1, progress=False)
    whole = bg.fit(model, rows, "em", seed=1, progress=False)
    for name, error in (("weight", 0.005), ("mean", 0.12)):
        np.testing.assert_allclose(own["posterior"][name], whole["posterior"][name], atol=error)


def test_repeated_rows_and_more_components_than_clusters_are_no_problem():
    same = drawn(np.ones((3_000, 1)), 100, k=3)
    assert same.weight.sum() == pytest.approx(3_000)
    np.testing.assert_allclose(same.errors["error"], 0, atol=1e-9)


def test_what_a_coreset_can_not_be_made_of_is_an_error(rows):
    with pytest.raises(DataError, match=r"missing or infinite: row 1, column 'x0'"):
        drawn([[1.0], [np.nan]])
    with pytest.raises(DeclarationError, match="size=0"):
        drawn(rows, 0)
    with pytest.raises(DeclarationError, match=r"size=1: .*at least 2"):
        drawn(rows, 1)


def test_a_command_writes_a_coreset_that_a_fit_reads(rows, tmp_path):
    frame = pd.DataFrame(rows, columns=["a", "b"])
    frame.to_parquet(tmp_path / "a.parquet")
    done = run("coreset", "a.parquet", "-k", 2, "--size", 500, "--seed", 1, "-o", "few.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "500 of 20,000 rows; largest error" in done.stdout
    assert "times too narrow" in done.stdout
    assert "for intervals, add --calibrated" in done.stdout
    few = pd.read_csv(tmp_path / "few.csv")
    assert few["weight"].to_numpy() == pytest.approx(drawn(frame).weight)
    options = ["few.csv", "-k", 2, "--method", "em", "--weight-column", "weight"]
    done = run("fit", *options, "-o", "fit.nc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    points = bg.load(tmp_path / "fit.nc")["observed_data"]
    assert points["feature"].values.tolist() == ["a", "b"]
    assert points["sample_weight"].values == pytest.approx(few["weight"].to_numpy())
    done = run("fit", *options, "--columns", "a,weight", "-o", "fit.nc", cwd=tmp_path)
    assert "--columns and --weight-column both name 'weight'" in done.stderr
    loglik = bg.load(tmp_path / "fit.nc")["sample_stats"]["loglik"].item()
    done = run("fit", *options, "--memory", "1GiB", "-o", "parts.nc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert bg.load(tmp_path / "parts.nc")["sample_stats"]["loglik"].item() == pytest.approx(loglik, rel=1e-10)
    for memory in ([], ["--memory", "1GiB"]):
        done = run("fit", *options[:5], *memory, "-o", "fit.nc", cwd=tmp_path)
        assert "column 'weight' is fitted as values; if it holds row weights" in done.stderr
        done = run("select", "few.csv", "-k", 2, *options[5:], "--covariance", "tied", *memory, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "is fitted as values" not in done.stderr
    done = run("coreset", "few.csv", "-k", 2, "-o", "fewer.csv", cwd=tmp_path)
    assert "there is a column 'weight'" in done.stderr


def test_a_posterior_of_many_more_points_than_rows_has_a_note(rows, tmp_path):
    some = drawn(rows)
    settings = {"method": "vb", "seed": 0, "progress": False}
    fit = bg.fit(bg.MixtureModel(2), some.points, sample_weight=some.weight, **settings)
    (found,) = bg.diagnose(fit, ["row weights"], progress=False)
    assert (found.severity, found.evidence["points"]) == ("note", pytest.approx(20_000))
    assert "500 rows count as 20,000 points" in found.what
    wide = bg.fit(bg.MixtureModel(2), some.points, sample_weight=some.calibrated_weight, **settings)
    assert not bg.diagnose(wide, ["row weights"], progress=False)
    pd.DataFrame(rows, columns=["a", "b"]).to_parquet(tmp_path / "a.parquet")
    options = ["-k", 2, "--size", 500, "--seed", 1, "--calibrated", "-o", "few.csv"]
    done = run("coreset", "a.parquet", *options, cwd=tmp_path)
    assert pd.read_csv(tmp_path / "few.csv")["weight"].to_numpy() == pytest.approx(some.calibrated_weight)
    assert "too narrow" not in done.stdout
