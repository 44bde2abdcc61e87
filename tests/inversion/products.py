"""Small products with the layout, the metadata and the formats of the real ones.

All show the same landscape, whose reflectance comes from `rtm` when the tests run, in the numbers
that the agency would have stored. Options put the faults in that real products have.
"""

import shutil
import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from rasterio.transform import from_origin

import rtm

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
ALL = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
PSD = "https://psd-14.sentinel2.eo.esa.int/PSD"
SIDE = 48
CORNER = (600000.0, 5200020.0)
SUN, SUN_AZIMUTH, VIEW, VIEW_AZIMUTH = 40.0, 150.0, 5.0, 105.0
TIFF = {"driver": "GTiff", "count": 1}
JP2 = {"driver": "JP2OpenJPEG", "count": 1, "QUALITY": "100", "REVERSIBLE": "YES"}
JP2_TILES = {10: 1024, 20: 640, 60: 192}
"""Sides of the tiles within ESA's files [pixel], by pixel side [m]."""


@lru_cache(maxsize=4)
def landscape(sensor: str = "sentinel-2a", bands: tuple[str, ...] = BANDS) -> np.ndarray:
    """Reflectance [band, y, x] of fields of many LAI and chlorophyll contents at 20 m."""
    row, column = np.indices((SIDE, SIDE))
    lai = 0.3 + 5.5 * (column // 4) / (SIDE // 4)
    seen = rtm.prosail(
        sensor=rtm.load_sensor(sensor).select(bands),
        lai=lai,
        cab=20.0 + 40.0 * (row // 4) / (SIDE // 4),
        psoil=0.4,
        tts=SUN,
        tto=VIEW,
        psi=SUN_AZIMUTH - VIEW_AZIMUTH,
    ).rso
    return np.moveaxis(np.asarray(seen), -1, 0)


def write(
    path: Path, values: np.ndarray, side: float, epsg: int | None = 32632, **profile
) -> None:
    """Write a raster of one or several bands as the agency's software would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stack = values if values.ndim == 3 else values[None]
    grid = {"transform": from_origin(*CORNER, side, side), "dtype": stack.dtype.name}
    grid |= {"height": stack.shape[1], "width": stack.shape[2], "count": len(stack)}
    if profile.get("driver") == JP2["driver"]:
        profile |= dict.fromkeys(("blockxsize", "blockysize"), JP2_TILES[int(side)])
    tags = profile.pop("tags", {})
    scale = profile.pop("scale", None)
    with rasterio.open(path, "w", **(TIFF | profile | grid), crs=epsg) as file:
        file.write(stack)
        file.update_tags(**tags)
        if scale:
            file.scales = [scale] * len(stack)


def stored(values: np.ndarray, scale: float = 1e-4, offset: float = 0.0, dtype="uint16"):
    """Return the numbers that stand for a reflectance."""
    return np.rint((np.asarray(values) - offset) / scale).astype(dtype)


def finer(values: np.ndarray, times: int = 2) -> np.ndarray:
    return values.repeat(times, -2).repeat(times, -1)


def grid_xml(zenith: np.ndarray, azimuth: np.ndarray, steps: str = "5000") -> str:
    parts = []
    for name, values in (("Zenith", zenith), ("Azimuth", azimuth)):
        rows = "".join(
            "<VALUES>" + " ".join("NaN" if np.isnan(v) else f"{v:.6g}" for v in row) + "</VALUES>"
            for row in values
        )
        step = f'<COL_STEP unit="m">{steps}</COL_STEP><ROW_STEP unit="m">{steps}</ROW_STEP>'
        parts.append(f"<{name}>{step}<Values_List>{rows}</Values_List></{name}>")
    return "".join(parts)


def constant(value: float) -> np.ndarray:
    return np.full((23, 23), value)


def safe(
    folder: Path, *, baseline: str = "05.09", platform: str = "A", offset: float | None = None,
    stated: float | None = None, quantification: str = "10000", epsg: str = "EPSG:32632",
    missing: tuple[str, ...] = (), holes=None, sun: float = SUN, name: str = "",
    values: np.ndarray | None = None, fine: tuple[str, ...] = ("B2", "B3", "B4", "B8"),
) -> Path:  # fmt: skip
    """A SAFE folder; `offset` is in the pixels, `stated` in the metadata, both as numbers."""
    old = baseline < "04.00"
    offset = (0.0 if old else -1000.0) if offset is None else offset
    stated = offset if stated is None else stated
    stem = f"S2{platform}_MSIL2A_20220618T102559_N{baseline.replace('.', '')}_R108_T32TMT"
    root = folder / (name or f"{stem}_20220618T163004.SAFE")
    granule = root / "GRANULE" / "L2A_T32TMT_A027593_20220618T102601"
    images = granule / "IMG_DATA"
    shown = dict(zip(BANDS, landscape() if values is None else values, strict=True))
    code = None if epsg == "" else int(epsg.removeprefix("EPSG:"))
    for band, reflectance in shown.items():
        if band in missing:
            continue
        numbers = stored(reflectance, 1e-4, offset * 1e-4)
        if holes is not None:
            numbers = holes(band, numbers)
        label = f"B{int(band[1:]):02d}" if band[1:].isdigit() else band
        start = "T32TMT_20220618T102559"
        if band != "B8":
            write(images / "R20m" / f"{start}_{label}_20m.jp2", numbers, 20, code, **JP2)
        if band in fine:
            write(images / "R10m" / f"{start}_{label}_10m.jp2", finer(numbers), 10, code, **JP2)
    classes = np.full((SIDE, SIDE), 4, np.uint8)
    classes[:2] = 9
    write(images / "R20m" / "T32TMT_20220618T102559_SCL_20m.jp2", classes, 20, code, **JP2)
    _footprints(granule / "QI_DATA", old, code)
    (granule / "MTD_TL.xml").write_text(tile_xml(epsg, sun))
    (root / "MTD_MSIL2A.xml").write_text(
        product_xml(baseline, platform, None if old else stated, quantification, root.name)
    )
    return root


def _footprints(folder: Path, old: bool, code: int | None) -> None:
    """Detector 4 saw the left two thirds, detector 5 the rest."""
    seen = np.full((SIDE, SIDE), 4, np.uint8)
    seen[:, 2 * SIDE // 3 :] = 5
    if not old:
        write(folder / "MSK_DETFOO_B8A.jp2", seen, 20, code, **JP2)
        return
    left, top = CORNER
    right, low, cut = left + 20 * SIDE, top - 20 * SIDE, left + 20 * (2 * SIDE // 3)
    parts = []
    for number, x0, x1 in ((4, left, cut), (5, cut, right)):
        corners = f"{x0} {top} 0 {x1} {top} 0 {x1} {low} 0 {x0} {low} 0 {x0} {top} 0"
        parts.append(
            f'<eop:MaskFeature gml:id="detector_footprint-B8A-{number:02d}-0"><eop:extentOf>'
            f'<gml:posList srsDimension="3">{corners}</gml:posList></eop:extentOf>'
            "</eop:MaskFeature>"
        )
    spaces = (
        'xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2"'
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MSK_DETFOO_B8A.gml").write_text(f"<eop:Mask {spaces}>{''.join(parts)}</eop:Mask>")


def product_xml(baseline, platform, stated, quantification, uri) -> str:
    offsets = "".join(
        f'<BOA_ADD_OFFSET band_id="{i}">{stated:g}</BOA_ADD_OFFSET>' for i in range(13)
    ) if stated is not None else ""  # fmt: skip
    listed = (
        f"<BOA_ADD_OFFSET_VALUES_LIST>{offsets}</BOA_ADD_OFFSET_VALUES_LIST>" if offsets else ""
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_User_Product xmlns:n1="{PSD}/User_Product_Level-2A.xsd">
<n1:General_Info><Product_Info><PRODUCT_START_TIME>2022-06-18T10:25:59.024Z</PRODUCT_START_TIME>
<PRODUCT_URI>{uri}</PRODUCT_URI><PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
<Datatake><SPACECRAFT_NAME>Sentinel-2{platform}</SPACECRAFT_NAME></Datatake></Product_Info>
<Product_Image_Characteristics><Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values><QUANTIFICATION_VALUES_LIST>
<BOA_QUANTIFICATION_VALUE unit="none">{quantification}</BOA_QUANTIFICATION_VALUE>
</QUANTIFICATION_VALUES_LIST>{listed}</Product_Image_Characteristics></n1:General_Info>
</n1:Level-2A_User_Product>"""


def tile_xml(epsg: str = "EPSG:32632", sun: float = SUN) -> str:
    code = f"<HORIZONTAL_CS_CODE>{epsg}</HORIZONTAL_CS_CODE>" if epsg else ""
    view = "".join(
        f'<Viewing_Incidence_Angles_Grids bandId="{ALL.index(band)}" detectorId="{detector}">'
        f"{grid_xml(constant(VIEW), constant(VIEW_AZIMUTH))}</Viewing_Incidence_Angles_Grids>"
        for band in BANDS
        for detector in (4, 5)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_Tile_ID xmlns:n1="{PSD}/S2_PDI_Level-2A_Tile_Metadata.xsd">
<n1:Geometric_Info><Tile_Geocoding metadataLevel="Brief">
<HORIZONTAL_CS_NAME>WGS84 / UTM</HORIZONTAL_CS_NAME>
{code}<Size resolution="20"><NROWS>{SIDE}</NROWS><NCOLS>{SIDE}</NCOLS></Size></Tile_Geocoding>
<Tile_Angles metadataLevel="Standard"><Sun_Angles_Grid>
{grid_xml(constant(sun), constant(SUN_AZIMUTH))}
</Sun_Angles_Grid>{view}</Tile_Angles></n1:Geometric_Info></n1:Level-2A_Tile_ID>"""


def zipped(folder: Path) -> Path:
    """The archive of a folder, as the agency packs it."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    shutil.rmtree(folder)
    return path


def maja(folder: Path) -> Path:
    """A THEIA product in MUSCATE's format."""
    stem = "SENTINEL2A_20220618-102559-024_L2A_T32TMT_C_V3-0"
    root = folder / stem
    for band, values in zip(BANDS, landscape(), strict=True):
        fine = band in ("B2", "B3", "B4", "B8")
        numbers = stored(values, dtype="int16")
        side, shown = (10, finer(numbers)) if fine else (20, numbers)
        write(root / f"{stem}_FRE_{band}.tif", shown, side, nodata=-10000)
    for mask in ("CLM", "MG2", "EDG"):
        bits = np.zeros((SIDE, SIDE), np.uint8)
        if mask == "CLM":
            bits[:2] = 2
        write(root / "MASKS" / f"{stem}_{mask}_R2.tif", bits, 20)
        write(root / "MASKS" / f"{stem}_{mask}_R1.tif", finer(bits), 10)
    view = "".join(
        f'<Band_Viewing_Incidence_Angles_Grids_List band_id="{band}">'
        '<Viewing_Incidence_Angles_Grids detector_id="04">'
        f"{grid_xml(constant(VIEW), constant(VIEW_AZIMUTH))}</Viewing_Incidence_Angles_Grids>"
        "</Band_Viewing_Incidence_Angles_Grids_List>"
        for band in BANDS
    )
    (root / f"{stem}_MTD_ALL.xml").write_text(f"""<?xml version="1.0"?>
<Muscate_Metadata_Document><Product_Characteristics><PRODUCT_ID>{stem}</PRODUCT_ID>
<ACQUISITION_DATE>2022-06-18T10:25:59.024Z</ACQUISITION_DATE><PLATFORM>SENTINEL2A</PLATFORM>
</Product_Characteristics><Geoposition_Informations><Coordinate_Reference_System>
<Horizontal_Coordinate_System><HORIZONTAL_CS_CODE>32632</HORIZONTAL_CS_CODE>
</Horizontal_Coordinate_System></Coordinate_Reference_System></Geoposition_Informations>
<Radiometric_Informations>
<REFLECTANCE_QUANTIFICATION_VALUE>10000</REFLECTANCE_QUANTIFICATION_VALUE>
<Special_Values_List><SPECIAL_VALUE name="nodata">-10000</SPECIAL_VALUE></Special_Values_List>
</Radiometric_Informations><Geometric_Informations><Angles_Grids_List><Sun_Angles_Grids>
{grid_xml(constant(SUN), constant(SUN_AZIMUTH))}</Sun_Angles_Grids>
<Viewing_Incidence_Angles_Grids_List>{view}</Viewing_Incidence_Angles_Grids_List>
</Angles_Grids_List></Geometric_Informations></Muscate_Metadata_Document>""")
    return root


def maja_native(folder: Path) -> Path:
    """A product in MAJA's own format, as the processor writes it without THEIA."""
    stem = "S2A_OPER_SSC_L2VALD_32TMT____20220618"
    root = folder / "maja"
    inside = root / f"{stem}.DBL.DIR"
    shown = dict(zip(BANDS, landscape(), strict=True))
    for mark, side, bands in (
        ("R1", 10, ("B2", "B3", "B4", "B8")),
        ("R2", 20, ("B5", "B6", "B7", "B8A", "B11", "B12")),
    ):
        image = stem.replace("L2VALD", "PDTIMG_L2VALD")
        annex = stem.replace("L2VALD", "PDTANX_L2VALD")
        numbers = stored(np.stack([shown[band] for band in bands]), dtype="int16")
        clouds, ground = np.zeros((2, SIDE, SIDE), np.uint8)
        clouds[:2] = 2
        for name, layer in (
            (f"{image}_FRE", numbers), (f"{annex}_CLD", clouds), (f"{annex}_MSK", ground)
        ):  # fmt: skip
            layer = finer(layer) if side == 10 else layer
            write(inside / f"{name}_{mark}.DBL.TIF", layer, side)
            (inside / f"{name}_{mark}.HDR").write_text("<Earth_Explorer_Header/>")
    view = "".join(
        f'<Viewing_Incidence_Angles_Grids bandId="{ALL.index(band)}" detectorId="4">'
        f"{grid_xml(constant(VIEW), constant(VIEW_AZIMUTH))}</Viewing_Incidence_Angles_Grids>"
        for band in BANDS
    )
    (root / f"{stem}.HDR").write_text(f"""<?xml version="1.0"?>
<Earth_Explorer_Header xmlns="http://eop-cfi.esa.int/CFI" schema_version="1.00">
<Fixed_Header><File_Name>{stem}</File_Name><Mission>SENTINEL-2A</Mission></Fixed_Header>
<Variable_Header><Specific_Product_Header><Product_Information>
<Acquisition_Date_Time>UTC=2022-06-18T10:25:59</Acquisition_Date_Time>
<Reflectance_Quantification_Value>0.000100000</Reflectance_Quantification_Value>
<Solar_Angles>{grid_xml(constant(SUN), constant(SUN_AZIMUTH))}</Solar_Angles>
<List_of_Viewing_Angles>{view}</List_of_Viewing_Angles></Product_Information>
<Image_Information><Nodata_Value>-10000</Nodata_Value></Image_Information>
<Geo_Referencing_Information><Coordinate_Reference_System><Code>EPSG:32632</Code>
</Coordinate_Reference_System></Geo_Referencing_Information>
</Specific_Product_Header></Variable_Header></Earth_Explorer_Header>""")
    return root


def packed(folder: Path) -> Path:
    """The tar archive of a folder's files, as USGS packs them."""
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w:") as archive:
        for file in sorted(folder.rglob("*")):
            archive.add(file, file.relative_to(folder))
    shutil.rmtree(folder)
    return path


def eopf(folder: Path, *, stated: float | None = -0.1) -> Path:
    """An EOPF Zarr product (format 2, as the sample service writes it)."""
    root = folder / "S2A_MSIL2A_20220618T102559_N0509_R108_T32TMT_20220618T163004.zarr"
    about = {
        "stac_discovery": {
            "id": root.stem,
            "properties": {"platform": "sentinel-2a", "datetime": "2022-06-18T10:25:59Z"},
        },
        "other_metadata": {"horizontal_CRS_code": "EPSG:32632"},
    }
    xr.Dataset(attrs=about).to_zarr(root, zarr_format=2, mode="w", consolidated=False)
    attributes = {"scale_factor": 1e-4, "add_offset": stated}
    attributes = attributes if stated is not None else {}
    for side, bands in ((10, ("B2", "B3", "B4", "B8")), (20, [b for b in BANDS if b != "B8"])):
        layers = {}
        for band, values in zip(BANDS, landscape(), strict=True):
            if band in bands:
                numbers = stored(values, 1e-4, -0.1)
                label = f"b{int(band[1:]):02d}" if band[1:].isdigit() else band.lower()
                shown = finer(numbers) if side == 10 else numbers
                layers[label] = (("y", "x"), shown, attributes)
        group = f"measurements/reflectance/r{side}m"
        _placed(layers, side, 0).to_zarr(root, group=group, zarr_format=2, consolidated=False)
    classes = np.full((SIDE, SIDE), 4, np.uint8)
    classes[:2] = 9
    scl = _placed({"scl": (("y", "x"), classes)}, 20, None)
    scl.to_zarr(
        root, group="conditions/mask/l2a_classification/r20m", zarr_format=2, consolidated=False
    )
    eopf_angles().to_zarr(root, group="conditions/geometry", zarr_format=2, consolidated=False)
    return root


def eopf_angles() -> xr.Dataset:
    sun = np.stack([constant(SUN), constant(SUN_AZIMUTH)])
    view = np.stack([constant(VIEW), constant(VIEW_AZIMUTH)])
    labels = [f"b{b[1:].lower().zfill(2)}" for b in BANDS]
    return xr.Dataset(
        {
            "sun_angles": (("angle", "y", "x"), sun),
            "viewing_incidence_angles": (
                ("band", "detector", "angle", "y", "x"),
                np.broadcast_to(view, (len(BANDS), 1, 2, 23, 23)).copy(),
            ),
        },
        coords={"angle": ["zenith", "azimuth"], "band": labels, "detector": ["d04"]},
    )


def _placed(layers: dict, side: float, filling: float | None) -> xr.Dataset:
    height, width = next(iter(layers.values()))[1].shape
    dataset = xr.Dataset(
        layers,
        coords={
            "x": CORNER[0] + side * (np.arange(width) + 0.5),
            "y": CORNER[1] - side * (np.arange(height) + 0.5),
        },
    )
    for name in layers:
        if filling is not None:
            dataset[name].encoding["_FillValue"] = filling
    return dataset
