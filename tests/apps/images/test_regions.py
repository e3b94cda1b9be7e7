"""Connected regions: pieces of the labels, merged where a border explains too little."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from bayesgmm.apps import fit_pixels, overlay_data, region_table, save_regions, segment_image
from bayesgmm.apps.images.region_merging import Borders, merge_pieces, pieces_of, unit_scale
from bayesgmm.errors import UnknownName
from bayesgmm.posterior.schema import unpack

COLOURS = np.array([[40, 60, 90], [200, 180, 60], [90, 160, 80], [45, 66, 96]], np.uint8)


def scene(scale=1):
    """Two grounds, a disc on one of them, a faint step on the other; with noise and 40 dark specks."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:60, :80]
    truth = (column >= 40).astype(int)
    truth[(row - 30) ** 2 + (column - 60) ** 2 < 144] = 2
    truth[30:, :40] = 3
    colour = COLOURS[truth] + rng.normal(0, 4, size=(60, 80, 3))
    colour[tuple(rng.integers(2, 58, size=(2, 40)))] -= 60
    big = np.clip(colour, 0, 255).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
    return big, truth


@pytest.fixture(scope="module")
def fit():
    return fit_pixels(scene()[0], 6, sample=4000, progress=False)


@pytest.fixture(scope="module")
def segments(fit):
    return segment_image(scene()[0], fit=fit, progress=False)


def sums_of(piece, values):
    seen = piece >= 0
    columns = [np.ones(seen.sum()), *values[seen].T]
    return np.stack([np.bincount(piece[seen], column) for column in columns], axis=1)


def test_regions_are_connected_and_numbered_by_size(segments):
    region = segments["region"].values
    assert pieces_of(region).max() == region.max() == segments.sizes["segment"] - 1
    share = segments["region_share"].values
    np.testing.assert_allclose(share, np.bincount(region.ravel()) / region.size)
    assert (np.diff(share) <= 0).all()


def test_specks_and_faint_steps_are_merged_and_objects_are_kept(segments):
    region, truth = segments["region"].values, scene()[1]
    assert segments.sizes["segment"] == 3
    for object_ in ((truth == 0) | (truth == 3), truth == 1, truth == 2):
        inside = np.bincount(region[object_])
        assert inside.max() / object_.sum() > 0.99


def test_regions_do_not_depend_on_the_resolution(fit, segments):
    doubled = segment_image(scene(2)[0], fit=fit, smoothing=0, progress=False)["region"].values[::2, ::2]
    once = segment_image(scene()[0], fit=fit, smoothing=0, progress=False)["region"].values
    np.testing.assert_array_equal(doubled, once)


def test_every_border_that_is_left_explains_enough():
    """Checked pixel by pixel, on random pieces with random features."""
    rng = np.random.default_rng(1)
    piece = pieces_of(rng.integers(3, size=(30, 40)))
    piece[10:12, 5:20] = -1
    piece = pieces_of(piece)
    values = rng.normal(size=(30, 40, 2)) + np.arange(40)[:, None] / 10
    limit = 2.0
    region = np.append(merge_pieces(piece, sums_of(piece, values), limit), -1)[piece]
    assert 1 < region.max() < piece.max() / 4
    for a in range(region.max() + 1):
        for b in range(a):
            touch = sum(
                (((x == a) & (y == b)) | ((x == b) & (y == a))).sum()
                for x, y in ((region[1:], region[:-1]), (region[:, 1:], region[:, :-1]))
            )
            one, two = values[region == a], values[region == b]
            both = np.concatenate([one, two])
            gain = sum(s * part.var(axis=0).sum() * len(part) for s, part in ((1, both), (-1, one), (-1, two)))
            assert not touch or gain / touch >= limit


def test_no_detail_limit_merges_nothing_and_a_large_one_everything(fit):
    free = segment_image(scene()[0], fit=fit, detail=0, progress=False)
    np.testing.assert_array_equal(Borders.between(free["region"].values).one.size > 0, True)
    assert free.sizes["segment"] == pieces_of(free["label"].values).max() + 1
    assert segment_image(scene()[0], fit=fit, detail=1000, progress=False).sizes["segment"] == 1


def test_transparent_pixels_belong_to_no_region_and_separate_regions(fit):
    image = np.dstack([scene()[0], np.full((60, 80), 255, np.uint8)])
    image[:, 20:22, 3] = 0
    found = segment_image(image, fit=fit, progress=False)
    region = found["region"].values
    assert (region[:, 20:22] == -1).all()
    assert set(region[:, :20].ravel()).isdisjoint(region[:, 22:].ravel())
    assert found["region_share"].sum() == pytest.approx(1)


def test_the_scale_gives_total_variance_one_and_ignores_units(fit):
    posterior = unpack(fit)
    p, scale = posterior.parameters, unit_scale(posterior)
    rng, draw = np.random.default_rng(0), 0
    weight = p.weight.mean(axis=0)
    drawn = rng.choice(len(weight), 100_000, p=weight / weight.sum())
    x = p.mean[draw][drawn] + np.einsum(
        "nij,nj->ni", np.linalg.cholesky(p.covariance[draw])[drawn], rng.normal(size=(100_000, 3))
    )
    assert (x @ scale).var(axis=0).sum() == pytest.approx(1, abs=0.03)
    within = np.einsum("sk,skij->ij", p.weight, p.covariance) / len(p.weight)
    whitened = scale.T @ within @ scale
    np.testing.assert_allclose(whitened, whitened[0, 0] * np.eye(3), atol=1e-8 * whitened[0, 0])


def test_table_and_files_show_connected_regions_by_default(tmp_path, segments):
    table = region_table(segments)
    assert table.index.name == "region"
    assert table["pieces"].tolist() == [1, 1, 1]
    assert region_table(segments, "components").index.name == "component"
    save_regions(segments, tmp_path)
    with Image.open(tmp_path / "labels.png") as labels:
        np.testing.assert_array_equal(np.asarray(labels), segments["region"])
    assert pd.read_csv(tmp_path / "regions.csv", index_col="region")["share"].sum() == pytest.approx(1)
    assert overlay_data(segments)["share"].size == 3
    with pytest.raises(UnknownName, match="did you mean 'connected'"):
        region_table(segments, "conected")


def test_more_regions_than_a_palette_holds_are_written_as_tiff(tmp_path):
    noise = np.random.default_rng(0).uniform(size=(40, 40))
    noise[:2, :2] = np.nan
    many = segment_image(noise, 3, smoothing=0, detail=0, progress=False)
    assert many.sizes["segment"] > 255
    (tmp_path / "labels.png").write_text("of an earlier run")
    names = [path.name for path in save_regions(many, tmp_path)]
    assert names == ["labels.tif", "entropy.png", "overlay.png", "palette.png", "regions.csv"]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    with Image.open(tmp_path / "labels.tif") as labels:
        np.testing.assert_array_equal(np.asarray(labels), many["region"])
    assert np.asarray(labels)[0, 0] == -1
    save_regions(many, tmp_path, "components")
    assert not (tmp_path / "labels.tif").exists()


def test_the_command_has_both_kinds_of_regions(tmp_path):
    from bayesgmm.cli import app

    Image.fromarray(scene()[0]).save(tmp_path / "scene.png")
    done = CliRunner().invoke(app, ["segment", str(tmp_path / "scene.png"), "-k", "6", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.exception
    assert len(pd.read_csv(tmp_path / "out" / "regions.csv")) == 3
    arguments = ["segment", str(tmp_path / "scene.png"), "-o", str(tmp_path / "two"), "--regions", "conected"]
    assert isinstance(CliRunner().invoke(app, arguments).exception, UnknownName)
    assert not (tmp_path / "two").exists()
