"""A file in which its library gets lost is refused, and a healthy one is read after it."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from inversion.quality import Quality, input_flags
from inversion.readers import probe, stores
from physvae.errors import InputError


def test_a_netcdf_that_its_library_never_finishes_is_refused(data_dir, monkeypatch):
    path = data_dir.parent / "cases" / "netcdf-hang" / "cube.nc"
    if not Path(path).is_file():
        pytest.skip("no such case here")
    monkeypatch.setattr(probe, "SECONDS", 2.0)
    probe.close()
    with pytest.raises(InputError, match=r"cube\.nc: expected a readable NetCDF"):
        stores.raw(str(path), "netcdf4")
    probe.close()


def test_a_codec_that_runs_code_is_refused_unread(tmp_path):
    group = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=2)
    group.create_array("B4", shape=(4, 4), dtype="i2")
    document = tmp_path / "x.zarr" / "B4" / ".zarray"
    about = json.loads(document.read_text()) | {"compressor": {"id": "pickle", "protocol": 4}}
    document.write_text(json.dumps(about))
    with pytest.raises(InputError, match="found 'pickle', which is not run"):
        stores.raw(str(tmp_path / "x.zarr"), "zarr")


@pytest.mark.parametrize("zenith", [np.inf, -np.inf])
def test_an_infinite_sun_zenith_cannot_be(zenith):
    flags = input_flags(np.array([[0.2, 0.3]]), np.array([[zenith, 0.0, 0.0]]), np.array([False]))
    assert flags[0] & Quality.INPUT_OUT_OF_RANGE
