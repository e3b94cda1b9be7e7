"""Label diagnostics, and convergence with and without labels."""

import warnings

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy.stats import multivariate_normal, norm

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.diagnosis.convergence import label_free
from bayesgmm.errors import FitWarning
from bayesgmm.labels.alignments import divergence
from bayesgmm.labels.label_confusion import exchange_bound, exchange_gaps
from bayesgmm.labels.relabelling import KEPT, component_order, inverse, reorder
from bayesgmm.posterior.info import info
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import unpack
from benchmarks.relabelling import same_names
from tests.switching import as_fit, draws_of, in_rows, relabelled, responsibilities_of, shares_of, shuffled, two_modes


def test_two_modes_are_distinguished_from_one():
    """The bound is above the true probability, small for separated modes, and 1/2 for a single mode."""
    rng = np.random.default_rng(0)
    for apart in (2.0, 2.5, 3.0, 4.0):
        found = exchange_bound(np.abs(rng.normal(apart, 1.0, size=4000)))
        assert norm.cdf(-apart) <= found + 2e-3
    assert found < 0.02
    for single in (rng.normal(size=4000), rng.uniform(-1, 1, size=4000), rng.exponential(size=4000)):
        assert exchange_bound(np.abs(single)) > 0.45
    partly = np.where(rng.random(4000) < 0.2, rng.uniform(0, 1, 4000), rng.normal(3.0, 0.2, 4000))
    assert 0.1 < exchange_bound(partly) < 0.25  # a tenth of the labels is exchanged
    assert exchange_bound(np.where(rng.random(4000) < 0.3, -5.0, 5.0)) == pytest.approx(0.3, abs=0.03)
    assert exchange_bound(np.zeros(10)) == 0.5


def test_an_exchange_gap_is_the_cost_of_an_exchange():
    fit, _ = shuffled(draws_of(gap=1.0))
    responsibilities, order = responsibilities_of(fit), component_order(relabelled(fit))
    q = responsibilities.consensus(order).share
    gaps = exchange_gaps(responsibilities.costs(divergence(q)), order)
    p, q = np.take_along_axis(shares_of(responsibilities), order[:, None, :], axis=2), in_rows(q, 90)
    for j, k in [(0, 1), (2, 0), (1, 1)]:
        wanted = ((p[..., j] - p[..., k]) * np.log(q[:, j] / q[:, k])).sum(axis=1)
        np.testing.assert_allclose(gaps[:, j, k], wanted, atol=1e-9)


def test_well_separated_components_have_certain_labels():
    labels = info(bg.relabel(draws_of(n_draws=200), progress=False)).labels
    assert labels.agreement > 0.95
    assert min(labels.constancy) > 0.95
    assert np.max(labels.confusion) < 0.01
    assert labels.doubtful_weight == 0


def test_overlapping_components_that_do_not_move_keep_their_labels():
    """A narrow component inside a wide one: points are uncertain, labels are not."""
    rng = np.random.default_rng(0)
    x = np.concatenate([3 * rng.normal(size=(300, 2)), 0.5 * rng.normal(size=(150, 2))])
    s = 400
    weight = rng.dirichlet([300, 150], size=s)
    mean = 0.05 * rng.normal(size=(s, 2, 2))
    covariance = np.array([9.0, 0.25])[:, None, None] * np.eye(2) * np.exp(0.05 * rng.normal(size=(s, 2, 1, 1)))
    mixed, order = shuffled(as_fit(Parameters(weight, mean, covariance), x))
    found = bg.relabel(mixed, progress=False)
    assert same_names(component_order(found), inverse(order))
    labels = info(found).labels
    assert labels.agreement < 0.97
    assert labels.doubtful_weight == 0
    assert min(labels.constancy) > 0.9


def one_gaussian_in_two():
    rng = np.random.default_rng(0)
    model = bg.MixtureModel(2, weights=bg.Dirichlet(50.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, rng.normal(size=(300, 2)), draws=500, seed=1, progress=False)


def test_two_components_on_one_gaussian_are_not_distinguished():
    fit = one_gaussian_in_two()
    with pytest.warns(FitWarning, match="components 0 and 1 can't be distinguished"):
        found = bg.relabel(fit, progress=False)
    labels = info(found).labels
    assert labels.indistinct == ((0, 1),)
    assert labels.confusion[0][1] > 0.3
    assert labels.doubtful_weight > 0.3
    warned = [text for text in info(found).warnings if "distinguished" in text]
    again = relabelled(found)
    assert [text for text in info(again).warnings if "distinguished" in text] == warned  # once


def test_a_component_that_holds_different_points_in_every_draw_is_reported():
    fit = draws_of(n_draws=200)
    p = unpack(fit).parameters
    rng = np.random.default_rng(0)
    weight = p.weight.copy()
    weight[:, 2], weight[:, 1] = 0.1, weight[:, 1] + weight[:, 2] - 0.1
    mean, covariance = p.mean.copy(), p.covariance.copy()
    x = fit["observed_data"]["x"].values
    mean[:, 2] = x[rng.integers(len(x), size=200)]
    covariance[:, 2] *= 0.05
    wandering = as_fit(Parameters(weight, mean, covariance), x)
    with pytest.warns(FitWarning, match="component 2 holds different points in every draw"):
        labels = info(bg.relabel(wandering, progress=False)).labels
    assert labels.inconstant == (2,)


def test_chains_in_different_modes_have_no_common_labels():
    """The Jaccard index of their points is a half or a third."""
    labels = info(relabelled(two_modes())).labels
    assert max(labels.constancy) < 0.7


def test_confusion_is_not_computed_from_few_draws():
    labels = info(bg.relabel(draws_of(n_draws=10), progress=False)).labels
    assert labels.confusion is None
    assert labels.indistinct == ()


# -- convergence --


def test_switched_chains_converge_after_relabelling_and_always_without_labels():
    fit = draws_of(n_draws=400)
    p = unpack(fit).parameters
    order = np.tile([0, 1, 2], (400, 1))
    order[200:] = [1, 2, 0]
    switching = as_fit(reorder(p, order), fit["observed_data"]["x"].values)
    plain, mixed = bg.label_convergence(fit, progress=False), bg.label_convergence(switching, progress=False)
    labelled = mixed.loc["labelled"]
    assert list(mixed.columns) == ["rhat_drawn", "rhat", "ess_drawn", "ess"]
    assert labelled.loc["mean[0, a]", "rhat_drawn"] > 1.5
    assert labelled["rhat"].max() < 1.05
    assert labelled.loc["mean[0, a]", "ess"] > 100 > labelled.loc["mean[0, a]", "ess_drawn"]
    np.testing.assert_allclose(mixed["rhat"], plain["rhat"], atol=1e-6)
    free = mixed.loc["label-free"]
    np.testing.assert_array_equal(free["rhat"], free["rhat_drawn"])
    assert free["rhat"].max() < 1.05
    again = bg.label_convergence(bg.relabel(switching, progress=False), progress=False)
    np.testing.assert_array_equal(again, mixed)
    wanted = az.rhat(bg.relabel(switching, progress=False)["posterior"]["weight"].to_dataset())["weight"]
    np.testing.assert_allclose(labelled.loc[[f"weight[{k}]" for k in range(3)], "rhat"], wanted)


def test_chains_in_different_modes_do_not_converge_without_labels():
    free = bg.label_convergence(relabelled(two_modes()), progress=False).loc["label-free"]
    assert free.loc[[f"together[{i}]" for i in range(19)], "rhat"].max() > 1.5
    assert free.loc[[f"log_density[{i}]" for i in range(20)], "rhat"].max() > 1.5


def test_label_free_quantities_match_their_definitions():
    fit, _ = shuffled(draws_of(n_draws=6, n_points=40, gap=2.5))
    assert unpack(fit).standard.log_scale > 0
    found, p, x = label_free(fit, progress=False), unpack(fit).parameters, fit["observed_data"]["x"].values
    dense = np.array(
        [
            [w * multivariate_normal(m, c).pdf(x) for w, m, c in zip(*draw, strict=True)]
            for draw in zip(p.weight, p.mean, p.covariance, strict=True)
        ]
    )
    shares = dense / dense.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["loglik"].values.ravel(), np.log(dense.sum(axis=1)).sum(axis=1), rtol=1e-10)
    np.testing.assert_allclose(
        found["n_occupied"].values.ravel(), (1 - np.prod(1 - shares, axis=2)).sum(axis=1), rtol=1e-9
    )
    log = np.log(dense.sum(axis=1))
    looked_at = found["log_density"].values.reshape(6, -1)
    rows = [int(np.abs(log - one[:, None]).sum(axis=0).argmin()) for one in looked_at.T]
    assert len(set(rows)) == 20
    np.testing.assert_allclose(looked_at, log[:, rows], rtol=1e-9)
    together = np.einsum("skn,skn->sn", shares[:, :, rows[1:]], shares[:, :, rows[:-1]])
    np.testing.assert_allclose(found["together"].values.reshape(6, -1), together, rtol=1e-8)


def test_label_free_quantities_count_row_weights():
    fit = draws_of(n_draws=6, n_points=40, gap=1.0)
    w, x, p = np.arange(40) % 4, fit["observed_data"]["x"].values, unpack(fit).parameters
    one, other = (label_free(f, progress=False) for f in (as_fit(p, x, 2, w), as_fit(p, np.repeat(x, w, axis=0), 2)))
    for name in ("loglik", "n_occupied"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9)


def test_label_free_quantities_of_many_points_use_a_subsample():
    rng = np.random.default_rng(0)
    p = Parameters(rng.dirichlet([9, 9], size=8), rng.normal(size=(8, 2, 1)), np.ones((8, 2, 1, 1)))
    x = rng.normal(size=(30_000, 1))
    some, own = (
        label_free(as_fit(p, x), progress=False)["loglik"].values,
        responsibilities_of(as_fit(p, x)).logliks().reshape(2, 4),
    )
    own -= Standard.of(as_points(x)).log_scale * len(x)
    np.testing.assert_allclose(some, own, rtol=0.02)


def test_convergence_of_a_point_estimate_and_of_an_older_file_is_nan(iris):
    point = bg.fit(bg.MixtureModel(2), iris.drop(columns="species"), "em", seed=1, progress=False)
    assert bg.label_convergence(point, progress=False).isna().all(axis=None)
    older = bg.relabel(draws_of(), progress=False)
    older["sample_stats"] = xr.DataTree(older["sample_stats"].to_dataset().drop_vars(KEPT))
    table = bg.label_convergence(older, progress=False).loc["labelled"]
    assert table["rhat_drawn"].isna().all()
    assert table["rhat"].notna().all()
