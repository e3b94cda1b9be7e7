"""Whether data from the model would look like the data: column by column, and pair by pair."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.diagnosis.predictions import LEVEL, margins, misfits
from bayesgmm.plots.style import COLOURS, choose_columns
from bayesgmm.posterior.schema import observed

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIMULATIONS = 1000  # data sets that the band is made from
BAND_POINTS = 500  # a curve with more tells a reader no more
FLOOR = 1e-4  # p-values below have one colour


def check_data(fit: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.95) -> "xr.Dataset":
    """What ``check`` draws.

    Parameters
    ----------
    fit : DataTree
    columns : sequence of str, optional
        Columns to show; the first six unless told. P-values are corrected for all columns, shown or not.
    ci_prob : float
        Probability that the whole of a right column's curve lies in the band.

    Returns
    -------
    Dataset
        ``pit`` [feature, point], the posterior mean of each column's distribution function at the points; ``level``
        [step] and ``difference`` [feature, step], how much larger a share of the points lies below each level than
        should; ``band`` [step, ci_bound], simultaneous; ``p_value`` [feature, feature_bis], corrected: of a column by
        itself on the diagonal, of how two columns go together beside it; ``tail_p_value`` [feature].

    References
    ----------
    .. [1] Säilynoja, Bürkner & Vehtari (2022), Stat. Comput. 32, 32.
    """
    import xarray as xr
    from arviz_stats.ecdf_utils import compute_ecdf, ecdf_pit

    ci_prob = probability("ci_prob", ci_prob)
    known = observed(fit).columns
    chosen = choose_columns(known, columns)
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
        attrs={"ci_prob": ci_prob},
    )


def _p_values(fit: "xr.DataTree", names: list[str]) -> dict[str, Any]:
    compared = {(misfit.kind, *misfit.columns): misfit.adjusted for misfit in misfits(fit)}
    square = np.array([[_of_pair(compared, a, b) for b in names] for a in names])
    return {
        "p_value": (("feature", "feature_bis"), square),
        "tail_p_value": ("feature", np.array([compared["tails", name] for name in names])),
    }


def _of_pair(compared: dict[Any, float], a: str, b: str) -> float:
    return compared["margin", a] if a == b else compared.get(("pair", a, b), compared.get(("pair", b, a), float("nan")))


def check(fit: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.95) -> "Figure":
    """Whether data from the model would look like the data.

    A panel a column: by how much a larger share of the points lies below each of the model's quantiles than should. A
    right model's curve stays in the band; a valley and then a hill is a column that the model makes too wide, a
    curve that leaves at the ends has other tails. The last panel: p-values of how each two columns go together, and of
    each column on the diagonal; dark ones are misfits.

    Parameters
    ----------
    fit : DataTree
    columns : sequence of str, optional
        Columns to show; the first six unless told.
    ci_prob : float
        Of the band.
    """
    import matplotlib.pyplot as plt

    data = check_data(fit, columns, ci_prob)
    d = data.sizes["feature"]
    panels = d + (d > 1)
    across = min(panels, 3)
    down = -(-panels // across)
    figure, axes = plt.subplots(
        down, across, figsize=(max(4.1 * across, 5.5), 3.2 * down), squeeze=False, layout="constrained"
    )
    largest = 1.12 * max(float(np.abs(data["difference"]).max()), float(np.abs(data["band"]).max()))
    for j, axis in enumerate(axes.flat[:d]):
        _draw_difference(axis, data, j, largest)
    if d > 1:
        _draw_pairs(figure, axes.flat[d], data)
    for axis in axes.flat[panels:]:
        axis.set_visible(False)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_difference(axis: "Axes", data: "xr.Dataset", j: int, largest: float) -> None:
    level, curve, band = data["level"].values, data["difference"].values[j], data["band"].values
    axis.fill_between(level, band[:, 0], band[:, 1], color="0.85", lw=0, label=f"{data.attrs['ci_prob']:.0%} band")
    axis.axhline(0, color="0.5", lw=0.8)
    axis.plot(level, curve, color=COLOURS[0], lw=1.4, drawstyle="steps-post", label="data")
    out = (curve < band[:, 0] - 1e-12) | (curve > band[:, 1] + 1e-12)
    axis.plot(level[out], curve[out], ls="", marker=".", ms=4, color=COLOURS[5], label="outside the band")
    margin, tail = float(data["p_value"].values[j, j]), float(data["tail_p_value"].values[j])
    axis.set_title(f"{data['feature'].values[j]}\nshape {_named(margin)}, tails {_named(tail)}", fontsize="medium")
    axis.set_ylim(-largest, largest)
    axis.set_xlabel("quantile of the model")
    axis.spines[["top", "right"]].set_visible(False)
    if j == 0:
        axis.set_ylabel("share of the data below it,\ntoo much or too little")


def _draw_pairs(figure: "Figure", axis: "Axes", data: "xr.Dataset") -> None:
    from matplotlib.colors import LogNorm

    names, p_value = data["feature"].values, data["p_value"].values
    lower = np.where(np.tri(len(names), dtype=bool), p_value, np.nan)
    image = axis.imshow(np.maximum(lower, FLOOR), cmap="cividis", norm=LogNorm(FLOOR, 1))
    for a in range(len(names)):
        for b in range(a + 1):
            ink = "white" if p_value[a, b] < 0.03 else "black"
            weight = "bold" if p_value[a, b] < LEVEL else "normal"
            axis.text(b, a, _shown(p_value[a, b]), ha="center", va="center", color=ink, fontsize="small", weight=weight)
    axis.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.spines[:].set_visible(False)
    axis.set_title("p-values, corrected:\ntwo columns together; each by itself", fontsize="medium")
    figure.colorbar(image, ax=axis, shrink=0.8)


def _shown(p_value: float) -> str:
    """A p-value in few digits.

    Examples
    --------
    >>> _shown(0.0312), _shown(1.0), _shown(2e-9)
    ('0.031', '1', '<1e-4')
    """
    return f"<{FLOOR:.0e}".replace("e-0", "e-") if p_value < FLOOR else f"{p_value:.{2 if p_value >= 0.01 else 1}g}"


def _named(p_value: float) -> str:
    """A p-value with its letter.

    Examples
    --------
    >>> _named(0.5), _named(1e-9)
    ('p = 0.5', 'p < 1e-4')
    """
    shown = _shown(p_value)
    return f"p < {shown[1:]}" if shown.startswith("<") else f"p = {shown}"
