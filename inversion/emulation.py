"""A map of traits to a cube of spectra, by an emulator, lazily.

Dataset of named inputs [y, x] ─▶ rso, rso_sd [y, x, wavelength | band], outside [y, x]
"""

import numpy as np
import torch
import xarray as xr

from physvae.emulation.emulator import Emulator
from physvae.emulation.store import load_emulator
from physvae.errors import InputError

_ROWS = 16384  # canopies at a time: what their spectra take stays small beside a chunk
_ABOUT = {
    "rso": "bidirectional reflectance factor",
    "rdo": "hemispherical-directional reflectance factor",
    "rsd": "directional-hemispherical reflectance factor",
    "rdd": "bihemispherical reflectance factor",
}


def emulate_map(
    inputs: xr.Dataset, emulator: str | Emulator = "prosail-d", *, error: bool = True,
    extrapolate: bool = False, **constant: float,
) -> xr.Dataset:  # fmt: skip
    """Spectra of every cell of a map.

    Parameters
    ----------
    inputs : Dataset
        A variable for every input of the emulator, by its name and in its unit (lai, cab, …, tts,
        tto, psi), of any dimensions, which broadcast. With dask arrays the result is lazy; a
        chunk of a million cells is a gigabyte of spectra at 211 wavelengths.
    emulator : str or Emulator
        "prosail-d", "prosail-d-1nm", a folder, or an emulator, as of `Emulator.seen_by` or
        `with_factors`.
    error : bool
        Whether the standard error of rso is computed.
    extrapolate : bool
        Whether cells outside the emulator's box are computed; else they are NaN.
    **constant : float
        Inputs that are the same everywhere.

    Returns
    -------
    Dataset
        The emulator's factors and `rso_sd` [..., wavelength | band] in float32, `outside` [...],
        true where an input lies outside the box. A cell with a missing input is NaN, and not
        outside.

    Raises
    ------
    InputError
        An input that is missing or given twice, or a constant that is no input.
    """
    model = load_emulator(emulator) if isinstance(emulator, str) else emulator
    arrays = _arrays(inputs, model, constant)
    axis, labels = _axis(model)
    names = [*model.factors, *(["rso_sd"] if error else [])]
    found = xr.apply_ufunc(
        _spectra, *arrays, kwargs={"model": model, "error": error, "extrapolate": extrapolate},
        output_core_dims=[*([axis] for _ in names), []], dask="parallelized",
        output_dtypes=[*(np.float32 for _ in names), np.bool_],
        dask_gufunc_kwargs={"output_sizes": {axis: len(labels)}}, keep_attrs=False,
    )  # fmt: skip
    made = xr.Dataset(dict(zip([*names, "outside"], found, strict=True)))
    made = made.transpose(*_order(inputs), axis, missing_dims="ignore")
    made = made.assign_coords({axis: (axis, labels, {"units": "nm"} if axis[0] == "w" else {})})
    for name in names:
        text = _ABOUT.get(name, "standard error of emulation of rso")
        made[name].attrs |= {"units": "1", "long_name": text}
    made["outside"].attrs["long_name"] = "an input is outside the box of the emulator"
    made.attrs |= {"emulator": model.name, "emulator_sha256": model.sha256}
    return made


def _arrays(inputs: xr.Dataset, model: Emulator, constant: dict) -> list:
    """The inputs in the emulator's order."""
    wanted = (*model.space.names, *model.geometry.names)
    if strange := set(constant) - set(wanted):
        raise InputError(
            f"{min(strange)}: expected one of {', '.join(wanted)}, got an unknown name"
        )
    if twice := set(constant) & set(inputs.variables):
        raise InputError(f"{min(twice)}: expected in the map or as a constant, got both")
    missing = [name for name in wanted if name not in inputs and name not in constant]
    if missing:
        raise InputError(
            f"inputs: expected variables {', '.join(wanted)}, found none for {', '.join(missing)}"
        )
    return [constant[name] if name in constant else inputs[name] for name in wanted]


def _order(inputs: xr.Dataset) -> list:
    """Dimensions as the variable with most of them has them, then the others."""
    widest = sorted(inputs.data_vars.values(), key=lambda v: -v.ndim)
    return list(dict.fromkeys(dim for variable in widest for dim in variable.dims))


def _axis(model: Emulator) -> tuple[str, np.ndarray]:
    if model.band is not None:
        return "band", np.array(model.band)
    assert model.wavelength is not None
    return "wavelength", model.wavelength.numpy()


def _spectra(
    *values: np.ndarray, model: Emulator, error: bool, extrapolate: bool
) -> tuple[np.ndarray, ...]:
    """Arrays of inputs to arrays of spectra, block by block."""
    whole = np.broadcast_arrays(*values)
    shape = whole[0].shape
    rows = torch.from_numpy(np.stack([v.ravel() for v in whole], -1).astype(np.float32))
    size, cut = len(_axis(model)[1]), len(model.space)
    made = [np.empty((len(rows), size), np.float32) for _ in range(len(model.factors) + error)]
    flags = np.zeros(len(rows), bool)
    for start in range(0, len(rows), _ROWS):
        here = slice(start, start + _ROWS)
        theta, angles = rows[here, :cut], rows[here, cut:]
        known = rows[here].isfinite().all(-1)
        with torch.inference_mode():
            outside = model.outside(theta, angles) & known
            result = model(theta, angles)
            spectra = [getattr(result, name) for name in model.factors]
            if error:
                spectra.append(model.standard_error(theta, angles))
        flags[here] = outside.numpy()
        empty = ~known if extrapolate else ~known | outside
        for array, part in zip(made, spectra, strict=True):
            array[here] = part.masked_fill(empty.unsqueeze(-1), torch.nan).numpy()
    return (*(array.reshape(*shape, size) for array in made), flags.reshape(shape))
