"""Metadata that contradict themselves, or hold what cannot be, are refused by the file's name."""

import json
import re
import shutil

import numpy as np
import pytest

import more_products as more
import products
from inversion.readers import Declaration, detect, reader
from inversion.readers.content import product
from inversion.readers.metadata import as_number, read_xml
from physvae.errors import InputError, UsageError

GRID = products.grid_xml(products.constant(5.0), products.constant(105.0))


def refused(path, sensor="sentinel-2a", bands=products.BANDS):
    """Return the sentence with which a product is refused."""
    with pytest.raises(InputError) as caught:
        reader(detect(path))(path, Declaration(), bands=bands, sensor=sensor)
    return str(caught.value)


def altered(folder, ending, *pairs):
    """Write other text into a product's metadata; a pair is a pattern and what stands there."""
    path = next(folder.rglob(f"*{ending}"))
    text = path.read_text()
    for pattern, other in pairs:
        text, count = re.subn(pattern, other, text, flags=re.DOTALL)
        assert count, pattern
    path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def safe_text(tmp_path_factory):
    """The metadata of a SAFE product whose images are there once for all cases."""
    folder = products.safe(tmp_path_factory.mktemp("safe"), values=np.full((10, 48, 48), 0.1))
    texts = {path: path.read_text() for path in folder.rglob("*.xml")}
    yield folder
    for path, text in texts.items():
        path.write_text(text)


@pytest.fixture
def safe(safe_text):
    texts = {path: path.read_text() for path in safe_text.rglob("*.xml")}
    yield safe_text
    for path, text in texts.items():
        path.write_text(text)


OFFSET = '<BOA_ADD_OFFSET band_id="{}">-1000</BOA_ADD_OFFSET>'


@pytest.mark.parametrize(
    ("pattern", "other", "said"),
    [
        (OFFSET.format("[38]"), "", "BOA_ADD_OFFSET of every band, found none of B4, B8A"),
        (OFFSET.format(3), OFFSET.format(-2), "whole number for band_id, found '-2'"),
        (OFFSET.format(3), OFFSET.format(1.9), "whole number for band_id, found '1.9'"),
        (OFFSET.format(3), OFFSET.format("nan"), "whole number for band_id, found 'nan'"),
        (OFFSET.format(3), OFFSET.format(""), "whole number for band_id, found ''"),
        (OFFSET.format(3), OFFSET.format(13), "found band_id 13 that is none"),
        (OFFSET.format(3), OFFSET.format(2), "found band_id 2 twice"),
        (OFFSET.format(3), OFFSET.format(3).replace("-1000", "nan"), "number for BOA_ADD_OFFSET"),
        (OFFSET.format(3), OFFSET.format(3).replace("-1000", "-1_000"), "number for BOA_ADD"),
        (OFFSET.format(3), OFFSET.format(3).replace("-1000", "-1e7"), "within 10000, found -1e7"),
        ("<BOA_QUANT.*?VALUE>", "", "expected BOA_QUANTIFICATION_VALUE, found none"),
        (">10000<", ">nan<", "expected a number for BOA_QUANTIFICATION_VALUE, found 'nan'"),
        (">10000<", ">-10000<", "BOA_QUANTIFICATION_VALUE from 100 to 100000, found -10000"),
        ("</QUANT", "<BOA_QUANTIFICATION_VALUE>1000</BOA_QUANTIFICATION_VALUE></QUANT",
         "expected one BOA_QUANTIFICATION_VALUE, found 10000, 1000"),
    ],
)  # fmt: skip
def test_r6_offsets_and_scale_of_a_safe_product(safe, pattern, other, said):
    sentence = refused(altered(safe, "MTD_MSIL2A.xml", (pattern, other)))
    assert said in sentence
    assert "MTD_MSIL2A.xml: expected" in sentence
    assert "\n" not in sentence


def test_r6_offsets_of_bands_that_are_not_read_are_not_asked_for(safe):
    altered(safe, "MTD_MSIL2A.xml", (OFFSET.format("(0|9|10)"), ""))
    reader(detect(safe))(safe, Declaration(), bands=products.BANDS, sensor="sentinel-2a")


@pytest.mark.parametrize(
    ("pattern", "other", "said"),
    [
        (">5000</ROW_STEP>", ">0</ROW_STEP>", "Zenith/ROW_STEP from 1 to 1e+06, found 0"),
        (">5000</COL_STEP>", ">inf</COL_STEP>", "expected a number for Zenith/COL_STEP"),
        ("<VALUES>40 ", "<VALUES>inf ", "expected a number for Zenith"),
        ("<VALUES>40 ", "<VALUES>-40 ", "expected zenith angles from 0 to 180"),
        ("<VALUES>5 ", "<VALUES>", "expected Zenith and Azimuth of one size"),
        ("<VALUES>40 (.*?)<VALUES>40 ", r"<VALUES>40 \g<1><VALUES>", "a full grid of Zenith"),
        ('bandId="1" detectorId="4"', 'bandId="1" detectorId="-4"', "number for detectorId"),
        ('bandId="1" detectorId="4"', 'bandId="1.9" detectorId="4"', "number for bandId"),
        ('bandId="1" detectorId="4"', 'bandId="2" detectorId="4"', "those of B3 and 4 twice"),
    ],
)
def test_g1_grids_of_angles_of_a_safe_product(safe, pattern, other, said):
    sentence = refused(altered(safe, "MTD_TL.xml", (pattern, other)))
    assert said in sentence
    assert "MTD_TL.xml: expected" in sentence


def test_g1_grids_of_two_sizes_are_refused(safe):
    small = products.grid_xml(products.constant(5.0)[:5, :5], products.constant(105.0)[:5, :5])
    first = f'(<Viewing_Incidence_Angles_Grids bandId="1" detectorId="4">){re.escape(GRID)}'
    sentence = refused(altered(safe, "MTD_TL.xml", (first, rf"\g<1>{small}")))
    assert "MTD_TL.xml: expected grids of angles of one size" in sentence


@pytest.mark.parametrize(
    ("pattern", "other", "said"),
    [
        (">10000<", ">nan<", "expected a number for REFLECTANCE_QUANTIFICATION_VALUE"),
        (">10000<", ">0<", "REFLECTANCE_QUANTIFICATION_VALUE from 100 to 100000, found 0"),
        ("<REFLECTANCE_Q.*?VALUE>.*?VALUE>", "", "REFLECTANCE_QUANTIFICATION_VALUE, found none"),
        (">-10000<", ">inf<", "expected a number for nodata"),
        ('detector_id="04"', 'detector_id="four"', "whole number for detector_id, found 'four'"),
        ('_List band_id="B3"', '_List band_id="B2"', "those of B2 and 4 twice"),
        ("SENTINEL2A<", "SPOT5<", "expected PLATFORM SENTINEL2A, found 'SPOT5'"),
    ],
)
def test_r6_metadata_of_theia(maja, pattern, other, said):
    sentence = refused(altered(maja, "_MTD_ALL.xml", (pattern, other)))
    assert said in sentence
    assert "_MTD_ALL.xml: expected" in sentence


@pytest.fixture(scope="module")
def maja_text(tmp_path_factory):
    return products.maja(tmp_path_factory.mktemp("maja"))


@pytest.fixture
def maja(maja_text):
    path = next(maja_text.glob("*_MTD_ALL.xml"))
    text = path.read_text()
    yield maja_text
    path.write_text(text)


@pytest.mark.parametrize(
    ("pattern", "other", "said"),
    [
        ("2.75e-05</REFLECTANCE_MULT_BAND_4>", "nan</REFLECTANCE_MULT_BAND_4>", "a number for"),
        ("2.75e-05</REFLECTANCE_MULT_BAND_4>", "-1</REFLECTANCE_MULT_BAND_4>", "found -1"),
        ("<REFLECTANCE_MULT_BAND_4>.*?_4>", "", "REFLECTANCE_MULT_BAND_4, found none"),
        ("-0.2</REFLECTANCE_ADD_BAND_4>", "-2000</REFLECTANCE_ADD_BAND_4>", "found -2000"),
        (
            "<SUN_ELEVATION>50",
            "<SUN_ELEVATION>-inf",
            "a number for IMAGE_ATTRIBUTES/SUN_ELEVATION",
        ),
        ("<SUN_ELEVATION>50", "<SUN_ELEVATION>500", "from -90 to 90, found 500"),
        ("LANDSAT_8", "SPOT_5", "expected SPACECRAFT_ID LANDSAT_8, found 'SPOT_5'"),
    ],
)
def test_r6_metadata_of_landsat(tmp_path, pattern, other, said):
    path = altered(more.landsat(tmp_path, angles=False), "_MTL.xml", (pattern, other))
    sentence = refused(path, "landsat-8", more.OLI)
    assert said in sentence
    assert "_MTL.xml: expected" in sentence


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("scale_factor", "nan", "expected a number for scale_factor, found 'nan'"),
        ("scale_factor", 0, "expected scale_factor above 0"),
        ("scale_factor", -1e-4, "expected scale_factor above 0"),
        ("add_offset", "x", "expected a number for add_offset, found 'x'"),
        ("add_offset", -1000, "add_offset within 1, found 0.0001 and -1000"),
    ],
)
def test_r6_attributes_of_eopf(tmp_path, eopf, key, value, said):
    attributes = (
        tmp_path / "product.zarr" / "measurements" / "reflectance" / "r20m" / "b05" / ".zattrs"
    )
    shutil.copytree(eopf, tmp_path / "product.zarr")
    attributes.write_text(json.dumps(json.loads(attributes.read_text()) | {key: value}))
    sentence = refused(tmp_path / "product.zarr")
    assert said in sentence
    assert "product.zarr: b05: expected" in sentence


@pytest.fixture(scope="module")
def eopf(tmp_path_factory):
    return products.eopf(tmp_path_factory.mktemp("eopf"))


def test_angles_of_eopf_that_are_packed_are_unpacked(tmp_path, eopf):
    shutil.copytree(eopf, tmp_path / eopf.name)
    shutil.rmtree(tmp_path / eopf.name / "conditions" / "geometry")
    grids = products.eopf_angles()
    grids["viewing_incidence_angles"][:, :, :, 0, :3] = np.nan
    packing = {"dtype": "uint16", "scale_factor": 0.01, "_FillValue": 65535}
    encoding = dict.fromkeys(("sun_angles", "viewing_incidence_angles"), packing)
    grids.to_zarr(
        tmp_path / eopf.name, group="conditions/geometry", zarr_format=2, consolidated=False,
        encoding=encoding,
    )  # fmt: skip
    path = tmp_path / eopf.name
    dataset = reader(detect(path))(path, Declaration(), bands=products.BANDS)
    np.testing.assert_allclose(dataset["sun_zenith_deg"], products.SUN, atol=1e-4)
    np.testing.assert_allclose(dataset["view_zenith_deg"], products.VIEW, atol=1e-4)
    np.testing.assert_allclose(dataset["relative_azimuth_deg"], 45.0, atol=1e-3)


@pytest.mark.parametrize("lost", ["sun_angles", "viewing_incidence_angles", "angle"])
def test_g1_an_eopf_product_without_its_angles_is_refused(tmp_path, eopf, lost):
    shutil.copytree(eopf, tmp_path / "product.zarr")
    shutil.rmtree(tmp_path / "product.zarr" / "conditions" / "geometry" / lost)
    assert "conditions/geometry: expected sun_angles" in refused(tmp_path / "product.zarr")


def test_a_side_or_classes_for_a_product_that_has_its_own_are_refused(safe, tmp_path):
    with pytest.raises(UsageError, match="--scl: expected none"):
        reader(detect(safe))(safe, Declaration(scene_classes="x.tif"), bands=products.BANDS)
    path = more.landsat(tmp_path, angles=False)
    with pytest.raises(UsageError, match=r"--pixel: expected none, LC08.* has pixels of one side"):
        reader(detect(path))(path, Declaration(pixel=10.0), bands=more.OLI)


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-inf", "1_0", "1,5", "0x10"])
def test_what_is_no_finite_number_is_none(text):
    with pytest.raises(InputError, match=r"a\.xml: expected a number for gain, found"):
        as_number(text, "gain", "a.xml")


def test_an_attribute_that_counts_is_a_whole_number(tmp_path):
    for text in ("-2", "1.9", "nan", "", "²", "99999"):
        (tmp_path / "a.xml").write_text(f'<a id="{text}"/>', "utf-8")
        with pytest.raises(InputError, match="expected a whole number for id, found"):
            read_xml(product(tmp_path), "a.xml").index("id")
    (tmp_path / "a.xml").write_text('<a id="04"/>')
    assert read_xml(product(tmp_path), "a.xml").index("id") == 4
