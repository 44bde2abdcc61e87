"""The guard lets every real file through and refuses each of them with a wrong scale or offset."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from rasterio import Affine
from rasterio.crs import CRS

from inversion.radiometry import Radiometry, check_reflectance
from inversion.readers import rasters, scene
from inversion.readers.declaration import Declaration
from physvae.errors import InputError, UsageError

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
TABLES = ("field/field_dev", "field/ccc_dev", "unlabelled/crops", "unlabelled/forest_austria_2018")
CHIPS = (
    "S2A2A_20170703_022_Barbellino_BOA_10",
    "S2A2A_20190723_022_Barbellino_BOA_10",
    "Strickhof_S2A_MSIL2A_20220322T101711_R065_T32TMT",
    "Strickhof_S2A_MSIL2A_20220421T101601_R065_T32TMT",
    "Strickhof_S2A_MSIL2A_20220514T102601_R108_T32TMT",
    "Strickhof_S2A_MSIL2A_20220713T103041_R108_T32TMT",
    "Strickhof_S2B_MSIL2A_20220618T102559_R108_T32TMT",
)


def _table(path) -> np.ndarray:
    return pd.read_csv(path)[list(BANDS)].to_numpy(float)


def _chip(path) -> np.ndarray:
    with rasterio.open(path) as file:
        stored = file.read(masked=True).astype(float).filled(np.nan) / 1e4
    spectra = np.full((stored[0].size, len(BANDS)), np.nan)
    if file.count == 11:
        spectra[:] = stored[1:].reshape(10, -1).T
    else:
        kept = [index for index, band in enumerate(BANDS) if band != "B8"]
        spectra[:, kept] = stored[:9].reshape(9, -1).T
    return spectra


@pytest.fixture(params=[*TABLES, *CHIPS])
def spectra(request, data_dir) -> np.ndarray:
    if request.param in TABLES:
        return _table(data_dir / f"{request.param}.csv")
    return _chip(data_dir / "rasters" / f"{request.param}.tif")


def test_real_reflectance_passes(spectra):
    check_reflectance(spectra, BANDS, source="real")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda rho: rho + 0.1, "offset forgotten"),
        (lambda rho: rho - 0.1, "offset applied twice"),
        (lambda rho: rho * 1e4, "above 2"),
        (lambda rho: rho * 100, "above 2"),
        (lambda rho: rho / 1e4, "scale applied twice"),
    ],
    ids=["offset forgotten", "offset doubled", "scale forgotten", "percent", "scale doubled"],
)
def test_a_wrong_scale_or_offset_is_refused(spectra, fault, said):
    with pytest.raises(InputError, match=rf"real: expected .* found .*{said}"):
        check_reflectance(fault(spectra), BANDS, source="real")


@pytest.mark.parametrize(
    ("bands", "said"),
    [
        (("B2", "B3", "B4", "B5", "B6", "B7"), "-0.2"),
        (("B490", "B560", "B670", "B850", "B1610", "B2200"), "as the product states it"),
    ],
)
def test_a_forgotten_offset_of_other_sensors_is_refused(bands, said):
    shade = np.linspace(0.8, 1.2, 200)[:, None]
    spectra = shade * [0.03, 0.06, 0.03, 0.4, 0.2, 0.1]
    check_reflectance(spectra, bands, source="image")
    with pytest.raises(InputError, match=f"was the offset forgotten. give --offset {said}"):
        check_reflectance(spectra + 0.2, bands, source="image")


def test_single_odd_pixels_do_not_refuse_an_image():
    spectra = np.tile(np.linspace(0.03, 0.4, 10), (1000, 1))
    spectra[0], spectra[1] = 5.0, -0.3
    check_reflectance(spectra, BANDS, source="image")


def test_bright_ground_without_plants_is_not_asked_about_the_offset():
    snow = np.tile(np.linspace(0.9, 0.1, 10), (100, 1))
    desert = np.tile(np.linspace(0.15, 0.5, 10), (100, 1))
    desert[:, 6:8] = 0.36
    check_reflectance(snow, BANDS, source="snow")
    check_reflectance(desert, BANDS, source="desert")


def test_only_land_is_asked_about_offsets():
    spectra = np.tile(np.linspace(0.03, 0.4, 10), (100, 1))
    spectra[:50] = -0.05
    land = np.arange(100) >= 50
    check_reflectance(spectra, BANDS, source="image", land=land)
    with pytest.raises(InputError, match=r"below -0\.02 in 50% of the pixels"):
        check_reflectance(spectra, BANDS, source="image")


def test_nothing_at_all_passes():
    check_reflectance(np.full((5, 10), np.nan), BANDS, source="empty")
    check_reflectance(np.zeros((5, 10)), BANDS, source="filled")


@pytest.mark.parametrize("filling", [-9999.0, -0.9999, -3.2768, 6.5535, -3.4028235e38])
def test_fillings_are_no_sign_of_a_wrong_scale(filling):
    """Half of the pixels filled, in all bands or in one, and the rest as it should be."""
    shade = np.linspace(0.8, 1.2, 200)[:, None]
    spectra = shade * np.linspace(0.03, 0.4, 10)
    spectra[:100, :9] = filling
    check_reflectance(spectra, BANDS, source="image")
    spectra[:100, 9] = filling
    check_reflectance(spectra, BANDS, source="image")


def test_reflectance_far_below_zero_is_refused_where_it_differs_from_pixel_to_pixel():
    spectra = np.linspace(0.8, 1.2, 200)[:, None] * np.linspace(0.03, 0.4, 10) - 1
    with pytest.raises(InputError, match="offset applied twice"):
        check_reflectance(spectra, BANDS, source="image")


def test_an_offset_in_digital_numbers_is_told_how_to_write():
    with pytest.raises(UsageError, match=r"write --offset -0\.1"):
        Radiometry(scale=1e-4, offset=-1000.0)
    for scale in (0.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="above 0"):
            Radiometry(scale=scale)
    with pytest.raises(UsageError, match="expected reflectance units"):
        Radiometry(scale=1.0, offset=np.nan)


@dataclass(frozen=True)
class Grey:
    """A layer that is the same everywhere and notes what is asked of it."""

    asked: tuple = field(default_factory=list, hash=False)
    path, scale, offset, missing, ratio = "grey.tif", 1.0, 0.0, (), 1.0

    def stored(self, place):
        self.asked.append(place)
        return np.full([stop - start for start, stop in place], 0.1, np.float32)


def test_the_guard_looks_all_over_an_image_and_reads_little():
    """Eight windows of a tile, far from one another, and nothing around them."""
    layer = Grey()
    grid = rasters.Grid(CRS.from_epsg(32632), Affine.scale(20), 5490, 5490)
    cube = rasters.cube([layer, layer], grid, 640)
    image = xr.Dataset({"reflectance": (("band", "y", "x"), cube, {})}, {"band": ["B2", "B4"]})
    scene.guard(image, Declaration(), "a tile")
    seen = np.zeros((5490, 5490), bool)
    for (top, bottom), (left, right) in layer.asked:
        seen[top:bottom, left:right] = True
    assert seen.sum() == 8 * 256**2
    assert all(seen[y : y + 2000].any() and seen[:, y : y + 2000].any() for y in (0, 1745, 3490))


def test_the_guard_sees_a_fault_in_any_image_shape():
    for shape in ((2000, 40), (40, 2000), (1500, 1300), (900, 900)):
        dark = xr.Dataset(
            {"reflectance": (("band", "y", "x"), np.full((2, *shape), 3e-5, np.float32))},
            {"band": ["B2", "B4"]},
        )
        with pytest.raises(InputError, match="was a scale applied twice"):
            scene.guard(dark, Declaration(), "an image")
