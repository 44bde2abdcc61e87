"""The command `physvae retrieve`: translates options, leaves the work to `inversion.run`."""

from pathlib import Path
from typing import Annotated

import typer

from physvae.errors import UsageError

Input = Annotated[
    Path, typer.Argument(metavar="INPUT", help="Table (CSV, Parquet) or image (GeoTIFF).")
]
Output = Annotated[
    Path,
    typer.Option("-o", "--output", help="OUT.csv, .parquet (tables); .tif, .nc, .zarr (images)."),
]
Model = Annotated[str, typer.Option(help="Name of a shipped model, or a model folder.")]
Variables = Annotated[str, typer.Option(help="Traits wanted, separated by commas.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Bands = Annotated[
    str | None, typer.Option(help="Names of the image's bands in their order: B2,B3,B4,...")
]
Scale = Annotated[float | None, typer.Option(help="Reflectance = number * scale + offset.")]
Offset = Annotated[float | None, typer.Option(help="In reflectance: -0.1, not -1000.")]
NoData = Annotated[float | None, typer.Option("--nodata", help="Number that means no data.")]
SunZenith = Annotated[float | None, typer.Option(help="Degrees, where the input has none.")]
ViewZenith = Annotated[float | None, typer.Option(help="Degrees, where the input has none.")]
Azimuth = Annotated[
    float | None,
    typer.Option("--relative-azimuth", help="Degrees, where the input has none."),
]
SceneClasses = Annotated[
    str | None, typer.Option("--scl", help="GeoTIFF with the scene classes of the image.")
]
KeepClasses = Annotated[
    str, typer.Option(help="Scene classes to estimate, separated by commas, or all.")
]
Chunk = Annotated[
    int, typer.Option(min=16, help="Largest side of the blocks [pixel] an image is cut in.")
]
Check = Annotated[
    bool,
    typer.Option(
        "--radiometry-check/--no-radiometry-check",
        help="Refuse reflectance whose scale or offset cannot be right.",
    ),
]


def retrieve(
    source: Input,
    output: Output,
    model: Model = "sentinel-2",
    variables: Variables = "lai,cab,ccc,cw,cwc,fapar,fcover",
    device: Device = "auto",
    bands: Bands = None,
    scale: Scale = None,
    offset: Offset = None,
    nodata: NoData = None,
    sun_zenith: SunZenith = None,
    view_zenith: ViewZenith = None,
    relative_azimuth: Azimuth = None,
    scl: SceneClasses = None,
    keep_classes: KeepClasses = "4,5",
    chunk: Chunk = 256,
    radiometry_check: Check = True,
) -> None:
    """Estimate traits with their uncertainty from a table or an image of reflectance.

    Every trait comes with its posterior mean, standard deviation (_sd) and 95 % interval (_p025,
    _p975); quality holds bits that say what is wrong. No data stays NaN. An output that is there
    already is replaced once the new one is complete.

    A table needs columns B2 ... B12 with reflectance 0-1 and should have sun_zenith_deg,
    view_zenith_deg and relative_azimuth_deg; other columns pass through. An image needs band
    descriptions or --bands, and --scale where its numbers are not reflectance. OUT.tif holds a
    band for every estimate, OUT_quality.tif the quality, OUT.tif.json how they came about.

    For example: physvae retrieve field.csv -o estimates.csv
    """
    from inversion.readers import Declaration
    from inversion.run import notes_on_stderr, retrieve_file

    declaration = Declaration(
        bands=None if bands is None else _names(bands),
        scale=scale,
        offset=offset,
        nodata=nodata,
        sun_zenith=sun_zenith,
        view_zenith=view_zenith,
        relative_azimuth=relative_azimuth,
        scene_classes=scl,
        keep_classes=_classes(keep_classes),
        check_radiometry=radiometry_check,
    )
    with notes_on_stderr():
        lines = retrieve_file(
            source,
            output,
            model=model,
            variables=_names(variables),
            device=device,
            declaration=declaration,
            chunk=chunk,
        )
    typer.echo("\n".join(lines))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _classes(text: str) -> tuple[int, ...]:
    if text.strip().lower() == "all":
        return ()
    try:
        return tuple(int(name) for name in _names(text))
    except ValueError:
        raise UsageError(f"--keep-classes: expected numbers or all, got {text!r}") from None
