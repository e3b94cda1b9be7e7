"""The registry of sections. A new section is one function in a file of its own, and one entry in ``SECTIONS``."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version

import pandas as pd

from evidence.results import Result


@dataclass(frozen=True)
class Section:
    """Section of the page.

    Parameters
    ----------
    name : str
        Argument of ``python -m evidence``.
    title : str
        Heading on the page.
    place : str
        ``"module:function"`` of the function that computes it.
    replicates : int
        Default number of replicates; the function says of what.
    few : int
        Number of replicates for the tests: at most a second of processor time.
    """

    name: str
    title: str
    place: str
    replicates: int
    few: int = 2

    @property
    def function(self) -> Callable[[int, int], tuple[str, pd.DataFrame]]:
        """``function(replicates, seed)``: one paragraph, and a table whose columns name all numbers in it."""
        module, _, name = self.place.partition(":")
        found: Callable[[int, int], tuple[str, pd.DataFrame]] = getattr(import_module(module), name)
        return found

    def run(self, replicates: int, seed: int) -> Result:
        """Compute the section."""
        began = time.process_time()
        text, table = self.function(replicates, seed)
        seconds = round(time.process_time() - began, 1)
        day = datetime.now(UTC).date().isoformat()
        return Result(" ".join(text.split()), table, replicates, seed, seconds, version("bayesgmm"), day)


SECTIONS = {
    section.name: section
    for section in (
        Section("sbc-gibbs", "Calibration of Gibbs sampling", "evidence.calibration:of_gibbs", 35, 1),
        Section("sbc-nuts", "Calibration of NUTS", "evidence.calibration:of_nuts", 20, 1),
        Section("sbc-vb", "Calibration of variational Bayes", "evidence.calibration:of_vb", 20, 1),
        Section("sbc-advi", "Calibration of ADVI", "evidence.calibration:of_advi", 20, 1),
        Section("sbc-structures", "Calibration of structures", "evidence.calibration:of_structures", 20, 1),
        Section("held-out", "Held-out density of structures", "evidence.held_out:of_structures", 10, 1),
        Section("sbc-measured", "Calibration with gaps, errors and labels", "evidence.measured:of_measured", 30, 1),
        Section(
            "posteriordb",
            "A published posterior",
            "evidence.reference_posteriors:low_dim_gauss_mix",
            20,
        ),
        Section("evidence", "Evidence and clusters, exactly", "evidence.marginal_likelihoods:against_exact", 10, 1),
        Section("numbers", "Published numbers of components", "evidence.numbers:galaxies", 20, 1),
        Section("coverage", "Coverage of intervals", "evidence.coverage:of_engines", 12, 1),
        Section("warnings", "Warnings of right and of wrong fits", "evidence.alarms:of_fits", 20, 1),
        Section("truncation", "Processes with few sticks", "evidence.truncation:of_sticks", 2, 1),
        Section("p-values", "P-values of new points and false discoveries", "evidence.p_values:of_new_points", 10, 1),
        Section("false-alarms", "False discoveries in skewed tables", "evidence.false_alarms:of_tables", 14, 1),
        Section("partitions", "Partitions against all set partitions", "evidence.partitions:against_all", 100, 1),
    )
}
"""Sections by name, in the order of the page."""
