"""`physvae validate` and `physvae calibrate`: options in, a report or an adjustment file out."""

from pathlib import Path
from typing import Annotated

import typer

from physvae.cli_options import ColumnNames, Decimal, Sheet, Strict, shipped_models
from physvae.errors import UsageError
from physvae.io.messages import timed

DEFAULT_MODEL = "sentinel-2"

Field = Annotated[
    Path,
    typer.Argument(
        metavar="FIELD", help="Measured plots: CSV, Excel, Parquet, GeoPackage, shapefile."
    ),
]
Output = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the report.")
]
Estimates = Annotated[
    Path | None,
    typer.Option(metavar="TABLE", help="Estimates of these rows; without, they are retrieved."),
]
Maps = Annotated[
    list[Path] | None,
    typer.Option(
        "--map", metavar="MAP", help="Map to look the plots up on (.tif .nc .zarr); repeatable."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="M",
        help=f"Model to retrieve with: name or folder [{DEFAULT_MODEL}].",
        autocompletion=shipped_models,
    ),
]
Baseline = Annotated[
    list[str] | None,
    typer.Option(
        metavar="B",
        help="To compare with: a network in SNAP's format (NET.json), index:ndvi|evi2|ndre|cire|"
        "ireci|nirv, or lut; repeatable.",
    ),
]
Trait = Annotated[str, typer.Option(metavar="NAME", help="Trait to compare: lai, ccc, cab, ...")]
Calibration = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Adjustment of the intervals (see physvae calibrate)."),
]
Prior = Annotated[
    str | None,
    typer.Option(metavar="P", help="What is known of the canopies: wheat, ..., or FILE.toml."),
]
Campaign = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="FIELD is a published table: frm4veg, belsar, gbov, neon."),
]
Crs = Annotated[
    str | None, typer.Option(help="Of columns x and y, or of a shapefile without: EPSG:32632.")
]
DateFormat = Annotated[str | None, typer.Option(help="Of the dates: dmy, mdy, or %d/%m/%Y")]
Units = Annotated[
    list[str] | None, typer.Option("--unit", help="Of a measured trait: ccc=ug/cm2; repeatable.")
]
Layer = Annotated[str | None, typer.Option(help="Layer of a GeoPackage.")]
Variable = Annotated[
    str | None, typer.Option("--map-variable", help="Variable or band of another product's map.")
]
Window = Annotated[int, typer.Option(help="Pixels on a side around a point, odd.")]
MaxDays = Annotated[int, typer.Option(min=0, help="Between measurement and map.")]
Time = Annotated[str, typer.Option(help="Maps of several dates: nearest or interpolate.")]
MaxCv = Annotated[
    float | None, typer.Option(help="Leave out plots whose pixels vary more (sd / mean).")
]


def validate(
    field: Field,
    output: Output,
    estimates: Estimates = None,
    maps: Maps = None,
    model: Model = None,
    baseline: Baseline = None,
    trait: Trait = "lai",
    calibration: Calibration = None,
    prior: Prior = None,
    campaign: Campaign = None,
    crs: Crs = None,
    decimal: Decimal = None,
    date_format: DateFormat = None,
    unit: Units = None,
    column: ColumnNames = None,
    sheet: Sheet = None,
    layer: Layer = None,
    map_variable: Variable = None,
    window: Window = 1,
    max_days: MaxDays = 5,
    time: Time = "nearest",
    max_cv: MaxCv = None,
    strict: Strict = False,
) -> None:
    """Compare retrieved traits with field measurements: a page, numbers, pairs and figures.

    FIELD has a column with the measured trait (lai, ccc_g_m2, cab_ug_cm2, ...) and, if it likes,
    site, plot, field_date and lai_std; with --map places (lat and lon, or shapes); where nothing
    is retrieved yet the bands B2 ... B12 (reflectance 0-1) and sun_zenith_deg, view_zenith_deg,
    relative_azimuth_deg.

    For example: physvae validate field.csv -o report
    """
    from physvae.tables.columns import assignments
    from validation import pipeline
    from validation.field.files import Reading
    from validation.matching.plots_on_maps import Rules

    if sum(given is not None for given in (estimates, maps or None, model)) > 1:
        other = "--model" if model is not None else "--map"
        raise UsageError(f"{other}: expected none beside what is retrieved already")
    if prior is not None and (estimates is not None or maps):
        raise UsageError("--prior: expected none beside what is retrieved already")
    said = Reading(
        crs=crs, decimal=decimal, date_format=date_format, sheet=sheet, layer=layer,
        strict=strict, units=assignments(unit, "--unit"), columns=assignments(column, "--column"),
    )  # fmt: skip
    rules = Rules(window=window, most_days=max_days, time=time, most_cv=max_cv)
    task = pipeline.Task(
        field=field, said=said, campaign=campaign, trait=trait, estimates=estimates,
        maps=tuple(maps or ()), map_variable=map_variable, rules=rules,
        model=model or DEFAULT_MODEL, baselines=tuple(baseline or ()), calibration=calibration,
        prior=prior,
    )  # fmt: skip
    report = pipeline.run(task)
    with timed("writing the report"):
        written = report.write(output)
    pipeline.tell(report.metrics, written)


CalibrateEstimates = Annotated[
    Path, typer.Argument(metavar="ESTIMATES", help="What `physvae retrieve FIELD` wrote.")
]
CalibrateOutput = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE.json", help="The adjustment file.")
]
Method = Annotated[
    str, typer.Option(help="split: rows alike; site: every site weighs the same, for new sites.")
]


def calibrate(
    estimates: CalibrateEstimates,
    field: Field,
    output: CalibrateOutput,
    trait: Trait = "lai",
    method: Method = "split",
    model: Model = None,
    column: ColumnNames = None,
    decimal: Decimal = None,
    sheet: Sheet = None,
    strict: Strict = False,
) -> None:
    """Find on measured plots by how much the intervals must be stretched to hold.

    The file it writes is given to `physvae retrieve --calibration FILE`. Plots that steered it
    prove nothing afterwards: keep others for `physvae validate`.

    For example: physvae calibrate est.csv field.csv -o adjustment.json
    """
    from physvae.tables.columns import assignments
    from validation import pipeline
    from validation.field.files import Reading

    if output.suffix.lower() != ".json":
        raise UsageError(f"-o: expected a file name ending in .json, got {output.name}")
    columns = assignments(column, "--column")
    said = Reading(decimal=decimal, sheet=sheet, strict=strict, columns=columns)
    content = pipeline.find_calibration(
        estimates, field, said=said, trait=trait, method=method, model=model
    )
    pipeline.write(content, output)
