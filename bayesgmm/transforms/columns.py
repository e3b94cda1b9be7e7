"""The transforms of all columns of a table: a declared value that a fit stores, and that its answers undo."""

from collections.abc import Sequence

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.declared import Declared
from bayesgmm.errors import DataError
from bayesgmm.sweep.stats import Array
from bayesgmm.transforms.curves import AnyCurve
from bayesgmm.wording import listing


class ColumnTransforms(Declared):
    r"""Transform of each column of a table, from data units to the scale on which a mixture is fitted.

    With :math:`z_j = T_j(x_j)` the density in data units is

    .. math:: p(x) = p(z) \prod_j T_j'(x_j).

    Parameters
    ----------
    columns : dict of str to Curve or None
        The columns in their order: a ``Power`` or ``Arcsinh``, or None for a column that stays as it is.

    Examples
    --------
    >>> from bayesgmm.transforms.curves import Power
    >>> transforms = ColumnTransforms({"income": Power(0, start=1.0), "age": None})
    >>> transforms.fitted_names
    ('log(income)', 'age')
    >>> transforms.forward(np.array([[1.0, 30.0]])).tolist()
    [[0.0, 30.0]]
    """

    columns: dict[str, AnyCurve | None]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in data units."""
        return tuple(self.columns)

    @property
    def fitted_names(self) -> tuple[str, ...]:
        """Names of the columns after the transform; all are different."""
        names: list[str] = []
        for name, curve in self.columns.items():
            shown = name if curve is None else curve.named(name)
            while shown in names or (curve is not None and shown in self.columns):
                shown += "'"
            names.append(shown)
        return tuple(names)

    @property
    def changed(self) -> dict[str, str]:
        """Names after the transform of the columns that change."""
        named = zip(self.columns.items(), self.fitted_names, strict=True)
        return {name: fitted for (name, curve), fitted in named if curve is not None}

    @property
    def n_parameters(self) -> int:
        """Number of estimated parameters."""
        return sum(curve.n_parameters for curve in self.columns.values() if curve is not None)

    def forward(self, values: Array) -> Array:
        """Transform values (..., D) in data units."""
        return self._each("forward", values)

    def inverse(self, values: Array) -> Array:
        """Return transformed values (..., D) to data units."""
        return self._each("inverse", values)

    def log_slope(self, values: Array) -> Array:
        """Logarithm of the Jacobian (...,) at values (..., D) in data units; NaN is missing and adds nothing."""
        columns = [(curve, values[..., j]) for j, curve in enumerate(self.columns.values()) if curve is not None]
        parts = [np.where(np.isnan(column), 0.0, curve.log_slope(column)) for curve, column in columns]
        return np.sum(parts, axis=0) if parts else np.zeros(values.shape[:-1])

    def applied(self, points: Points) -> Points:
        """Transform points in data units, found by their column names; row labels and weights are kept.

        Raises
        ------
        DataError
            If a column is missing, or a transform changes points that have errors of measurement.
        """
        if points.noise is not None:
            self.require_none("noise")
        if missing := [name for name in self.names if name not in points.columns]:
            raise DataError(f"the transforms are for {listing(self.names)}; the data lack {listing(missing)}")
        if points.columns == self.names and not self.changed:
            return points
        values = points.values[:, [points.columns.index(name) for name in self.names]]
        return Points(self.forward(values), self.fitted_names, points.index, points.weights, labels=points.labels)

    def require_none(self, what: str) -> None:
        """Check that no column changes.

        Raises
        ------
        DataError
            If one does; ``what`` is the argument that needs columns in data units.
        """
        if self.changed:
            raise DataError(
                f"{what}= is for columns in data units; transformed are {listing([*self.changed])}\n"
                "  Errors of a transformed column are not Gaussian: fit without transforms, or transform values and "
                "standard errors yourself."
            )

    def chosen(self, names: Sequence[str]) -> "ColumnTransforms":
        """Return the transforms of some columns, which exist."""
        return ColumnTransforms({name: self.columns[name] for name in names})

    def _each(self, way: str, values: Array) -> Array:
        if not self.changed:
            return values
        answer = np.array(values, np.float64)
        for j, curve in enumerate(self.columns.values()):
            if curve is not None:
                answer[..., j] = getattr(curve, way)(answer[..., j])
        return answer
