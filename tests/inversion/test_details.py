"""`--verbose` tells of every family of inputs where its numbers were read."""

import logging

import pytest

import more_products as more
import products
from inversion.details import tell_image
from inversion.readers import Declaration, detect, reader


def told(path, caplog, declared=None, bands=products.BANDS, sensor="sentinel-2a") -> list[str]:
    declared = declared or Declaration()
    image = reader(detect(path))(path, declared, bands=bands, sensor=sensor)
    with caplog.at_level(logging.INFO, "inversion"):
        caplog.clear()
        tell_image(image, declared, str(path))
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("build", "step", "sun", "classes"),
    [
        (products.safe, "scale 0.0001, offset -0.1, no data 0 (MTD_MSIL2A.xml)",
         "a map, from MTD_TL.xml", "from T32TMT_20220618T102559_SCL_20m.jp2; 4, 5 estimated"),
        (products.maja, "MTD_ALL.xml)", "_MTD_ALL.xml", "_CLM_R2.tif"),
        (products.maja_native, "(HDR)", "from S2A_OPER_SSC_L2VALD_32TMT____20220618.HDR",
         "_CLD_R2.DBL.TIF"),
        (products.eopf, "(attributes of", "from conditions/geometry",
         "from conditions/mask/l2a_classification/r20m/scl"),
        (more.hls, "(the files' metadata)", "from NBAR_SOLAR_ZENITH", ".Fmask.tif"),
        (more.stac, "(raster:bands)", "from granule.xml", "from scl.tif"),
        (more.enmap, "METADATA.XML)", "-METADATA.XML", "*-QL_QUALITY_*.TIF"),
        (more.prisma, "(", "from the file's attributes", "none"),
        (more.envi, "the header)", "20.00, from --sun-zenith", "none"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_scale_angles_and_classes_are_told_with_their_origin(
    build, step, sun, classes, tmp_path, caplog
):
    lines = told(build(tmp_path), caplog, Declaration(sun_zenith=20.0))
    assert any(line.startswith("reflectance: scale ") and step in line for line in lines), lines
    assert any(line.startswith("sun_zenith_deg: ") and sun in line for line in lines), lines
    assert any(line.startswith("scene classes: ") and classes in line for line in lines), lines
    assert lines[0].startswith("input: ")


def test_what_is_not_known_is_told_too(geotiff, meadow, tmp_path, caplog):
    lines = told(geotiff(meadow(20, 20)), caplog, Declaration(view_zenith=5.0))
    assert "reflectance: scale 1, offset 0 (values used as they are)" in lines
    assert "view_zenith_deg: 5.00, from --view-zenith" in lines
    assert "scene classes: none" in lines
