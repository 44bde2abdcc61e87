"""docs/emulation.md: its Python runs, its training files are valid, its figures are the cards'."""

import re
import tomllib
from pathlib import Path

import pytest

from physvae.emulation.plans import parse_plan
from physvae.emulation.store import load_emulator

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "emulation.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.S | re.M)


def test_the_python_of_the_page_runs():
    found: dict = {}
    for block in blocks("python"):
        exec(compile(block, "docs/emulation.md", "exec"), found)
    assert found["seen"].rso.shape == (2, 211)
    assert found["cube"].rso.dims == ("y", "x", "wavelength")
    assert not found["far"].any()


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_training_files_of_the_page_are_valid(text):
    plan = parse_plan(tomllib.loads(text), "docs/emulation.md")
    assert plan.name in ("prosail-crop", "scope")


@pytest.mark.parametrize("name", ["prosail-d", "prosail-d-1nm"])
def test_the_table_of_the_page_is_that_of_the_cards(name):
    figures = load_emulator(name).record["figures"]
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert float(cells[2]) == pytest.approx(figures["rmse"], rel=0.01)
    assert float(cells[3].rstrip("°")) == pytest.approx(figures["sam"], abs=5e-4)
    assert float(cells[4]) == pytest.approx(figures["r2_least"], abs=5e-6)
    assert float(cells[5]) == pytest.approx(figures["worst"], rel=0.01)
