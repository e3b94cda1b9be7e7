"""Range and spread of data, from which default priors are computed."""

from dataclasses import dataclass

from bayesgmm.errors import DataError
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing, plural

DROP = "Drop constant columns"


@dataclass(frozen=True)
class Summary:
    """Range and spread of the data, in data units, from which default priors are computed.

    Parameters
    ----------
    columns : tuple of D str
    n_points : int
        Rows whose weight is not zero.
    mean, midrange, range, variance : (D,) float
    """

    columns: tuple[str, ...]
    n_points: int
    mean: Array
    midrange: Array
    range: Array
    variance: Array

    def varied_range(self) -> Array:
        """Return the range of each column (D,).

        Raises
        ------
        DataError
            When a column is constant, so that the data can't set the scale of a prior.
        """
        constant = [name for name, r in zip(self.columns, self.range, strict=True) if not r > 0]
        if constant:
            rows = plural(self.n_points, "row")
            raise DataError(
                f"{'column' if len(constant) == 1 else 'columns'} {listing(constant)} "
                f"{'is' if len(constant) == 1 else 'are'} constant ({rows}): that distinguishes no clusters, and the "
                "data can't set the scale of a prior.\n"
                f"  {DROP}, or declare both means=NormalMeans(location=..., scale=...) "
                "and covariances=WishartPrecision(scale=...)."
            )
        return self.range
