"""Leaves as a labelled set: simulated ones come back, canopies are left alone."""

import numpy as np
import pandas as pd

import rtm
from validation.evidence.labelled_sets import LabelledSet, Target
from validation.evidence.leaf_fits import leaf_fits
from validation.evidence.set_scores import paired, scores

WATER = np.array([0.008, 0.014, 0.02])


def leaves(*, leaves: bool = True) -> LabelledSet:
    optics = rtm.prospect(n_leaf=1.5, cab=40.0, cw=WATER, cm=0.005)
    wavelength = np.arange(400.0, 2501.0)
    kept = wavelength % 25 == 0
    seen = np.asarray(optics[0])[:, kept]
    seen = seen + np.random.default_rng(5).normal(0, 0.002, seen.shape)
    labels = pd.DataFrame({"group": list("abc"), "place": "leaf", "cover": ""})
    target = Target(WATER, np.full(3, np.nan), np.full(3, "of a leaf", object))
    return LabelledSet(
        "leaf", pd.DataFrame(index=range(3)), labels, {"cw": target},
        wavelength[kept], seen, leaves=leaves,
    )  # fmt: skip


def test_simulated_leaves_come_back_within_a_few_sd():
    rows = paired(leaf_fits, [leaves()])
    error = np.abs(rows["estimate"] - rows["measured"]).to_numpy()
    assert scores(rows)["n"] == 3
    assert (error < 5e-4).all()
    assert (error < 4 * rows["sd"].to_numpy()).all()


def test_canopies_are_not_fitted():
    assert leaf_fits(leaves(leaves=False), ("cw",)) is None
