"""Chains in different modes: groups of chains, their log posteriors and their stacking weights."""

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.diagnosis.convergence import label_free
from bayesgmm.diagnosis.engines import unseen_regions
from bayesgmm.diagnosis.mixing import chains_named
from bayesgmm.findings import Finding
from bayesgmm.posterior.chain_statistics import rhat_only
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.draws import size, statistic
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.cross_validation import LeftOut, stacking_weights
from bayesgmm.sweep.stats import Array, log_densities

if TYPE_CHECKING:
    import xarray as xr

APART = 1.3  # R-hat of two chains from which they are taken to be in different modes
STACKED_POINTS = 1000
STACKED_DRAWS = 500  # per chain


def separation(fit: "xr.DataTree") -> Array:
    """(C, C) largest R-hat of each pair of chains over label-free quantities; 1 on the diagonal."""
    chains, draws = size(fit)
    arrays = [
        v.transpose("chain", "draw", ...).values.reshape(chains, draws, -1)
        for v in label_free(fit, progress=False).values()
    ]
    values = np.concatenate(arrays, axis=2)
    out = np.ones((chains, chains))
    for a, b in combinations(range(chains), 2):
        rhat = rhat_only(values[[a, b]])
        out[a, b] = out[b, a] = np.nanmax(rhat) if np.isfinite(rhat).any() else 1.0
    return out


def groups(fit: "xr.DataTree") -> list[list[int]]:
    """Group the chains that are in the same mode, the largest group first."""
    apart = separation(fit)
    if (apart <= APART).all():
        return [list(range(len(apart)))]
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    tree = linkage(squareform(np.clip(apart - 1, 0.0, 1e6), checks=False), method="average")
    label = fcluster(tree, APART - 1, criterion="distance")
    members = [np.flatnonzero(label == one).tolist() for one in np.unique(label)]
    return sorted(members, key=lambda group: (-len(group), group))


def stacking(fit: "xr.DataTree") -> Array:
    """(C,) stacking weights: the weights of the chains whose mixture predicts left-out points best.

    References
    ----------
    .. [1] Yao, Vehtari & Gelman (2022), J. Mach. Learn. Res. 23(79), 1-45: Stacking for non-mixing Bayesian
       computations.
    """
    from arviz_stats.base.array import array_stats

    points, posterior, (chains, draws) = observed(fit), as_modelled(fit), size(fit)
    n_points = len(points.values)
    rows = np.linspace(0, n_points - 1, min(n_points, STACKED_POINTS)).round().astype(int)
    kept = np.linspace(0, draws - 1, min(draws, STACKED_DRAWS)).round().astype(int)
    log = log_densities(posterior.standard.blocks(points.take(rows)), posterior.tables())
    log = log.reshape(chains, draws, len(rows))[:, kept]
    left_out = {}
    for chain in range(chains):
        try:
            with np.errstate(all="ignore"):  # k-hat has a check of its own
                elpd, khat, effective = array_stats.loo(log[chain].T, chain_axis=None)
        except ValueError:  # from ArviZ, for a chain that never moves: leaving a point out changes nothing
            elpd = scipy.special.logsumexp(log[chain], axis=0) - np.log(len(kept))
            khat, effective = np.full(len(rows), np.inf), np.zeros(len(rows))
        error = float(elpd.std() * np.sqrt(len(elpd)))
        left_out[str(chain)] = LeftOut(elpd, khat, float(elpd.sum()), error, float(effective.sum()))
    weight = stacking_weights(left_out)
    return np.array([weight[str(chain)] for chain in range(chains)])


def different_modes(fit: "xr.DataTree") -> list[Finding]:
    """Check whether the chains are in different modes; give each mode's share, log posterior and stacking weight."""
    together = groups(fit)
    if len(together) == 1:
        return []
    modes = _modes(fit, together)
    weighed = [mode for mode in modes if mode.stacking_weight is not None]
    what = f"The chains converged to {len(modes)} different modes: {'; '.join(_described(mode) for mode in modes)}."
    why = (
        "The share of chains in a mode depends on where they started, not on the probability of the mode. "
        "The draws of all chains together are therefore not the posterior."
    )
    advice = "Try more chains, fewer components or a stronger prior"
    if weighed:
        best = max(weighed, key=lambda mode: mode.stacking_weight or 0.0)
        advice += f"; or weight the chains by their stacking weights, which favour {chains_named(best.chains)}"
    advice += "."
    return [Finding("problem", "modes", what, why, advice, {"modes": [asdict(mode) for mode in modes]})]


@dataclass(frozen=True)
class Mode:
    """Group of chains in one mode: their share, mean log posterior and stacking weight; None if unknown."""

    chains: list[int]
    share: float
    lp: float | None
    stacking_weight: float | None


def _modes(fit: "xr.DataTree", together: list[list[int]]) -> list[Mode]:
    """Describe each group of chains by numbers."""
    lp, chains = statistic(fit, "lp", "logp"), size(fit)[0]
    weight = None if observed(fit).weights is not None else stacking(fit)  # a weighted row is not one point
    return [
        Mode(
            group,
            len(group) / chains,
            None if lp is None else float(lp.isel(chain=group).mean()),
            None if weight is None else float(weight[group].sum()),
        )
        for group in together
    ]


def _described(mode: Mode) -> str:
    facts = [f"{mode.share:.0%} of them"]
    if mode.lp is not None:
        facts.append(f"log posterior {mode.lp:.1f} on average")
    if mode.stacking_weight is not None:
        facts.append(f"stacking weight {mode.stacking_weight:.2f}")
    first, *rest = facts
    return f"{chains_named(mode.chains)} ({first}{'; ' if rest else ''}{', '.join(rest)})"


def modes_or_note(fit: "xr.DataTree") -> list[Finding]:
    """Compare the modes of the chains; a note, if the chains were not compared with a Gibbs run."""
    return different_modes(fit) or unseen_regions(fit)
