"""Run sections of the evidence, all by default, store their results, and write docs/evidence.md."""

import argparse
import os
import time

from evidence import page, results
from evidence.results import SEED
from evidence.sections import SECTIONS


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    listed = "\n".join(f"  {s.name:<14} {s.title} ({s.replicates:,} replicates)" for s in SECTIONS.values())
    parser = argparse.ArgumentParser(
        "python -m evidence",
        description=__doc__,
        epilog=f"sections:\n{listed}\n  {'page':<14} only render the page from the stored results",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("section", nargs="*", help="sections to run; default: all")
    parser.add_argument("--replicates", type=int, help="number of replicates; default: as listed below")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of the simulations; default: {SEED}")
    parser.add_argument("--print-only", action="store_true", help="print the result, and store nothing")
    given = parser.parse_args(arguments)
    for unknown in set(given.section) - set(SECTIONS) - {"page"}:
        parser.error(f"there is no section {unknown!r}: choose from {', '.join(SECTIONS)} or page")
    if given.replicates is not None and given.replicates < 1:
        parser.error(f"--replicates {given.replicates}: must be at least 1")
    return given


def main(arguments: list[str] | None = None) -> None:
    """Run the sections that are named."""
    given = parsed(arguments)
    for name in given.section or SECTIONS:
        if name == "page":
            continue
        began, section = time.perf_counter(), SECTIONS[name]
        result = section.run(given.replicates or section.replicates, given.seed)
        print(page.rendered(name, result), flush=True)
        if not given.print_only:
            print(f"{results.write(name, result)}: {time.perf_counter() - began:.0f} s on {os.cpu_count()} cores")
    if not given.print_only:
        print(page.write())


if __name__ == "__main__":
    main()
