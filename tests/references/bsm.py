"""Writes bsm.json, and the table of soil vectors, from the package SPART-python.

    pip download --no-deps SPART-python==1.0.9
    python tests/references/bsm.py WHEEL TABLE.csv [soil-bsm.safetensors]

TABLE.csv holds the arrays of the package's optical_params, columns wl, gsv_1, gsv_2, gsv_3, Kw and
nw: they come in a format that nothing in this repository opens. The package is GPL-3; its numbers
are compared with, its code is not part of this one.
"""

import hashlib
import json
import sys
import tempfile
import zipfile
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
SETS = [
    (0.5, 25.0, 45.0, 5.0), (0.5, 25.0, 45.0, 25.0), (0.3, 20.0, 65.0, 10.0),
    (0.7, 40.0, 55.0, 55.0), (0.6, 35.0, 50.0, 40.0), (0.1, 30.0, 60.0, 30.0),
    (0.5, -10.0, 100.0, 25.0),
]  # fmt: skip
EVERY = 50


def constants(table: Path) -> dict[str, np.ndarray]:
    """The package's spectral constants, float64, every one as a column."""
    columns = np.genfromtxt(table, delimiter=",", names=True)
    vectors = np.stack([columns[f"gsv_{i}"] for i in (1, 2, 3)], 1)
    rest = {name: columns[name][:, None] for name in ("wl", "Kw", "nw")}
    return {"GSV": vectors, **rest}


def main(wheel: Path, exported: Path, table: Path | None) -> None:
    """Run the package on SETS and write every 50th nm."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        sys.path.insert(0, folder)
        spec = constants(exported)
        model = import_module("SPART.BSM").BSM
        soils = []
        for b, lat, lon, moisture in SETS:
            soil = SimpleNamespace(
                B=b, lat=lat, lon=lon, SMp=moisture, SMC=25, film=0.015, rdry_set=False
            )
            found = model(soil, spec)
            soils.append({
                "bsm_brightness": b, "bsm_lat": lat, "bsm_lon": lon, "smc": moisture,
                "dry": found.refl_dry[::EVERY, 0].tolist(), "wet": found.refl[::EVERY, 0].tolist(),
            })  # fmt: skip
    written = {
        "package": "SPART-python 1.0.9",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "wavelength": spec["wl"][::EVERY, 0].tolist(),
        "water_absorption": spec["Kw"][::EVERY, 0].tolist(),
        "water_refractive_index": spec["nw"][::EVERY, 0].tolist(),
        "soils": soils,
    }
    (HERE / "bsm.json").write_text(json.dumps(written, indent=1) + "\n", "utf-8")
    if table is not None:
        columns = {f"gsv_{i + 1}": spec["GSV"][:, i].copy() for i in range(3)}
        water = {"water_refractive_index": spec["nw"][:, 0].copy()}
        save_file({"wavelength": spec["wl"][:, 0].copy(), **columns, **water}, table)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
