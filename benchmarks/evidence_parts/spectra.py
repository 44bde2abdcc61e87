"""Real spectra of the reference data as tables: crops, forest, and pixels of two places."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BARBELLINO = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
STRICKHOF = ("B2", "B3", "B4", "B5", "B6", "B7", "B8A", "B11", "B12", "SCL")
SUN = {"2017": 26.1, "2019": 28.9}
"""Sun zenith of the Barbellino chips [degree], as their notes have it."""


def spectra(model: Any, data: Path) -> dict[str, pd.DataFrame]:
    """Real spectra by name; the Strickhof chips lack B8, all others have every band."""
    crops = pd.read_csv(data / "unlabelled" / "crops.csv")
    forest = pd.read_csv(data / "unlabelled" / "forest_austria_2018.csv")
    forest = forest.rename(columns={"sun_zenith_deg_calc": "sun_zenith_deg"})
    bands, rasters = list(model.bands), data / "rasters"
    sets = {"crops": crops.dropna(subset=bands), "forest, Austria": forest.dropna(subset=bands)}
    for path in sorted(rasters.glob("*Barbellino_BOA_10.tif")):
        sets[f"Barbellino {path.name[6:10]}"] = barbellino(path)
    sets["Strickhof 2022"] = pd.concat(map(strickhof, sorted(rasters.glob("Strickhof_*.tif"))))
    return {name: frame.reset_index(drop=True) for name, frame in sets.items() if len(frame)}


def barbellino(path: Path) -> pd.DataFrame:
    """Vegetation and soil pixels of a chip with all bands."""
    import rasterio

    with rasterio.open(path) as image, rasterio.open(str(path).replace("BOA", "SCL")) as scene:
        stored = image.read().astype(float)
        classes = scene.read(1, out_shape=image.shape)
    frame = pd.DataFrame(stored.reshape(len(stored), -1).T, columns=list(BARBELLINO))
    good = np.isin(classes.ravel(), (4, 5)) & (frame != 65535).all(axis=1)
    day = f"{path.name[6:10]}-{path.name[10:12]}-{path.name[12:14]}"
    return (frame[good] * 1e-4).assign(sun_zenith_deg=SUN[day[:4]], image_date=day)


def strickhof(path: Path) -> pd.DataFrame:
    """Vegetation and soil pixels of a chip without B8; its sun zenith is not known."""
    import rasterio

    with rasterio.open(path) as image:
        stored = image.read().astype(float)
    frame = pd.DataFrame(stored.reshape(len(stored), -1).T, columns=list(STRICKHOF))
    good = frame["SCL"].isin((4, 5)) & (frame != -9999).all(axis=1)
    chip = frame[good].drop(columns="SCL") * 1e-4
    stamp = path.name.split("_")[3][:8]
    day = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:]}"
    return chip.assign(sun_zenith_deg=np.nan, image_date=day)
