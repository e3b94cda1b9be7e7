"""Chains that settled in different modes: which, how much each is worth, and how to weigh them."""

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.diagnosis.convergence import label_free
from bayesgmm.diagnosis.mixing import chains_named
from bayesgmm.findings import Finding
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.draws import size, statistic
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.cross_validation import LeftOut, stacking_weights
from bayesgmm.sweep.stats import Array, log_densities

if TYPE_CHECKING:
    import xarray as xr

APART = 1.3  # R-hat of two chains from which they are in different modes, and not only slow
STACKED_POINTS = 1000
STACKED_DRAWS = 500  # a chain


def separation(fit: "xr.DataTree") -> Array:
    """(C, C) the largest R-hat of each two chains over what no relabelling moves; 1 on the diagonal."""
    from arviz_stats.base.array import array_stats

    chains, draws = size(fit)
    arrays = [
        v.transpose("chain", "draw", ...).values.reshape(chains, draws, -1)
        for v in label_free(fit, progress=False).values()
    ]
    values = np.concatenate(arrays, axis=2)
    out = np.ones((chains, chains))
    for a, b in combinations(range(chains), 2):
        with np.errstate(invalid="ignore", divide="ignore"):
            rhat = array_stats.rhat(values[[a, b]], chain_axis=0, draw_axis=1)
        out[a, b] = out[b, a] = np.nanmax(rhat) if np.isfinite(rhat).any() else 1.0
    return out


def groups(fit: "xr.DataTree") -> list[list[int]]:
    """Chains that explore the same mode, the largest group first."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    apart = separation(fit)
    if len(apart) == 1:
        return [[0]]
    tree = linkage(squareform(np.clip(apart - 1, 0.0, 1e6), checks=False), method="average")
    label = fcluster(tree, APART - 1, criterion="distance")
    found = [np.flatnonzero(label == one).tolist() for one in np.unique(label)]
    return sorted(found, key=lambda group: (-len(group), group))


def stacking(fit: "xr.DataTree") -> Array:
    """(C,) weights of the chains with which their mixture predicts left-out points best.

    References
    ----------
    .. [1] Yao, Vehtari & Gelman (2022), J. Mach. Learn. Res. 23(79), 1-45: Stacking for non-mixing Bayesian
       computations.
    """
    from arviz_stats.base.array import array_stats

    values, posterior, (chains, draws) = observed(fit).values, as_modelled(fit), size(fit)
    rows = np.linspace(0, len(values) - 1, min(len(values), STACKED_POINTS)).round().astype(int)
    kept = np.linspace(0, draws - 1, min(draws, STACKED_DRAWS)).round().astype(int)
    log = log_densities(posterior.standard.blocks(values[rows]), posterior.tables())
    log = log.reshape(chains, draws, len(rows))[:, kept]
    left_out = {}
    for chain in range(chains):
        try:
            with np.errstate(all="ignore"):  # a point's k-hat is another check's
                elpd, khat, effective = array_stats.loo(log[chain].T, chain_axis=None)
        except ValueError:  # ArviZ's, of a chain that never moved: without a point it would be where it is
            elpd = scipy.special.logsumexp(log[chain], axis=0) - np.log(len(kept))
            khat, effective = np.full(len(rows), np.inf), np.zeros(len(rows))
        error = float(elpd.std() * np.sqrt(len(elpd)))
        left_out[str(chain)] = LeftOut(elpd, khat, float(elpd.sum()), error, float(effective.sum()))
    weight = stacking_weights(left_out)
    return np.array([weight[str(chain)] for chain in range(chains)])


def different_modes(fit: "xr.DataTree") -> list[Finding]:
    """Chains that settled at different places, with each one's share, log posterior, and stacking weight."""
    found = groups(fit)
    if len(found) == 1:
        return []
    modes = _weighed(fit, found)
    told = "; ".join(_described(mode) for mode in modes)
    what = f"The chains settled in {len(found)} different modes: {told}."
    why = (
        "How many chains end in a mode tells where they started, not how probable it is: their average is no posterior."
    )
    advice = "Try more chains, fewer components or a stronger prior"
    if modes[0]["stacking_weight"] is not None:
        best = max(modes, key=lambda mode: mode["stacking_weight"])
        advice += f"; or weigh the chains by their stacking weights, which favour {chains_named(best['chains'])}"
    advice += "."
    return [Finding("problem", "modes", what, why, advice, {"modes": modes})]


def _weighed(fit: "xr.DataTree", found: list[list[int]]) -> list[dict[str, Any]]:
    lp, chains = statistic(fit, "lp", "logp"), size(fit)[0]
    weight = None if observed(fit).weights is not None else stacking(fit)  # a row is then not one point
    modes = []
    for group in found:
        mode: dict[str, Any] = {"chains": group, "share": len(group) / chains}
        mode["lp"] = float(lp.isel(chain=group).mean()) if lp is not None else None
        modes.append(mode | {"stacking_weight": None if weight is None else float(weight[group].sum())})
    return modes


def _described(mode: dict[str, Any]) -> str:
    facts = [f"{mode['share']:.0%} of them"]
    if mode["lp"] is not None:
        facts.append(f"log posterior {mode['lp']:.1f} on average")
    if mode["stacking_weight"] is not None:
        facts.append(f"stacking weight {mode['stacking_weight']:.2f}")
    first, *rest = facts
    return f"{chains_named(mode['chains'])} ({first}{'; ' if rest else ''}{', '.join(rest)})"
