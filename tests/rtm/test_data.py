"""The numbers the physics rests on are the ones that were checked in."""

import hashlib
import re
from importlib.resources import files

import numpy as np
import pytest

from rtm.spectra import table

FOLDER = files("rtm") / "data"
SUMS = {
    name: digest
    for digest, name in re.findall(
        r"\| ([0-9a-f]{64}) \| (\S+) \|", (FOLDER / "README.md").read_text("utf-8")
    )
}


def test_the_readme_lists_every_file():
    found = {path.name for path in FOLDER.iterdir() if path.name.endswith(".safetensors")}
    assert found == set(SUMS)


@pytest.mark.parametrize("name", SUMS)
def test_sha256_is_the_one_in_the_readme(name):
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == SUMS[name]


@pytest.mark.parametrize("name", SUMS)
def test_every_column_is_finite_and_not_negative(name):
    columns = table(name.removesuffix(".safetensors"))
    assert all(np.isfinite(values).all() and (values >= 0).all() for values in columns.values())


def test_constants_are_those_of_the_prosail_package():
    library = pytest.importorskip("prosail").spectral_lib
    leaf, soil = table("leaf"), table("soil")
    np.testing.assert_array_equal(leaf["D.refractive_index"], library.prospectd.nr)
    np.testing.assert_array_equal(leaf["D.ant"], library.prospectd.kant)
    np.testing.assert_array_equal(leaf["5.cm"], library.prospect5.km)
    np.testing.assert_array_equal(soil["dry"], library.soil.rsoil1)
