"""What a card promises about its fit: facts by name, each a number that is read off a fit, and credible intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.cards.card import Card, Interval
from bayesgmm.clusterings.label_draws import n_clusters
from bayesgmm.clusterings.merging import merge_components
from bayesgmm.clusterings.partitions import partition
from bayesgmm.diagnosis.mixing import convergence
from bayesgmm.errors import CardError, choose
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.schema import info
from bayesgmm.predictions.anomalies import anomaly_scores
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

FDR = 0.05  # of the anomalies that are counted
OUTLIER = "bad"  # what a truth calls a point that belongs to no cluster


@dataclass(frozen=True)
class Fitted:
    """A fit of a card's own data, and what several facts ask of it.

    Parameters
    ----------
    fit : DataTree
    truth : Series or None
        The known class of each row.
    """

    fit: "xr.DataTree"
    truth: "pd.Series | None"

    @cached_property
    def labels(self) -> Array:
        """(N,) the most probable component of each point."""
        return assignments(self.fit)["label"].values

    @cached_property
    def weight(self) -> Array:
        """(K,) posterior means, as the components are named."""
        return aligned(self.fit).parameters.weight.mean(axis=0)

    @cached_property
    def rhat(self) -> "xr.Dataset":
        """Of weights, means, what priors learn, and the log likelihood.

        Raises
        ------
        CardError
            When there are no chains to compare.
        """
        rhat = convergence(self.fit)[0]
        if np.isnan(rhat["loglik"]):
            raise CardError("R-hat compares chains: it needs method='nuts', and at least four draws")
        return rhat

    @cached_property
    def merged(self) -> "xr.Dataset":
        """The optimal clustering after components that overlap are merged."""
        return partition(self.fit, merge=merge_components(self.fit))

    @cached_property
    def called(self) -> Array:
        """(N,) whether each fitted point is called an anomaly."""
        return anomaly_scores(self.fit, fdr=FDR)["anomaly"].values

    @property
    def outlier(self) -> Array:
        """(N,) whether the truth says that each point belongs to no cluster.

        Raises
        ------
        CardError
            When it says so of none.
        """
        outlier = (self.known == OUTLIER).to_numpy()
        if not outlier.any():
            raise CardError(f"facts about anomalies need rows whose class is {OUTLIER!r} in {self.known.name!r}")
        return outlier

    @property
    def known(self) -> "pd.Series":
        """The known classes.

        Raises
        ------
        CardError
            When the card knows none, or not all.
        """
        if self.truth is None:
            raise CardError("a fact needs known classes: write truth = '...', a column of the data, in [data]")
        if self.truth.isna().any():
            row = self.truth.index[self.truth.isna()][0]
            raise CardError(f"a fact needs the class of every row; column {self.truth.name!r} has none in row {row}")
        return self.truth

    def agreement(self, labels: Array) -> float:
        """The adjusted Rand index of labels and known classes."""
        from sklearn.metrics import adjusted_rand_score

        return float(adjusted_rand_score(self.known, labels))


@dataclass(frozen=True)
class Fact:
    """A number that is read off a fit.

    Parameters
    ----------
    words : str
        What it is, as a sentence begins.
    of : function
        From the fit to the number.
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
    labels = info(fitted.fit).get("labels", {})
    if "agreement" not in labels:
        raise CardError("the fact 'label_agreement' needs draws: a point estimate has none")
    return float(labels["agreement"])


def _concentration(fitted: Fitted) -> float:
    if "concentration" not in fitted.fit["posterior"]:
        raise CardError("the fact 'concentration' needs weights whose prior learns one: give it a prior of its own")
    return float(fitted.fit["posterior"]["concentration"].mean())


def _truncated_mass(fitted: Fitted) -> float:
    known = info(fitted.fit)
    if "truncation" not in known:
        raise CardError("the fact 'truncated_mass' needs weights made of sticks: a Dirichlet or Pitman-Yor process")
    return float(known["truncation"]["mass"])


def _flagged_wrongly(fitted: Fitted) -> float:
    """0 where none is called, as in the false discovery rate."""
    called, good = fitted.called, np.logical_not(fitted.outlier)
    return float(called[good].sum() / max(called.sum(), 1))


FACTS: dict[str, Fact] = {
    "smallest_weight": Fact("the smallest weight", lambda f: float(f.weight.min())),
    "largest_weight": Fact("the largest weight", lambda f: float(f.weight.max())),
    "largest_rhat": Fact("the largest R-hat of all numbers", lambda f: float(np.nanmax(f.rhat.to_array().max()))),
    "loglik_rhat": Fact("R-hat of the log likelihood, which needs no labels", lambda f: float(f.rhat["loglik"])),
    "clusters": Fact(
        "components that are the most probable one of at least one point", lambda f: float(np.unique(f.labels).size)
    ),
    "occupied": Fact("components that hold at least one point, on average over the posterior", _occupied),
    "concentration": Fact("the concentration", _concentration),
    "truncated_mass": Fact("the weight that was cut off with the sticks beyond the last", _truncated_mass),
    "narrowest_sd": Fact("the smallest standard deviation of a component", _narrowest),
    "entropy": Fact(
        "the mean normalised entropy of the points' labels (0: all certain, 1: all components equally probable)",
        lambda f: float(assignments(f.fit)["entropy"].mean()),
    ),
    "label_agreement": Fact(
        "the probability that a point's label in one draw is the one that the draws agree on", _label_agreement
    ),
    "adjusted_rand_index": Fact(
        "agreement of the labels with the known classes (adjusted Rand index: 0 as by chance, 1 perfect)",
        lambda f: f.agreement(f.labels),
    ),
    "merged_clusters": Fact(
        "clusters after components that overlap were merged", lambda f: float(f.merged.attrs["n_clusters"])
    ),
    "merged_adjusted_rand_index": Fact(
        "agreement of the merged clusters with the known classes (adjusted Rand index)",
        lambda f: f.agreement(f.merged["label"].values),
    ),
    "flagged": Fact(f"points called anomalies at a false discovery rate of {FDR:g}", lambda f: float(f.called.sum())),
    "flagged_wrongly": Fact("the share of good points among those that are called anomalies", _flagged_wrongly),
    "found": Fact("the share of bad points that are called anomalies", lambda f: float(np.mean(f.called[f.outlier]))),
}


@dataclass(frozen=True)
class Promise:
    """What a card says of its fit, and what came out.

    Parameters
    ----------
    words : str
    low, high : float
        Where ``found`` should lie: the card's bounds, or the ends of a credible interval.
    found : float
        What the fit has; of an interval, the value that it must hold.
    """

    words: str
    low: float
    high: float
    found: float

    @property
    def kept(self) -> bool:
        """Whether it holds.

        Examples
        --------
        >>> Promise("the largest weight", 0.8, 0.9, 0.85).kept, Promise("the largest weight", 0.8, 0.9, 0.7).kept
        (True, False)
        """
        return bool(self.low <= self.found <= self.high)


def promises(card: Card, fit: "xr.DataTree", truth: "pd.Series | None") -> list[Promise]:
    """Hold a fit of a card's own data to what the card says.

    Raises
    ------
    UnknownName
        For a fact that does not exist.
    CardError
        For one that needs what the card or the fit has not.
    """
    fitted = Fitted(fit, truth)
    facts = [(fact_named(name), bounds) for name, bounds in card.expect.items()]
    found = [Promise(fact.words, low, high, fact.of(fitted)) for fact, (low, high) in facts]
    return found + [_held(interval, fit) for interval in card.intervals]


def fact_named(name: str) -> Fact:
    """A fact of the registry."""
    return choose(name, FACTS, "expect")


def interval_words(interval: Interval) -> str:
    """Which interval it is.

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


def _held(interval: Interval, fit: "xr.DataTree") -> Promise:
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
    words = f"{interval_words(interval)}, and the value that it must hold"
    return Promise(words, float(low), float(high), interval.value)
