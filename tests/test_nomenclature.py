"""docs/nomenclature.md is what the tables of rtm say."""

import re

import nomenclature
from rtm import FOREST, GEOMETRY, PRODUCTS, TRAITS


def test_the_page_is_what_the_script_prints():
    """`python examples/nomenclature.py --write` refreshes it."""
    assert nomenclature.PAGE.read_text("utf-8") == nomenclature.page()


def test_the_page_names_every_parameter_once():
    rows = re.findall(r"^\| `(\w+)` \|", nomenclature.page(), re.M)
    assert sorted(rows) == sorted([*TRAITS, *GEOMETRY, *FOREST, *PRODUCTS])
