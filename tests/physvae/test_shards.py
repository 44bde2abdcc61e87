"""Tar shards of zipped Zarr samples, written here as TerraMesh lays them out."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch
import zarr
from zarr.storage import ZipStore

from physvae.config import Spectra, parse_config
from physvae.emulation.plans import TablePlan
from physvae.emulation.reading import read_pairs
from physvae.errors import InputError
from physvae.plans import SpatialPlan
from physvae.real_spectra import read_all, read_spectra

from .conftest import SMALL

BANDS = ("B3", "B4", "B8A")
NAMES = np.array(["B02", "B03", "B04", "B8A", "B11"])
ENTRY = Spectra(file="shard.tar", scale=1e-4, offset=-0.1, mask="cloud_mask", pixels=40)


def sample(folder, seed: int) -> bytes:
    """One image [time, band, y, x] of counts whose first pixel is no data, with a cloudy row."""
    path = folder / f"{seed}.zip"
    with ZipStore(path, mode="w") as store:
        group = zarr.open_group(store, mode="w", zarr_format=2)
        counts = np.random.default_rng(seed).integers(1100, 5000, (1, 5, 12, 10))
        counts[0, :, 0, 0] = 0
        group["bands"] = counts.astype("int16")
        group["band"] = NAMES
        clouds = np.zeros((1, 12, 10), "uint8")
        clouds[0, 3] = 4
        group["cloud_mask"] = clouds
    return path.read_bytes()


@pytest.fixture
def shard(tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for i in range(6):
            blob = sample(tmp_path, i)
            info = tarfile.TarInfo(f"../majortom_{i}.zarr.zip")  # names are never used as paths
            info.size = len(blob)
            tar.addfile(info, io.BytesIO(blob))
    return tmp_path / "shard.tar"


def test_pixels_have_the_reflectance_that_the_file_says(shard):
    real, training = read_spectra(shard, ENTRY, BANDS)
    assert real.reflectance.shape == (6 * 40, 3)
    assert real.angles.isnan().all()
    assert training.reshape(6, 40).all(1).tolist() == [True] * 4 + [False, True]
    counts = np.random.default_rng(0).integers(1100, 5000, (1, 5, 12, 10))[0, [1, 2, 3]]
    counts = np.delete(counts, 3, axis=1).reshape(3, -1).T[1:]  # no cloud, no missing pixel
    expected = {tuple(row) for row in counts}
    found = ((real.reflectance[:40] + 0.1) * 1e4).round().int()
    assert {tuple(row.tolist()) for row in found} < expected


def test_an_encoder_of_patches_gets_squares_with_gaps(shard):
    real, training = read_spectra(shard, ENTRY, BANDS, SpatialPlan(patch=5))
    assert real.reflectance.shape == (6 * 4, 5, 5, 3)
    assert real.reflectance[0, 0, 0].isnan().all()
    assert real.reflectance[0, 3].isnan().all()
    assert training.sum() == 5 * 4


def test_a_training_file_can_name_a_shard(shard, tmp_path):
    entry = ENTRY.model_dump(exclude_none=True)
    config = parse_config(SMALL | {"spectra": [entry]}, "shard")
    assert read_all(config, tmp_path).reflectance.shape == (5 * 40, 3)
    assert torch.isfinite(read_all(config, tmp_path).reflectance).all()


def test_a_codec_that_runs_code_is_refused_unread(tmp_path):
    """In a sample of a shard, in patches and in a table of an emulator."""
    zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=2).create_array(
        "bands", shape=(4, 4), dtype="i2"
    )
    document = tmp_path / "x.zarr" / "bands" / ".zarray"
    about = json.loads(document.read_text()) | {"compressor": {"id": "pickle", "protocol": 4}}
    document.write_text(json.dumps(about))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in (".zgroup", "bands/.zarray"):
            archive.write(tmp_path / "x.zarr" / name, name)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        member = tarfile.TarInfo("a.zarr.zip")
        member.size = len(buffer.getvalue())
        tar.addfile(member, io.BytesIO(buffer.getvalue()))
    plan = TablePlan(file="x.zarr", spectra="bands", parameters=("n",))
    for read in (
        lambda: read_spectra(tmp_path / "x.tar", ENTRY, BANDS),
        lambda: read_spectra(tmp_path / "x.zarr", ENTRY, BANDS),
        lambda: read_pairs(tmp_path / "x.zarr", plan),
    ):
        with pytest.raises(InputError, match=r"x\.\w+.*found 'pickle', which is not run"):
            read()


def test_what_is_no_shard_is_refused(shard, tmp_path):
    with pytest.raises(InputError, match="got none of B9"):
        read_spectra(shard, ENTRY, ("B3", "B9"))
    with pytest.raises(InputError, match="expected a group with bands"):
        read_spectra(shard, ENTRY.model_copy(update={"mask": "clouds"}), BANDS)
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    with pytest.raises(InputError, match="expected a tar of Zarr samples"):
        read_spectra(tmp_path / "broken.tar", ENTRY, BANDS)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(InputError, match="expected samples"):
        read_spectra(tmp_path / "empty.tar", ENTRY, BANDS)
