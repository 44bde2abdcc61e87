"""Names of columns: which are ours, which were declared to be, which are only close to ours.

A column counts as ours by its name or an alias (docs/nomenclature.md), or because the user says so
(``--column B4=red``). One whose name is merely close is never taken; it is named, with what it may
be meant for.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from physvae.errors import InputError, UsageError
from rtm.dialect import quotable

PASSING = frozenset(
    ("id", "plot", "site", "esu", "lat", "lon", "x", "y", "latitude", "longitude", "easting",
     "northing", "field_date", "image_date", "date", "time", "crop", "biome", "row", "point",
     "quality", "geometry", "sun_azimuth_deg", "view_azimuth_deg", "lai_method",
     "lai_definition", "clumping_index", "green_fraction")
)  # fmt: skip
"""Names that a table may have beside what a command computes with."""
_AROUND = frozenset(
    ("mean", "avg", "average", "median", "med", "refl", "reflectance", "sr", "boa", "surface",
     "surf", "s2", "l8", "l9", "value", "val", "band", "true", "meas", "measured", "obs", "field",
     "m", "deg", "degree", "degrees", "rad", "unit", "unitless")
)  # fmt: skip
"""Words that people put around a name."""
_SHOWN = 8


def assignments(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """NAME=VALUE texts as a mapping.

    Raises
    ------
    UsageError
        A text has no equals sign, or a name is given twice.

    >>> assignments(["B4=red"], "--column")
    {'B4': 'red'}
    """
    found: dict[str, str] = {}
    for text in texts or []:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or not value:
            raise UsageError(f"{option}: expected NAME=VALUE, got {text!r}")
        if name in found:
            raise UsageError(f"{option}: expected every name once, got {name} twice")
        found[name] = value
    return found


def match(
    names: Sequence[str],
    meaning: Callable[[str], str | None],
    declared: Mapping[str, str],
    source: str,
) -> dict[str, str]:
    """The table's names of columns by ours.

    Parameters
    ----------
    names : sequence of str
        Of the table.
    meaning : callable
        Our name of a column's name, or None.
    declared : mapping
        The table's name by ours, as the user says; what `meaning` finds for it is left aside.
    source : str
        The table's name in messages.

    Raises
    ------
    InputError
        Two columns of one meaning, or none of a declared name.
    """
    found: dict[str, str] = {}
    there = set(names)
    for ours, theirs in declared.items():
        known = meaning(ours)
        if known is None:
            continue
        if theirs not in there:
            listed = ", ".join(quotable(list(names)))
            raise InputError(f"{source}: expected a column {theirs}, got {listed}")
        found[known] = theirs
    taken = set(found)
    for name in names:
        ours = meaning(name)
        if ours is None or ours in taken or name in declared.values():
            continue
        if ours in found:
            raise InputError(
                f"{source}: expected one column for {ours}, found {found[ours]} and {name}"
            )
        found[ours] = name
    return found


def check_declared(
    declared: Mapping[str, str], meanings: Iterable[Callable[[str], str | None]], what: str
) -> None:
    """Refuse a declared name that means nothing to anyone.

    Raises
    ------
    UsageError
        Names it and what would be understood.
    """
    asked = list(meanings)
    for ours in declared:
        if all(meaning(ours) is None for meaning in asked):
            raise UsageError(f"--column: expected {what}, got {ours!r}")


def strangers(
    names: Sequence[str], known: Mapping[str, str], source: str, *, strict: bool = False
) -> list[str]:
    """What is to be said of columns that are not understood, a sentence each.

    Parameters
    ----------
    names : sequence of str
        The columns that nobody understood.
    known : mapping
        Our name by every spelling of it, in lower case.
    strict : bool
        Whether a column that is not understood is refused.

    Raises
    ------
    InputError
        With `strict`, some column is neither ours nor of `PASSING`.
    """
    close = {name: ours for name in names if (ours := nearest(name, known))}
    if strict:
        refused = [name for name in names if name in close or name.lower() not in PASSING]
        if refused:
            listed = ", ".join(
                f"{shown} (near {close[name]})" if name in close else shown
                for name, shown in zip(refused, quotable(refused), strict=False)
            )
            raise InputError(f"{source}: --strict: expected known columns, found {listed}")
    sentences = [
        f"{source}: column {name} is not used; where it is {ours}, give --column {ours}={name}"
        for name, ours in list(close.items())[:_SHOWN]
    ]
    if len(close) > _SHOWN:
        sentences.append(f"{source}: {len(close) - _SHOWN} more columns are named nearly as ours")
    return sentences


def spellings(parameters: Iterable[Any]) -> dict[str, str]:
    """Names of parameters by every spelling of them."""
    return {text: one.name for one in parameters for text in (one.name, *one.aliases)}


def hints(names: Sequence[str], known: Mapping[str, str]) -> str:
    """What may be meant by columns whose names are near, to stand behind what is missing.

    >>> hints(["plot", "lia"], {"lai": "lai"})
    '; where lia is lai, give --column lai=lia'
    """
    close = [(name, ours) for name in names if (ours := nearest(name, known))]
    return "".join(
        f"; where {name} is {ours}, give --column {ours}={name}" for name, ours in close[:_SHOWN]
    )


def nearest(name: str, known: Mapping[str, str]) -> str | None:
    """Our name that a column's name is close to, or None.

    It is close with a word such as ``mean`` around it, with two letters exchanged or, in longer
    names, one letter too many, too few or wrong.

    >>> known = {"lai": "lai", "b2": "B2", "sun_zenith_deg": "sun_zenith_deg"}
    >>> [nearest(name, known) for name in ("lia", "B2_mean", "sunzenith_deg", "lat", "b2_b8")]
    ['lai', 'B2', 'sun_zenith_deg', None, None]
    """
    text = name.strip().lower()
    if text in PASSING:
        return None
    if text in known:
        return known[text]
    words = [word for word in re.split(r"[^0-9a-zµ]+", text) if word]
    ours = {known[word] for word in words if len(word) > 1 and word in known}
    others = [word for word in words if word not in known and word not in _AROUND]
    if len(ours) == 1 and not [word for word in others if not word.isdigit()]:
        return ours.pop()
    bare = re.sub(r"[^0-9a-z]", "", text)
    for spelling, meant in known.items():
        if abs(len(spelling) - len(text)) <= 3 and _alike(bare, re.sub("_", "", spelling)):
            return meant
    return None


def _alike(one: str, other: str) -> bool:
    """Whether a single slip makes one of two names the other."""
    if len(one) == len(other):
        differ = [i for i, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]]
        if len(differ) == 2 and differ[1] == differ[0] + 1 and len(one) >= 3:
            i, j = differ
            return one[i] == other[j] and one[j] == other[i]
        return len(differ) == 0 or (len(differ) == 1 and len(one) >= 5)
    if abs(len(one) - len(other)) != 1 or min(len(one), len(other)) < 5:
        return False
    short, long = sorted((one, other), key=len)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
