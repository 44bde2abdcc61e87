"""Estimates against measurements: the numbers, the pairs and the figures, written together."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from inversion.writers.table import write
from physvae.errors import UsageError
from physvae.io.files import working_folder
from validation.baselines.base import Baseline
from validation.matching.pairs import pair
from validation.report.comparison import collect
from validation.report.tables import summary


@dataclass(frozen=True)
class Report:
    """What `evaluate` found.

    Attributes
    ----------
    metrics : dict
        Content of metrics.json: `trait`, `unit`, `name`, `rows`, `dropped`, `pooled`, `sites`,
        `groups`, `unflagged`, `quality`, `calibration`, `baselines`, `differences`, `stage`,
        `method`. A statistic that the rows do not define is None.
    pairs : DataFrame
        One row a comparison: `row` (in the field table, from 1), `site`, `measured`, `estimate`,
        `estimate_p025`, ..., and one column a baseline.
    ledger : DataFrame
        Every row of the field table: whether it was used, why not, and what is odd about it.
    courses : DataFrame
        Values of every dated map at some plots (see `plot_time_series`), or nothing.
    """

    metrics: dict
    pairs: pd.DataFrame
    ledger: pd.DataFrame = field(default_factory=pd.DataFrame)
    courses: pd.DataFrame = field(default_factory=pd.DataFrame)

    def write(self, directory: str | Path) -> list[Path]:
        """Write report.html, metrics.json, the tables and the figures; return their paths.

        Everything is made in a temporary folder beside `directory` first and moved when it is
        complete, so an error leaves an earlier report as it was.

        Raises
        ------
        UsageError
            If `directory` is a file.
        OSError
            If the folder cannot be written.
        """
        directory = Path(directory)
        if directory.exists() and not directory.is_dir():
            raise UsageError(f"report: expected a folder, got the file {directory}")
        directory.parent.mkdir(parents=True, exist_ok=True)
        with working_folder(directory) as temporary:
            self._render(temporary)
            made = sorted(path.name for path in temporary.iterdir())
            directory.mkdir(exist_ok=True)
            for name in made:
                os.replace(temporary / name, directory / name)
        return [directory / name for name in made]

    def _render(self, folder: Path) -> None:
        """Write every file of the report into an empty folder."""
        from validation.report import page, plots

        content = json.dumps(finite(self.metrics), indent=1, allow_nan=False, ensure_ascii=False)
        (folder / "metrics.json").write_text(content + "\n", encoding="utf-8")
        tables = {"pairs": self.pairs, "rows": self.ledger}
        if len(self.courses):
            tables["courses"] = self.courses
        for name, table in tables.items():
            write(table, folder / f"{name}.csv")
        (folder / "summary.md").write_text(summary(self.metrics), encoding="utf-8")
        figures = plots.figures(self.metrics, self.pairs, self.courses)
        for kind, figure in figures.items():
            plots.save(figure, folder / f"{self.metrics['trait']}_{kind}")
        text = page.render(self.metrics, self.ledger, figures)
        (folder / "report.html").write_text(text, encoding="utf-8")


def evaluate(
    estimates: pd.DataFrame,
    field: pd.DataFrame,
    *,
    trait: str = "lai",
    baselines: Sequence[Baseline] = (),
    name: str = "PhysVAE",
    reasons: Mapping[int, str] | None = None,
    notes: Mapping[int, list[str]] | None = None,
    method: Mapping[str, object] | None = None,
    courses: pd.DataFrame | None = None,
) -> Report:
    """Compare the estimates of one trait with what was measured.

    Parameters
    ----------
    estimates : DataFrame
        `<trait>`, and where there are any `<trait>_sd`, quantiles `<trait>_p025` ...
        (thousandths), `quality`.
    field : DataFrame
        The field table (see `validation.field.table`); matched as `validation.matching.rows` says.
    trait : str
        One of `validation.field.table.MEASURED`.
    baselines : sequence of Baseline
        Methods to compare with, evaluated on the same rows of the field table.
    name : str
        What tables and figures call the estimates.
    reasons : mapping of int to str, optional
        Given, the estimates stand row by row beside the field table, and this says why a row
        (from 1) has none (see `validation.matching.plots_on_maps`).
    notes : mapping of int to list of str, optional
        What is odd about a row of the field table (see `validation.field.files`).
    method : mapping, optional
        How the comparison was made, for the report.
    courses : DataFrame, optional
        What all maps say at some plots, for the figure of their courses.

    Raises
    ------
    InputError
        If a column is missing, a cell is no number, or no row can be compared.
    UsageError
        If the trait is unknown, a baseline estimates another one, or two bear one name.

    Examples
    --------
    >>> import pandas as pd
    >>> field = pd.DataFrame({"plot": ["a", "b"], "lai": [1.0, 3.0]})
    >>> estimates = pd.DataFrame({"plot": ["b", "a"], "lai": [3.5, 1.5]})
    >>> evaluate(estimates, field).metrics["pooled"]["bias"]
    0.5
    """
    names = [baseline.name for baseline in baselines]
    if len({name, *names}) <= len(names):
        raise UsageError(f"baseline: expected different names, got {', '.join([name, *names])}")
    pairs = pair(estimates, field, trait, baselines, reasons=reasons, notes=notes)
    metrics = {
        "schema": 2,
        **_called(trait),
        "name": name,
        "rows": {"field": len(field), "compared": len(pairs.rows), "estimates": len(estimates)},
        "dropped": {why: {"count": len(r), "rows": r} for why, r in pairs.dropped.items()},
        **collect(pairs, trait, names),
        "stage": stage(pairs.rows),
        "method": dict(method or {}),
    }
    return Report(metrics, pairs.rows, pairs.ledger, pd.DataFrame(courses))


def stage(pairs: pd.DataFrame) -> dict[str, object]:
    """What these rows are in the hierarchy of CEOS LPV, and what they lack for more.

    Stage 1 compares with a small set of locations (fewer than 30) and dates; stage 2 with a
    significant set of locations and dates, and asks for consistency in space and time with
    similar products over the globe (Fernandes et al. 2014, doi:10.5067/doc/ceoswgcv/lpv/lai.002;
    lpvs.gsfc.nasa.gov). A table of plots cannot show the latter: it is stage 1 at most.
    """
    days = pairs.get("field_date", pd.Series(dtype=object)).astype(str)
    years = {day[:4] for day in days if day[:4].isdigit()}
    sites, plots = int(pairs["site"].nunique()), len(pairs)
    lacks = "consistency in space and time with other products, over the globe"
    few = "" if sites >= 30 else f"at least 30 independent locations (here {sites} sites); "
    return {
        "stage": 1,
        "sites": sites,
        "pairs": plots,
        "years": sorted(years),
        "for_stage_2": few + lacks,
    }


def _called(trait: str) -> dict[str, str]:
    """Name, symbol and unit of a trait, from the one table of units."""
    from rtm.parameters import PRODUCTS, TRAITS

    parameter = {**TRAITS, **PRODUCTS}[trait]
    return {"trait": trait, "symbol": parameter.symbol, "unit": parameter.unit}


def finite(value: object) -> object:
    """The same tree with None in place of NaN and infinity, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
