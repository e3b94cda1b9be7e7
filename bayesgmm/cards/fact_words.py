"""Names and descriptions of the facts that a card may expect. Every card is checked against them, so it is light."""

FDR = 0.05  # false discovery rate of the flagged points
FACT_WORDS = {
    "smallest_weight": "the smallest weight",
    "largest_weight": "the largest weight",
    "largest_rhat": "the largest R-hat of all parameters",
    "loglik_rhat": "R-hat of the log likelihood, which does not depend on labels",
    "clusters": "components that are the most probable one for at least one point",
    "occupied": "posterior mean number of components with at least one point",
    "components": "the posterior mean of an unknown number of components",
    "concentration": "the posterior mean of the concentration",
    "truncated_mass": "the expected weight of the truncated sticks",
    "narrowest_sd": "the smallest standard deviation of a component",
    "entropy": (
        "the mean uncertainty of a point's label (normalised entropy: 0 certain, 1 all components equally probable)"
    ),
    "label_agreement": "the probability that a point's label in a draw is its most frequent label",
    "adjusted_rand_index": (
        "agreement of the labels with the known classes (adjusted Rand index: 0 by chance, 1 perfect)"
    ),
    "merged_clusters": "clusters after merging overlapping components",
    "merged_adjusted_rand_index": "agreement of the merged clusters with the known classes (adjusted Rand index)",
    "flagged": f"points flagged as anomalies at a false discovery rate of {FDR:g}",
    "flagged_wrongly": "the fraction of good points among the flagged ones",
    "found": "the fraction of bad points that are flagged",
}
"""Name -> description, without a final full stop; ``facts.FACTS`` computes them."""
