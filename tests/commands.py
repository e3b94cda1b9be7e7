"""The command line in this process, which is quicker than a new one for each command."""

import contextlib
import io
from dataclasses import dataclass

from bayesgmm.cli import app, application


@dataclass(frozen=True)
class Done:
    """Output and exit code of a command."""

    returncode: int
    stdout: str
    stderr: str


def run(*args, cwd=None, of=app):
    """Run a command; a traceback is printed only with --debug."""
    out, err = io.StringIO(), io.StringIO()
    place = contextlib.chdir(cwd) if cwd else contextlib.nullcontext()
    with place, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = application.run(of, [str(arg) for arg in args])
    done = Done(code, out.getvalue(), err.getvalue())
    assert "--debug" in args or "Traceback" not in done.stderr, done.stderr
    return done
