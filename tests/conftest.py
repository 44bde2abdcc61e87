"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

collect_ignore = ["references"]  # scripts that made data, to be run by hand


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of reference data: PHYSVAE_DATA, else ../shared/data; skips where absent."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("PHYSVAE_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"reference data not found: expected the folder {folder}")
    return folder
