"""Real spectra without labels: pixels, patches or series, from tables and Zarr stores.

Table (CSV, Parquet): a row a spectrum; columns are the bands, the angles, a group and a date.
Zarr group: `reflectance` [patch, y, x, band] with the attribute `bands`, reflectance 0-1, NaN
where missing, and `angles` [patch, 3] (tts, tto, psi) [degree] where they are known. Tar shards:
see `physvae.shards`.
"""

from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import zarr
from torch import Tensor

from physvae.config import Config, Spectra
from physvae.errors import InputError
from physvae.io.codecs import check_codecs
from physvae.shards import pixels_of, shard_patches
from physvae.tables.cells import without_fills
from physvae.tables.columns import nearest
from physvae.tables.dates import parse_date
from physvae.tables.reader import read_table
from rtm import GEOMETRY
from rtm.dialect import quotable
from rtm.parameters import canonical

HELD_OUT = 5  # every fifth group (or row, or patch) is kept for evaluation


class RealSpectra(NamedTuple):
    """Reflectance [n, ..., band], angles [n, ..., 3], NaN where missing; days [n, date]."""

    reflectance: Tensor
    angles: Tensor
    days: Tensor | None = None

    def take(self, rows: Tensor) -> "RealSpectra":
        """Some of the spectra, by numbers or by a mask [n]."""
        days = None if self.days is None else self.days[rows]
        return RealSpectra(self.reflectance[rows], self.angles[rows], days)

    def to(self, device: torch.device) -> "RealSpectra":
        """The same on a device."""
        days = None if self.days is None else self.days.to(device)
        return RealSpectra(self.reflectance.to(device), self.angles.to(device), days)

    @property
    def valid(self) -> Tensor:
        """Which of the spectra hold anything [n, ...]."""
        return self.reflectance.isfinite().any(-1)


def read_spectra(
    path: Path, entry: Spectra, bands: tuple[str, ...], plan: Any = None
) -> tuple[RealSpectra, Tensor]:
    """One source of spectra, and which of it is for training (the rest is held out).

    Parameters
    ----------
    path : Path
    entry : Spectra
        What the source's columns are called.
    bands : tuple of str
        Bands of the model; all must be there.
    plan : EncoderPlan, optional
        Of an encoder of patches or series; else single spectra are given.

    Raises
    ------
    InputError
        Where the source is not what the file of training says or the encoder needs.
    """
    kind = getattr(plan, "kind", "mlp")
    if path.suffix in (".zarr", ".tar") and kind == "temporal":
        raise InputError(f"{path}: expected a table with dates for a series, got patches")
    if path.suffix == ".tar":
        return _shard(path, entry, bands, plan.patch if plan and kind == "spatial" else None)
    if path.suffix == ".zarr":
        return _patches(path, bands, plan.patch if plan and kind == "spatial" else None)
    if kind == "spatial":
        raise InputError(f"{path}: expected a Zarr store of patches, got a table")
    table = _renamed(path, read_table(path), entry.columns)
    absent = {name.lower(): name for name in bands if name not in table}
    if absent:
        near = "".join(
            f'; where {name} is {ours}, say columns = {{ {ours} = "{name}" }}'
            for name in table
            if (ours := nearest(name, absent))
        )
        raise InputError(
            f"{path}: expected columns {', '.join(bands)}, got none of "
            f"{next(iter(absent.values()))}{near}"
        )
    if wordy := [name for name in bands if table[name].dtype == object]:
        raise InputError(f"{path}: expected numbers in column {wordy[0]}, got text")
    rows = len(table[bands[0]])
    gap = np.full(rows, np.nan)
    names = (entry.sun_zenith, "view_zenith_deg", "relative_azimuth_deg")
    angles = {known: name for name in table if (known := canonical(name, GEOMETRY))}
    found = [
        name if name in table else angles.get(str(canonical(name, GEOMETRY))) for name in names
    ]
    columns = [
        [without_fills(table[name], 10.0) for name in bands],
        [gap if name is None else table[name] for name in found],
    ]
    real = RealSpectra(*(torch.tensor(np.stack(c, -1), dtype=torch.float32) for c in columns))
    _, group = np.unique(_column(path, table, entry.group, np.arange(rows)), return_inverse=True)
    if kind == "temporal":
        real = _series(real, group, _days(path, table, entry))
        group = np.arange(len(real.reflectance))
    return real, torch.from_numpy(group % HELD_OUT != HELD_OUT - 1)


def read_all(config: Config, data: Path) -> RealSpectra:
    """All spectra for training that a configuration names; an empty set where it names none."""
    parts = []
    for entry in config.spectra:
        real, training = read_spectra(data / entry.file, entry, config.bands, config.encoder)
        parts.append(real.take(training))
    if not parts:
        return RealSpectra(torch.empty(0, len(config.bands)), torch.empty(0, 3))
    if parts[0].days is not None:
        longest = max(part.reflectance.shape[1] for part in parts)
        parts = [RealSpectra(*(_longer(column, longest) for column in part)) for part in parts]
        return RealSpectra(*(torch.cat(column) for column in zip(*parts, strict=True)))
    columns = zip(*(part[:2] for part in parts), strict=True)
    return RealSpectra(*(torch.cat(column) for column in columns))


def _renamed(path: Path, table: dict, columns: dict[str, str]) -> dict:
    """The table with the columns that the training file names under our names."""
    for theirs in columns.values():
        if theirs not in table:
            raise InputError(f"{path}: expected a column {theirs}, got {_listed(table)}")
    taken = set(columns.values())
    kept = {name: cells for name, cells in table.items() if name not in {*taken, *columns}}
    return kept | {ours: table[theirs] for ours, theirs in columns.items()}


def _listed(table: dict) -> str:
    return ", ".join(quotable(list(table)))


def _column(path: Path, table: dict, name: str | None, default: np.ndarray) -> np.ndarray:
    if name is None:
        return default
    if name not in table:
        raise InputError(f"{path}: expected a column {name}, got none")
    return table[name]


def _days(path: Path, table: dict, entry: Spectra) -> np.ndarray:
    """Days since 1970 of ISO dates, or the numbers of a column of days."""
    if entry.group is None or entry.date is None:
        raise InputError(f"{path}: expected `group` and `date` in the training file for a series")
    found = _column(path, table, entry.date, np.empty(0))
    if found.dtype != object:
        return found
    days = [parse_date(cell) for cell in found]
    if not all(isinstance(day, date) for day in days):
        raise InputError(f"{path}: {entry.date}: expected dates, got others")
    return np.array(days, dtype="datetime64[D]").astype(np.float64)


def _series(real: RealSpectra, group: np.ndarray, days: np.ndarray) -> RealSpectra:
    """Rows by group and date [group, date], filled up with NaN; days count from the group's
    first.
    """
    order = np.lexsort((days, group))
    _, first, count = np.unique(group[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, count)
    shape = (len(count), int(count.max()))
    x = torch.full((*shape, real.reflectance.shape[-1]), torch.nan)
    angles, day = torch.full((*shape, 3), torch.nan), torch.zeros(shape)
    row, column = torch.from_numpy(group[order]), torch.from_numpy(place)
    x[row, column], angles[row, column] = real.reflectance[order], real.angles[order]
    start = np.repeat(days[order][first], count)
    day[row, column] = torch.from_numpy(days[order] - start).float()
    return RealSpectra(x, angles, day)


def _longer(part: Tensor, dates: int) -> Tensor:
    """A series filled up to a number of dates: NaN for spectra and angles, 0 for days."""
    more = dates - part.shape[1]
    if part.dim() == 2:
        return torch.nn.functional.pad(part, (0, more))
    return torch.nn.functional.pad(part, (0, 0, 0, more), value=torch.nan)


def _patches(path: Path, bands: tuple[str, ...], size: int | None) -> tuple[RealSpectra, Tensor]:
    """Patches cut to `size` a side, or all pixels; every fifth patch is held out."""
    try:
        check_codecs(path)
        store: Any = zarr.open_group(path, mode="r")
        array = store["reflectance"]
        names = list(array.attrs.get("bands", store.attrs.get("bands", ())))
        values = np.asarray(array[:], dtype=np.float32)
        angles = np.asarray(store["angles"][:], np.float32) if "angles" in store else None
    except InputError:
        raise
    except Exception as error:  # zarr raises many kinds
        raise InputError(
            f"{path}: expected a Zarr group with reflectance [patch, y, x, band], "
            f"got {str(error)[:80]}"
        ) from None
    if values.ndim != 4 or set(bands) - set(names):
        raise InputError(f"{path}: expected reflectance [patch, y, x, band] with bands {bands}")
    x = torch.from_numpy(values[..., [names.index(band) for band in bands]])
    a = torch.full((len(x), 3), torch.nan) if angles is None else torch.from_numpy(angles)
    if size is not None:
        return _tiles(path, x, a, size)
    patch = torch.arange(len(x))[:, None, None].expand(x.shape[:-1]).flatten()
    x, a = x.flatten(0, 2), a[:, None, None].expand(*x.shape[:-1], 3).flatten(0, 2)
    return RealSpectra(x, a), patch % HELD_OUT != HELD_OUT - 1


def _tiles(path: Path, x: Tensor, angles: Tensor, size: int) -> tuple[RealSpectra, Tensor]:
    """Patches [patch, y, x, band] cut to squares of `size`, none of which overlap."""
    if min(x.shape[1:3]) < size:
        raise InputError(f"{path}: expected patches of {size} pixels or more, got smaller")
    tiles = x.unfold(1, size, size).unfold(2, size, size)  # [patch, row, column, band, y, x]
    count = tiles.shape[1] * tiles.shape[2]
    patch = torch.arange(len(x)).repeat_interleave(count)
    x = tiles.flatten(0, 2).movedim(1, -1)
    a = angles.repeat_interleave(count, 0)[:, None, None].expand(*x.shape[:-1], 3)
    return RealSpectra(x, a), patch % HELD_OUT != HELD_OUT - 1


def _shard(
    path: Path, entry: Spectra, bands: tuple[str, ...], size: int | None
) -> tuple[RealSpectra, Tensor]:
    """Some pixels of every patch, or the whole of it cut to `size`; its angles are not known."""
    parts, kept = [], []
    for i, patch in enumerate(shard_patches(path, entry, bands)):
        if size is None:
            x = torch.from_numpy(pixels_of(patch, entry.pixels, i)).float()
        else:
            whole = torch.from_numpy(patch).float().unsqueeze(0)
            x = _tiles(path, whole, torch.empty(1, 3), size)[0].reflectance
        parts.append(x)
        kept.append(torch.full((len(x),), i % HELD_OUT != HELD_OUT - 1))
    if not parts:
        raise InputError(f"{path}: expected samples NAME.zarr.zip, got none")
    x = torch.cat(parts)
    return RealSpectra(x, torch.full((*x.shape[:-1], 3), torch.nan)), torch.cat(kept)
