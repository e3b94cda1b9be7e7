"""Paragraphs on the results of an analysis, in Markdown: convergence, components, clusters, assignments, checks."""

import numpy as np

from bayesgmm.clusterings.component_numbers import n_components
from bayesgmm.clusterings.label_draws import n_clusters
from bayesgmm.diagnosis.summary import component_words, convergence_line, convergence_numbers
from bayesgmm.posterior.draws import number_varies
from bayesgmm.posterior.schema import transforms_of
from bayesgmm.reports.chains import label_free
from bayesgmm.reports.markdown import code, escaped, grid
from bayesgmm.reports.overview import uncertainty
from bayesgmm.reports.subject import PAIRED, Subject, listed
from bayesgmm.wording import plural, share

PROBABLE = 0.005  # probability from which a number of clusters is listed
CI_PROB = 0.9


def convergence(subject: Subject) -> str:
    """Describe the convergence of chains, of an approximation, or of an optimiser."""
    if subject.is_point:
        return _of_optimiser(subject)
    if subject.is_approximation:
        return f"{escaped(convergence_line(subject.fit))} [@yao2018]."
    numbers = convergence_numbers(subject.fit)
    if "rhat" not in numbers:
        return f"{plural(subject.n_draws, 'draw')} per chain are too few to check convergence."
    sentences = [] if number_varies(subject.fit) else [_of_components(subject, numbers["rhat"], numbers["ess"])]
    sentences += map(escaped, label_free(subject))
    return " ".join([*sentences, "R-hat and effective sample sizes are computed from ranks [@vehtari2021]."])


def _of_components(subject: Subject, rhat: float, ess: float) -> str:
    what = "weights, means, standard deviations, hyperparameters and the log likelihood"
    largest = f"the largest R-hat is {rhat:.3f} and " if subject.n_chains > 1 and np.isfinite(rhat) else ""
    return f"Of {what}, {largest}the smallest bulk effective sample size {ess:,.0f}."


def _of_optimiser(subject: Subject) -> str:
    notes = subject.info.notes
    steps = f" after {plural(notes.n_iter, 'iteration')}" if notes.n_iter is not None else ""
    if notes.converged is None:
        return ""
    return f"The optimiser converged{steps}." if notes.converged else f"The optimiser did not converge{steps}."


def components(subject: Subject) -> str:
    """Show the weight, the size and the means of the components in a table."""
    if number_varies(subject.fit):
        return "The number of components differs between draws, so components have no table; their clusters follow."
    title, table = component_words(subject.fit, CI_PROB)
    title += "; `points` is the expected number of points" if "points" in table.index else ""
    names = {*subject.columns, *transforms_of(subject.fit).names}
    table.index = [code(name) if name in names else name for name in table.index]
    if len(table.columns) > len(table):
        table = table.T
    rows = [(str(name), *map(str, row)) for name, row in zip(table.index, table.to_numpy(), strict=True)]
    return f"{title}.\n\n{grid(('', *map(str, table.columns)), rows)}"


def clusters(subject: Subject) -> str:
    """Describe the posterior of the number of clusters where that number is not fixed, and the optimal partition."""
    declared = subject.model
    if declared is None or subject.is_point or not subject.has_points or subject.n_components == 1:
        return ""
    sentences = []
    if number_varies(subject.fit):
        posterior = n_components(subject.counted)
        sentences.append(_numbers("components", posterior.index, posterior["components"]))
        sentences.append(_numbers("components that hold points", posterior.index, posterior["clusters"]))
    elif declared.weights.is_overfitted:
        chance = n_clusters(subject.counted)
        sentences.append(_numbers("components that hold points", chance["n_clusters"].values, chance.values))
    if not sentences:
        return ""
    best = subject.partition
    sizes = listed([f"{int(size):,}" for size in best["size"].values])
    rows = f" of {PAIRED} of the points" if subject.n_points > PAIRED else ""
    sentences.append(
        f"The partition{rows} with the minimum expected variation of information [@wade2018] [@dahl2022] has "
        f"{plural(len(best['size']), 'cluster')}, of {sizes} points."
    )
    return " ".join(sentences)


def _numbers(what: str, counts: object, values: object) -> str:
    pairs = zip(np.asarray(counts), np.asarray(values, float), strict=True)
    likely = [f"{count} ({share(p)})" for count, p in pairs if p > PROBABLE]
    return f"The posterior of the number of {what}: {listed(likely)}."


def assignments(subject: Subject) -> str:
    """Describe how certain the components of the points are."""
    plug_in = " A point estimate has no posterior: these probabilities take its parameters as exact."
    estimated = subject.is_point and subject.has_points and subject.n_components > 1
    return escaped(uncertainty(subject)) + (plug_in if estimated else "")


def checks(subject: Subject) -> str:
    """List everything that the checks found, with the warnings of the fit: none is left out."""
    found = subject.findings
    sentences = [f"No findings from {plural(len(found.passed), 'check')}: {listed([*map(escaped, found.passed)])}."]
    if found.skipped:
        sentences.append(f"Not possible for this fit: {listed([*map(escaped, found.skipped)])}.")
    items = [f"- {finding.severity} ({finding.check}): {escaped(f'{finding.what} {finding.why}')}" for finding in found]
    listing = "\n".join(items)
    return "\n\n".join(part for part in (" ".join(sentences), listing) if part)
