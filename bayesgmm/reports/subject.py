"""The fit that a report is about, and what several of its parts ask of it, each computed once."""

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
from bayesgmm.posterior.draws import approximate
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, holds_points, observed
from bayesgmm.predictions.cross_validation import LeftOut as Left
from bayesgmm.predictions.predictive import assignments
from bayesgmm.reports.blocks import LeftOut
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.predictions import predictive_tree, transformed
from bayesgmm.reports.quantities import Quantities, quantities
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

IntArray = NDArray[np.intp]
WORK = 100_000_000  # draws times points that one answer may cost: seconds
WEIGHTED = "The rows have weights: a row is then not one point, and can't be replicated or left out."
LEAST_DRAWS = 20  # for checks by replicated data
LEAST_LOO = 100  # for leaving points out
DRAWN = 2000  # points that a picture shows
PAIRED = 500  # points where every pair of them is looked at
ENOUGH = 500  # draws for that
PANELS = 5  # columns that a picture of pairs shows
READABLE = 60  # characters of a name that fit a table or a sentence
LONG = 26  # characters of a name that fit a picture or the heading of a table
MANY = 12  # columns that a table shows at once


class Subject:
    """A fit and its answers.

    Parameters
    ----------
    fit : DataTree
        Of the schema; whatever made it.
    """

    def __init__(self, fit: "xr.DataTree") -> None:
        self.fit = fit
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
        """The data; a part that needs them is left out where the fit has none."""
        if not self.has_points:
            raise LeftOut("The fit holds no observed data.")
        return observed(self.fit)

    @property
    def has_points(self) -> bool:
        """True if the fit contains its data."""
        return holds_points(self.fit)

    @property
    def n_points(self) -> int:
        """N."""
        return len(self.points.values)

    @property
    def rows_and_points(self) -> str:
        """Describe the number of points, and of rows if rows have weights."""
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
        """The rows' own names."""
        return tuple(str(label) for label in np.asarray(self.points.index))

    @cached_property
    def model(self) -> MixtureModel | None:
        """The declaration, where the fit holds one."""
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
        """The engine, or what PyMC says that it was."""
        foreign = self.fit["posterior"].attrs.get("inference_library", "")
        return str(self.info.method or foreign or "unknown")

    @property
    def engine(self) -> Engine | None:
        """The engine's description; none of a fit that was made elsewhere."""
        return ENGINES.get(self.method)

    def bounded(self, most: int = 1000) -> int:
        """Draws that an answer about every point averages over."""
        points = self.n_points if self.has_points else 1
        return int(np.clip(WORK // points, 50, most))

    @cached_property
    def assignments(self) -> "xr.Dataset":
        """Probabilities of the components, labels and uncertainties, of the points that were fitted."""
        return assignments(self.fit, self.points.values, draws=self.bounded())

    @cached_property
    def sizes(self) -> Array:
        """(K,) how many points each component is expected to hold, weights counted."""
        weights = self.points.weights
        probability = self.assignments["probability"].values
        return probability.sum(axis=0) if weights is None else weights @ probability

    @cached_property
    def occupied(self) -> list[int]:
        """Components that are expected to hold a point or more; all of them where there are no points."""
        if not self.has_points:
            return list(range(self.n_components))
        each = self.points.total_weight / self.n_points  # a point's weight
        return [k for k in range(self.n_components) if self.sizes[k] >= each] or [int(np.argmax(self.sizes))]

    @cached_property
    def titles(self) -> tuple[str, ...]:
        """The columns' names, cut to what fits a table."""
        return tuple(short(name, READABLE) for name in self.columns)

    @cached_property
    def certain(self) -> float:
        """Share of the points that belong to one component with probability above 0.9."""
        return float((self.assignments["probability"].values.max(axis=1) > 0.9).mean())

    @cached_property
    def table(self) -> "pd.DataFrame":
        """Weight and mean of every component, with intervals."""
        return component_table(self.fit)

    @cached_property
    def quantities(self) -> Quantities:
        """The single numbers of the posterior, and which of them mix worst."""
        return quantities(self.fit, self.posterior, self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns' names, cut to what fits a picture, each still different from the others."""
        cut = [short(name) for name in self.columns]
        return tuple(name if cut.count(name) == 1 else f"{name[: LONG - 5]} ({j})" for j, name in enumerate(cut))

    @cached_property
    def few(self) -> "xr.DataTree":
        """The same fit to be drawn: at most 2,000 of its points, and names that fit."""
        return self._sparse(DRAWN)

    @cached_property
    def drawn(self) -> "xr.DataTree":
        """The same without the components behind the last occupied one: where those are is what the prior says."""
        tree = self.few.copy()
        tree["posterior"] = self.few["posterior"].isel(component=slice(max(self.occupied) + 1))
        return tree

    @cached_property
    def counted(self) -> "xr.DataTree":
        """The same, each row one point whatever its weight: for what is made of one label a row."""
        return _without_weights(self.few)

    @cached_property
    def company(self) -> "xr.DataTree":
        """The same with at most 500 points, each row one: for what looks at every pair of them."""
        return _without_weights(self._sparse(PAIRED))

    def _sparse(self, most: int) -> "xr.DataTree":
        """The fit with at most so many of its points, evenly spaced, and with the names of pictures."""
        import xarray as xr

        groups = {}
        for group in ("posterior", "sample_stats", "observed_data", "constant_data", "optimisation"):
            if group not in self.fit.children:
                continue
            dataset = self.fit[group].to_dataset()
            named = {dim: list(self.names) for dim in ("feature", "feature_bis") if dim in dataset.dims}
            groups[group] = dataset.assign_coords(named)
        if self.n_points > most:
            groups["observed_data"] = groups["observed_data"].isel(point=self.rows(most))
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = dict(self.fit.attrs)
        return tree

    def rows(self, most: int) -> IntArray:
        """Return evenly spaced rows, at most a given number."""
        return np.linspace(0, self.n_points - 1, min(self.n_points, most)).round().astype(int)

    @cached_property
    def telling(self) -> list[str]:
        """The columns (by their names in pictures) in which the components differ most, in the data's order."""
        p = self.posterior.parameters
        weight, mean = p.weight.mean(axis=0), p.mean.mean(axis=0)
        within = np.diagonal(p.covariance, axis1=-2, axis2=-1).mean(axis=0)
        between = weight @ (mean - weight @ mean) ** 2
        apart = between / (weight @ within)
        return [self.names[j] for j in sorted(np.argsort(-apart, kind="stable")[:PANELS])]

    @cached_property
    def partition(self) -> "xr.Dataset":
        """The optimal clustering of at most 500 points."""
        if self.n_components == 1:
            raise LeftOut("With one component there is one cluster.")
        if self.is_point:
            raise LeftOut("A point estimate says nothing of other clusterings that are plausible.")
        return partition(self.company, draws=ENOUGH, restarts=4, progress=False)

    @cached_property
    def predictive(self) -> "xr.DataTree":
        """Replicated data and log likelihoods of the columns and points that are drawn."""
        if self.posterior.n_draws < LEAST_DRAWS:
            raise LeftOut(f"Checks by replicated data need {LEAST_DRAWS} draws; there are {self.posterior.n_draws}.")
        if self.points.weights is not None:
            raise LeftOut(WEIGHTED)
        chosen = [self.names.index(name) for name in self.telling]
        return predictive_tree(self.few, chosen)

    @cached_property
    def loo(self) -> tuple[Left, IntArray]:
        """Points that were left out, and which rows they are: those of the checks."""
        if self.points.weights is not None:
            raise LeftOut(WEIGHTED)
        if self.posterior.n_draws < LEAST_LOO:
            raise LeftOut(f"Leaving points out needs {LEAST_LOO} draws; there are {self.posterior.n_draws}.")
        if approximation(self.fit) and self.info.notes.resampled is None:
            raise LeftOut("The approximation is too far from the posterior to leave points out.")
        try:
            return leave_one_out(self.fit)
        except ValueError:  # ArviZ's: "All tail values are the same"
            raise LeftOut("The draws are copies of a few: no point can be left out.") from None

    @cached_property
    def pit(self) -> "xr.Dataset":
        """Compute the leave-one-out probability integral transform of each point, for the columns that are drawn."""
        _ = self.loo  # what it leaves out, this leaves out
        return transformed(self.predictive)

    @cached_property
    def findings(self) -> Findings:
        """Findings of the checks."""
        return diagnose(self.fit, progress=False)

    @property
    def thinned(self) -> str:
        """A sentence where not all points are drawn."""
        return self.limited(DRAWN)

    def limited(self, most: int) -> str:
        """A sentence where not all points are looked at."""
        return f" {most:,} of the {self.n_points:,} points are drawn." if self.n_points > most else ""

    @property
    def alike(self) -> str:
        """A sentence where rows have weights that do not count."""
        return "" if self.points.weights is None else " Each row is one point here, whatever its weight."


def _without_weights(tree: "xr.DataTree") -> "xr.DataTree":
    import xarray as xr

    bare = tree.copy()
    bare["observed_data"] = xr.DataTree(tree["observed_data"].to_dataset().drop_vars("sample_weight", errors="ignore"))
    return bare


def short(name: str, long: int = LONG) -> str:
    """A name cut to what fits; its end goes.

    Examples
    --------
    >>> short("width"), short("a very long name indeed", 10)
    ('width', 'a very lo…')
    """
    name = " ".join(name.split())
    return name if len(name) <= long else f"{name[: long - 1]}…"


def share(value: float) -> str:
    """A probability as a reader says it: no certainty that is only rounding; the space does not break.

    Examples
    --------
    >>> [share(value).replace("\N{NO-BREAK SPACE}", " ") for value in (0.333, 0.9996, 1.0, 0.0)]
    ['33.3 %', '> 99.9 %', '100 %', '0 %']
    """
    if value in {0.0, 1.0}:
        said = f"{100 * value:.0f}"
    elif value > 0.9995:
        said = "> 99.9"
    else:
        said = "< 0.1" if value < 0.0005 else f"{100 * value:.1f}"
    return f"{said} %".replace(" ", "\N{NO-BREAK SPACE}")


def listed(parts: list[str]) -> str:
    """Parts as a sentence lists them.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else "none"
