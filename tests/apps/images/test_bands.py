"""Bands of measured values, pages of files, deep grey values, and bad input."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import bayesgmm as bg
from bayesgmm.apps import fit_pixels, segment_image
from bayesgmm.apps.extras import extra
from bayesgmm.apps.images.image_input import read_image
from bayesgmm.apps.images.pixel_features import pixel_features
from bayesgmm.errors import BayesGMMError, DataError, DeclarationError


def write(path, values, **settings):
    extra("tifffile", "tifffile").imwrite(path, values, **settings)


def halves(*shape, dtype=np.uint8):
    """Noise in every channel; the last channel is 0 on the left and large on the right."""
    values = np.random.default_rng(0).integers(100, 120, size=(24, 30, *shape)).astype(dtype)
    values[:, :15, -1], values[:, 15:, -1] = 0, values[:, 15:, -1] + 100
    return values


def run(*arguments):
    from bayesgmm.cli import app

    return CliRunner().invoke(app, ["segment", *map(str, arguments)])


@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        (4, {"photometric": "rgb", "extrasamples": ["unspecified"]}),
        (4, {"photometric": "minisblack", "planarconfig": "contig"}),
        (5, {"photometric": "minisblack", "planarconfig": "contig"}),
        (6, {"photometric": "rgb"}),
        (2, {"photometric": "minisblack", "planarconfig": "contig"}),
    ],
)
def test_channels_without_an_alpha_tag_are_bands(tmp_path, channels, settings):
    values = halves(channels)
    write(tmp_path / "bands.tif", values, **settings)
    source = read_image(tmp_path / "bands.tif")
    np.testing.assert_array_equal(source.bands, values)
    assert source.visible is None
    found = segment_image(source, 2, sample=500, progress=False)
    assert found.attrs["features"] == ", ".join(f"band_{i + 1}" for i in range(channels))
    label = found["label"].values
    assert (label[:, :15] == label[0, 0]).all()
    assert (label[:, 15:] == 1 - label[0, 0]).all()
    for source in (values.astype(float) * 40, values.astype(np.int32)) if channels > 4 else ():
        np.testing.assert_array_equal(segment_image(source, 2, sample=500, progress=False)["region"], found["region"])


def test_a_marked_alpha_channel_hides_pixels_of_any_number_of_bands(tmp_path):
    for channels in (4, 6):
        extras = ["unspecified"] * (channels - 4) + ["unassalpha"]
        write(tmp_path / "alpha.tif", halves(channels), photometric="rgb", extrasamples=extras)
        source = read_image(tmp_path / "alpha.tif")
        assert source.bands.shape[2] == channels - 1
        np.testing.assert_array_equal(source.visible, np.arange(30)[None].repeat(24, axis=0) >= 15)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_signed_and_float_values_are_one_band_in_their_own_units(tmp_path, dtype):
    """Values of a CT scan, from -1000."""
    values = (halves(1)[:, :, 0].astype(int) * 10 - 1000).astype(dtype)
    write(tmp_path / "ct.tif", values)
    for source in (read_image(tmp_path / "ct.tif"), read_image(values)):
        np.testing.assert_array_equal(source.bands[:, :, 0], values)
        np.testing.assert_array_equal(pixel_features(source, ["band_1"], 3, 9)[0][:, :, 0], values[3:9])
        shown = source.bytes()
        assert shown.min() == 0
        assert shown.max() == 255
    found = segment_image(tmp_path / "ct.tif", 2, sample=500, progress=False)
    assert found["region_feature_mean"].values.min() == pytest.approx(-1000)
    assert found.sizes["segment"] == 2


def test_twelve_bits_in_sixteen_are_shown_bright_and_labelled_as_before():
    deep = np.random.default_rng(0).integers(4096, size=(40, 50)).astype(np.uint16)
    source = read_image(deep)
    np.testing.assert_array_equal(source.values, deep)
    assert 120 < source.bytes().mean() < 135
    assert read_image(deep * 16).bytes()[3, 4, 0] == round(deep[3, 4] * 16 / 65535 * 255)  # the range is used: as it is


def test_bands_are_chosen_as_features(tmp_path):
    values = halves(5)
    found = segment_image(values, 2, features=["band_5", "band_1"], sample=500, progress=False)
    assert found.attrs["features"] == "band_5, band_1"
    colour = segment_image(values[..., :3], 2, features="band_1", sample=500, progress=False)
    assert colour.attrs["features"] == "band_1"
    write(tmp_path / "bands.tif", values, photometric="minisblack", planarconfig="contig")
    done = run(tmp_path / "bands.tif", "--band", "5,1", "-k", 2, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    assert "30 x 24 pixels, by band 5, band 1" in done.output
    for wrong, message in (("6", "there is no 'band_6': the image has 5 bands"), ("a", "--band a: give whole numbers")):
        refused = run(tmp_path / "bands.tif", "--band", wrong, "-o", tmp_path / "three")
        assert isinstance(refused.exception, BayesGMMError)
        assert message in str(refused.exception)
    fit = fit_pixels(values, 2, sample=500, progress=False)
    with pytest.raises(DataError, match="there is no 'band_4', 'band_5': the image has 3 bands"):
        segment_image(values[..., :3], fit=fit, progress=False)


def test_a_page_can_be_chosen_and_is_named_when_the_first_is_flat(tmp_path):
    pages = [np.full((24, 30), 7, np.uint8), halves(1)[:, :, 0], halves(1)[:, :, 0].T.copy()]
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(tmp_path / "scan.tif", save_all=True, append_images=others)
    np.testing.assert_array_equal(read_image(tmp_path / "scan.tif", page=3).values, pages[2])
    assert "number 3 is used" in read_image(tmp_path / "scan.tif", page=3).notes[0]
    with pytest.raises(DataError, match=r"Give another page, from 1 to 3 \(--page, or read_image\(file, page=2\)\)"):
        segment_image(tmp_path / "scan.tif", 2, progress=False)
    with pytest.raises(DataError, match="has 3 pages; there is no page 4\n  Give a page from 1 to 3"):
        read_image(tmp_path / "scan.tif", page=4)
    with pytest.raises(DeclarationError, match="page=0"):
        read_image(tmp_path / "scan.tif", page=0)
    done = run(tmp_path / "scan.tif", "--page", 2, "-k", 2, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    for i in range(2):
        write(tmp_path / "deep.tif", np.full((24, 30), i, np.float32), append=i > 0)
    with pytest.raises(DataError, match="another page, from 1 to 2"):
        segment_image(tmp_path / "deep.tif", 2, progress=False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((9, 9), -5, np.int16), "all features are constant"),
        (np.full((1, 1), 300.0), "all features are constant in this image \\(1 pixel"),
        (np.array([[-1000.0, np.inf]]), "infinite pixels"),
        (np.array([[np.nan, np.nan]]), "none with data"),
        (np.zeros((5, 5, 6), complex), "complex128"),
    ],
)
def test_bad_bands_give_one_clear_message(values, message):
    with pytest.raises(DataError, match=message):
        segment_image(values, 2, progress=False)


@pytest.mark.parametrize("n_bands", [1, 5])
def test_pixels_without_data_have_no_label(tmp_path, n_bands):
    rng = np.random.default_rng(0)
    values = np.repeat([300.0, 900.0], 15)[None, :, None] + rng.normal(0, 20, size=(24, 30, n_bands))
    held = segment_image(np.squeeze(values), 2, progress=False)["label"].values
    values[2:6, 3:9, -1] = np.nan
    source = read_image(np.squeeze(values))
    assert source.notes == ("the image: 24 pixels are without data (NaN): no label",)
    found = segment_image(source, 2, progress=False)
    np.testing.assert_array_equal(found["label"] < 0, np.isnan(values).any(axis=2))
    seen = found["label"].values >= 0
    one, other = np.unique(np.stack([found["label"].values[seen], held[seen]]), axis=1)
    assert len(one) == len(other) == 2


def test_one_row_has_connected_regions():
    row = np.repeat([0.2, 0.8, 0.2], 20)[None] + np.random.default_rng(0).normal(0, 0.02, size=(1, 60))
    region = segment_image(row, 2, progress=False)["region"].values
    np.testing.assert_array_equal(region[0, [0, 19, 20, 39, 40, 59]] == region[0, 0], [1, 1, 0, 0, 0, 0])
    assert region.max() == 2
    assert bg.apps.region_table(segment_image(row.T, 2, progress=False)).shape[0] == 3
