"""What a model is held against on labelled sets: SNAP's network, an index, a Gaussian process.

Those that learn from plots predict a plot only from others: `left_out` says whether the rest is
what lies outside of its group or outside of its set. Groups are left out in fifths.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from validation.baselines.gaussian_process import predicted
from validation.baselines.indices import IndexRegression
from validation.baselines.networks import VARIABLES, load_net
from validation.evidence.labelled_sets import LabelledSet
from validation.evidence.set_scores import Estimator, paired

PARTS = 5
"""Parts into which groups are dealt."""
FEWEST = 20
"""Measurements from which something is learned."""
BROAD = ("B2", "B3", "B4", "B5", "B6", "B7", "B8A", "B11", "B12")


def snap(folder: str | Path) -> Estimator:
    """SNAP's networks of a folder: one a trait that has one and the bands that it needs."""
    paths = sorted(Path(folder).glob("snap_v2_1_*.json"))
    nets = {net.trait: net for net in map(load_net, paths)}

    def estimate(labelled: LabelledSet, traits: tuple[str, ...]) -> pd.DataFrame | None:
        wanted = [nets[t] for t in traits if t in nets and t in _SNAP_TRAITS]
        able = [net for net in wanted if _has(labelled, net.inputs)]
        return pd.DataFrame({net.trait: net(labelled.frame) for net in able}) if able else None

    return estimate


_SNAP_TRAITS = {trait for trait, _ in VARIABLES.values()}


def _has(labelled: LabelledSet, inputs: Sequence[str]) -> bool:
    bands = [name for name in inputs if not name.startswith("cos_")]
    return set(bands) <= set(labelled.frame.columns)


def parts_of(labels: np.ndarray, names: np.ndarray, left_out: str, seed: int = 0) -> np.ndarray:
    """The part [n] that each row is left out with.

    Parameters
    ----------
    labels, names : array [n] of text
        Group and set of every row.
    left_out : str
        ``group``: the groups of all sets dealt into fifths; ``set``: the set itself.
    """
    if left_out == "set":
        return np.unique(names, return_inverse=True)[1]
    joined = np.char.add(np.char.add(names.astype(str), "/"), labels.astype(str))
    groups, which = np.unique(joined, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(groups)) % PARTS
    return dealt[which]


def learned(
    sets: Sequence[LabelledSet], traits: Sequence[str], *, left_out: str, how: str
) -> pd.DataFrame:
    """Rows as of `paired` by a method that learns from the measurements.

    Parameters
    ----------
    left_out : str
        ``group`` or ``set``.
    how : str
        ``process`` (Gaussian process) or the name of an index, as ``cire``.
    """
    bare = paired(_nothing, [s for s in sets if not s.leaves])
    bare = bare[bare["trait"].isin(list(traits)) & ~bare["rank_only"].astype(bool)]
    by_name = {s.name: s for s in sets}
    bands = {name: tuple(b for b in BROAD if b in s.frame) for name, s in by_name.items()}
    found = []
    for _, every in bare.groupby("trait", sort=False):
        for alike in dict.fromkeys(bands[name] for name in map(str, every["set"])):
            found.append(_of_bands(every, by_name, bands, alike, left_out=left_out, how=how))
    return pd.concat(found, ignore_index=True) if found else bare


def _nothing(labelled: LabelledSet, traits: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(0.0, index=range(len(labelled)), columns=list(traits))


def _of_bands(
    every: pd.DataFrame, sets: dict[str, LabelledSet], bands: dict[str, tuple[str, ...]],
    alike: tuple[str, ...], *, left_out: str, how: str,
) -> pd.DataFrame:  # fmt: skip
    """Predictions of the rows of the sets of these bands, from all sets that have them."""
    able = every["set"].map(lambda name: set(alike) <= set(bands[str(name)]))
    pool = every[able.to_numpy(bool)].reset_index(drop=True)
    x = np.concatenate(
        [_inputs(sets[str(n)], part, alike) for n, part in pool.groupby("set", sort=False)]
    )
    part = parts_of(pool["group"].to_numpy(), pool["set"].to_numpy(), left_out)
    own = pool["set"].map(lambda name: bands[str(name)] == alike).to_numpy(bool)
    numbers = np.full((4, len(pool)), np.nan)
    for number in np.unique(part[own]):
        asked, learn = own & (part == number), part != number
        if learn.sum() >= FEWEST:
            make = _by_process if how == "process" else _by_index
            numbers[:, asked] = make(how, x, pool, asked, learn, alike)
    mean, sd, low, high = numbers
    found = pool.assign(estimate=np.maximum(mean, 0.0), sd=sd, lower=np.maximum(low, 0.0))
    return found.assign(upper=high)[own & np.isfinite(mean)]


def _by_process(
    how: str, x: np.ndarray, pool: pd.DataFrame, asked: np.ndarray, learn: np.ndarray,
    bands: tuple[str, ...],
) -> tuple[np.ndarray, ...]:  # fmt: skip
    y, s = (pool[c].to_numpy(float)[learn] for c in ("measured", "measured_std"))
    mean, sd = predicted(x[learn], y, x[asked], s)
    return mean, sd, mean - 1.96 * sd, mean + 1.96 * sd


def _by_index(
    how: str, x: np.ndarray, pool: pd.DataFrame, asked: np.ndarray, learn: np.ndarray,
    bands: tuple[str, ...],
) -> tuple[np.ndarray, ...]:  # fmt: skip
    frame = pd.DataFrame(np.exp(x[:, : len(bands)]), columns=list(bands))
    rows = pool.assign(site=np.where(asked, "asked", "other"))
    rows["measured"] = np.where(learn, rows["measured"], np.nan)
    made = IndexRegression.named(how, "").predict(frame, rows)
    assert made.lower is not None
    assert made.upper is not None
    none = np.full(int(asked.sum()), np.nan)
    return made.mean[asked], none, made.lower[asked], made.upper[asked]


def _inputs(labelled: LabelledSet, rows: pd.DataFrame, bands: tuple[str, ...]) -> np.ndarray:
    """Log reflectance of the bands and cosine of the sun zenith [n, input]."""
    frame = labelled.frame.iloc[rows["row"].to_numpy()]
    log = np.log(frame[list(bands)].to_numpy(float).clip(1e-4))
    sun = np.cos(np.radians(frame["sun_zenith_deg"].to_numpy(float)))
    return np.column_stack([log, sun])
