"""Assignments as a table: one row for each point."""

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from bayesgmm.data.points import DataLike
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.predictions.predictive import assignments

if TYPE_CHECKING:
    import pandas as pd


@takes_fit
def assignments_table(
    fit: FitLike, data: DataLike | None = None, *, noise: ArrayLike | None = None, draws: int | None = DRAWS
) -> "pd.DataFrame":
    """Compute the assignments of points to components, as a table.

    Parameters
    ----------
    fit : DataTree or estimator
    data, noise, draws
        As in ``assignments``.

    Returns
    -------
    DataFrame
        A row for each point, with the index of the data: ``label``, the most probable component; ``entropy``, how
        uncertain the label is, from 0 to 1; ``uncertainty``, one minus the probability of the label;
        ``probability_0`` and so on, the probability of each component (by its name, if it has one); and with a
        background, ``background``.

    Raises
    ------
    DataError
        When the data lack a column of the fit, or hold a value that is missing or not a number.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> import pandas as pd
    >>> x = pd.DataFrame({"size": [-1.0, 0.0, 1.0, 9.0, 10.0, 11.0]}, index=list("abcdef"))
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> table = bg.assignments_table(fit)
    >>> list(table), table.index.tolist()
    (['label', 'entropy', 'uncertainty', 'probability_0', 'probability_1'], ['a', 'b', 'c', 'd', 'e', 'f'])
    >>> float(bg.assignments_table(fit, [[5.0]])["uncertainty"].iloc[0].round(3))
    0.5
    """
    from bayesgmm.whole_tables import WholeTable

    answer = assignments(fit, data, noise=noise, draws=draws)
    probability = answer["probability"].transpose("point", "component")
    columns = {
        "label": answer["component"].values[answer["label"].values],
        "entropy": answer["entropy"].values,
        "uncertainty": 1 - probability.max("component").values,
    }
    columns |= {f"probability_{name}": probability.sel(component=name).values for name in answer["component"].values}
    if "background" in answer:
        columns["background"] = answer["background"].values
    return WholeTable(columns, index=answer.indexes["point"])
