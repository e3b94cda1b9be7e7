"""The terminal: common options, exit codes, output on narrow screens, completion."""

import errno
import fcntl
import json
import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.main import get_command

import bayesgmm as bg
from bayesgmm.cli import app, completion, printed_tables, terminal
from bayesgmm.cli.application import SHARED, App, with_shared_options
from bayesgmm.cli.session import Session, records
from bayesgmm.errors import DataError, FitWarning
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import ENGINES
from bayesgmm.posterior.criteria import CRITERIA
from tests.commands import run

ROOT = Path(__file__).parents[2]


def environment(**variables):
    clean = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR", "FORCE_COLOR"}}
    return clean | {"PYTHONPATH": str(ROOT), **variables}


def spawn(*args, **variables):
    """Start a command in a process of its own; its output is bytes."""
    line = [sys.executable, "-m", "bayesgmm", *map(str, args)]
    return subprocess.run(line, capture_output=True, env=environment(**variables), timeout=120)


def commands(application=app, prefix=()):
    """Return every command, groups included."""
    for info in application.registered_commands:
        yield (*prefix, info.name or info.callback.__name__.replace("_", "-")), info.callback
    for group in application.registered_groups:
        yield from commands(group.typer_instance, (*prefix, group.name))


@pytest.mark.parametrize("words", [(), *(words for words, _ in commands())], ids=" ".join)
def test_every_command_lists_the_shared_options(words):
    shown = run(*words, "--help").stdout
    for name in SHARED:
        assert "--" + name.replace("_", "-") in shown
    assert run(*words, "-h").stdout == shown


def parameters():
    """Every option of every command: the words of the command, the option."""
    for words, _ in commands():
        command = get_command(app)
        for word in words:
            command = command.commands[word]
        yield from ((words, parameter) for parameter in command.params)


def test_every_command_has_the_same_seed_by_default():
    seeds = {words: parameter for words, parameter in parameters() if parameter.name == "seed"}
    assert len(seeds) > 10
    own = {words: parameter.default for words, parameter in seeds.items() if words != ("fit",)}
    assert set(own.values()) == {0}
    assert "default: 0" in seeds[("fit",)].help


@pytest.mark.parametrize("name", ["draws", "max_draws", "chains", "tune", "n_init"])
def test_settings_that_messages_advise_are_options_and_show_their_default(name):
    having = {words: parameter for words, parameter in parameters() if parameter.name == name}
    assert {("fit",), ("compare",)} <= set(having)
    for words, parameter in having.items():
        assert parameter.default is not None or "default: " in parameter.help, words


# commands that fail on purpose, or by mistake


def failing(error):
    """Return an application with one command, which fails."""
    trial = App()

    @trial.callback()
    def group() -> None:
        """A group, so that the command has a name."""

    @trial.command()
    def fail() -> None:
        """Fail."""
        if callable(error):
            error()
        else:
            raise error

    return trial


MESSAGES = [
    (DataError("no rows"), 1, "error: no rows"),
    (OSError(errno.ENOSPC, "No space left on device", "fit.nc"), 1, "error: fit.nc: No space left on device"),
    (MemoryError(), 1, "error: out of memory"),
    (
        KeyError("weight"),
        70,
        "error: this is a bug in bayesgmm: KeyError: 'weight'\n  Please report it with the traceback, which --debug ",
    ),
    (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
]


@pytest.mark.parametrize(("error", "code", "message"), MESSAGES, ids=lambda value: type(value).__name__)
def test_an_error_has_a_message_an_exit_code_and_json(error, code, message):
    done = run("fail", of=failing(error))
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(message)
    told = json.loads(run("fail", "--json", of=failing(error)).stdout)
    assert told["command"] == "fail"
    assert told["error"]["message"].startswith(message.removeprefix("error: ").split("\n")[0])
    assert told["warnings"] == []


@pytest.mark.parametrize("error", [DataError("no rows"), KeyError("weight")], ids=["on purpose", "a bug"])
def test_debug_shows_the_traceback(error):
    done = run("--debug", "fail", of=failing(error))
    assert "Traceback" in done.stderr
    assert "in fail" in done.stderr
    assert "Run it again" not in done.stderr


def test_wrong_usage_is_exit_code_2_also_for_machines():
    assert run("fit").returncode == 2
    done = run("fit", "x.csv", "-k", "three", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "BadParameter"
    assert run("no-such-command").returncode == 2


@pytest.fixture
def interruptible():
    """Enable Ctrl-C, which is switched off if the tests are started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_gives_exit_code_130_also_if_the_command_continues(tmp_path):
    """The results so far are written; a script must be able to see that they are incomplete."""

    def interrupted():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            terminal.wrote(tmp_path / "half.nc")

    done = run("fail", of=failing(interrupted))
    assert done.returncode == 130
    assert done.stdout == f"wrote {tmp_path / 'half.nc'}\n"
    assert "nothing was written" not in done.stderr
    told = json.loads(run("fail", "--json", of=failing(interrupted)).stdout)
    assert told["interrupted"] is True
    assert "error" not in told
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_warnings_for_users_are_printed_and_in_the_document_and_those_for_programmers_are_not():
    def warns():
        warnings.warn("the chains disagree", FitWarning, stacklevel=1)
        warnings.warn("use something newer", DeprecationWarning, stacklevel=1)
        warnings.warn("subprocess 1 is still running", ResourceWarning, stacklevel=1)

    done = run("fail", "--json", of=failing(warns))
    assert done.stderr == "warning: the chains disagree\n"
    assert json.loads(done.stdout)["warnings"] == ["the chains disagree"]


@pytest.mark.parametrize("found", [True, False])
def test_a_report_is_opened_where_there_is_a_browser(found, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or found)
    monkeypatch.setattr("bayesgmm.cli.reports._write_page", lambda *settings: None)
    (tmp_path / "fit.nc").touch()
    done = run("report", "fit.nc", "-o", "report.html", "--open", cwd=tmp_path)
    assert opened == [(tmp_path / "report.html").as_uri()]
    assert done.returncode == 0
    assert done.stderr == ("" if found else "no browser was found: open report.html yourself\n")


# messages


def test_flags_mean_the_same_before_and_after_the_command():
    assert run("--json", "models").stdout == run("models", "--json").stdout
    assert run("--quiet", "models").stdout == run("models", "-q").stdout != run("models").stdout
    assert run("models", "--json", "show", "iris").stdout == run("models", "show", "iris", "--json").stdout


def test_a_session_starts_empty():
    assert run("models", "--json").stdout.startswith("{")
    assert not run("models").stdout.startswith("{")


def test_shared_options_do_not_change_the_options_of_a_command():
    seen = {}

    def command(number: int, word: str = "a") -> None:
        seen.update(number=number, word=word)

    trial = typer.Typer()
    trial.command()(with_shared_options(command))
    run("3", "--word", "b", of=trial)
    assert seen == {"number": 3, "word": "b"}


def talking():
    """Return a command that uses every kind of output."""
    frame = pd.DataFrame({"bic": [1.23456, np.nan]}, index=pd.Index(["em", "nuts"], name="fit"))
    terminal.say("the answer")
    terminal.say("a warning", err=True)
    terminal.remark("by the way")
    printed_tables.show(frame, "Saved too", saved=True)
    printed_tables.show(frame, "Only here")
    terminal.record(chance=np.float64(0.5), nothing=np.inf)


def test_say_remark_show_and_tell():
    people, hushed = run("fail", of=failing(talking)), run("fail", "-q", of=failing(talking))
    for word in ("the answer", "by the way", "Saved too", "Only here", "1.2"):
        assert word in people.stdout
    assert "chance" not in people.stdout
    assert people.stderr == hushed.stderr == "a warning\n"
    for word, there in {"the answer": True, "by the way": False, "Saved too": False, "Only here": True}.items():
        assert (word in hushed.stdout) is there
    told = json.loads(run("fail", "--json", of=failing(talking)).stdout)
    rows = [{"fit": "em", "bic": 1.23456}, {"fit": "nuts", "bic": None}]
    assert told == {
        "command": "fail",
        "saved_too": rows,
        "only_here": rows,
        "chance": 0.5,
        "nothing": None,
        "messages": ["the answer"],
        "warnings": ["a warning"],
        "wrote": [],
    }


def test_records_keep_what_tables_hold():
    frame = pd.DataFrame(
        {"n": [1, 2], "at": pd.to_datetime(["2020-01-01", None]), "ok": [True, False], "x": [np.inf, 0.1]}
    )
    told = json.loads(Session(results={"rows": records(frame)}).document())["rows"]
    assert told[0] == {"n": 1, "at": "2020-01-01 00:00:00", "ok": True, "x": None}
    assert told[1] == {"n": 2, "at": None, "ok": False, "x": 0.1}


WIDE = pd.DataFrame({f"column {i}": [f"value {i}", f"other {i}"] for i in range(12)}, index=["first", "second"])


@pytest.mark.parametrize(("columns", "parts"), [(40, 4), (80, 2), (300, 1)])
def test_no_cell_is_cut_however_narrow_the_screen(monkeypatch, columns, parts):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = run("fail", of=failing(lambda: printed_tables.show(WIDE, "T"))).stdout
    assert max(map(len, shown.splitlines())) <= columns
    for i in range(12):
        assert len(re.findall(rf"(column|value|other) {i}\b", shown)) == 3
    assert shown.count("first") == parts


LONG = """
import bayesgmm as bg
from bayesgmm.cli.session import Session
from bayesgmm.cli.tables import show_check
from bayesgmm.cli.terminal import remark, start_session
start_session(Session())
flowers = bg.datasets.iris().rename(columns=lambda name: name + "_in_centimetres")
flowers.loc[3, "petal_length_in_centimetres"] = -999
flowers["copy_of_petal_length"] = flowers["petal_length_in_centimetres"]
show_check(bg.data_check(flowers))
remark(" ".join(["a remark on petal_length_in_centimetres that goes on"] * 4))
"""


def test_no_word_is_broken_in_a_terminal():
    screens = {columns: watch(["-c", LONG], columns=columns)[0] for columns in (80, 120, 3000)}
    words = {columns: re.sub(r"\x1b\[[\d;]*m", "", seen).split() for columns, seen in screens.items()}
    assert "copy_of_petal_length" in words[80]
    for columns in (80, 120):
        assert {word for word in words[columns] if not set(word) <= set("─")} <= set(words[3000])


def test_a_column_of_sentences_is_broken_rather_than_moved(monkeypatch, capsys):
    frame = pd.DataFrame({"rows": ["12", "3"], "words": ["high petal_length and so on, at length", ""]}, index=[0, 1])
    monkeypatch.setenv("COLUMNS", "40")
    printed_tables.print_frame(frame, texts=("words",))
    shown = capsys.readouterr().out
    assert shown.count("rows") == 1
    assert "high petal_length and" in shown


@pytest.mark.parametrize("columns", [1, 7])
def test_a_screen_too_narrow_for_a_column_is_no_error(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run("fail", of=failing(lambda: printed_tables.show(WIDE, "T"))).returncode == 0
    empty = run("fail", of=failing(lambda: printed_tables.show(WIDE.iloc[:, :0], "nothing")))
    assert empty.returncode == 0


def test_a_table_in_a_file_is_as_wide_as_it_needs(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    shown = run("fail", of=failing(lambda: printed_tables.show(WIDE, "T"))).stdout
    assert shown.count("first") == 1
    assert "\x1b" not in shown


def test_column_names_are_not_markup(monkeypatch):
    frame = pd.DataFrame({"[bold]a": ["[red]b"]}, index=["[/c]"])
    shown = run("fail", of=failing(lambda: printed_tables.show(frame, "[d]"))).stdout
    for word in ("[bold]a", "[red]b", "[/c]", "[d]"):
        assert word in shown


def test_output_works_where_only_ascii_can_be_printed(tmp_path):
    (tmp_path / "x.csv").write_text("größe\n" + "\n".join(map(str, [1, 2, 3, 9, 10, 11, 12.5])))
    args = ["fit", tmp_path / "x.csv", "-k", 1, "--method", "vb", "--seed", 1, "-o", tmp_path / "x.nc"]
    done = spawn(*args, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"gr??e" in done.stdout
    assert b"ELBO" in done.stdout
    assert done.stdout.isascii()


def test_a_closed_pipe_gives_no_traceback():
    line = f"set -o pipefail; {sys.executable} -m bayesgmm models | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, env=environment(), timeout=60)
    assert done.stderr == b""


# a terminal


OWN_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def watch(args, until=None, then=b"", columns=80, **variables):
    """Return the screen of a terminal, and the exit code; ``then`` is typed as soon as ``until`` is on the screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    line = [sys.executable, "-c", OWN_TERMINAL, *map(str, args)]
    settings = environment(**({"TERM": "xterm"} | variables))
    process = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=settings, start_new_session=True)
    os.close(theirs)
    seen, end = b"", time.monotonic() + 90
    while time.monotonic() < end:
        try:
            piece = os.read(ours, 65536) if select.select([ours], [], [], 1)[0] else None
        except OSError:  # what the end is on Linux
            break
        if piece == b"":
            break
        seen += piece or b""
        if until and re.search(until, seen):
            os.write(ours, then)
            until = None
    else:
        process.kill()
    os.close(ours)
    return seen.decode(), process.wait()


SLOW = """
import time
from bayesgmm import progress
progress.PATIENCE = 0.3
for _ in progress.track(range(1200), 'choosing a model'):
    time.sleep({})
"""


@pytest.mark.parametrize("columns", [80, 40])
def test_a_terminal_shows_progress_with_the_time_left(columns):
    seen, _ = watch(["-c", SLOW.format(0.0015)], columns=columns, COLUMNS=str(columns))
    assert "choosing a model" in seen
    assert re.search(r"\d+/1200\S* \S*0:00:0\d", seen), seen[-300:]


def test_quick_work_and_pipes_show_no_progress():
    assert watch(["-c", SLOW.format(0)])[0] == ""
    line = [sys.executable, "-c", SLOW.format(0.001)]
    done = subprocess.run(line, capture_output=True, env=environment(), timeout=60)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.fixture
def flowers(tmp_path):
    bg.datasets.iris().drop(columns="species").to_csv(tmp_path / "flowers.csv", index=False)
    return tmp_path / "flowers.csv"


def test_ctrl_c_keeps_the_draws_and_reports_it(flowers, tmp_path):
    args = ["-m", "bayesgmm", "fit", flowers, "-k", 2, "--chains", 1, "--draws", 1_000_000, "--seed", 1]
    seen, code = watch([*args, "-o", tmp_path / "part.nc"], until=rb"\d{4}/1000300", then=b"\x03")
    assert code == 130, seen
    kept = re.search(r"Interrupted: kept (\d+) of 1000000 draws", " ".join(seen.split()))
    assert bg.load(tmp_path / "part.nc")["posterior"].sizes["draw"] == int(kept[1]) > 0
    assert "part.nc" in seen


COMMAND = """
import sys, time
from bayesgmm import progress
from bayesgmm.cli.application import App, run
progress.PATIENCE = 0.2
app = App()
@app.callback()
def group(): ...
@app.command()
def work():
    for _ in progress.track(range(6), "slow work"):
        time.sleep(0.1)
sys.exit(run(app, sys.argv[1:]))
"""


def test_quiet_shows_no_progress_in_a_terminal():
    assert "slow work" in watch(["-c", COMMAND, "work"])[0]
    assert "slow work" in watch(["-c", COMMAND, "work", "--json"])[0]
    assert watch(["-c", COMMAND, "work", "--quiet"]) == ("", 0)


@pytest.mark.parametrize(
    ("variables", "colourful"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_can_be_switched_off(variables, colourful):
    seen, _ = watch(["-m", "bayesgmm", "--help"], **({"TERM": "xterm"} | variables))
    assert bool(re.search(r"\x1b\[(1;)?3\d", seen)) is colourful


# what Tab offers


def offered(*words):
    """Return the completions for the last of some words."""
    line = ["bayesgmm", *words]
    done = spawn(_BAYESGMM_COMPLETE="complete_bash", COMP_WORDS=" ".join(line), COMP_CWORD=str(len(line) - 1))
    return done.stdout.decode().split()


def test_completed_names_are_those_of_the_registries():
    assert set(completion.METHODS) == set(ENGINES)
    assert list(completion.FAMILIES) == list(COVARIANCES)
    models = {name: bg.MixtureModel(1, name) for name in completion.STRUCTURES}
    assert {*completion.CONJUGATE} == {name for name, model in models.items() if not ENGINES["vb"].refused(model)}
    assert set(completion.CRITERIA) == set(CRITERIA)
    assert set(completion.card_names("")) >= set(bg.model.cards())


def shown_help(command):
    return " ".join(run(*command.split(), "--help").stdout.replace("│", " ").split())


def test_help_of_anomalies_tells_which_families_need_another_method():
    others = [name for name in completion.STRUCTURES if name not in completion.CONJUGATE]
    words = f"Covariance: {completion.either(completion.CONJUGATE)}; with --method em also {completion.either(others)}."
    assert words in shown_help("anomalies")


@pytest.mark.parametrize("command", ["fit", "compare", "speech train"])
def test_help_names_every_covariance_family(command):
    shown = shown_help(command)
    factors = [] if command == "speech train" else [completion.FACTORS]
    assert f"Covariance: {completion.either([*COVARIANCES, *factors])}." in shown


def test_completion_offers_commands_options_and_names():
    assert "fit" in offered("")
    assert sorted(offered("fit", "--method", "m")) == ["map", "mle"]
    assert offered("select", "x.csv", "--covariance", "full,t") == ["full,tied"]
    assert offered("models", "show", "galaxies_l") == ["galaxies_lkj"]
    assert offered("fit", "x.csv", "--js") == ["--json"]
    assert "complete -o default" in spawn(_BAYESGMM_COMPLETE="source_bash").stdout.decode()


def test_completion_offers_files_that_can_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "a.parquet", "a.txt", "b.nc"):
        (tmp_path / name).touch()
    (tmp_path / "c.zarr").mkdir()
    assert completion.files(".csv", ".parquet")("a") == ["a.csv", "a.parquet"]
    assert completion.files(*completion.FITS)("") == ["b.nc", "c.zarr"]
    assert completion.files(".csv")(f"{tmp_path}/a") == [f"{tmp_path}/a.csv"]
    assert completion.files(".csv")("nowhere/") == []
    (tmp_path / "axes").mkdir()
    assert completion.files(".csv")("a") == []  # a folder may be meant: that is the shell's own


def test_help_and_completion_are_fast():
    """Processor time, because the machine may be busy."""

    def spent():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    assert spawn("fit", "--help").returncode == 0
    between = spent()
    assert offered("fit", "--method", "nu") == ["nuts"]
    assert between - before < 1.0
    assert spent() - between < 1.0


def test_long_lines_are_broken_between_words_where_the_width_is_known(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = "error: the first line is longer than forty characters\n  short\n  path/" + "x" * 50

    class Stream:
        def __init__(self, is_terminal):
            self.isatty = lambda: is_terminal

    assert terminal._wrapped(text, Stream(False)) == terminal._wrapped(text, Stream(True))  # as tables are
    monkeypatch.delenv("COLUMNS")
    assert terminal._wrapped(text, Stream(False)) == text
    monkeypatch.setenv("COLUMNS", "40")
    first, second, *rest = terminal._wrapped(text, Stream(True)).split("\n")
    assert len(first) <= 40
    assert f"{first} {second.strip()}" == text.split("\n")[0]
    assert rest[0] == "  short"
    assert "x" * 50 in rest[-1]  # a path can be copied


def test_advice_of_diagnose_names_options_of_fit(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": np.exp(2 * rng.normal(size=400)), "y": rng.normal(size=400)})
    bg.save(bg.fit(bg.MixtureModel(1, "diag"), table, "vb", seed=0, progress=False), tmp_path / "fit.nc")
    tree = bg.load(tmp_path / "fit.nc")
    assert any("plots.check(fit)" in finding.advice for finding in bg.diagnose(tree))
    shown = " ".join(run("diagnose", tmp_path / "fit.nc").stdout.split())
    assert "--plot shows the misfit" in shown
    assert not re.search(r"\b(plots|bg)\.|\b(method|covariance|draws|n_components)=", shown)
