"""Rows of a table that do not belong: found, ranked, explained."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.apps.tables.columns import Usable, as_frame, beside, complete_rows, usable
from bayesgmm.apps.tables.novelty import (
    BACKGROUND_MUST_PAY,
    COMPONENTS,
    DRAWS,
    MUST_PAY,
    Choice,
    candidates,
    expected_of,
    log_p_values,
    null_of,
    reference_of,
    simplest,
    structure,
    with_expected,
    with_null,
    with_reference,
)
from bayesgmm.data.points import select
from bayesgmm.declared import probability, whole
from bayesgmm.engines import engine_named
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.inference import fit
from bayesgmm.posterior.contamination import background as background_of
from bayesgmm.predictions.anomalies import rank_p_values, warn_of_few
from bayesgmm.predictions.predictive import mean_log_density
from bayesgmm.predictions.reasons import explain_anomalies
from bayesgmm.priors.backgrounds import Background
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesgmm.sweep.stats import Array

FDR = 0.05
LEAST_HELD_OUT = 50  # rows, of which half are held back to calibrate
ROWS_EACH = 10  # rows a component


@dataclass(frozen=True)
class Rule:
    """Which points to call: exactly one of the three.

    Parameters
    ----------
    fdr : float, optional
        The share of good rows that is tolerated, on average, among those that are called (Benjamini & Hochberg).
    alpha : float, optional
        The share of good rows that is tolerated among good rows: all p-values up to it.
    top : int, optional
        So many of the strangest, whatever their p-values.
    """

    fdr: float | None = None
    alpha: float | None = None
    top: int | None = None

    @classmethod
    def of(cls, fdr: float | None, alpha: float | None, top: int | None) -> "Rule":
        """The one that was given; a false discovery rate of 0.05 where none was.

        Raises
        ------
        DeclarationError
        """
        given = {name: value for name, value in {"fdr": fdr, "alpha": alpha, "top": top}.items() if value is not None}
        if len(given) > 1:
            raise DeclarationError(f"give one of fdr, alpha and top, not {' and '.join(given)}")
        if top is not None:
            return cls(top=whole("top", top))
        if alpha is not None:
            return cls(alpha=probability("alpha", alpha))
        return cls(fdr=probability("fdr", FDR if fdr is None else fdr))

    def called(self, p_value: "Array", score: "Array") -> "tuple[Array, NDArray[np.bool_]]":
        """(N,) q-values, and (N,) which are called.

        Examples
        --------
        >>> Rule(top=1).called(np.array([0.01, 0.01, 0.9]), np.array([-20.0, -90.0, -1.0]))[1]
        array([False,  True, False])
        """
        from scipy.stats import false_discovery_control

        q_value: Array = false_discovery_control(p_value)
        if self.top is not None:
            called = np.zeros(p_value.size, dtype=np.bool_)
            called[_strangest_first(p_value, score)[: self.top]] = True
            return q_value, called
        return q_value, p_value <= self.alpha if self.alpha is not None else q_value <= (self.fdr or FDR)

    def __str__(self) -> str:
        """In words."""
        if self.top is not None:
            return f"the {self.top} strangest"
        return f"p-value up to {self.alpha:g}" if self.alpha is not None else f"false discovery rate {self.fdr:g}"


@dataclass(frozen=True)
class Anomalies:
    """What ``find_anomalies`` found.

    Parameters
    ----------
    rows : DataFrame
        A row for each of the table: ``log_density``, ``p_value``, ``q_value``, ``anomaly``, and for those that are
        called ``component`` and ``reason``. Rows that can't be judged (a value is missing) have none of these.
    fit : DataTree
        The mixture; ``judge`` takes it for other tables, also read back from a file.
    table : Usable
        What was judged; ``table.words()`` says what was left out and why.
    rule : Rule
    tried : list of Choice
        The models that were tried, and how well each tells unseen rows from made-up points.
    """

    rows: "pd.DataFrame"
    fit: "xr.DataTree"
    table: Usable
    rule: Rule
    tried: list[Choice] = field(default_factory=list)

    @property
    def flagged(self) -> "pd.DataFrame":
        """The rows that are called, with the table's own columns, the strangest first."""
        return flagged(self.rows, self.table)


def flagged(rows: "pd.DataFrame", table: Usable, every: bool = False) -> "pd.DataFrame":
    """The rows that are called, with the table's own columns, the strangest first; or every row, as they come."""
    if every:
        return beside(table.frame, rows)
    at = np.flatnonzero(rows["anomaly"])
    at = at[_strangest_first(rows["p_value"].to_numpy()[at], rows["log_density"].to_numpy()[at])]
    return beside(table.frame.iloc[at], rows.iloc[at])


def _strangest_first(p_value: "Array", score: "Array") -> "NDArray[np.intp]":
    """(N,) the order of points; of equal p-values, as few reference points give, the less dense one is stranger."""
    return np.lexsort([score, p_value])


def find_anomalies(
    data: Any,
    new: Any = None,
    *,
    columns: Sequence[str] | None = None,
    fdr: float | None = None,
    alpha: float | None = None,
    top: int | None = None,
    n_components: int | Iterable[int] = COMPONENTS,
    covariance: str = "tied",
    background: Background | None = None,
    method: str = "vb",
    seed: int = 0,
    progress: bool = True,
) -> Anomalies:
    """Find the rows of a table that do not belong, and say why.

    Mixtures with these numbers of components, each without and with a background, are asked to tell unseen rows from
    made-up points. One Gaussian is kept unless another surely mends a fifth of its errors; then the simplest is taken
    that unseen rows do not tell from the best. A background is taken where it tells one pair in a hundred more. One
    shape for all components, unless told otherwise, keeps a component from closing around a handful of anomalies.

    A table that is judged by a fit of itself has the p-values of the model, made larger where the middle half of the
    rows shows that the model is off. ``new`` rows are judged by points that the fit has not seen: half of ``data`` is
    held back for that, and the p-values of new rows from the same source are then valid whatever the model.

    Parameters
    ----------
    data : DataFrame or (N, D) array
        A table; text, constant columns and classes are left out, and rows with missing values.
    new : DataFrame or array, optional
        Rows to judge in place of those of ``data``, which are then taken to be good.
    columns : sequence of str, optional
        Columns to use.
    fdr, alpha, top : optional
        Which rows to call, one of the three: at a false discovery rate (0.05 unless told), at a p-value, or so many.
    n_components : int or iterable of int
        Numbers of components to try.
    covariance : str
        Their family.
    background : Background, optional
        What takes up outliers in ``data``. Unless told, ``Background(share=0.05)`` is tried, and taken where it helps.
    method : str
        What the chosen mixture is fitted by; any that ``fit`` knows.
    seed : int
    progress : bool

    Returns
    -------
    Anomalies

    Raises
    ------
    DataError, DeclarationError

    Examples
    --------
    >>> x = np.append(np.random.default_rng(0).normal(size=99), 40.0)
    >>> find_anomalies(x[:, None], n_components=1, progress=False).flagged["reason"].item()[:6]
    'x0 40 '
    """
    Rule.of(fdr, alpha, top)  # before the work
    learnt = learn(
        data,
        columns=columns,
        calibrated=new is not None,
        n_components=n_components,
        covariance=covariance,
        background=background,
        method=method,
        seed=seed,
        progress=progress,
    )
    if new is None:
        return learnt.judged(fdr=fdr, alpha=alpha, top=top)
    return replace(judge(learnt.fit, new, fdr=fdr, alpha=alpha, top=top), tried=learnt.tried)


@dataclass(frozen=True)
class Learnt:
    """What was learnt from a table before any row is judged.

    Parameters
    ----------
    fit : DataTree
    table : Usable
    tried : list of Choice
    """

    fit: "xr.DataTree"
    table: Usable
    tried: list[Choice]

    @property
    def choices(self) -> "pd.DataFrame":
        """What was tried: ``n_components``, ``background``, ``error``."""
        import pandas as pd

        rows = [(c.model.n_components, c.model.background is not None, c.error) for c in self.tried]
        return pd.DataFrame(rows, columns=["n_components", "background", "error"])

    def words(self) -> list[str]:
        """What was chosen and why, a sentence a line."""
        count, behind = self.fit["posterior"].sizes["component"], background_of(self.fit)
        with_it = "" if behind is None else f", and a background with a share of {behind.share:g}"
        said = [f"{plural(count, 'component')}{with_it}"]
        if any(choice.denser.size for choice in self.tried):
            errors = self.choices["error"].dropna()
            first, best = errors.iloc[0], errors.min()
            said.append(
                f"of pairs of a row and a made-up point the wrong one is denser in {first:.1%} under the simplest "
                f"mixture, in {best:.1%} under the best of {len(self.tried)}; more components must surely mend "
                f"{MUST_PAY:.0%} of those, a background {BACKGROUND_MUST_PAY:.0%} of all pairs"
            )
        return said

    def judged(self, *, fdr: float | None = None, alpha: float | None = None, top: int | None = None) -> Anomalies:
        """The rows of the table itself, judged."""
        rule = Rule.of(fdr, alpha, top)
        return Anomalies(_judged(self.fit, self.table, rule), self.fit, self.table, rule, self.tried)


def learn(
    data: Any,
    *,
    columns: Sequence[str] | None = None,
    calibrated: bool = False,
    n_components: int | Iterable[int] = COMPONENTS,
    covariance: str = "tied",
    background: Background | None = None,
    method: str = "vb",
    seed: int = 0,
    progress: bool = True,
) -> Learnt:
    """Choose and fit what ``find_anomalies`` judges by; ``calibrated`` holds half of the rows back for new ones.

    Raises
    ------
    DataError, DeclarationError
    """
    settings: dict[str, Any] = {"draws": DRAWS} if "draws" in engine_named(method).defaults else {}
    table = usable(data, columns)
    rows = table.rows
    if calibrated and len(rows) < LEAST_HELD_OUT:
        raise DataError(f"{len(rows)} rows are too few to judge others by: half of them are held back; give 50")
    counts = [n_components] if not isinstance(n_components, Iterable) else [*n_components]
    if not counts:
        raise DeclarationError("n_components=[]: give at least one number of components")
    counts = [k for k in (whole("n_components", k) for k in counts) if k == counts[0] or ROWS_EACH * k <= len(rows)]
    models = candidates(counts, covariance, [None, Background()] if background is None else [background])
    held_out = np.random.default_rng((seed, 12)).permutation(np.arange(len(rows)) % 2 == 1) & calibrated
    seen = rows[~held_out]  # p-values are valid whatever the model only where its choice did not see these rows either
    few = len(seen) < LEAST_HELD_OUT or len(models) == 1
    tried = [] if few else structure(seen, models, seed, progress)
    model = simplest(tried) if tried else models[0]
    tree = fit(model, seen, method, seed=seed, progress=progress, **settings)
    if calibrated:
        return Learnt(with_reference(tree, rows[held_out]), table, tried)
    tree = with_expected(tree)
    return Learnt(with_null(tree, _by_the_model(tree, rows)[1]), table, tried)


def usable_for(tree: "xr.DataTree", data: Any) -> Usable:
    """A table to be judged by a fit: its columns, and the rows that lack none.

    Raises
    ------
    DataError
        When the table does not have the fit's columns, or one of them is text.
    """
    import pandas as pd

    names = [str(name) for name in tree["posterior"].coords["feature"].values]
    frame = as_frame(data, names)
    chosen = select(frame, names)
    numbers = chosen.apply(pd.to_numeric, errors="coerce")
    text = [name for name in names if numbers[name].isna().all() and chosen[name].notna().any()]
    if text:
        raise DataError(f"the fit needs numbers in {', '.join(map(repr, text))}; the table has text there")
    frame = frame.assign(**numbers)
    return Usable(frame, tuple(names), {}, complete_rows(numbers))


def judge(
    tree: "xr.DataTree",
    data: Any,
    *,
    fdr: float | None = None,
    alpha: float | None = None,
    top: int | None = None,
) -> Anomalies:
    """Judge the rows of a table by a fit that was made before: that of ``find_anomalies``, or any other.

    Parameters
    ----------
    tree : DataTree
        Where it keeps scores of points that it has not seen (``find_anomalies(data, new)`` makes such a fit), p-values
        are by these; else by 100,000 points that the fit simulates, and made larger where ``find_anomalies(data)`` has
        found the model to be off.
    data : DataFrame or array
    fdr, alpha, top : optional
        As for ``find_anomalies``.
    """
    table, rule = usable_for(tree, data), Rule.of(fdr, alpha, top)
    return Anomalies(_judged(tree, table, rule), tree, table, rule)


def _judged(tree: "xr.DataTree", table: Usable, rule: Rule) -> "pd.DataFrame":
    import pandas as pd

    empty = {"log_density": np.nan, "p_value": np.nan, "q_value": np.nan, "anomaly": False}
    found = pd.DataFrame(empty | {"component": pd.NA, "reason": ""}, index=table.frame.index)
    found["component"] = found["component"].astype("Int64")
    if not table.complete.any():
        return found
    rows, at = table.rows, np.flatnonzero(table.complete)
    score, p_value = _scored(tree, rows)
    q_value, called = rule.called(p_value, score)
    if not called.any() and (reference := reference_of(tree)) is not None:
        warn_of_few(p_value, reference.size, str(rule), "Learn from more rows, or call by top=.")
    for name, values in {"log_density": score, "p_value": p_value, "q_value": q_value, "anomaly": called}.items():
        found.iloc[at, found.columns.get_loc(name)] = values
    if called.any():
        told = explain_anomalies(tree, rows[called])
        for name in ("component", "reason"):
            found.iloc[at[called], found.columns.get_loc(name)] = told[name].values
    return found


def _scored(tree: "xr.DataTree", rows: "pd.DataFrame") -> "tuple[Array, Array]":
    """Log densities, and p-values: by points that were held back, or else by those that the model expects."""
    reference = reference_of(tree)
    if reference is not None:
        score = mean_log_density(tree, rows)
        return score, rank_p_values(score, reference)
    score, log_p = _by_the_model(tree, rows)
    return score, null_of(tree).p_values(log_p)


def _by_the_model(tree: "xr.DataTree", rows: "pd.DataFrame") -> "tuple[Array, Array]":
    score = mean_log_density(tree, rows)
    return score, log_p_values(score, expected_of(tree))
