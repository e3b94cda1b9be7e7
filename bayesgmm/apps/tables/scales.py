"""The scale on which the columns of a table are fitted: rounded values are spread, and skewed columns transformed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import as_points
from bayesgmm.model_selection.transform_choice import MIN_GAIN, Transform, choose_transforms
from bayesgmm.posterior.schema import points_for
from bayesgmm.screening.dependence import numbers_of
from bayesgmm.screening.lattices import lattice_of
from bayesgmm.transforms.columns import ColumnTransforms

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Scales:
    """Rows as they are fitted.

    Parameters
    ----------
    rows : (N, D) DataFrame
        In data units, rounded values spread within the rounding.
    transform : ColumnTransforms, optional
        None if no column is transformed.
    spread_out : dict of str to str
        Columns whose values were spread, each with a description of its rounding.
    """

    rows: "pd.DataFrame"
    transform: ColumnTransforms | None = None
    spread_out: dict[str, str] = field(default_factory=dict)

    @property
    def fitted(self) -> "pd.DataFrame":
        """The rows in transformed columns."""
        if self.transform is None:
            return self.rows
        import pandas as pd

        points = self.transform.applied(as_points(self.rows, gaps=True))
        return pd.DataFrame(points.values, index=self.rows.index, columns=list(points.columns))

    def words(self) -> list[str]:
        """Say which columns are transformed, and which values are spread: one sentence per line."""
        lines = []
        if self.spread_out:
            columns = ", ".join(f"{name!r} ({words})" for name, words in self.spread_out.items())
            lines.append(
                f"repeated values are fitted as random values within the rounding, so that no Gaussian can shrink onto "
                f"a single one: {columns}"
            )
        changed = {} if self.transform is None else self.transform.changed
        lines += [f"column {name!r} is fitted as {fitted}" for name, fitted in changed.items()]
        if changed:
            lines.append("transform='none' fits the columns as they are")
        return lines


def scales_of(
    rows: "pd.DataFrame",
    transform: Transform,
    covariance: str | Sequence[str],
    seed: int,
    min_gain: float = MIN_GAIN,
) -> Scales:
    """Spread the rounded values of a table, and choose transforms of its columns.

    Parameters
    ----------
    rows : (N, D) DataFrame
        Numbers; NaN where one is missing.
    transform, covariance, min_gain
        As in ``choose_transforms``.
    seed : int
        The same seed spreads the values in the same way.

    Raises
    ------
    DataError, DeclarationError
        As from ``choose_transforms``.

    Examples
    --------
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"rooms": rng.poisson(4, 300), "price": np.exp(rng.normal(12, 1, 300))})
    >>> scales = scales_of(table, "auto", "full", 0)
    >>> scales.spread_out, [*scales.fitted.columns]
    ({'rooms': 'rounded to 1'}, ['rooms', 'log(price)'])
    """
    rng, columns, found = np.random.default_rng((seed, 14)), {}, {}
    for name in rows.columns:
        x = numbers_of(rows[[name]])[:, 0].copy()
        seen = ~np.isnan(x)
        if (lattice := lattice_of(x[seen])) is not None:
            x[seen] = lattice.spread_out(x[seen], rng)
            columns[name], found[str(name)] = x, lattice.words
    spread = rows.assign(**columns) if columns else rows
    chosen = choose_transforms(spread, transform, covariance=covariance, min_gain=min_gain, seed=seed)
    return Scales(spread, chosen if chosen.changed else None, found)


def scales_again(
    rows: "pd.DataFrame", kept: "NDArray[np.bool_]", first: ColumnTransforms | None, **settings: Any
) -> Scales:
    """Choose the scales of rows again without some of them; a column keeps its first transform if those need it.

    Without its lowest values a column can be positive. On a logarithmic scale for the others, these values would be
    very far from all others for that reason alone.

    Parameters
    ----------
    rows : (N, D) DataFrame
    kept : (N,) bool
    first : ColumnTransforms, optional
        The transforms of all rows; None if no column is transformed.
    settings
        As in ``scales_of``.
    """
    again = scales_of(rows[kept], **settings)
    if again.transform is None:
        return again
    low = dict(zip(again.transform.names, np.nanmin(numbers_of(rows), axis=0), strict=True))
    curves = {
        name: curve if curve is None or curve.lowest <= low[name] else first.columns[name] if first else None
        for name, curve in again.transform.columns.items()
    }
    transform = ColumnTransforms(curves)
    return replace(again, transform=transform if transform.changed else None)


def holding(tree: "xr.DataTree", rows: "pd.DataFrame") -> "xr.DataTree":
    """Return a copy of a fit that holds rows as they are, in place of those whose values were spread."""
    import xarray as xr

    tree = tree.copy()
    data = tree["observed_data"].to_dataset()
    x = points_for(tree, rows).values
    tree["observed_data"] = xr.DataTree(data.assign(x=(("point", "feature"), x)))
    return tree
