"""What README.md says between two marks: scores of the shipped models and of SNAP's networks."""

from pathlib import Path

from evidence_parts.measured import CANOPIES, against
from evidence_parts.sets import MODELS, SNAP, Gathered, lines

START, END = "<!-- make evidence: start -->", "<!-- make evidence: end -->"
TITLES = dict(zip(CANOPIES, ("farms", "NEON, ICOS, TERN", "Barrax"), strict=True))
PLACES = (
    *(("lai", name) for name in CANOPIES), ("fapar", "grounded_eo_dev"),
    ("fcover", "sparc_barrax_dev"), ("cab", "sparc_barrax_dev"), ("ccc", "sparc_barrax_dev"),
)  # fmt: skip
HEADS = ["measured", "on", "by", "n", "RMSE", "bias", "r", "95 % holds", "width", "sd ~ error",
         "in view"]  # fmt: skip
KEPT = [2, 3, 5, 6, 8, 9, 12, 15]
"""Places of `HEADS` from the fourth on in the cells of `lines`."""


def write(path: Path, found: Gathered) -> None:
    """Put the text between the marks of a file; a file without marks stays as it is."""
    text = path.read_text("utf-8")
    if START in text and END in text:
        before, after = text.partition(START)[0], text.partition(END)[2]
        path.write_text(f"{before}{START}\n{between(found)}\n{END}{after}", "utf-8")


def between(found: Gathered) -> str:
    """Scores by set, by class of LAI, and differences to SNAP's networks."""
    scored = []
    for trait, name in PLACES:
        scored += [[trait, TITLES[name], *row] for row in ours(lines(found, trait, name))]
    for row in ours(lines(found, "lai", "all", "LAI"), classes=True):
        scored.append(["lai", f"all, {row.pop(0)}", *row])
    columns = [("lai", CANOPIES[0]), ("lai", CANOPIES[1]), ("fapar", CANOPIES[1])]
    heads = ["RMSE less SNAP's", *(f"{trait}, {TITLES[name]}" for trait, name in columns)]
    less = {(m, t, s): by[SNAP] for m, t, s, by in against(found) if SNAP in by}
    able = [name for name in MODELS if (name, *columns[0]) in less]
    rows = [[f"`{name}`", *(less[name, t, s] for t, s in columns)] for name in able]
    words = "On the same rows, below 0 where ours is smaller (95 % by bootstrap over groups):"
    return f"{markdown([HEADS, *scored])}\n\n{words}\n\n{markdown([heads, *rows])}"


def markdown(rows: list[list[str]]) -> str:
    """A table whose first row is its head."""
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in ruled)


def ours(rows: list[list[str]], *, classes: bool = False) -> list[list[str]]:
    """The cells of shipped models and SNAP's networks; before them the class where wanted."""
    found = []
    for row in rows:
        if row[0] in (*MODELS, SNAP):
            by = row[0] if row[0] == SNAP else f"`{row[0]}`"
            found.append([*([row[1]] if classes else []), by, *(row[i] for i in KEPT)])
    return found
