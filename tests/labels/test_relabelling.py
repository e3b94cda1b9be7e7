"""Relabelling: every method against its definition, on traces of other libraries, and its errors."""

from dataclasses import replace

import arviz as az
import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.errors import DataError, DeclarationError, UnknownName
from bayesgmm.labels import relabelling
from bayesgmm.labels.alignments import (
    METHODS,
    RelabellingProblem,
    alternate,
    coordinates,
    disagreement,
    divergence,
    solve_assignments,
)
from bayesgmm.labels.relabelling import KEPT, aligned, component_order, inverse, reorder, undo
from bayesgmm.labels.responsibilities import Responsibilities
from bayesgmm.labels.subsamples import stratified_subsample
from bayesgmm.posterior.info import info
from bayesgmm.posterior.notes import LabelInfo
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import observed, unpack
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import BLOCK, Table
from benchmarks.relabelling import plain_stephens, same_names, switched
from tests.switching import (
    SETTINGS,
    as_fit,
    as_fit_of,
    draws_of,
    in_blocks,
    in_rows,
    orders,
    relabelled,
    responsibilities_of,
    shares_of,
    shuffled,
)


@pytest.mark.parametrize("threads", [1, 3])
def test_sweeps_match_numpy(threads):
    rng = np.random.default_rng(3)
    weights = rng.uniform(0, 3, size=90)
    fit, order = shuffled(draws_of(gap=1.0))
    responsibilities = responsibilities_of(fit, threads, weights)
    p, target = shares_of(responsibilities), rng.random((90, 3))
    np.testing.assert_allclose(
        responsibilities.costs(in_blocks(target)), np.einsum("n,nk,snj->skj", weights, target, p), rtol=1e-12
    )
    named = np.take_along_axis(p, order[:, None, :], axis=2).mean(axis=0)
    found = responsibilities.consensus(order)
    np.testing.assert_allclose(in_rows(found.share, 90), named, atol=1e-14)
    squares = np.einsum("n,snk->sk", weights, np.take_along_axis(p, order[:, None, :], axis=2) ** 2).mean(axis=0)
    np.testing.assert_allclose(found.squares, squares, rtol=1e-12)
    np.testing.assert_allclose(responsibilities.log_empty(), np.einsum("n,snk->sk", weights, np.log1p(-p)), rtol=1e-9)
    np.testing.assert_allclose(in_rows(responsibilities.of_draw(7).share, 90), p[7], atol=1e-14)


def test_the_result_does_not_depend_on_threads_or_progress():
    fit, _ = shuffled(draws_of(gap=1.0))
    one, other = responsibilities_of(fit), responsibilities_of(fit, 3)
    with_progress = Responsibilities(one.blocks, one.tables, 2, progress=True)
    order = np.tile([2, 0, 1], (60, 1))
    target = divergence(one.of_draw(0).share)
    for more in (other, with_progress):
        np.testing.assert_array_equal(one.costs(target), more.costs(target))
        np.testing.assert_array_equal(one.consensus(order).share, more.consensus(order).share)
        np.testing.assert_array_equal(one.consensus(order).squares, more.consensus(order).squares)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_the_cheapest_assignment_is_found(k):
    """With random costs, and with costs for which the shortcut applies."""
    rng = np.random.default_rng(k)
    cost = rng.normal(size=(200, k, k))
    cost[::2] += 5 * (1 - np.eye(k)[rng.permutation(k)])
    paid = np.array([[one[np.arange(k), order].sum() for order in orders(k)] for one in cost])
    found = np.take_along_axis(cost, solve_assignments(cost)[:, :, None], axis=2).sum(axis=(1, 2))
    np.testing.assert_allclose(found, paid.min(axis=1), atol=1e-12)


# -- the methods against their definitions --


def solved(method, fit, **settings):
    responsibilities = responsibilities_of(fit)
    return responsibilities, METHODS[method](RelabellingProblem(unpack(fit), 0, responsibilities), **settings)


@pytest.mark.parametrize("seed", range(3))
def test_stephens_converges_to_the_best_order_of_each_draw(seed):
    fit, _ = shuffled(draws_of(gap=1.0, wobble=0.6, seed=seed), seed)
    responsibilities, found = solved("stephens", fit)
    p = shares_of(responsibilities)
    named = np.take_along_axis(p, found.order[:, None, :], axis=2)
    centre = named.mean(axis=0)
    own = (named * np.log(named / centre)).sum(axis=(1, 2))
    for order in orders(3):
        other = p[:, :, order]
        assert (own <= (other * np.log(other / centre)).sum(axis=(1, 2)) + 1e-9).all()


def test_stephens_matches_numpy_and_scipy():
    fit, _ = shuffled(draws_of(gap=2.0, wobble=0.4), 4)
    responsibilities, found = solved("stephens", fit)
    p = shares_of(responsibilities)
    np.testing.assert_array_equal(found.order, plain_stephens(p, p[0]))


@pytest.mark.parametrize("charge", [divergence, disagreement])
@pytest.mark.parametrize("seed", range(4))
def test_the_objective_never_increases(charge, seed):
    fit, _ = shuffled(draws_of(gap=0.7, wobble=1.0, seed=seed), seed)
    responsibilities = responsibilities_of(fit)
    objective = alternate(responsibilities, charge, responsibilities.of_draw(0)).objective
    assert len(objective) > 2
    assert (np.diff(objective) <= 1e-9 * np.abs(objective[:-1])).all()


def test_the_objective_of_stephens_is_his_divergence():
    """Up to the entropy of the draws, which does not depend on the order."""
    fit, _ = shuffled(draws_of(gap=1.0, wobble=0.6))
    responsibilities, found = solved("stephens", fit)
    named = np.take_along_axis(shares_of(responsibilities), found.order[:, None, :], axis=2)
    cross = -(named * np.log(named.mean(axis=0))).sum()
    assert found.objective[-1] == pytest.approx(cross, rel=1e-12)


def test_ecr_maximises_the_agreement_with_a_given_partition():
    fit, _ = shuffled(draws_of(gap=1.0, wobble=0.6))
    partition = np.random.default_rng(0).integers(3, size=90)
    responsibilities, found = solved("ecr", fit, partition=partition)
    p = shares_of(responsibilities)

    def agreed(order):  # E #{n: z_n is the component with label z*_n}
        return np.take_along_axis(p, order[:, partition][:, :, None], axis=2).sum(axis=(1, 2))

    best = np.max([agreed(np.tile(order, (len(p), 1))) for order in orders(3)], axis=0)
    np.testing.assert_allclose(agreed(found.order), best, rtol=1e-12)
    assert -found.objective[-1] == pytest.approx(best.sum())


def test_a_given_partition_is_restricted_to_the_subsample():
    fit, _ = shuffled(draws_of(gap=1.0, wobble=0.6))
    partition = np.random.default_rng(0).integers(3, size=90)
    drawn = unpack(fit)
    best = int(fit["sample_stats"]["lp"].values.argmax())
    tables = drawn.tables()
    rows, blocks = stratified_subsample(observed(fit), drawn.standard, tables.draw(best), 30)
    wanted = METHODS["ecr"](
        RelabellingProblem(drawn, best, Responsibilities(blocks, tables)), partition=partition[rows]
    )
    found = relabelled(fit, "ecr", partition=partition, points=30)
    assert same_names(component_order(found), wanted.order)


def test_ecr_estimates_the_partition_from_the_draws():
    fit, _ = shuffled(draws_of(gap=1.0, wobble=0.6))
    _, found = solved("ecr", fit)
    partition = in_rows(found.centre.share, 90).argmax(axis=1)
    _, again = solved("ecr", fit, partition=partition)
    np.testing.assert_array_equal(found.order, again.order)


def test_pivot_minimises_the_distance_from_the_best_draw():
    fit, _ = shuffled(draws_of(gap=1.0, wobble=0.6))
    problem = RelabellingProblem(unpack(fit), 5)
    values, order = coordinates(problem.posterior), METHODS["pivot"](problem).order
    far = np.array([((values[:, one] - values[5]) ** 2).sum(axis=(1, 2)) for one in orders(3)])
    own = ((np.take_along_axis(values, order[:, :, None], axis=1) - values[5]) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(own, far.min(axis=0), atol=1e-9)


@pytest.mark.parametrize("by", ["a", "b", "weight"])
def test_ordered_sorts_the_components(by):
    fit, _ = shuffled(draws_of(gap=1.0, wobble=1.0))
    p = aligned(relabelled(fit, "ordered", by=by)).parameters
    values = -p.weight if by == "weight" else p.mean[:, :, "ab".index(by)]
    assert (np.diff(values, axis=1) >= 0).all()


# -- relabel --


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("points", [None, 30])
def test_any_switching_is_undone(method, points):
    fit = draws_of()
    mixed, order = shuffled(fit)
    found = bg.relabel(mixed, method, points=points, progress=False, **SETTINGS[method])
    undone = component_order(found)
    assert same_names(undone, inverse(order))
    assert info(found).labels.method == method
    assert info(found).labels.agreement > 0.9
    assert info(found).labels.indistinct == ()


@pytest.mark.parametrize("method", METHODS)
def test_the_original_labels_do_not_matter(method):
    """Nor does the order of the chains, as long as the best draw stays the best."""
    fit = draws_of(gap=1.5, wobble=0.5)
    mixed, _ = shuffled(fit, seed=8)
    one, other = (relabelled(f, method, **SETTINGS[method]) for f in (fit, mixed))
    swapped = relabelled(mixed.isel(chain=[1, 0]), method, **SETTINGS[method]).isel(chain=[1, 0])
    for name in ("weight", "mean", "covariance"):
        np.testing.assert_array_equal(one["posterior"][name], other["posterior"][name])
        np.testing.assert_array_equal(one["posterior"][name], swapped["posterior"][name])


def test_stephens_and_ecr_and_pivot_agree_for_many_well_separated_components():
    points, drawn, shuffle = switched(400, n_draws=40)
    fit = as_fit_of(drawn, points)
    found = [component_order(bg.relabel(fit, method, progress=False)) for method in ("stephens", "ecr", "pivot")]
    for order in found:
        np.testing.assert_array_equal(order, found[0])
        assert same_names(order, np.argsort(shuffle, axis=1))


def test_many_points_start_from_the_order_of_a_subsample():
    points, drawn, shuffle = switched(5_000, n_draws=20)
    found = bg.relabel(as_fit_of(drawn, points), points=None, progress=False)
    assert same_names(component_order(found), np.argsort(shuffle, axis=1))
    assert info(found).labels.points == 5_000


def test_each_method_starts_from_the_original_draws():
    mixed, _ = shuffled(draws_of(gap=1.5, wobble=0.5))
    once = relabelled(mixed)
    twice = relabelled(relabelled(relabelled(mixed, "ordered", by="b"), "pivot"))
    assert twice["posterior"].identical(once["posterior"])
    assert twice["sample_stats"].identical(once["sample_stats"])
    back = reorder(unpack(twice).parameters, inverse(component_order(twice)))
    np.testing.assert_array_equal(back.mean, unpack(mixed).parameters.mean)


def test_a_fit_stores_the_original_labels(fit):
    order = fit["sample_stats"][KEPT]
    assert order.dims == ("chain", "draw", "component")
    assert info(fit).labels.method == "stephens"
    assert info(fit).labels.indistinct == ()
    again = bg.relabel(fit, progress=False)
    np.testing.assert_array_equal(again["sample_stats"][KEPT], order)
    np.testing.assert_array_equal(again["posterior"]["mean"], fit["posterior"]["mean"])
    assert replace(info(again), labels=None) == replace(info(fit), labels=None)


def test_the_input_is_not_changed():
    mixed, _ = shuffled(draws_of())
    before = mixed.copy(deep=True)
    bg.relabel(mixed, progress=False)
    assert mixed.identical(before)


def test_variables_with_components_are_reordered_and_others_are_not():
    mixed, _ = shuffled(draws_of())
    posterior = mixed["posterior"].to_dataset()
    more = posterior.assign(
        sd=np.sqrt(posterior["covariance"])
        .isel(feature_bis=0, drop=True)
        .transpose("component", "feature", "chain", "draw"),
        offset=posterior["weight"].sum("component"),
    )
    mixed["posterior"] = xr.DataTree(more)
    mixed["prior"] = xr.DataTree(more.isel(draw=slice(3)))
    mixed["unconstrained_posterior"] = xr.DataTree(xr.Dataset({"log_weight": np.log(posterior["weight"])}))
    found = bg.relabel(mixed, progress=False)
    new = found["posterior"].to_dataset()
    assert new["sd"].dims == more["sd"].dims
    xr.testing.assert_equal(
        new["sd"], np.sqrt(new["covariance"]).isel(feature_bis=0, drop=True).transpose(*more["sd"].dims)
    )
    xr.testing.assert_equal(new["offset"], more["offset"])
    assert found["prior"].identical(mixed["prior"])
    np.testing.assert_array_equal(found["unconstrained_posterior"]["log_weight"], np.log(new["weight"]))


def test_a_row_of_weight_three_counts_three_times():
    rng = np.random.default_rng(5)
    mixed, _ = shuffled(draws_of(gap=1.0, wobble=0.8))
    x, w = mixed["observed_data"]["x"].values, rng.integers(0, 4, size=90)
    p = unpack(mixed).parameters
    standard = unpack(mixed).standard
    trees = [as_fit(p, x, sample_weight=w), as_fit(p, np.repeat(x, w, axis=0))]
    for tree in trees:  # the same coordinates, so that sums are equal
        tree["constant_data"]["shift"].values[:] = standard.shift
    one, other = (relabelled(tree, points=None) for tree in trees)
    np.testing.assert_array_equal(component_order(one), component_order(other))
    plain = relabelled(mixed, points=None)
    for key in ("agreement", "constancy", "confusion"):
        np.testing.assert_allclose(getattr(info(one).labels, key), getattr(info(other).labels, key), atol=2e-4)
    assert info(one).labels.agreement != info(plain).labels.agreement


def test_assignments_of_a_trace_without_relabelling_are_those_with_it():
    mixed, _ = shuffled(draws_of())
    np.testing.assert_allclose(
        bg.assignments(mixed)["probability"], bg.assignments(bg.relabel(mixed, progress=False))["probability"]
    )


def test_a_relabelled_fit_can_be_saved_and_read_by_arviz(tmp_path):
    import matplotlib as mpl

    mpl.use("Agg")
    found = bg.relabel(shuffled(draws_of())[0], progress=False)
    for name in ("fit.nc", "fit.zarr"):
        assert bg.load(bg.save(found, tmp_path / name)).identical(found)
    assert "mean[0, a]" in az.summary(found, var_names=["weight", "mean"]).index
    az.plot_trace_dist(found, var_names=["weight"])
    mpl.pyplot.close("all")


def test_empty_components_come_last_and_change_no_label_of_the_others():
    """Ten components of almost no weight beside three whose labels are switched."""
    drawn, points = unpack(shuffled(draws_of())[0]), observed(draws_of())
    rng, p = np.random.default_rng(4), drawn.parameters
    tiny = rng.uniform(1e-7, 1e-5, size=(drawn.n_draws, 10))
    more = Parameters(
        np.concatenate([tiny, p.weight * (1 - tiny.sum(axis=1, keepdims=True))], axis=1),
        np.concatenate([rng.normal(size=(drawn.n_draws, 10, 2)), p.mean], axis=1),
        np.concatenate([np.tile(np.eye(2), (drawn.n_draws, 10, 1, 1)), p.covariance], axis=1),
        p.extras,
    )
    lp = np.zeros(drawn.n_draws)
    alone, _ = undo(points, drawn, lp)
    order, labels = undo(points, replace(drawn, parameters=more), lp)
    np.testing.assert_array_equal(order[:, :3], alone + 10)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(13), (drawn.n_draws, 1)))
    assert (np.diff(np.take_along_axis(more.weight, order, axis=1)[:, 3:], axis=1) <= 0).all()
    assert labels.inconstant == tuple(range(3, 13))
    assert labels.indistinct == (tuple(range(3, 13)),)


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
def test_a_fit_is_relabelled_once(monkeypatch):
    calls, find = [], relabelling.find_order
    monkeypatch.setattr(relabelling, "find_order", lambda *args: calls.append(args) or find(*args))
    bg.fit(bg.MixtureModel(2), [[0.0], [1.0], [9.0], [10.0]], "gibbs", seed=0, draws=200, max_draws=1, progress=False)
    assert len(calls) == 1


def test_one_draw_and_one_component_keep_their_labels(iris):
    x = iris.drop(columns="species")
    point = bg.fit(bg.MixtureModel(3), x, "em", seed=1, progress=False)
    assert bg.relabel(point, progress=False)["posterior"].identical(point["posterior"])
    assert info(point).labels == LabelInfo("stephens")
    by_petal = bg.relabel(point, "ordered", by="petal_length", progress=False)
    assert (np.diff(by_petal["posterior"]["mean"].sel(feature="petal_length").values.ravel()) > 0).all()
    one = bg.fit(bg.MixtureModel(1), x, "vb", seed=1, draws=50, progress=False)
    for method in METHODS:
        assert bg.relabel(one, method, progress=False)["posterior"].identical(one["posterior"])


def test_ordered_uses_the_only_column():
    p = draws_of(d=1)
    assert info(relabelled(p, "ordered")).labels.method == "ordered"


# -- bad input --


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"method": "stevens"}, UnknownName, "did you mean 'stephens'"),
        ({"method": "stephens", "by": "a"}, DeclarationError, "takes no by=; 'ordered' does"),
        ({"method": "pivot", "partition": [0] * 90}, DeclarationError, "takes no partition=; 'ecr' does"),
        ({"method": "ordered"}, DeclarationError, "needs by=one of 'a', 'b', 'weight'"),
        ({"method": "ordered", "by": "wieght"}, DeclarationError, "did you mean 'weight'"),
        ({"method": "ecr", "partition": [0, 1]}, DataError, r"shape \(2,\) for 90 points"),
        ({"method": "ecr", "partition": range(90)}, DataError, "90 clusters, the fit 3 components"),
        ({"points": 0}, DeclarationError, "points=0"),
        ({"data": [[1.0]]}, DataError, "2 columns"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        bg.relabel(draws_of(), progress=False, **settings)


def test_without_points_only_methods_that_compare_parameters_work():
    mixed, order = shuffled(draws_of())
    del mixed["observed_data"]
    with pytest.raises(DataError, match="data=.*'pivot', 'ordered'"):
        bg.relabel(mixed, progress=False)
    found = bg.relabel(mixed, "pivot", progress=False)
    assert same_names(component_order(found), inverse(order))
    assert info(found).labels == LabelInfo("pivot")
    given = bg.relabel(mixed, data=draws_of()["observed_data"]["x"].values, progress=False)
    assert same_names(component_order(given), inverse(order))


# -- subsamples --


def test_a_subsample_holds_every_component_and_represents_all_points():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=20_000), 50 + rng.normal(size=10)])[:, None]
    weights = rng.uniform(0, 2, size=len(x))
    weights[::3] = 0
    points = as_points(x).weighed(weights)
    table = Table.from_parameters(np.log([[0.99, 0.01]]), [[[0.0], [50.0]]], [[[1.0], [1.0]]])
    rows, blocks = stratified_subsample(points, Standard(np.zeros(1), np.ones(1)), table, 200)
    few = rows >= 20_000
    np.testing.assert_array_equal(rows[few], 20_000 + np.flatnonzero(weights[20_000:]))
    assert 100 < len(rows) <= 110
    represented = blocks.weight[: len(rows)]
    assert (represented > 0).all()
    assert represented[few].sum() == pytest.approx(weights[20_000:].sum())
    assert represented[~few].sum() == pytest.approx(weights[:20_000].sum())
    assert len(stratified_subsample(points, Standard(np.zeros(1), np.ones(1)), table, None)[0]) == len(x)


def test_padding_of_blocks_changes_nothing():
    """33 points fill one block and a part of the next."""
    fit, order = shuffled(draws_of(n_points=33))
    responsibilities = responsibilities_of(fit)
    assert isinstance(responsibilities.blocks, Blocks)
    assert same_names(METHODS["stephens"](RelabellingProblem(unpack(fit), 0, responsibilities)).order, inverse(order))
    np.testing.assert_allclose(responsibilities.costs(np.ones((2, 3, BLOCK))).sum(axis=2), 33.0)
