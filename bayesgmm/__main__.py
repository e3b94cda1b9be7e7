"""The command ``bayesgmm``, which is also ``python -m bayesgmm``: Ctrl-C ends it with one line at any time."""

import contextlib
import gc
import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130  # exit code: 128 + SIGINT
OPTIONAL = {"dask": "--scheduler", "plotly": "--interactive"}  # imported wherever installed, but needed with an option
YOUNG = 1_000_000  # new objects between two searches of the garbage collector: more than imports and a report make


def main() -> None:
    """Run the command line; before it is imported, nothing can be lost, so Ctrl-C ends the process at once."""
    gc.set_threshold(YOUNG)  # a command imports half a million objects, and all of them are in use
    for name, option in OPTIONAL.items():
        if not any(text.startswith(option) for text in sys.argv):  # else xarray imports Dask, and ArviZ plotly
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    from bayesgmm.cli import main as run
    from bayesgmm.late import postponed

    signal.signal(signal.SIGINT, before)
    try:
        with postponed("numpy.f2py"):  # SciPy imports all parts of numpy, also this compiler of Fortran
            run()
    except KeyboardInterrupt:
        _stop()
    finally:
        gc.freeze()  # the memory goes back with the process: Python need not search it for garbage first
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to say while Python shuts down


def _stop(number: int = 0, frame: FrameType | None = None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
