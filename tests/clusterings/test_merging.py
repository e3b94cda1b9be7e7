"""Merged components: against the definition, and on a cluster that is not Gaussian."""

import warnings

import numpy as np
import pytest
from scipy.special import xlogy
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.clusterings.label_draws import n_clusters
from bayesgmm.clusterings.merge_paths import merge_path
from bayesgmm.clusterings.merging import RULES, elbow
from bayesgmm.clusterings.valleys import saddles
from bayesgmm.errors import DeclarationError, UnknownName
from tests.clustering_problems import chainlink, engytime, hepta, lsun, moons, target, tetra, two_diamonds


def entropy(share):
    return -xlogy(share, share).sum()


def random_shares(rng, n_points, n_components):
    return rng.dirichlet(np.full(n_components, 0.4), n_points)


def merged(share, clusters):
    return np.stack([share[:, clusters == c].sum(axis=1) for c in range(clusters.max() + 1)], axis=1)


def test_each_merger_is_the_one_that_lowers_the_entropy_most():
    rng = np.random.default_rng(1)
    for _ in range(10):
        share = random_shares(rng, 60, 6)
        path = merge_path(share)
        for count in range(6, 1, -1):
            now = merged(share, path.clusters[count - 1])
            pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
            after = [entropy(np.column_stack([np.delete(now, [a, b], 1), now[:, a] + now[:, b]])) for a, b in pairs]
            assert path.entropy[count - 2] == pytest.approx(min(after), abs=1e-9)
            assert entropy(merged(share, path.clusters[count - 2])) == pytest.approx(min(after), abs=1e-9)
            a, b = pairs[int(np.argmin(after))]
            joined = now[:, [a, b]].sum()
            assert path.n_merged[count - 2] - path.n_merged[count - 1] == pytest.approx(joined)


def test_clusters_are_numbered_by_size():
    path = merge_path(random_shares(np.random.default_rng(2), 50, 5))
    for clusters in path.clusters:
        size = merged(random_shares(np.random.default_rng(2), 50, 5), clusters).sum(axis=0)
        assert (np.diff(size) <= 1e-9).all()


def test_overlap_is_one_for_equal_components_and_zero_for_distant_ones():
    equal = np.column_stack([np.repeat(0.3, 40), np.repeat(0.7, 40)])
    assert merge_path(equal).overlap[0] == pytest.approx(1)
    distant = np.repeat(np.eye(2), 20, axis=0)
    assert merge_path(distant).overlap[0] == 0


def test_a_weight_counts_as_repeated_rows():
    share = random_shares(np.random.default_rng(3), 30, 4)
    weight = np.random.default_rng(4).integers(0, 4, size=30)
    one, other = merge_path(share, weight.astype(float)), merge_path(np.repeat(share, weight, axis=0))
    np.testing.assert_array_equal(one.clusters, other.clusters)
    np.testing.assert_allclose(one.entropy, other.entropy, atol=1e-9)


def test_the_elbow_of_two_lines():
    x = np.array([100.0, 80, 60, 40, 20, 0])
    assert elbow(x, np.where(x >= 40, 1 + 0.01 * (100 - x), 1.6 + 2 * (40 - x))) == 4
    assert elbow(x[:2], x[:2]) == 2
    assert elbow(np.arange(1.0, 8), np.array([0.0, 0, 0, 0, 5, 10, 15])) == 4


def test_rules_are_chosen_by_name(overfitted):
    found = {rule: bg.merge_components(overfitted, rule=rule) for rule in RULES}
    curve = found["elbow"]
    assert found["elbow"].attrs["n_clusters"] == elbow(curve["n_clusters"].values * 1.0, curve["entropy"].values)
    assert found["elbow_points"].attrs["n_clusters"] == elbow(curve["n_merged"].values, curve["entropy"].values)
    strict = bg.merge_components(overfitted, overlap=0.99)
    assert (strict.attrs["rule"], found["valley"].attrs["rule"]) == ("overlap", "valley")
    assert strict.attrs["n_clusters"] == curve["n_clusters"].max()  # nothing is merged
    assert strict.attrs["n_clusters"] > found["elbow"].attrs["n_clusters"]
    with pytest.raises(UnknownName, match="did you mean 'elbow'"):
        bg.merge_components(overfitted, rule="elbw")


@pytest.mark.parametrize(
    ("problem", "n_components", "covariance"),
    [
        (tetra, 4, "tied"),
        (engytime, 2, "full"),
        (hepta, 7, "tied"),
        (lsun, 5, "diag"),
        (two_diamonds, 8, "tied"),
        (chainlink, 10, "full"),
        (target, 9, "full"),
        (moons, 8, "full"),
    ],
)
def test_clusters_that_touch_stay_apart_and_rings_become_one(problem, n_components, covariance):
    """At the true number of clusters each row is where its class is, up to the overlap of the classes themselves."""
    x, truth = problem(1)
    fit = bg.fit(bg.MixtureModel(n_components, covariance), x, "em", seed=0, progress=False)
    found = bg.merge_components(fit)
    at_truth = found["label"].sel(n_clusters=truth.max() + 1).values
    least = 0.8 if problem is engytime else 0.98
    assert adjusted_rand_score(truth, at_truth) > least
    assert found.attrs["n_clusters"] == truth.max() + 1


def test_no_level_is_a_large_cluster_and_an_outlier():
    """Two groups that touch, three stray points: the stray points go before the two groups are merged."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.normal(0, 1, (200, 2)), rng.normal([4.5, 0], 1, (200, 2)), rng.normal([0, 30], 0.5, (3, 2))]
    )
    fit = bg.fit(bg.MixtureModel(3, "tied"), x, "em", seed=0, progress=False)
    found = bg.merge_components(fit)
    sizes = [np.bincount(label).tolist() for label in found["label"].values]
    assert min(sizes[1]) > 180
    assert found.attrs["n_clusters"] == 3
    assert min(np.bincount(bg.merge_components(fit, rule="overlap")["label"].sel(n_clusters=2))) == 3
    lone = bg.fit(bg.MixtureModel(2, "tied"), np.delete(x, range(200, 400), axis=0), "em", seed=0, progress=False)
    assert bg.merge_components(lone).attrs["n_clusters"] == 1


def test_the_saddle_is_that_of_the_density():
    """Oracle: the density of two equal Gaussians halfway, as a share of its peak, which smoothing lowers."""
    rng = np.random.default_rng(3)
    for distance in (3.0, 4.0):
        x = np.concatenate([rng.normal(size=(50_000, 1)), rng.normal(size=(50_000, 1)) + distance])
        grid = np.linspace(0, distance / 2, 200)
        density = np.exp(-0.5 * grid**2) + np.exp(-0.5 * (grid - distance) ** 2)
        found = saddles(x, np.repeat(np.eye(2), 50_000, axis=0))[0, 1]
        assert -0.01 < found - density.min() / density.max() < 0.12
    assert saddles(x[:50_000], np.stack([x[:50_000, 0] < 0, x[:50_000, 0] >= 0], axis=1) * 1.0)[0, 1] > 0.9


def test_few_stray_points_are_no_bridge():
    rng = np.random.default_rng(4)
    x = np.concatenate(
        [rng.normal(0, 1, (300, 2)), rng.normal([9, 0], 1, (300, 2)), rng.uniform([2, -1], [7, 1], (30, 2))]
    )
    share = np.repeat(np.eye(3), [300, 300, 30], axis=0)
    path = merge_path(share, None, x, 0.7)
    assert path.clusters[1][0] != path.clusters[1][1]
    assert path.saddle[0] < 0.7 <= path.saddle[1]


@pytest.fixture(scope="module")
def banana():
    """A crescent and a ball."""
    rng = np.random.default_rng(5)
    angle = rng.uniform(0, np.pi, 400)
    arc = np.column_stack([4 * np.cos(angle), 4 * np.sin(angle)]) + rng.normal(0, 0.35, (400, 2))
    ball = rng.normal([0, -2.5], 0.5, (150, 2))
    return np.concatenate([arc, ball]), np.repeat([0, 1], [400, 150])


@pytest.fixture(scope="module")
def overfitted(banana):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return bg.fit(bg.MixtureModel(7), banana[0], "vb", seed=1, draws=400, progress=False)


def test_a_banana_of_several_gaussians_becomes_one_cluster(banana, overfitted):
    x, truth = banana
    found = bg.merge_components(overfitted)
    assert found.attrs["n_clusters"] == 2
    chosen = found.sel(n_clusters=2)
    assert adjusted_rand_score(chosen["label"].values, truth) > 0.97
    unmerged, best = bg.partition(overfitted), bg.partition(overfitted, merge=found)
    assert adjusted_rand_score(best["label"].values, truth) > 0.97
    assert unmerged.attrs["n_clusters"] > 3
    assert n_clusters(overfitted, merge=found).sel(n_clusters=2) == 1
    pair = bg.co_clustering(overfitted, x[[0, 1, 399]], merge=found)["probability"].values
    assert pair.min() > 0.99
    ball = bg.credible_ball(overfitted, best)
    assert ball["n_clusters"].values.tolist() == [2, 2, 2]


def test_the_selected_number_of_clusters_is_used(overfitted):
    found = bg.merge_components(overfitted)
    three = bg.partition(overfitted, merge=found.sel(n_clusters=3))
    np.testing.assert_array_equal(three["component_cluster"], found["cluster"].sel(n_clusters=3))


def test_separated_clusters_are_not_merged():
    truth = bg.datasets.make_mixture(300, 2, 4, overlap=0.001, seed=3)
    fit = bg.fit(bg.MixtureModel(4), truth.X, "em", seed=1, progress=False)
    found = bg.merge_components(fit)
    assert found.attrs["n_clusters"] == 4
    assert bg.merge_components(fit, rule="elbow").attrs["n_clusters"] < 4  # an elbow is always there
    np.testing.assert_array_equal(found["cluster"].sel(n_clusters=4), [0, 1, 2, 3])


def test_empty_components_are_merged_before_the_curve_starts(banana, overfitted):
    share = np.column_stack([bg.assignments(overfitted)["probability"].values, np.full(550, 1e-6)])
    path = merge_path(share)
    assert path.clusters.shape[1] == share.shape[1]
    assert len(path.entropy) <= share.shape[1] - 1


def test_the_band_is_of_the_entropies_of_single_draws(overfitted):
    from bayesgmm.posterior.schema import observed, unpack
    from bayesgmm.sweep.stats import draw_responsibilities

    found = bg.merge_components(overfitted, ci_prob=0.5, draws=50)
    posterior = unpack(overfitted).thin(50)
    shares = draw_responsibilities(posterior.standard.blocks(observed(overfitted).values), posterior.tables())
    clusters = found["cluster"].sel(n_clusters=3).values
    wanted = np.quantile([entropy(merged(share, clusters)) for share in shares], [0.25, 0.75])
    np.testing.assert_allclose(found["band"].sel(n_clusters=3), wanted, rtol=1e-9)


def test_a_merge_of_another_fit_is_refused(overfitted, fit):
    with pytest.raises(DeclarationError, match="7 components, the fit has 3"):
        bg.partition(fit, merge=bg.merge_components(overfitted))
