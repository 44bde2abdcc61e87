"""Units in which field values are written, and the factor to ours."""

from physvae.errors import UsageError

OURS = {
    "lai": "m2 m-2",
    "cab": "ug cm-2",
    "car": "ug cm-2",
    "cw": "cm",
    "cm": "g cm-2",
    "ccc": "g m-2",
    "cwc": "g m-2",
    "fapar": "1",
    "fcover": "1",
}
"""Unit of every measured trait in our tables."""

_AREA = {
    "ug cm-2": 1e-6, "mg m-2": 1e-7, "g m-2": 1e-4, "kg m-2": 1e-1, "mg cm-2": 1e-3,
    "g cm-2": 1.0, "cm": 1.0, "mm": 0.1, "ug m-2": 1e-10, "mg dm-2": 1e-5,
}  # fmt: skip
"""Mass an area in g cm⁻²; water 1 cm deep weighs 1 g cm⁻²."""
_SHARE = {"1": 1.0, "%": 0.01, "percent": 0.01, "m2 m-2": 1.0, "-": 1.0}


def factor(trait: str, unit: str) -> float:
    """Factor from a declared unit to ours.

    Spelling is free: ``µg/cm2``, ``ug cm-2``, ``μg·cm⁻²`` are one unit.

    Raises
    ------
    UsageError
        If the unit is not one of the trait's.

    Examples
    --------
    >>> factor("ccc", "µg/cm²"), factor("fcover", "%")
    (0.01, 0.01)
    """
    known = _SHARE if OURS[trait] in _SHARE else _AREA
    name = canonical(unit)
    if name not in known:
        raise UsageError(f"unit of {trait}: expected one of {', '.join(known)}, got {unit!r}")
    return round(known[name] / known[OURS[trait]], 12)


def canonical(unit: str) -> str:
    """One spelling of a unit: ``ug cm-2`` for ``µg/cm²`` and its kin."""
    text = unit.strip().lower().translate(str.maketrans("µμ⁻¹²³·*_", "uu-123   "))
    top, _, bottom = text.partition("/")
    parts = top.replace("^", "").split()
    for part in bottom.replace("^", "").split():
        parts.append(part if "-" in part else f"{part.rstrip('1')}-1".replace("2-1", "-2"))
    return " ".join(parts) or "1"
