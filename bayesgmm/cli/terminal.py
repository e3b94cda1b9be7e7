"""What several commands do with a terminal: print, refuse options, write arguments of Python functions as options.

All output goes through ``say``, ``remark``, ``record``, ``wrote``, ``printed_tables.show`` and ``data.write``. They
print text for people, or with ``--json`` keep the results for the JSON document.
"""

import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer

from bayesgmm.cli.session import Session
from bayesgmm.wording import printable

QUOTE = "'"
# An argument of a Python function; what follows an option that takes text of this form, as --given does, is left
CALLS = {
    "judge(find_anomalies(data).fit, new)": "--save FILE without --new, then --fit FILE with the new table",
    " or X.select_dtypes('number')": "",
    ", for example X.dropna()": "",
    ", or make a fit that holds some of them: with_points(fit, rows)": "",
    ", or fit a sample: source(data).sample(100_000)": "",
    ". Or fit a sample: source(data).sample(100_000)": "",
}
"""Calls of Python functions that a message names, as options."""
ARGUMENT = re.compile(
    r"--[\w-]+ \w+=[^\s,]+(?:, \w+=[^\s,]+)*"
    r"|\b(?P<name>\w+)=(?P<value>'[^'\n]*'(?: or '[^'\n]*')*|range\(\d+, \d+\)"
    r"|\[[^\]\n]*\]|-?\w(?:[\w.+-]*\w)?|(?=[.,;:)\s]|$))"
)
NAME = re.compile(r"'([^'\n]*)'")
RANGE = re.compile(r"range\((\d+), (\d+)\)")
NARROW = 20  # minimum width of a terminal that lines are broken for

_session = Session()


def session() -> Session:
    """Return the session of the current run."""
    return _session


def start_session(new: Session) -> None:
    """Replace the session of an earlier run."""
    global _session
    _session = new


def say(text: str, err: bool = False) -> None:
    """Print a line of the result; with ``err`` a warning, on stderr."""
    if err:
        session().warnings.append(text.removeprefix("warning: "))
    elif session().json:
        session().messages.append(text)
        return
    echo(text, err=err)


def remark(text: str, err: bool = False) -> None:
    """Print a line of additional information for people; with ``--quiet`` or ``--json`` it is left out."""
    if not (session().quiet or session().json):
        echo(text, err=err)


def echo(text: str, err: bool = False) -> None:
    """Print a text; control characters in it, for example of a column name, are replaced."""
    with unread(err):
        typer.echo(_wrapped(printable(text), sys.stderr if err else sys.stdout), err=err)


def _wrapped(text: str, stream: TextIO) -> str:
    """Break lines between words at the width of a terminal or of the variable COLUMNS, and indent what follows."""
    if not (stream.isatty() or "COLUMNS" in os.environ):
        return text
    width = max(shutil.get_terminal_size().columns, NARROW)
    lines = text.split("\n")
    return "\n".join(line if len(line) <= width else _filled(line, width) for line in lines)


def _filled(line: str, width: int) -> str:
    after = _indent(line) + "  "
    return textwrap.fill(line, width, subsequent_indent=after, break_long_words=False, break_on_hyphens=False)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


@contextmanager
def unread(err: bool = False) -> Iterator[None]:
    """Print to the null device once nobody reads the output any more, so that the command still writes its files."""
    try:
        yield
    except (OSError, SystemExit) as error:  # Rich exits
        if not is_broken_pipe(error):
            raise
        session().unread = True
        discard(sys.stderr if err else sys.stdout)


def is_broken_pipe(error: BaseException | None) -> bool:
    """Return True if nobody reads what was printed, or this caused the error."""
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__context__
    return error is not None


def discard(stream: TextIO) -> None:
    """Discard all that is printed from now on to stdout or stderr."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def record(**results: object) -> None:
    """Add results to the JSON document, by name; nothing is printed."""
    session().results.update(results)


def chosen_columns(columns: str | None) -> list[str] | None:
    """Return the columns of ``--columns``; None if it was not given."""
    return None if columns is None else names_of(columns)


def names_of(text: str) -> list[str]:
    """Split names that are separated by commas; each is kept once."""
    return [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]


def refuse(names: Collection[str], why: str) -> None:
    """Reject options that can't be combined with others that were given.

    Parameters
    ----------
    names : collection of str
        Names of the parameters of these options.
    why : str
        Reason, the end of the message.

    Raises
    ------
    DeclarationError
        When one of them was given on the command line.
    """
    from bayesgmm.errors import DeclarationError

    if typed := [option for name, option in session().typed.items() if name in names]:
        raise DeclarationError(f"{' and '.join(typed)} {why}")


def as_options(message: str, given: dict[str, str] | None = None) -> str:
    """Write arguments of Python functions that a message names as options: those that are given, or the command's own.

    Examples
    --------
    >>> from bayesgmm.cli.session import Session
    >>> start_session(Session(options={"covariance": "--covariance", "method": "--method"}))
    >>> as_options("Try covariance='diag' or 'tied', draws=2000 or method='map'.")
    'Try --covariance diag or tied, draws=2000 or --method map.'
    >>> as_options("Skip them: skip_broken=True.", {"skip_broken": "--skip-broken"})
    'Skip them: --skip-broken.'
    >>> as_options("give n_components=range(1, 19) or n_components=4")
    'give n_components=range(1, 19) or n_components=4'
    >>> columns = {"columns": "--columns"}
    >>> as_options("Leave them out with columns=. For example columns=['a', 'b c'] or columns=[...].", columns)
    "Leave them out with --columns. For example --columns 'a,b c' or --columns NAMES."
    >>> as_options("--given method=3, covariance=1.5 needs --over")
    '--given method=3, covariance=1.5 needs --over'
    """

    def option(match: re.Match[str]) -> str:
        if match["name"] not in options:
            return match[0]
        name, value = options[match["name"]], match["value"]
        return f"{name} {'' if value == 'True' else _typed(value)}".rstrip()

    for call, words in CALLS.items():
        message = message.replace(call, words)
    given = session().options if given is None else given
    named = {"n_components": "components", "noise": "noise_columns"}  # Python's names of arguments and their options
    options = given | {name: given[option] for name, option in named.items() if option in given}
    return ARGUMENT.sub(option, message)


def _typed(value: str) -> str:
    """Write the value of an argument as it is typed after an option; a single one is quoted where a shell needs it.

    Examples
    --------
    >>> _typed("'tied'"), _typed("range(1, 19)")
    ('tied', '1-18')
    >>> _typed("['a', 'b']"), _typed("[...]")
    ('a,b', 'NAMES')
    """
    if value.startswith("["):
        return "NAMES" if "..." in value else shlex.quote(",".join(NAME.findall(value)))
    if ends := RANGE.fullmatch(value):
        return f"{ends[1]}-{int(ends[2]) - 1}"
    return shlex.quote(value[1:-1]) if value.count(QUOTE) == 2 else value.replace(QUOTE, "")


def check_other(output: Path, *inputs: Path | None) -> None:
    """Check that the output does not overwrite an input.

    Raises
    ------
    FitFileError
        When it would.
    """
    from bayesgmm.errors import FitFileError

    if any(path is not None and path.resolve() == output.resolve() for path in inputs):
        raise FitFileError(f"{output} is an input of this command; give another output file")


def wrote(path: Path, rows: int | None = None) -> None:
    """Print that a file was written."""
    session().files.append({"path": str(path)} | ({} if rows is None else {"rows": rows}))
    remark(f"wrote {path}" if rows is None else f"wrote {path}: {rows} rows")
