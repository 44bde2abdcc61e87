"""A stopped run goes on only where everything that decides a pixel is as it was."""

import json
import os
from importlib.metadata import EntryPoint
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from shapely.geometry import box

import more_products
import products
from inversion.identity import difference, digest, identity, members
from inversion.progress import Bar
from inversion.provenance import identity_of
from inversion.readers import Declaration
from inversion.run import Job
from physvae.__main__ import run

GREY = np.full((10, products.SIDE, products.SIDE), 0.2)
COMMAND = EntryPoint("retrieve", "inversion.cli:retrieve", "physvae.commands")


def command(*arguments) -> int:
    return run(["retrieve", *map(str, arguments)], [COMMAND])


def edited(path: Path, old: bytes, new: bytes) -> None:
    """Change some bytes of a file, its size and its time as before."""
    content, about = path.read_bytes(), path.stat()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new, 1))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.fixture
def job(tmp_path) -> Job:
    """A job with every kind of file beside its input."""
    calibration = tmp_path / "calibration.json"
    calibration.write_text('{"factor": 1.1}')
    geopandas.GeoSeries([box(0, 0, 1, 1)], crs=32632).to_file(tmp_path / "area.shp")
    (tmp_path / "classes.tif").write_bytes(b"II*\0 classes 1")
    return Job(
        area=tmp_path / "area.shp", calibration=calibration,
        declaration=Declaration(scene_classes=str(tmp_path / "classes.tif")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("*B05_20m.jp2", b"\xff\xd9", b"\xff\xd0"),
        ("MTD_TL.xml", b"EPSG:32632", b"EPSG:32633"),
        ("classes.tif", b"classes 1", b"classes 2"),
        ("area.dbf", b"\x03", b"\x83"),
        ("calibration.json", b"1.1", b"1.2"),
    ],
)
def test_a_file_that_decides_a_pixel_is_part_of_the_identity(
    job, stand_in, tmp_path, name, old, new
):
    """The content counts: neither the size nor the time of the file has changed."""
    safe = products.safe(tmp_path, fine=(), values=GREY)
    before = identity([safe], job, stand_in)
    assert identity([safe], job, stand_in) == before
    (path,) = tmp_path.rglob(name)
    edited(path, old, new)
    after = identity([safe], job, stand_in)
    assert digest(after) != digest(before)
    assert difference(before, after).endswith(path.name)


def test_options_count_and_how_a_run_is_shared_out_does_not(stand_in, geotiff, meadow):
    image = geotiff(meadow())
    before = identity([image], Job(), stand_in)
    assert identity([image], Job(resume=True, workers=3, packed=True), stand_in) == before
    other = identity([image], Job(method="lut"), stand_in)
    assert difference(before, other) == "method"
    pixel = Job(declaration=Declaration(nodata=3.0))
    assert difference(before, identity([image], pixel, stand_in)) == "nodata"
    stand_in.sha256 = "1" * 64
    assert difference(before, identity([image], Job(), stand_in)) == "model"


def test_members_are_the_assets_of_an_item_and_the_header_of_an_image(tmp_path, monkeypatch):
    monkeypatch.setattr(more_products, "landscape", lambda: GREY)
    item = more_products.stac(tmp_path)
    names = {path.name for path in members(item)}
    assert {"item.json", "red.tif", "scl.tif", "granule.xml"} < names
    image = more_products.envi(tmp_path, spectral=False)
    assert {path.name for path in members(image)} == {"image.bsq", "image.hdr"}
    safe = products.safe(tmp_path, fine=(), values=GREY)
    (safe / ".out.tif.work").mkdir()
    (safe / ".out.tif.work" / "rows.bin").write_text("ours")
    inside = set(members(safe / "MTD_MSIL2A.xml"))
    assert inside == {p for p in safe.rglob("*") if p.is_file() and p.name != "rows.bin"}


@pytest.fixture
def stopped(shipped, geotiff, meadow, tmp_path, monkeypatch):
    """A run of an image with scene classes that was stopped after its first portion."""
    image = geotiff(meadow(256, 8))
    classes = geotiff({"SCL": np.full((256, 8), 4, np.uint8)}, "classes.tif")
    call = [image, "-o", tmp_path / "out.tif", "--chunk", 64, "--variables", "lai"]
    call += ["--scl", classes]

    def stop(bar, pixels):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "reached", stop)
        assert command(*call) == 130
    assert (tmp_path / ".out.tif.work").is_dir()
    return call, classes


def test_a_run_with_other_scene_classes_is_refused_and_nothing_is_lost(stopped, tmp_path, capsys):
    """The side file replaced: refused in a sentence that names it; put back, the run goes on."""
    call, classes = stopped
    kept = classes.read_bytes()
    with rasterio.open(classes, "r+") as file:
        file.write(np.full((256, 8), 9, np.uint8), 1)
    before = {p.name: p.read_bytes() for p in (tmp_path / ".out.tif.work").iterdir()}
    capsys.readouterr()
    assert command(*call, "--resume") == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "begun with other inputs, options or model (classes.tif differs) and is kept" in told
    after = {p.name: p.read_bytes() for p in (tmp_path / ".out.tif.work").iterdir()}
    assert after == before
    assert not (tmp_path / "out.tif").exists()
    classes.write_bytes(kept)
    assert command(*call, "--resume") == 0
    assert len(identity_of(tmp_path / "out.tif")) == 64


DAMAGED = [
    ("identity.json", b"", True),
    ("identity.json", b"[1]", True),
    ("provenance.json", b"{", True),
    ("done-1-of-1", b"\xff\xfe\0", True),
    ("done-1-of-1", b"64 x\n", True),
    ("done-1-of-1", b"64", False),  # what a kill cuts off
]


@pytest.mark.parametrize(("name", "content", "told"), DAMAGED)
def test_a_working_folder_that_is_damaged_is_begun_anew(
    stopped, tmp_path, capsys, name, content, told
):
    call, _ = stopped
    (tmp_path / ".out.tif.work" / name).write_bytes(content)
    capsys.readouterr()
    assert command(*call, "--resume") == 0
    note = "note: " + str(tmp_path / "out.tif") + ": what a former run left is damaged; begun anew"
    assert (note in capsys.readouterr().err) == told
    with rasterio.open(tmp_path / "out.tif") as file:
        assert np.isfinite(file.read(1)).all()
    json.loads((tmp_path / "out.tif.json").read_text())


def test_a_finished_map_of_a_list_is_kept_only_if_it_was_made_of_the_same(
    shipped, geotiff, meadow, tmp_path, capsys
):
    for name in ("a.tif", "b.tif"):
        geotiff(meadow(), name)
    listed, out = tmp_path / "list.txt", tmp_path / "out"
    listed.write_text("a.tif\nb.tif\n")
    assert command(listed, "-o", out) == 0
    geotiff({band: 1.1 * values for band, values in meadow().items()}, "b.tif")
    made = (out / "b.tif").read_bytes()
    capsys.readouterr()
    assert command(listed, "-o", out, "--resume") == 4
    told, err = capsys.readouterr()
    assert "a.tif: is there already" in told
    assert "b.tif: made with other inputs, options or model, and kept" in err
    assert (out / "b.tif").read_bytes() == made
