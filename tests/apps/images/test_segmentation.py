"""Image segmentation: reading, features, the random field, labels, tables and files."""

import itertools
import sys
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import bayesgmm as bg
from bayesgmm.apps import fit_pixels, overlay_data, plot_regions, region_table, save_regions, segment_image
from bayesgmm.apps.extras import extra
from bayesgmm.apps.images import pixel_labels
from bayesgmm.apps.images.image_input import read_image
from bayesgmm.apps.images.pixel_features import GROUPS, feature_names, lab_rows, pixel_features, to_lab
from bayesgmm.apps.images.random_fields import ROWS_PER_SWEEP, STEPS, edge_weights, smooth
from bayesgmm.apps.images.regions import boundaries, perimeters
from bayesgmm.diagnosis.engines import differs, too_narrow
from bayesgmm.errors import (
    BayesGMMError,
    DataError,
    DeclarationError,
    FitFileError,
    FitWarning,
    MissingExtra,
    UnknownName,
)
from bayesgmm.posterior.notes import GibbsComparison

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = np.array([[0.3, 0.3, 0.35], [0.45, 0.4, 0.3], [0.35, 0.5, 0.45], [0.55, 0.5, 0.55]])
ALL = feature_names(list(GROUPS))


def blotches(height, width, seed):
    """Labels 0 to 3 in patches: that of the nearest of twelve points."""
    place = np.random.default_rng(seed).uniform(size=(12, 2)) * [height, width]
    row, column = np.mgrid[:height, :width]
    return ((row[..., None] - place[:, 0]) ** 2 + (column[..., None] - place[:, 1]) ** 2).argmin(axis=2) % 4


def noisy(truth, seed=0, noise=0.06):
    colour = COLOURS[truth]
    return np.clip(colour + noise * np.random.default_rng(seed).normal(size=colour.shape), 0, 1)


def agreement(truth, label):
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((4, 4))
    np.add.at(table, (truth.reshape(-1), label.reshape(-1)), 1)
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns].sum() / truth.size


def opened(path):
    with Image.open(path) as image:
        image.load()
    return image


@pytest.fixture(scope="module")
def truth():
    return blotches(150, 170, seed=1)


@pytest.fixture(scope="module")
def image(truth):
    return noisy(truth)


@pytest.fixture(scope="module")
def fit(image):
    return fit_pixels(image, 4, sample=4000, progress=False)


@pytest.fixture(scope="module")
def segments(image, fit):
    return segment_image(image, fit=fit, probability=True, progress=False)


# The random field


def random_field(height=7, width=9, n_labels=3, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(n_labels), size=(height, width)).astype(np.float32)
    lab = rng.normal(size=(height, width, 3)).astype(np.float32)
    return probability, edge_weights(lab, 2.0), lab


def pairs(weights):
    """Every pair of neighbours once, with its weight."""
    height, width = weights.shape[0] - 2, weights.shape[1] - 2
    for i, j in np.ndindex(height, width):
        for way, (down, right) in enumerate(STEPS):
            if i + down < height and 0 <= j + right < width:
                yield (i, j), (i + down, j + right), float(weights[i + 1, j + 1, way])


def bound(r, q, weights, strength):
    """Variational lower bound of the log normalising constant."""
    own = (q * (np.log(r) - np.log(np.maximum(q, 1e-30)))).sum()
    return own + strength * sum(w * (q[a] * q[b]).sum() for a, b, w in pairs(weights))


def test_edge_weights_agree_with_the_formula():
    _, weights, lab = random_field()
    for a, b, weight in pairs(weights):
        far = np.hypot(a[0] - b[0], a[1] - b[1])
        assert weight == pytest.approx(np.exp(-((lab[a] - lab[b]) ** 2).sum() / 4.0) / far, rel=1e-5)
    inside = sum(weight for *_, weight in pairs(weights))
    assert weights.sum() == pytest.approx(inside, rel=1e-5)  # no edge leaves the image


def test_a_sweep_updates_four_groups_by_the_mean_field_equation():
    r, weights, _ = random_field()
    q = r.astype(np.float64)
    for _, turn in itertools.product(range(2), range(4)):
        pull = np.zeros_like(q)
        for a, b, weight in pairs(weights):
            pull[a] += weight * q[b]
            pull[b] += weight * q[a]
        new = r * np.exp(0.8 * pull)
        new /= new.sum(axis=2, keepdims=True)
        here = (slice(turn // 2, None, 2), slice(turn % 2, None, 2))
        q[here] = new[here]
    np.testing.assert_allclose(smooth(r, weights, 0.8, 2), q, atol=1e-5)


def test_sweeps_raise_the_bound_and_it_stays_below_the_log_normaliser():
    r, weights, _ = random_field(3, 3, 2)
    bounds = [bound(r, smooth(r, weights, 0.7, n).astype(float), weights, 0.7) for n in range(6)]
    assert (np.diff(bounds) > -1e-5).all()
    assert bounds[1] > bounds[0] + 0.1
    total = []
    for labels in itertools.product(range(2), repeat=9):
        z = np.array(labels).reshape(3, 3)
        own = sum(np.log(r[i, j, z[i, j]]) for i, j in np.ndindex(3, 3))
        total.append(own + 0.7 * sum(w for a, b, w in pairs(weights) if z[a] == z[b]))
    assert bounds[-1] < np.logaddexp.reduce(total)


@pytest.mark.parametrize("first", [3, 4])
def test_a_strip_with_margins_is_smoothed_as_in_the_whole_image(first):
    r, weights, lab = random_field(40, 9)
    whole = smooth(r, weights, 1.0, 3)
    part = slice(first, 30)
    own = smooth(r[part], edge_weights(lab[part], 2.0), 1.0, 3, first)
    reach = 3 * ROWS_PER_SWEEP
    np.testing.assert_array_equal(own[reach:-reach], whole[part][reach:-reach])
    assert not np.array_equal(own, whole[part])


def test_transparent_pixels_have_no_influence_and_stay_zero():
    r, weights, _ = random_field()
    r[2:4, 3] = 0
    weights_without = weights.copy()
    for a, b, _ in pairs(weights):
        if not r[a].any() or not r[b].any():
            weights_without[a[0] + 1, a[1] + 1, STEPS.index((b[0] - a[0], b[1] - a[1]))] = 0
    q = smooth(r, weights, 1.0, 3)
    assert not q[2:4, 3].any()
    np.testing.assert_array_equal(q, smooth(r, weights_without, 1.0, 3))
    np.testing.assert_array_equal(smooth(r, weights, 0.0, 3), r)


# Features


def test_cielab_agrees_with_the_standard():
    red, green = to_lab(np.array([[[1, 0, 0], [0, 1, 0]]], dtype=np.float32))[0]
    np.testing.assert_allclose(red, [53.24, 80.09, 67.20], atol=0.02)  # sRGB's primaries under D65
    np.testing.assert_allclose(green, [87.73, -86.18, 83.18], atol=0.02)
    np.testing.assert_array_equal(to_lab(np.full((2, 2), 0.5, np.float32))[..., 1:], 0)


@pytest.mark.parametrize(("start", "stop"), [(0, 40), (37, 61), (60, 97)])
def test_features_of_a_strip_are_those_of_the_whole_image(image, start, stop):
    source = read_image(image[:97])
    whole, lab = pixel_features(source, ALL, 0, 97)
    part, part_lab = pixel_features(source, ALL, start, stop)
    np.testing.assert_array_equal(part, whole[start:stop])
    np.testing.assert_array_equal(part_lab, lab[start:stop])


def test_contrast_is_the_standard_deviation_in_a_window():
    from scipy.ndimage import gaussian_filter

    light = np.random.default_rng(0).uniform(size=(60, 50)).astype(np.float32)
    got = pixel_features(read_image(light), ["contrast_2"], 0, 60)[0][30, 25, 0]
    window = gaussian_filter(np.eye(1, 60 * 50, 30 * 50 + 25).reshape(60, 50), 2.0)
    lightness = to_lab(light)[..., 0].astype(float)
    mean = (window * lightness).sum()
    assert got == pytest.approx(np.log(0.5 + np.sqrt((window * (lightness - mean) ** 2).sum())), abs=1e-3)


def test_directions_of_lines_rotate_with_the_image():
    stripes = np.repeat(np.array([0.2, 0.2, 0.8, 0.8] * 10), 40).reshape(40, 40)
    names = ["horizontal_3", "diagonal_3"]
    lying = pixel_features(read_image(stripes), names, 0, 40)[0][20, 20]
    standing = pixel_features(read_image(stripes.T.copy()), names, 0, 40)[0][20, 20]
    np.testing.assert_allclose(lying, [1, 0], atol=0.02)
    np.testing.assert_allclose(standing, [-1, 0], atol=0.02)
    row, column = np.mgrid[:40, :40]
    falling = pixel_features(read_image(0.5 + 0.4 * np.sin((row - column) / 2)), names, 0, 40)[0][20, 20]
    np.testing.assert_allclose(falling, [0, -1], atol=0.05)


def test_place_is_row_and_column_over_the_longer_side():
    place = pixel_features(read_image(np.zeros((20, 40))), ["row", "column"], 0, 20)[0]
    np.testing.assert_allclose(place[[0, -1], [0, -1]], [[0, 0], [19 / 40, 39 / 40]])


# Segmentation


def test_smoothing_improves_labels_and_keeps_probabilities_calibrated(truth, image, fit):
    """Independent noise: the mean of the largest probability is the accuracy, within 0.02."""
    share = {}
    for strength in (0, 0.5, 1.0):
        regions = segment_image(image, fit=fit, smoothing=strength, probability=True, progress=False)
        share[strength] = agreement(truth, regions["label"].values)
        assert abs(regions["probability"].max("component").mean() - share[strength]) < 0.02
    assert share[0] < 0.93
    assert share[0.5] > share[0] + 0.03
    assert share[1.0] > 0.97


def test_entropy_is_that_of_the_probabilities(segments):
    q = segments["probability"].values.astype(float)
    np.testing.assert_allclose(q.sum(axis=2), 1, atol=1e-5)
    np.testing.assert_array_equal(segments["label"], q.argmax(axis=2))
    entropy = -(q * np.log(np.maximum(q, 1e-30))).sum(axis=2) / np.log(4)
    np.testing.assert_allclose(segments["entropy"], entropy, atol=1e-5)
    assert segments["entropy"].dtype == np.float32


def test_without_smoothing_probabilities_are_those_of_assignments(image, fit):
    regions = segment_image(image, fit=fit, smoothing=0, probability=True, draws=5, progress=False)
    source = read_image(image)
    features = pixel_features(source, ["lightness", "green_red", "blue_yellow"], 0, 150)[0].reshape(-1, 3)
    expected = bg.assignments(fit, features.astype(float), draws=5)["probability"].values
    np.testing.assert_allclose(regions["probability"].values.reshape(-1, 4), expected, atol=1e-6)


def test_strips_and_threads_do_not_change_the_result(monkeypatch, image):
    given = {"features": ["colour", "texture"], "seed": 3, "probability": True, "method": "em", "progress": False}
    one = segment_image(image, 3, cores=1, **given)
    monkeypatch.setattr(pixel_labels, "STRIP", 170 * 21)
    assert len(pixel_labels.strips_of(150, 170, 10)) == 8
    two = segment_image(image, 3, cores=2, **given)
    for name in ("label", "entropy", "probability", "region"):
        np.testing.assert_array_equal(one[name], two[name])
    np.testing.assert_allclose(one["feature_mean"], two["feature_mean"], rtol=1e-6)


def test_components_are_merged_before_smoothing(image, fit, segments):
    regions = segment_image(image, fit=fit, merge=[0, 1, 1, 1], smoothing=0, probability=True, progress=False)
    apart = segment_image(image, fit=fit, smoothing=0, probability=True, progress=False)["probability"].values
    together = np.stack([apart[..., 0], apart[..., 1:].sum(axis=2)], axis=2)
    np.testing.assert_allclose(regions["probability"], together, atol=1e-6)
    assert regions["share"].sum() == pytest.approx(1)
    for wrong in ([0, 1, 1], [0, 1, 3, 3], [0.0, 1, 1, 0], 2, [[0], [1, 2]]):
        with pytest.raises(DeclarationError, match="one number for each of the 4 components"):
            segment_image(image, fit=fit, merge=wrong, progress=False)


def test_overlapping_components_become_one_region():
    """Three flat colours and six components, some of which coincide."""
    flag = np.zeros((40, 60, 3), np.uint8)
    flag[:, 20:], flag[25:, 40:] = (255, 0, 0), (0, 0, 255)
    fit = fit_pixels(flag, 6, progress=False)
    merge = bg.merge_components(fit)
    regions = segment_image(flag, fit=fit, merge=merge, progress=False)
    assert merge.attrs["n_clusters"] == regions.sizes["component"] == 3
    assert region_table(regions, "components")["colour"].tolist() == ["#ff0000", "#000000", "#0000ff"]
    np.testing.assert_allclose(regions["share"], [1300 / 2400, 800 / 2400, 300 / 2400])
    by_hand = segment_image(flag, fit=fit, merge=merge["cluster"].sel(n_clusters=3).values, progress=False)
    np.testing.assert_array_equal(regions["label"], by_hand["label"])


def test_transparent_pixels_have_no_label_and_no_influence(truth):
    rng = np.random.default_rng(0)
    colour = (255 * noisy(truth)).astype(np.uint8)[:60, :80]
    seen = np.full((60, 80), 255, np.uint8)
    seen[10:30, 20:50] = 0
    given = {"features": ["colour", "texture"], "n_components": 3, "method": "em", "progress": False}
    one = segment_image(np.dstack([colour, seen]), **given)
    hidden = colour.copy()
    hidden[10:30, 20:50] = rng.integers(255, size=(20, 30, 3))
    other = segment_image(np.dstack([hidden, seen]), **given)
    assert (one["label"].values[10:30, 20:50] == -1).all()
    assert (one["label"].values[:10] >= 0).all()
    shown = overlay_data(one)["overlay"].values[10:30, 20:50]
    assert (shown == 128).all()  # grey, not the filled colours
    assert not one["entropy"].values[10:30, 20:50].any()
    assert one["share"].sum() == pytest.approx(1)
    np.testing.assert_array_equal(one["label"], other["label"])
    given = given | {"features": "colour", "method": "em"}
    fitted = fit_pixels(np.dstack([colour, seen]), **given)["observed_data"]["point"].values
    np.testing.assert_array_equal(fitted, np.flatnonzero(seen))


def test_flat_colours_are_separated_exactly():
    flag = np.zeros((40, 60, 3), np.uint8)
    flag[:, 20:], flag[25:, 40:] = (255, 0, 0), (0, 0, 255)
    label = segment_image(flag, 3, progress=False)["label"].values
    assert len({label[0, 0], label[0, 30], label[30, 50]}) == 3
    expected = np.where(flag[..., 0] > 0, label[0, 30], np.where(flag[..., 2] > 0, label[30, 50], label[0, 0]))
    np.testing.assert_array_equal(label, expected)
    more = segment_image(flag, 5, progress=False)  # fewer colours than components
    assert set(more["label"].values[:, :20].ravel()).isdisjoint(more["label"].values[:, 20:].ravel())


def test_constant_features_are_left_out_and_reported(image):
    grey = image[..., :1].repeat(3, axis=2)
    regions = segment_image(grey, 3, sample=500, progress=False)
    assert regions.attrs["features"] == "lightness"
    assert regions.attrs["left_out"] == "green_red, blue_yellow"
    np.testing.assert_array_equal(regions["label"], segment_image(grey[..., 0], 3, sample=500, progress=False)["label"])


def test_a_fit_labels_another_image_and_other_engines_work(image, truth, fit):
    other = blotches(50, 60, seed=5)
    assert agreement(other, segment_image(noisy(other, 7), fit=fit, progress=False)["label"].values) > 0.93
    by_em = segment_image(
        image, bg.MixtureModel(4, covariance="tied"), method="em", n_init=3, sample=8000, progress=False
    )
    assert agreement(truth, by_em["label"].values) > 0.93


def test_warnings_except_those_of_precision_are_passed_on(monkeypatch, image):
    from bayesgmm.apps.images import segmentation

    inexact = [*too_narrow(0.9, 0.5, ""), *too_narrow(0.1, 0.05, ""), *differs(GibbsComparison(0.5, 0.5))]
    assert len(inexact) == 3

    def warning_fit(*args, **kwargs):
        bg.errors.warn([*map(str, inexact), "It did not converge."])
        warnings.warn("something else", UserWarning, stacklevel=1)

    monkeypatch.setattr(segmentation.inference, "fit", warning_fit)
    with pytest.warns() as caught:
        fit_pixels(image, 2, progress=False)
    assert sorted(str(one.message) for one in caught) == ["It did not converge.", "something else"]
    assert issubclass(next(one for one in caught if "converge" in str(one.message)).category, FitWarning)


# Reading


def test_files_and_arrays_give_the_same_image(tmp_path):
    rng = np.random.default_rng(0)
    colour, grey = rng.integers(256, size=(6, 9, 3), dtype=np.uint8), rng.integers(256, size=(6, 9), dtype=np.uint8)
    deep = rng.integers(65536, size=(6, 9), dtype=np.uint16)
    alpha = np.dstack([colour, np.where(grey > 40, 255, 0).astype(np.uint8)])
    for name, values in {
        "rgb.png": colour,
        "grey.png": grey,
        "deep.png": deep,
        "deep.tif": deep,
        "rgb.bmp": colour,
    }.items():
        Image.fromarray(values).save(tmp_path / name)
        got = read_image(tmp_path / name)
        np.testing.assert_array_equal(got.values, values)
        assert got.values.dtype == values.dtype
        assert got.visible is None
        with open(tmp_path / name, "rb") as file:
            np.testing.assert_array_equal(read_image(file).values, values)
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    got = read_image(str(tmp_path / "alpha.png"))
    np.testing.assert_array_equal(got.visible, grey > 40)
    np.testing.assert_array_equal(got.values[grey > 40], colour[grey > 40])
    extra("tifffile", "tifffile").imwrite(tmp_path / "float.tif", (colour / 255).astype(np.float32), photometric="rgb")
    np.testing.assert_allclose(read_image(tmp_path / "float.tif").values, colour / 255, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "LA", "YCbCr", "F", "RGBa", "La"])
def test_every_mode_of_pillow_is_read(mode):
    source = Image.fromarray(np.random.default_rng(0).integers(256, size=(6, 9, 3), dtype=np.uint8))
    image = source.convert(mode.upper()).convert(mode) if mode in {"RGBa", "La"} else source.convert(mode)
    if mode == "F":
        image = Image.fromarray(np.asarray(image) / np.float32(255))
    source = read_image(image)
    assert source.size == (6, 9)
    assert source.bytes().shape == (6, 9, 3)
    assert 0 <= source.unit().min() < source.unit().max() <= 1


def test_16_bit_and_float_files_are_read_correctly(tmp_path):
    """Kinds of files that Pillow misreads."""
    deep = np.random.default_rng(0).integers(65536, size=(6, 9, 3), dtype=np.uint16)
    write = extra("tifffile", "tifffile").imwrite
    for kind, path in ((deep, tmp_path / "planes.tif"), ((deep / 65535).astype(np.float32), tmp_path / "floats.tif")):
        write(path, np.moveaxis(kind, -1, 0), photometric="rgb", planarconfig="separate")
        np.testing.assert_array_equal(read_image(path).values, kind)
        with open(path, "rb") as file:
            np.testing.assert_array_equal(read_image(file).values, kind)
    write(tmp_path / "stack.tif", np.stack([deep / 65535] * 2).astype(np.float32), photometric="rgb")
    assert "has 2 frames; the first is used" in read_image(tmp_path / "stack.tif").notes[0]
    write(tmp_path / "negative.tif", deep[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "negative.tif").values, 65535 - deep[..., 0])
    Image.fromarray(deep[..., 0]).save(tmp_path / "hole.png", transparency=int(deep[2, 3, 0]))
    np.testing.assert_array_equal(np.argwhere(~read_image(tmp_path / "hole.png").visible), [[2, 3]])
    Image.fromarray(deep[..., 0]).save(tmp_path / "deep.pgm")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.pgm").values, deep[..., 0])


def test_transparent_pixels_may_have_missing_values():
    values = np.random.default_rng(0).uniform(size=(9, 9, 4))
    values[2:4, 2:4] = [np.nan, np.inf, 7.0, 0.0]
    source = read_image(values)
    np.testing.assert_array_equal(source.visible, values[..., 3] > 0)
    assert np.isfinite(source.values).all()
    assert np.isnan(values[2, 2, 0])  # the input is not changed


def test_exif_orientation_and_animations(tmp_path):
    values = np.zeros((8, 16, 3), np.uint8)
    values[:, :8] = 255
    exif = Image.Exif()
    exif[274] = 6  # rotate clockwise by 90 degrees
    Image.fromarray(values).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    source = read_image(tmp_path / "turned.jpg")
    assert source.size == (16, 8)
    assert source.values[2, 4].min() > 200 > source.values[13, 4].max()
    frames = [Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (0, 200)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    assert "has 2 frames; the first is used" in read_image(tmp_path / "film.gif").notes[0]


def test_the_data_type_does_not_change_the_image():
    values = np.random.default_rng(0).integers(256, size=(6, 9, 3), dtype=np.uint8)
    for same in (values.astype(np.uint16) * 257, values / 255, (values / 255).astype(np.float32)):
        np.testing.assert_allclose(read_image(same).unit(), read_image(values).unit(), atol=1e-6)
        np.testing.assert_array_equal(read_image(same).bytes(), values)
    assert read_image(values[..., :1].repeat(3, axis=2)).is_grey


def test_invalid_files_raise_a_data_error(tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(256, size=(50, 60, 3), dtype=np.uint8)
    for name in ("whole.jpg", "whole.png", "whole.tif"):
        Image.fromarray(values).save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name.replace("whole", "half")).write_bytes(data[: len(data) // 2])
    for name, content in {"empty.png": b"", "text.jpg": b"hello", "noise.tif": b"II*\x00" + bytes(99)}.items():
        (tmp_path / name).write_bytes(content)
    for name in ("half.jpg", "half.png", "half.tif", "empty.png", "text.jpg", "noise.tif"):
        with pytest.raises(DataError, match=f"{name} can't be read as an image"):
            read_image(tmp_path / name)
    with Image.open(tmp_path / "half.jpg") as lazy, pytest.raises(DataError, match="the image can't be read"):
        read_image(lazy)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="too many pixels to read safely"):
        read_image(tmp_path / "whole.png")
    with pytest.raises(DataError, match="there is no file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match="is not a file"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((5, 5, 65)), r"shape \(5, 5, 65\)"),
        (np.zeros((0, 5)), r"shape \(0, 5\)"),
        (np.zeros((5, 5, 3), np.int64), "int64"),
        (np.array([[[0.0, 2.0, 1.0]]]), "from 0 to 2"),
        (np.array([[[0.0, -1.0, 1.0]]]), "from -1 to 1"),
        (np.array([[[0.0, np.nan, 1.0]]]), "missing or infinite"),
        (np.array([[np.nan, np.nan]]), "none with data"),
        (np.zeros((5, 5, 4), np.uint8), "fully transparent"),
        (np.array([["a"]]), "<U1"),
        ([[0, 1], [2]], "not an array"),
        (np.ma.masked_equal(np.arange(6, dtype=np.uint8).reshape(2, 3), 4), "masked"),
    ],
)
def test_invalid_arrays_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        read_image(values)


def test_constant_images_and_invalid_settings_are_refused(image):
    for flat in (np.full((1, 1), 7, np.uint8), np.full((30, 20, 3), 7, np.uint8)):
        with pytest.raises(DataError, match="all features are constant in this image"):
            segment_image(flat, 2, progress=False)
    with pytest.raises(DataError, match="2 pixels are too few for 3 components\n  Try 1 component"):
        segment_image(np.array([[0, 255]], np.uint8), 3, progress=False)
    with pytest.raises(UnknownName, match="did you mean 'colour'"):
        segment_image(image, features="color")
    with pytest.raises(DataError, match="name at least one"):
        segment_image(image, features=[])
    wrongs = [{"smoothing": value} for value in (-1, np.nan, 1e9, "much", True)]
    for wrong in [*wrongs, {"sweeps": -1}, {"detail": -0.1}, {"draws": 0}, {"sample": 0}, {"seed": -1}]:
        with pytest.raises(DeclarationError, match=next(iter(wrong))):
            segment_image(image, 2, progress=False, **wrong)


def test_narrow_images_work(no_doubts):
    values = np.random.default_rng(0).permutation(np.arange(0, 255, 5, dtype=np.uint8))
    labels = [
        segment_image(values.reshape(shape), 2, smoothing=0, progress=False)["label"].values
        for shape in [(1, 51), (51, 1), (17, 3), (3, 17)]
    ]
    for label in labels[1:]:
        np.testing.assert_array_equal(label.ravel(), labels[0].ravel())


def test_a_fit_without_pixel_features_is_refused(image, galaxies_fit):
    with pytest.raises(DataError, match="not a fit of pixels: its columns are 'velocity'"):
        segment_image(image, fit=galaxies_fit)
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["place", "contrast_0"])
    with pytest.raises(DataError, match="not a fit of pixels: its columns are 'place', 'contrast_0'"):
        segment_image(image, fit=bg.fit(bg.MixtureModel(1), table, "em", progress=False))


def test_settings_of_a_new_fit_are_refused_with_an_existing_one(image, fit):
    with pytest.raises(DeclarationError, match="'smothing': not used with an existing fit"):
        segment_image(image, fit=fit, smothing=2.0)


def test_the_mean_neighbour_difference_uses_visible_pixels(image):
    """A cut-out of a larger image is smoothed as it would be alone."""
    from bayesgmm.apps.images.segmentation import _mean_neighbour_difference

    def difference(values):
        return _mean_neighbour_difference(read_image(values), np.random.default_rng(0))

    lab = to_lab(image.astype(np.float32))
    alone = difference(image[:100, :100])  # fewer pixels than are sampled: all pairs are used
    squared = [(np.diff(lab[:100, :100], axis=axis) ** 2).sum(axis=2).ravel() for axis in (0, 1)]
    assert alone == pytest.approx(np.concatenate(squared).mean(), rel=1e-4)
    seen = np.zeros(image.shape[:2])
    seen[:100, :100] = 1
    assert difference(np.dstack([image, seen])) == pytest.approx(alone, rel=1e-4)
    line = image[:1, :100]
    assert difference(line) == pytest.approx((np.diff(lab[:1, :100], axis=1) ** 2).sum(axis=2).mean(), rel=1e-4)
    assert difference(image[:1, :1]) == 1.0


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.color", None)
    with pytest.raises(MissingExtra, match=r"scikit-image: pip install 'bayesgmm\[apps\]'"):
        to_lab(np.zeros((1, 1, 3), np.float32))


# Tables, files, figures


def test_perimeters_agree_with_the_circle_and_scikit_image():
    row, column = np.mgrid[:240, :240]
    disc = ((row - 120.3) ** 2 + (column - 119.6) ** 2 < 80**2).astype(np.int16)
    np.testing.assert_allclose(perimeters(disc, 3), [2 * np.pi * 80, 2 * np.pi * 80, 0], rtol=0.01)
    measure = extra("skimage.measure", "scikit-image")
    assert perimeters(disc, 2)[1] == pytest.approx(measure.perimeter_crofton(disc, directions=4), rel=0.01)


def test_the_table_summarises_the_maps(image, segments):
    table = region_table(segments, "components")
    label = segments["label"].values
    assert table["share"].sum() == pytest.approx(1)
    lab = to_lab(read_image(image).unit())
    for k in range(4):
        own = label == k
        assert table.loc[k, "share"] == pytest.approx(own.mean())
        assert table.loc[k, "entropy"] == pytest.approx(segments["entropy"].values[own].mean(), rel=1e-4)
        assert table.loc[k, "lightness"] == pytest.approx(lab[own, 0].mean(), rel=1e-4)
        shown = [int(table.loc[k, "colour"][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        np.testing.assert_allclose(shown, image[own].mean(axis=0), atol=0.02)
    two = segments.copy()
    two["label"] = (("y", "x"), np.zeros_like(label))
    two["label"].values[10:20, 10:20] = two["label"].values[20:25, 20:25] = two["label"].values[50, 50] = 1
    table = region_table(two, "components")
    assert table["pieces"].tolist() == [1, 2, 0, 0]  # corners touch
    assert table.loc[1, "largest"] == pytest.approx(125 / 126)


def test_files_hold_the_maps(tmp_path, segments):
    hidden = segments.copy()
    hidden["label"] = (("y", "x"), np.where(np.arange(170) < 5, -1, segments["label"].values).astype(np.int16))
    written = save_regions(hidden, tmp_path / "new" / "out", "components")
    assert {path.name for path in written} == {
        "labels.png", "entropy.png", "overlay.png", "palette.png", "regions.csv",
    }  # fmt: skip
    folder = tmp_path / "new" / "out"
    labels = np.asarray(opened(folder / "labels.png")).astype(int)
    np.testing.assert_array_equal(np.where(labels == 255, -1, labels), hidden["label"])
    assert opened(folder / "labels.png").convert("RGBA").getpixel((0, 0))[3] == 0
    entropy = np.asarray(opened(folder / "entropy.png")) / 255
    np.testing.assert_allclose(entropy, segments["entropy"], atol=0.5 / 255 + 1e-6)
    assert opened(folder / "overlay.png").size == (170, 150)
    assert pd.read_csv(folder / "regions.csv", index_col="component")["share"].sum() == pytest.approx(1)
    named = segments.assign_coords(component=["sky", "sea", "sand", "sun"])
    save_regions(named, tmp_path / "named", "components")
    assert list(pd.read_csv(tmp_path / "named" / "regions.csv")["component"]) == ["sky", "sea", "sand", "sun"]
    (tmp_path / "file").write_text("")
    with pytest.raises(FitFileError, match="is a file"):
        save_regions(segments, tmp_path / "file" / "out")


def test_the_figure_shows_its_data(segments):
    data = overlay_data(segments, "components")
    edge = data["boundary"].values
    np.testing.assert_array_equal(edge, boundaries(segments["label"].values))
    label, shown = segments["label"].values, data["overlay"].values
    blue = (label == 0) & edge
    assert (shown[blue] == [0x00, 0x72, 0xB2]).all()
    inside = ~edge
    assert np.abs(shown[inside].astype(int) - segments["image"].values[inside]).max() <= 0.2 * 255 + 1
    assert overlay_data(segments, longest=50)["overlay"].shape == (38, 43, 3)
    figure = plot_regions(segments, "components")
    assert [axis.get_title(loc="left") for axis in figure.axes[:2]] == ["regions", "entropy of each pixel's label"]
    assert len(figure.axes[0].get_legend().get_texts()) == 4
    plt.close(figure)


def test_the_segment_command_writes_a_folder_and_reuses_its_fit(tmp_path, image):
    from bayesgmm.cli import app

    path, out = tmp_path / "photo.png", tmp_path / "out"
    Image.fromarray((255 * image).astype(np.uint8)).save(path)
    done = CliRunner().invoke(
        app, ["segment", str(path), "-k", "4", "-o", str(out), "--method", "em", "--regions", "components"]
    )
    assert done.exit_code == 0, done.exception
    assert "170 x 150 pixels, by lightness, green red, blue yellow" in done.output
    expected = segment_image(path, 4, method="em", progress=False)["label"].values
    np.testing.assert_array_equal(np.asarray(opened(out / "labels.png")), expected)
    again = CliRunner().invoke(
        app, ["segment", str(path), "--fit", str(out / "fit.nc"), "--merge", "0.9", "-o", str(tmp_path / "two")]
    )
    assert again.exit_code == 0, again.exception
    assert "4 components merged into 4" in again.output
    assert (tmp_path / "two" / "labels.png").exists()
    refused = CliRunner().invoke(app, ["segment", str(out / "overlay.png"), "-o", str(out)])
    assert "is an input of this command; give another output file" in str(refused.exception)
    both = [[str(path), "--fit", str(out / "fit.nc"), *more] for more in (["-k", "3"], ["--features", "texture"])]
    for arguments in (["none.png"], *both, [str(path), "-k", "256", "--method", "none"]):
        wrong = CliRunner().invoke(app, ["segment", *arguments, "-o", str(tmp_path / "three")])
        assert isinstance(wrong.exception, BayesGMMError)
        assert not (tmp_path / "three").exists()  # refused before the computation
    assert "'0' is not a whole number" in CliRunner().invoke(app, ["segment", str(path), "-k", "0"]).output
    assert lab_rows(read_image(path), -5, 3).first == 0
