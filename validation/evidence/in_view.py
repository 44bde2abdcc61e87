"""What was in view when a shipped model was chosen: the one declaration that tables quote.

For every number four letters say which choices had the measured rows, or others of their group or
set, in view:

    P  prior and physics        N  noise
    I  factor of the stated interval        V  limits and directions of the novelty

    capital    these rows with their measured values
    small      other rows of the same group or set, or spectra of the same sites without a value
    –          nothing of them

Prior and noise are declared in `CHOSEN`, which a change of a preset must keep; the interval is
read from the model's record, and so are the unlabelled spectra of the development sites.
"""

from collections.abc import Iterable
from typing import Any

LETTERS = "PNIV"
FARMS = ("field_dev", "ccc_dev")
CHOSEN: dict[str, dict[str, tuple[str, ...]]] = {
    "sentinel-2": {"P": (*FARMS, "grounded_eo_dev"), "N": (*FARMS, "grounded_eo_dev")},
    "sentinel-2-crops": {"P": FARMS, "N": FARMS},
    "landsat-8": {"P": FARMS, "N": FARMS},
    "hyperspectral-10nm": {"P": (*FARMS, "sparc_barrax_dev"), "N": ("sparc_barrax_dev",)},
}
"""By model and choice: the sets that it was made with."""
SPECTRA = {"unlabelled/crops.csv": FARMS}
"""By file of unlabelled spectra: the sets of whose sites they are."""


def in_view(
    model: Any, trait: str, name: str, method: str = "amortised", left_out: str = ""
) -> str:
    """Four letters for a trait of a set.

    Parameters
    ----------
    model
        A loaded model.
    trait, name : str
        Trait and set; ``all`` is in view where one of the sets is.
    method : str
        Whose intervals are stated.
    left_out : str
        ``group`` or ``set`` where the interval was found anew without it.
    """
    record = model.config.get("training", {})
    chosen = CHOSEN.get(model.name)
    letters = []
    for letter in "PN":
        sets = chosen[letter] if chosen else None
        letters.append("?" if sets is None else letter if _has(sets, name) else "–")
    letters.append(_interval(record, trait, name, method, left_out))
    files = [plan["file"] for plan in record.get("spectra", [])]
    near = any(_has(SPECTRA.get(file, ()), name) for file in files)
    return "".join([*letters, "v" if near else "–"])


def _has(sets: Iterable[str], name: str) -> bool:
    return bool(tuple(sets)) if name == "all" else name in sets


def _interval(record: dict, trait: str, name: str, method: str, left_out: str) -> str:
    if left_out:
        return {"group": "i", "set": "–"}[left_out]
    found = record.get("calibration", {})
    laws = found.get("field") if method == "amortised" else found.get("methods", {}).get(method)
    law = (laws or {}).get(trait)
    measured = law is not None and law.get("basis", "measured") == "measured"
    return "I" if measured and name not in ("ccc_dev", "leaf") else "–"
