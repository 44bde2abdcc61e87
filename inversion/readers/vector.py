"""Vector files, known by what they hold: points and areas of people's plots.

GDAL opens a file by its content, whatever its suffix, and some of its drivers follow what the
content names: other files, and the network. So the content is looked at first, and only these get
in, the binary ones through GDAL, the texts without it:

    GeoPackage · shapefile, also zipped · FlatGeobuf      by their first bytes
    GeoJSON · KML                                         parsed here
    Parquet with a column `geometry` · tables with lon, lat
"""

import json
import reprlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from inversion.readers.content import product
from physvae.errors import InputError
from physvae.io.files import check_ordinary
from physvae.tables.reader import open_table

WGS84 = "EPSG:4326"
SHAPEFILE = b"\x00\x00\x27\x0a"
FLATGEOBUF = b"fgb\x03fgb"
SQLITE = b"SQLite format 3\0"
GEOPACKAGE = (b"GPKG", b"GP10", b"GP11", b"GP12")
ALLOWED = "GeoPackage, shapefile, FlatGeobuf, GeoJSON, KML, Parquet or CSV with lon and lat"
JSON_MAX = 512 << 20
_GEOMETRY = (
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
    "GeometryCollection",
)  # fmt: skip
_POINTERS = (b"<OGR", b"<VRT", b"<GDAL")
_NO_NETWORK = {"CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none", "GDAL_HTTP_PROXY": "0.0.0.0:1"}


def read_vector(path: Path, layer: str | None = None) -> Any:
    """Read a vector file of an allowed kind as a GeoDataFrame, its system perhaps unknown.

    Parameters
    ----------
    path
        A file on this machine.
    layer
        Of a GeoPackage; without it the first.

    Raises
    ------
    InputError
        Another kind of file, a damaged one, or one that points at others.
    """
    check_ordinary(path, "a vector file on this machine")
    try:
        read = _reader(path, layer)
        return read()
    except InputError:
        raise
    except Exception as error:  # each library has a family of its own, and may quote the file
        raise InputError(f"{path}: expected a vector file, found a damaged one") from error


def _reader(path: Path, layer: str | None) -> Callable[[], Any]:
    """What reads a file, judged by its first bytes."""
    with path.open("rb") as file:
        start = file.read(4096)
    if any(sign in start for sign in _POINTERS):
        raise InputError(f"{path}: expected {ALLOWED}, found a file that points at others")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(SQLITE):
        _check_geopackage(path, start)
        return lambda: _through_gdal(str(path), layer)
    if start.startswith((SHAPEFILE, FLATGEOBUF)):
        return lambda: _through_gdal(str(path), None)
    if start.startswith(b"PK\x03\x04"):
        return lambda: _through_gdal(_in_zip(path), None)
    if start.startswith(b"PAR1"):
        return lambda: _parquet(path)
    if text.startswith(b"{"):
        return lambda: _geojson(path)
    if text.startswith(b"<"):
        return lambda: _kml(path)
    if path.suffix.lower() in (".csv", ".txt", ".tsv"):
        return lambda: _placed(path)
    raise InputError(f"{path}: expected a vector file ({ALLOWED}), found another kind of file")


def _through_gdal(name: str, layer: str | None) -> Any:
    import geopandas
    import pyogrio

    pyogrio.set_gdal_config_options(_NO_NETWORK)
    options: dict[str, Any] = {"layer": layer} if layer else {}
    return geopandas.read_file(name, engine="pyogrio", **options)


def _check_geopackage(path: Path, start: bytes) -> None:
    """Refuse other databases, and a schema that could do more than hold rows."""
    if start[68:72] not in GEOPACKAGE:
        raise InputError(f"{path}: expected a GeoPackage, found another SQLite database")
    address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    with sqlite3.connect(address, uri=True) as database:
        rows = database.execute("SELECT type, sql FROM sqlite_master").fetchall()
    database.close()
    for kind, sql in rows:
        text = " ".join((sql or "").lower().split())
        virtual = text.startswith("create virtual") and " using rtree" not in text
        calls = kind == "view" and any(name in text for name in ("ogr_", "gdal_", "load_ext"))
        if virtual or calls:
            raise InputError(f"{path}: expected tables, found a {kind} that runs other code")


def _in_zip(path: Path) -> str:
    """The name under which GDAL opens the one shapefile of an archive."""
    files = product(path)
    found = files.find(".shp")
    if len(found) != 1:
        raise InputError(f"{path}: expected one shapefile in the archive, found {len(found)}")
    if not files.read(found[0]).startswith(SHAPEFILE):
        raise InputError(
            f"{path}: expected a shapefile, found something else in {reprlib.repr(found[0])}"
        )
    return f"/vsizip/{{{path.resolve()}}}/{found[0]}"


def _parquet(path: Path) -> Any:
    import geopandas

    if "geometry" in open_table(path).schema.names:
        return geopandas.read_parquet(path)
    return _placed(path)


def _geojson(path: Path) -> Any:
    import geopandas

    if path.stat().st_size > JSON_MAX:
        raise InputError(f"{path}: expected less than {JSON_MAX >> 20} MiB of GeoJSON, found more")
    try:
        found = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise InputError(f"{path}: expected GeoJSON, found no JSON") from None
    kind = found.get("type") if isinstance(found, dict) else None
    if kind in _GEOMETRY:
        found = {"type": "Feature", "properties": {}, "geometry": found}
    features = found.get("features") if kind == "FeatureCollection" else [found]
    if kind not in ("FeatureCollection", "Feature", *_GEOMETRY) or not isinstance(features, list):
        raise InputError(f"{path}: expected GeoJSON, found other JSON")
    system = found.get("crs") or {}
    named = (system.get("properties") or {}).get("name") if isinstance(system, dict) else None
    plain = [{**feature, "properties": _plain(feature.get("properties"))} for feature in features]
    return geopandas.GeoDataFrame.from_features(plain, crs=_system(path, named))


def _plain(properties: Any) -> dict[str, Any]:
    """Attributes as a table can hold them: lists and numbers beyond 64 bits as texts."""
    return {
        str(name): json.dumps(value) if _is_beyond_a_cell(value) else value
        for name, value in (properties or {}).items()
    }


def _is_beyond_a_cell(value: Any) -> bool:
    huge = isinstance(value, int) and abs(value) >= 1 << 63
    return huge or isinstance(value, (dict, list))


def _system(path: Path, named: Any) -> str:
    """The system that a GeoJSON of the old kind names, by a code; else degrees."""
    if named is None:
        return WGS84
    code = str(named).rpartition(":")[2]
    if str(named).upper().endswith("CRS84"):
        return WGS84
    if not code.isdigit():
        raise InputError(f"{path}: expected a system by its EPSG code, found another")
    return f"EPSG:{code}"


def _kml(path: Path) -> Any:
    from inversion.readers.kml import read_placemarks

    return read_placemarks(path)


def _placed(path: Path) -> Any:
    """A table with columns of longitude and latitude, in any dialect."""
    import geopandas

    from inversion.readers.table import numbers_of, read

    frame = read(path)
    names = {str(name).strip().lower(): name for name in frame.columns}
    axes = [
        next((names[name] for name in axis if name in names), None)
        for axis in (("lon", "longitude", "lng"), ("lat", "latitude"))
    ]
    if None in axes:
        raise InputError(f"{path}: expected {ALLOWED}, found none of them")
    source = str(path)
    x, y = (numbers_of(frame[name], source) for name in axes)
    return geopandas.GeoDataFrame(frame, geometry=geopandas.GeoSeries.from_xy(x, y, crs=WGS84))
