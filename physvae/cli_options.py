"""Options that commands share: what a user says about a table that does not say it itself."""

from pathlib import Path
from typing import Annotated

import typer

ColumnNames = Annotated[
    list[str] | None,
    typer.Option("--column", help="A table's name of a column: lai=LAI_true; repeatable."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a table's columns that are not understood.")
]
Decimal = Annotated[str | None, typer.Option(help="Decimal mark of a text table: . or ,")]
Sheet = Annotated[str | None, typer.Option(help="Sheet of an Excel file.")]


def shipped_models() -> list[str]:
    """Names of the shipped models, for the completion of a shell; does not load torch."""
    folder = Path(__file__).parent / "models"
    return sorted(file.parent.name for file in folder.glob("*/config.json"))
