"""The registry of engines: an engine is registered once and available everywhere."""

import inspect
import subprocess
import sys

import pytest

import bayesgmm as bg
from bayesgmm.engine_settings import Setting
from bayesgmm.engines import ENGINES, Engine
from bayesgmm.errors import DeclarationError, UnknownName
from bayesgmm.inference.starts import CENTRES

KINDS = {"sampler", "approximation", "point estimate"}

TOY = """
import sys, warnings
from bayesgmm.engine_settings import Setting
from bayesgmm.engines import ENGINES, Engine

def toy(density, seed, cores, progress, *, haste):
    from bayesgmm.inference.em import fit
    search = {"n_init": haste, "init": "search", "sweeps": 9}
    return fit(density, seed, cores, progress, **search, max_iter=100, tol=1e-6, start=None)

ENGINES["toy"] = Engine("toy", "point estimate", toy, "an estimate for tests", "Not for use.", ("Toy, A. (1999).",),
                        (Setting("haste", 3, "how many starts"),), ignores_priors=True)
"""


def spoken(code):
    """What a process prints that registers the toy engine and then runs some code."""
    done = subprocess.run([sys.executable, "-c", TOY + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def test_an_engine_that_is_registered_is_found_everywhere(tmp_path):
    said = spoken(f"""
import bayesgmm as bg
from tests.undrawn import without_drawing
from bayesgmm.cli.application import run
from bayesgmm.cli.completion import METHODS
from bayesgmm.cli import app
x = bg.datasets.galaxies()
fits = {{name: bg.fit(bg.MixtureModel(2), x, name, seed=1, progress=False) for name in ("toy", "em")}}
print("COMPARED", bg.compare(fits).loc["toy", "bic"])
with without_drawing(): bg.report(fits["toy"], r"{tmp_path}/report.html", progress=False)
print("DOCUMENTED", bg.fit.__doc__)
print("OFFERED", METHODS)
try: bg.fit(bg.MixtureModel(2), x, "tow")
except bg.BayesGMMError as error: print("REFUSED", error)
print("HELP", flush=True)
run(app, ["fit", "--help"])
""")
    report = (tmp_path / "report.html").read_text()
    assert "nan" not in said.split("COMPARED")[1].split("DOCUMENTED")[0]
    documented = said.split("DOCUMENTED")[1].split("OFFERED")[0]
    assert "``'toy'`` (point estimate) An estimate for tests. Not for use." in documented
    assert "``haste=3``: how many starts." in documented
    assert "Name of the engine:" in documented
    assert "``'em'``, ``'toy'``. See the notes." in documented
    assert "'toy'" in said.split("OFFERED")[1].split("REFUSED")[0]
    assert "did you mean 'toy'?" in said.split("REFUSED")[1].split("HELP")[0]
    assert "toy" in said.split("HELP")[1]
    assert "toy: an estimate for tests" in report
    assert "Toy, A. (1999)." in report
    assert "haste = 3" in report


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_described_and_its_settings_are_its_functions(name):
    engine = ENGINES[name]
    assert engine.name == name
    assert engine.kind in KINDS
    assert engine.summary
    assert all(setting.description for setting in engine.settings)
    module, _, function = engine.function.partition(":")
    parameters = inspect.signature(getattr(__import__(module, fromlist=[function]), function)).parameters
    given = {"density", "seed", "cores", "progress", "start"}
    assert set(parameters) - given == engine.defaults.keys()
    assert ("start" in parameters) == engine.takes_start


def test_the_words_of_a_setting_are_those_that_its_engine_knows():
    (init,) = (setting for setting in ENGINES["em"].settings if setting.name == "init")
    assert set(init.words) == {"search", *CENTRES}


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        (Setting("draws", 10, ""), 0, "draws=0: must be a whole number, at least 1"),
        (Setting("draws", 10, ""), "many", "draws='many': must be a whole number"),
        (Setting("samples", None, ""), -1, "samples=-1: must be a whole number"),
        (Setting("tol", 1e-3, ""), 0.0, "tol=0.0: must be a positive"),
        (Setting("target", 0.8, "", below=1.0), 1.0, "target=1.0: must be below 1, for example 0.8"),
        (Setting("forget", 0.7, "", above=0.5, maximum=1.0), 0.5, "forget=0.5: must be more than 0.5 and at most 1"),
        (Setting("forget", 0.7, "", above=0.5, maximum=1.0), 1.1, "forget=1.1: must be more than 0.5 and at most 1"),
        (Setting("init", "a", "", ("a", "b")), "c", "init='c' is not one of 'a', 'b'"),
    ],
)
def test_an_invalid_value_of_a_setting_is_refused_with_its_bounds(setting, value, message):
    with pytest.raises((DeclarationError, UnknownName), match=message):
        setting.checked(value)


def test_a_setting_accepts_valid_values():
    assert Setting("draws", 10, "").checked(5.0) == 5
    assert Setting("samples", None, "").checked(None) is None
    assert Setting("tol", 1e-3, "").checked(1) == 1
    assert Setting("forget", 0.7, "", above=0.5, maximum=1.0).checked(1) == 1


def test_a_limit_is_not_passed_by_an_engine_that_has_it(monkeypatch):
    """An error about priors does not suggest engines that ignore priors."""
    monkeypatch.setitem(ENGINES, "toy", Engine("toy", "sampler", print, "", limits=ENGINES["vb"].limits))
    with pytest.raises(DeclarationError) as error:
        ENGINES["toy"].require(bg.MixtureModel(2, covariances=bg.LKJCovariance()))
    offered = str(error.value).split("Methods that can:")[1]
    assert "'nuts'" in offered
    assert not any(repr(name) in offered for name in ("em", "mle", "vb", "toy"))
