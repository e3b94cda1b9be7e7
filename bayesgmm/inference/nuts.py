"""The NUTS engine: nutpie in coordinates that are whitened at the modes; chains that disagree are reconciled."""

from dataclasses import replace

from bayesgmm.checkpoints.units import once
from bayesgmm.diagnosis.mixing import RARE
from bayesgmm.errors import SamplingError
from bayesgmm.inference import cross_checks, gibbs_judge, tail_checks
from bayesgmm.inference.cross_checks import CrossCheck
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.extension import Budget, Check, Drawn, settled
from bayesgmm.inference.laplace import straightened, whiten_at_modes
from bayesgmm.inference.nuts_chains import JOINED, Look, draw_from_modes
from bayesgmm.inference.reconciliation import SHORTEST, are_apart, can_replace, replacement
from bayesgmm.inference.seeds import another_seed
from bayesgmm.inference.tail_checks import TailCheck
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.sweep.stats import Array

NEAR = 10.0  # modes with less mass than the heaviest by more nats than this get no chain
MANY_STEPS = 200  # mean number of steps of a draw above which a run is neither extended nor tuned again by itself
LONGER, SHORTER = 3, 4  # tuning again: factor of ``tune``, and of the acceptance rate's distance from 1
STRAINS = ("diverging", "reached_max_treedepth")


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int,
    max_draws: int | None,
    tune: int,
    chains: int,
    target_accept: float,
    sweeps: int,
    disagreement: str,
) -> Estimate:
    """Sample from the posterior by NUTS: the NUTS engine.

    The coordinates are whitened at each of the modes with the most posterior mass, and the chains are divided among
    them. If the chains do not agree in the end, ``reconcile`` draws from all regions that they have visited. Without
    it, all chains start at the mode with the most mass.

    Parameters
    ----------
    draws, tune : int
        Number of draws of each chain that are kept, and that adapt the sampler before them. More are kept if their
        effective sample size is small.
    max_draws : int, optional
        Maximum number of draws of each chain. Default: eight times ``draws``; ``draws`` if one takes more than 200
        steps. Further draws are from chains that are tuned again.
    chains : int
        Number of chains.
    target_accept : float
        Acceptance rate that the step size is tuned to. Values closer to 1 are slower and give fewer divergent
        transitions.
    sweeps : int
        Budget of the search for the modes: maximum number of sweeps for a start.
    disagreement : {'reconcile', 'report'}
        What to do if the chains disagree: draw from all regions that they have visited, by ``reconcile``, or keep them.
        Fits of fewer than 200 draws are not reconciled, nor are those of factor analysers.

    Raises
    ------
    SamplingError
        If no chain can start, if Ctrl-C comes before the first draw after tuning, or if there are too many coordinates.
    EmptyComponent, DegenerateComponent
        If from every start some component can't be estimated.

    References
    ----------
    .. [1] Hoffman & Gelman (2014), J. Mach. Learn. Res. 15, 1593-1623.
    """
    reconciles = disagreement == "reconcile" and not density.chart.has_rotations
    budget = Budget(draws, chains, max_draws, reconciles)
    reconciles = budget.reconciles and draws >= SHORTEST
    near = NEAR if reconciles else 0.0
    found = once(lambda: whiten_at_modes(density, seed, cores, progress, sweeps, near)[:chains])
    modes = [straightened(density, mode) for mode in found]
    progress.stage("sampling")

    settings = {"tune": tune, "target_accept": target_accept}
    unseen = gibbs_judge.FEW_DRAWS if draws < SHORTEST and not gibbs_judge.obstacle(density) else None
    notes = EngineNotes(repaired_directions=modes[0].repaired, interrupted=False, not_compared=unseen)

    check: Check | None = None
    if cross_checks.can_check(density, budget):
        check = CrossCheck(density, budget, seed, cores, progress)
    elif tail_checks.can_check(density, budget):
        check = TailCheck(density, budget, seed, cores, progress)

    def run(first_seed: int, settings: dict[str, float], notes: EngineNotes, budget: Budget) -> Estimate:
        def draw(count: int, seed: int, look: Look | None = None) -> Drawn:
            wanted = settings | {"draws": count}
            return once(lambda: draw_from_modes(density, modes, seed, cores, progress, chains, wanted, look))

        def more(_: Drawn, count: int, number: int) -> Drawn:
            return draw(count, another_seed(first_seed, number))

        drawn = draw(draws, first_seed, _look(density, budget))
        if drawn.draws < draws and not drawn.interrupted:
            try:
                if found := replacement(density, drawn.q, drawn.stats["lp"], draws, seed, cores, progress):
                    return Estimate(found.q, {"lp": found.lp}, (), replace(notes, reconciled=found.info))
                drawn = draw(draws, first_seed)
            except KeyboardInterrupt:
                drawn = replace(drawn, interrupted=True)
        if max_draws is None and _takes_many_steps(drawn.stats):
            budget = replace(budget, max_draws=draws)
        return settled(density, drawn, more, notes, budget, seed, cores, progress, check)

    estimate = run(seed, settings, notes, budget)
    is_kept = not budget.extends or draws < SHORTEST or estimate.notes.interrupted
    if is_kept or max(_problem_shares(estimate)) <= RARE or _takes_many_steps(estimate.stats):
        return _noted(density, estimate)
    progress.stage("tuning for shorter steps")
    careful = {"tune": LONGER * tune, "target_accept": 1 - (1 - target_accept) / SHORTER}
    notes = replace(notes, target_accept=careful["target_accept"])
    try:
        again = run(another_seed(seed, 0), careful, notes, replace(budget, reconciles=False))
    except SamplingError:  # Ctrl-C before the first draw
        return _noted(density, estimate)
    is_better = _problem_shares(again) < _problem_shares(estimate) and not again.notes.interrupted
    return _noted(density, again if is_better else estimate)


def _look(density: LogPosterior, budget: Budget) -> Look | None:
    """Return a look that ends chains which are apart, if a Gibbs sampler may replace them."""
    if not (budget.reconciles and budget.draws > SHORTEST and can_replace(density, budget.chains, budget.draws)):
        return None
    return Look(SHORTEST, lambda drawn: are_apart(density, drawn.q, drawn.stats["lp"]))


def _noted(density: LogPosterior, estimate: Estimate) -> Estimate:
    """Leave out where chains were joined, if none was; note that chains which Ctrl-C stopped were not compared."""
    stats = estimate.stats
    if estimate.notes.interrupted and not gibbs_judge.obstacle(density):
        estimate = replace(estimate, notes=replace(estimate.notes, not_compared=gibbs_judge.INTERRUPTED))
    if JOINED in stats and not stats[JOINED].any():
        stats = {name: values for name, values in stats.items() if name != JOINED}
    return replace(estimate, stats=stats)


def _takes_many_steps(stats: dict[str, Array]) -> bool:
    """Return True if draws take so many steps that a longer run, or one with shorter steps, would take very long."""
    return "n_steps" in stats and float(stats["n_steps"].mean()) > MANY_STEPS


def _problem_shares(estimate: Estimate) -> tuple[float, ...]:
    """Return the share of divergent transitions, and of those at the maximum tree depth."""
    return tuple(float(estimate.stats[name].mean()) for name in STRAINS if name in estimate.stats) or (0.0,)
