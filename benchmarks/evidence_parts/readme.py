"""The tables of README.md that stand between two marks and come from the same rows."""

from pathlib import Path

from evidence_parts.measured import CANOPIES
from evidence_parts.sets import MODELS, SNAP, Gathered
from validation.set_tables import COLUMNS, cells

START, END = "<!-- make evidence: start -->", "<!-- make evidence: end -->"
KEYS = ("n", "rmse", "bias", "r", "coverage_95", "width_95", "sd_ranks_error")
TITLES = dict(zip(CANOPIES, ("farms", "NEON, ICOS, TERN", "Barrax"), strict=True))
PLACES = (
    *(("lai", name) for name in CANOPIES), ("fapar", "grounded_eo_dev"),
    ("fcover", "sparc_barrax_dev"), ("cab", "sparc_barrax_dev"), ("ccc", "sparc_barrax_dev"),
)  # fmt: skip


def write(path: Path, found: Gathered) -> None:
    """Put the table between the marks of a file; a file without marks stays as it is."""
    text = path.read_text("utf-8")
    if START in text and END in text:
        before, after = text.partition(START)[0], text.partition(END)[2]
        path.write_text(f"{before}{START}\n{table(found)}\n{END}{after}", "utf-8")


def table(found: Gathered) -> str:
    """Markdown of every shipped model and SNAP's networks on every trait that was measured."""
    place = [list(COLUMNS).index(key) + 3 for key in KEYS]
    heads = ["measured", "on", "by", *(COLUMNS[key][0] for key in KEYS), "in view"]
    lines = [heads, ["---"] * len(heads)]
    for trait, name in PLACES:
        for label in (*MODELS, SNAP):
            scored = found.tables[label]
            rows = scored[(scored["trait"] == trait) & (scored["set"] == name)]
            whole = rows[rows["by"] == ""]
            for row, seen in zip(cells(whole), whole["in_view"], strict=True):
                by = label if label == SNAP else f"`{label}`"
                lines.append([trait, TITLES[name], by, *(row[i] for i in place), str(seen)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
