"""What to try when a component can't be estimated: only what can help for these data and this declaration."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesgmm.data.labels import Labels
from bayesgmm.data.points import Points
from bayesgmm.data.streams import Stream
from bayesgmm.engines import ENGINES
from bayesgmm.errors import ComponentError, EmptyComponent
from bayesgmm.families.family import SINGULAR, Family
from bayesgmm.families.structures import family_named
from bayesgmm.model import MixtureModel
from bayesgmm.wording import alternatives, plural

MAX_COMPARED = 10_000  # maximum number of rows among which distinct ones are counted
WISHART = "covariances=WishartPrecision()"


@dataclass(frozen=True)
class Remedies:
    """Remedies that every interface has: fewer components, another covariance family, fewer columns.

    Parameters
    ----------
    points : Points or Stream
    family : Family
    n_components : int
    argument : str
        Name of the argument that declares the family.
    """

    points: Points | Stream
    family: Family
    n_components: int
    argument: str = "covariance"

    def of(self, error: ComponentError) -> list[str]:
        """List what to try: what the data allow."""
        reason = self._singular(self.family)
        families = [name for name in error.families if self._holds(family_named(name))]
        found = ["fewer components"] if self.n_components > 1 and not reason else []
        if families:
            found.append(f"{self.argument}={' or '.join(map(repr, families))}")
        if reason and len(self.points.columns) > 1 and self._enough(self.family, len(self.points.columns) - 1):
            found.append(f"fewer columns ({reason})")
        return found

    def _holds(self, family: Family) -> bool:
        """True if the points suffice for as many components of another family, and no column makes them singular."""
        return not self._singular(family) and self._enough(family, len(self.points.columns))

    def _enough(self, family: Family, n_features: int) -> bool:
        """True if the rows suffice for all components: for several, twice as many as if they were shared out evenly."""
        k, own = self.n_components, family.form.block_size(n_features)
        if not family.needs_all_directions:
            own = max(1, family.points_needed(n_features) - 1)
        needed = own + k if family.sharing.count(2) == 1 else (own + 1) * k * min(k, 2)
        return self._n_distinct >= needed

    @cached_property
    def _n_distinct(self) -> int:
        """Number of distinct rows, among the first ones."""
        return len(np.unique(self.points.counted[:MAX_COMPARED], axis=0))

    def _singular(self, family: Family) -> str:
        """Return why one covariance of all points is singular; empty if it is not."""
        constant, columns = self.points.summary.range == 0, self.points.columns
        if constant.all() or (constant.any() and not family.needs_common_scale):
            return f"{columns[int(np.argmax(constant))]!r} is constant"
        if not family.needs_all_directions:
            return ""
        if self._n_distinct <= len(columns):
            return f"{plural(len(columns), 'column')} need more than {plural(self._n_distinct, 'distinct row')}"
        return self._determined

    @cached_property
    def _determined(self) -> str:
        """Return which column is determined by the others; empty if none is."""
        deviations = self.points.counted - self.points.centre_and_sd[0]
        left = np.diagonal(np.linalg.qr(deviations / np.linalg.norm(deviations, axis=0), mode="r"))
        bad = np.flatnonzero(left**2 <= SINGULAR)
        return f"{self.points.columns[bad[0]]!r} is determined by the columns before it" if len(bad) else ""


@contextmanager
def advising(points: Points | Stream, model: MixtureModel, method: str | None = None) -> Iterator[None]:
    """Add to a ComponentError what can be tried.

    Parameters
    ----------
    points : Points or Stream
    model : MixtureModel
        Resolved.
    method : str, optional
        Of ``bayesgmm.fit``; None for functions that have no choice of the method.

    Raises
    ------
    ComponentError
        The same one, with its remedies.
    """
    try:
        yield
    except ComponentError as error:
        if "\n" in str(error):  # it has its own
            raise
        stronger = [] if method is None or model.family.chart is None else [_stronger(model, method)]
        if points.labels is not None and (free := _without_rows(points.labels, model.n_components)):
            rest = plural(free, "component has", "components have")
            what = f"every row has a label, and {rest} none: no row is left for {'it' if free == 1 else 'them'}"
            found = [f"n_components={model.n_components - free}", "no label for some rows", *stronger]
            raise EmptyComponent(what).advised(alternatives(found)) from None
        found = [*Remedies(points, model.family, model.n_components).of(error), *stronger]
        raise error.advised(alternatives(found)) from None


def _without_rows(labels: Labels, n_components: int) -> int:
    """Return the number of components to which no row may belong."""
    return int((labels.of_components(n_components).sum(axis=0) == 0).sum())


def _stronger(model: MixtureModel, method: str) -> str:
    """Describe a method or a prior under which no covariance is singular."""
    held = model.covariances.keeps_regular
    if ENGINES[method].ignores_priors:
        return "method='map'" if held else f"method='map' with {WISHART}"
    return "a stronger prior of the covariances" if held else f"a stronger prior, such as {WISHART}"
