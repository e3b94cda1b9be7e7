"""Fits of rows some of whose components are known, by every engine."""

import warnings

import numpy as np
import pymc as pm
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DataError, DeclarationError, EmptyComponent
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.families.registry import CHARTED
from tests.inference import test_gaps
from tests.labelled_points import POINTS, conjugate, exact_evidence, exact_probabilities

RNG = np.random.default_rng(3)
GROUP = np.repeat([0, 1, 2], [60, 120, 90])
CENTRES = np.array([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]])
X = CENTRES[GROUP] + RNG.normal(size=(270, 2))
NAMES = np.array(["minor", "major", None], dtype=object)
LABELS = np.where(np.arange(270) % 10 == 0, NAMES[GROUP], None)


def quick_fit(method: str, x: np.ndarray, k: int, **settings: object):
    return test_gaps.quick_fit(method, x, bg.MixtureModel(k), **settings)


@pytest.mark.parametrize("method", ENGINES)
def test_every_engine_gives_components_their_names(method: str) -> None:
    """Names in alphabetical order come first, whatever the weights; the component without labels comes last."""
    fit = quick_fit(method, X, k=3, labels=LABELS)
    posterior = fit["posterior"].mean(("chain", "draw"))
    assert posterior["component"].values.tolist() == ["major", "minor", "2"]
    np.testing.assert_allclose(posterior["mean"].values, CENTRES[[1, 0, 2]], atol=0.5)
    answer = bg.assignments(fit)
    certain = np.array([label is not None for label in LABELS])
    assert answer["probability"].values[certain].max(axis=1) == pytest.approx(1.0)
    assert (answer["component"].values[answer["label"].values] == np.array(["minor", "major", "2"])[GROUP]).mean() > 0.9


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("background", [None, bg.Background(0.1)])
@pytest.mark.parametrize("covariance", CHARTED)
def test_the_log_posterior_and_its_gradient_count_plausibilities(covariance: str, background, exact: bool) -> None:
    """Together with missing values, errors of measurement, row weights and a background."""
    x, rng = X[::7].copy(), np.random.default_rng(0)
    sd, weight = np.zeros(x.shape), rng.integers(1, 4, len(x)).astype(float)
    if not exact:
        x[::3, 0], sd[1::3] = np.nan, 0.7
    t = rng.random((len(x), 3))
    t[:10], t[10:20] = 1.0, np.eye(3)[rng.integers(0, 3, 10)]
    points = as_points(x, gaps=True).weighed(weight).measured(None if exact else sd).labelled(t, 3)
    density = LogPosterior.of(bg.MixtureModel(3, covariance, background=background), points)
    q = 0.3 * rng.normal(size=density.size)
    p, behind = density.parameters(q), density.model.background
    parts = p.weight, p.mean, p.covariance
    plausible = t / t.max(axis=1, keepdims=True)
    if behind is not None:
        parts = [each[0] for each in behind.append_to(*(part[None] for part in parts))]
        plausible = np.column_stack([plausible, (plausible == 1).all(axis=1)])
    total = 0.0
    for row, own, error, count in zip(x, plausible, sd, weight, strict=True):
        seen = ~np.isnan(row)
        each = [
            w * multivariate_normal(m[seen], (c + np.diag(error**2))[np.ix_(seen, seen)]).pdf(row[seen])
            for w, m, c in zip(*parts, strict=True)
        ]
        total += count * np.log((own * each).sum())
    assert density.value(q) - density.log_prior(q) == pytest.approx(total, rel=1e-10)
    step, (_, gradient) = 1e-6, density(q)
    ends = [(density.value(q + step * e), density.value(q - step * e)) for e in np.eye(q.size)]
    np.testing.assert_allclose(gradient, [(a - b) / (2 * step) for a, b in ends], rtol=1e-5, atol=1e-4)


T = np.array([[1, 0, 0], [1, 1, 1], [1, 1, 1], [0.2, 1, 0.2], [1, 1, 1], [1, 1, 1]], dtype=float)


@pytest.mark.parametrize("method", ["nuts", "gibbs"])
def test_probabilities_of_components_are_those_of_enumeration(method: str) -> None:
    """Six points and three components: some rows have a label, one has plausibilities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fit = bg.fit(conjugate(3), POINTS[:, None], method, labels=T, seed=1, progress=False, draws=4000)
    found = bg.assignments(fit, draws=None)["probability"].values
    np.testing.assert_allclose(found, exact_probabilities(3, T), atol=0.03)


def test_weights_with_priors_of_their_own_keep_their_components() -> None:
    """Without labels Gibbs sampling exchanges components whose priors differ; with labels it must not."""
    prior = bg.Dirichlet((6.0, 1.0, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fits = [
            bg.fit(conjugate(3, prior), POINTS[:, None], method, labels=T, seed=1, progress=False, draws=4000)
            for method in ("gibbs", "nuts")
        ]
    exact = exact_probabilities(3, T, prior)
    for fit in fits:
        np.testing.assert_allclose(bg.assignments(fit, draws=None)["probability"].values, exact, atol=0.03)
    assert bg.evidence(fits[0]).log_evidence == pytest.approx(exact_evidence(3, T, prior), abs=0.1)


@pytest.mark.parametrize(
    "labels",
    [T, [0, None, None, 1, None, None], [None, None, 0, None, None, None]],
    ids=["all differ", "one is free", "two are free"],
)
def test_the_evidence_is_that_of_enumeration(labels: object) -> None:
    points = as_points(POINTS[:, None]).labelled(labels, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fit = bg.fit(conjugate(3), points.values, "gibbs", labels=labels, seed=1, progress=False)
    found = bg.evidence(fit)
    exact = exact_evidence(3, points.labels.of_components(3))
    assert found.log_evidence == pytest.approx(exact, abs=0.05 + 4 * found.se)


def test_when_all_labels_are_known_the_weights_are_dirichlet() -> None:
    fit = quick_fit("gibbs", X, k=3, labels=GROUP)
    weight = fit["posterior"]["weight"].values.reshape(-1, 3)
    after = 1.0 + np.bincount(GROUP)
    mean = after / after.sum()
    np.testing.assert_allclose(weight.mean(axis=0), mean, atol=0.012)
    np.testing.assert_allclose(weight.std(axis=0), np.sqrt(mean * (1 - mean) / (after.sum() + 1)), rtol=0.2)


@pytest.mark.parametrize("method", ["vb", "advi"])
def test_minibatches_keep_their_labels(method: str) -> None:
    x, group = np.tile(X, (8, 1)) + RNG.normal(scale=0.1, size=(2160, 2)), np.tile(GROUP, 8)
    labels = np.where(np.arange(2160) % 10 == 0, NAMES[group], None)
    fit = quick_fit(method, x, k=3, labels=labels, batch_size=500)
    np.testing.assert_allclose(fit["posterior"]["mean"].mean(("chain", "draw")).values, CENTRES[[1, 0, 2]], atol=0.4)


def test_fits_with_other_labels_are_not_compared() -> None:
    fits = {name: quick_fit("em", X, k=3, labels=labels) for name, labels in {"with": LABELS, "without": None}.items()}
    with pytest.raises(DataError, match="differs from 'with' in its labels"):
        bg.compare(fits)


def test_no_label_gives_the_plain_fit() -> None:
    plain, fit = (quick_fit("nuts", X, k=3, labels=labels) for labels in (None, [None] * len(X)))
    assert np.array_equal(plain["posterior"]["mean"].values, fit["posterior"]["mean"].values)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (bg.MixtureModel(3, weights=bg.DirichletProcess()), "heaviest component first"),
        (bg.MixtureModel(3, weights=bg.PitmanYor()), "heaviest component first"),
        (bg.MixtureModel(3, weights=bg.FiniteMixture()), "draws the number of components"),
    ],
)
def test_priors_that_order_the_components_are_refused(model: bg.MixtureModel, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        bg.fit(model, X, "gibbs", labels=LABELS, progress=False)


def test_ordered_means_and_tempering_are_refused() -> None:
    model = bg.MixtureModel(3, means=bg.NormalMeans(ordered=True))
    with pytest.raises(DeclarationError, match="means that are ordered"):
        bg.fit(model, X[:, :1], "nuts", labels=LABELS, progress=False)
    with pytest.raises(DeclarationError, match="tempering='parallel' does not allow for labels"):
        bg.fit(bg.MixtureModel(3), X, "gibbs", labels=LABELS, tempering="parallel", progress=False)


def test_labels_are_saved_with_the_fit(tmp_path) -> None:
    fit = quick_fit("em", X, k=3, labels=LABELS)
    again = bg.load(bg.save(fit, tmp_path / "fit.nc"))
    for one in (fit, again):
        assert one["observed_data"]["plausibility"].sizes == {"point": 270, "labelled": 3}
        assert one["observed_data"]["labelled"].values.tolist() == ["major", "minor", "(all others)"]
    np.testing.assert_array_equal(bg.assignments(again)["probability"], bg.assignments(fit)["probability"])


def test_the_density_of_values_does_not_depend_on_their_labels() -> None:
    fit = quick_fit("em", X, k=3, labels=LABELS)
    np.testing.assert_array_equal(bg.density(fit)["density"], bg.density(fit, X)["density"])
    scores = (
        bg.anomaly_scores(fit, reference="posterior predictive"),
        bg.anomaly_scores(fit, X, reference="posterior predictive"),
    )
    np.testing.assert_array_equal(*(one["log_density"] for one in scores))
    joint = bg.log_likelihood(fit)["log_likelihood"]["x"].values.ravel()
    chosen = bg.assignments(fit, X)["probability"].values
    plain = bg.density(fit)["log_density"].values
    at = [i for i, label in enumerate(LABELS) if label == "major"]
    np.testing.assert_allclose(joint[at], plain[at] + np.log(chosen[at, 0]), atol=1e-9)


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.FitWarning")
@pytest.mark.parametrize("settings", [{"method": "pivot"}, {"method": "ecr"}, {"method": "ordered", "by": "x0"}])
def test_relabelling_keeps_named_components(settings) -> None:
    fit = quick_fit("gibbs", X, k=4, labels=LABELS)
    again = bg.relabel(fit, progress=False, **settings)
    assert again["posterior"]["component"].values.tolist() == ["major", "minor", "2", "3"]
    for name in ("major", "minor"):
        pair = (one["posterior"]["mean"].sel(component=name).values for one in (fit, again))
        np.testing.assert_array_equal(*pair)


def test_a_choice_of_the_number_of_components_counts_labels() -> None:
    table = bg.select(X, [1, 3, 4], "full", labels=LABELS, seed=0, progress=False)
    assert int(table["n_components"][0]) == 3
    alone = table[table["n_components"] == 1]["problem"].item()
    assert alone == "labels speak of 2 components, and there are only 1"


def test_codes_from_one_count_as_names_in_a_choice() -> None:
    """Three classes called 1, 2 and 3 need three components, not four."""
    codes = np.where(np.arange(270) % 10 == 0, GROUP + 1, -1)
    named = np.where(codes > 0, np.array(["", "a", "b", "c"])[codes], "")
    one, other = (bg.select(X, [2, 3, 5], "full", labels=labels, seed=0, progress=False) for labels in (codes, named))
    assert int(one["n_components"][0]) == 3
    np.testing.assert_allclose(one["bic"], other["bic"], rtol=1e-6)


@pytest.mark.parametrize("labels", [LABELS, RNG.random((270, 3)), np.eye(3)[GROUP]], ids=["names", "plausible", "all"])
def test_the_entropy_of_the_assignments_counts_labels(labels) -> None:
    table = bg.select(X, 3, "full", labels=labels, seed=0, progress=False)
    fit = bg.fit(bg.MixtureModel(3), X, "em", labels=labels, seed=0, progress=False)
    share = bg.assignments(fit)["probability"].values
    entropy = -np.where(share > 0, share * np.log(np.maximum(share, 1e-300)), 0.0).sum()
    assert table["icl"][0] - table["bic"][0] == pytest.approx(2 * entropy, rel=1e-4, abs=1e-6)


def test_pymc_has_the_same_likelihood() -> None:
    x, t = X[::30].copy(), np.vstack([T, T[:3]])
    x[3, 1] = np.nan
    model = bg.MixtureModel(3)
    pm_model = bg.build_model(model, x, labels=t)
    start = bg.initial_point(model, x, labels=t)
    observed, values = pm_model["x"], pm_model.rvs_to_values
    point = pm_model.initial_point()
    found = pm_model.compile_logp(vars=[observed])(point)
    drawn = pm_model.compile_fn(
        pm_model.replace_rvs_by_values([pm_model[name] for name in start]),
        inputs=[*values.values()][:-1],
        on_unused_input="ignore",
    )(point)
    weight, mean, covariance = (dict(zip(start, drawn, strict=True))[name] for name in ("weight", "mean", "covariance"))
    assert found == pytest.approx(brute_force(x, t, weight, mean, covariance), rel=1e-9)


def brute_force(x, t, weight, mean, covariance) -> float:
    """Log likelihood of what is observed, times plausibilities."""
    total = 0.0
    for row, own in zip(x, t, strict=True):
        seen = ~np.isnan(row)
        each = [
            multivariate_normal(m[seen], c[np.ix_(seen, seen)]).pdf(row[seen])
            for m, c in zip(mean, covariance, strict=True)
        ]
        total += np.log((own * weight * each).sum())
    return total


def test_minibatches_of_pymc_are_refused() -> None:
    with pytest.raises(DeclarationError, match="batch_size= can't be combined with labels="):
        bg.build_model(bg.MixtureModel(3), X, labels=LABELS, batch_size=50)


def test_labels_of_the_wrong_length_are_refused_before_the_fit() -> None:
    with pytest.raises(DataError, match="labels has shape"):
        bg.fit(bg.MixtureModel(3), X, "em", labels=LABELS[:-1], progress=False)


@pytest.mark.parametrize("method", ["em", "vb", "gibbs"])
def test_weak_labels_are_matched_by_the_search(method: str) -> None:
    """One label for each of eight clusters: of 40,320 orders of the components one is right."""
    group = np.repeat(np.arange(8), 40)
    x = np.random.default_rng(2).normal(size=(320, 2)) + 7.0 * np.column_stack([group % 3, group // 3])
    labels = np.where(np.arange(320) % 40 == 0, group, -1)
    fit = quick_fit(method, x, k=8, labels=labels)
    found = fit["posterior"]["mean"].mean(("chain", "draw")).values
    np.testing.assert_allclose(found, [x[group == k].mean(axis=0) for k in range(8)], atol=1.0)


def test_log_sums_of_impossible_components_are_exact() -> None:
    """Points far from their label: the log likelihood is that of the label alone."""
    x, labels = np.array([[0.0], [1.0], [50.0], [51.0]]), [0, 0, 0, 1]
    density = LogPosterior.of(bg.MixtureModel(2), as_points(x).labelled(labels, 2))
    p = density.parameters(np.zeros(density.size))
    logs = [
        np.log(p.weight[k]) + multivariate_normal(p.mean[k], p.covariance[k]).logpdf(row)
        for row, k in zip(x, labels, strict=True)
    ]
    q = np.zeros(density.size)
    assert density.value(q) - density.log_prior(q) == pytest.approx(np.sum(logs), rel=1e-12)
    assert np.isfinite(logsumexp(logs))


@pytest.mark.filterwarnings("ignore")
def test_a_trace_of_pymc_holds_labels_and_errors() -> None:
    """Answers about the fitted points use both; they did not."""
    rows, sd = slice(None, None, 9), RNG.uniform(0.2, 2.0, size=(30, 2))
    x, labels, model = X[rows], LABELS[rows], bg.MixtureModel(3)
    with bg.build_model(model, x, noise=sd, labels=labels):
        start = bg.initial_point(model, x, noise=sd, labels=labels)
        settings = {"draws": 20, "tune": 20, "chains": 1, "cores": 1, "progressbar": False, "random_seed": 1}
        trace = pm.sample(initvals=start, nuts_sampler="pymc", **settings)
    found = bg.assignments(trace, draws=None)["probability"]
    known = np.array([label is not None for label in labels])
    assert found.values[known].max(axis=1) == pytest.approx(1.0)
    p = trace.posterior.isel(chain=0)
    for n in (1, 2):
        each = [
            [
                w * multivariate_normal(m, c + np.diag(sd[n] ** 2)).pdf(x[n])
                for w, m, c in zip(*(p[name].values[s] for name in ("weight", "mean", "covariance")), strict=True)
            ]
            for s in range(20)
        ]
        share = np.mean([one / np.sum(one) for one in each], axis=0)
        np.testing.assert_allclose(found.values[n], share, atol=1e-8)
    assert set(bg.label_errors(trace).index) == set(np.flatnonzero(known))


@pytest.mark.parametrize("method", ["em", "mle"])
def test_components_that_no_row_may_belong_to_are_said_to_be_so(method: str) -> None:
    """With a prior they have its distribution; the likelihood says nothing of them."""
    x = np.random.default_rng(0).normal(size=10) + np.repeat([0.0, 9.0], 5)
    labels = ["low"] * 5 + ["high"] * 5
    with pytest.raises(EmptyComponent, match="every row has a label, and 1 component has none") as raised:
        bg.fit(bg.MixtureModel(3), x, method, labels=labels, progress=False)
    assert "Try n_components=2, no label for some rows, or method='map'" in str(raised.value)
    labels[3] = None  # which may belong to the third one
    with pytest.raises(EmptyComponent, match="a 'full' covariance"):
        bg.fit(bg.MixtureModel(3), x, method, labels=labels, progress=False)
