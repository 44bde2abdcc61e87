"""The page docs/nomenclature.md from the tables of rtm: `python examples/nomenclature.py --write`.

Without `--write` it prints the page.
"""

import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from rtm import FOREST, GEOMETRY, PRODUCTS, TRAITS, Parameter

PAGE = Path(__file__).resolve().parents[1] / "docs" / "nomenclature.md"

HEAD = (
    "Every quantity of `rtm` has one name, in every call, table and file. "
    "`python examples/nomenclature.py --write` prints this page from `rtm/parameters.py`.",
    "The range is the box that the model is made for, draws come from and estimates stay in; "
    "values beyond it are computed as long as they have a physical meaning. The default holds "
    'where no value is given. Names in the column "also" are understood in tables and files, in '
    "any case; calls in Python take the name.",
)
LEAF = ("n_leaf", "cab", "car", "ant", "cbrown", "cw", "cm")
CANOPY = ("lai", "hspot")
GROUPS = {
    "Leaf": LEAF,
    "Leaf of PROSPECT-PRO": ("prot", "cbc"),
    "Leaf angles": ("ala", "lidf_a", "lidf_b", "beta_mu", "beta_nu"),
    "Canopy": CANOPY,
    "Crowns and layers": ("cv", "zeta", "fraction_brown", "diss"),
    "Brown leaves": tuple(name for name in TRAITS if name.startswith("brown_")),
    "Soil": ("psoil", "rsoil", "bsm_brightness", "bsm_lat", "bsm_lon", "smc"),
}
NOTES = {
    "Leaf": "PROSPECT-D; PROSPECT-5 has no `ant`.",
    "Leaf of PROSPECT-PRO": "In the place of `cm`, which is their sum.",
    "Leaf angles": "One family at a time: `ala` (Campbell), `lidf_a` and `lidf_b` (Verhoef, "
    "|a| + |b| ≤ 1) or `beta_mu` and `beta_nu` (beta distribution, mean 90·ν/(μ + ν) degree).",
    "Canopy": "`lai` is per ground area, with crowns too: inside them it is `lai / cv`.",
    "Crowns and layers": "`cv` alone: crowns and bare soil side by side. All four: 4SAIL2, green "
    "and brown leaves in two layers.",
    "Brown leaves": "4SAIL2 only, and those of its leaf version.",
    "Soil": "One soil at a time: `psoil` and `rsoil` (dry and wet), the last four (BSM), or "
    "`soil_1`, `soil_2` … with `rsoil` for spectra of one's own: -3 to 3, default 0, where 1 is a "
    "standard deviation.",
    "Geometry": "`psi` may have any sign and is folded to 0-180. At 0 the sensor looks from the "
    "sun's side.",
    "Forest": "`rtm.forest` and `rtm.clumping_index`: crowns, or a clumping index in their place. "
    "`crown_area` is the crown cover where no crown stands above another.",
    "Products": "What follows from a canopy.",
}
COLUMNS = ("name", "symbol", "unit", "range", "default", "also", "meaning")


def fill(text: str) -> str:
    """A paragraph in lines of the length of the other pages."""
    return textwrap.fill(text, width=140, break_long_words=False, break_on_hyphens=False)


def row(p: Parameter) -> str:
    """One line of a table."""
    also = ", ".join(f"`{alias}`" for alias in p.aliases)
    return (
        f"| `{p.name}` | {p.symbol} | {p.unit} | {p.low:g} to {p.high:g} | {p.default:g} "
        f"| {also} | {p.description} |"
    )


def section(title: str, parameters: Iterable[Parameter]) -> str:
    """A heading, a note and a table."""
    head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([f"## {title}", "", fill(NOTES[title]), "", *head, *map(row, parameters)])


def page() -> str:
    """The whole page; ValueError where a trait stands in no group or in two."""
    named = [name for names in GROUPS.values() for name in names]
    if sorted(named) != sorted(TRAITS):
        wrong = set(TRAITS).symmetric_difference(named) or "one twice"
        raise ValueError(f"groups: expected every trait once, got {wrong}")
    parts = [section(title, (TRAITS[n] for n in names)) for title, names in GROUPS.items()]
    others = {"Geometry": GEOMETRY, "Forest": FOREST, "Products": PRODUCTS}
    parts += [section(title, table.values()) for title, table in others.items()]
    return "\n\n".join(["# Names, symbols, units", *map(fill, HEAD), *parts]) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), "utf-8")
    else:
        print(page(), end="")
