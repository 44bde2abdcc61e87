"""What is written reads back the same, is what it claims to be, and is there wholly or not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import rioxarray  # noqa: F401
import xarray as xr
from rio_cogeo import cog_validate

from inversion import retrieve
from inversion.kernel import STATISTICS
from inversion.quality import Quality
from inversion.readers.declaration import Declaration
from inversion.readers.geotiff import read
from inversion.writers import check_output, maps, table
from physvae.errors import UsageError
from physvae.io.files import atomic

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")


@pytest.fixture
def traits(geotiff, meadow, stand_in) -> xr.Dataset:
    layers = meadow(530, 300)
    for values in layers.values():
        values[:5, :7] = np.nan
    image = read(geotiff(layers), Declaration(), bands=BANDS, chunk=256)
    return retrieve(image, stand_in, ["lai", "cab"])


def test_geotiff_is_a_cog_that_says_what_its_bands_are(traits, tmp_path):
    path = tmp_path / "out.tif"
    expected = traits.compute()
    summary = maps.write(traits, path, provenance='{"model": 1}')
    quality = tmp_path / "out_quality.tif"
    for file in (path, quality):
        valid, errors, warnings = cog_validate(file, strict=True)
        assert valid, (errors, warnings)
    with rasterio.open(path) as file:
        assert file.descriptions[:4] == ("lai", "lai_sd", "lai_p025", "lai_p975")
        assert file.units[4] == "ug cm-2"
        assert file.profile["compress"] == "zstd"
        assert file.block_shapes[0] == (512, 512)
        assert file.overviews(1) == [2]
        assert np.isnan(file.nodata)
        assert file.crs.to_epsg() == 32632
        np.testing.assert_array_equal(file.read(1), expected["lai"])
    with rasterio.open(quality) as file:
        assert file.nodata is None
        np.testing.assert_array_equal(file.read(1), expected["quality"])
        assert len(file.tags(1)["flag_meanings"].split()) == len(Quality)
    record = json.loads((tmp_path / "out.tif.json").read_text())
    assert record["model"] == 1
    assert record["summary"]["variables"]["lai"]["count"] == 530 * 300 - 35
    assert summary.total == 530 * 300
    assert summary.estimated == 530 * 300 - 35
    assert summary.mean == pytest.approx(float(expected["lai"].mean()), rel=1e-4)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_netcdf_and_zarr_read_back_the_same(traits, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    maps.write(traits, path, provenance='{"model": 1}')
    expected = traits.compute()
    options = {"engine": "zarr", "consolidated": True} if suffix == ".zarr" else {}
    with xr.open_dataset(path, decode_coords="all", **options) as back:
        for name in traits.data_vars:
            np.testing.assert_array_equal(back[name], expected[name], err_msg=name)
            assert back[name].dtype == traits[name].dtype
            assert back[name].encoding["grid_mapping"] == "spatial_ref"
        assert back["lai"].attrs["standard_name"] == "leaf_area_index"
        assert back.attrs["Conventions"] == "CF-1.11"
        assert json.loads(back.attrs["provenance"])["model"] == 1
        assert back.rio.crs.to_epsg() == 32632
        np.testing.assert_array_equal(back["x"], traits["x"])


def test_portions_are_told(traits, tmp_path):
    told = []
    maps.write(traits, tmp_path / "out.tif", advance=told.append)
    assert told == [256 * 300, 256 * 300, 18 * 300]


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_a_failure_half_way_leaves_nothing(traits, tmp_path, suffix):
    before = sorted(tmp_path.iterdir())

    def fail(pixels):
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        maps.write(traits, tmp_path / f"out{suffix}", advance=fail)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_a_failure_keeps_the_older_result(traits, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    maps.write(traits, path)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}

    def interrupt(pixels):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maps.write(traits, path, advance=interrupt)
    work = tmp_path / f".out{suffix}.work"
    assert work.is_dir()
    after = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*") if not f.is_relative_to(work)}
    assert after == before


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_an_older_result_is_replaced(traits, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    maps.write(traits, path)
    before = sorted(file.name for file in tmp_path.iterdir())
    maps.write(traits[["cab", "quality"]], path)
    assert sorted(file.name for file in tmp_path.iterdir()) == before


def _fill_the_disk(path):
    path.write_text("half")
    raise OSError(28, os.strerror(28))


def test_an_operating_system_that_refuses_is_told_with_the_goal(tmp_path):
    goal = tmp_path / "out.csv"
    no_space = r"out\.csv: cannot be written, No space left"
    with pytest.raises(OSError, match=no_space), atomic(goal) as temporary:
        _fill_the_disk(temporary)
    assert not list(tmp_path.iterdir())


def test_f2_a_folder_that_cannot_be_written_is_told(traits, tmp_path):
    """The superuser may write anywhere but where the kernel lets nobody."""
    folder = tmp_path if os.geteuid() else Path("/proc")
    folder.chmod(0o555) if os.geteuid() else None
    with pytest.raises(OSError, match=r"out\.tif: cannot be written"):
        maps.write(traits, folder / "out.tif")
    tmp_path.chmod(0o755)
    assert list(tmp_path.glob("*out*")) == []


@pytest.fixture
def small_disk():
    """No file can grow beyond 100 kB, which the system tells as it tells of a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_a_full_disk_is_an_error_and_leaves_nothing(traits, tmp_path, suffix, small_disk):
    noisy = traits.compute()
    noisy["lai"].data += np.random.default_rng(1).random(noisy["lai"].shape, np.float32)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match=rf"out\{suffix}: cannot be written"):
        maps.write(noisy, tmp_path / f"out{suffix}")
    assert sorted(tmp_path.iterdir()) == before


def test_csv_keeps_text_and_defuses_formulas(tmp_path):
    frame = pd.DataFrame(
        {
            "plot": ["007", "=1+1", "@cmd", "-"],
            "note": ["-5.0", "+cmd|' /C calc'!A0", "a-b", ""],
            "lai": [1.5, -0.25, np.nan, 3.0],
            "=bad": ["1", "2", "3", "4"],
        }
    )
    table.write(frame, tmp_path / "out.csv")
    back = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert back["plot"].tolist() == ["007", "'=1+1", "'@cmd", "-"]
    assert back["note"].tolist() == ["-5.0", "'+cmd|' /C calc'!A0", "a-b", ""]
    assert back["lai"].tolist() == ["1.5", "-0.25", "", "3"]
    assert list(back.columns)[-1] == "'=bad"


def test_parquet_has_types_and_keeps_codes(tmp_path):
    frame = pd.DataFrame({"plot": ["007", "008"], "lai_input": ["1.5", ""], "lai": [1.0, 2.0]})
    table.write(frame, tmp_path / "out.parquet")
    back = pd.read_parquet(tmp_path / "out.parquet")
    assert back["plot"].tolist() == ["007", "008"]
    assert back["lai_input"].tolist()[0] == 1.5
    assert np.isnan(back["lai_input"].astype(float)[1])


def test_outputs_that_cannot_be_are_refused_at_once(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("B2\n0.1\n")
    with pytest.raises(UsageError, match=r"expected one of \.csv, \.parquet, \.tif, \.nc, \.zarr"):
        check_output(tmp_path / "out.xlsx", (source,))
    with pytest.raises(UsageError, match=r"for tables one of \.csv, \.parquet, got out\.tif"):
        check_output(tmp_path / "out.tif", (source,), "table")
    with pytest.raises(UsageError, match="expected an existing folder"):
        check_output(tmp_path / "absent" / "out.csv", (source,))
    with pytest.raises(UsageError, match="another file than the input"):
        check_output(source, (source,))
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(UsageError, match="is a folder and is not replaced"):
        check_output(tmp_path / "folder.tif", (source,))


def test_a_folder_that_a_thread_fills_again_is_removed_in_the_end(tmp_path, monkeypatch):
    goal, real, calls = tmp_path / "out.zarr", shutil.rmtree, []

    def refilled(folder, **options):
        real(folder, **options)
        calls.append(folder)
        if len(calls) < 3:  # as a chunk still being written does
            folder.mkdir()

    def fail() -> None:
        with atomic(goal) as folder:
            folder.mkdir()
            raise OSError("no space")

    monkeypatch.setattr(shutil, "rmtree", refilled)
    with pytest.raises(OSError, match="cannot be written, no space"):
        fail()
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


SUFFIXES = (".tif", ".nc", ".zarr", ".csv", ".parquet")
WRITES = """
import sys, threading, time
import physvae.io.files
sys.path.insert(0, sys.argv[1])
import test_writers
reached = []
def stop(path):
    reached.append(path)
    if len(reached) == len(test_writers.SUFFIXES):
        print("!", flush=True)
    time.sleep(60)
physvae.io.files._flush = stop
for suffix in test_writers.SUFFIXES:
    arguments = sys.argv[2], suffix
    threading.Thread(target=test_writers.write_small, args=arguments, daemon=True).start()
time.sleep(60)
"""


def write_small(folder, suffix) -> None:
    if suffix in (".csv", ".parquet"):
        table.write(pd.DataFrame({"lai": [1.0, 2.0]}), Path(folder, f"table{suffix}"))
        return
    layers = {f"lai{statistic}": (("y", "x"), np.ones((4, 4), "f4")) for statistic in STATISTICS}
    image = xr.Dataset(layers, {"y": np.arange(4.0), "x": np.arange(4.0)}).chunk()
    image["quality"] = xr.zeros_like(image["lai"], "uint16")
    for name, layer in image.items():
        layer.attrs |= {"long_name": name, "units": "1"}
    maps.write(image.rio.write_crs(32632), Path(folder, f"map{suffix}"), resume=True)


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    """Killed with five files complete under temporary names; the maps go on where they were."""
    arguments = [sys.executable, "-c", WRITES, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as child:
        assert child.stdout.read(1) == b"!"
        child.kill()
    parts = {path.suffix for path in tmp_path.iterdir() if ".part" in path.name}
    assert parts == {*SUFFIXES, ".json", ".qml"}
    for suffix in SUFFIXES:
        write_small(tmp_path, suffix)
    assert not list(tmp_path.glob(".*"))
    assert {path.suffix for path in tmp_path.iterdir()} == parts
