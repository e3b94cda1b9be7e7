"""Data sets: their contents, and the true parameters of simulated ones."""

import numpy as np
import pytest

from bayesgmm import datasets
from bayesgmm.datasets import DATASETS, GENERATED
from bayesgmm.datasets.formants import BETWEEN, FORMANTS, WITHIN
from bayesgmm.errors import DeclarationError

SHAPES = {
    "galaxies": (82, 1),
    "iris": (150, 5),
    "wine": (178, 14),
    "digits": (1797, 65),
    "photo": (4000, 3),
    "vowels": (600, 3),
    "heights": (400, 2),
    "one_heap": (300, 2),
    "moons": (600, 3),
    "blobs": (400, 3),
    "wreath": (400, 3),
    "sensors": (1000, 3),
    "waiting_times": (150, 2),
    "open_cluster": (600, 7),
    "mixture": (500, 3),
}


def test_every_data_set_has_its_shape():
    assert {name: load().shape for name, load in DATASETS.items()} == SHAPES


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_the_same_seed_gives_the_same_data_and_another_seed_different_data(name):
    make = DATASETS[name]
    numbers = lambda seed: make(seed=seed).select_dtypes("number").to_numpy()  # noqa: E731
    np.testing.assert_array_equal(numbers(1), numbers(1))
    assert not np.array_equal(numbers(1), numbers(2))


@pytest.mark.parametrize("talker", ["man", "woman", "child"])
def test_vowels_have_the_published_means(talker):
    """20 means of logarithms, within 6 standard errors: false alarm 4e-8.  Rounding to 1 Hz adds at most 0.002."""
    frame = datasets.vowels(talker, n_speakers=4000, seed=1)
    place = ("man", "woman", "child").index(talker)
    means = np.log(frame.set_index("vowel")[["f1", "f2"]]).groupby(level=0).mean()
    for vowel, published in FORMANTS.items():
        error = np.abs(means.loc[vowel] - np.log(published[place][1:3]))
        assert (error < 6 * np.hypot(BETWEEN, WITHIN) / np.sqrt(4000) + 0.002).all()


def test_formants_of_a_speaker_are_correlated():
    """Correlation of f1 and f2 within a vowel is that of the shared factor; 6 sd of 4,000: false alarm 2e-9."""
    frame = datasets.vowels(n_speakers=4000, seed=1)
    one = np.log(frame.loc[frame["vowel"] == "AE", ["f1", "f2"]])
    shared = BETWEEN**2 / (BETWEEN**2 + WITHIN**2)
    assert abs(np.corrcoef(one.T)[0, 1] - shared) < 6 * (1 - shared**2) / np.sqrt(4000)


def test_heights_have_the_given_gap():
    """Means of 5,000 heights with standard deviation 7 cm, within 6 standard errors each: false alarm 4e-9."""
    means = datasets.heights(10_000, gap=12.0, seed=3).groupby("sex")["height"].agg(["mean", "std"])
    assert abs(means.loc["woman", "mean"] - 165) < 6 * 7 / np.sqrt(5000)
    assert abs(means.loc["man", "mean"] - 177) < 6 * 7 / np.sqrt(5000)
    assert means["std"].between(6.5, 7.5).all()


def test_bad_readings_are_far_from_both_modes():
    frame = datasets.sensors(2000, share=0.05, seed=2)
    assert (frame["kind"] == "bad").sum() == 100
    X = frame[["temperature", "pressure"]].to_numpy()
    ways = {"slow": ([70, 20], [[4, 1.5], [1.5, 1]]), "fast": ([90, 30], [[9, -2], [-2, 2]])}
    for name, (middle, covariance) in ways.items():
        apart = X - middle
        distance = np.sqrt(np.einsum("ni,ij,nj->n", apart, np.linalg.inv(covariance), apart))
        assert distance[frame["kind"] == "bad"].min() > 4.99
        own = distance[frame["kind"] == name]
        assert abs((own**2).mean() - 2) < 6 * 2 / np.sqrt(own.size)  # chi-squared with 2 degrees: false alarm 2e-9


def test_one_heap_is_one_gaussian():
    """Three moments of 20,000 points within 6 standard errors: false alarm 6e-9."""
    X = datasets.one_heap(20_000, seed=1).to_numpy()
    assert (np.abs(X.mean(axis=0)) < 6 / np.sqrt(20_000)).all()
    assert abs(np.corrcoef(X.T)[0, 1] - 0.6) < 6 * (1 - 0.36) / np.sqrt(20_000)


def test_leaves_of_a_wreath_have_one_size_and_shape_and_their_own_directions():
    """20,000 points of 5 leaves: 10 standard deviations within 6 standard errors; false alarm 2e-8."""
    frame, count = datasets.wreath(20_000, n_leaves=5, seed=1), 4_000
    for leaf, own in frame.groupby("leaf")[["x", "y"]]:
        place = 2 * np.pi * int(leaf) / 5
        turn = place + np.pi / 4
        middle, along = np.array([np.cos(place), np.sin(place)]), np.array([np.cos(turn), np.sin(turn)])
        apart = own.to_numpy() - 4 * middle
        for axis, sd in ((along, 1.2), (np.array([-along[1], along[0]]), 0.25)):
            assert abs((apart @ axis).mean()) < 6 * sd / np.sqrt(count)
            assert abs((apart @ axis).std() / sd - 1) < 6 / np.sqrt(2 * count)


def test_requests_that_timed_out_have_equal_waiting_times():
    frame = datasets.waiting_times(80, given_up=9, seed=4)
    assert (frame["seconds"] == 20.0).sum() == (frame["kind"] == "given up").sum() == 9
    assert frame.loc[frame["kind"] == "answered", "seconds"].is_unique


def test_mixture_returns_the_points_of_make_mixture():
    frame, sample = datasets.mixture(50, 3, 2, 0.2, 7), datasets.make_mixture(50, 3, 2, 0.2, 7)
    np.testing.assert_array_equal(frame[["x1", "x2", "x3"]], sample.X)
    assert frame["component"].tolist() == [str(k) for k in sample.label]


def test_pixels_are_pixels_of_the_picture():
    from sklearn.datasets import load_sample_image

    frame = datasets.photo("flower.jpg", n_pixels=500, seed=1)
    known = set(map(tuple, load_sample_image("flower.jpg").reshape(-1, 3)))
    assert set(map(tuple, frame.to_numpy(int))) <= known
    whole = datasets.photo("flower.jpg", n_pixels=427 * 640)
    np.testing.assert_array_equal(whole.sum(), load_sample_image("flower.jpg").reshape(-1, 3).sum(axis=0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: datasets.heights(0), "n_points=0"),
        (lambda: datasets.heights(gap=-1), "gap=-1: must be a positive number"),
        (lambda: datasets.sensors(share=1.5), "share=1.5: must be between 0 and 1"),
        (lambda: datasets.moons(noise=0), "noise=0"),
        (lambda: datasets.waiting_times(10, given_up=10), "given_up=10: must be a whole number, from 0 to 9"),
        (lambda: datasets.wreath(n_leaves=0), "n_leaves=0"),
        (lambda: datasets.vowels("dog"), "talker='dog' is not one of"),
        (lambda: datasets.blobs(n_blobs=2.5), "n_blobs=2.5"),
        (lambda: datasets.make_mixture(0), "n_points=0"),
        (lambda: datasets.mixture(n_features=0), "n_features=0"),
        (lambda: datasets.mixture(n_components=0), "n_components=0"),
        (lambda: datasets.mixture(seed=-1), "seed=-1"),
        (lambda: datasets.mixture(overlap=1.0), "overlap=1.0: must be between 0 and 1"),
    ],
)
def test_parameters_that_are_not_allowed_are_an_error(make, message):
    with pytest.raises(DeclarationError, match=message):
        make()
