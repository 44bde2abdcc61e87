"""Damaged tables and vector files are read or refused: exit code 0 or 3, no output on 3.

What the command does is called as the command calls it; the image under the points is opened once,
and three of four files of points are only placed in it, since what follows is the same.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import dask
import geopandas
import pandas as pd
import pytest
import xarray as xr
from mutations import mutated

import physvae
from inversion import run
from inversion.areas import around
from physvae.__main__ import exit_code
from physvae.errors import InputError
from physvae.io.sentences import sentence

COUNT = int(os.environ.get("PHYSVAE_MUTATIONS", "200"))
"""Mutations of a family; PHYSVAE_MUTATIONS asks for another number."""
BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
KML = "<Placemark><name>{0}</name><Point><coordinates>{1},{2},0</coordinates></Point></Placemark>"


def spectra() -> pd.DataFrame:
    values = {
        band: [0.02 * i + 0.05 + 0.001 * row for row in range(6)] for i, band in enumerate(BANDS)
    }
    angles = {"sun_zenith_deg": 30.0, "view_zenith_deg": 5.0, "relative_azimuth_deg": 90.0}
    return pd.DataFrame({"plot": list("abcdef"), "date": "2021-06-01", **values}).assign(**angles)


def points() -> geopandas.GeoDataFrame:
    places = geopandas.points_from_xy([465015.0, 465045.0], [5249985.0, 5249955.0])
    frame = geopandas.GeoDataFrame({"plot": ["a", "b"], "lai": [1.5, 2.5]}, geometry=places)
    return frame.set_crs("EPSG:32632")


def kml(path: Path) -> None:
    places = points().to_crs("EPSG:4326").geometry
    marks = [KML.format(name, place.x, place.y) for name, place in zip("ab", places, strict=True)]
    path.write_text(f'<kml xmlns="http://www.opengis.net/kml/2.2">{"".join(marks)}</kml>')


def placed(path: Path) -> None:
    places = points().to_crs("EPSG:4326").geometry
    pd.DataFrame({"plot": list("ab"), "lon": places.x, "lat": places.y}).to_csv(path, index=False)


TABLES: dict[str, Callable[[Path], object]] = {
    "csv": lambda path: spectra().to_csv(path, index=False),
    "parquet": lambda path: spectra().to_parquet(path),
    "xlsx": lambda path: spectra().to_excel(path, index=False),
}
VECTORS: dict[str, Callable[[Path], object]] = {
    "geojson": lambda path: points().to_crs("EPSG:4326").to_file(path),
    "gpkg": lambda path: points().to_file(path),
    "shp": lambda path: points().to_file(path),
    "fgb": lambda path: points().to_file(path),
    "kml": kml,
    "parquet": lambda path: points().to_parquet(path),
    "csv": placed,
}


@pytest.fixture(autouse=True)
def cheap(monkeypatch, shipped):
    """One thread, no waiting for a disk, and no opening of the same image again."""
    opened = {}

    def open_once(source, job, loaded, real=run.open_image):
        return (
            opened[source]
            if source in opened
            else opened.setdefault(source, real(source, job, loaded))
        )

    monkeypatch.setattr(run, "open_image", open_once)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    with dask.config.set(scheduler="synchronous"):
        yield


def check(source: Path, points: Path | None, folder: Path) -> int:
    """Retrieve; the exit code is 0 or 3, and an output is there on 0 alone."""
    output, code, told = folder / "out.csv", 0, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run.retrieve_file(source, output, run.Job(variables=("lai",), points=points))
    except Exception as error:
        code, told = exit_code(error), sentence(error)
    assert code in (0, 3), told
    assert output.exists() == (code == 0), told
    assert len(told.splitlines()) == (code == 3), told
    assert "x" * 61 not in told
    assert "\x1b" not in told
    output.unlink(missing_ok=True)
    assert not list(folder.iterdir())
    return code


def check_points(image: xr.Dataset, points: Path) -> int:
    """Place the points in an image, as a retrieval does first; the code is 0 or 3."""
    told = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            around(image, points, 1)
    except InputError as error:
        told = str(error)
    assert len(told.splitlines()) <= 1
    assert "x" * 61 not in told
    return 3 if told else 0


def check_all(files: list[Path], checks: list[Callable[[], int]]) -> None:
    """Every mutation by one of the checks in turn; each lets the intact files pass."""
    assert [one() for one in checks] == [0] * len(checks)
    codes = set()
    for seed in range(COUNT):
        file = files[seed % len(files)]
        kept = file.read_bytes()
        file.write_bytes(mutated(file, kept, seed))
        codes.add(checks[seed // len(files) % len(checks)]())
        file.write_bytes(kept)
    assert 3 in codes


@pytest.mark.parametrize("kind", TABLES)
def test_a_damaged_table_is_read_or_refused(kind, tmp_path):
    path = tmp_path / f"table.{kind}"
    TABLES[kind](path)
    folder = tmp_path / "out"
    folder.mkdir()
    check_all([path], [lambda: check(path, None, folder)])


@pytest.mark.parametrize("kind", VECTORS)
def test_damaged_points_are_read_or_refused(kind, geotiff, meadow, tmp_path):
    image = geotiff(meadow(8, 8))
    path = tmp_path / f"points.{kind}"
    VECTORS[kind](path)
    files = sorted(tmp_path.glob("points.*"))
    files = [file for file in files if file.suffix != ".cpg"]
    folder = tmp_path / "out"
    folder.mkdir()
    opened = run.open_image(image, run.Job(variables=("lai",)), physvae.load("sentinel-2"))
    placing = [lambda: check_points(opened, path)] * 3
    check_all(files, [lambda: check(image, path, folder), *placing])
