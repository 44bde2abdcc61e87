"""Small products of other agencies and of anybody: Landsat, HLS, STAC, spectrometers, ENVI, CF."""

import json
import re
from pathlib import Path

import netCDF4
import numpy as np
import rasterio
import torch
import xarray as xr
from rasterio.transform import from_origin

import rtm
from products import (
    BANDS,
    CORNER,
    SIDE,
    SUN,
    SUN_AZIMUTH,
    VIEW,
    VIEW_AZIMUTH,
    finer,
    landscape,
    stored,
    tile_xml,
    write,
)

OLI = ("B2", "B3", "B4", "B5", "B6", "B7")


def _angle_images(folder: Path, stem: str, suffix: str, ending: str, fill: int = 0) -> None:
    for kind, value in zip(
        ("SZA", "SAA", "VZA", "VAA"), (SUN, SUN_AZIMUTH, VIEW, VIEW_AZIMUTH), strict=True
    ):
        numbers = np.full((SIDE, SIDE), round(value * 100), np.int16)
        write(folder / f"{stem}{suffix}{kind}{ending}", numbers, 30, nodata=fill)


def landsat(
    folder: Path, *, angles: bool = True, add: float = -0.2, platform: str = "LANDSAT_8"
) -> Path:
    stem = "LC08_L2SP_195027_20220618_20220630_02_T1"
    root = folder / stem
    for band, values in zip(OLI, landscape("landsat-8", OLI), strict=True):
        numbers = stored(values, 2.75e-5, -0.2)
        write(root / f"{stem}_SR_{band}.TIF", numbers, 30, nodata=0)
    quality = np.full((SIDE, SIDE), 1 << 6, np.uint16)
    quality[:2] = 1 << 3
    quality[2] = 1 << 7
    write(root / f"{stem}_QA_PIXEL.TIF", quality, 30)
    if angles:
        _angle_images(root, stem, "_", ".TIF")
    steps = "".join(
        f"<REFLECTANCE_MULT_BAND_{b[1:]}>2.75e-05</REFLECTANCE_MULT_BAND_{b[1:]}>"
        f"<REFLECTANCE_ADD_BAND_{b[1:]}>{add}</REFLECTANCE_ADD_BAND_{b[1:]}>"
        for b in OLI
    )
    (root / f"{stem}_MTL.xml").write_text(f"""<?xml version="1.0"?><LANDSAT_METADATA_FILE>
<PRODUCT_CONTENTS><LANDSAT_PRODUCT_ID>{stem}</LANDSAT_PRODUCT_ID></PRODUCT_CONTENTS>
<IMAGE_ATTRIBUTES><SPACECRAFT_ID>{platform}</SPACECRAFT_ID>
<DATE_ACQUIRED>2022-06-18</DATE_ACQUIRED>
<SUN_ELEVATION>{90 - SUN}</SUN_ELEVATION></IMAGE_ATTRIBUTES>
<LEVEL2_SURFACE_REFLECTANCE_PARAMETERS>{steps}</LEVEL2_SURFACE_REFLECTANCE_PARAMETERS>
</LANDSAT_METADATA_FILE>""")
    return root


def hls(folder: Path, *, kind: str = "S30", satellite: str = "LC09") -> Path:
    stem = f"HLS.{kind}.T32TMT.2022169T102559.v2.0"
    root = folder / stem
    tags = {"NBAR_SOLAR_ZENITH": "40.0", "SENSING_TIME": "2022-06-18T10:25:59Z"}
    if kind == "L30":
        tags["LANDSAT_PRODUCT_ID"] = f"{satellite}_L1TP_195027_20220618_20220630_02_T1"
    bands, sensor = (OLI, "landsat-8") if kind == "L30" else (BANDS, "sentinel-2a")
    for band, values in zip(bands, landscape(sensor, bands), strict=True):
        label = f"B{int(band[1:]):02d}" if band[1:].isdigit() else band
        numbers = stored(values, dtype="int16")
        write(root / f"{stem}.{label}.tif", numbers, 30, nodata=-9999, scale=1e-4, tags=tags)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:2] = 2
    write(root / f"{stem}.Fmask.tif", mask, 30, nodata=255)
    return root


def stac(
    folder: Path,
    *,
    applied: bool = False,
    pixels: float = -0.1,
    href: str = "",
    grids: bool = True,
) -> Path:
    """An item as Earth Search gives it; `applied` says that the pixels hold no offset."""
    names = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08",
             "swir16", "swir22")  # fmt: skip
    root = folder / "stac"
    assets = {}
    for name, band, values in zip(names, BANDS, landscape(), strict=True):
        numbers = stored(values, 1e-4, pixels)
        fine = band in ("B2", "B3", "B4", "B8")
        write(root / f"{name}.tif", finer(numbers) if fine else numbers, 10 if fine else 20)
        assets[name] = {
            "href": href or f"./{name}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "eo:bands": [{"name": band}],
            "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}],
        }
    classes = np.full((SIDE, SIDE), 4, np.uint8)
    classes[:2] = 9
    write(root / "scl.tif", classes, 20)
    assets["scl"] = {"href": "./scl.tif", "type": "image/tiff"}
    if grids:
        (root / "granule.xml").write_text(tile_xml())
        assets["granule_metadata"] = {"href": "granule.xml", "type": "application/xml"}
    properties = {
        "datetime": "2022-06-18T10:25:59Z", "platform": "sentinel-2a",
        "view:sun_elevation": 90 - SUN, "view:sun_azimuth": SUN_AZIMUTH,
        "s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": applied,
    }  # fmt: skip
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "S2A_T32TMT_20220618", "geometry": None,
        "properties": properties, "links": [], "assets": assets,
    }  # fmt: skip
    path = root / "item.json"
    path.write_text(json.dumps(item))
    return path


def narrow(low=420.0, high=2450.0, step=6.5) -> tuple[np.ndarray, np.ndarray]:
    """Centres and widths [nm] of a spectrometer, without the bands of water vapour."""
    center = np.arange(low, high, step)
    wet = ((center > 1350) & (center < 1420)) | ((center > 1800) & (center < 1950))
    return center[~wet], np.full((~wet).sum(), 1.3 * step)


def spectral_landscape(center: np.ndarray, fwhm: np.ndarray) -> np.ndarray:
    """Reflectance [band, y, x] of the landscape seen by narrow bands."""
    sensor = rtm.Sensor.gaussian("narrow", center, fwhm)
    row, column = np.indices((SIDE, SIDE))
    seen = rtm.prosail(
        sensor=sensor, lai=torch.tensor(0.3 + 5.5 * (column[:, ::4] // 4) / (SIDE // 4))[:1],
        cab=torch.tensor(20.0 + 40.0 * (row[::4] // 4) / (SIDE // 4))[:, :1],
        psoil=0.4, tts=SUN, tto=VIEW, psi=SUN_AZIMUTH - VIEW_AZIMUTH,
    ).rso  # fmt: skip
    return finer(np.moveaxis(np.asarray(seen), -1, 0), 4)


def enmap(folder: Path) -> Path:
    stem = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"
    root = folder / stem
    center, fwhm = narrow()
    numbers = stored(spectral_landscape(center, fwhm), dtype="int16")
    numbers[10] = -32768
    write(root / f"{stem}-SPECTRAL_IMAGE.TIF", numbers, 30, nodata=-32768, interleave="band")
    cloud = np.zeros((SIDE, SIDE), np.uint8)
    cloud[:2] = 1
    write(root / f"{stem}-QL_QUALITY_CLOUD.TIF", cloud, 30)
    bands = "".join(
        f'<bandID number="{i}"><wavelengthCenterOfBand>{c:.3f}</wavelengthCenterOfBand>'
        f"<FWHMOfBand>{w:.3f}</FWHMOfBand><GainOfBand>0.0001</GainOfBand>"
        f"<OffsetOfBand>0.0</OffsetOfBand></bandID>"
        for i, (c, w) in enumerate(zip(center, fwhm, strict=True), 1)
    )
    good = ",".join(str(i) for i in range(1, len(center) + 1) if i != 11)
    (root / f"{stem}-METADATA.XML").write_text(f"""<?xml version="1.0"?><level_X>
<base><level>L2A</level><temporalCoverage>
<startTime>2022-07-24T10:45:26Z</startTime></temporalCoverage></base>
<specific><backgroundValue>-32768</backgroundValue>
<sunElevationAngle><center>{90 - SUN}</center></sunElevationAngle>
<sunAzimuthAngle><center>{SUN_AZIMUTH}</center></sunAzimuthAngle>
<viewingZenithAngle><center>{VIEW}</center></viewingZenithAngle>
<viewingAzimuthAngle><center>{VIEW_AZIMUTH}</center></viewingAzimuthAngle>
<vnirProductQuality><expectedChannelsList>{good}</expectedChannelsList></vnirProductQuality>
<bandCharacterisation>{bands}</bandCharacterisation></specific></level_X>""")
    return root


def prisma(folder: Path) -> Path:
    path = folder / "PRS_L2D_STD_20220618102559_20220618102603_0001.he5"
    left, top = CORNER[0] + 15, CORNER[1] - 15
    with netCDF4.Dataset(path, "w") as file:
        group = file.createGroup("HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields")
        for kind, low, high in (("Vnir", 430, 960), ("Swir", 970, 2450)):
            center, fwhm = narrow(low, high, 9.0)
            high_value = 0.9
            cube = stored(spectral_landscape(center, fwhm), high_value / 65535)
            for size, name in zip(cube.shape, ("b", "y", "x"), strict=True):
                group.createDimension(f"{kind}{name}", size)
            dims = (f"{kind}y", f"{kind}b", f"{kind}x")
            group.createVariable(f"{kind.upper()}_Cube", "u2", dims)[:] = np.moveaxis(cube, 0, 1)
            about = {
                f"L2Scale{kind}Min": 0.0, f"L2Scale{kind}Max": high_value,
                f"List_Cw_{kind}": center, f"List_Fwhm_{kind}": fwhm,
                f"List_Cw_{kind}_Flags": np.ones(len(center), np.int32),
            }  # fmt: skip
            file.setncatts(about)
        angles = file.createGroup("HDFEOS/SWATHS/PRS_L2D_HCO/Geometric Fields")
        angles.createDimension("n", 3)
        angles.createVariable("Observing_Angle", "f4", ("n",))[:] = VIEW
        angles.createVariable("Rel_Azimuth_Angle", "f4", ("n",))[:] = SUN_AZIMUTH - VIEW_AZIMUTH
        file.setncatts({
            "Epsg_Code": 32632, "Sun_zenith_angle": SUN,
            "Product_ULcorner_easting": left, "Product_ULcorner_northing": top,
            "Product_LRcorner_easting": left + 30 * (SIDE - 1),
            "Product_LRcorner_northing": top - 30 * (SIDE - 1),
            "Product_StartTime": "2022-06-18T10:25:59", "Processing_Level": "2D",
        })  # fmt: skip
    return path


def envi(folder: Path, *, spectral=True, factor="reflectance scale factor = 10000\n") -> Path:
    path = folder / "image.bsq"
    center, fwhm = narrow() if spectral else (np.empty(0), np.empty(0))
    values = spectral_landscape(center, fwhm) if spectral else landscape()
    grid = {"transform": from_origin(*CORNER, 20, 20), "crs": 32632, "dtype": "int16"}
    with rasterio.open(
        path, "w", driver="ENVI", count=len(values), height=SIDE, width=SIDE, **grid
    ) as file:
        file.write(stored(values, dtype="int16"))
    header = path.with_suffix(".hdr")
    text = header.read_text()
    if spectral:
        listed = [", ".join(f"{v:g}" for v in part) for part in (center / 1000, fwhm / 1000)]
        bad = ", ".join("0" if i == 10 else "1" for i in range(len(center)))
        text += f"wavelength units = Micrometers\nwavelength = {{{listed[0]}}}\n"
        text += f"fwhm = {{{listed[1]}}}\nbbl = {{{bad}}}\n"
    else:
        text = re.sub(r"band names = \{[^}]*\}", f"band names = {{{', '.join(BANDS)}}}", text)
    header.write_text(text + factor)
    return path


def labelled(folder: Path, suffix: str, *, scale: bool = True) -> Path:
    """NetCDF or Zarr after CF: a variable a band, packed in integers."""
    path = folder / f"cube{suffix}"
    attributes = {"scale_factor": 1e-4, "add_offset": 0.0} if scale else {}
    dataset = xr.Dataset(
        {
            band: (("y", "x"), stored(values, dtype="int16"), attributes | {"grid_mapping": "crs"})
            for band, values in zip(BANDS, landscape(), strict=True)
        },
        coords={
            "x": CORNER[0] + 20 * (np.arange(SIDE) + 0.5),
            "y": CORNER[1] - 20 * (np.arange(SIDE) + 0.5),
        },
    )
    dataset["crs"] = ((), 0, {"crs_wkt": rasterio.crs.CRS.from_epsg(32632).to_wkt()})
    dataset["sun_zenith_deg"] = SUN
    for band in BANDS:
        dataset[band].encoding["_FillValue"] = -9999
    if suffix == ".nc":
        dataset.to_netcdf(path, engine="netcdf4")
    else:
        dataset.to_zarr(path, zarr_format=3, consolidated=False)
    return path
