"""Execute the course: ``python -m notebooks [--fast] [NAME ...]`` writes build/notebooks."""

import argparse
import time

import nbformat

from notebooks import COURSE, HERE, execute

BUILT = HERE.parent / "build" / "notebooks"


def main():
    """Execute the notebooks whose names start with what is given; all unless told."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*", help="such as 01 04")
    options.add_argument("--fast", action="store_true", help="few draws, and the solutions run too")
    given = options.parse_args()
    BUILT.mkdir(parents=True, exist_ok=True)
    for path in COURSE:
        if not given.names or path.name.startswith(tuple(given.names)):
            since = time.perf_counter()
            nbformat.write(execute(path, given.fast), BUILT / path.name)
            print(f"{path.name}: {time.perf_counter() - since:.0f} s", flush=True)


main()
