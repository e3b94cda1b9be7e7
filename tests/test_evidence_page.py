"""The evidence: each section in a small sample, and the page from the stored results."""

import doctest
import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm, t

import bayesgmm as bg
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.priors.covariances import COVARIANCE_PRIORS
from bayesgmm.priors.means import MEANS
from bayesgmm.priors.weights import WEIGHTS
from evidence import __main__, alarms, calibration, enumeration, errors, marginal_likelihoods, page, results
from evidence.declared import every_declaration, structured_declarations
from evidence.sections import SECTIONS


@pytest.mark.parametrize("name", SECTIONS)
def test_a_small_sample_of_every_section_runs(name, tmp_path, monkeypatch):
    monkeypatch.setattr(alarms, "LONG", alarms.LONG | {"draws": 1000, "chains": 4, "max_draws": 2000})
    section = SECTIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", bg.FitWarning)
        result = section.run(section.few, 1)
    assert not result.table.empty
    assert len(result.text) > 100
    results.write(name, result, tmp_path)
    stored = results.read(name, tmp_path)
    assert page.rendered(name, stored) == page.rendered(name, result)
    known = results.read(name)  # None if the section has not been run
    assert known is None or list(stored.table.columns) == list(known.table.columns)  # else: run the section again


def test_the_page_is_rendered_from_the_stored_results():
    """If it fails: ``python -m evidence page``."""
    assert page.PATH.read_text() == page.page()
    assert all(f"## {SECTIONS[name].title}\n" in page.page() for name in SECTIONS if results.read(name))


def test_a_section_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["partition"])
    assert "no section 'partition'" in capsys.readouterr().err


def test_the_enumeration_counts_bells_numbers():
    assert [len(enumeration.set_partitions(n)) for n in range(1, 8)] == [1, 2, 5, 15, 52, 203, 877]


@pytest.mark.parametrize("module", [enumeration, errors, page])
def test_the_examples_hold(module):
    tried = doctest.testmod(module)
    assert tried.attempted
    assert tried.failed == 0


def test_losses_of_the_enumeration_are_those_of_a_case_by_hand():
    """Two pairs against all four together: one bit, or half of the pairs, for joining or for splitting."""
    pairs, whole = np.array([[0, 0, 1, 1]]), np.zeros((1, 4), dtype=int)
    for name, cost in (("vi", 1.0), ("binder", 0.5)):
        assert np.concatenate(enumeration.expected_losses(name, pairs, whole)).tolist() == [cost, 0.0]
        assert np.concatenate(enumeration.expected_losses(name, whole, pairs)).tolist() == [0.0, cost]


def calibrated_with(spread, size=400):
    """Positions of standard normal truths in normal posteriors of a given standard deviation."""
    truth = np.random.default_rng(1).normal(size=size)
    return calibration.Calibration("", dict.fromkeys(calibration.COMMON, norm.cdf(truth / spread).tolist()))


def test_calibration_sees_intervals_that_are_too_narrow_and_passes_right_ones():
    """False alarm: 1e-3."""
    right, narrow = calibrated_with(1.0), calibrated_with(0.7)
    assert min(right.p_values().values()) > 1e-3
    assert max(narrow.p_values().values()) < 1e-4
    assert abs(right.coverage(0.9)[0] - 0.9) < 4 * right.coverage(0.9)[1]
    assert narrow.coverage(0.9)[0] < 0.85
    assert "no row fails" in calibration.verdict(calibration.summarised("nuts", [right]))
    assert "2 of 2 rows fail" in calibration.verdict(calibration.summarised("nuts", [narrow]))


def test_calibrated_quantities_ignore_labels_and_use_the_density():
    rng = np.random.default_rng(2)
    mean, x = rng.normal(size=(1, 3, 2)), rng.normal(size=(5, 2))
    covariance = np.array([[np.eye(2), 2 * np.eye(2) + 0.5, 0.3 * np.eye(2)]])
    mixture = Parameters(np.array([[0.2, 0.3, 0.5]]), mean, covariance)
    swapped = Parameters(*(values[:, [2, 0, 1]] for values in (mixture.weight, mean, covariance)))
    ours, theirs = (calibration.quantities(one, calibration.Observed(x)) for one in (mixture, swapped))
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose([*ours.values()], [*theirs.values()], atol=1e-12)
    density = sum(
        w * multivariate_normal(m, c).pdf(x) for w, m, c in zip([0.2, 0.3, 0.5], mean[0], covariance[0], strict=True)
    )
    np.testing.assert_allclose(ours["log likelihood"], [np.log(density).sum()])


def test_every_prior_is_calibrated():
    models = [model for _, _, model in [*every_declaration(), *structured_declarations()]]
    assert {type(model.weights) for model in models} == set(WEIGHTS.values()) - {
        bg.FiniteMixture
    }  # its draws have an unknown K
    assert {type(model.means) for model in models} == set(MEANS.values())
    assert {type(model.covariances) for model in models} == set(COVARIANCE_PRIORS.values())


def test_the_parts_of_the_exact_evidence_are_right():
    """The marginal of one point is Student's; probabilities of all partitions sum to one."""
    x = np.array([[1.3]])
    assert marginal_likelihoods.log_marginal(x) == pytest.approx(t(4, scale=3**0.5).logpdf(1.3), rel=1e-9)
    exact = marginal_likelihoods.exact(x, 3)
    assert exact.log_evidence == pytest.approx(marginal_likelihoods.log_marginal(x), rel=1e-9)
    np.testing.assert_allclose(exact.n_clusters, [1, 0, 0], atol=1e-12)
    few = [one for one in enumeration.set_partitions(6) if one.max() < 3]
    total = sum(np.exp(marginal_likelihoods.log_probability(one, 3)) for one in few)
    assert total == pytest.approx(1.0, rel=1e-9)
