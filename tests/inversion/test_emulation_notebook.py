"""docs/emulation.ipynb: runs from top to bottom, and still prints what it prints on the page."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).resolve().parents[2] / "docs" / "emulation.ipynb"


def texts(notebook) -> list[list[str]]:
    """What each cell prints."""
    return [
        [out["text"] for out in cell.get("outputs", ()) if out.get("name") == "stdout"]
        for cell in notebook.cells
    ]


def pictures(notebook) -> int:
    return sum(
        "image/png" in out.get("data", {})
        for cell in notebook.cells
        for out in cell.get("outputs", ())
    )


@pytest.mark.slow
def test_the_notebook_runs_and_its_numbers_stand(tmp_path, monkeypatch):
    """Printed figures have few digits, so that rounding of another machine does not show."""
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the notebook's own shows the plots
    stored = nbformat.read(PATH, as_version=4)
    nbformat.validate(stored)
    fresh = nbformat.read(PATH, as_version=4)
    client = NotebookClient(
        fresh, kernel_name="python3", timeout=600, startup_timeout=300,
        resources={"metadata": {"path": str(tmp_path)}},
    )  # fmt: skip
    client.execute()
    assert texts(fresh) == texts(stored)
    assert pictures(fresh) == pictures(stored) == 2
