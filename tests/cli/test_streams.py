"""Streams of a command: closed, unread, interrupted early; and names that could change what a terminal shows."""

import os
import subprocess
import sys
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest

from bayesgmm import temporary
from bayesgmm.cli import app, application, printed_tables, terminal
from bayesgmm.errors import DataError
from bayesgmm.wording import printable
from tests.commands import run

EARLY = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from bayesgmm.__main__ import main
sys.argv = ["bayesgmm", "models"]
main()
"""


def test_ctrl_c_during_the_imports_is_one_line():
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_closed_stdout_is_the_null_device():
    line = f"{sys.executable} -m bayesgmm models --json >&-"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def run_unread(*arguments, of=app):
    """Run a command whose output goes into a pipe that nobody reads; return the exit code."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream, redirect_stdout(stream):
        return application.run(of, [str(argument) for argument in arguments])


@pytest.fixture
def table(tmp_path):
    """A table of which the names are neither formulas nor markup nor commands to a terminal."""
    rng = np.random.default_rng(0)
    names = ["[red]a[/red]", "b\x1b[31m", "weight", "price ($) per $"]
    pd.DataFrame(rng.normal(size=(20, 4)), columns=names).to_csv(tmp_path / "d.csv", index=False)
    return tmp_path / "d.csv"


def test_a_command_that_nobody_reads_still_writes_its_files(table):
    fit = table.with_name("f.nc")
    assert run_unread("fit", table, "-k", 1, "--method", "em", "-o", fit) == 141
    assert fit.exists()
    assert run_unread("models", "--json") == 141


def test_a_command_goes_on_after_a_line_that_nobody_reads(tmp_path):
    talking = application.App()

    @talking.command()
    def talk() -> None:
        terminal.say("the first line")
        printed_tables.show(pd.DataFrame({"a": [1]}), "T")
        (tmp_path / "file").write_text("written")

    assert run_unread(of=talking) == 141
    assert (tmp_path / "file").read_text() == "written"


def test_names_reach_the_terminal_as_they_are_without_control_characters(table):
    done = run("fit", table, "-k", 1, "--method", "em", "-o", table.with_name("f.nc"))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    for name in ("[red]a[/red]", r"b\x1b[31m", "column weight", "price ($) per $"):
        assert name in done.stdout


def test_messages_hold_no_control_characters():
    assert str(DataError("no file a\x1b[2Jb\u202e")) == r"no file a\x1b[2Jb\u202e"
    assert printable("two\nlines\tand a tab") == "two\nlines\tand a tab"
    for arguments in (("fit", "no\x1b.csv", "-k", 1, "-o", "f.nc"), ("fit", "-k", "\x1b")):
        done = run(*arguments)
        assert done.returncode in (1, 2)
        assert "\x1b" not in done.stderr


def test_without_a_home_matplotlib_gets_a_temporary_folder(tmp_path, monkeypatch):
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(temporary, "temporary_folder", lambda: tmp_path)
    monkeypatch.setattr(temporary.Path, "home", lambda: tmp_path)
    temporary.provide_matplotlib_folder()
    assert "MPLCONFIGDIR" not in os.environ
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(temporary.Path, "home", lambda: tmp_path / "file")
    temporary.provide_matplotlib_folder()
    assert os.environ.pop("MPLCONFIGDIR") == str(tmp_path / "matplotlib")
