"""Rows whose label contradicts their values and all other labels."""

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.declared import probability
from bayesgmm.errors import DataError, warn
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.cross_conformal import smoothed
from bayesgmm.predictions.cross_validation import khat_limit
from bayesgmm.sweep.stats import Array, draw_responsibilities
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

DRAWS = 1000  # maximum number of draws
MIN_DRAWS = 5  # fewer are not smoothed
SLICE = 20_000_000  # numbers at a time
ERROR_RATE = 0.01
REFIT = "Fit again without this label, and look at the row in bg.assignments."
POSSIBLE = 0.05  # probability above which a label may be wrong if its estimate is too small


@takes_fit
def label_errors(fit: FitLike, *, error_rate: float = ERROR_RATE) -> "pd.DataFrame":
    r"""Compute the probability that the label of a row is wrong, given its values and all other labels.

    Without its own label, row n came from component k with probability

    .. math:: p_{nk} = \mathrm{E}_{-n}\left[\frac{w_k \mathrm{Normal}(x_n \mid \mu_k, \Sigma_k)}{p(x_n)}\right],

    where the draws count in inverse proportion to the probability of its label (smoothed: PSIS [1]_). The label agrees
    with its values with probability :math:`a_n = \sum_k t_{nk} p_{nk}`, where t are the plausibilities: 1 for the
    component of a label, 0 for the others. If a share :math:`\varepsilon` of all labels is wrong, and a wrong one is
    any of the others, it is wrong with probability

    .. math:: \frac{\varepsilon (1 - a_n) / (K - 1)}{\varepsilon (1 - a_n) / (K - 1) + (1 - \varepsilon) a_n}.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit with labels.
    error_rate : float
        Share of labels that are expected to be wrong, before the values are seen.

    Returns
    -------
    DataFrame
        One row for each row with a label, the most probably wrong first: ``label``, ``agreement`` (the probability that
        its values and the other labels give to its label), ``component`` (the most probable one without its label),
        ``wrong`` (the probability that the label is wrong) and ``khat`` (Pareto k-hat: where it is above 0.67, few
        draws count, and ``agreement`` is imprecise; NaN for a point estimate). The index is that of the data.

    Raises
    ------
    DataError
        When the fit has no labels.
    DeclarationError
        When ``error_rate`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Warns
    -----
    FitWarning
        Where a label may be wrong, and k-hat is high: its probability is then too small rather than too large, because
        the fit has seen the label.

    References
    ----------
    .. [1] Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25(72), 1-58.

    Examples
    --------
    The last row has the values of a high one, and the label of a low one.

    >>> import bayesgmm as bg
    >>> x, y = [[0.0], [1.0], [2.0], [9.0], [10.0], [11.0], [9.5]], ["low"] * 3 + ["high"] * 3 + ["low"]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", labels=y, progress=False)
    >>> bg.label_errors(fit).iloc[0][["label", "component"]].tolist()
    ['low', 'high']
    """
    table, _, unsure = judged_labels(fit, probability("error_rate", error_rate))
    if len(unsure):
        warn([f"{possibly_wrong(unsure)} {REFIT}"])
    return table


def possibly_wrong(unsure: "pd.DataFrame") -> str:
    """Describe rows of the table of ``label_errors`` that may be more likely wrong than right."""
    worst = unsure.iloc[0]
    return (
        f"{plural(len(unsure), 'label', 'labels')} may be wrong, that of row {worst.name} first: its probability, "
        f"{worst['wrong']:.2f}, comes from few draws (Pareto k-hat {worst['khat']:.2f}), and is probably too small."
    )


def judged_labels(fit: "xr.DataTree", rate: float = ERROR_RATE) -> tuple["pd.DataFrame", float, "pd.DataFrame"]:
    """Compute the table of ``label_errors``.

    Returns
    -------
    DataFrame
        The table.
    float
        How many rows would be more likely wrong than right if all were right.
    DataFrame
        Those of its rows that may be more likely wrong than right, because k-hat is high.

    Raises
    ------
    DataError, FitFileError
        As ``label_errors``.
    """
    import pandas as pd

    points = observed(fit)
    if points.labels is None:
        raise DataError("this fit has no labels: fit(..., labels=y) uses them")
    rows = np.flatnonzero(points.labels.informative)
    names = fit["posterior"].coords["component"].values
    chance, khat, n_draws = left_out_probabilities(fit, rows)
    plausible = points.labels.of_components(len(names))[rows]
    others = max(chance.shape[1] - 1, 1)
    agreement = np.clip((plausible * chance[:, : len(names)]).sum(axis=1), 0.0, 1.0)
    against = rate * (1 - agreement) / others
    with np.errstate(invalid="ignore"):
        wrong = np.nan_to_num(against / (against + (1 - rate) * agreement))
    columns = {
        "label": [_label(one, names) for one in plausible],
        "agreement": agreement,
        "component": names[chance[:, : len(names)].argmax(axis=1)],
        "wrong": wrong,
        "khat": khat,
    }
    table = pd.DataFrame(columns, index=pd.Index(points.index[rows], name="point"))
    unlikely = chance < rate / (rate + (1 - rate) * others)
    ordered = table.sort_values("wrong", ascending=False, kind="stable")
    unsure = (ordered["khat"] > khat_limit(max(n_draws, MIN_DRAWS))) & ordered["wrong"].between(POSSIBLE, 0.5)
    return ordered, float((chance * unlikely).sum()), ordered[unsure]


def _label(plausible: Array, names: Array) -> object:
    """Return the name of the component of a label; of several plausible ones their names."""
    allowed = names[plausible > 0]
    return allowed[0] if len(allowed) == 1 else f"one of {plural(len(allowed), 'component')}"


def left_out_probabilities(fit: "xr.DataTree", rows: NDArray[np.intp]) -> tuple[Array, Array, int]:
    """Compute the probabilities (M, K) of the components of rows without their own labels.

    The last column is that of a background, if there is one.

    Returns
    -------
    (M, K) float
        The probabilities.
    (M,) float
        Pareto k-hat; NaN if there are too few draws for smoothing.
    int
        Number of draws.
    """
    points, posterior = observed(fit), as_modelled(fit).thin(DRAWS)
    tables = posterior.tables()
    n_draws, n_components = tables.offset.shape
    step, parts = max(1, SLICE // (n_draws * n_components)), []
    for start in range(0, len(rows), step):
        part = points.take(rows[start : start + step])
        share = draw_responsibilities(posterior.standard.blocks(part.unlabelled()), tables, os.cpu_count() or 1)
        assert part.labels is not None
        own = (share * part.labels.of_components(n_components)).sum(axis=2).T
        weight, khat = np.full(own.shape, 1.0 / n_draws), np.full(len(own), np.nan)
        if n_draws >= MIN_DRAWS:
            weight, khat = smoothed(-np.log(np.maximum(own, np.finfo(float).tiny)))
        parts.append((np.einsum("ns,snk->nk", weight, share), khat))
    chance, khats = (np.concatenate(part) for part in zip(*parts, strict=True))
    return chance, khats, n_draws
