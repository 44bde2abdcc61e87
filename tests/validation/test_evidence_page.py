"""The page of `make evidence` from made-up rows: what it replaces, and whose numbers it shows."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def parts():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from evidence_parts import measured, readme, sets

    yield measured, readme, sets
    sys.path.remove(str(ROOT / "benchmarks"))


def rows(error: float, name: str) -> pd.DataFrame:
    measured = np.linspace(0.1, 5.9, 60)
    made = {"set": name, "row": range(60), "trait": "lai", "group": np.arange(60) // 6}
    made |= {"place": "", "cover": "", "definition": "LAI", "rank_only": False}
    made |= {"measured": measured, "measured_std": np.nan, "estimate": measured + error}
    table = pd.DataFrame(made | {"sd": 0.5, "quality": 0}).astype({"group": str})
    return table.assign(lower=table["estimate"] - 1, upper=table["estimate"] + 1)


@pytest.fixture(scope="module")
def found(parts):
    _, _, sets = parts
    names = ("field_dev", "grounded_eo_dev")
    both = lambda e: pd.concat([rows(e, n) for n in names] + [_fapar(e)])  # noqa: E731
    ours = {name: both(0.5) for name in (*sets.MODELS, "sentinel-2, lut")}
    made = sets.Gathered([], {}, ours, {sets.SNAP: both(1.5)})
    for label, part in {**made.ours, **made.theirs}.items():
        table = sets.score_table(part)
        made.tables[label] = table.assign(method=label, in_view="PNIv")
    return made


def _fapar(error: float) -> pd.DataFrame:
    return rows(error, "grounded_eo_dev").assign(trait="fapar")


def test_only_what_stands_between_the_marks_is_replaced(parts, found, tmp_path):
    _, readme, _ = parts
    page, other = tmp_path / "README.md", tmp_path / "other.md"
    page.write_text(f"before\n{readme.START}\nstale words\n{readme.END}\nafter\n", "utf-8")
    other.write_text("no marks\n", "utf-8")
    for path in (page, other):
        readme.write(path, found)
    text = page.read_text("utf-8")
    assert text.startswith(f"before\n{readme.START}\n| measured |")
    assert text.endswith(f"{readme.END}\nafter\n")
    assert "stale words" not in text
    assert "| lai | farms | SNAP's net | 60 | 1.5 | +1.5 | 1.00 | 0% | 2 | – | PNIv |" in text
    assert other.read_text("utf-8") == "no marks\n"


def test_a_difference_is_below_zero_where_ours_is_smaller(parts, found):
    measured, _, sets = parts
    name, trait, where, by = measured.against(found)[0]
    assert (name, trait, where) == ("sentinel-2", "lai", "field_dev")
    assert by[sets.SNAP].startswith("-1 (-1 to -1)")
    assert by[measured.LUT].startswith("+0")


def test_a_table_of_a_class_names_it(parts, found):
    _, _, sets = parts
    of = [row for row in sets.lines(found, "lai", "all", "LAI") if row[0] == "sentinel-2"]
    assert [row[1] for row in of] == ["LAI 0–0.5", "LAI 0.5–2", "LAI 2–4", "LAI > 4"][-len(of) :]
    assert len(of) >= 3
