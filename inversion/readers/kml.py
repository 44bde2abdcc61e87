"""KML: the placemarks of a file, their names, data and shapes; links are not followed."""

from pathlib import Path
from typing import Any

from physvae.errors import InputError

WGS84 = "EPSG:4326"
SIZE_MAX = 256 << 20


def read_placemarks(path: Path) -> Any:
    """Placemarks as a GeoDataFrame with the columns Name, description and those of their data.

    Raises
    ------
    InputError
        Not KML, with entities, or without a placemark that has a shape.
    """
    import geopandas
    from defusedxml.ElementTree import fromstring

    if path.stat().st_size > SIZE_MAX:
        raise InputError(f"{path}: expected less than {SIZE_MAX >> 20} MiB of KML, found more")
    try:
        root = fromstring(path.read_bytes(), forbid_dtd=True)
    except Exception as error:  # of the parser or of its guard
        raise InputError(f"{path}: expected KML, found no plain XML") from error
    if _tag(root) != "kml":
        raise InputError(f"{path}: expected KML, found other XML")
    rows, shapes = [], []
    for mark in (element for element in root.iter() if _tag(element) == "Placemark"):
        shape = next((s for child in mark if (s := _shape(child)) is not None), None)
        if shape is not None:
            rows.append(_attributes(mark))
            shapes.append(shape)
    if not shapes:
        raise InputError(f"{path}: expected a placemark with a shape, found none")
    return geopandas.GeoDataFrame(rows, geometry=shapes, crs=WGS84)


def _tag(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _attributes(mark: Any) -> dict[str, str]:
    found = {"Name": "", "description": ""}
    for child in mark:
        if _tag(child) == "name":
            found["Name"] = (child.text or "").strip()
        elif _tag(child) == "description":
            found["description"] = (child.text or "").strip()
    for data in mark.iter():
        if _tag(data) == "SimpleData":
            found[data.get("name", "")] = (data.text or "").strip()
        elif _tag(data) == "Data":
            value = next((c.text for c in data if _tag(c) == "value"), None)
            found[data.get("name", "")] = (value or "").strip()
    return found


def _shape(element: Any) -> Any:
    """A shape of shapely, or None where the element is none."""
    import shapely

    kind = _tag(element)
    if kind == "Point":
        return shapely.Point(_places(element)[0])
    if kind == "LineString":
        return shapely.LineString(_places(element))
    if kind == "Polygon":
        rings = [
            _places(child)
            for edge in ("outerBoundaryIs", "innerBoundaryIs")
            for child in element
            if _tag(child) == edge
        ]
        return shapely.Polygon(rings[0], rings[1:])
    if kind == "MultiGeometry":
        parts = [part for child in element if (part := _shape(child)) is not None]
        return shapely.union_all(parts) if parts else None
    return None


def _places(element: Any) -> list[tuple[float, float]]:
    text = next((e.text or "" for e in element.iter() if _tag(e) == "coordinates"), "")
    return [(float(x), float(y)) for x, y, *_ in (part.split(",") for part in text.split())]
