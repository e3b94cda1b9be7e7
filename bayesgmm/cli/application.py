"""Running a command: the options that all commands have, error messages and exit codes.

The common options (``--quiet``, ``--json``, ``--guard-csv``, ``--debug``) are added to each command when it is
registered. So they can be given before or after the name of the command, ``--help`` lists them, and the shell completes
them.
"""

import codecs
import functools
import inspect
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bayesgmm.cli.session import Session, options_of
from bayesgmm.cli.tables import READING, reading_as, reads_tables
from bayesgmm.cli.terminal import as_options, discard, echo, is_broken_pipe, say, session, start_session
from bayesgmm.files import guarded_csv
from bayesgmm.progress import quiet as no_progress
from bayesgmm.temporary import provide_matplotlib_folder
from bayesgmm.wording import printable

FINE, WRONG, USAGE, BUG, INTERRUPTED, UNREAD = 0, 1, 2, 70, 130, 141  # 70: EX_SOFTWARE; 128 + SIGINT or SIGPIPE
EXIT_CODES = (
    "Exit codes: 0 success; 1 an error, with a message; 2 wrong usage; 3 inputs were skipped, as a warning says, and "
    "the rest is done; 70 a bug in bayesgmm; 130 interrupted: the results so far are written where possible, and a "
    "message says so; 141 the output was not read to its end: all files are written."
)
PANEL = "Common options"
NUMBERS = {"Input should be a valid integer": "a whole number", "Input should be a valid number": "a number"}
"""What is wanted in plain words, by the beginning of a message of the library that reads options."""
SHARED = {
    "quiet": Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Show no progress, no remarks, and no table that is also written to a file.",
            rich_help_panel=PANEL,
        ),
    ],
    "json": Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout, for programs.", rich_help_panel=PANEL)
    ],
    "guard_csv": Annotated[
        bool,
        typer.Option(
            "--guard-csv",
            help="Write texts that a spreadsheet would run as formulas with an apostrophe in front.",
            rich_help_panel=PANEL,
        ),
    ],
    "debug": Annotated[bool, typer.Option("--debug", help="Print a traceback after an error.", rich_help_panel=PANEL)],
}
Decorator = Callable[[Callable[..., object]], Callable[..., object]]
ASCII = {
    "±": "+/-",
    "…": "...",
    "–": "-",
    "—": "-",
    "’": "'",
    "≤": "<=",
    "≥": ">=",
}
"""Replacements for terminals that show only ASCII."""


class Command(TyperCommand):
    """Command that answers the names that other programs give to options with its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command line; an option that does not exist is an error that names the right one."""
        words = [*args]  # the parser removes them
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            unknown: Any = error
            if instead := _instead(getattr(error, "option_name", ""), options_of(self)):
                unknown.possibilities = [instead]
            if plain := _not_a_number(str(getattr(error, "message", "")), _word_after(unknown, words)):
                unknown.message = plain
            raise


def _not_a_number(message: str, given: str) -> str:
    """Return in plain words that a word is no number; empty for other messages.

    Examples
    --------
    >>> _not_a_number("Input should be a valid integer, unable to parse string as an integer", "x")
    "'x' is not a whole number"
    """
    kind = next((plain for start, plain in NUMBERS.items() if message.startswith(start)), "")
    return f"{repr(given) if given else 'this'} is not {kind}" if kind else ""


def _word_after(error: Any, words: list[str]) -> str:
    """Return the word that was given for the option of an error; empty if it is not found."""
    names = getattr(getattr(error, "param", None), "opts", ())
    pairs = [(word, following) for word, following in pairwise([*words, ""]) if word in names]
    joined = [(word, word.partition("=")[2]) for word in words if word.partition("=")[0] in names and "=" in word]
    return next((value for _, value in [*pairs, *joined]), "")


def _instead(option: str, options: dict[str, str]) -> str:
    """Return the option to write instead of one that has another name elsewhere, or ``""``.

    Examples
    --------
    >>> _instead("--random-state", {"seed": "--seed"}), _instead("--n-components", {"components": "-k"})
    ('--seed', '-k')
    """
    from bayesgmm.synonyms import meanings

    name = option.lstrip("-").replace("-", "_")
    written = (as_options(here, options) for here in [*meanings(name), f"{name}=1"])
    return next((words.split()[0] for words in written if words.startswith("-")), "")


class App(typer.Typer):
    """Typer application whose commands all have the common options."""

    def command(self, *args: Any, **kwargs: Any) -> Decorator:  # type: ignore[override]
        """Register a command; the decorated function is returned unchanged."""
        return _registering(super().command(*args, cls=Command, **kwargs))

    def callback(self, *args: Any, **kwargs: Any) -> Decorator:  # type: ignore[override]
        """Register a function that runs before each command of a group."""
        return _registering(super().callback(*args, **kwargs))


def _registering(register: Callable[..., object]) -> Decorator:
    def decorate(function: Callable[..., object]) -> Callable[..., object]:
        register(with_shared_options(function))
        return function

    return decorate


def with_shared_options(function: Callable[..., object]) -> Callable[..., object]:
    """Add the common options to a command; their values are stored in the session, the others go to the command."""
    own = list(inspect.signature(function).parameters.values())
    reading = READING if reads_tables([p.annotation for p in own]) else {}
    named = next((p.name for p in own if p.annotation is typer.Context), None)
    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in reading.items()]
    more += [inspect.Parameter(name, keyword, default=False, annotation=kind) for name, kind in SHARED.items()]
    if named is None:
        more.append(inspect.Parameter("context", keyword, annotation=typer.Context))

    @functools.wraps(function)
    def command(**given: Any) -> object:
        session().ask(**{name: given.pop(name) for name in SHARED})
        settings = {name: given.pop(name) for name in reading}
        context = given[named] if named else given.pop("context")
        session().command = context.command_path.partition(" ")[2]
        session().typed = _typed(context)
        session().options = options_of(context.command)
        with (
            no_progress() if session().quiet else nullcontext(),
            guarded_csv() if session().guard_csv else nullcontext(),
            reading_as(settings) if reading else nullcontext(),
        ):
            return function(**given)

    command.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *more]}
    return command


def _typed(context: typer.Context) -> dict[str, str]:
    """Return the options that were given on the command line, each with its long name."""
    given = [p for p in context.command.params if _source(context, p.name) == "COMMANDLINE"]
    return {str(p.name): max(p.opts, key=len) for p in given}


def _source(context: typer.Context, name: str | None) -> str | None:
    source = context.get_parameter_source(name) if name else None
    return source.name if source else None


def run(app: Callable[..., Any], arguments: list[str]) -> int:
    """Run a command line and return the exit code. Expected errors are printed as one message, without a traceback."""
    _open_streams()
    start_session(Session())
    _replace_unprintable()
    provide_matplotlib_folder()
    with _warnings_in_words(), _interrupts_noted(), _ended_properly():
        code = _outcome(app, arguments)
        if session().interrupted or code == INTERRUPTED:
            code = _stopped()
    return _finish(code)


def _outcome(app: Callable[..., Any], arguments: list[str]) -> int:
    from bayesgmm.errors import BayesGMMError

    # Typer's own errors come before the options are parsed, and repeat what was typed
    machine = "--json" in arguments or any(printable(text) != text for text in arguments)
    try:
        return app(arguments, prog_name="bayesgmm", standalone_mode=not machine) or FINE
    except SystemExit as end:
        return UNREAD if is_broken_pipe(end) else end.code if isinstance(end.code, int) else FINE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return UNREAD
    except (BayesGMMError, OSError, MemoryError) as error:
        return _failed(error, as_options(_in_words(error)), WRONG)
    except Exception as error:
        if session().interrupted:  # libraries raise errors of their own when Ctrl-C stops an import
            return INTERRUPTED
        if hasattr(error, "format_message"):  # one of Typer's
            session().json = "--json" in arguments
            return _failed(error, error.format_message(), getattr(error, "exit_code", USAGE))
        return _failed(error, f"this is a bug in bayesgmm: {type(error).__name__}: {error}{_hint()}", BUG)


def _hint() -> str:
    return "" if session().debug else "\n  Please report it with the traceback, which --debug prints."


def _in_words(error: Exception) -> str:
    """Return the message of an error; for errors of the operating system, with the name of the file.

    Examples
    --------
    >>> _in_words(PermissionError(13, "Permission denied", "fit.nc"))
    'fit.nc: Permission denied'
    """
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); use fewer rows, draws or components" if str(error) else "out of memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _failed(error: Exception, message: str, code: int) -> int:
    if session().debug:
        traceback.print_exception(error)
    session().error = {"kind": type(error).__name__, "message": message}
    echo(f"error: {message}", err=True)
    return code


def _stopped() -> int:
    if not session().files:
        session().error = {"kind": "Interrupted", "message": "interrupted; nothing was written"}
        echo("interrupted; nothing was written", err=True)
    return INTERRUPTED


def _finish(code: int) -> int:
    """Print the JSON document if requested, and flush; a closed pipe is not an error that needs a message."""
    try:
        if session().json:
            print(session().document())
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        code = UNREAD if is_broken_pipe(error) else _failed(error, _in_words(error), WRONG)
    return UNREAD if session().unread and code == FINE else code


def _open_streams() -> None:
    """Open those of stdin, stdout and stderr that are closed as the null device; a file would take their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _replace_unprintable() -> None:
    """Replace characters that the terminal can't show, so that none raises an error."""
    codecs.register_error("bayesgmm_ascii", _as_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="bayesgmm_ascii")


def _as_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(ASCII.get(character, "?") for character in missing), error.end


def _show_warning(message: Warning | str, kind: type[Warning]) -> None:
    from bayesgmm.errors import CheckpointWarning, TableWarning

    start = "" if issubclass(kind, TableWarning | CheckpointWarning) else "warning: "
    say(f"{start}{as_options(str(message))}", err=True)


@contextmanager
def _warnings_in_words() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)  # libraries address them to programmers
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"(bayesgmm|numpy|scipy|sklearn)\.")
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(matplotlib|sklearn|scipy)\.")
        warnings.showwarning = lambda message, kind, *args: _show_warning(message, kind)
        yield


@contextmanager
def _ended_properly() -> Iterator[None]:
    """Let SIGTERM end the command as an exit does, so that temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _interrupts_noted() -> Iterator[None]:
    """Record that Ctrl-C was pressed, also where the command keeps the results so far and continues."""

    def note(number: int, frame: FrameType | None) -> None:
        session().interrupted = True
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def unraisable(ignored: "sys.UnraisableHookArgs") -> None:
        """Print nothing where Ctrl-C was pressed in code that can't be stopped, such as a destructor."""
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(ignored)

    signal.signal(signal.SIGINT, note)
    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, signal.default_int_handler)
