"""Choice of the columns of a figure: those in which the components differ most; a note where others are left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.columns import column_names
from bayesgmm.errors import DataError, did_you_mean
from bayesgmm.plots.style import grey
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure, SubFigure

MAX_COLUMNS = 6  # default maximum number of columns in a figure


@dataclass(frozen=True)
class Shown:
    """Indices of the columns of a figure, in the order of the data, and a note where the figure chose them."""

    columns: list[int]
    note: str = ""


def show_columns(
    known: tuple[str, ...], wanted: Sequence[str] | None, p: Parameters | None = None, maximum: int = MAX_COLUMNS
) -> Shown:
    """Choose the columns to show; by default those in which the components differ most.

    Parameters
    ----------
    known : tuple of str
        All columns.
    wanted : sequence of str, optional
        The columns that the user asks for.
    p : Parameters, optional
        Draws of the components; without them, or with one component, the first columns are shown.
    maximum : int
        Maximum number of columns, if the user asks for none.

    Raises
    ------
    DataError
        When there is no such column.

    Examples
    --------
    >>> show_columns(("a", "b", "c"), None, maximum=2)
    Shown(columns=[0, 1], note='the first 2 of 3 columns')
    >>> show_columns(("a", "b", "c"), ["c", "a"])
    Shown(columns=[2, 0], note='')
    """
    if wanted is not None:
        return Shown(named_columns(known, wanted))
    if len(known) <= maximum:
        return Shown(list(range(len(known))))
    share = f"{maximum} of {plural(len(known), 'column')}"
    if p is None or p.weight.shape[-1] == 1:
        return Shown(list(range(maximum)), f"the first {share}")
    return Shown(most_different(p, maximum), f"{share}: those in which the components differ most")


def named_columns(known: tuple[str, ...], wanted: Sequence[str]) -> list[int]:
    """Return the indices of columns.

    Raises
    ------
    DataError
        When there is no such column.
    """
    names = column_names(wanted)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, dict.fromkeys(known))
            raise DataError(f"the fit has no column {name!r}; it has {listing(known)}{hint}")
    return [known.index(name) for name in names]


def most_different(p: Parameters, maximum: int) -> list[int]:
    """Return the columns whose variance lies most between the components, in the order of the data."""
    return sorted(np.argsort(-_between(p), kind="stable")[:maximum].tolist())


def _between(p: Parameters) -> Array:
    """(D,) variance between the components over the mean variance within them, for each column."""
    weight, mean = p.weight.mean(axis=0), p.mean.mean(axis=0)
    within = np.diagonal(p.covariance, axis1=-2, axis2=-1).mean(axis=0)
    return (weight @ (mean - weight @ mean) ** 2) / (weight @ within)


def write_note(figure: "Figure | SubFigure", data: "xr.Dataset") -> None:
    """Write below a figure which columns it shows, if it chose them."""
    if data.attrs.get("note"):
        figure.supxlabel(data.attrs["note"], fontsize="small", color=grey(0.35))
