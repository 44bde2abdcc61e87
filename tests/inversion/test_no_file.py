"""What is no file of data is refused at every door: one sentence, exit code 3, no waiting."""

import os
import signal
from importlib.metadata import EntryPoint

import dask
import netCDF4
import pytest
import zarr

from physvae.__main__ import run

COMMANDS = [
    EntryPoint("retrieve", "inversion.cli:retrieve", "physvae.commands"),
    EntryPoint("validate", "validation.cli:validate", "physvae.commands"),
]
DOORS = {
    "input": ["retrieve", "{}", "-o", "{out}.tif"],
    "--aoi": ["retrieve", "{image}", "-o", "{out}.tif", "--aoi", "{}"],
    "--points": ["retrieve", "{image}", "-o", "{out}.csv", "--points", "{}"],
    "--scl": ["retrieve", "{image}", "-o", "{out}.tif", "--scl", "{}"],
    "field": ["validate", "{}", "-o", "{out}"],
    "--map": ["validate", "{field}", "-o", "{out}", "--map", "{}"],
    **{
        f"--campaign {name}": ["validate", "{}", "-o", "{out}", "--campaign", name]
        for name in ("frm4veg", "belsar", "gbov", "neon")
    },
}
KINDS = ("pipe", "device", "folder", "empty")
MANY = 10**8


@pytest.fixture
def limit():
    """End what waits for ever."""

    def late(number, frame):
        raise TimeoutError("waited for a minute")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def made(kind, folder):
    path = folder / "what"
    if kind == "device":
        return "/dev/zero"
    {"pipe": os.mkfifo, "folder": os.mkdir, "empty": lambda p: p.touch()}[kind](path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_file_is_refused(door, kind, shipped, geotiff, meadow, tmp_path, capsys, limit):
    field = tmp_path / "field.csv"
    field.write_text("plot,lai,lat,lon\na,2,47.4,8.5\nb,3,47.4,8.5\n")
    names = {"image": geotiff(meadow(4, 4)), "field": field, "out": tmp_path / "out"}
    there = set(tmp_path.iterdir())
    path = made(kind, tmp_path)
    arguments = [text.format(path, **names) for text in DOORS[door]]
    with dask.config.set(scheduler="synchronous"):
        code = run(arguments, COMMANDS)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == 3, told
    assert len(told) == 1
    assert str(path) in told[0]
    assert {file for file in tmp_path.iterdir() if file != path} == there


def netcdf(path):
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("band", MANY), ("y", 4), ("x", 4)):
            file.createDimension(name, size)
        options = {"chunksizes": (1000, 4, 4), "zlib": True}
        file.createVariable("reflectance", "f4", ("band", "y", "x"), **options)
        file.createVariable("band", "f8", ("band",), chunksizes=(10**6,), zlib=True)


def store(path):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for name, shape, axes in (
        ("reflectance", (MANY, 4, 4), ["band", "y", "x"]), ("band", (MANY,), ["band"]),
    ):  # fmt: skip
        array = group.create_array(name, shape=shape, chunks=shape, dtype="f4")
        array.attrs["_ARRAY_DIMENSIONS"] = axes


def header(path):
    path.with_suffix(".hdr").write_text(
        f"ENVI\nsamples = 4\nlines = 4\nbands = {MANY}\nheader offset = 0\ndata type = 4\n"
        "interleave = bsq\nbyte order = 0\n"
    )
    path.write_bytes(bytes(640))


def pointer(path):
    bands = '<VRTRasterBand dataType="Float32" band="1"/>'
    path.write_text(f'<VRTDataset rasterXSize="4" rasterYSize="4">{bands * 1000}</VRTDataset>')


@pytest.mark.parametrize(
    ("name", "make"),
    [("m.nc", netcdf), ("m.zarr", store), ("m.bsq", header), ("m.tif", pointer)],
)
def test_an_image_of_very_many_bands_is_refused_unread(
    name, make, shipped, tmp_path, capsys, limit
):
    path = tmp_path / name
    make(path)
    assert run(["retrieve", str(path), "-o", str(tmp_path / "out.tif")], COMMANDS) == 3
    assert f"error: {path}: expected" in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()
