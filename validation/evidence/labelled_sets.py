"""The labelled sets of the development data, every row with what was measured and what it is.

A set has spectra, traits measured under them, and labels by which rows belong together: `group`
(site and date, acquisition, field) is left out as a whole wherever something is chosen, and so is
the set. A trait's definition says which quantity was measured; `rank_only` marks measurements of
which only the order is believed.

    field_dev         farms of four countries: green area (Switzerland), effective plant area (the
                      rest), which `lai_effective` is held against too
    grounded_eo_dev   NEON, ICOS and TERN: plant area and fAPAR with standard deviations
    sparc_barrax_dev  62 narrow bands: leaf and canopy chlorophyll, LAI, fCover
    ccc_dev           Swiss wheat: canopy chlorophyll by biomass, rank only
    leaf              leaves of four species: water and dry matter

A data folder without one of the files has one set fewer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from validation.field.definitions import definitions

NOON = 21.0
"""Sun zenith [degree] of the Barrax spectra, July noon, which their table does not give."""
APART = 22.0
"""Largest step [nm] between two measured bands across which a narrow band is interpolated."""
CENTERS = {
    "B2": 492.7, "B3": 559.8, "B4": 664.6, "B5": 704.1, "B6": 740.5, "B7": 782.8, "B8": 832.8,
    "B8A": 864.7, "B11": 1613.7, "B12": 2202.4,
}  # fmt: skip
NEAR = 14.0
"""Distance [nm] up to which a model's band is one of Sentinel-2's."""
LABELS = ("group", "place", "cover")


@dataclass(frozen=True)
class Target:
    """One measured trait of a set.

    Attributes
    ----------
    measured, spread : array [n]
        In the trait's unit, NaN where missing; `spread` is the measurement's standard deviation.
    definition : array [n] of text
        Which quantity was measured.
    rank_only : bool
        Only the order of the values is believed.
    """

    measured: np.ndarray
    spread: np.ndarray
    definition: np.ndarray
    rank_only: bool = False


@dataclass(frozen=True)
class LabelledSet:
    """Spectra with measured traits.

    Attributes
    ----------
    name : str
    frame : DataFrame [n]
        Bands of Sentinel-2 (`B2` ...) and angles.
    labels : DataFrame [n]
        Text: `group` (left out as a whole), `place` (site), `cover` (crop), empty where unknown.
    targets : dict of str to Target
        By trait.
    wavelength : array [narrow]
        Of narrow bands [nm], none for broad ones alone.
    narrow : array [n, narrow]
        Reflectance in narrow bands.
    leaves : bool
        Spectra of leaves and not of canopies.
    """

    name: str
    frame: pd.DataFrame
    labels: pd.DataFrame
    targets: dict[str, Target]
    wavelength: np.ndarray = field(default_factory=lambda: np.empty(0))
    narrow: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    leaves: bool = False

    def __len__(self) -> int:
        return len(self.frame)

    def inputs(self, bands: Sequence[str], center: Iterable[float]) -> pd.DataFrame | None:
        """A table for a model of these bands; None where the set has none of them.

        Broad bands are those of Sentinel-2 at the same wavelengths, whatever the model calls them.
        Narrow ones (`B410` ...) are interpolated to the centres [nm] where measured bands lie
        close on both sides, else missing.
        """
        angles = self.frame[[c for c in self.frame if str(c).endswith("_deg")]]
        centers = np.asarray(list(center), float)
        names = [broad_band(c) for c in centers]
        if all(names):
            pairs = zip(bands, names, strict=True)
            found = {band: self.frame[name] for band, name in pairs if name in self.frame}
            return pd.concat([pd.DataFrame(found), angles], axis=1) if found else None
        if not len(self.wavelength) or self.leaves:
            return None
        narrow = resampled(self.wavelength, self.narrow, centers)
        return pd.concat([pd.DataFrame(narrow, columns=list(bands)), angles], axis=1)


def broad_band(center: float) -> str | None:
    """The band of Sentinel-2 at a wavelength [nm], None where there is none.

    >>> broad_band(864.7), broad_band(1608.9), broad_band(900.0)
    ('B8A', 'B11', None)
    """
    name = min(CENTERS, key=lambda band: abs(CENTERS[band] - center))
    return name if abs(CENTERS[name] - center) <= NEAR else None


def resampled(wavelength: np.ndarray, spectra: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Spectra [n, center] by linear interpolation, NaN across gaps of more than `APART` nm.

    >>> resampled(np.array([400.0, 410.0, 500.0]), np.array([[0.1, 0.2, 0.3]]),
    ...           np.array([405.0, 450.0, 600.0])).round(3).tolist()
    [[0.15, nan, nan]]
    """
    place = np.searchsorted(wavelength, center).clip(1, len(wavelength) - 1)
    left, right = wavelength[place - 1], wavelength[place]
    share = (center - left) / (right - left)
    found = spectra[:, place - 1] * (1 - share) + spectra[:, place] * share
    close = (share >= 0) & (share <= 1) & (right - left <= APART)
    return np.where(close, found, np.nan)


def labelled_sets(folder: str | Path) -> list[LabelledSet]:
    """All sets that a data folder has, in the order of the module's head."""
    folder = Path(folder)
    makers = {
        "field/field_dev.csv": _farms,
        "field/grounded_eo_dev.csv": _grounded,
        "field/sparc_barrax_dev.csv": _barrax,
        "field/ccc_dev.csv": _wheat,
        "leaf/traits.csv": _leaves,
    }
    return [make(folder / name) for name, make in makers.items() if (folder / name).is_file()]


def _farms(path: Path) -> LabelledSet:
    table = pd.read_csv(path)
    when = table["site"] + " " + table["field_date"].astype(str)
    kind = definitions(table).to_numpy(object)
    targets = {"lai": _target(table, "lai", kind)}
    targets["lai_effective"] = _effective(targets["lai"])
    return LabelledSet(path.stem, _optics(table), _labels(when, table.site, table.crop), targets)


def _effective(target: Target) -> Target:
    """The rows of which an effective quantity was measured."""
    kept = np.array([str(kind).endswith("eff") for kind in target.definition])
    return Target(np.where(kept, target.measured, np.nan), target.spread, target.definition)


def _grounded(path: Path) -> LabelledSet:
    table = pd.read_csv(path)
    group = "acquisition " + table["acquisition_group"].astype(str)
    targets = {
        "lai": _target(table, "lai", "PAI"),
        "fapar": _target(table, "fapar", "fAPAR of all parts"),
    }
    return LabelledSet(path.stem, _optics(table), _labels(group, path.stem, ""), targets)


def _barrax(path: Path) -> LabelledSet:
    table = pd.read_csv(path)
    bands = [c for c in map(str, table) if c.startswith("R") and c[1:2].isdigit()]
    broad = table[[c for c in map(str, table) if c.endswith("_like")]]
    frame = broad.rename(columns=lambda name: name.removesuffix("_like"))
    frame = frame.assign(
        sun_zenith_deg=table["sun_zenith_deg"].fillna(NOON),
        view_zenith_deg=table["view_zenith_deg"],
    )
    targets = {
        "lai": _target(table, "lai", "LAI"),
        "cab": _target(table, "cab_ug_cm2", "leaf, or mean of the field"),
        "ccc": _target(table, "ccc_g_m2", "lai · cab of the field"),
        "fcover": _target(table, "fcover", "by photographs"),
    }
    return LabelledSet(
        path.stem, frame, _labels("field " + table["field"], "Barrax", ""), targets,
        np.array([float(c[1:]) for c in bands]), table[bands].to_numpy(float),
    )  # fmt: skip


def _wheat(path: Path) -> LabelledSet:
    table = pd.read_csv(path)
    when = table["site"] + " " + table["field_date"].astype(str)
    targets = {"ccc": _target(table, "ccc_g_m2", "by biomass", rank_only=True)}
    return LabelledSet(path.stem, _optics(table), _labels(when, table.site, table.crop), targets)


def _leaves(path: Path) -> LabelledSet:
    table = pd.read_csv(path).set_index("leaf_id")
    spectra = pd.read_csv(path.with_name("reflectance_500_2400.csv")).set_index("leaf_id")
    table = table.loc[spectra.index]
    targets = {
        "cw": _target(table, "ewt_g_cm2", "of a leaf"),
        "cm": _target(table, "lma_g_cm2", "of a leaf"),
    }
    species = table["common_name"].reset_index(drop=True)
    return LabelledSet(
        "leaf", pd.DataFrame(index=range(len(table))), _labels(species, "leaf", species), targets,
        spectra.columns.to_numpy(float), spectra.to_numpy(float), leaves=True,
    )  # fmt: skip


def _optics(table: pd.DataFrame) -> pd.DataFrame:
    """Bands and angles of a table, relative azimuth and zeniths."""
    angles = ("sun_zenith_deg", "view_zenith_deg", "relative_azimuth_deg")
    bands = [c for c in map(str, table) if c[0] == "B" and c[1:].removesuffix("A").isdigit()]
    return table[[*bands, *angles]].copy()


def _labels(group: pd.Series, place: object, cover: object) -> pd.DataFrame:
    labels = pd.DataFrame({"group": group, "place": place, "cover": cover})
    return labels.fillna("").astype(str).reset_index(drop=True)


def _target(
    table: pd.DataFrame, column: str, definition: object, *, rank_only: bool = False
) -> Target:
    spread = table.get(f"{column}_std", pd.Series(np.nan, table.index)).to_numpy(float)
    kind = np.broadcast_to(np.asarray(definition, object), len(table))
    return Target(table[column].to_numpy(float), spread, kind, rank_only)
