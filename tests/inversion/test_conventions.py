"""What judges from outside say of the maps: CF, COG and STAC, without the network."""

import json

import numpy as np
import pystac
import pytest
import xarray as xr
from compliance_checker.runner import CheckSuite, ComplianceChecker
from rio_cogeo import cog_validate

import products
from inversion.run import Job, retrieve_file

CF = "cf:1.11"


@pytest.fixture(scope="module")
def checkers():
    CheckSuite.load_all_available_checkers()


@pytest.fixture
def scene(shipped, tmp_path):
    """A function that maps a built SAFE product into a file of that ending."""
    safe = products.safe(tmp_path)

    def made(suffix: str):
        goal = tmp_path / f"out{suffix}"
        retrieve_file(safe, goal, Job(variables=("lai", "cab", "fapar"), chunk=16))
        return goal

    return made


def remarks(path) -> list[str]:
    """All that the IOOS compliance checker has to say, warnings included."""
    report = path.with_suffix(".json")
    ComplianceChecker.run_checker(
        str(path), [CF], 0, "strict", output_filename=str(report), output_format="json"
    )
    found = json.loads(report.read_text())[CF]
    levels = ("high_priorities", "medium_priorities", "low_priorities")
    return [text for level in levels for check in found[level] for text in check["msgs"]]


def test_i3_netcdf_follows_cf(checkers, scene):
    """CF-1.11 by compliance-checker 6: no error, no warning, no advice."""
    assert remarks(scene(".nc")) == []


def test_i3_the_checker_would_tell(checkers, scene):
    path = scene(".nc")
    with xr.open_dataset(path) as whole:
        spoilt = whole.load()
    spoilt["lai"].attrs |= {"units": "leaves per field", "standard_name": "leaf_area"}
    spoilt.to_netcdf(path.with_name("spoilt.nc"))
    told = " ".join(remarks(path.with_name("spoilt.nc")))
    assert "leaf_area" in told
    assert "leaves per field" in told


def test_i3_zarr_says_the_same_as_netcdf(scene):
    options = {"decode_cf": False, "mask_and_scale": False}
    netcdf, store = scene(".nc"), scene(".zarr")
    with (
        xr.open_dataset(netcdf, **options) as one,
        xr.open_dataset(store, engine="zarr", **options) as other,
    ):
        for name in one.variables:
            ours, theirs = one[name].attrs, other[name].attrs
            assert set(ours) - {"_FillValue"} == set(theirs) - {"_FillValue"}, name
            for key in set(ours) & set(theirs) - {"_FillValue"}:
                np.testing.assert_array_equal(ours[key], theirs[key], err_msg=f"{name} {key}")


def test_i1_and_i2_of_a_built_product(scene):
    """A strict COG, and a STAC item that the schema of the core accepts."""
    path = scene(".tif")
    for name in ("out.tif", "out_quality.tif"):
        assert cog_validate(path.with_name(name), strict=True)[:2] == (True, [])
    item = pystac.Item.from_file(str(path.with_name("out.stac.json")))
    item.stac_extensions = []  # their schemas lie on the network; that of the core comes along
    assert item.validate()


def test_the_map_is_placed_as_its_product(scene):
    """QGIS and GDAL see the grid of the product, whatever the format."""
    left, top = products.CORNER
    for suffix in (".tif", ".nc", ".zarr"):
        path = scene(suffix)
        engine = {".tif": "rasterio", ".nc": "netcdf4", ".zarr": "zarr"}[suffix]
        with xr.open_dataset(path, engine=engine, decode_coords="all") as image:
            assert image.rio.crs.to_epsg() == 32632
            found = image.rio.transform()
        assert (found.c, found.f, found.a, found.e) == (left, top, 20.0, -20.0)
