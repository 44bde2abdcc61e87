"""Parameters and spectra of any code, from a table or a Zarr store."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from physvae.emulation.plans import TablePlan
from physvae.errors import InputError
from physvae.io.codecs import check_codecs
from physvae.tables.reader import read_table

_PRODUCTS = ("fapar", "fapar_diffuse", "fcover")


class Pairs(NamedTuple):
    """parameters [row, name], spectra [row, wavelength | band], and what the columns are."""

    names: tuple[str, ...]
    parameters: np.ndarray
    spectra: np.ndarray
    wavelength: np.ndarray | None
    bands: tuple[str, ...] | None


def read_pairs(path: Path, plan: TablePlan) -> Pairs:
    """Read what a training file names.

    Raises
    ------
    InputError
        A file that is missing or of another kind; no spectra or no parameters in it; a column
        that is named and not there; a cell that is empty or no number.
    """
    if path.suffix.rstrip("/") == ".zarr":
        found = _from_store(path, plan)
    else:
        found = _from_columns(path, read_table(path), plan)
    for name, values in zip(found.names, found.parameters.T, strict=True):
        _finite(path, name, values)
    _finite(path, "spectra", found.spectra)
    return found


def _from_columns(path: Path, columns: dict[str, np.ndarray], plan: TablePlan) -> Pairs:
    numeric = [name for name, values in columns.items() if values.dtype != object]
    if plan.bands:
        _present(path, plan.bands, numeric)
        spectral, wavelength = list(plan.bands), None
    else:
        spectral = sorted((name for name in numeric if _nm(name) is not None), key=float)
        wavelength = np.array([float(name) for name in spectral])
    if not spectral:
        raise InputError(
            f"{path}: expected spectra in columns named by nm, or bands in the training file, "
            f"got {', '.join(list(columns)[:12])}"
        )
    names = _parameters(path, plan, [n for n in numeric if n not in spectral])
    return Pairs(
        names, np.column_stack([columns[name] for name in names]),
        np.column_stack([columns[name] for name in spectral]),
        wavelength, None if wavelength is not None else tuple(spectral),
    )  # fmt: skip


def _from_store(path: Path, plan: TablePlan) -> Pairs:
    import zarr

    try:
        check_codecs(path)
        group: Any = zarr.open_group(path, mode="r")
        arrays = dict(group.arrays())
    except InputError:
        raise
    except Exception as error:  # zarr raises many kinds
        raise InputError(f"{path}: expected a Zarr store, got {str(error)[:80]}") from None
    if plan.spectra not in arrays or arrays[plan.spectra].ndim != 2:
        raise InputError(
            f"{path}: expected the array {plan.spectra} [row, wavelength], "
            f"got {', '.join(sorted(arrays)) or 'none'}"
        )
    spectra = np.asarray(arrays[plan.spectra][:], dtype=np.float64)
    rows, size = spectra.shape
    axis = next((n for n in ("wavelength", "band") if n in arrays), None)
    labels = np.asarray(arrays[axis][:]) if axis else np.arange(size)
    single = [n for n, a in arrays.items() if a.ndim == 1 and a.shape == (rows,) and n != axis]
    names = _parameters(path, plan, sorted(single))
    values = np.column_stack([np.asarray(arrays[n][:], dtype=np.float64) for n in names])
    if axis == "wavelength":
        return Pairs(names, values, spectra, labels.astype(np.float64), None)
    return Pairs(names, values, spectra, None, tuple(str(label) for label in labels))


def _parameters(path: Path, plan: TablePlan, there: list[str]) -> tuple[str, ...]:
    if plan.parameters:
        _present(path, plan.parameters, there)
    names = plan.parameters or tuple(name for name in there if name not in _PRODUCTS)
    if not names:
        raise InputError(f"{path}: expected columns of parameters beside the spectra, got none")
    return tuple(names)


def _present(path: Path, wanted: tuple[str, ...], there: list[str]) -> None:
    missing = [name for name in wanted if name not in there]
    if missing:
        raise InputError(f"{path}: expected a column of numbers {missing[0]}, found none")


def _nm(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def _finite(path: Path, name: str, values: np.ndarray) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise InputError(f"{path}: row {row + 1}: {name}: expected a number, got an empty cell")
