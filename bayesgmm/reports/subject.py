"""The fit of a report, and the quantities that several parts of the report use, each computed once."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings.partitions import partition
from bayesgmm.data.points import Points
from bayesgmm.diagnosis import diagnose
from bayesgmm.diagnosis.engines import approximation
from bayesgmm.diagnosis.points import leave_one_out
from bayesgmm.diagnosis.summary import component_table
from bayesgmm.engines import ENGINES, Engine
from bayesgmm.findings import Findings
from bayesgmm.labels.relabelling import aligned
from bayesgmm.model import MixtureModel
from bayesgmm.plots.columns import most_different
from bayesgmm.posterior.draws import approximate
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, holds_points, observed
from bayesgmm.predictions.cross_validation import LeftOut
from bayesgmm.predictions.predictive import assignments
from bayesgmm.reports.blocks import Omitted
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.predictions import predictive_tree, transformed
from bayesgmm.reports.quantities import Quantities, quantities
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural, share

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from plotly.graph_objects import Figure as LiveFigure

IntArray = NDArray[np.intp]
WORK = 100_000_000  # maximum of draws times points for one result: a few seconds
WEIGHTED = "The rows have weights, so a row is not one point, and can't be replicated or left out."
MIN_DRAWS = 20  # minimum number of draws for checks by replicated data
MIN_DRAWS_LOO = 100  # minimum number of draws for leave-one-out
DRAWN = 2000  # maximum number of points in a figure
REPLICATED = 1000  # maximum number of points for comparisons with replicated data
PAIRED = 500  # maximum number of points for results about all pairs of points
ENOUGH = 500  # number of draws for these
PANELS = 5  # maximum number of columns in a figure of pairs
CERTAIN = 0.9995  # probability from which a percentage is shown as > 99.9 %
QUICK_PANELS = 3  # the same in a quick report
READABLE = 60  # maximum length of a name in a table or a sentence
LONG = 26  # maximum length of a name in a figure or the heading of a table
MANY = 12  # maximum number of columns in a table that is not folded


class Subject:
    """A fit and its results.

    Parameters
    ----------
    fit : DataTree
        A fit by any engine, or a trace of PyMC.
    findings : Findings, optional
        From ``diagnose``. Default: computed when they are needed.
    quick : bool
        Show fewer columns in figures, and leave out what takes long.
    interactive : bool
        Let plotly draw the points, the density and the anomalies.
    """

    def __init__(
        self, fit: "xr.DataTree", findings: Findings | None = None, *, quick: bool = False, interactive: bool = False
    ) -> None:
        self.fit = fit
        self.quick = quick
        self.interactive = interactive
        self._findings = findings
        self.info = info(fit)
        self.posterior: Posterior = aligned(fit)
        self.columns = self.posterior.columns
        self.components = [str(name) for name in fit["posterior"].coords["component"].values]
        self.n_chains = fit["posterior"].sizes["chain"]
        self.n_draws = fit["posterior"].sizes["draw"]
        self.n_components = len(self.components)
        self.n_features = len(self.columns)

    @cached_property
    def points(self) -> Points:
        """The fitted points.

        Raises
        ------
        Omitted
            When the fit does not contain them.
        """
        if not self.has_points:
            raise Omitted("The fit does not contain its data.")
        return observed(self.fit)

    @property
    def has_points(self) -> bool:
        """True if the fit contains its data."""
        return holds_points(self.fit)

    @property
    def n_points(self) -> int:
        """Number of points, N."""
        return len(self.points.values)

    @property
    def rows_and_points(self) -> str:
        """Number of points in words; with row weights, of rows and of points."""
        rows = plural(self.n_points, self.word)
        if self.points.weights is None:
            return rows
        return f"{rows} that count as {number(self.points.total_weight)} points"

    @property
    def word(self) -> str:
        """Word for a row of the data: point, or row if rows have weights."""
        return "point" if self.points.weights is None else "row"

    @cached_property
    def labels(self) -> "tuple[str, ...]":
        """Row labels."""
        return tuple(str(label) for label in np.asarray(self.points.index))

    @cached_property
    def model(self) -> MixtureModel | None:
        """The declaration, if the fit stores one."""
        return self.info.model

    @property
    def is_point(self) -> bool:
        """True for a point estimate, which is one draw."""
        return self.posterior.n_draws == 1

    @cached_property
    def is_approximation(self) -> bool:
        """True if the draws come from an approximation."""
        return approximate(self.fit)

    @property
    def is_chains(self) -> bool:
        """True if the draws come from Markov chains."""
        return not (self.is_point or self.is_approximation)

    @property
    def method(self) -> str:
        """Name of the engine; for a trace of PyMC, its library."""
        foreign = self.fit["posterior"].attrs.get("inference_library", "")
        return str(self.info.method or foreign or "unknown")

    @property
    def engine(self) -> Engine | None:
        """The engine; None for a fit by another package."""
        return ENGINES.get(self.method)

    def bounded(self, maximum: int = 1000) -> int:
        """Return the number of draws for averages that are computed for every point."""
        points = self.n_points if self.has_points else 1
        return int(np.clip(WORK // points, 50, maximum))

    @cached_property
    def assignments(self) -> "xr.Dataset":
        """Probabilities of the components, labels and entropies of the fitted points."""
        return assignments(self.fit, self.points, draws=self.bounded())

    @cached_property
    def sizes(self) -> Array:
        """(K,) expected number of points in each component; rows count by their weights."""
        weights = self.points.weights
        probability = self.assignments["probability"].values
        return probability.sum(axis=0) if weights is None else weights @ probability

    @cached_property
    def occupied(self) -> list[int]:
        """Components that are expected to hold at least one point; all if the fit contains no points."""
        if not self.has_points:
            return list(range(self.n_components))
        each = self.points.total_weight / self.n_points  # mean weight of a point
        return [k for k in range(self.n_components) if self.sizes[k] >= each] or [int(np.argmax(self.sizes))]

    @cached_property
    def titles(self) -> tuple[str, ...]:
        """Column names, shortened for tables."""
        return tuple(short(name, READABLE) for name in self.columns)

    @cached_property
    def certain(self) -> float:
        """Share of the points that belong to one component with probability above 0.9."""
        return float((self.assignments["probability"].values.max(axis=1) > 0.9).mean())

    @cached_property
    def all_certain(self) -> str:
        """A sentence if each label is so certain that its probability is shown as > 99.9 %."""
        least = float(self.assignments["probability"].values.max(axis=1).min())
        if least <= CERTAIN:
            return ""
        return f"Every {self.word} belongs to one component with probability {share(least)}."

    @cached_property
    def table(self) -> "pd.DataFrame":
        """Weight and mean of every component, with intervals."""
        return component_table(self.fit)

    @cached_property
    def quantities(self) -> Quantities:
        """Scalar quantities of the posterior, with their diagnostics."""
        return quantities(self.fit, self.posterior, self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, shortened for figures and still different from each other."""
        cut = [short(name) for name in self.columns]
        return tuple(name if cut.count(name) == 1 else f"{name[: LONG - 5]} ({j})" for j, name in enumerate(cut))

    @cached_property
    def few(self) -> "xr.DataTree":
        """The fit for figures: at most 2,000 of its points, and short column names."""
        return self._sparse(DRAWN)

    @cached_property
    def drawn(self) -> "xr.DataTree":
        """The same without the components after the last occupied one, which depend on the prior only."""
        tree = self.few.copy()
        tree["posterior"] = self.few["posterior"].isel(component=slice(max(self.occupied) + 1))
        return tree

    @cached_property
    def counted(self) -> "xr.DataTree":
        """The same without row weights, for results that use one label per row."""
        return _without_weights(self.few)

    @cached_property
    def paired(self) -> "xr.DataTree":
        """The same with at most 500 points and without row weights, for results about all pairs of points."""
        return _without_weights(self._sparse(PAIRED))

    def _sparse(self, maximum: int) -> "xr.DataTree":
        """Return the fit with a maximum number of evenly spaced points, and with the column names of figures."""
        import xarray as xr

        groups = {}
        for group in ("posterior", "sample_stats", "observed_data", "constant_data", "optimisation"):
            if group not in self.fit.children:
                continue
            dataset = self.fit[group].to_dataset()
            named = {dim: list(self.names) for dim in ("feature", "feature_bis") if dim in dataset.dims}
            groups[group] = dataset.assign_coords(named)
        if self.n_points > maximum:
            groups["observed_data"] = groups["observed_data"].isel(point=self.rows(maximum))
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = dict(self.fit.attrs)
        return tree

    def rows(self, maximum: int) -> IntArray:
        """Return evenly spaced rows, at most a given number."""
        return np.linspace(0, self.n_points - 1, min(self.n_points, maximum)).round().astype(int)

    @cached_property
    def informative(self) -> list[str]:
        """The columns in which the components differ most, by their names in figures, in the order of the data."""
        return self.most_different(QUICK_PANELS if self.quick else PANELS)

    def most_different(self, count: int) -> list[str]:
        """Return at most a number of columns in which the components differ most, likewise."""
        return [self.names[j] for j in most_different(self.posterior.parameters, count)]

    @property
    def _shown(self) -> list[int]:
        """Their positions."""
        return [self.names.index(name) for name in self.informative]

    def live(
        self, draw: str, data: "Callable[[], xr.Dataset]", shown: "xr.DataTree"
    ) -> "Callable[[], LiveFigure] | None":
        """Return what makes a figure interactive, by a function of ``plots.interactive``, or None."""
        if not self.interactive:
            return None
        from bayesgmm.plots import interactive

        return lambda: getattr(interactive, draw)(shown, data())

    @cached_property
    def partition(self) -> "xr.Dataset":
        """Optimal partition of at most 500 points.

        Raises
        ------
        Omitted
            With one component or one draw.
        """
        if self.n_components == 1:
            raise Omitted("With one component, there is one cluster.")
        if self.is_point:
            raise Omitted("A point estimate has no posterior, so plausible partitions are not shown.")
        return partition(self.paired, draws=ENOUGH, restarts=4, progress=False)

    @cached_property
    def predictive(self) -> "xr.DataTree":
        """Replicated data of the columns and points in the figures.

        Raises
        ------
        Omitted
            With few draws or with row weights.
        """
        if self.posterior.n_draws < MIN_DRAWS:
            raise Omitted(
                f"Checks by replicated data need at least {MIN_DRAWS} draws; there are {self.posterior.n_draws}."
            )
        if self.points.weights is not None:
            raise Omitted(WEIGHTED)
        return predictive_tree(self._sparse(REPLICATED), self._shown)

    @cached_property
    def loo(self) -> tuple[LeftOut, IntArray]:
        """Leave-one-out results and their rows, as the checks use them.

        Raises
        ------
        Omitted
            With few draws, with row weights, or if the draws do not allow it.
        """
        if self.points.weights is not None:
            raise Omitted(WEIGHTED)
        if self.posterior.n_draws < MIN_DRAWS_LOO:
            raise Omitted(f"Leave-one-out needs at least {MIN_DRAWS_LOO} draws; there are {self.posterior.n_draws}.")
        if approximation(self.fit) and self.info.notes.resampled is None:
            raise Omitted("The approximation is too far from the posterior for leave-one-out.")
        try:
            return leave_one_out(self.fit)
        except ValueError:  # from ArviZ: "All tail values are the same"
            raise Omitted("The draws are copies of a few, so leave-one-out can't be computed.") from None

    @cached_property
    def pit(self) -> "xr.Dataset":
        """Leave-one-out probability integral transform of each point, for the columns in the figures."""
        _ = self.loo  # raises Omitted where leave-one-out is not possible
        return transformed(self._sparse(REPLICATED), self._shown)

    @cached_property
    def findings(self) -> Findings:
        """Findings of the checks."""
        return self._findings if self._findings is not None else diagnose(self.fit, progress=False)

    @property
    def thinned(self) -> str:
        """A sentence if not all points are in the figures."""
        return self.limited(DRAWN)

    def limited(self, maximum: int) -> str:
        """Return a sentence if a maximum number of points is smaller than the number of points."""
        return f" {maximum:,} of the {self.n_points:,} points are drawn." if self.n_points > maximum else ""

    @property
    def unweighted(self) -> str:
        """A sentence if rows have weights that are not used."""
        return "" if self.points.weights is None else " Each row counts as one point here; row weights are not used."


def _without_weights(tree: "xr.DataTree") -> "xr.DataTree":
    import xarray as xr

    bare = tree.copy()
    bare["observed_data"] = xr.DataTree(tree["observed_data"].to_dataset().drop_vars("sample_weight", errors="ignore"))
    return bare


def short(name: str, long: int = LONG) -> str:
    """Shorten a name by cutting its end.

    Examples
    --------
    >>> short("width"), short("a very long name indeed", 10)
    ('width', 'a very lo…')
    """
    name = " ".join(name.split())
    return name if len(name) <= long else f"{name[: long - 1]}…"


def listed(parts: list[str]) -> str:
    """Join parts as in a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else "none"
