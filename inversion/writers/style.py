"""What makes a map open right elsewhere: a QGIS style and a STAC item beside it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pystac
import xarray as xr
from pystac.extensions.projection import ProjectionExtension
from rasterio.warp import transform_bounds

from inversion.summary import Summary

COLOURS = ("#ffffe5", "#d9f0a3", "#78c679", "#238443", "#004529")
"""From none to much, readable without green and red told apart (ColorBrewer YlGn)."""


def qml(summary: Summary) -> str:
    """Return a QGIS style that shows the first variable from its smallest to its largest value."""
    about = summary.statistics().get(summary.variables[0], {"minimum": 0.0, "maximum": 1.0})
    low, high = about["minimum"], max(about["maximum"], about["minimum"] + 1e-6)
    stops = zip(np.linspace(low, high, len(COLOURS)), COLOURS, strict=True)
    items = "".join(
        f'<item value="{value:.6g}" color={quoteattr(colour)} alpha="255" label="{value:.3g}"/>'
        for value, colour in stops
    )
    shader = f'<colorrampshader colorRampType="INTERPOLATED" clip="0">{items}</colorrampshader>'
    renderer = (
        f'<rasterrenderer type="singlebandpseudocolor" band="1" opacity="1"'
        f' classificationMin="{low:.6g}" classificationMax="{high:.6g}">'
        f"<rastershader>{shader}</rastershader></rasterrenderer>"
    )
    return f'<!DOCTYPE qgis>\n<qgis version="3.0"><pipe>{renderer}</pipe></qgis>\n'


def item(output: Path, template: xr.Dataset, assets: dict[str, Path], kind: str) -> pystac.Item:
    """Return a STAC item of the map.

    Parameters
    ----------
    output
        The main file.
    template
        The map; its attributes `acquired` and `product` are used where it has them.
    assets
        Files by their keys.
    kind
        Media type of the data.
    """
    bounds = template.rio.bounds() if {"x", "y"} <= set(template.coords) else None
    box, geometry = _outline(template, bounds)
    when = _moment(str(template.attrs.get("acquired", "")))
    about = pystac.Item(
        id=output.stem,
        geometry=geometry,
        bbox=box,
        datetime=when or datetime.now(UTC),
        properties={"processing:software": {"physvae": template.attrs.get("model", "")}},
    )
    if template.rio.crs is not None and bounds is not None:
        projection = ProjectionExtension.ext(about, add_if_missing=True)
        code = template.rio.crs.to_epsg()
        projection.apply(
            epsg=code,
            wkt2=None if code else template.rio.crs.to_wkt(),
            bbox=list(bounds),
            shape=[template.sizes["y"], template.sizes["x"]],
            transform=list(template.rio.transform())[:6],
        )
    for key, path in assets.items():
        media = kind if path.suffix == output.suffix else "application/json"
        about.add_asset(key, pystac.Asset(href=f"./{path.name}", media_type=media, roles=["data"]))
    return about


def _outline(template: xr.Dataset, bounds: Any) -> tuple[list[float] | None, dict | None]:
    """Return the box of a map and its outline, cut in two at 180° as GeoJSON asks (RFC 7946)."""
    if template.rio.crs is None or bounds is None:
        return None, None
    west, south, east, north = transform_bounds(template.rio.crs, "EPSG:4326", *bounds)
    if east - west >= 360:
        west, east = -180.0, 180.0
    else:
        west, east = _longitude(west), _longitude(east)
    if east == -180:
        east = 180.0
    if west <= east:
        ring = _ring(west, south, east, north)
        return [west, south, east, north], {"type": "Polygon", "coordinates": [ring]}
    rings = [_ring(west, south, 180.0, north), _ring(-180.0, south, east, north)]
    outline = {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
    return [west, south, east, north], outline


def _longitude(degrees: float) -> float:
    """Return a longitude from -180 to 180.

    >>> [_longitude(degrees) for degrees in (181.5, -180.0, 12.0, 180.0)]
    [-178.5, -180.0, 12.0, 180.0]
    """
    return degrees if -180 <= degrees <= 180 else (degrees + 180) % 360 - 180


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
