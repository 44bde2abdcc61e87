"""Estimates against measurements: the numbers, the pairs and the figures, written together."""

import json
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from physvae.errors import UsageError
from validation.baselines import Net
from validation.comparison import collect, pair
from validation.tables import escape_cells, summary


@dataclass(frozen=True)
class Report:
    """What `evaluate` found.

    Attributes
    ----------
    metrics : dict
        Content of metrics.json: `trait`, `unit`, `name`, `rows`, `dropped`, `pooled`, `sites`,
        `unflagged`, `quality`, `baselines`. A statistic that the rows do not define is None.
    pairs : DataFrame
        One row a comparison: `row` (in the field table, from 1), `site`, `measured`, `estimate`,
        `estimate_p025`, ..., and one column a baseline.
    """

    metrics: dict
    pairs: pd.DataFrame

    def write(self, directory: str | Path) -> list[Path]:
        """Write metrics.json, pairs.csv, summary.md and the figures; return their paths.

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
        prefix = f".{directory.name}."
        with tempfile.TemporaryDirectory(prefix=prefix, dir=directory.parent) as temporary:
            self._render(Path(temporary))
            made = sorted(path.name for path in Path(temporary).iterdir())
            directory.mkdir(exist_ok=True)
            for name in made:
                os.replace(Path(temporary, name), directory / name)
        return [directory / name for name in made]

    def _render(self, folder: Path) -> None:
        """Write every file of the report into an empty folder."""
        from validation import plots

        content = json.dumps(_finite(self.metrics), indent=1, allow_nan=False, ensure_ascii=False)
        (folder / "metrics.json").write_text(content + "\n", encoding="utf-8")
        escape_cells(self.pairs).to_csv(folder / "pairs.csv", index=False, lineterminator="\n")
        (folder / "summary.md").write_text(summary(self.metrics), encoding="utf-8")
        for kind, figure in plots.figures(self.metrics, self.pairs).items():
            plots.save(figure, folder / f"{self.metrics['trait']}_{kind}")


def evaluate(
    estimates: pd.DataFrame,
    field: pd.DataFrame,
    *,
    trait: str = "lai",
    baselines: Sequence[Net] = (),
    name: str = "PhysVAE",
) -> Report:
    """Compare the estimates of one trait with what was measured.

    Parameters
    ----------
    estimates : DataFrame
        `<trait>`, and where there are any `<trait>_sd`, `<trait>_p025`, `<trait>_p975`, `quality`.
    field : DataFrame
        The field table (see `validation.fielddata`); matched as `validation.matchup` says.
    trait : str
        One of `validation.fielddata.MEASURED`.
    baselines : sequence of Net
        Networks to compare with, evaluated on the same rows of the field table.
    name : str
        What tables and figures call the estimates.

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
    names = [net.name for net in baselines]
    if len({name, *names}) <= len(names):
        raise UsageError(f"baseline: expected different names, got {', '.join([name, *names])}")
    pairs = pair(estimates, field, trait, list(baselines))
    metrics = {
        "schema": 1,
        **_called(trait),
        "name": name,
        "rows": {"field": len(field), "compared": len(pairs.rows), "estimates": len(estimates)},
        "dropped": {why: {"count": len(r), "rows": r} for why, r in pairs.dropped.items()},
        **collect(pairs.rows, trait, names),
    }
    return Report(metrics, pairs.rows)


def _called(trait: str) -> dict[str, str]:
    """Name, symbol and unit of a trait, from the one table of units."""
    from rtm.parameters import PRODUCTS, TRAITS

    parameter = {**TRAITS, **PRODUCTS}[trait]
    return {"trait": trait, "symbol": parameter.symbol, "unit": parameter.unit}


def _finite(value: object) -> object:
    """The same tree with None in place of NaN and infinity, which JSON cannot say."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
