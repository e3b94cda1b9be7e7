"""Dask: the same answers on any number of workers, with or without deaths among them, and clear errors."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.delayed import delayed
from distributed import Client, LocalCluster

import bayesgmm as bg
from bayesgmm.data.standards import Standard
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import ClusterError, DataError, DeclarationError
from bayesgmm.inference import searches
from bayesgmm.posterior.info import info
from bayesgmm.sources import surveys as local
from bayesgmm.sweep.stats import Table, fold, fold_each
from bayesgmm.workers import layouts, schedulers, streams, sums
from bayesgmm.workers.surveys import survey
from bayesgmm.workers.tasks import run_on_workers
from tests.commands import run

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*was never awaited")
X = make_mixture(200_000, 3, 4, overlap=0.2, seed=2).X
FRAME = pd.DataFrame(X, columns=list("abc"))
MODEL = bg.MixtureModel(4)
KNOWN = ("n", "s1", "s2", "loglik")


OPTIONS = {"processes": True, "threads_per_worker": 1, "dashboard_address": ":0"}


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, **OPTIONS) as own:
        yield own


@pytest.fixture
def client(cluster, settings_of_dask):
    with Client(cluster) as own:
        own.wait_for_workers(2, timeout=60)
        yield own


@pytest.fixture(autouse=True)
def settings_of_dask():
    """A client whose scheduler is killed stays Dask's default: it is forgotten after each test."""
    with dask.config.set(scheduler=None):
        yield


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(layouts, "NUMBERS", 2**13)


@pytest.fixture(scope="module")
def start():
    with pytest.warns(bg.FitWarning):
        return bg.fit(MODEL, FRAME[:2000], "em", seed=3, max_iter=2, n_init=1, progress=False)


def array(rows=50_000, x=X):
    return da.from_array(x, chunks=(rows, 2))


def table(k=4, seed=0):
    rng = np.random.default_rng(seed)
    return Table.from_parameters(np.full(k, -np.log(k)), rng.normal(size=(k, 3)), np.tile(np.eye(3), (k, 1, 1)))


def on_workers(client, data=None):
    read = survey(bg.source(array() if data is None else data), client, seed=1)
    return Standard.of(read).blocks(read)


def loglik(fit):
    return fit["sample_stats"]["loglik"].mean().item()


def kill_one(client):
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)


def test_the_first_pass_on_workers_knows_what_one_in_files_knows(client):
    """Also the sample: it depends on the seed and the number of rows alone."""
    own, other = survey(bg.source(array()), client, seed=1), local.stream(bg.source(X), 2**30, seed=1)
    assert own.n_points == other.n_points
    np.testing.assert_array_equal(own.sample.values, other.sample.values)
    np.testing.assert_array_equal(own.sample.index, other.sample.index)
    for name in ("mean", "midrange", "range", "variance"):
        np.testing.assert_allclose(getattr(own.summary, name), getattr(other.summary, name), rtol=1e-12)
    assert survey(bg.source(array(70_000)), client, seed=1).fingerprint == own.fingerprint
    assert survey(bg.source(array(x=X[::-1])), client, seed=1).fingerprint != own.fingerprint


def test_sums_of_workers_are_those_in_memory(client):
    read = local.stream(bg.source(X), 2**30, seed=1)
    whole, spread = Standard.of(read).blocks(read), on_workers(client)
    for name in KNOWN:
        own, other = (getattr(fold(blocks, table()), name) for blocks in (whole, spread))
        np.testing.assert_allclose(own, other, rtol=1e-11, atol=1e-8)
    several = Table(*(np.array([a, b]) for a, b in zip(*(vars(table(seed=s)).values() for s in (0, 1)), strict=True)))
    np.testing.assert_allclose(fold_each(whole, several)[0], fold_each(spread, several)[0], rtol=1e-11)


@pytest.mark.parametrize(("bundles", "asked"), [(1, 64), (2, 0), (16, 64), (16, 0)])
def test_sums_are_the_same_to_the_last_bit_for_any_number_of_bundles(bundles, asked, client, monkeypatch):
    """Bundles follow from the number of threads of the cluster; sums of more than 16 tasks are added in a tree."""
    expected = fold(on_workers(client), table())
    monkeypatch.setattr(layouts, "BUNDLES", bundles)
    monkeypatch.setattr(sums, "ASKED", asked)
    spread = on_workers(client)
    assert len(spread.bundles) == 2 * bundles
    for name in KNOWN:
        np.testing.assert_array_equal(getattr(fold(spread, table()), name), getattr(expected, name))


def test_a_sweep_asks_the_workers_and_has_no_tasks(client, monkeypatch):
    spread = on_workers(client)
    expected = fold(spread, table()).loglik
    monkeypatch.setattr(client, "map", None)
    assert fold(spread, table()).loglik == expected


def test_a_sweep_whose_bundles_were_moved_finds_them(client):
    spread = on_workers(client)
    expected = fold(spread, table()).loglik
    (known, *_), keys = spread.places, [bundle.key for bundle in spread.bundles]
    assert 0 < len(spread.places[known]) < len(keys)
    spread.places.clear()
    spread.places[known] = keys  # as if all of them had been there
    assert fold(spread, table()).loglik == expected
    assert not spread.places


def test_parameters_that_are_large_are_sent_once(client, monkeypatch):
    monkeypatch.setattr(sums, "ASKED", 0)
    spread = on_workers(client)
    embedded = fold(spread, table()).loglik
    monkeypatch.setattr(sums, "EMBEDDED", 0)
    assert fold(spread, table()).loglik == embedded
    assert fold(spread, table(seed=1)).loglik != embedded


@pytest.mark.parametrize("kind", ["array", "uneven array", "frame", "columns in other orders"])
def test_a_fit_on_workers_is_that_in_memory(kind, start, client):
    kinds = {
        "array": array(),
        "uneven array": da.concatenate([array(x=X[:999], rows=333), array(x=X[:0]), array(x=X[999:])]),
        "frame": dd.from_pandas(FRAME, npartitions=3),
        "columns in other orders": dd.from_delayed(
            [delayed(FRAME[:90_000]), delayed(FRAME[90_000:][["c", "a", "b"]])], meta=FRAME[:0], verify_meta=False
        ),
    }
    given = {"columns": list("abc"), "start": start, "seed": 1, "progress": False}
    whole = bg.fit(MODEL, FRAME, "em", memory="1GiB", **given)
    fit = bg.fit(MODEL, kinds[kind], "em", **given)
    assert loglik(fit) == pytest.approx(loglik(whole), rel=1e-10, abs=0)
    assert "observed_data" not in fit.children


def test_variational_bayes_on_workers_has_the_bound_of_the_fit_in_memory(client):
    whole, spread = (
        bg.fit(bg.MixtureModel(3), data, "vb", seed=1, memory="1GiB", n_init=1, progress=False)
        for data in (X[:6_000], array(2_000, X[:6_000]))
    )
    assert bg.info(spread).notes.elbo == pytest.approx(bg.info(whole).notes.elbo, rel=1e-10)


GAPS = FRAME.mask(np.random.default_rng(0).random(FRAME.shape) < 0.05)
WEIGHTS = np.random.default_rng(1).integers(0, 4, len(FRAME)).astype(float)


def test_gaps_and_weights_on_workers_are_those_in_memory(start, client):
    whole = bg.fit(MODEL, GAPS, "em", sample_weight=WEIGHTS, start=start, seed=1, progress=False)
    data = dd.from_pandas(GAPS.assign(w=WEIGHTS), npartitions=3)
    fit = bg.fit(MODEL, data, "em", sample_weight="w", start=start, seed=1, progress=False)
    assert loglik(fit) == pytest.approx(loglik(whole), rel=1e-10, abs=0)
    assert bg.info(fit).source.n_gaps == GAPS.isna().any(axis=1).sum()


def test_a_weight_on_workers_that_is_not_allowed_is_named(client):
    data = dd.from_pandas(GAPS.assign(w=np.where(np.arange(len(FRAME)) == 150_000, -1.0, WEIGHTS)), npartitions=2)
    with pytest.raises(DataError, match=r"partition 1: 1 row has a weight that is not allowed: row 50000"):
        bg.fit(MODEL, data, "em", sample_weight="w", progress=False)


def test_without_a_method_rows_on_workers_are_fitted_by_variational_bayes(client):
    with pytest.warns(bg.TableWarning, match=r"the method is 'vb'") as told:
        fit = bg.fit(bg.MixtureModel(2), array(30_000), seed=1, progress=False)
    assert "memory=" not in "".join(str(one.message) for one in told)
    assert info(fit).method == "vb"
    with pytest.raises(DeclarationError, match="method 'nuts' can't read rows in parts"):
        bg.fit(bg.MixtureModel(2), array(30_000), "nuts", progress=False)


@pytest.mark.parametrize("method", ["vb", "advi"])
def test_minibatches_on_workers_are_those_in_memory(method, client):
    few = {"draws": 50, "batch_size": 4000, "seed": 1, "progress": False}
    few |= {"samples": 20} if method == "advi" else {"n_init": 1, "max_iter": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        whole, fit = (bg.fit(bg.MixtureModel(2), data, method, **few) for data in (X, array(30_000)))
    np.testing.assert_allclose(fit["optimisation"]["elbo"], whole["optimisation"]["elbo"], rtol=1e-10)


@pytest.mark.parametrize("asked", [64, 0])
def test_chosen_blocks_on_workers_are_those_in_memory(asked, client, monkeypatch):
    monkeypatch.setattr(sums, "ASKED", asked)
    read = local.stream(bg.source(X), 2**30, seed=1)
    whole, spread = Standard.of(read).blocks(read), on_workers(client)
    chosen = np.random.default_rng(0).permutation(whole.n_blocks)[:300]
    np.testing.assert_allclose(spread.brought(chosen).x, whole.part(chosen).x, atol=1e-13)
    part = spread.part(chosen).part(np.arange(100)).scaled(2.5)
    own, other = fold(whole.part(chosen[:100]).scaled(2.5), table()), fold(part, table())
    for name in KNOWN:
        np.testing.assert_allclose(getattr(own, name), getattr(other, name), rtol=1e-11, atol=1e-8)
    none = fold(spread.part(np.array([0])), table())
    assert none.loglik == pytest.approx(fold(whole.part(np.array([0])), table()).loglik, rel=1e-12)


def test_without_a_cluster_collections_are_read_a_partition_at_a_time(start):
    whole = bg.fit(MODEL, X, "em", seed=1, columns=list("abc"), start=start, memory="1GiB", progress=False)
    fit = bg.fit(MODEL, array(), "em", seed=1, columns=list("abc"), start=start, progress=False)
    assert loglik(fit) == pytest.approx(loglik(whole), rel=1e-10, abs=0)
    assert bg.info(fit).source.name == "a Dask array (4 partitions)"
    assert bg.info(fit).fingerprint == bg.info(whole).fingerprint


def test_transforms_are_applied_on_the_workers(client):
    positive = pd.DataFrame(np.exp(X[:20_000] / 4), columns=list("abc"))
    logs = bg.ColumnTransforms({"a": bg.Power(0, start=0.1), "b": bg.Power(0, start=0.1), "c": None})
    one, other = (
        bg.fit(bg.MixtureModel(2), data, "em", transform=logs, memory="1GiB", seed=1, progress=False)
        for data in (positive, dd.from_pandas(positive, npartitions=3))
    )
    assert loglik(one) == pytest.approx(loglik(other), rel=1e-8)


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_worker_that_is_killed_between_sweeps_changes_nothing(rounds, client):
    spread = on_workers(client)
    expected = fold(spread, table())
    for _ in range(rounds):
        kill_one(client)
        found = fold(spread, table())
        for name in KNOWN:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_a_worker_that_is_killed_in_the_middle_of_a_fit_changes_nothing(client, monkeypatch, start):
    """It is killed while its tasks run: the fit is the same to the last bit."""

    def fitted():
        return bg.fit(MODEL, array(), "em", columns=list("abc"), start=start, seed=1, progress=False)

    expected, sweeps, total = fitted(), [], sums.WorkerParts.total

    def killing(self, measure, threads):
        sweeps.append(1)
        if len(sweeps) == 3:
            threading.Timer(0.01, kill_one, [client]).start()
        return total(self, measure, threads)

    monkeypatch.setattr(sums.WorkerParts, "total", killing)
    found = fitted()
    assert len(sweeps) > 5
    assert loglik(found) == loglik(expected)
    np.testing.assert_array_equal(found["posterior"]["mean"], expected["posterior"]["mean"])


def test_a_worker_that_is_killed_in_the_first_pass_changes_nothing(client):
    expected = survey(bg.source(array()), client, seed=1)

    def slow(block):
        time.sleep(0.3)
        return block

    threading.Timer(0.5, kill_one, [client]).start()
    found = survey(bg.source(array().map_blocks(slow)), client, seed=1)
    np.testing.assert_array_equal(found.centre_and_sd, expected.centre_and_sd)
    assert found.fingerprint == expected.fingerprint


def test_a_task_that_kills_each_worker_is_one_clear_error(client):
    def deadly(block):
        if block[0, 0] == X[0, 0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    data = array().map_blocks(deadly, meta=X[:0])
    with pytest.raises(ClusterError, match="4 workers died in turn while they worked on the same rows"):
        survey(bg.source(data), client, seed=1)


def test_rows_that_can_not_be_computed_again_are_one_clear_error():
    """On a cluster of its own: one in which workers were killed before may lose another one at any time."""
    with LocalCluster(n_workers=1, **OPTIONS) as own, Client(own) as client:
        blocks = client.scatter([X[:100_000], X[100_000:]])
        data = da.concatenate([da.from_delayed(delayed(block), (100_000, 3), float) for block in blocks])
        spread = on_workers(client, data)
        for process in client.run(os.getpid).values():
            os.kill(process, signal.SIGKILL)
        with pytest.raises(ClusterError, match="rows on the workers were lost, and can't be computed again"):
            fold(spread, table())


@pytest.fixture
def lone_scheduler():
    """A scheduler that is a process of its own: the process, and its address."""
    code = "from distributed.cli.dask_scheduler import main; main()"
    command = [sys.executable, "-c", code, "--port", "0", "--dashboard-address", ":0", "--host", "127.0.0.1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = next(line for line in process.stderr if "Scheduler at" in line)
    threading.Thread(target=process.stderr.read, daemon=True).start()
    yield process, line.split("Scheduler at:")[1].strip()
    process.kill()
    process.wait()


def test_a_scheduler_that_is_lost_is_one_clear_error(lone_scheduler, monkeypatch):
    process, address = lone_scheduler
    total = sums.WorkerParts.total

    def killing(self, measure, threads):
        process.send_signal(signal.SIGKILL)
        return total(self, measure, threads)

    monkeypatch.setattr(sums.WorkerParts, "total", killing)
    with (
        lone_worker(address),
        Client(address),
        pytest.raises(ClusterError, match="connection to the Dask scheduler .* was lost"),
    ):
        bg.fit(MODEL, array(), "em", seed=1, progress=False)


@contextmanager
def lone_worker(address):
    """A worker that nothing starts again."""
    code = "from distributed.cli.dask_worker import main; main()"
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "5"]
    worker = subprocess.Popen([sys.executable, "-c", code, address, *options], stderr=subprocess.DEVNULL)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def slept(number, stop):
    time.sleep(number)


def deadly_block(block):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("waiting", ["first pass", "sweep", "fits"])
def test_a_cluster_that_lost_all_workers_for_good_is_one_clear_error(waiting, lone_scheduler):
    """In a thread that can be left waiting, as it would be for ever without a limit."""
    address, errors = lone_scheduler[1], []

    def run_into_it(call):
        with pytest.raises(ClusterError) as caught:
            call()
        errors.append(str(caught.value))

    with lone_worker(address) as worker, Client(address) as client:
        client.wait_for_workers(1, timeout=60)
        if waiting == "first pass":
            data = array().map_blocks(deadly_block, meta=X[:0])
            call = partial(survey, bg.source(data), client, seed=1)
        elif waiting == "sweep":
            spread = on_workers(client)
            worker.kill()
            call = partial(fold, spread, table())
        else:
            threading.Timer(2, worker.kill).start()
            call = partial(run_on_workers, client, slept, [(60,)], lambda number: None)
        with dask.config.set({schedulers.TIMEOUT: "3s"}):
            thread = threading.Thread(target=run_into_it, args=[call], daemon=True)
            thread.start()
            thread.join(60)
    assert errors
    assert errors[0].startswith(f"the Dask scheduler '{address}' has had no workers for 3 seconds\n  Start some")


def test_workers_that_come_back_in_time_change_nothing(lone_scheduler):
    address = lone_scheduler[1]
    with Client(address) as client, dask.config.set({schedulers.TIMEOUT: "60s"}):
        with lone_worker(address):
            client.wait_for_workers(1, timeout=60)
            spread = on_workers(client)
            expected = fold(spread, table()).loglik
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(fold, spread, table())
            time.sleep(3)
            assert not found.done()
            with lone_worker(address):
                assert found.result(60).loglik == expected


def test_a_scheduler_without_workers_and_none_at_all_are_errors(lone_scheduler, monkeypatch):
    monkeypatch.setattr(schedulers, "PATIENCE", 0.5)
    process, address = lone_scheduler
    with (
        pytest.raises(ClusterError, match=f"the Dask scheduler '{address}' has no workers"),
        schedulers.connected(address),
    ):
        pass
    process.kill()
    process.wait()
    for wrong in (address, "nonsense"):
        with pytest.raises(ClusterError, match=f"there is no Dask scheduler at {wrong}"), schedulers.connected(wrong):
            pass
        assert schedulers.active_client() is None


def test_a_client_in_use_that_was_never_connected_is_one_clear_error():
    with pytest.raises(ValueError, match="unknown address scheme"):
        Client("nonsense://127.0.0.1:1")
    broken = schedulers.active_client()
    try:
        with pytest.raises(ClusterError, match=r"client that is in use has no scheduler .*\n.*client\.close"):
            bg.fit(MODEL, array(), "em", progress=False)
    finally:
        broken.close()


def test_workers_with_another_version_are_named(client, monkeypatch):
    monkeypatch.setattr(schedulers, "version", lambda name: "0.0.0")
    with pytest.raises(ClusterError, match=r"2 workers lack bayesgmm 0\.0\.0: tcp://.* has 0\.1\.0; tcp://"):
        bg.fit(MODEL, array(), "em", progress=False)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_value_that_is_not_finite_is_found_in_its_partition(bad, client):
    rows = X.copy()
    rows[150_017, 1] = bad
    call = partial(bg.fit, MODEL, method="em") if np.isinf(bad) else partial(bg.coreset, n_components=2)
    with pytest.raises(DataError, match=r"partition 3: 1 value is .*infinite: row 17, column 'x1'"):
        call(data=array(x=rows), progress=False)


def test_partitions_that_lack_a_column_or_have_no_rows_are_errors(client):
    parts = [delayed(FRAME[:9]), delayed(FRAME[["a", "b"]])]
    data = dd.from_delayed(parts, meta=FRAME[:0], verify_meta=False)
    with pytest.raises(DataError, match=r"partition 1: .*column"):
        bg.fit(MODEL, data, "em", progress=False)
    with pytest.raises(DataError, match=r"a Dask array \(1 partition\) has no rows"):
        bg.fit(MODEL, da.zeros((0, 3)), "em", progress=False)


def test_columns_that_are_no_numbers_and_arrays_that_are_no_tables_are_errors():
    data = dd.from_pandas(FRAME[:9].assign(kind="text"), npartitions=1)
    with pytest.raises(DataError, match=r"1 column is not numeric: 'kind'\n.*columns=\['a', 'b', 'c'\]"):
        bg.source(data)
    with pytest.raises(DataError, match=r"there is no column 'd'"):
        bg.source(data, ["d"])
    with pytest.raises(DataError, match=r"has shape \(2, 2, 2\)"):
        bg.source(da.zeros((2, 2, 2)))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_workers_read_the_files_of_a_command(ending, cluster, client, tmp_path):
    for number, part in enumerate((FRAME[:30_000], FRAME[30_000:60_000][["c", "a", "b"]])):
        path = tmp_path / f"{number}.{ending}"
        part.to_parquet(path, row_group_size=7_000) if ending == "parquet" else part.to_csv(path, index=False)
    command = ["fit", f"*.{ending}", "-k", 4, "--method", "em", "--seed", 1]
    for options in ([], ["--scheduler", cluster.scheduler_address]):
        done = run(*command, *options, "-o", f"{len(options)}.nc", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"60,000 rows of *.{ending} were read in parts" in done.stdout
    own, other = (bg.load(tmp_path / name) for name in ("0.nc", "2.nc"))
    assert loglik(own) == pytest.approx(loglik(other), rel=1e-10, abs=0)


def test_a_coreset_of_rows_on_workers_is_that_of_rows_in_memory(client):
    known, found = (bg.coreset(data, 3, 400, seed=2, progress=False) for data in (X, array()))
    np.testing.assert_array_equal(found.points, known.points)
    np.testing.assert_allclose(found.weight, known.weight, rtol=1e-12)
    np.testing.assert_allclose(found.errors, known.errors, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("ending", "place"), [("parquet", "1.parquet, row group 1: .*row 1017"), ("csv", "1.csv: .*row 17017")]
)
def test_a_value_that_workers_find_is_named_by_its_file(ending, place, cluster, client, tmp_path):
    for number, start in enumerate((0, 20_000)):
        part = FRAME[start : start + 20_000].reset_index(drop=True)
        if number:
            part.loc[17_017, "b"] = np.inf
        path = tmp_path / f"{number}.{ending}"
        part.to_parquet(path, row_group_size=16_000) if ending == "parquet" else part.to_csv(path, index=False)
    command = ["fit", f"*.{ending}", "-k", 2, "--method", "em", "--scheduler", cluster.scheduler_address, "-o", "a.nc"]
    done = run(*command, cwd=tmp_path)
    assert re.search(place, " ".join(done.stderr.split())), done.stderr
    assert "column 'b'" in done.stderr


def test_a_wrong_scheduler_at_the_terminal_is_one_message(tmp_path):
    FRAME[:100].to_csv(tmp_path / "a.csv", index=False)
    command = ["fit", "a.csv", "-k", 1, "--method", "em", "-o", "a.nc", "--scheduler"]
    done = run(*command, "127.0.0.1:1", "--memory", "1GiB", cwd=tmp_path)
    assert "--memory can't be used with --scheduler" in done.stderr
    done = run(*command, "nonsense://127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no Dask scheduler at nonsense://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


LOSING = """
import os, signal, sys
from bayesgmm.cli import main
from bayesgmm.workers import sums

total, process = sums.WorkerParts.total, int(sys.argv.pop())

def killing(*given):
    os.kill(process, signal.SIGKILL)
    return total(*given)

sums.WorkerParts.total = killing
main()
"""


def test_a_scheduler_that_is_lost_at_the_terminal_is_one_message(lone_scheduler, tmp_path):
    process, address = lone_scheduler
    FRAME.to_parquet(tmp_path / "a.parquet")
    command = [
        "fit",
        "a.parquet",
        "-k",
        2,
        "--method",
        "em",
        "--scheduler",
        address,
        "-o",
        "a.nc",
        "--checkpoint",
        "run",
    ]
    with lone_worker(address):
        given = [sys.executable, "-c", LOSING, *map(str, command), str(process.pid)]
        done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert f"connection to the Dask scheduler '{address}' was lost" in said
    assert "with the same checkpoint: the fit goes on from there" in said
    assert "Traceback" not in done.stderr


CLOSING = """
import os, signal, sys, time
from bayesgmm.workers.schedulers import connected

with connected(sys.argv[1]) as client:
    os.kill(int(sys.argv[2]), signal.SIGKILL)
    while client.status == "running":
        time.sleep(0.01)
    time.sleep(0.5)
"""


def test_a_client_that_is_closed_while_it_looks_for_its_scheduler_says_nothing(lone_scheduler):
    process, address = lone_scheduler
    with lone_worker(address):
        command = [sys.executable, "-c", CLOSING, address, str(process.pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


CHOICES = {"n_components": (1, 3), "covariance": ("full", "tied"), "seed": 1, "progress": False, "n_init": 2}


@pytest.fixture(scope="module")
def chosen():
    return bg.select(FRAME[:2_000], **CHOICES)


@pytest.mark.parametrize("given", ["table", "collection"])
def test_the_workers_make_the_fits_of_a_selection(given, chosen, client, monkeypatch):
    monkeypatch.setattr(searches, "_in_threads", None)
    data = FRAME[:2_000]
    found = (
        bg.select(data, client=client, **CHOICES)
        if given == "table"
        else bg.select(dd.from_pandas(data, npartitions=3), **CHOICES)
    )
    pd.testing.assert_frame_equal(found, chosen)


@pytest.mark.usefixtures("whole_searches")
def test_the_workers_make_the_fits_of_a_bootstrap_test(client):
    known, found = (
        bg.bootstrap_test(data, 1, replicates=3, seed=1, n_init=1, progress=False)
        for data in (X[:300], da.from_array(X[:300], chunks=(100, 3)))
    )
    assert (found.statistic, found.replicates.tolist()) == (known.statistic, known.replicates.tolist())


@pytest.mark.usefixtures("whole_searches")
def test_rows_that_are_too_many_for_this_machine_stay_on_the_workers_in_a_selection(client):
    known, found = (
        bg.select(data, **CHOICES | {"covariance": "full"}, memory=memory)
        for data, memory in ((FRAME, None), (dd.from_pandas(FRAME, npartitions=5), "2MiB"))
    )
    assert found["loglik"].to_numpy() == pytest.approx(known["loglik"].to_numpy(), rel=1e-6)


def test_a_worker_that_is_killed_while_it_makes_fits_changes_nothing(chosen):
    with LocalCluster(n_workers=2, **OPTIONS) as own, Client(own) as client:
        client.wait_for_workers(2)
        killed = threading.Timer(0.3, kill_one, [client])
        killed.start()
        found = bg.select(FRAME[:2_000], client=client, **CHOICES)
        killed.join()
    pd.testing.assert_frame_equal(found, chosen)


def test_the_first_error_of_a_call_is_raised(client):
    with pytest.raises(ZeroDivisionError):
        run_on_workers(client, divided, [(1,), (0,)], lambda number: None)


def divided(number, stop):
    return 1 / number


def test_a_command_selects_on_a_cluster(cluster, client, tmp_path, chosen):
    FRAME[:2_000].to_parquet(tmp_path / "a.parquet")
    options = ["-k", "1,3", "--covariance", "full,tied", "--seed", 1, "--n-init", 2]
    done = run("select", "a.parquet", *options, "--scheduler", cluster.scheduler_address, "-o", "t.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(tmp_path / "t.csv")["bic"].tolist() == pytest.approx(chosen["bic"].tolist(), rel=1e-12)


@pytest.mark.parametrize("kind", [bg.BayesianGaussianMixture, bg.AnomalyDetector])
def test_estimators_that_need_all_rows_bring_them_here_or_say_that_they_are_too_many(kind, monkeypatch):
    data, sizes = FRAME[:500], {"random_state": 0}
    known, found = (kind(**sizes).fit(rows) for rows in (data, dd.from_pandas(data, npartitions=2)))
    assert found.feature_names_in_.tolist() == ["a", "b", "c"]
    assert (found.score_samples(data) == known.score_samples(data)).all()
    monkeypatch.setattr(streams, "MEMORY", 2**21)
    with pytest.raises(
        DeclarationError, match=r"200,000 rows take 7MiB of memory; this estimator brings at most 2MiB there"
    ):
        kind().fit(array())


def test_fits_are_saved_and_loaded_while_a_client_is_in_use(client, start, tmp_path):
    """xarray asks the scheduler of a client for a lock, also for files in memory."""
    assert loglik(bg.load(bg.save(start, tmp_path / "fit.nc"))) == loglik(start)
