"""Wavelengths in any unit and spelling; names beat wavelengths, and what counts names nothing."""

import codecs
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

from inversion.readers import Declaration, detect, reader
from inversion.readers.wavelengths import of_names, spectrum
from physvae.errors import InputError, UsageError

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
CENTERS = (492.4, 559.8, 664.6, 704.1, 740.5, 782.8, 832.8, 864.7, 1613.7, 2202.4)
NARROW = np.arange(420.0, 2450.0, 15.0)
SIDE = 4


def ramp(wavelength: np.ndarray) -> np.ndarray:
    """Reflectance that rises evenly with the wavelength, so that no response bends it."""
    return np.broadcast_to(
        0.03 + 0.0002 * (np.asarray(wavelength) - 400)[:, None, None],
        (len(wavelength), SIDE, SIDE),
    )


def expect_ramp(image: xr.Dataset, bands=BANDS) -> None:
    assert tuple(image["band"].to_numpy()) == tuple(bands)
    centers = np.array([CENTERS[BANDS.index(band)] for band in bands])
    np.testing.assert_allclose(image["reflectance"], ramp(centers), atol=4e-3)


def write(path: Path, driver: str, values: np.ndarray, names=None) -> Path:
    grid = {"driver": driver, "dtype": "int16", "height": SIDE, "width": SIDE, "crs": 32632}
    with rasterio.open(
        path, "w", count=len(values), transform=from_origin(6e5, 5.2e6, 20, 20), **grid
    ) as file:
        file.write(np.rint(values * 1e4).astype(np.int16))
        file.descriptions = names or [f"Band {number}" for number in range(1, len(values) + 1)]
    return path


def envi(folder: Path, lines: str, values=None, names=None, encoding="utf-8") -> Path:
    path = write(folder / "x.bsq", "ENVI", ramp(NARROW) if values is None else values, names)
    header = path.with_suffix(".hdr")
    header.write_bytes((header.read_text() + lines).encode(encoding))
    return path


def opened(path: Path, **said) -> xr.Dataset:
    return reader(detect(path))(path, Declaration(**said), bands=BANDS, sensor="sentinel-2a")


def listed(name: str, numbers) -> str:
    return f"{name} = {{{', '.join(f'{number:g}' for number in numbers)}}}\n"


FACTOR = "reflectance scale factor = 10000\n"
WIDTHS = np.full(len(NARROW), 18.0)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        *[
            (text, 1.0)
            for text in ("Nanometers", "nanometer", "NM", "nm ", "Unknown", "", "Index")
        ],
        *[(text, 1e3) for text in ("Micrometers", "um", "µm", "μm", "Microns", "micron", "")],
    ],
)
def test_units_in_any_spelling(unit, factor):
    found = spectrum(NARROW / factor, WIDTHS / factor, unit, len(NARROW), "x")
    np.testing.assert_allclose(found.center, NARROW)
    np.testing.assert_allclose(found.fwhm, WIDTHS)


@pytest.mark.parametrize(
    ("numbers", "unit", "said"),
    [
        (NARROW, "GHz", "expected wavelength units nm or um, got 'GHz'"),
        (NARROW, "Micrometers", "got 420 to 2445 Micrometers"),
        (NARROW * 1e-9, "", "expected wavelengths from 200 to 20000 nm or 0.2 to 20 um"),
        (NARROW[:-3], "nm", "expected 136 wavelengths, as many as bands, got 133"),
        (np.full(len(NARROW), np.nan), "nm", "got none"),
    ],
)
def test_what_is_no_wavelength_is_refused(numbers, unit, said):
    with pytest.raises(InputError, match=said):
        spectrum(numbers, (), unit, len(NARROW), "x")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("unit", ["µm", "Unknown", None])
def test_an_envi_header_in_micrometres(tmp_path, unit, encoding):
    lines = listed("wavelength", NARROW / 1e3) + listed("fwhm", WIDTHS / 1e3) + FACTOR
    lines += "" if unit is None else f"Wavelength Units = {unit}\n"
    expect_ramp(opened(envi(tmp_path, lines, encoding=encoding)))


def test_widths_that_are_not_stated_are_filled_and_noted(tmp_path, caplog):
    expect_ramp(opened(envi(tmp_path, listed("wavelength", NARROW) + FACTOR)))
    assert "no fwhm; the distance between neighbouring bands is taken" in caplog.text


def test_gains_and_offsets_of_each_band_are_used(tmp_path):
    gains = np.linspace(1e-4, 3e-4, len(NARROW))
    lines = listed("wavelength", NARROW) + listed("fwhm", WIDTHS) + FACTOR
    stored = (ramp(NARROW) - 0.01) * (1e-4 / gains)[:, None, None]
    lines += f"data reflectance gain values = {{{', '.join(map(repr, gains.tolist()))}}}\n"
    lines += listed("data reflectance offset values", np.full(len(NARROW), 0.01))
    expect_ramp(opened(envi(tmp_path, lines, stored)))
    with pytest.raises(InputError, match="expected 136 data gain values, as many as bands, got 2"):
        opened(envi(tmp_path, "data gain values = {1, 1}\n"))


def test_wavelengths_in_the_names_of_bands(tmp_path):
    names = [f"Band {i} ({c:.3f} nm)" for i, c in enumerate(NARROW, 1)]
    np.testing.assert_allclose(of_names(names)[0], NARROW)
    expect_ramp(opened(envi(tmp_path, FACTOR, names=names)))
    path = write(tmp_path / "x.tif", "GTiff", ramp(NARROW), [f"{c} Nanometers" for c in NARROW])
    expect_ramp(opened(path, scale=1e-4))


def test_a_geotiff_of_many_counted_bands_is_read_by_its_wavelengths(tmp_path):
    path = write(tmp_path / "x.tif", "GTiff", ramp(NARROW))
    with rasterio.open(path, "r+") as file:
        for number, center in enumerate(NARROW, 1):
            file.update_tags(number, WAVELENGTH=f"{center}", wavelength_units="Nanometers")
    expect_ramp(opened(path, scale=1e-4))
    with rasterio.open(path, "r+") as file:
        file.update_tags(7, ns="", WAVELENGTH="")
    with pytest.raises(InputError, match="wavelength"):
        opened(path, scale=1e-4)


def test_bands_of_a_geotiff_that_are_tagged_bad_are_left_out(tmp_path):
    values = ramp(NARROW).copy()
    bad = np.abs(NARROW - 833) < 8
    values[bad] = 2.0
    path = write(tmp_path / "x.tif", "GTiff", values)
    with rasterio.open(path, "r+") as file:
        for number, center in enumerate(NARROW, 1):
            good = "0" if bad[number - 1] else "1"
            file.update_tags(number, wavelength=center, fwhm=18, good=good)
    expect_ramp(opened(path, scale=1e-4))


def test_a_netcdf_with_wavelengths_along_its_bands(tmp_path):
    path, half = tmp_path / "x.nc", 20 * (np.arange(SIDE) + 0.5)
    cube = xr.Dataset(
        {"reflectance": (("band", "y", "x"), ramp(NARROW).astype(np.float32))},
        {"y": 5.2e6 - half, "x": 6e5 + half},
    )
    cube["wavelength"] = ("band", NARROW, {"units": "nm"})
    cube["fwhm"] = ("band", WIDTHS)
    cube["crs"] = ((), 0, {"crs_wkt": rasterio.CRS.from_epsg(32632).to_wkt()})
    cube.to_netcdf(path)
    expect_ramp(opened(path))


def test_names_of_the_sensor_beat_wavelengths(tmp_path, caplog):
    exact = np.random.default_rng(1).integers(100, 5000, (10, SIDE, SIDE)) / 1e4
    lines = listed("wavelength", np.rint(CENTERS)) + "wavelength units = Nanometers\n" + FACTOR
    image = opened(envi(tmp_path, lines, exact, list(BANDS)))
    np.testing.assert_allclose(image["reflectance"], exact, atol=1e-6)
    assert "fwhm" not in caplog.text


def test_names_that_contradict_the_wavelengths_are_refused(tmp_path):
    lines = listed("wavelength", np.roll(CENTERS, 1)) + FACTOR
    path = envi(tmp_path, lines, ramp(np.array(CENTERS)), list(BANDS))
    with pytest.raises(
        InputError, match=r"expected band B2 at 492 nm as on sentinel-2a, got 2202"
    ):
        opened(path)
    expect_ramp(opened(path, bands=list(BANDS)))


def test_names_of_a_spectrometer_that_look_like_the_sensor_s_are_none(tmp_path):
    lines = listed("wavelength", NARROW) + listed("fwhm", WIDTHS) + FACTOR
    names = [f"B{number}" for number in range(1, len(NARROW) + 1)]
    expect_ramp(opened(envi(tmp_path, lines, names=names)))


@pytest.mark.parametrize("lines", ["", listed("wavelength", CENTERS)])
def test_a_few_counted_bands_are_asked_for(tmp_path, lines):
    path = envi(tmp_path, lines + FACTOR, ramp(np.array(CENTERS)))
    with pytest.raises(InputError, match=r"which count the bands and name none;.*--bands"):
        opened(path)
    expect_ramp(opened(path, bands=list(BANDS)))
    with pytest.raises(UsageError, match="expected 10 band names"):
        opened(path, bands=["B2", "B3"])
    counted = write(tmp_path / "x.tif", "GTiff", ramp(np.array(CENTERS)))
    with pytest.raises(InputError, match="which count the bands and name none"):
        opened(counted, scale=1e-4)


def test_no_band_within_reach_is_refused(tmp_path):
    lines = listed("wavelength", NARROW * 5) + FACTOR
    with pytest.raises(InputError, match="expected bands from 400 to 2500 nm, got"):
        opened(envi(tmp_path, lines + listed("bbl", np.r_[np.zeros(40), np.ones(96)])))


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_a_header_with_a_byte_order_mark(tmp_path, mark, interleave):
    lines = listed("wavelength", NARROW / 1e3) + listed("fwhm", WIDTHS / 1e3) + FACTOR
    path = envi(tmp_path, lines)
    header = path.with_suffix(".hdr")
    text = header.read_text().replace("interleave = bsq", f"interleave = {interleave}")
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-8"
    header.write_bytes(mark + text.encode(encoding))
    stored = np.rint(ramp(NARROW) * 1e4).astype("<i2")
    axes = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}[interleave]
    path.write_bytes(np.ascontiguousarray(stored.transpose(axes)).tobytes())
    expect_ramp(opened(path))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="expected 4352 bytes as its header says, got 4351"):
        opened(path)


def test_names_that_gdal_writes_behind_which_wavelengths_stand(tmp_path):
    """As of an ENVI image or a SAFE product that gdal_translate made a GeoTIFF of."""
    exact = np.random.default_rng(1).integers(100, 5000, (10, SIDE, SIDE)) / 1e4
    for form in ("{} ({:.0f} Nanometers)", "{}, central wavelength {:.0f} nm"):
        names = [form.format(b, c) for b, c in zip(BANDS, CENTERS, strict=True)]
        path = write(tmp_path / "x.tif", "GTiff", exact, names)
        np.testing.assert_allclose(opened(path, scale=1e-4)["reflectance"], exact, atol=1e-6)
