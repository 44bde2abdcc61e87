"""Bands in files: shared by threads, kept open a while, and never stale."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from rasterio.env import get_gdal_config

from inversion.readers import handles, rasters
from inversion.readers.handles import close_files
from inversion.readers.landsat import mask_layer
from inversion.readers.rasters import Layer, cube, grid_of
from physvae.errors import InputError

SIDE, CHUNK = 96, 32


@pytest.fixture(autouse=True)
def _closed():
    close_files()
    yield
    close_files()


def written(path, values: np.ndarray) -> Layer:
    """A GeoTIFF in tiles that do not line up with the blocks that are read."""
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16"}
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(20, 0, 5e5, 0, -20, 5e6)}
    tiles = {"tiled": True, "blockxsize": 16, "blockysize": 48}
    with rasterio.open(path, "w", **profile, **place, **tiles) as file:
        file.write(values, 1)
    return Layer(str(path), scale=1e-4)


def image(layers: list[Layer]):
    return cube(layers, grid_of(layers[0].path), CHUNK)


def test_many_threads_read_the_same_files_right(tmp_path):
    numbers = np.random.default_rng(0).integers(0, 9000, (4, SIDE, SIDE), dtype=np.uint16)
    layers = [written(tmp_path / f"{k}.tif", numbers[k]) for k in range(4)]
    for _ in range(5):
        found = image(layers).compute(scheduler="threads", num_workers=8)
        np.testing.assert_allclose(found, numbers * 1e-4, rtol=1e-6)
    assert len(handles._kept) == len(layers)  # one handle a file, whatever the threads


def test_no_more_files_are_open_than_told(tmp_path, monkeypatch):
    monkeypatch.setattr(handles, "OPEN_FILES", 3)
    numbers = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)
    layers = [written(tmp_path / f"{k}.tif", numbers + k) for k in range(9)]
    with ThreadPoolExecutor(4) as pool:
        tops = list(pool.map(lambda x: x.stored(((0, 8), (0, 8)))[0, 0], layers * 4))
    assert tops == [0, 1, 2, 3, 4, 5, 6, 7, 8] * 4
    layers[0].stored(((0, 1), (0, 1)))
    assert len(handles._kept) <= 3


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    numbers = np.zeros((SIDE, SIDE), np.uint16)
    layer = written(tmp_path / "a.tif", numbers)
    assert layer.stored(((0, 4), (0, 4))).max() == 0
    (tmp_path / "a.tif").unlink()
    layer = written(tmp_path / "a.tif", numbers + 7)
    assert layer.stored(((0, 4), (0, 4))).min() == 7


def test_the_cache_is_bounded_in_the_whole_process(tmp_path):
    written(tmp_path / "a.tif", np.zeros((SIDE, SIDE), np.uint16)).stored(((0, 4), (0, 4)))
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(get_gdal_config, "GDAL_CACHEMAX").result()
    assert found == handles.CACHE << 20


def test_a_file_that_is_gone_is_named(tmp_path):
    layer = written(tmp_path / "a.tif", np.zeros((SIDE, SIDE), np.uint16))
    (tmp_path / "a.tif").unlink()
    with pytest.raises(InputError, match=r"a\.tif: a block cannot be read"):
        layer.stored(((0, 4), (0, 4)))


def test_a_part_of_an_image_reads_that_part_alone(tmp_path, monkeypatch):
    numbers = np.random.default_rng(1).integers(1, 9000, (2, SIDE, SIDE), dtype=np.uint16)
    whole = image([written(tmp_path / f"{k}.tif", numbers[k]) for k in range(2)])
    asked, plain = [], Layer.stored
    monkeypatch.setattr(
        Layer, "stored", lambda layer, place: asked.append(place) or plain(layer, place)
    )
    found = whole[:, 20:60, 40:50].compute()
    np.testing.assert_allclose(found, numbers[:, 20:60, 40:50] * 1e-4, rtol=1e-6)
    sizes = [(bottom - top) * (right - left) for (top, bottom), (left, right) in asked]
    assert sum(sizes) == found.size


@pytest.mark.parametrize(
    "part",
    [
        (1, slice(70, 10, -7), slice(3, 90, 5)),
        (slice(0, 1), 33, slice(95, None)),
        (slice(None), slice(5, 5), slice(None)),
    ],
)
def test_any_part_of_an_image_is_that_of_the_whole(tmp_path, part):
    numbers = np.random.default_rng(1).integers(1, 9000, (2, SIDE, SIDE), dtype=np.uint16)
    whole = image([written(tmp_path / f"{k}.tif", numbers[k]) for k in range(2)])
    np.testing.assert_allclose(whole[part].compute(), numbers[part] * 1e-4, rtol=1e-6)
    stack = rasters._Stack(
        tuple(written(tmp_path / f"{k}.tif", numbers[k]) for k in range(2)),
        grid_of(str(tmp_path / "0.tif")),
    )
    np.testing.assert_allclose(stack[part], numbers[part] * 1e-4, rtol=1e-6)


def test_codes_are_never_averaged(tmp_path):
    """A pixel takes the code of most of the finer ones; of two as common the larger."""
    numbers = np.full((SIDE, SIDE), 4, np.uint16)
    numbers[:2, :3], numbers[3:6, 0:3:2] = 9, 4
    numbers[0, 3:6] = 9
    layer = written(tmp_path / "a.tif", numbers)
    grid = grid_of(layer.path).at(60.0)
    layer = dataclasses.replace(layer, scale=1.0, ratio=1 / 3, codes=True)
    found = cube([layer], grid, CHUNK)[0].compute()
    assert np.unique(found).tolist() == [4.0, 9.0]
    assert found[0].tolist()[:3] == [9.0, 4.0, 4.0]
    numbers[:] = 4
    numbers[::2] = 9
    layer = written(tmp_path / "b.tif", numbers)
    layer = dataclasses.replace(layer, scale=1.0, ratio=1 / 2, codes=True)
    assert (cube([layer], grid_of(layer.path).at(40.0), CHUNK).compute() == 9).all()


def test_masks_are_told_as_classes_before_they_are_made_coarser(tmp_path):
    """Two kinds of cloud, each rarer than the clear, are together more than it."""
    numbers = np.zeros((SIDE, SIDE), np.uint16)
    numbers[0::3, 0], numbers[1::3, 0], numbers[2::3, 0] = 2, 2, 2
    numbers[0::3, 1], numbers[1::3, 1] = 8, 8
    path = written(tmp_path / "a.tif", numbers).path
    mask = mask_layer(path, grid_of(path).at(60.0), {9: 2 | 8})
    found = cube([mask], grid_of(path).at(60.0), CHUNK)[0].compute()
    assert (found[:, 0] == 9).all()
    assert (found[:, 1:] == 4).all()
