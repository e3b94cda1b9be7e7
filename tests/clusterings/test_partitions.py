"""Partitions: against enumeration of all of them, scikit-learn, and their definitions."""

import itertools
import warnings

import numba
import numpy as np
import pytest
import xarray as xr
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import mutual_info_score, rand_score

import bayesgmm as bg
from bayesgmm.clusterings import label_draw_kernels
from bayesgmm.clusterings.co_clusterings import pair_probabilities
from bayesgmm.clusterings.credible_balls import ball_radius, bounds
from bayesgmm.clusterings.label_draws import count_labels, draw_labels
from bayesgmm.clusterings.partition_losses import LOSSES, Allocations, Loss, by_size, expected_distances
from bayesgmm.clusterings.partition_search import MAX_SEARCHED, Search, best_draw, hierarchical, optimal, together
from bayesgmm.clusterings.random_keys import key_of
from bayesgmm.errors import DataError, DeclarationError, FitWarning, UnknownName
from bayesgmm.posterior.schema import observed, unpack
from bayesgmm.sweep.stats import draw_responsibilities


def set_partitions(n):
    """All partitions, as labels in order of first appearance: 4,140 for n = 8."""
    found = [[0]]
    for _ in range(n - 1):
        found = [[*one, k] for one in found for k in range(max(one) + 2)]
    return np.array(found)


def random_draws(rng, n_points, n_draws, n_groups):
    """Noisy copies of one clustering, each numbered in its own way."""
    truth = rng.integers(n_groups, size=n_points)
    noise = rng.uniform(size=(n_draws, n_points)) < rng.uniform(0.05, 0.7)
    draws = np.where(noise, rng.integers(n_groups, size=(n_draws, n_points)), truth)
    return np.stack([rng.permutation(n_groups)[one] for one in draws])


def searched(draws, loss, restarts=4, seed=0, threads=2):
    allocations = Allocations.of(draws)
    search = Search(allocations, loss, draws.shape[1], seed, threads)
    return optimal(search, np.zeros(draws.shape[1], np.int64), restarts, progress=False), allocations


def entropy_bits(labels):
    share = np.bincount(labels) / len(labels)
    share = share[share > 0]
    return -(share * np.log2(share)).sum()


def test_vi_agrees_with_the_mutual_information():
    rng = np.random.default_rng(1)
    a, draws = rng.integers(5, size=200), rng.integers(4, size=(20, 200))
    wanted = [entropy_bits(a) + entropy_bits(b) - 2 * mutual_info_score(a, b) / np.log(2) for b in draws]
    np.testing.assert_allclose(Loss("vi").distances(a, Allocations.of(draws)), wanted, atol=1e-12)


def test_binder_is_the_share_of_pairs_that_disagree():
    rng = np.random.default_rng(2)
    a, draws = rng.integers(5, size=60), rng.integers(4, size=(20, 60))
    wanted = [(1 - rand_score(a, b)) * 59 / 60 for b in draws]  # pairs include each point with itself
    np.testing.assert_allclose(Loss("binder").distances(a, Allocations.of(draws)), wanted, atol=1e-12)


def test_binder_costs_weigh_splits_and_joins():
    rng = np.random.default_rng(3)
    a, b = rng.integers(3, size=30), rng.integers(4, size=30)
    same_a, same_b = a[:, None] == a, b[:, None] == b
    wanted = (0.5 * (same_b & ~same_a).sum() + 1.7 * (same_a & ~same_b).sum()) / 900
    assert Loss("binder", 0.5, 1.7).distances(a, Allocations.of(b[None]))[0] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_a_distance(name):
    rng = np.random.default_rng(4)
    draws = rng.integers(4, size=(12, 15))
    far = np.array([Loss(name).distances(by_size(one), Allocations.of(draws)) for one in draws])
    np.testing.assert_allclose(np.diag(far), 0, atol=1e-12)
    np.testing.assert_allclose(far, far.T, atol=1e-12)
    assert (far[:, :, None] <= far[:, None, :] + far.T[None] + 1e-12).all()  # d(a, c) <= d(a, b) + d(b, c)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("costs", [(1.0, 1.0), (0.6, 1.4)])
def test_the_search_finds_the_optimum_over_all_partitions(name, costs):
    """60 random problems of 6 points, all 203 partitions: never below the minimum, and nearly always at it."""
    rng = np.random.default_rng(5)
    every, loss, hits = set_partitions(6), Loss(name, *costs), 0
    for seed in range(60):
        draws = random_draws(rng, 6, int(rng.integers(1, 30)), int(rng.integers(1, 5)))
        best, allocations = searched(draws, loss, seed=seed)
        least = min(loss.expected(one, allocations) for one in every)
        ours = loss.expected(best, allocations)
        assert ours >= least - 1e-12
        hits += ours <= least + 1e-9
    assert hits >= 58


def test_the_search_finds_the_optimum_of_eight_points():
    rng = np.random.default_rng(6)
    draws = random_draws(rng, 8, 25, 3)
    best, allocations = searched(draws, Loss())
    least = min(Loss().expected(one, allocations) for one in set_partitions(8))
    assert Loss().expected(best, allocations) == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_single_start_is_improved_until_no_move_lowers_the_loss(name):
    rng = np.random.default_rng(7)
    for seed in range(10):
        draws = random_draws(rng, 25, 40, 4)
        allocations = Allocations.of(draws)
        loss, start = Loss(name), rng.integers(6, size=25)
        best = Search(allocations, loss, 25, seed, 1).improve([start])
        at = loss.expected(best, allocations)
        assert at <= loss.expected(start, allocations) + 1e-12
        for i, k in itertools.product(range(25), range(best.max() + 2)):
            moved = best.copy()
            moved[i] = k
            assert loss.expected(moved, allocations) >= at - 1e-9


@pytest.mark.parametrize("name", LOSSES)
def test_the_search_is_never_worse_than_the_best_draw_or_hierarchical_clustering(name):
    rng = np.random.default_rng(8)
    for seed in range(5):
        draws = random_draws(rng, 80, 60, 5)
        best, allocations = searched(draws, Loss(name), restarts=2, seed=seed)
        ours = Loss(name).expected(best, allocations)
        apart = squareform(1 - together(allocations), checks=False)
        cuts = [
            fcluster(linkage(apart, method), k, "maxclust") - 1
            for method in ("average", "complete")
            for k in range(1, 81)
        ]
        others = [*draws, *cuts]
        assert ours <= min(Loss(name).expected(by_size(one), allocations) for one in others) + 1e-12


def test_best_draw_has_the_minimum_expected_loss_of_all_draws():
    rng = np.random.default_rng(9)
    draws = random_draws(rng, 30, 50, 3)
    allocations = Allocations.of(draws)
    search = Search(allocations, Loss(), 30, 0, 1)
    every = [Loss().expected(by_size(one), allocations) for one in draws]
    assert Loss().expected(best_draw(search), allocations) == pytest.approx(min(every))
    assert len(hierarchical(search)) == 2


@pytest.mark.parametrize("threads", [1, 3])
def test_of_some_clusterings_the_best_has_the_minimum_expected_loss(threads):
    rng = np.random.default_rng(4)
    allocations = Allocations.of(random_draws(rng, 20, 40, 3))
    search = Search(allocations, Loss(), 20, 0, threads)
    some = [by_size(one) for one in random_draws(rng, 20, 7, 3)]
    loss = [Loss().expected(one, allocations) for one in some]
    np.testing.assert_array_equal(search.losses(some), loss)
    for order in (some, some[::-1]):  # wherever it is
        assert Loss().expected(search.best(order), allocations) == min(loss) < max(loss)


def test_the_search_does_not_depend_on_the_number_of_threads():
    draws = random_draws(np.random.default_rng(10), 100, 50, 5)
    results = [searched(draws, Loss("binder"), threads=threads)[0] for threads in (1, 2, 3)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_the_maximum_number_of_clusters_is_kept():
    draws = random_draws(np.random.default_rng(11), 40, 30, 6)
    search = Search(Allocations.of(draws), Loss("binder"), 2, 0, 1)
    assert optimal(search, np.arange(40) % 6, 3, progress=False).max() <= 1


def test_with_many_points_those_outside_the_subset_are_allocated():
    """Three clusters, with noise in each draw; a subset of the points is enough to find them."""
    rng = np.random.default_rng(12)
    n_points = MAX_SEARCHED + 500
    truth = np.arange(n_points) % 3
    draws = np.where(rng.uniform(size=(20, n_points)) < 0.05, 0, truth)
    best, allocations = searched(draws, Loss(), restarts=2)
    assert rand_score(best, truth) > 0.99
    assert Loss().expected(best, allocations) <= Loss().expected(truth, allocations) + 1e-12


def test_expected_distance_is_the_mean_jaccard_distance_to_the_cluster_in_the_draws():
    rng = np.random.default_rng(13)
    best, draws = rng.integers(3, size=12), rng.integers(3, size=(9, 12))

    def jaccard(a, b):
        return 1 - (a & b).sum() / (a | b).sum()

    wanted = [np.mean([jaccard(best == best[i], one == one[i]) for one in draws]) for i in range(12)]
    np.testing.assert_allclose(expected_distances(best, Allocations.of(draws)), wanted, atol=1e-12)


# --- labels ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few(fit):
    return fit.isel(draw=slice(25))


def test_drawn_labels_have_the_responsibilities_as_their_frequencies(few):
    """Means over 100 draws x 40 repetitions within 6 standard errors: false alarm below 1e-6 in all (450 numbers)."""
    posterior = unpack(few)
    blocks = posterior.standard.blocks(observed(few).values)
    share = draw_responsibilities(blocks, posterior.tables()).mean(axis=0)
    labels = np.concatenate([draw_labels(posterior, blocks, seed) for seed in range(40)])
    found = np.stack([(labels == k).mean(axis=0) for k in range(3)], axis=1)
    error = np.sqrt(share * (1 - share) / len(labels))
    assert (np.abs(found - share) <= 6 * error + 6 / len(labels)).all()


@numba.njit
def uniforms(key, size):
    return np.array([label_draw_kernels.uniform(key, i) for i in range(size)])


def test_labels_of_points_are_independent_given_the_parameters():
    """Correlations of 100,000 neighbours and of two seeds within 5 sd: false alarm 6e-7 each."""
    key = key_of(3)
    u = uniforms(key, 100_000)
    assert 0 <= u.min() < u.max() < 1
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * len(u))
    for lag in (1, 2, 150):
        assert abs(np.corrcoef(u[:-lag], u[lag:])[0, 1]) < 5 / np.sqrt(len(u))
    other = uniforms(key_of(4), 100_000)
    assert abs(np.corrcoef(u, other)[0, 1]) < 5 / np.sqrt(len(u))


def test_labels_depend_on_the_seed_and_not_on_the_number_of_threads(few):
    posterior = unpack(few)
    blocks = posterior.standard.blocks(observed(few).values)
    one = draw_labels(posterior, blocks, 7, threads=1)
    np.testing.assert_array_equal(one, draw_labels(posterior, blocks, 7, threads=3))
    assert (one != draw_labels(posterior, blocks, 8)).any()
    counts = np.stack([np.bincount(row, minlength=3) for row in one])
    np.testing.assert_array_equal(count_labels(posterior, blocks, 7, threads=2), counts)


def test_a_component_of_weight_zero_holds_no_points(few):
    empty = few.copy(deep=True)
    empty["posterior"]["weight"][..., 1] = 0.0
    posterior = unpack(empty)
    assert count_labels(posterior, posterior.standard.blocks(observed(few).values))[:, 1].sum() == 0


def two_chains(means):
    """A fit of two components to points at 0 and 9, with the second component at one of ``means`` in each chain."""
    x = np.r_[np.zeros(20), np.full(20, 9.0)][:, None] + np.linspace(-1, 1, 40)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fit = bg.fit(bg.MixtureModel(2, "tied"), x, "nuts", draws=100, tune=100, chains=2, seed=1, progress=False)
    for chain, mean in enumerate(means):
        fit["posterior"]["mean"][chain, :, 0] = 0.0 if mean else 4.5
        fit["posterior"]["mean"][chain, :, 1] = mean or 1e6
        fit["posterior"]["covariance"][chain] = 1.0 if mean else 25.0
    return fit


def test_chains_that_disagree_about_the_number_of_clusters_are_reported():
    """One chain has a component at each group; in the other one component holds all points."""
    with pytest.warns(bg.FitWarning, match=r"the probability of 1 is 0.00 in one chain and 1.00 in another"):
        answer = bg.n_clusters(two_chains([9.0, 0.0]))
    np.testing.assert_allclose(answer, [0.5, 0.5])
    np.testing.assert_allclose(answer["lowest"], [0, 0])
    np.testing.assert_allclose(answer["highest"], [1, 1])
    for draws in (None, 30):
        agreed = bg.n_clusters(two_chains([9.0, 9.0]), draws=draws)
        np.testing.assert_allclose(agreed["highest"], agreed)


def test_n_clusters_counts_occupied_components(few):
    posterior = unpack(few)
    labels = draw_labels(posterior, posterior.standard.blocks(observed(few).values), seed=0)
    wanted = np.bincount([len(set(row)) for row in labels], minlength=4)[1:] / len(labels)
    answer = bg.n_clusters(few)
    np.testing.assert_allclose(answer, wanted)
    assert list(answer["n_clusters"].values) == [1, 2, 3]
    assert answer.name == "probability"
    one_point = bg.n_clusters(few, observed(few).values[:1])
    assert one_point.sel(n_clusters=1) == 1


# --- co-clustering --------------------------------------------------------------------------------


def test_co_clustering_is_the_mean_of_products_of_responsibilities(few):
    posterior = unpack(few)
    share = draw_responsibilities(posterior.standard.blocks(observed(few).values), posterior.tables())
    wanted = np.einsum("sik,sjk->ij", share, share) / len(share)
    np.fill_diagonal(wanted, 1.0)
    np.testing.assert_allclose(bg.co_clustering(few)["probability"], wanted, atol=2e-6)


def test_co_clustering_is_the_share_of_drawn_labels_that_agree(few):
    """Pairs over 4,000 labellings, 6 standard errors: false alarm below 1e-4 over 11,175 pairs; none in this seed."""
    posterior = unpack(few)
    blocks = posterior.standard.blocks(observed(few).values)
    labels = np.concatenate([draw_labels(posterior, blocks, seed) for seed in range(40)])
    found = together(Allocations.of(labels))
    wanted = bg.co_clustering(few)["probability"].values
    assert (np.abs(found - wanted) <= 6 * np.sqrt(wanted * (1 - wanted) / len(labels)) + 6 / len(labels)).all()


def test_results_do_not_depend_on_tiles_slabs_and_threads(few, monkeypatch):
    from bayesgmm.clusterings import co_clusterings

    posterior = unpack(few)
    blocks = posterior.standard.blocks(observed(few).values)
    whole = pair_probabilities(posterior, blocks)
    monkeypatch.setattr(co_clusterings, "TILE", 40)
    monkeypatch.setattr(co_clusterings, "SLAB", 4000)
    parts = [pair_probabilities(posterior, blocks, threads=threads) for threads in (1, 2, 3)]
    np.testing.assert_allclose(parts[0], whole, atol=2e-6)
    np.testing.assert_array_equal(parts[0], parts[1])
    np.testing.assert_array_equal(parts[0], parts[2])
    np.testing.assert_array_equal(parts[0], parts[0].T)


def test_co_clustering_takes_new_points_and_a_subset_of_many(few, iris):
    x = iris.drop(columns="species")
    whole = bg.co_clustering(few)
    np.testing.assert_allclose(
        bg.co_clustering(few, x.iloc[[0, 60, 149]])["probability"],
        whole["probability"].values[np.ix_([0, 60, 149], [0, 60, 149])],
        atol=2e-6,
    )
    with pytest.warns(FitWarning, match="uses 3 of 150 points"):
        part = bg.co_clustering(few, max_points=3)
    assert part["point"].values.tolist() == [0, 74, 149]
    assert part.attrs["n_points"] == 150


# --- partition, n_clusters, credible_ball ---------------------------------------------------------


@pytest.fixture(scope="module")
def best(few):
    return bg.partition(few)


def test_the_partition_of_iris_agrees_with_its_components(few, best):
    labels = bg.assignments(few)["label"].values
    assert rand_score(best["label"].values, labels) > 0.97
    size = best["size"].values
    assert best.attrs["n_clusters"] == len(size) == 3
    np.testing.assert_array_equal(size, np.bincount(best["label"].values))
    assert (np.diff(size) <= 0).all()
    assert best["expected_distance"].values[:50].max() < 0.01  # the first species is far from the others
    assert best["expected_distance"].values[50:].max() > 0.05


def test_the_reported_loss_is_over_all_labellings_used(few, best):
    posterior = unpack(few)
    labels = draw_labels(posterior, posterior.standard.blocks(observed(few).values), seed=0)
    vi = Loss().distances(best["label"].values, Allocations.of(labels))
    assert float(best["expected_loss"]) == pytest.approx(vi.mean(), abs=1e-12)
    assert best.attrs["draws"] == len(labels)


def test_the_same_seed_gives_the_same_partition(few, best):
    xr.testing.assert_identical(bg.partition(few), best)


def test_binder_is_chosen_by_name(few):
    assert bg.partition(few, loss="binder").attrs["loss"] == "binder"
    with pytest.raises(UnknownName, match="did you mean 'binder'"):
        bg.partition(few, loss="bindre")


def test_a_partition_of_other_points(few, iris):
    x = iris.drop(columns="species").iloc[40:60]
    some = bg.partition(few, x)
    assert some["label"].values.tolist() == [0] * 10 + [1] * 10
    assert some["point"].values.tolist() == list(range(40, 60))
    ball = bg.credible_ball(few, some, x)
    assert ball["label"].shape == (3, 20)
    with pytest.raises(DataError, match="20 points"):
        bg.credible_ball(few, some)


def test_one_point_is_one_cluster(few):
    lone = bg.partition(few, observed(few).values[:1])
    assert lone["label"].values.tolist() == [0]
    assert float(lone["expected_loss"]) == 0
    assert float(bg.credible_ball(few, lone, observed(few).values[:1])["radius"]) == 0
    assert bg.co_clustering(few, observed(few).values[:1])["probability"].values.tolist() == [[1.0]]


def test_one_component_is_one_cluster(iris):
    lone = bg.fit(bg.MixtureModel(1), iris.drop(columns="species"), "em", seed=1, progress=False)
    best = bg.partition(lone)
    assert best["size"].values.tolist() == [150]
    assert best["expected_distance"].max() == 0
    assert bg.n_clusters(lone).values.tolist() == [1.0]
    merged = bg.merge_components(lone)
    assert merged.attrs["n_clusters"] == 1
    assert (bg.co_clustering(lone)["probability"] == 1).all()


def test_a_point_estimate_has_many_draws_of_its_labels(iris):
    point = bg.fit(bg.MixtureModel(3), iris.drop(columns="species"), "em", seed=1, progress=False)
    best = bg.partition(point)
    assert best.attrs["draws"] == 100
    assert 0 < float(best["expected_loss"]) < 1
    assert float(bg.credible_ball(point, best)["radius"]) > 0


def test_the_credible_ball_matches_its_definition(few, best):
    posterior = unpack(few)
    labels = draw_labels(posterior, posterior.standard.blocks(observed(few).values), seed=0)
    distance = Loss().distances(best["label"].values, Allocations.of(labels))
    ball = bg.credible_ball(few, best, ci_prob=0.8)
    radius = float(ball["radius"])
    assert (distance <= radius).mean() >= 0.8 > (distance < radius).mean()
    np.testing.assert_allclose(ball["draw_distance"], distance, atol=1e-12)
    for bound in ball["bound"].values:
        one = ball.sel(bound=bound)
        again = Loss().distances(one["label"].values, Allocations.of(best["label"].values[None]))[0]
        assert float(one["distance"]) == pytest.approx(again, abs=1e-12)
        assert again <= radius + 1e-12
    assert float(ball["distance"].sel(bound="horizontal")) == pytest.approx(distance[distance <= radius].max())


@pytest.mark.parametrize("draws", [7, 60, 100, None])
def test_the_ball_uses_the_draws_of_the_partition(fit, draws):
    """The mean distance of its draws is the expected loss, for any number of draws."""
    found = bg.partition(fit, draws=draws, restarts=1)
    ball = bg.credible_ball(fit, found)
    assert float(ball["draw_distance"].mean()) == pytest.approx(float(found["expected_loss"]), abs=1e-12)
    assert ball.sizes["draw"] == found.attrs["draws"] >= 100


def test_row_weights_that_are_not_used_give_a_warning(iris):
    x = iris.drop(columns="species")
    heavy = bg.fit(bg.MixtureModel(2), x, "em", seed=1, progress=False, sample_weight=np.arange(150) % 3)
    for answer in (bg.partition, bg.n_clusters):
        with pytest.warns(FitWarning, match="each row as one point"):
            answer(heavy)
        answer(heavy, x)  # new points have no weights


def test_bounds_are_the_extremes_inside_the_ball():
    distance = np.array([0.1, 0.5, 0.2, 0.4, 0.9, 0.3])
    counts = np.array([3, 3, 2, 4, 1, 4])
    assert ball_radius(distance, 0.8) == 0.5
    assert bounds(distance, counts, 0.5) == [1, 2, 3]
    assert bounds(distance, counts, 0.35) == [5, 2, 5]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"split_cost": 0}, "split_cost"),
        ({"join_cost": "1"}, "join_cost"),
        ({"max_clusters": 0}, "max_clusters"),
        ({"restarts": -1}, "restarts"),
        ({"draws": 0}, "draws"),
        ({"seed": -1}, "seed"),
        ({"merge": 3}, "merge_components"),
    ],
)
def test_bad_settings_are_refused(few, arguments, what):
    with pytest.raises(DeclarationError, match=what):
        bg.partition(few, **arguments)


def test_a_ball_needs_a_partition(few):
    with pytest.raises(DeclarationError, match="partition"):
        bg.credible_ball(few, np.zeros(150))


def test_the_best_draw_is_found_when_not_all_pairs_can_be_compared(monkeypatch):
    """One good draw in the middle of 200, where only 20 can be compared."""
    from bayesgmm.clusterings import partition_search

    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 20)
    labels = np.where(rng.random((200, 60)) < 0.3, rng.integers(3, size=(200, 60)), truth)
    labels[101] = truth
    monkeypatch.setattr(partition_search, "MAX_COMPARED", 1)
    search = Search(Allocations.of(labels), Loss(), 10, 0, 1)
    np.testing.assert_array_equal(best_draw(search), search.draws.draw(101))
