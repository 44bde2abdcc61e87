"""Water and dry matter of measured leaves by `rtm.invert_leaf`, scored as any other set."""

import numpy as np
import pandas as pd

from validation.evidence.labelled_sets import LabelledSet

FREE = ("n_leaf", "cw", "cm")
STRUCTURE, DOMAIN = (800.0, 1300.0), (1700.0, 2400.0)
"""Wavelengths [nm] of the leaf's structure and of what is in it; see `rtm.leaf_inversion`."""


def leaf_fits(labelled: LabelledSet, traits: tuple[str, ...]) -> pd.DataFrame | None:
    """Estimates of a set of leaves, mean ± 1.96 sd of the fit; None for canopies."""
    from rtm import invert_leaf

    if not labelled.leaves:
        return None
    fit = invert_leaf(
        wavelength=labelled.wavelength, reflectance=labelled.narrow,
        free=FREE, structure=STRUCTURE, domain=DOMAIN,
    )  # fmt: skip
    columns: dict[str, np.ndarray] = {}
    for trait in traits:
        if trait in fit.sd:
            mean, sd = fit.parameters[trait].numpy(), fit.sd[trait].numpy()
            columns |= {trait: mean, f"{trait}_sd": sd}
            columns |= {f"{trait}_p025": mean - 1.96 * sd, f"{trait}_p975": mean + 1.96 * sd}
    return pd.DataFrame(columns)
