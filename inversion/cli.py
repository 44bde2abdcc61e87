"""The command `physvae retrieve`: translates options, leaves the work to `inversion.run`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from physvae.cli_options import ColumnNames, Decimal, Sheet, Strict, shipped_models
from physvae.errors import UsageError
from physvae.io.messages import say

Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="Table, image, product (SAFE, zip, Zarr, STAC item, ...), or a .txt list of them.",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="OUT.csv, .parquet; .tif, .nc, .zarr; a folder for a list."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="Name of a shipped model, or a model folder.", autocompletion=shipped_models
    ),
]
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
Pixel = Annotated[
    float | None, typer.Option(help="Pixel side [m] of Sentinel-2 products: 10, 20 or 60.")
]
Chunk = Annotated[
    int | None, typer.Option(min=16, help="Largest side of the blocks [pixel] of an image.")
]
Method = Annotated[
    str | None,
    typer.Option(
        help="amortised (the default); refined, lut or lm; or these three with -emulated behind."
    ),
]
Adjustment = Annotated[
    Path | None, typer.Option("--calibration", help="Adjustment from `physvae calibrate`.")
]
FieldIntervals = Annotated[
    bool,
    typer.Option(
        "--field/--no-field", help="Intervals meant for measurements, or those of the posterior."
    ),
]
Refine = Annotated[
    int | None, typer.Option(min=1, help="Method refined, by so many steps a pixel (200).")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a stopped run ended.")]
ShardOf = Annotated[str, typer.Option("--shard", help="Do the part I of N, as 2/8.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes to compute with.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a running Dask scheduler.")]
DType = Annotated[str, typer.Option(help="float32, or int16 for a packed GeoTIFF.")]
Area = Annotated[Path | None, typer.Option("--aoi", help="Vector file of the area wanted.")]
Points = Annotated[Path | None, typer.Option(help="Vector file of points; gives a table.")]
Window = Annotated[int, typer.Option(help="Side of the window at a point [pixel], odd.")]
Composite = Annotated[
    bool, typer.Option("--composite", help="Combine the dates of a list into one map.")
]
Format = Annotated[str, typer.Option("--format", help="Ending of the maps of a list.")]
Prior = Annotated[
    str | None,
    typer.Option(help="What is known of the canopies: wheat, maize, ..., or FILE.toml."),
]
PriorColumn = Annotated[
    str | None, typer.Option(help="Column that says by name which prior holds for a row.")
]
PriorMap = Annotated[
    Path | None, typer.Option(help="GeoTIFF of codes, which [codes] of --prior FILE.toml names.")
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
    pixel: Pixel = None,
    chunk: Chunk = None,
    method: Method = None,
    refine: Refine = None,
    calibration: Adjustment = None,
    field: FieldIntervals = True,
    prior: Prior = None,
    prior_column: PriorColumn = None,
    prior_map: PriorMap = None,
    resume: Resume = False,
    shard: ShardOf = "1/1",
    workers: Workers = None,
    scheduler: Scheduler = None,
    dtype: DType = "float32",
    aoi: Area = None,
    points: Points = None,
    window: Window = 1,
    composite: Composite = False,
    form: Format = "tif",
    radiometry_check: Check = True,
    column: ColumnNames = None,
    strict: Strict = False,
    decimal: Decimal = None,
    sheet: Sheet = None,
) -> None:
    """Estimate traits with their uncertainty from a table or an image of reflectance.

    Every trait comes with its posterior mean, standard deviation (_sd) and 95 % interval (_p025,
    _p975); quality holds bits that say what is wrong. No data stays NaN. An output that is there
    already is replaced once the new one is complete.

    A table (CSV, Excel, Parquet) needs columns B2 ... B12 with reflectance 0-1 and should have
    sun_zenith_deg, view_zenith_deg and relative_azimuth_deg, or --column says which they are;
    other columns pass through. An image needs band
    descriptions or --bands, and --scale where its numbers are not reflectance; a product of an
    agency (Sentinel-2 SAFE folder or zip, EOPF, THEIA, STAC item, HLS, ...) says it itself.
    OUT.tif holds a band for every estimate, OUT_quality.tif the quality, OUT.tif.json how they
    came about. A .txt file that names products, one a line, gives a map for each in a folder.

    For example: physvae retrieve field.csv -o estimates.csv
    """
    from inversion.readers import Declaration
    from inversion.run import Job
    from inversion.writers.work import Shard
    from physvae.tables.columns import assignments
    from physvae.tables.reader import TableOptions

    declaration = Declaration(
        bands=None if bands is None else _names(bands),
        scale=scale, offset=offset, nodata=nodata,
        sun_zenith=sun_zenith, view_zenith=view_zenith, relative_azimuth=relative_azimuth,
        scene_classes=scl, keep_classes=_classes(keep_classes), pixel=pixel,
        check_radiometry=radiometry_check,
        columns=assignments(column, "--column"), strict=strict,
        table=TableOptions(decimal=decimal, sheet=sheet),
    )  # fmt: skip
    job = Job(
        model=model,
        variables=tuple(_names(variables)),
        device=device,
        method=_method(method, refine),
        steps=refine or 200,
        declaration=declaration,
        chunk=chunk or 0,
        resume=resume,
        shard=Shard.parse(shard),
        workers=workers,
        scheduler=scheduler,
        packed=_packed(dtype),
        area=aoi,
        points=points,
        window=window,
        calibration=calibration,
        field=field,
        prior=prior,
        prior_column=prior_column,
        prior_map=prior_map,
    )
    say("\n".join(_run(source, output, job, composite, form)), sys.stdout)


def _run(source: Path, output: Path, job: Any, composite: bool, form: str) -> list[str]:
    """Do one input, or a list of them."""
    from inversion.batch import is_list, retrieve_composite, retrieve_list
    from inversion.run import retrieve_file

    listed = is_list(source)
    if composite and not listed:
        raise UsageError(f"--composite: expected a .txt list of products, got {source}")
    if form != "tif" and (composite or not listed):
        raise UsageError("--format: expected a list of products, whose maps it names")
    if composite:
        return retrieve_composite(source, output, job)
    if listed:
        return retrieve_list(source, output, job, form)
    return retrieve_file(source, output, job)


def _method(method: str | None, refine: int | None) -> str:
    """The method asked for; `--refine` is for those that refine and stands for `refined` alone."""
    from inversion.methods import check_method

    chosen = method or ("refined" if refine else "amortised")
    check_method(chosen)
    if refine and not chosen.startswith("refined"):
        raise UsageError(f"--refine: expected the method refined, got --method {chosen}")
    return chosen


def _packed(text: str) -> bool:
    if text not in ("float32", "int16"):
        raise UsageError(f"--dtype: expected float32 or int16, got {text!r}")
    return text == "int16"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _classes(text: str) -> tuple[int, ...]:
    if text.strip().lower() == "all":
        return ()
    try:
        return tuple(int(name) for name in _names(text))
    except ValueError:
        raise UsageError(f"--keep-classes: expected numbers or all, got {text!r}") from None
