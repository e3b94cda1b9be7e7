"""Expected results of a card: facts computed from a fit, and values in credible intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.cards.card import Card, Interval
from bayesgmm.cards.fact_words import FACT_WORDS, FDR
from bayesgmm.clusterings.label_draws import n_clusters
from bayesgmm.clusterings.merging import merge_components
from bayesgmm.clusterings.partitions import partition
from bayesgmm.diagnosis.mixing import convergence
from bayesgmm.errors import CardError, choose
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.draws import number_varies
from bayesgmm.posterior.info import info
from bayesgmm.predictions.anomalies import anomaly_scores
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

OUTLIER = "bad"  # class of points that belong to no cluster


@dataclass(frozen=True)
class Fitted:
    """Fit of a card's own data, with results that several facts use.

    Parameters
    ----------
    fit : DataTree
    truth : Series or None
        Known class of each row.
    """

    fit: "xr.DataTree"
    truth: "pd.Series | None"

    @cached_property
    def labels(self) -> Array:
        """Most probable component (N,) of each point."""
        return assignments(self.fit)["label"].values

    @cached_property
    def weight(self) -> Array:
        """Posterior mean weights (K,) of the components."""
        return aligned(self.fit).parameters.weight.mean(axis=0)

    @cached_property
    def rhat(self) -> "xr.Dataset":
        """R-hat of weights, means, standard deviations, hyperparameters and the log likelihood.

        Raises
        ------
        CardError
            If the fit has no chains.
        """
        rhat = convergence(self.fit)[0]
        if np.isnan(rhat["loglik"]):
            raise CardError("R-hat compares chains: it needs method='nuts' and at least four draws")
        return rhat

    @cached_property
    def merged(self) -> "xr.Dataset":
        """Optimal partition after merging overlapping components."""
        return partition(self.fit, merge=merge_components(self.fit))

    @cached_property
    def flagged(self) -> Array:
        """Mask (N,) of the points flagged as anomalies."""
        return anomaly_scores(self.fit, fdr=FDR)["anomaly"].values

    @property
    def outlier(self) -> Array:
        """Mask (N,) of the points whose known class is ``bad``.

        Raises
        ------
        CardError
            If there are none, or classes are unknown.
        """
        outlier = (self.known_classes == OUTLIER).to_numpy()
        if not outlier.any():
            raise CardError(
                f"facts about anomalies need rows whose class is {OUTLIER!r} in {self.known_classes.name!r}"
            )
        return outlier

    @property
    def known_classes(self) -> "pd.Series":
        """Known class of each row.

        Raises
        ------
        CardError
            If the card has no known classes, or one is missing.
        """
        if self.truth is None:
            raise CardError("a fact needs known classes: write truth = '...', a column of the data, in [data]")
        if self.truth.isna().any():
            row = self.truth.index[self.truth.isna()][0]
            raise CardError(f"a fact needs the class of every row; column {self.truth.name!r} has none in row {row}")
        return self.truth

    def agreement(self, labels: Array) -> float:
        """Compute the adjusted Rand index of labels (N,) and known classes.

        Raises
        ------
        CardError
            If a class is unknown.
        """
        from sklearn.metrics import adjusted_rand_score

        return float(adjusted_rand_score(self.known_classes, labels))


@dataclass(frozen=True)
class Fact:
    """Number that is computed from a fit.

    Parameters
    ----------
    words : str
        Description, without a final full stop.
    of : function
        Computes the number from a ``Fitted``; raises CardError if the fit lacks what it needs.
    """

    words: str
    of: Callable[[Fitted], float]


def _occupied(fitted: Fitted) -> float:
    chance = n_clusters(fitted.fit)
    return float((chance * chance["n_clusters"]).sum())


def _narrowest(fitted: Fitted) -> float:
    covariance = aligned(fitted.fit).parameters.covariance
    return float(np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1)).mean(axis=0).min())


def _label_agreement(fitted: Fitted) -> float:
    """Probability that a point's label in a draw is its most frequent label.

    Raises
    ------
    CardError
        If the fit is a point estimate.
    """
    labels = info(fitted.fit).labels
    if labels is None or labels.agreement is None:
        raise CardError("the fact 'label_agreement' needs draws: a point estimate has none")
    return labels.agreement


def _components(fitted: Fitted) -> float:
    """Posterior mean of an unknown number of components.

    Raises
    ------
    CardError
        If the number is fixed.
    """
    if not number_varies(fitted.fit):
        raise CardError("the fact 'components' needs an unknown number of components: weights by finite_mixture")
    return float(fitted.fit["posterior"]["n_components"].mean())


def _concentration(fitted: Fitted) -> float:
    """Posterior mean of the concentration.

    Raises
    ------
    CardError
        If the concentration is fixed.
    """
    if "concentration" not in fitted.fit["posterior"]:
        raise CardError(
            "the fact 'concentration' needs weights with a learned concentration: give the concentration a prior"
        )
    return float(fitted.fit["posterior"]["concentration"].mean())


def _truncated_mass(fitted: Fitted) -> float:
    """Expected weight of the truncated sticks.

    Raises
    ------
    CardError
        If the prior of the weights is not stick-breaking.
    """
    truncation = info(fitted.fit).truncation
    if truncation is None:
        raise CardError(
            "the fact 'truncated_mass' needs a stick-breaking prior of the weights: a Dirichlet or Pitman-Yor process"
        )
    return truncation.mass


def _false_discoveries(fitted: Fitted) -> float:
    """Fraction of good points among those flagged; 0 if none is flagged."""
    flagged, good = fitted.flagged, np.logical_not(fitted.outlier)
    return float(flagged[good].sum() / max(flagged.sum(), 1))


_FORMULAS: dict[str, Callable[[Fitted], float]] = {
    "smallest_weight": lambda f: float(f.weight.min()),
    "largest_weight": lambda f: float(f.weight.max()),
    "largest_rhat": lambda f: float(np.nanmax(f.rhat.to_array().max())),
    "loglik_rhat": lambda f: float(f.rhat["loglik"]),
    "clusters": lambda f: float(np.unique(f.labels).size),
    "occupied": _occupied,
    "components": _components,
    "concentration": _concentration,
    "truncated_mass": _truncated_mass,
    "narrowest_sd": _narrowest,
    "entropy": lambda f: float(assignments(f.fit)["entropy"].mean()),
    "label_agreement": _label_agreement,
    "adjusted_rand_index": lambda f: f.agreement(f.labels),
    "merged_clusters": lambda f: float(f.merged.attrs["n_clusters"]),
    "merged_adjusted_rand_index": lambda f: f.agreement(f.merged["label"].values),
    "flagged": lambda f: float(f.flagged.sum()),
    "flagged_wrongly": _false_discoveries,
    "found": lambda f: float(np.mean(f.flagged[f.outlier])),
}
FACTS = {name: Fact(FACT_WORDS[name], of) for name, of in _FORMULAS.items()}


@dataclass(frozen=True)
class ExpectedResult:
    """Expected result of a card, with the result of the fit.

    Parameters
    ----------
    words : str
        Description.
    low, high : float
        Bounds for ``value``: those of the card, or the ends of a credible interval.
    value : float
        Value computed from the fit; for an interval, the value that it must contain.
    """

    words: str
    low: float
    high: float
    value: float

    @property
    def met(self) -> bool:
        """True if ``value`` lies within the bounds.

        Examples
        --------
        >>> ExpectedResult("the largest weight", 0.8, 0.9, 0.85).met
        True
        >>> ExpectedResult("the largest weight", 0.8, 0.9, 0.7).met
        False
        """
        return bool(self.low <= self.value <= self.high)


def expected_results(card: Card, fit: "xr.DataTree", truth: "pd.Series | None") -> list[ExpectedResult]:
    """Compare a fit of a card's own data with the expected results.

    Parameters
    ----------
    card : Card
    fit : DataTree
    truth : Series or None
        Known class of each row.

    Returns
    -------
    list of ExpectedResult
        One for each fact in ``expect``, then one for each interval.

    Raises
    ------
    UnknownName
        If there is no such fact or column.
    CardError
        If a fact or interval needs something that the card or the fit lacks.
    """
    fitted = Fitted(fit, truth)
    facts = [(fact_named(name), bounds) for name, bounds in card.expect.items()]
    results = [ExpectedResult(fact.words, low, high, fact.of(fitted)) for fact, (low, high) in facts]
    return results + [_interval_result(interval, fit) for interval in card.intervals]


def fact_named(name: str) -> Fact:
    """Return a fact of the registry.

    Raises
    ------
    UnknownName
        If there is no such fact.
    """
    return choose(name, FACTS, "expect")


def interval_words(interval: Interval) -> str:
    """Describe an interval.

    Examples
    --------
    >>> interval_words(Interval("mean", 0, 164.0, "height"))
    'the 95% interval of the mean of height in component 0'
    >>> interval_words(Interval("weight", 1, 0.5))
    'the 95% interval of the weight of component 1'
    """
    prob = f"the {100 * interval.ci_prob:g}% interval of the"
    if interval.quantity == "weight":
        return f"{prob} weight of component {interval.component}"
    quantity = {"mean": "mean", "sd": "standard deviation"}[interval.quantity]
    return f"{prob} {quantity}{f' of {interval.column}' if interval.column else ''} in component {interval.component}"


def _interval_result(interval: Interval, fit: "xr.DataTree") -> ExpectedResult:
    """Compute a credible interval, for comparison with its value.

    Raises
    ------
    CardError
        If the fit has no draws, no such component, or the column is not defined.
    """
    posterior = aligned(fit)
    p, k = posterior.parameters, interval.component
    if len(p.weight) == 1:
        raise CardError("intervals need draws: a point estimate has none")
    if k >= p.weight.shape[1]:
        raise CardError(f"intervals: there is no component {k}; the last is {p.weight.shape[1] - 1}")
    if interval.quantity == "weight":
        values = p.weight[:, k]
    else:
        columns = {name: j for j, name in enumerate(posterior.columns)}
        if interval.column is None and len(columns) > 1:
            raise CardError(f"intervals: a {interval.quantity} needs a column: one of {', '.join(columns)}")
        j = 0 if interval.column is None else choose(interval.column, columns, "column")
        values = p.mean[:, k, j] if interval.quantity == "mean" else np.sqrt(p.covariance[:, k, j, j])
    tail = (1 - interval.ci_prob) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    words = f"{interval_words(interval)}, and the value that it must contain"
    return ExpectedResult(words, float(low), float(high), interval.value)
