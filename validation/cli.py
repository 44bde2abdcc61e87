"""`physvae validate`: a field table in, a report folder out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physvae.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_MODEL = "sentinel-2"

Field = Annotated[
    Path, typer.Argument(metavar="FIELD", help="Table (CSV or Parquet) with a measured trait.")
]
Output = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the report.")
]
Estimates = Annotated[
    Path | None,
    typer.Option(metavar="TABLE", help="Estimates of these rows; without, they are retrieved."),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="M", help=f"Model to retrieve with: name or folder [{DEFAULT_MODEL}]."),
]
Baseline = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="NET.json", help="A network in SNAP's format to compare with; repeatable."
    ),
]
Trait = Annotated[str, typer.Option(metavar="NAME", help="Trait to compare: lai, ccc, cab, ...")]


def validate(
    field: Field,
    output: Output,
    estimates: Estimates = None,
    model: Model = None,
    baseline: Baseline = None,
    trait: Trait = "lai",
) -> None:
    """Compare retrieved traits with field measurements: numbers, pairs and figures.

    FIELD has a column with the measured trait (lai, ccc_g_m2, cab_ug_cm2, ...) and, if it likes,
    site, plot, field_date and lai_std; where nothing is retrieved yet, also the bands B2 ... B12
    (reflectance 0-1) and sun_zenith_deg, view_zenith_deg, relative_azimuth_deg.

    For example: physvae validate field.csv -o report
    """
    from validation.baselines import load_net
    from validation.fielddata import read_table
    from validation.report import evaluate

    if estimates is not None and model is not None:
        raise UsageError("--model: expected none beside --estimates, which are retrieved already")
    nets = [load_net(path) for path in baseline or []]
    table = read_table(field)
    if estimates is None:
        found = _retrieve(table, model or DEFAULT_MODEL, trait, source=field.name)
        name = f"PhysVAE {Path(model or DEFAULT_MODEL).name}"
    else:
        found, name = read_table(estimates), estimates.stem
    report = evaluate(found, table, trait=trait, baselines=nets, name=name)
    paths = report.write(output)
    _print(report.metrics, paths)


def _retrieve(table: "pd.DataFrame", model: str, trait: str, *, source: str) -> "pd.DataFrame":
    """Estimates of one trait for every row of the field table."""
    from inversion.tables import retrieve_table
    from validation.fielddata import measured_column

    measured_column(table, trait)
    return retrieve_table(table, model=model, variables=(trait,), source=source)


def _print(metrics: dict, paths: list[Path]) -> None:
    """Print the scores, what was left out, and where the report is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from validation.tables import SHORT, heads, table_rows

    unit = f" [{metrics['unit']}]" if metrics["unit"] != "-" else ""
    table = Table(title=Text(f"Retrieved against measured {metrics['symbol']}{unit}"))
    for place, head in enumerate(heads(SHORT)):
        table.add_column(head, justify="left" if place < 2 else "right", overflow="fold")
    previous = None
    for row in table_rows(metrics, SHORT):
        if previous not in (None, row[0]):
            table.add_section()
        table.add_row(*map(Text, ["" if row[0] == previous else row[0], *row[1:]]))
        previous = row[0]
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)
    for reason, rows in metrics["dropped"].items():
        console.print(Text(f"left out: {rows['count']} × {reason}"))
    for path in paths:
        console.print(Text(str(path)), soft_wrap=True)
