"""Posterior predictive check of each column and each pair of columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.diagnosis.predictions import LEVEL, margins, misfits
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.columns import show_columns, write_note
from bayesgmm.plots.panels import (
    despine,
    font_size,
    panel_grid,
    root_of,
)
from bayesgmm.plots.style import (
    COLOURS,
    grey,
    literal,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import observed
from bayesgmm.wording import printable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

SIMULATIONS = 1000  # number of simulated data sets for the band
BAND_POINTS = 500  # maximum number of points of a curve
PANEL = (4.1, 3.2)  # width and height of a panel in inches
FLOOR = 1e-4  # smaller p-values have the same colour


@takes_fit
def check_data(fit: FitLike, columns: Sequence[str] | None = None, ci_prob: float = 0.95) -> "xr.Dataset":
    """Compute the data of ``check`` [1]_.

    Parameters
    ----------
    fit : DataTree or estimator
    columns : sequence of str, optional
        Columns. Default: the six in which the components differ most. P-values are corrected for all columns of the
        fit.
    ci_prob : float
        Probability that the whole curve of a column lies in the band if the model is right.

    Returns
    -------
    Dataset
        ``pit`` [feature, point], the posterior mean of each column's distribution function at the points (probability
        integral transform); ``level`` [step] and ``difference`` [feature, step], the share of the points with a ``pit``
        below each level, minus the level; ``band`` [step, ci_bound], simultaneous; ``p_value`` [feature, feature_bis],
        corrected for multiple tests: of single columns on the diagonal, of the dependence of two columns beside it;
        ``tail_p_value`` [feature].

    Raises
    ------
    DataError
        When there is no such column.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    References
    ----------
    .. [1] Säilynoja, Bürkner & Vehtari (2022), Stat. Comput. 32, 32.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> check_data(fit)["pit"].values.round(1)
    array([[0. , 0.2, 0.4, 0.5, 0.6, 0.8, 0.9]])
    """
    import xarray as xr
    from arviz_stats.ecdf_utils import compute_ecdf, ecdf_pit

    ci_prob = probability("ci_prob", ci_prob)
    known = observed(fit).columns
    shown = show_columns(known, columns, aligned(fit).parameters)
    chosen = shown.columns
    pit = margins(fit)[chosen]
    if pit.shape[1] > BAND_POINTS:
        pit = pit[:, np.linspace(0, pit.shape[1] - 1, BAND_POINTS).round().astype(int)]
    level, _, lower, upper = ecdf_pit(pit[0], ci_prob, SIMULATIONS, rng=np.random.default_rng(0))
    difference = np.stack([compute_ecdf(values, level) for values in pit]) - level
    names = [known[j] for j in chosen]
    return xr.Dataset(
        {
            "pit": (("feature", "point"), pit),
            "difference": (("feature", "step"), difference),
            "band": (("step", "ci_bound"), np.stack([lower, upper], axis=1) - level[:, None]),
            **_p_values(fit, names),
        },
        coords={"level": ("step", level), "feature": names, "feature_bis": names, "ci_bound": ["lower", "upper"]},
        attrs={"ci_prob": ci_prob, "note": shown.note},
    )


def _p_values(fit: "xr.DataTree", names: list[str]) -> dict[str, object]:
    compared = {(misfit.kind, *misfit.columns): misfit.adjusted for misfit in misfits(fit)}
    square = np.array([[_of_pair(compared, a, b) for b in names] for a in names])
    return {
        "p_value": (("feature", "feature_bis"), square),
        "tail_p_value": ("feature", np.array([compared["tails", name] for name in names])),
    }


def _of_pair(compared: dict[tuple[str, ...], float], a: str, b: str) -> float:
    return compared["margin", a] if a == b else compared.get(("pair", a, b), compared.get(("pair", b, a), float("nan")))


@takes_fit
@literal
def check(
    fit: FitLike,
    columns: Sequence[str] | None = None,
    ci_prob: float = 0.95,
    *,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure":
    """Plot a posterior predictive check of the columns and of their dependence.

    A panel for each column: the share of the points below each quantile of the model, minus the expected share. If the
    model is right, the curve stays in the band. A curve that is first negative and then positive: the column is too
    wide in the model. A curve that leaves the band at an end: the tails differ. Last panel: p-values of single columns
    (diagonal) and of the dependence of two columns; dark cells are misfits. Missing values, and true values where there
    are errors of measurement, are drawn from the posterior, given what was measured.

    Parameters
    ----------
    fit : DataTree or estimator
    columns : sequence of str, optional
        Columns to show. Default: the six in which the components differ most.
    ci_prob : float
        Probability of the band.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels.

    Raises
    ------
    DataError
        When there is no such column.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = check(fit)
    >>> figure.axes[0].get_xlabel()
    'quantile of the model'
    >>> plt.close(figure)
    """
    return draw_check(check_data(fit, columns, ci_prob), figure)


def draw_check(
    data: "xr.Dataset", figure: "Figure | SubFigure | None" = None, curves: Sequence[int] | None = None
) -> "Figure":
    """Draw the data of ``check``; with the curves of some of the columns only, if they are given by their positions."""
    chosen = range(data.sizes["feature"]) if curves is None else curves
    several = data.sizes["feature"] > 1
    figure, axes = panel_grid(len(chosen) + several, *PANEL, figure)
    largest = 1.12 * max(float(np.abs(data["difference"]).max()), float(np.abs(data["band"]).max()))
    for j, axis in zip(chosen, axes, strict=False):
        _draw_difference(axis, data, j, largest)
    axes[0].set_ylabel("share of the data below,\nminus expected", fontsize=font_size(axes[0], *PANEL))
    if several:
        _draw_pairs(figure, axes[-1], data)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    write_note(figure, data)
    return root_of(figure)


def _draw_difference(axis: "Axes", data: "xr.Dataset", j: int, largest: float) -> None:
    level, curve, band = data["level"].values, data["difference"].values[j], data["band"].values
    axis.fill_between(level, band[:, 0], band[:, 1], color=grey(0.85), lw=0, label=f"{data.attrs['ci_prob']:.0%} band")
    axis.axhline(0, color=grey(0.5), lw=0.8)
    axis.plot(level, curve, color=COLOURS[0], lw=1.4, drawstyle="steps-post", label="data")
    out = (curve < band[:, 0] - 1e-12) | (curve > band[:, 1] + 1e-12)
    axis.plot(level[out], curve[out], ls="", marker=".", ms=4, color=COLOURS[5], label="outside the band")
    margin, tail = float(data["p_value"].values[j, j]), float(data["tail_p_value"].values[j])
    size = font_size(axis, *PANEL)
    axis.set_title(f"{data['feature'].values[j]}\nshape {_named(margin)}, tails {_named(tail)}", fontsize=size)
    axis.set_ylim(-largest, largest)
    axis.set_xlabel("quantile of the model", fontsize=size)
    axis.tick_params(labelsize=size)
    despine(axis)


def _draw_pairs(figure: "Figure | SubFigure", axis: "Axes", data: "xr.Dataset") -> None:
    from matplotlib.colors import LogNorm

    names, p_value = [printable(str(name)) for name in data["feature"].values], data["p_value"].values
    lower = np.where(np.tri(len(names), dtype=bool), p_value, np.nan)
    size = font_size(axis, *PANEL, smallest=0.35)
    image = axis.imshow(np.maximum(lower, FLOOR), cmap="cividis", norm=LogNorm(FLOOR, 1))
    for a in range(len(names)):
        for b in range(a + 1):
            ink = "white" if p_value[a, b] < 0.03 else "black"
            weight = "bold" if p_value[a, b] < LEVEL else "normal"
            axis.text(
                b, a, _shown(p_value[a, b]), ha="center", va="center", color=ink, fontsize=0.8 * size, weight=weight
            )
    axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=size)
    axis.set_yticks(range(len(names)), names, fontsize=size)
    axis.spines[:].set_visible(False)
    axis.set_title("corrected p-values: dependence\nof two columns; single columns", fontsize=size)
    figure.colorbar(image, ax=axis, shrink=0.8).ax.tick_params(labelsize=size)


def _shown(p_value: float) -> str:
    """Format a p-value with few digits.

    Examples
    --------
    >>> _shown(0.0312), _shown(1.0), _shown(2e-9)
    ('0.031', '1', '<1e-4')
    """
    return f"<{FLOOR:.0e}".replace("e-0", "e-") if p_value < FLOOR else f"{p_value:.{2 if p_value >= 0.01 else 1}g}"


def _named(p_value: float) -> str:
    """Format a p-value as ``p = ...``.

    Examples
    --------
    >>> _named(0.5), _named(1e-9)
    ('p = 0.5', 'p < 1e-4')
    """
    shown = _shown(p_value)
    return f"p < {shown[1:]}" if shown.startswith("<") else f"p = {shown}"
