"""Facts about a fit, one class for each part: what ``FitInfo`` holds beside the model and the settings."""

from dataclasses import MISSING, Field, dataclass, fields
from typing import Literal, Self

from bayesgmm.data.streams import Stream


@dataclass(frozen=True, repr=False)
class Facts:
    """Base of the stored facts. Any fact may be unknown; the representation shows the known ones."""

    def __repr__(self) -> str:
        """Return the known facts."""
        known = ", ".join(f"{name}={value!r}" for name, value in known_facts(self).items())
        return f"{type(self).__name__}({known})"


@dataclass(frozen=True, repr=False)
class SourceInfo(Facts):
    """Rows that were read part by part, which the fit does not hold.

    Parameters
    ----------
    name : str
        Where they came from: a path or a pattern.
    n_rows : int
    n_gaps : int, optional
        Number of rows with missing values; None if there are none.
    total_weight : float, optional
        Sum of the row weights; None if rows have none.
    """

    name: str
    n_rows: int
    n_gaps: int | None = None
    total_weight: float | None = None

    @classmethod
    def of(cls, points: Stream) -> Self:
        """Describe the rows of a stream."""
        counted, weight = float(points.n_points), points.totals.weight
        return cls(points.name, points.n_points, points.totals.gaps or None, weight if weight != counted else None)


@dataclass(frozen=True, repr=False)
class TruncationInfo(Facts):
    """Effect of truncating a stick-breaking process at K components.

    Parameters
    ----------
    last_weight : float
        Posterior mean weight of the last stick, which takes the weight of all omitted sticks.
    mass : float
        Expected prior weight of the omitted sticks, averaged over the draws.
    error_bound : float
        Upper bound on the integrated absolute error of the marginal density of the data, from 0 to 2 [1]_.
    several_points : float, optional
        Posterior probability that the last stick holds several points. With one point, or none, it approximates
        nothing: then the truncated and the full process are the same.

    References
    ----------
    .. [1] Ishwaran & James (2001), J. Am. Stat. Assoc. 96, 161-173.
    """

    last_weight: float
    mass: float
    error_bound: float
    several_points: float | None = None


@dataclass(frozen=True, repr=False)
class LabelInfo(Facts):
    """Method that undid label switching, and how well the labels are determined.

    For one draw, one component, or draws without points, only ``method`` is known.

    Parameters
    ----------
    method : str
        ``'stephens'``, ``'ecr'``, ``'pivot'`` or ``'ordered'``.
    by : str, optional
        Column, or ``'weight'``, by which ``'ordered'`` sorted.
    agreement : float, optional
        Probability that a point's label in a draw is its most probable label.
    constancy : tuple of K floats, optional
        Jaccard index of the points of each label in two draws, from 0 to 1.
    inconstant : tuple of int
        Components whose constancy is below 0.6.
    confusion : K tuples of K floats, optional
        Upper bounds on the probability that two labels are exchanged; 0.5 where labels are arbitrary. Unknown with
        fewer than 20 draws.
    indistinct : tuple of tuples of int
        Groups of components whose labels can't be distinguished: their confusion is above 0.1.
    doubtful_weight : float, optional
        Total weight of the components whose labels have no meaning.
    points : int, optional
        Number of points used.
    """

    method: str
    by: str | None = None
    agreement: float | None = None
    constancy: tuple[float, ...] | None = None
    inconstant: tuple[int, ...] = ()
    confusion: tuple[tuple[float, ...], ...] | None = None
    indistinct: tuple[tuple[int, ...], ...] = ()
    doubtful_weight: float | None = None
    points: int | None = None


@dataclass(frozen=True, repr=False)
class ResamplingInfo(Facts):
    """Importance resampling of an approximation's draws.

    Parameters
    ----------
    proposals : int
        Number of draws from which the kept ones were resampled.
    distinct : int
        Number of distinct draws among the kept ones.
    effective : float
        Number of independent draws with as much information as the kept ones.
    """

    proposals: int
    distinct: int
    effective: float


@dataclass(frozen=True, repr=False)
class GibbsComparison(Facts):
    """Comparison of an approximation with a short Gibbs run, on quantities that do not depend on labels.

    Parameters
    ----------
    shift : float
        Largest difference of a median, divided by the width of the 90 % interval of the Gibbs run.
    width : float
        Width of the 90 % interval that differs most, divided by that of the Gibbs run.
    n_clusters : float, optional
        Largest difference of the probability of a number of clusters, where the number of components is only an upper
        bound.
    """

    shift: float
    width: float
    n_clusters: float | None = None


@dataclass(frozen=True, repr=False)
class ReconciliationInfo(Facts):
    """Replacement of the draws of chains that disagreed.

    Parameters
    ----------
    by : str
        Method of the draws: Gibbs sweeps with ``'independence steps'``, or ``'importance resampling'``. Both take their
        proposals from a mixture that is fitted to the draws of the chains. Or ``'Gibbs sampling'`` with split-merge
        moves, or ``'regions that are weighted by bridge sampling'``: chains that each stay in one region.
    rhat : float
        Largest R-hat of the label-free quantities of the replaced draws.
    accepted : float, optional
        Share of the independence steps that were accepted.
    importance_share : float, optional
        Effective sample size of the importance weights, as a share of the proposals.
    difference : float, optional
        Largest difference between the means of the chains and of Gibbs sampling, in posterior standard deviations.
    missed : float, optional
        Share of the posterior that the chains may have missed, by a short Gibbs run, if they agreed.
    probabilities : tuple of float, optional
        Probabilities of the regions, the largest first.
    probability_error : float, optional
        Largest standard error of these probabilities.
    """

    by: str
    rhat: float
    accepted: float | None = None
    importance_share: float | None = None
    difference: float | None = None
    missed: float | None = None
    probabilities: tuple[float, ...] | None = None
    probability_error: float | None = None

    @property
    def sentence(self) -> str:
        """What was done, in a sentence."""
        return f"The chains of the method were replaced: these draws come from {self.by}."


@dataclass(frozen=True, repr=False)
class TemperingInfo(Facts):
    """Parallel tempering: the ladder of temperatures, and what it tells.

    Parameters
    ----------
    inverse_temperatures : tuple of M floats
        Powers of the likelihood at the rungs, from 0 (the prior) to 1 (the posterior).
    swap_rates : tuple of M - 1 floats
        Acceptance rates of exchanges of neighbours.
    round_trips : int
        Number of round trips of states from the prior to the posterior and back, after tuning, over all chains.
    expected_round_trips : float
        Their expected number if successive states at each rung were independent.
    log_evidence, log_evidence_se : float
        Log marginal likelihood of the data in their own units, from the ladder, and its standard error.

    References
    ----------
    .. [1] Syed, Bouchard-Côté, Deligiannidis & Doucet (2022), J. R. Stat. Soc. B 84(2), 321-350.
    """

    inverse_temperatures: tuple[float, ...]
    swap_rates: tuple[float, ...]
    round_trips: int
    expected_round_trips: float
    log_evidence: float
    log_evidence_se: float


@dataclass(frozen=True, repr=False)
class ExtensionInfo(Facts):
    """Extension of a run whose effective sample size was small.

    Parameters
    ----------
    asked, draws : int
        Number of draws of each chain that were asked for, and at the end.
    """

    asked: int
    draws: int


@dataclass(frozen=True, repr=False)
class EngineNotes(Facts):
    """Facts that an engine stores about its run. Those that it does not report are None.

    Parameters
    ----------
    maximum : {'likelihood', 'posterior'}, optional
        The function that a point estimate maximises.
    converged : bool, optional
        True if the optimiser met its criterion.
    undiscovered : float, optional
        Expected share of starts of a search that lead to undiscovered maxima, if no start has led to the best.
    interrupted : bool, optional
        True if the user stopped the run.
    n_iter : int, optional
        Number of iterations.
    gradient : float, optional
        Largest slope at a point estimate, per point, in the engine's coordinates.
    repaired_directions : int, optional
        Number of directions at the mode whose curvature was not positive and was replaced.
    approximation : str, optional
        Name of an approximation that is not a Gaussian in the unconstrained coordinates.
    elbo, elbo_se : float, optional
        Evidence lower bound and its standard error, in nats.
    marginal_elbo, marginal_elbo_se : float, optional
        Bound with the assignments summed out, and its standard error, in nats.
    pareto_khat : float, optional
        Shape of the tail of the importance ratios; an approximation is reliable below 0.7.
    importance_share : float, optional
        Effective sample size of the importance weights, as a share of the draws.
    missed_share : float, optional
        Share of the posterior in a region where the approximation has no draws, by a short Gibbs run; NaN if unknown.
    compared : GibbsComparison, optional
        Set where a short Gibbs run has converged.
    not_compared : str, optional
        Reason why an approximation, or the chains of NUTS, were not compared with a Gibbs run: the end of a sentence.
    optimism : float, optional
        ELBO on the draws that were optimised minus that on new draws, in nats.
    evaluations : int, optional
        Number of evaluations of the log posterior, after the mode was found.
    resampled : ResamplingInfo, optional
        Set where the draws were resampled by their importance ratios.
    reconciled : ReconciliationInfo, optional
        Replacement of the draws of chains that disagreed.
    tempering : TemperingInfo, optional
        Set for a sampler with parallel tempering.
    extended : ExtensionInfo, optional
        Set where more draws were made than were asked for.
    target_accept : float, optional
        Acceptance rate that the step size was tuned to, if it is higher than the setting: divergent transitions, or
        trajectories at the maximum tree depth, made the engine tune again.

    Examples
    --------
    >>> EngineNotes(maximum="likelihood", converged=True)
    EngineNotes(maximum='likelihood', converged=True)
    """

    maximum: Literal["likelihood", "posterior"] | None = None
    converged: bool | None = None
    undiscovered: float | None = None
    interrupted: bool | None = None
    n_iter: int | None = None
    gradient: float | None = None
    repaired_directions: int | None = None
    approximation: str | None = None
    elbo: float | None = None
    elbo_se: float | None = None
    marginal_elbo: float | None = None
    marginal_elbo_se: float | None = None
    pareto_khat: float | None = None
    importance_share: float | None = None
    missed_share: float | None = None
    compared: GibbsComparison | None = None
    not_compared: str | None = None
    optimism: float | None = None
    evaluations: int | None = None
    resampled: ResamplingInfo | None = None
    reconciled: ReconciliationInfo | None = None
    tempering: TemperingInfo | None = None
    extended: ExtensionInfo | None = None
    target_accept: float | None = None


def known_facts(facts: Facts) -> dict[str, object]:
    """Return the facts that differ from their default, by name."""
    values = {f.name: getattr(facts, f.name) for f in fields(facts)}
    return {f.name: values[f.name] for f in fields(facts) if values[f.name] != _default(f)}


def _default(of: Field[object]) -> object:
    return of.default if of.default_factory is MISSING else of.default_factory()
