"""Fits and recordings that many tests read."""

import gc
import os
import re
import signal
import sys
import warnings
from dataclasses import replace

import pytest
from threadpoolctl import threadpool_limits

import bayesgmm as bg
from bayesgmm.engines import ENGINES
from tests.quick import rank
from tests.speaking import FEW
from tests.undrawn import PANELS, without_drawing, without_saving

os.environ.pop("COLUMNS", None)  # the workers' width, at which messages of commands would be broken into lines
BUDGET = 300  # sweeps of a search for starts, by default at most 4,000
SEARCHED = {  # files of tests whose law is about searches, and about regions that are missed
    "test_corrections.py",
    "test_cross_checks.py",
    "test_em.py",
    "test_exploration.py",
    "test_gibbs_starts.py",
    "test_maxima.py",
    "test_missed_regions.py",
    "test_reconciliation.py",
    "test_starts.py",
    "test_tail_checks.py",
}
POSIX = [  # about signals, pseudo-terminals, permissions and limits that Windows does not have
    "apps/speech/test_speech_terminal.py",
    "checkpoints/test_checkpoints.py",
    "cli/test_terminal.py",
    "test_disks.py",
    "workers/test_clusters.py",
]
collect_ignore = POSIX if os.name == "nt" else []


def pytest_addoption(parser):
    parser.addoption(
        "--every-combination",
        action="store_true",
        help="every combination of priors, containers, damages and faults of disks, and what compiles long: hours",
    )


def pytest_configure():
    """Enable Ctrl-C, which tests send; a shell disables it for processes in the background.

    The collection makes a million objects, none of which is garbage.
    """
    gc.disable()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread():
    """There are as many workers as cores: further BLAS threads would wait for each other."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(autouse=True)
def threads_for_little_work(request):
    """Tests of threads and cores use them for the smallest problem, too."""
    if re.search("threads|cores", request.node.name):
        request.getfixturevalue("monkeypatch").setattr("bayesgmm.sweep.threads.PER_THREAD", 1)


@pytest.fixture(autouse=True)
def closed_figures():
    """Figures that a test leaves open would be counted in the next one, where pyplot warns of many."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def short_searches(request):
    """Searches for starts have a small budget where the law is not about what they find."""
    if request.path.name in SEARCHED or "whole_searches" in request.fixturenames:
        yield
        return
    from bayesgmm.inference import em, exploration, gibbs_judge

    def explore(*args, budget, **settings):
        found = exploration.explore(*args, budget=min(budget, BUDGET), **settings)
        return found if budget <= BUDGET else replace(found, undiscovered=0.0)  # with its budget it might have settled

    with pytest.MonkeyPatch.context() as patch, gibbs_judge.ignored():
        patch.setattr(em, "explore", explore)
        patch.setattr("bayesgmm.inference.ascent_starts.VAIN", 1)
        yield


@pytest.fixture
def whole_searches():
    """Searches as users have them: for single tests in other files."""


def sampled(model, data, **settings):
    """Fit by NUTS, perhaps too briefly to converge: for tests of functions that read fits."""
    if settings.get("method", "nuts") == "nuts":
        settings = {"disagreement": "report", "max_draws": settings.get("draws", 1000)} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return bg.fit(model, data, progress=False, **settings)


def quick_gibbs(model, data, **settings):
    """Fit by a short Gibbs run: for tests of functions that read fits."""
    return sampled(model, data, method="gibbs", seed=1, draws=200, tune=100, max_draws=200, **settings)


@pytest.fixture(scope="session")
def iris():
    return bg.datasets.iris()


@pytest.fixture(scope="session")
def fit(iris):
    """Three full components on the iris measurements."""
    model = bg.load_card(bg.model.card_path("iris")).mixture
    return sampled(model, iris.drop(columns="species"), draws=250, chains=4, seed=2)


@pytest.fixture(scope="session")
def galaxies_fit():
    """Three components on the galaxies: one column."""
    return sampled(bg.MixtureModel(3), bg.datasets.galaxies(), draws=250, seed=2)


@pytest.fixture
def no_doubts():
    """Ignore the warning that variational Bayes is an approximation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        yield


@pytest.fixture
def few_draws(monkeypatch):
    """Samplers make a quarter of their draws by default; runs whose effective size is too small are extended."""
    for name in ("nuts", "gibbs"):
        engine = ENGINES[name]
        settings = tuple(replace(one, default=250) if one.name == "draws" else one for one in engine.settings)
        monkeypatch.setitem(ENGINES, name, replace(engine, settings=settings))


@pytest.fixture(scope="session", autouse=True)
def few_panels():
    """In each figure of a report: most of the time goes into panels."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, number in PANELS:
            patch.setattr(f"bayesgmm.reports.{module}.{name}", number)
        yield


@pytest.fixture
def unsaved():
    """Make the figures of reports, but do not save them."""
    with without_saving():
        yield


@pytest.fixture
def undrawn():
    """Do not draw the figures of reports."""
    with without_drawing():
        yield


@pytest.fixture(scope="session")
def listed(tmp_path_factory):
    """Recordings of four words, three speakers, four takes."""
    from bayesgmm.apps.speech import synthesis

    return synthesis.make_recordings(tmp_path_factory.mktemp("words"), FEW, takes=4, seed=3)


@pytest.fixture(scope="session")
def trained(listed):
    """A classifier of these words."""
    classifier = bg.apps.SpeechClassifier(n_states=5, random_state=0, progress=False)
    return classifier.fit(listed["path"], listed["label"], listed["speaker"])


@pytest.fixture
def voice():
    """A woman who says "six"."""
    from bayesgmm.apps.speech import audio, synthesis

    samples, _ = synthesis.speak(synthesis.WORDS["six"], synthesis.Voice("woman"), seed=8)
    return audio.Recording(samples, 8000)
