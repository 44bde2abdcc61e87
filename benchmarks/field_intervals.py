"""The intervals that a model states for measurements, found anew on all labelled sets.

    python benchmarks/field_intervals.py [MODEL] [--methods amortised,lut] [--data D] [--write]

MODEL is a shipped name or a folder. The table says, for each method and trait, the numbers found
on all sets, and what such numbers do on rows whose set, or whose group, was left out of finding
them. With --write the folder's config.json states them from then on (its weights stay as they
are); the lines for the training file are printed.
"""

import argparse
import json
import os
from pathlib import Path

import physvae
from physvae.field_interval import FieldInterval
from physvae.io.artifacts import names_in
from physvae.io.files import write_atomically
from physvae.store import SHIPPED
from validation.evidence.field_intervals import METHODS, field_intervals, left_out, posterior_rows
from validation.evidence.labelled_sets import labelled_sets
from validation.evidence.set_scores import score_table
from validation.evidence.set_tables import HEADS, aligned, cells

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHYSVAE_DATA", ROOT.parent / "shared" / "data"))
Laws = dict[str, dict[str, FieldInterval]]


def main() -> None:
    """Print the tables, and write what was found where that is wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default="sentinel-2")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    model, sets = physvae.load(options.model), labelled_sets(options.data)
    laws: Laws = {}
    for method in options.methods.split(","):
        rows = posterior_rows(model, sets, method)
        laws[method] = field_intervals(rows, model.traits)
        print(f"\n{method}")
        for trait, law in laws[method].items():
            print(f"  {trait} = {toml(law)}")
        for by in ("set", "group"):
            print(f"{by} left out")
            print(judged(model, rows, by))
    if options.write:
        write(folder_of(options.model), laws)


def judged(model, rows, by: str) -> str:
    """Scores of intervals that were found without the row's set or group."""
    tables = []
    for trait, part in rows.groupby("trait", sort=False):
        bounds = model.traits[trait]
        found = left_out(part, by, float(bounds.low), float(bounds.high))
        table = score_table(found) if len(found) else None
        if table is not None:
            tables += cells(table[table["by"].isin(["", "LAI"])])
    return aligned(HEADS, tables)


def toml(law: FieldInterval) -> str:
    """A law as an inline table of TOML."""
    given = law.model_dump()
    return "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in given.items()) + " }"


def folder_of(name: str) -> Path:
    """The folder of a shipped model or the folder itself."""
    return SHIPPED / name if name in names_in(SHIPPED) else Path(name)


def write(folder: Path, laws: Laws) -> None:
    """State the laws in config.json; methods that were not asked for keep theirs."""
    path = folder / "config.json"
    record = json.loads(path.read_text("utf-8"))
    kept = record["training"]["calibration"]
    made = {m: {t: law.model_dump() for t, law in of.items()} for m, of in laws.items()}
    kept["field"] = made.pop("amortised", kept["field"])
    kept["methods"] = {**kept.get("methods", {}), **made}
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode())
    print(f"written: {path}")


if __name__ == "__main__":
    main()
