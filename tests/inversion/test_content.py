"""Inputs made to do harm are refused in one sentence, quickly, before anything is opened."""

import os
import tarfile
import zipfile

import numpy as np
import pytest

import products
from inversion.readers import Declaration, detect
from inversion.readers.content import product
from inversion.readers.geotiff import read
from inversion.readers.handles import opened
from inversion.readers.metadata import read_xml
from physvae.errors import InputError

BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<Level-2A_User_Product>&c;</Level-2A_User_Product>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<Level-2A_User_Product>&x;</Level-2A_User_Product>"""


@pytest.mark.parametrize("text", [BOMB, OUTSIDE], ids=["bomb", "outside"])
def test_s3_entities_are_refused(tmp_path, text):
    (tmp_path / "MTD_MSIL2A.xml").write_text(text)
    with pytest.raises(InputError, match=r"MTD_MSIL2A\.xml: expected plain XML, found: entities"):
        read_xml(product(tmp_path), "MTD_MSIL2A.xml")


def archive(path, name, content=b"x", mode=0o100644):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        member.compress_type = zipfile.ZIP_DEFLATED
        file.writestr(member, content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "mode", "said"),
    [
        ("a/MTD_MSIL2A.xml", b"\0" * (32 << 20), 0o100644, "that expands"),
        ("../MTD_MSIL2A.xml", b"x", 0o100644, "expected files of its own"),
        ("/etc/MTD_MSIL2A.xml", b"x", 0o100644, "expected files of its own"),
        ("a\\..\\..\\b", b"x", 0o100644, "expected files of its own"),
        ("a}/b", b"x", 0o100644, "expected files of its own"),
        ("link", b"/etc/passwd", 0o120777, "found the link"),
    ],
)
def test_s4_bombs_and_ways_out_of_an_archive_are_refused(tmp_path, name, content, mode, said):
    path = archive(tmp_path / "product.zip", name, content, mode)
    with pytest.raises(InputError, match=said):
        detect(path)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("../a_MTL.xml", tarfile.REGTYPE, "expected files of its own"),
        ("/etc/a_MTL.xml", tarfile.REGTYPE, "expected files of its own"),
        ("a}/b", tarfile.REGTYPE, "expected files of its own"),
        ("link", tarfile.SYMTYPE, "found the link"),
        ("hard", tarfile.LNKTYPE, "found the link"),
        ("tty", tarfile.CHRTYPE, "found the link"),
    ],
)
def test_s4_ways_out_of_a_tar_are_refused(tmp_path, name, kind, said):
    path = tmp_path / "product.tar"
    with tarfile.open(path, "w:") as file:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        file.addfile(member)
    with pytest.raises(InputError, match=said):
        detect(path)


def test_a_compressed_tar_is_told_to_be_unpacked(tmp_path):
    path = tmp_path / "product.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.addfile(tarfile.TarInfo("a_MTL.xml"))
    with pytest.raises(InputError, match="unpack it"):
        detect(path)


def test_s4_a_link_out_of_a_folder_is_refused(tmp_path):
    folder = tmp_path / "a.SAFE"
    folder.mkdir()
    os.symlink("/etc/passwd", folder / "MTD_MSIL2A.xml")
    with pytest.raises(InputError, match="found the link"):
        detect(folder)


def test_s4_a_damaged_archive_is_refused(tmp_path):
    path = products.zipped(products.safe(tmp_path))
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(InputError, match="expected a readable zip archive"):
        detect(path)


@pytest.mark.parametrize("target", ["/vsicurl/http://127.0.0.1:9/a.tif", "/etc/passwd"])
def test_s5_a_vrt_is_refused_under_any_name(tmp_path, target):
    vrt = (
        '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource><SourceFilename>{target}</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )
    path = tmp_path / "image.tif"
    path.write_text(vrt)
    with pytest.raises(InputError, match="found a VRT"):
        detect(path)
    for driver in ("GTiff", "JP2OpenJPEG"):
        with pytest.raises(InputError, match="expected a readable"), opened(str(path), driver):
            pass
    with pytest.raises(InputError, match="expected one of GTiff"), opened(str(path), "VRT"):
        pass
    with pytest.raises(InputError, match="expected a GeoTIFF"):
        read(path, Declaration(), bands=())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MTD_MSIL1C.xml", "level 1C"),
        ("xl/workbook.xml", "a folder with xl/workbook.xml"),
        ("S2_FRE_R1.DBL.TIF", "a product of MAJA without its"),
        ("readme.md", "a folder with readme.md"),
    ],
)
def test_other_folders_are_told_for_what_they_are(tmp_path, name, said):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=f"expected a table .*found .*{said}"):
        detect(tmp_path)


def test_what_a_mac_leaves_beside_every_file_is_no_part_of_a_product(tmp_path):
    inside = {
        "P.SAFE/MTD_MSIL2A.xml": b"<a/>",
        "P.SAFE/._MTD_MSIL2A.xml": b"\0\5\x16\7",
        "P.SAFE/.DS_Store": b"Bud1",
        "__MACOSX/P.SAFE/MTD_MSIL2A.xml": b"\0\5\x16\7",
    }
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name, content in inside.items():
            file.writestr(name, content)
    for name, content in inside.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with tarfile.open(tmp_path / "a.tar", "w:") as file:
        file.add(tmp_path / "folder", ".")
    for place in ("a.zip", "folder", "a.tar"):
        found = product(tmp_path / place)
        assert found.names == ("P.SAFE/MTD_MSIL2A.xml",)
        assert found.read(found.one("MTD_MSIL2A.xml")) == b"<a/>"


def test_a_zip_with_the_slashes_of_windows_is_read_in_place(tmp_path):
    products.write(tmp_path / "x_SR_B2.TIF", np.ones((4, 4), np.uint8), 30)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        member = zipfile.ZipInfo("x")
        member.filename = "P\\b\\x_SR_B2.TIF"
        file.writestr(member, (tmp_path / "x_SR_B2.TIF").read_bytes())
    found = product(tmp_path / "a.zip")
    assert found.names == ("P/b/x_SR_B2.TIF",)
    assert found.read("P/b/x_SR_B2.TIF")[:2] == b"II"
    with opened(found.raster(found.one("_SR_B2.TIF")), "GTiff") as source:
        assert source.read(1).sum() == 16


def test_a_tar_whose_members_begin_with_a_dot_is_read_in_place(tmp_path):
    products.write(tmp_path / "folder" / "b" / "x_SR_B2.TIF", np.ones((4, 4), np.uint8), 30)
    with tarfile.open(tmp_path / "a.tar", "w:") as file:
        file.add(tmp_path / "folder", ".")
    found = product(tmp_path / "a.tar")
    with opened(found.raster(found.one("_SR_B2.TIF")), "GTiff") as source:
        assert source.read(1).sum() == 16
