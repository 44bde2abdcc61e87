r"""Can the physics follow real spectra? The decodings of the posterior, band by band.

With x the measured and x̂ the decoded reflectance of band l, over spectra i,

    RMSE_l = √(Σᵢ (x̂ᵢₗ − xᵢₗ)² / N),   bias_l = Σᵢ (x̂ᵢₗ − xᵢₗ) / N,
    error  = mean over l of (RMSE_l / sd_l)²,   sd_l that of the spectra themselves.

``physical`` is PROSAIL at the posterior's centre, ``alone`` the mean of PROSAIL over the
posterior in which it must explain the spectrum by itself (`physvae.inference.physics_alone`),
``total`` with all that is learned beside it. The first two show where PROSAIL cannot follow, the
last what is left.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from inversion.tables import retrieve_table

BLOCK = 2000
DECODINGS = ("total", "physical", "alone")


class Reconstructed(NamedTuple):
    """Spectra and their decodings [n, band], and whether the model flags a misfit [n]."""

    measured: np.ndarray
    total: np.ndarray
    physical: np.ndarray
    alone: np.ndarray
    flagged: np.ndarray


def reconstruct(model, frame: pd.DataFrame, *, source: str = "spectra") -> Reconstructed:
    """The decodings of every row; a band the table has not is NaN where it is measured.

    Parameters
    ----------
    model
        A loaded model.
    frame : DataFrame
        Bands 0-1 and angles [degree]; missing angles are allowed.
    """
    import torch

    from inversion.geometry import COLUMNS
    from inversion.quality import Quality
    from physvae.inference import physics_alone

    bands = frame.reindex(columns=list(model.bands)).to_numpy(float, copy=True)
    none = pd.Series(np.nan, frame.index)
    angles = np.stack([frame.get(COLUMNS[a], none).to_numpy(float) for a in model.angles], axis=-1)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in DECODINGS}
    for start in range(0, len(frame), BLOCK):
        block = slice(start, start + BLOCK)
        given = [torch.as_tensor(a[block], dtype=torch.float32) for a in (bands, angles)]
        with torch.no_grad():
            decoded = model.reconstruct(*given)._asdict()
            decoded["alone"] = physics_alone(model, given[0], given[1])
        for name, values in parts.items():
            values.append(decoded[name].double().cpu().numpy())
    estimates = retrieve_table(frame, model=model, variables=("lai",), source=source)
    misfit = (estimates["quality"].to_numpy() & np.uint16(Quality.SPECTRUM_MISFIT)) > 0
    total, physical, alone = (np.concatenate(parts[name]) for name in DECODINGS)
    return Reconstructed(bands, total, physical, alone, misfit)


def by_band(found: Reconstructed, bands: tuple[str, ...]) -> pd.DataFrame:
    """RMSE and bias of both decodings and the spectra's own sd, a row a band that was measured."""
    seen = np.isfinite(found.measured).any(axis=0)
    measured = found.measured[:, seen]
    names = [bands[place] for place in np.flatnonzero(seen)]
    table = pd.DataFrame({"band": names, "sd": np.nanstd(measured, axis=0)})
    for name in ("total", "physical"):
        error = getattr(found, name)[:, seen] - measured
        table[f"{name}_rmse"] = np.sqrt(np.nanmean(error**2, axis=0))
        table[f"{name}_bias"] = np.nanmean(error, axis=0)
    return table


def standardised(found: Reconstructed, keep: np.ndarray | None = None) -> dict[str, float]:
    """Mean squared error of the decodings in units of each band's variance over all spectra.

    Bands that do not vary are left out; NaN where none does, as of a single spectrum.
    """
    rows = slice(None) if keep is None else keep
    seen = np.flatnonzero(np.isfinite(found.measured).any(axis=0))
    seen = seen[np.nanvar(found.measured[:, seen], axis=0) > 0]
    if not len(seen):
        return dict.fromkeys(DECODINGS, np.nan)
    measured = found.measured[:, seen]
    variance = np.nanvar(measured, axis=0)
    return {
        name: float(np.nanmean((getattr(found, name)[:, seen] - measured)[rows] ** 2 / variance))
        for name in DECODINGS
    }
