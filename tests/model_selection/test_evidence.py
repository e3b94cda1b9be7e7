"""The log evidence: against closed forms, enumeration of all assignments, and averages over the prior."""

import warnings
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import xarray as xr
from scipy.special import betaln, gammaln, logsumexp, multigammaln
from scipy.stats import chi2, norm

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import DeclarationError, FitFileError, FitWarning, UnreliableEvidence
from bayesgmm.inference.bridges import bridge
from bayesgmm.inference.importance import log_evidence
from bayesgmm.model_selection import marginal_likelihoods
from bayesgmm.posterior.info import annotate
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import ReconciliationInfo, TemperingInfo
from bayesgmm.priors.covariances import COVARIANCE_PRIORS
from bayesgmm.priors.means import MEANS
from tests.declarations import FIXED, SDS, covariance_priors, mean_priors, weight_priors

UNIFORM = bg.Dirichlet()
POINTS = np.array([-1.0, -0.8, 0.1, 0.9, 1.1, 3.0])
STRENGTH, DOF, SCALE = 0.4, 3.0, 0.8


def sampled(model, x, method="nuts", **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, x, method, progress=False, **({"seed": 1} | settings))


def normal_wishart(x, location, strength, dof, scale):
    """Log marginal likelihood of one Gaussian under its conjugate prior."""
    n, d = x.shape
    if n == 0:
        return 0.0
    mean = x.mean(axis=0)
    scatter = (x - mean).T @ (x - mean)
    away = mean - location
    after = scale + scatter + strength * n / (strength + n) * np.outer(away, away)
    return (
        -0.5 * n * d * np.log(np.pi)
        + multigammaln((dof + n) / 2, d)
        - multigammaln(dof / 2, d)
        + 0.5 * dof * np.linalg.slogdet(scale)[1]
        - 0.5 * (dof + n) * np.linalg.slogdet(after)[1]
        + 0.5 * d * np.log(strength / (strength + n))
    )


def log_share(prior, counts):
    """Log probability of assignments with these counts."""
    counts = np.asarray(counts)
    if isinstance(prior, bg.Dirichlet):
        alpha = np.broadcast_to(prior.concentration, counts.shape)
        return (
            gammaln(alpha.sum())
            - gammaln(alpha.sum() + counts.sum())
            + (gammaln(alpha + counts) - gammaln(alpha)).sum()
        )
    a, b = prior.sticks(np.array([prior.concentration]), len(counts))
    after = counts[::-1].cumsum()[::-1][1:]
    return (betaln(a + counts[:-1], b + after) - betaln(a, b)).sum()


def enumerated(prior, k):
    """Log evidence: the sum over all assignments of the six points."""
    terms = []
    for z in product(range(k), repeat=len(POINTS)):
        counts = np.bincount(z, minlength=k)
        parts = [POINTS[np.array(z) == j][:, None] for j in range(k)]
        marginals = [normal_wishart(part, np.zeros(1), STRENGTH, DOF, np.eye(1) * SCALE) for part in parts]
        terms.append(log_share(prior, counts) + sum(marginals))
    return logsumexp(terms)


def conjugate(k, weights=UNIFORM, **others):
    return bg.MixtureModel(
        k,
        weights=weights,
        means=bg.ConjugateMeans(0.0, STRENGTH),
        covariances=bg.WishartPrecision(DOF, SCALE),
        **others,
    )


def vanishing(sd):
    """True for a prior with so much density at standard deviation zero that chains are slow to come back from it."""
    return isinstance(sd, bg.Gamma)


def agrees(found, right, sds=5.0):
    """An estimate is right within its error; .01 more, for the bias of a ratio of two averages."""
    return abs(found.log_evidence - right) < sds * found.se + 0.01


@pytest.mark.parametrize("method", ["nuts", "advi"])
def test_one_gaussian_has_the_closed_form(method):
    """False alarm: 6e-7 each (5 sd)."""
    x = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 20.0, 0.01] + [5.0, 100.0, 0.0]
    location, scale = np.array([5.0, 90.0, 0.0]), np.diag([1.0, 400.0, 1e-4])
    means, covariances = bg.ConjugateMeans(tuple(location), 0.5), bg.WishartPrecision(5.0, scale)
    found = bg.evidence(sampled(bg.MixtureModel(1, means=means, covariances=covariances), x, method))
    assert found.se < 0.02
    assert agrees(found, normal_wishart(x, location, 0.5, 5.0, scale))


PRIORS = (bg.Dirichlet(), bg.Dirichlet((2.5, 0.7)), bg.DirichletProcess(1.5), bg.PitmanYor(1.5, 0.3))


@pytest.mark.parametrize("prior", PRIORS, ids=str)
def test_the_evidence_is_the_sum_over_all_assignments(prior):
    """False alarm: 6e-7 each (5 sd)."""
    found = bg.evidence(sampled(conjugate(2, prior), POINTS, draws=2000))
    assert found.se < 0.1
    assert agrees(found, enumerated(prior, 2))


def test_three_components_have_six_orders():
    """False alarm: 6e-7 (5 sd)."""
    prior = bg.Dirichlet(2.0)
    found = bg.evidence(sampled(conjugate(3, prior), POINTS, draws=2000))
    assert agrees(found, enumerated(prior, 3))


def average_over_the_prior(density, draws, seed):
    """Log of the mean likelihood at draws of the prior, by its own generator, and the standard error."""
    rng = np.random.default_rng(seed)
    model, k, d = density.model, density.n_components, density.n_features
    weight, _ = model.weights.draw(rng, k, draws)
    covariance, _ = model.covariances.draw(rng, model.family, (draws, k, d))
    mean, _ = model.means.draw(rng, k, draws, covariance)
    x = density.blocks.rows() * density.standard.scale + density.standard.shift
    logs = np.empty((k, draws, len(x)))
    with np.errstate(divide="ignore"):
        log_weight = np.log(weight)
    for j in range(k):
        chol = np.linalg.cholesky(covariance[:, j])
        z = np.linalg.solve(chol, np.swapaxes(x - mean[:, j, None], 1, 2))
        half_det = np.log(np.diagonal(chol, axis1=1, axis2=2)).sum(axis=1)[:, None]
        logs[j] = log_weight[:, j, None] - half_det - 0.5 * (z**2).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
    return log_evidence(logsumexp(logs, axis=0).sum(axis=1))


FEW = np.array([[-1.0, 0.4], [0.2, 2.0], [1.6, 0.5]])
ORDERED = (bg.NormalMeans(ordered=True), bg.HierarchicalMeans(ordered=True))
COLUMN = [
    *(bg.MixtureModel(2, "diag", weights=prior) for prior in weight_priors(2)),
    *(bg.MixtureModel(2, "diag", means=prior) for prior in ORDERED),
]
PLANE = [
    *(bg.MixtureModel(2, "full", means=prior) for prior in mean_priors(2)),
    *(bg.MixtureModel(2, "tied", covariances=bg.LKJCovariance(2.5, sd)) for sd in SDS if not vanishing(sd)),
    *(bg.MixtureModel(2, "spherical", covariances=prior) for prior in covariance_priors(2)[1:3]),
]


TIED = [model for model in PLANE if model.covariance == "tied"]
LONG = [model for model in TIED if not isinstance(model.covariances.sd, bg.HalfNormal | bg.LogNormal)]


def test_every_prior_is_among_them():
    models = [model for model in [*COLUMN, *PLANE] if model not in LONG]
    assert {type(model.weights) for model in models} == set(FIXED.values())
    assert {type(model.means) for model in models} == set(MEANS.values())
    others = {COVARIANCE_PRIORS["decomposed"]}  # in tests/inference/test_decomposed.py
    others |= {COVARIANCE_PRIORS["multiplicative_gamma"]}  # whose evidence is refused
    assert {type(model.covariances) for model in models} == set(COVARIANCE_PRIORS.values()) - others


@pytest.mark.parametrize(("model", "x"), [(m, FEW[:, :1]) for m in COLUMN] + [(m, FEW) for m in PLANE], ids=str)
def test_every_prior_is_normalised(model, x, request):
    """False alarm: 6e-5 each (4 sd); the average over the prior has its own error."""
    if model in LONG and not request.config.getoption("--every-combination"):
        pytest.skip("seconds each, for the sake of a scalar prior: run with --every-combination")
    right, error = average_over_the_prior(LogPosterior.of(model, as_points(x)), 50_000, seed=3)
    draws, seed = (2000, 3) if model.covariance == "tied" else (1000, 1)  # mixed, and no weight is rounded to zero
    fit = sampled(model, x, draws=draws, tune=500, target_accept=0.9, seed=seed, disagreement="report")
    found = bg.evidence(fit)
    assert abs(found.log_evidence - right) < 4 * np.hypot(error, found.se) + 0.02


def test_a_background_is_one_more_component():
    """False alarm: 6e-7 (5 sd): the sum over all assignments, of which a part are the background's."""
    far = bg.Background(0.2, location=0.5, scale=3.0)
    found = bg.evidence(sampled(conjugate(1, background=far), POINTS))
    log_far = norm.logpdf(POINTS, 0.5, 3.0) + np.log(0.2)
    terms = []
    for z in product((False, True), repeat=len(POINTS)):
        out = np.array(z)
        inside = normal_wishart(POINTS[~out][:, None], np.zeros(1), STRENGTH, DOF, np.eye(1) * SCALE)
        terms.append(log_far[out].sum() + np.log(0.8) * (~out).sum() + inside)
    assert agrees(found, logsumexp(terms))


def test_the_order_of_means_is_only_a_label():
    """Ordered means: K! times the density, on one of K! orders.  False alarm: 6e-7 (5 sd)."""
    models = [bg.MixtureModel(3, means=bg.NormalMeans(0.0, 2.0, ordered=ordered)) for ordered in (False, True)]
    one, other = (bg.evidence(sampled(model, POINTS, draws=2000)) for model in models)
    assert abs(one.log_evidence - other.log_evidence) < 5 * np.hypot(one.se, other.se) + 0.01


def test_units_of_the_data_only_add_the_jacobian():
    """False alarm: 6e-7 (5 sd)."""
    scale = np.array([1e-3, 50.0])
    one, other = (bg.evidence(sampled(bg.MixtureModel(2), FEW * s, draws=1000)) for s in (1.0, scale))
    expected = one.log_evidence - len(FEW) * np.log(scale).sum()
    assert abs(other.log_evidence - expected) < 5 * np.hypot(one.se, other.se) + 0.01


def test_the_error_is_that_of_repeats():
    """Ten fits of six points.  False alarm: 1e-4 each way (chi square, 9 degrees of freedom)."""
    found = [bg.evidence(sampled(conjugate(2), POINTS, draws=250, seed=seed), seed=seed) for seed in range(10)]
    values, errors = np.array([(f.log_evidence, f.se) for f in found]).T
    ratio = 9 * values.var(ddof=1) / np.mean(errors**2)
    assert chi2.ppf(1e-4, 9) / 2 < ratio < chi2.ppf(1 - 1e-4, 9) * 2


@pytest.fixture(scope="module")
def speeds():
    """Two components on the galaxies."""
    return sampled(bg.MixtureModel(2), bg.datasets.galaxies(), draws=500)


def test_the_same_seed_gives_the_same_evidence(speeds):
    one, other = (bg.evidence(speeds, seed=3, cores=cores) for cores in (1, 2))
    assert repr(one) == repr(other)  # what is NaN differs from itself


def test_relabelling_does_not_change_the_evidence(speeds):
    renamed = bg.relabel(speeds, "ordered", by="weight", progress=False)
    one, other = (bg.evidence(fit).log_evidence for fit in (speeds, renamed))
    np.testing.assert_allclose(one, other, atol=1e-6)


def selected(fit, chosen):
    """A fit with some of the draws of each chain."""
    groups = {}
    for node in fit.subtree:
        data = node.to_dataset(inherit=False)
        if {"chain", "draw"} <= set(data.dims):
            parts = [data.isel(chain=c, draw=at).drop_vars("draw") for c, at in enumerate(chosen)]
            data = xr.concat(parts, "chain").assign_coords(draw=np.arange(len(chosen[0])))
        groups[node.path] = data
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = fit.attrs
    return tree


@pytest.fixture(scope="module")
def gaussian():
    """One Gaussian, with its variance (4, 2000)."""
    fit = sampled(bg.MixtureModel(1), POINTS, draws=2000)
    return fit, fit["posterior"]["covariance"].values.reshape(4, -1)


def test_chains_in_different_places_are_refused(gaussian):
    """Two chains have only small variances, the other two only large ones."""
    fit, variance = gaussian
    order = np.argsort(variance, axis=1)
    halves = [np.sort(at[:1000] if c < 2 else at[1000:]) for c, at in enumerate(order)]
    with pytest.raises(UnreliableEvidence, match="have not mixed"):
        bg.evidence(selected(fit, halves))


def test_a_wrong_sample_is_refused(gaussian):
    """Draws that prefer small variances: importance sampling detects them, bridge sampling does not."""
    fit, variance = gaussian
    rng = np.random.default_rng(0)
    chosen = [rng.choice(len(v), len(v), p=v**-2 / (v**-2).sum()) for v in variance]
    with pytest.raises(UnreliableEvidence, match="disagree"):
        bg.evidence(selected(fit, chosen))


def noted(fit, **facts):
    """The fit with other notes of its engine."""
    known = bg.info(fit)
    return annotate(fit.copy(), replace(known, notes=replace(known.notes, **facts)))


def test_draws_that_repeat_serve_as_a_proposal_only(gaussian):
    fit, _ = gaussian
    resampled = noted(fit, reconciled=ReconciliationInfo("importance resampling", 2.0))
    one, other = bg.evidence(fit), bg.evidence(resampled)
    assert (one.method, other.method) == ("bridge", "importance")
    assert abs(one.log_evidence - other.log_evidence) < 5 * np.hypot(one.se, other.se)


def test_the_ladder_of_temperatures_must_agree(gaussian):
    fit, _ = gaussian
    right = bg.evidence(fit)
    ladder = TemperingInfo((0.0, 1.0), (0.4,), 50, 60.0, right.log_evidence + 0.1, 0.1)
    found = bg.evidence(noted(fit, tempering=ladder))
    assert (found.log_evidence, found.tempering_se) == (right.log_evidence, 0.1)
    with pytest.raises(UnreliableEvidence, match="bridge and tempering disagree"):
        bg.evidence(noted(fit, tempering=replace(ladder, log_evidence=right.log_evidence + 1.0)))


def test_the_ladder_takes_the_place_of_a_bridge_that_fails(gaussian):
    fit, variance = gaussian
    order = np.argsort(variance, axis=1)
    halves = [np.sort(at[:1000] if c < 2 else at[1000:]) for c, at in enumerate(order)]
    ladder = TemperingInfo((0.0, 1.0), (0.4,), 50, 60.0, -13.0, 0.1)
    found = bg.evidence(noted(selected(fit, halves), tempering=ladder))
    assert (found.method, found.log_evidence, found.se) == ("tempering", -13.0, 0.1)


def test_more_proposals_are_made_while_the_error_is_large(gaussian, monkeypatch):
    monkeypatch.setattr(marginal_likelihoods, "PROPOSALS", 1000)
    monkeypatch.setattr(marginal_likelihoods, "PRECISE", 0.003)
    found = bg.evidence(gaussian[0])
    assert found.proposals >= 2000
    assert found.se <= 0.003


@pytest.mark.filterwarnings("ignore:.*leave-one-out is unreliable")
def test_compare_shows_the_evidence_where_there_is_one(gaussian):
    fit, _ = gaussian
    table = bg.compare({"nuts": fit, "em": sampled(bg.MixtureModel(1), POINTS, "em")}, evidence=True)
    found = bg.evidence(fit)
    assert table.loc["nuts", ["log_evidence", "log_evidence_se"]].tolist() == [found.log_evidence, found.se]
    assert table.loc["em", ["log_evidence", "log_evidence_se"]].isna().all()


def test_point_estimates_and_foreign_fits_have_no_evidence():
    fit = sampled(bg.MixtureModel(1), POINTS, "em")
    with pytest.raises(DeclarationError, match="at least 100 draws"):
        bg.evidence(fit)
    fit.attrs = {}
    with pytest.raises(FitFileError, match="stores no model"):
        bg.evidence(fit)


def test_too_many_unlike_components_are_refused():
    fit = sampled(bg.MixtureModel(11, weights=bg.DirichletProcess()), np.arange(12.0), "gibbs", draws=200)
    with pytest.raises(DeclarationError, match="treats 11 components differently"):
        bg.evidence(fit)


def test_bridge_sampling_of_normals():
    """Unnormalised N(0, 1) by draws of N(1, 1.5), autocorrelated draws.  False alarm: 6e-7 (5 sd)."""
    rng = np.random.default_rng(2)
    draws = np.empty((4, 3000))
    draws[:, 0], noise = rng.normal(size=4), rng.normal(size=draws.shape)
    for t in range(1, draws.shape[1]):
        draws[:, t] = 0.8 * draws[:, t - 1] + 0.6 * noise[:, t]

    def log_ratio(x):
        return norm.logpdf(x) + 7.0 - norm.logpdf(x, 1.0, 1.5)

    found = bridge(log_ratio(draws), log_ratio(rng.normal(1.0, 1.5, size=5000)))
    assert 0.005 < found.se < 0.05
    assert abs(found.log_evidence - 7.0) < 5 * found.se
