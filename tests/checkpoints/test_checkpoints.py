"""Checkpoints: a fit that is killed goes on with the same call, to the same result; clear errors, and nothing lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.checkpoints import stores, units
from bayesgmm.checkpoints.runs import opened
from bayesgmm.engines import ENGINES
from bayesgmm.errors import CheckpointError, CheckpointWarning, DeclarationError, FitFileError
from bayesgmm.inference import gibbs_chains, nuts_chains
from bayesgmm.posterior import log_posterior
from bayesgmm.sweep import stats

ROOT = Path(__file__).parents[2]
FEW = {"draws": 60, "max_draws": 60, "tune": 60, "chains": 2}
CASES = {
    "em": ("em", {"n_init": 3, "sweeps": 50}, {}),
    "em in parts": ("em", {"n_init": 3, "sweeps": 50}, {"memory": "2MiB"}),
    "vb": ("vb", {"n_init": 3, "sweeps": 50, "draws": 50}, {}),
    "vb in parts": ("vb", {"n_init": 3, "sweeps": 50, "draws": 50}, {"memory": "2MiB"}),
    "minibatches": ("vb", {"n_init": 3, "sweeps": 50, "draws": 50, "batch_size": 320, "max_iter": 5}, {}),
    "mle": ("mle", {"sweeps": 50}, {}),
    "map": ("map", {"sweeps": 50}, {}),
    "advi": ("advi", {"sweeps": 50, "draws": 50, "max_iter": 100}, {}),
    "gibbs": ("gibbs", FEW, {}),
    "gibbs, tempered": ("gibbs", {"draws": 40, "tune": 40, "chains": 2, "tempering": "parallel"}, {}),
}


def points(n_points=640, n_features=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_points, n_features)) + 5 * rng.integers(2, size=n_points)[:, None]


def quick(method, settings):
    """The settings that the method has."""
    return {name: value for name, value in settings.items() if name in ENGINES[method].defaults}


def a_fit(case, **given):
    method, settings, others = CASES[case]
    return the_fit(method, **quick(method, settings), **others, **given)


def the_fit(method, **given):
    n_points = 6000 if method == "nuts" else 640  # enough for a draw to take a while
    return bg.fit(bg.MixtureModel(2), points(n_points), method, progress=False, **{"seed": 1, **given})


@pytest.fixture(autouse=True)
def fine(monkeypatch):
    """Keep every unit of work, however small."""
    monkeypatch.setattr(units, "WORTH", 0.0)
    monkeypatch.setattr(units, "SHARE", 0.0)
    monkeypatch.setattr(gibbs_chains, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(gibbs_chains, "CHUNK", 0.0)
    monkeypatch.setattr(nuts_chains, "SAVED_EVERY", 1e-3)
    monkeypatch.setattr(nuts_chains, "SHARE", 0.0)
    for module in (stats, log_posterior):
        monkeypatch.setattr(module, "KEPT_SWEEP", 0)


class Killed(BaseException):
    """In place of the end of the process."""


@pytest.fixture
def dies(monkeypatch):
    """Return a function that ends the next fit at a given write, of those whose place contains a text.

    It returns the number of such writes that were made since it was last called.
    """
    keep, now = stores.Store.keep, {"made": 0, "last": np.inf, "at": ""}

    def keep_or_die(self, place, *values):
        now["made"] += now["at"] in place
        if now["made"] >= now["last"]:
            raise Killed
        keep(self, place, *values)

    def set_last(last=np.inf, at=""):
        made = now["made"]
        now.update(made=0, last=last, at=at)
        return made

    monkeypatch.setattr(stores.Store, "keep", keep_or_die)
    return set_last


def same(one, other):
    groups = ("posterior", "sample_stats")
    return all(one[group].to_dataset().identical(other[group].to_dataset()) for group in groups)


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning", "ignore::bayesgmm.CheckpointWarning")
@pytest.mark.parametrize("case", CASES)
def test_a_fit_that_is_killed_again_and_again_ends_with_the_same_result(case, tmp_path, dies):
    """Killed at several of its writes, it is the fit without a checkpoint, to the last bit."""
    expected = a_fit(case)
    dies()
    assert same(a_fit(case, checkpoint=tmp_path / "whole"), expected)
    writes = dies()
    fit, kills = None, 0
    while fit is None:
        dies(max(2, writes // 5))
        try:
            fit = a_fit(case, checkpoint=tmp_path / "run")
        except Killed:
            kills += 1
    assert kills > 2
    assert same(fit, expected)
    assert dies() < writes
    assert 0 < bg.info(fit).recovered <= bg.info(fit).seconds


def test_a_finished_fit_is_returned_at_once(tmp_path, monkeypatch):
    expected = a_fit("em", checkpoint=tmp_path)
    monkeypatch.setattr(type(ENGINES["em"]), "__call__", None)
    with pytest.warns(CheckpointWarning, match="holds the result of this fit: it is not computed again"):
        assert same(a_fit("em", checkpoint=tmp_path), expected)


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@pytest.mark.parametrize("case", ["vb", "gibbs"])
def test_a_finished_fit_needs_its_parts_no_more(case, tmp_path):
    a_fit(case, checkpoint=tmp_path)
    store = stores.Store(tmp_path)
    assert store._found == {"fit.000000"}
    store.close()


def test_the_seed_is_that_of_the_checkpoint(tmp_path):
    first = a_fit("em", checkpoint=tmp_path, seed=None)
    with pytest.warns(CheckpointWarning, match="holds the result"):
        assert bg.info(a_fit("em", checkpoint=tmp_path, seed=None)).seed == bg.info(first).seed


DRAWS = 150  # of a chain of NUTS: so few are neither extended nor reconciled
NUTS = {"draws": DRAWS, "tune": 100, "chains": 2, "cores": 1, "sweeps": 50}


def nuts(**given):
    return the_fit("nuts", **NUTS | given)


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning", "ignore::bayesgmm.CheckpointWarning")
def test_nuts_keeps_its_draws_and_continues_its_chains(tmp_path, dies):
    """The draws before the kill are those without it; those after have the same distribution, and the join is marked.

    The mean log posterior of the two runs agrees within 6 standard errors (false alarm: 1e-8).
    """
    expected = nuts()
    assert same(nuts(checkpoint=tmp_path / "whole"), expected)
    for writes in (3, 2):
        dies(writes, at="chain0000")
        with pytest.raises(Killed):
            nuts(checkpoint=tmp_path / "run")
    dies()
    with pytest.warns(CheckpointWarning) as said:
        fit = nuts(checkpoint=tmp_path / "run")
    assert str(said[1].message).startswith("Chains of NUTS: continued 0 after draw ")
    assert "joined" not in expected["sample_stats"]
    lp, old, joined = fit["sample_stats"]["lp"], expected["sample_stats"]["lp"], fit["sample_stats"]["joined"].values
    assert lp.shape == old.shape
    assert joined[0].sum() == 2
    first = int(joined[0].argmax())
    assert (lp[0] == old[0]).values.tolist() == [True] * first + [False] * (DRAWS - first)
    errors = [values.values.std() / np.sqrt(values.size / 4) for values in (lp, old)]
    assert abs(float(lp.mean() - old.mean())) < 6 * np.hypot(*errors)


def test_a_continued_chain_has_the_metric_of_its_past(tmp_path, dies, monkeypatch):
    """Its coordinates are scaled by the standard deviations that it was tuned to, and it starts at its last draw."""
    given = []
    start = nuts_chains.start
    monkeypatch.setattr(nuts_chains, "start", lambda *args: given.append(args) or start(*args))
    dies(2, at="chain")
    with pytest.raises(Killed):
        nuts(checkpoint=tmp_path, chains=1)
    place = "fit.000000.000001.chain0000.000000"
    store = stores.Store(tmp_path)
    q, _, metric = store.unit(place).value
    store.close()
    dies()
    with pytest.warns(CheckpointWarning):
        nuts(checkpoint=tmp_path, chains=1)
    (_, mode, *_), (_, again, _, _, _, settings, first) = given
    assert np.unique(metric).size == metric.size
    assert np.allclose(again.spread, mode.spread * metric, rtol=1e-14)
    assert np.allclose(again(first), q[-1])
    assert settings["draws"] == DRAWS - len(q)


OTHERS = {
    "other data": {"data": points() + 1},
    "another model": {"model": bg.MixtureModel(3)},
    "method='em' (here method='vb')": {"method": "vb"},
    "seed=1 (here seed=2)": {"seed": 2},
    "n_init=3 (here n_init=4)": {"n_init": 4},
    "another start": {"start": True},
}


@pytest.mark.parametrize("difference", OTHERS)
def test_another_fit_is_refused(difference, tmp_path):
    own = {"model": bg.MixtureModel(2), "data": points(), "method": "em", "seed": 1, "n_init": 3, "sweeps": 50}
    first = bg.fit(**own, progress=False, checkpoint=tmp_path)
    other = OTHERS[difference] | ({"start": first} if difference == "another start" else {})
    with pytest.raises(CheckpointError) as said:
        bg.fit(**own | other, progress=False, checkpoint=tmp_path)
    assert f"is the checkpoint of another fit, with {difference}\n" in str(said.value)
    with pytest.warns(CheckpointWarning, match="holds the result of this fit"):  # nothing is lost
        bg.fit(**own, progress=False, checkpoint=tmp_path)


def test_another_version_is_refused(tmp_path, monkeypatch):
    a_fit("em", checkpoint=tmp_path)
    monkeypatch.setattr("bayesgmm.inference.engine.version", lambda name: "99")
    with pytest.raises(CheckpointError, match=r"with bayesgmm='.*' \(here bayesgmm='99'\)"):
        a_fit("em", checkpoint=tmp_path)


def test_two_fits_can_t_share_a_checkpoint(tmp_path):
    with (
        opened(tmp_path / "run"),
        pytest.raises(CheckpointError, match="run is the checkpoint of a command or fit that is running"),
    ):
        a_fit("em", checkpoint=tmp_path / "run")
    a_fit("em", checkpoint=tmp_path / "run")


@pytest.mark.parametrize("damage", [b"not a database" * 100, "cut", "other"])
def test_a_damaged_file_is_refused(damage, tmp_path):
    path = tmp_path / stores.NAME
    a_fit("vb", checkpoint=tmp_path)
    whole = path.read_bytes()
    if damage == "other":
        store = stores.Store(tmp_path)
        store.tell(format="0")
        store.close()
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else damage)
    with pytest.raises(CheckpointError, match="is damaged, or not a checkpoint of this version\n  Remove it"):
        a_fit("vb", checkpoint=tmp_path)


def test_a_value_whose_bits_have_changed_is_computed_again(tmp_path):
    expected = a_fit("em", checkpoint=tmp_path)
    store = stores.Store(tmp_path)
    store._base.execute("UPDATE units SET value = zeroblob(length(value))")
    store.close()
    with pytest.warns(CheckpointWarning, match="goes on"):
        assert same(a_fit("em", checkpoint=tmp_path), expected)


def test_a_folder_that_can_t_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(FitFileError, match="file is a file; give the name of a folder"):
        a_fit("em", checkpoint=tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FitFileError, match="can't be written: permission denied"):
        a_fit("em", checkpoint=tmp_path)


@pytest.mark.parametrize("folder", [True, 5, ""])
def test_what_is_no_folder_is_refused(folder):
    with pytest.raises(DeclarationError, match="must be the name of a folder, for example 'run/'"):
        a_fit("em", checkpoint=folder)


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
def test_a_full_disk_stops_the_saving_and_not_the_fit(tmp_path, monkeypatch):
    """A limit on the pages of the file stands for a full disk. What was saved before is there for the next call."""
    prepare = stores.Store._prepare

    def prepare_small(self):
        prepare(self)
        self._base.execute("PRAGMA max_page_count = 12")

    monkeypatch.setattr(stores.Store, "_prepare", prepare_small)
    expected = a_fit("gibbs")
    with pytest.warns(CheckpointWarning) as said:
        assert same(a_fit("gibbs", checkpoint=tmp_path), expected)
    words = "can't be written any more: database or disk is full. The fit goes on, and what was saved stays."
    assert [words in str(one.message) for one in said] == [True]
    monkeypatch.setattr(stores.Store, "_prepare", prepare)
    with pytest.warns(CheckpointWarning, match="goes on from"):
        assert same(a_fit("gibbs", checkpoint=tmp_path), expected)


@pytest.mark.filterwarnings("ignore::bayesgmm.CheckpointWarning")
@pytest.mark.parametrize("method", ["gibbs", "nuts"])
def test_what_ctrl_c_cut_short_is_no_result(method, tmp_path, monkeypatch):
    """The draws so far are returned, and the same call goes on to all of them."""
    tell, told = units.Trail.add, []

    def add_and_interrupt(self, *values):
        tell(self, *values)
        told.append(0)
        if len(told) == (3 if method == "nuts" else 200):  # after tuning
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(units.Trail, "add", add_and_interrupt)
    settings = NUTS | {"chains": 1} if method == "nuts" else FEW | {"draws": 1000, "max_draws": 1000, "chains": 1}
    with pytest.warns(bg.FitWarning, match="Interrupted: kept"):
        cut_short = the_fit(method, checkpoint=tmp_path, **settings)
    assert cut_short["posterior"].sizes["draw"] < settings["draws"]
    fit = the_fit(method, checkpoint=tmp_path, **settings)
    assert fit["posterior"].sizes["draw"] == settings["draws"]
    assert bg.info(fit).recovered > 0


def test_a_result_is_only_returned_for_the_same_question(tmp_path):
    for numbers in (np.zeros(2), np.ones(2), np.ones(2)):
        with opened(tmp_path) as saved, units.kept(saved.of({"seed": 1})):
            assert units.once(numbers.sum, numbers) == numbers.sum()


def test_other_threads_compute(tmp_path):
    """Their units have no order, so that no checkpoint keeps them."""
    with opened(tmp_path) as saved, units.kept(checkpoint := saved.of({"seed": 1})):
        done = []
        thread = Thread(target=lambda: done.append(checkpoint.once(lambda: 1, ())))
        thread.start()
        thread.join()
        assert done == [1]
        assert checkpoint.store.seconds == 0


@pytest.mark.parametrize(("rule", "compute"), [("WORTH", lambda: 1), ("SHARE", lambda: np.zeros(10**6))])
def test_saving_takes_a_small_share_of_the_time(rule, compute, tmp_path, monkeypatch):
    """A result that is computed at once, or in the time in which it is stored, is not stored."""
    other = "SHARE" if rule == "WORTH" else "WORTH"
    monkeypatch.undo()
    monkeypatch.setattr(units, other, 0.0)
    with opened(tmp_path) as saved, units.kept(saved.of({"seed": 1})):
        units.once(compute)
        assert saved.store.seconds == 0


KILLED = """
import json, os, signal, sys, time, warnings
import numpy as np
import arviz, nutpie
from bayesgmm.inference import ascent_starts, gibbs_judge
from tests.checkpoints import test_checkpoints as own

warnings.simplefilter("ignore")
units, gibbs_chains, nuts_chains = own.units, own.gibbs_chains, own.nuts_chains
units.WORTH = units.SHARE = gibbs_chains.SAVED_EVERY = gibbs_chains.CHUNK = nuts_chains.SHARE = 0.0
own.stats.KEPT_SWEEP = own.log_posterior.KEPT_SWEEP = 0
nuts_chains.SAVED_EVERY = 1e-3
gibbs_judge.ignored().__enter__()  # as in the other tests, searches are short
ascent_starts.VAIN = 1
rng = np.random.default_rng()

def fit(method, folder):
    return own.nuts(checkpoint=folder) if method == "nuts" else own.a_fit(method, checkpoint=folder)

def run(method, folder, seconds):
    child = os.fork()
    if not child:
        done = fit(method, folder)
        parts = {**done["posterior"].data_vars, **done["sample_stats"].data_vars}
        np.savez(folder + ".npz", **{name: values.values for name, values in parts.items()})
        os._exit(0)
    began = time.monotonic()
    while time.monotonic() - began < seconds and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.005)
    if time.monotonic() - began < seconds:
        return time.monotonic() - began
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

for method in ("em", "vb", "gibbs"):  # what is imported and compiled now is there in all copies of the process
    own.a_fit(method, cores=1)
for method in sys.argv[2:]:
    folder = os.path.join(sys.argv[1], method)
    whole = run(method, folder + " whole", np.inf)
    kills = [run(method, folder, whole * rng.uniform(0.1, 0.6)) is None for _ in range(3)]
    run(method, folder, np.inf)
    print(json.dumps([method, sum(kills)]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes can't be copied here")
def test_a_process_that_is_killed_at_random_moments_goes_on(tmp_path):
    methods = ["em", "vb", "gibbs", "nuts"]
    line = [sys.executable, "-c", KILLED, str(tmp_path), *methods]
    done = subprocess.run(
        line, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0, done.stderr
    for method in methods:
        fit, expected = (dict(np.load(tmp_path / f"{name}.npz")) for name in (method, f"{method} whole"))
        if method == "nuts":
            assert fit["lp"].shape == (2, DRAWS)
            assert np.isfinite(fit["mean"]).all()
        else:
            assert fit.keys() == expected.keys()
            assert all(np.array_equal(fit[name], expected[name], equal_nan=True) for name in fit), method
