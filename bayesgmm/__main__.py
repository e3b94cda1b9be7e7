"""The command ``bayesgmm``, which is also ``python -m bayesgmm``: Ctrl-C ends it with one line at any time."""

import contextlib
import os
import signal
from types import FrameType

INTERRUPTED = 130  # exit code: 128 + SIGINT


def main() -> None:
    """Run the command line; before it is imported, nothing can be lost, so Ctrl-C ends the process at once."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    from bayesgmm.cli import main as run

    signal.signal(signal.SIGINT, before)
    try:
        run()
    except KeyboardInterrupt:
        _stop()
    finally:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to say while Python shuts down


def _stop(number: int = 0, frame: FrameType | None = None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
