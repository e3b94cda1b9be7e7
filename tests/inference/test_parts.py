"""Rows that are read in parts: the same answers as in memory, in bounded memory, and clear refusals."""

import threading
import time
import tracemalloc
import warnings
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.datasets import make_mixture
from bayesgmm.diagnosis.summary import component_sizes
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DataError, DeclarationError, FitFileError
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.corrections import laplace_proposal
from bayesgmm.inference.laplace import find_mode
from bayesgmm.inference.minibatches import one_pass, sampled
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sources import surveys
from bayesgmm.sources.surveys import stream
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.parts import Parts, ahead, sum_of
from bayesgmm.sweep.stats import Table, fold, fold_each
from tests.families.registry import CHARTED

SAMPLE = make_mixture(80_000, 3, 4, overlap=0.2, seed=2)
X = SAMPLE.X
SMALL = "2MiB"  # of memory: less than all rows need
STREAMING = [name for name, engine in ENGINES.items() if not engine.needs_rows]


def written(folder, x, cuts, order=None):
    """Write rows to files, cut at some places; the files in another order."""
    parts = [x[a:b] for a, b in pairwise([0, *cuts, len(x)])]
    for place, number in enumerate(order or range(len(parts))):
        part = parts[number] if isinstance(x, pd.DataFrame) else pd.DataFrame(parts[number], columns=list("abc"))
        part.to_parquet(folder / f"{place}.parquet", row_group_size=7_000)
    return f"{folder}/*.parquet"


def rough_start(covariance="full"):
    """A fit that is not converged, from which all others start."""
    frame = pd.DataFrame(X[:2000], columns=list("abc"))
    with pytest.warns(bg.FitWarning):
        return bg.fit(bg.MixtureModel(4, covariance), frame, "em", seed=3, max_iter=2, n_init=1, progress=False)


def loglik(fit):
    return fit["sample_stats"]["loglik"].mean().item()


def table(k=4, seed=0):
    rng = np.random.default_rng(seed)
    return Table.from_parameters(np.full(k, -np.log(k)), rng.normal(size=(k, 3)), np.tile(np.eye(3), (k, 1, 1)))


def _laid_out(rows, _):
    return Blocks.from_rows(rows)


def test_the_statistics_of_parts_do_not_depend_on_the_number_of_threads():
    parts = Parts(lambda: [partial(_laid_out, part) for part in np.split(X, [30_000, 60_000])], len(X), 3, X[:1])
    one, *others = (fold(parts, table(), threads) for threads in (1, 2, 3, 8))
    for other in others:
        np.testing.assert_array_equal(one.s2, other.s2)
        assert one.loglik == other.loglik


@pytest.mark.parametrize("cuts", [[], [32], [1, 2, 50, 79_999], [10_000, 20_000, 70_000]])
def test_the_statistics_of_parts_are_those_of_all_points(cuts):
    whole = fold(Blocks.from_rows(X), table())
    parts = Parts(lambda: [partial(_laid_out, part) for part in np.split(X, cuts)], len(X), 3, Blocks.from_rows(X[:10]))
    sums = fold(parts, table())
    for name in ("n", "s1", "s2", "loglik"):
        np.testing.assert_allclose(getattr(sums, name), getattr(whole, name), rtol=1e-11, atol=1e-8)
    several = Table(*(np.array([a, b]) for a, b in zip(*(vars(table(seed=s)).values() for s in (0, 1)), strict=True)))
    for one, other in zip(fold_each(parts, several), fold_each(Blocks.from_rows(X), several), strict=True):
        np.testing.assert_allclose(getattr(one, "n", one), getattr(other, "n", other), rtol=1e-11)


@pytest.mark.parametrize("prior", [{}, {"means": bg.HierarchicalMeans()}, {"weights": bg.DirichletProcess()}])
@pytest.mark.parametrize("covariance", CHARTED)
def test_the_log_posterior_of_parts_and_its_gradient_are_those_of_all_points(covariance, prior):
    model, points = bg.MixtureModel(3, covariance, **prior), as_points(X)
    whole = LogPosterior.of(model, points)
    parts = LogPosterior.of(model, stream(bg.source(X), 2**21, seed=0))
    q = whole.coordinates(*start_of(whole)) + np.random.default_rng(1).normal(0, 0.1, (3, whole.size))
    for one in q:
        (value, gradient), (other, slope) = whole(one), parts(one)
        assert other == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(slope, gradient, atol=1e-9 * np.abs(gradient).max())
        assert parts.value(one) == pytest.approx(value, rel=1e-12)
        assert parts.log_prior(one) == pytest.approx(whole.log_prior(one), rel=1e-9)
    np.testing.assert_allclose(parts.values(q, 2), whole.values(q, 2), rtol=1e-12)


def start_of(density):
    k, d = density.n_components, density.n_features
    mean = np.linspace(-1, 1, k)[:, None] * np.ones(d)
    return np.full(k, 1 / k), mean, density.model.family.identity(k, d)


def test_many_coordinates_take_one_pass_over_the_parts():
    read = stream(bg.source(X), 2**21, seed=0)
    density, passes = LogPosterior.of(bg.MixtureModel(3), read), []
    blocks = density.blocks
    density = replace(density, blocks=replace(blocks, read=lambda: passes.append(1) or blocks.read()))
    density.values(np.tile(density.coordinates(*start_of(density)), (20, 1)))
    assert len(passes) == 1


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_em_in_parts_is_em_in_memory_whatever_the_parts_and_their_order(covariance, tmp_path):
    """From one start, to 1e-10 of the log likelihood. With the full family, every file with every size of memory."""
    start, model = rough_start(covariance), bg.MixtureModel(4, covariance)
    frame = pd.DataFrame(X, columns=list("abc"))
    whole = bg.fit(model, frame, "em", start=start, seed=1, progress=False)
    several = [([], None, "1GiB"), ([1, 9_000, 75_000], [2, 0, 3, 1], SMALL)]
    for number, (cuts, order, size) in enumerate(several):
        (tmp_path / str(number)).mkdir()
        files = written(tmp_path / str(number), X, cuts, order)
        for memory in (SMALL, "1GiB") if covariance == "full" else (size,):
            fit = bg.fit(model, files, "em", start=start, seed=1, memory=memory, progress=False)
            assert loglik(fit) == pytest.approx(loglik(whole), rel=1e-10, abs=0)
            np.testing.assert_allclose(fit["posterior"]["mean"], whole["posterior"]["mean"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", [name for name in STREAMING if ENGINES[name].kind == "point estimate"])
def test_a_search_on_a_sample_reaches_the_maximum_of_all_rows(method, tmp_path, monkeypatch):
    monkeypatch.setattr(surveys, "SAMPLE", 5_000)
    fit = bg.fit(bg.MixtureModel(4), written(tmp_path, X, [15_000]), method, memory=SMALL, seed=1, progress=False)
    whole = bg.fit(bg.MixtureModel(4), pd.DataFrame(X, columns=list("abc")), method, seed=1, progress=False)
    np.testing.assert_allclose(
        fit["posterior"]["mean"].mean(["chain", "draw"]), whole["posterior"]["mean"].mean(["chain", "draw"]), atol=0.02
    )


@pytest.mark.parametrize("method", [name for name in STREAMING if ENGINES[name].takes_start])
def test_a_point_estimate_in_parts_is_that_in_memory(method, tmp_path):
    """From one start, to 1e-10 of the log likelihood."""
    start, model = rough_start(), bg.MixtureModel(4)
    whole, parts = (
        bg.fit(model, data, method, start=start, memory=memory, seed=1, progress=False)
        for data, memory in (
            (pd.DataFrame(X, columns=list("abc")), None),
            (written(tmp_path, X, [100, 20_000], [1, 2, 0]), SMALL),
        )
    )
    assert loglik(parts) == pytest.approx(loglik(whole), rel=1e-10, abs=0)


def test_variational_bayes_in_parts_has_the_bound_of_the_fit_in_memory(tmp_path):
    """From starts on a sample, to the tolerance; its draws have the same means, up to their error."""
    x, files = X[:70_000], written(tmp_path, X[:70_000], [100, 5_000], [1, 2, 0])
    whole, parts = (
        bg.fit(bg.MixtureModel(4), data, "vb", draws=200, memory=memory, seed=1, progress=False)
        for data, memory in ((pd.DataFrame(x, columns=list("abc")), None), (files, SMALL))
    )
    assert bg.info(parts).notes.elbo == pytest.approx(bg.info(whole).notes.elbo, abs=1e-8 * len(x))
    one, other = (fit["posterior"]["mean"].mean(["chain", "draw"]) for fit in (whole, parts))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_the_weights_of_a_sample_represent_all_rows(monkeypatch):
    monkeypatch.setattr(surveys, "SAMPLE", 1_000)
    density = LogPosterior.of(bg.MixtureModel(2), stream(bg.source(X), 2**21, seed=0))
    assert sampled(density).blocks.n_points == 1_000
    assert sampled(density).blocks.total_weight == pytest.approx(len(X))


@pytest.mark.parametrize("method", STREAMING)
def test_every_engine_that_does_not_refuse_rows_in_parts_fits_them(method):
    fit = bg.fit(bg.MixtureModel(2), X, method, memory=SMALL, seed=1, progress=False)
    assert bg.info(fit).source.n_rows == len(X)


@pytest.mark.parametrize("method", ENGINES)
def test_every_engine_fits_files_whose_rows_fit_into_the_memory(method, tmp_path):
    """The parameters are those of the table in memory, to rounding; only the rows are not stored."""
    few = {"tune": 50, "chains": 2} if ENGINES[method].kind == "sampler" else {}
    few |= {"draws": 50} if ENGINES[method].kind != "point estimate" else {}
    frame, files = pd.DataFrame(X[:300], columns=list("abc")), written(tmp_path, X[:300], [100])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)  # few draws
        whole, parts = (
            bg.fit(bg.MixtureModel(2), data, method, seed=1, progress=False, **few) for data in (frame, files)
        )
    np.testing.assert_allclose(
        parts["posterior"]["mean"].mean(["chain", "draw"]),
        whole["posterior"]["mean"].mean(["chain", "draw"]),
        rtol=0.02,
    )
    assert "observed_data" not in parts.children


def test_an_approximation_of_rows_that_fit_into_the_memory_is_compared_with_gibbs_sampling(whole_searches):
    """Iris: the intervals of the best approximation are far too narrow, which only the comparison shows."""
    flowers = bg.datasets.iris().drop(columns="species")
    with pytest.warns(bg.FitWarning, match=r"differs from a short Gibbs run: .* such an interval is 0\.\d\d times"):
        fit = bg.fit(bg.MixtureModel(3), flowers, "vb", memory="1GiB", seed=1, progress=False)
    assert bg.info(fit).notes.compared is not None
    assert bg.info(fit).notes.not_compared is None


def test_an_approximation_of_rows_in_parts_is_said_not_to_be_compared(whole_searches):
    fit = bg.fit(bg.MixtureModel(2), X, "vb", memory=SMALL, draws=200, seed=1, progress=False)
    (finding,) = bg.diagnose(fit, ["approximation"], progress=False)
    assert (finding.severity, finding.check) == ("note", "approximation")
    assert str(finding).startswith("The approximation was not compared with a Gibbs run: the rows are read in parts.")


GAPS = pd.DataFrame(X, columns=list("abc")).mask(np.random.default_rng(0).random(X.shape) < 0.05)
WEIGHTED = GAPS.assign(w=np.random.default_rng(1).integers(0, 4, len(X)).astype(float))


@pytest.mark.parametrize("memory", ["3MiB", "1GiB"])
@pytest.mark.parametrize("method", [name for name in STREAMING if ENGINES[name].takes_start])
def test_gaps_and_weights_in_parts_are_those_in_memory(method, memory, tmp_path):
    """From one start, to 1e-10 of the log likelihood."""
    files = written(tmp_path, WEIGHTED, [7_000, 40_000], [2, 0, 1])
    given = {"start": rough_start(), "seed": 1, "progress": False}
    whole = bg.fit(bg.MixtureModel(4), GAPS, method, sample_weight=WEIGHTED["w"], **given)
    parts = bg.fit(bg.MixtureModel(4), files, method, sample_weight="w", memory=memory, **given)
    assert loglik(parts) == pytest.approx(loglik(whole), rel=1e-10, abs=0)
    assert component_sizes(parts) == pytest.approx(component_sizes(whole), rel=1e-3)  # the table of the components


@pytest.mark.parametrize("covariance", ["tied", "spherical", "VVE", "factors:1"])
def test_gaps_in_parts_are_those_in_memory_for_every_kind_of_table(covariance, tmp_path):
    """Two steps of EM: for factor analysers a fold of complete rows has a kernel of its own."""
    given = {"start": rough_start(covariance), "seed": 1, "max_iter": 2, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        whole, parts = (
            bg.fit(bg.MixtureModel(4, covariance), data, "em", memory=memory, **given)
            for data, memory in ((GAPS, None), (written(tmp_path, GAPS, [7_000]), SMALL))
        )
    assert loglik(parts) == pytest.approx(loglik(whole), rel=1e-10, abs=0)


def test_variational_bayes_of_gaps_and_weights_has_the_bound_of_the_fit_in_memory(tmp_path):
    files = written(tmp_path, WEIGHTED, [7_000])
    one, other = (
        bg.fit(bg.MixtureModel(4), data, "vb", draws=50, sample_weight=w, memory=memory, seed=1, progress=False)
        for data, w, memory in ((GAPS, WEIGHTED["w"], None), (files, "w", "3MiB"))
    )
    assert bg.info(other).notes.elbo == pytest.approx(bg.info(one).notes.elbo, abs=1e-7 * len(X))


def test_the_criteria_of_gaps_and_weights_in_parts_are_those_in_memory(tmp_path):
    files = written(tmp_path, WEIGHTED, [7_000])
    given = {"n_components": 1, "covariance": "full", "seed": 1, "n_init": 1, "progress": False}
    whole = bg.select(GAPS, sample_weight=WEIGHTED["w"], **given)
    parts = bg.select(files, sample_weight="w", memory="3MiB", **given)
    np.testing.assert_allclose(parts[["loglik", "bic"]], whole[["loglik", "bic"]], rtol=1e-10)


def test_weights_of_rows_in_parts_are_the_name_of_a_column():
    with pytest.raises(DeclarationError, match=r"sample_weight has a value for each row.*\n  Give its name"):
        bg.fit(bg.MixtureModel(2), X, "em", sample_weight=np.ones(len(X)), memory=SMALL, progress=False)


@pytest.mark.parametrize(("method", "size"), [("vb", 2000), ("advi", 500)])
def test_minibatches_in_parts_are_those_in_memory(method, size, tmp_path):
    """Rows sorted by a column, so that batches from one place would differ: the bounds of all steps are the same."""
    x = X[np.argsort(X[:, 0])]
    files, few = written(tmp_path, x, [100, 41_000]), {"draws": 50, "batch_size": size, "seed": 1, "progress": False}
    few |= {"samples": 20} if method == "advi" else {"n_init": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        whole, *parts = (
            bg.fit(bg.MixtureModel(2), data, method, memory=memory, **few)
            for data, memory in ((pd.DataFrame(x, columns=list("abc")), None), (files, SMALL))
        )
    for fit in parts:
        np.testing.assert_allclose(fit["optimisation"]["elbo"], whole["optimisation"]["elbo"], rtol=1e-10)
        assert bg.info(fit).notes.elbo == pytest.approx(bg.info(whole).notes.elbo, rel=1e-10, abs=0)


def parts_of(x):
    """Blocks of all rows, and the same rows in parts of a file."""
    read = stream(bg.source(x), 2**21, seed=0)
    standard = Standard.of(read)
    return standard.blocks(as_points(x)), standard.blocks(read)


@pytest.mark.parametrize("chosen", [[0], [2499, 0], [1023, 5, 700, 701, 2000], range(2500)])
def test_chosen_blocks_of_parts_are_those_in_memory(chosen):
    whole, parts = parts_of(X)
    own, other = (blocks.part(np.array(chosen)) for blocks in (whole, parts))
    np.testing.assert_array_equal(own.x, other.x)
    np.testing.assert_array_equal(own.weight, other.weight)


def test_runs_between_chosen_blocks_are_not_read():
    read, started = stream(bg.source(X), 2**21, seed=0), []
    blocks = Standard.of(read).blocks(replace(read, read=lambda *args: started.append(args) or read.read(*args)))
    blocks.part(np.array([3, 2400]))
    assert [args[0] for args in started if len(args) > 1] == [0, 2304 * 32]


def test_a_pass_over_minibatches_has_each_block_once_and_mixes_distant_places():
    x = np.arange(300_000.0)[:, None]
    whole, seen = Blocks.from_rows(x), []
    for batch in one_pass(whole, 1000, np.random.default_rng(0)):
        rows = batch.rows()[:, 0]
        assert batch.weight.sum() == pytest.approx(len(x), rel=0.05)
        assert np.ptp(rows) > 30_000
        seen.append(rows)
    assert 290 <= len(seen) <= 320
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), x[:, 0])


def test_minibatches_of_rows_that_are_read_one_after_another_are_refused(tmp_path):
    pd.DataFrame(X, columns=list("abc")).round(3).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(
        DeclarationError, match=r"these can only be read one after another\n  Write the table as Parquet"
    ):
        bg.fit(bg.MixtureModel(2), tmp_path / "x.csv", "vb", batch_size=100, memory=SMALL, progress=False)


def test_advi_without_minibatches_says_how_rows_in_parts_can_be_fitted():
    with pytest.raises(DeclarationError, match=r"'advi' can't read rows in parts: .*\n.* Or give batch_size=1000, or "):
        bg.fit(bg.MixtureModel(2), X, "advi", memory=SMALL, progress=False)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("form", ["parquet", "csv", "npy"])
def test_rows_that_are_kept_are_not_read_again_and_give_the_same_sums(tmp_path, form, kind):
    """With room for all rows, for some, for none: the same sums to the last bit."""
    x = X[:30_000].astype(kind)
    if form == "parquet":
        pd.DataFrame(x, columns=list("abc")).to_parquet(tmp_path / "x.parquet", row_group_size=7_000)
    elif form == "csv":
        pd.DataFrame(x, columns=list("abc")).to_csv(tmp_path / "x.csv", index=False)
    else:
        np.save(tmp_path / "x.npy", x)
    read = stream(bg.source(tmp_path / f"x.{form}"), 2**21, seed=0)
    read = replace(read, kept=tuple(read.read(0)), held=False)
    assert sum(map(len, read.kept)) == len(x)
    standard, sums = Standard.of(read), []
    for number in range(len(read.kept) + 1):
        first = []

        def reading(start, first=first):
            first.append(start)
            return read.read(start)

        some = replace(read, read=reading, kept=read.kept[:number])
        sums += [fold(standard.blocks(some), table())]
        assert first == ([sum(map(len, some.kept))] if number < len(read.kept) else [])
    assert len(sums) > 3
    assert all(np.array_equal(one.s2, sums[0].s2) and one.loglik == sums[0].loglik for one in sums)
    whole = fold(Blocks.from_rows(x.astype(float), None, standard.shift, standard.scale), table())
    assert sums[0].loglik == pytest.approx(whole.loglik, rel=1e-9)  # texts have seven digits


def test_as_many_rows_are_kept_as_the_memory_suffices_for(tmp_path):
    np.save(tmp_path / "x.npy", np.tile(X, (4, 1)).astype(np.float32))  # 3.7 MiB
    less, more = (stream(bg.source(tmp_path / "x.npy"), size * 2**20, seed=0) for size in (4, 8))
    assert not less.held
    assert not more.held
    own = [sum(one.nbytes for one in read.kept) for read in (less, more)]
    assert 0 < own[0] < 2**21 < own[1] == 4 * X.size * 4
    assert stream(bg.source(tmp_path / "x.npy"), 2**24, seed=0).held


def test_rows_of_an_array_are_not_copied():
    x = np.tile(X, (4, 1))
    assert not stream(bg.source(x), 2**23, seed=0).kept


def test_rows_that_fit_into_the_memory_are_laid_out_in_one(tmp_path):
    read = stream(bg.source(written(tmp_path, X, [5, 50_000])), 2**30, seed=0)
    blocks, points = Standard.of(read).blocks(read), as_points(pd.DataFrame(X, columns=list("abc")))
    np.testing.assert_array_equal(blocks.x, Standard.of(read).blocks(points).x)
    np.testing.assert_array_equal(blocks.weight, Standard.of(read).blocks(points).weight)


def test_the_memory_of_a_fit_does_not_grow_with_the_rows(tmp_path):
    """24 MB of rows in 3 MiB, and what the sample of 60,000 rows needs: a few copies of 1.4 MB."""
    rows = np.tile(X, (25, 1))
    np.save(tmp_path / "x.npy", rows)
    start = bg.fit(bg.MixtureModel(4), X[:1000], "em", seed=1, progress=False)
    tracemalloc.start()
    with pytest.warns(bg.FitWarning, match="EM stopped after 5 iterations"):
        bg.fit(bg.MixtureModel(4), tmp_path / "x.npy", "em", start=start, memory="3MiB", max_iter=5, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6 < rows.nbytes


def test_the_next_part_is_read_while_one_is_in_use():
    read = [threading.Event() for _ in range(3)]

    def parts():
        for number, event in enumerate(read):
            event.set()
            yield number

    for number in ahead(parts()):
        assert number == 2 or read[number + 1].wait(10)


def test_rows_are_read_in_a_thread_of_their_own(tmp_path):
    read, names = stream(bg.source(written(tmp_path, X, [])), 2**21, seed=0), []

    def reading(first):
        for rows in read.read(first):
            names.append(threading.current_thread().name)
            yield rows

    fold(Standard.of(read).blocks(replace(read, read=reading, kept=())), table())
    assert len(names) > 2
    assert all(name.startswith("bayesgmm-read") for name in names)


def test_an_error_of_a_reader_is_raised_after_the_parts_before_it():
    def parts():
        yield 1
        raise DataError("cut off")

    found = ahead(parts())
    assert next(found) == 1
    with pytest.raises(DataError, match="cut off"):
        next(found)


def test_a_value_that_is_not_finite_in_the_ninetieth_row_group_is_found(tmp_path):
    rows = np.tile(X[:1000], (100, 1))
    rows[90_003, 1] = np.inf
    path = tmp_path / "x.parquet"
    pd.DataFrame(rows, columns=list("abc")).to_parquet(path, row_group_size=1000)
    with pytest.raises(DataError, match=r"x.parquet, row group 90: 1 value is infinite: row 3, column 'b'"):
        bg.fit(bg.MixtureModel(2), path, "em", memory="1GiB", progress=False)


def test_a_file_that_changes_between_two_sweeps_ends_the_fit(tmp_path):
    files = written(tmp_path, X, [])
    blocks = Standard.of(read := stream(bg.source(files), 2**21, seed=0)).blocks(read)
    fold(blocks, table())
    written(tmp_path, X + 1, [])
    with pytest.raises(DataError, match="has changed while it was in use"):
        fold(blocks, table())


@pytest.mark.parametrize("method", [name for name in ENGINES if name not in STREAMING])
def test_engines_that_need_all_rows_in_memory_are_refused_by_name(method):
    with pytest.raises(DeclarationError, match=rf"'{method}' can't read rows in parts: .*\n.*'em'.*'3MiB'.*sample"):
        bg.fit(bg.MixtureModel(2), X, method, memory=SMALL, progress=False)


def test_the_default_method_of_rows_in_parts_is_said_with_its_reason():
    """Once; where the memory suffices, or the model is none for it, the default is what it always is."""
    with pytest.warns(bg.TableWarning, match=r"the method is 'vb', .* memory='3MiB' .*draws=200") as told:
        fit = bg.fit(bg.MixtureModel(2), X, memory=SMALL, progress=False, seed=1)
    assert len([one for one in told if one.category is bg.TableWarning]) == 1
    assert info(fit).method == "vb"
    assert fit["posterior"].sizes["draw"] == 200
    other = bg.MixtureModel(2, covariances=bg.LKJCovariance())
    with pytest.raises(DeclarationError, match="'nuts' can't read rows in parts"):
        bg.fit(other, X, memory=SMALL, progress=False)


def test_settings_of_the_default_method_of_rows_in_parts_are_those_that_were_given():
    with pytest.warns(bg.TableWarning, match=r"the method is 'vb'") as told:
        fit = bg.fit(bg.MixtureModel(2), X, memory=SMALL, progress=False, seed=1, draws=300)
    assert "draws=200" not in str(told[0].message)
    assert fit["posterior"].sizes["draw"] == 300
    with pytest.raises(DeclarationError, match="method 'vb' has no setting 'tune'; a setting of method 'nuts'"):
        bg.fit(bg.MixtureModel(2), X, memory=SMALL, progress=False, tune=100)


@pytest.mark.parametrize("size", [200, 1000])
def test_the_adaptations_of_a_proposal_for_rows_in_parts_take_no_more_draws_than_the_fit(size, monkeypatch):
    asked, values = [], LogPosterior.values
    monkeypatch.setattr(
        LogPosterior, "values", lambda self, q, threads=1: asked.append(len(q)) or values(self, q, threads)
    )
    read = stream(bg.source(X), 2**21, seed=0)
    density = LogPosterior.of(bg.MixtureModel(2), read)
    start = find_mode(density, np.zeros(density.size))
    laplace_proposal(density, start, 0, 1, size)
    assert set(asked) == {size}


@pytest.mark.parametrize("name", ["noise", "labels"])
def test_arguments_with_a_value_for_each_row_are_refused(name):
    with pytest.raises(DeclarationError, match=f"{name}= can't be used with rows that are read in parts"):
        bg.fit(bg.MixtureModel(2), X, "em", memory="1GiB", progress=False, **{name: np.ones(len(X))})


def test_a_fit_in_parts_holds_a_reference_and_a_digest_in_place_of_the_rows(tmp_path):
    files = written(tmp_path, X, [100])
    fit = bg.fit(bg.MixtureModel(4), files, "em", seed=1, progress=False)
    facts = bg.info(bg.load(bg.save(fit, tmp_path / "fit.nc")))
    assert (facts.source.name, facts.source.n_rows) == (files, len(X))
    assert facts.fingerprint == as_points(pd.DataFrame(X, columns=list("abc"))).fingerprint
    assert "observed_data" not in fit.children
    for answer in (bg.assignments, bg.anomaly_scores, bg.density, bg.partition):
        with pytest.raises(FitFileError, match=r"no observed data: the 80,?000 rows of .*parquet were read in parts\n"):
            answer(fit)


def test_answers_take_the_rows_and_diagnose_takes_a_fit_with_some(tmp_path):
    frame = pd.DataFrame(X, columns=list("abc"))
    fit = bg.fit(bg.MixtureModel(4), written(tmp_path, X, []), "em", seed=1, progress=False)
    held = bg.with_points(fit, frame[:500])
    np.testing.assert_array_equal(bg.assignments(held)["label"], bg.assignments(fit, frame[:500])["label"])
    bg.diagnose(fit)
    bg.diagnose(held)
    assert "observed_data" not in fit.children


def test_a_background_and_transforms_are_those_of_the_fit_in_memory():
    """The background is declared: its default is estimated from the sample."""
    frame = pd.DataFrame(np.exp(X / 4), columns=list("abc"))
    logs = bg.ColumnTransforms({"a": bg.Power(0, start=0.1), "b": bg.Power(0, start=0.1), "c": None})
    model = bg.MixtureModel(2, background=bg.Background(share=0.02, location=[0.0, 0.0, 1.0], scale=[3.0, 3.0, 5.0]))
    one, other = (
        bg.fit(model, frame, "em", transform=logs, memory=memory, seed=1, progress=False) for memory in (None, "1GiB")
    )
    assert loglik(one) == pytest.approx(loglik(other), rel=1e-8)
    assert bg.info(one).fingerprint == bg.info(other).fingerprint


def test_the_default_of_a_background_reaches_all_rows_although_it_is_set_by_a_sample(monkeypatch):
    frame = pd.DataFrame(np.concatenate([X, [[1e6, 2e6, -3e6]]]), columns=list("abc"))
    monkeypatch.setattr(surveys, "SAMPLE", 1_000)
    default = bg.MixtureModel(2, background=bg.Background(share=0.02, location=[0.0, 0.0, 0.0]))
    scale = [
        bg.info(bg.fit(default, frame, "em", memory=m, seed=1, progress=False)).model.background.scale
        for m in (None, "1GiB")
    ]
    np.testing.assert_allclose(*scale, rtol=1e-12)


def test_parts_have_nothing_that_needs_all_rows():
    parts = Parts(list, 5, 2, Blocks.from_rows(np.zeros((2, 2))))
    for name in ("native", "x", "weight", "take", "rows"):
        with pytest.raises(AttributeError, match=f"no '{name}': that needs all rows in memory"):
            getattr(parts, name)


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_one_thread_ends_the_others(failing):
    """They would go on to the last part, and the error be said only then."""
    taken = []

    def task(number):
        if number == failing:
            raise DataError("damaged")
        taken.append(number)
        time.sleep(0.001)
        return np.ones(1)

    with pytest.raises(DataError, match="damaged"):
        sum_of(task, range(10_000), 2)
    assert len(taken) < 1_000
