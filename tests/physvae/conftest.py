"""A small model on made-up soils, quick to build, and what trains it."""

from pathlib import Path

import numpy as np
import pytest

from physvae.config import Config, parse_config

SMALL = {
    "name": "small",
    "sensor": "sentinel-2a",
    "bands": ["B3", "B4", "B8A"],
    "seed": 3,
    "tolerance": 0.01,
    "soil": {"files": ["soils.csv"], "components": 1},
    "prior": {
        "lai": {"mean": 2.0, "sd": 2.5, "low": 0.0, "high": 10.0},
        "cab": {"mean": 50.0, "sd": 15.0, "low": 10.0, "high": 90.0, "at_lai_15": [35.0, 90.0]},
        "cw": {"mean": 0.025, "sd": 0.02, "low": 0.0075, "high": 0.075},
        "ala": {"mean": 50.0, "sd": 12.0, "low": 25.0, "high": 80.0},
        "cv": {"mean": 0.5, "sd": 0.35, "low": 0.02, "high": 1.0, "at_lai_15": [0.31, 1.0]},
        "rsoil": {"mean": 1.0, "sd": 0.3, "low": 0.3, "high": 2.2},
        "soil_1": {"mean": 0.0, "sd": 1.0, "low": -3.0, "high": 3.0},
    },
    "encoder": {"width": 16, "depth": 1},
    "residual": {"latents": 2, "rank": 2, "width": 8},
    "spectra": [{"file": "spectra.csv"}],
    "optimiser": {"steps": 12, "simulations": 32, "spectra": 16, "checkpoint": 4},
    "products": {"simulations": 500, "steps": 50},
    "evaluation": {"simulations": 500},
}


@pytest.fixture(scope="session")
def made_up(tmp_path_factory) -> Path:
    """A data folder: six straight soil lines and sixty spectra between soil and leaf."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    grid = np.arange(400, 2501)
    lines = [a + b * (grid - 400) / 2100 for a, b in random.uniform(0.05, 0.3, (6, 2))]
    names = ",".join(f"soil_{i}" for i in range(6))
    np.savetxt(
        folder / "soils.csv", np.c_[grid, np.transpose(lines)], delimiter=",",
        header=f"wavelength,{names}", comments="", fmt="%.5f",
    )  # fmt: skip
    share = random.random((60, 1))
    spectra = share * [0.08, 0.05, 0.4] + (1 - share) * [0.12, 0.15, 0.25]
    np.savetxt(
        folder / "spectra.csv", np.c_[spectra, random.uniform(25, 60, 60)], delimiter=",",
        header="B3,B4,B8A,sun_zenith_deg", comments="", fmt="%.4f",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def small() -> Config:
    return parse_config(SMALL, "small")
