"""From estimates and measurements to an adjustment file: the work behind `physvae calibrate`."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from inversion.calibration import FORMAT, SCHEMA
from physvae.errors import InputError, UsageError
from rtm.parameters import PRODUCTS, TRAITS
from validation.calibration import conformal
from validation.matching.pairs import Pairs, pair
from validation.metrics import probabilistic

LEAST = 10
"""Fewer pairs than this give no factor worth the name."""


def calibrate(
    estimates: pd.DataFrame,
    field: pd.DataFrame,
    *,
    trait: str = "lai",
    method: str = "split",
    model: Mapping[str, str] | None = None,
    source: Mapping[str, object] | None = None,
) -> dict:
    """Content of an adjustment file (see `inversion.calibration`).

    Parameters
    ----------
    estimates, field : DataFrame
        As for `validation.evaluate`; the estimates need `<trait>_p025` and `<trait>_p975`, other
        quantiles give other levels.
    trait : str
    method : str
        One of `validation.calibration.conformal.METHODS`.
    model : mapping, optional
        `name` and `sha256` of the model; estimates of another one are then refused.
    source : mapping, optional
        What the factors were found on, for the record.

    Raises
    ------
    InputError
        If no interval can be compared, or fewer than ten.
    UsageError
        If the method is unknown.
    """
    if method not in conformal.METHODS:
        wanted = " or ".join(conformal.METHODS)
        raise UsageError(f"--method: expected {wanted}, got {method!r}")
    pairs = pair(estimates, field, trait, [])
    levels = {f"{level:g}": _level(pairs, level, method) for level in _levels(pairs)}
    if not levels:
        raise InputError(
            f"estimates: expected the columns {trait}_p025 and {trait}_p975, got none of them"
        )
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "model": dict(model) if model else None,
        "method": method,
        "traits": {trait: _entry(trait, levels)},
        "rows": int(next(iter(levels.values()))["n"]),
        "sites": sorted(set(map(str, pairs.rows["site"]))),
        "source": dict(source or {}),
    }


def _entry(trait: str, levels: dict[str, dict]) -> dict:
    """One trait: its factors and what they are for."""
    middle = min(levels, key=lambda level: abs(float(level) - 0.68))
    return {
        "unit": {**TRAITS, **PRODUCTS}[trait].unit,
        "sd_factor": levels[middle]["factor"],
        "levels": levels,
    }


def _levels(pairs: Pairs) -> list[float]:
    """Nominal levels of which both quantiles are there."""
    known = pairs.levels
    return [
        level
        for level in probabilistic.LEVELS
        if all(np.isclose(known, p, atol=1e-9).any() for p in ((1 - level) / 2, (1 + level) / 2))
    ]


def _level(pairs: Pairs, level: float, method: str) -> dict:
    """Factor of one level, what it promises, and how it fares on sites it has not seen."""
    ends = [
        pairs.quantiles[:, np.isclose(pairs.levels, p, atol=1e-9)][:, 0]
        for p in ((1 - level) / 2, (1 + level) / 2)
    ]
    rows = pairs.rows
    values = [rows[c].to_numpy(float) for c in ("measured", "estimate")]
    score = conformal.scores(*values, *ends)
    known = np.isfinite(score)
    if known.sum() < LEAST:
        found = int(known.sum())
        raise InputError(f"estimates: expected at least {LEAST} intervals to compare, got {found}")
    score, sites = score[known], rows["site"].to_numpy()[known]
    found = conformal.factor(score, level=level, sites=sites, method=method)
    left = conformal.leave_one_site_out(score, sites, level=level, method=method)
    total = sum(entry["n"] for entry in left.values())
    pooled = {
        when: sum(e["n"] * e[when] for e in left.values()) / total if total else None
        for when in ("before", "after")
    }
    return {
        "factor": found.factor,
        "guarantee": found.guarantee,
        "n": int(known.sum()),
        "coverage_before": float(np.mean(score <= 1)),
        "left_out": {"pooled": pooled, "sites": left},
    }


def write_calibration(content: dict, path: Path) -> None:
    """Write an adjustment file, whole or not at all."""
    from physvae.io.files import write_atomically
    from validation.report.report import finite

    text = json.dumps(finite(content), indent=1, allow_nan=False, ensure_ascii=False)
    write_atomically(path, (text + "\n").encode())


def fingerprint(path: Path) -> dict[str, str]:
    """Name and hash of a file."""
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
