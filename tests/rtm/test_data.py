"""The numbers the physics rests on are the ones that were checked in."""

import hashlib
import re
from importlib.resources import files

import numpy as np
import pytest

from rtm import sensors
from rtm.catalogue import REGULAR
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
    """The soil vectors of BSM are signed."""
    for key, values in table(name.removesuffix(".safetensors")).items():
        assert np.isfinite(values).all()
        assert key.startswith("gsv_") or (values >= 0).all()


def test_responses_and_their_reduction_belong_to_the_sensors_of_the_list():
    responses, reduced = table("responses"), table("reduced")
    names = {info.name for info in sensors()} - set(REGULAR)
    assert {key.rpartition(".")[0] for key in responses} == names
    assert {key.rpartition(".")[0] for key in reduced} <= names
    for info in sensors():
        if f"{info.name}.first" in responses:
            assert all(responses[f"{info.name}.{band}"].max() == 1.0 for band in info.bands)
            assert len(responses[f"{info.name}.first"]) == len(info.bands)
        elif info.name not in REGULAR:
            assert len(responses[f"{info.name}.center"]) == len(info.bands)


def test_constants_are_those_of_the_prosail_package():
    library = pytest.importorskip("prosail").spectral_lib
    leaf, soil = table("leaf"), table("soil")
    np.testing.assert_array_equal(leaf["D.refractive_index"], library.prospectd.nr)
    np.testing.assert_array_equal(leaf["D.ant"], library.prospectd.kant)
    np.testing.assert_array_equal(leaf["5.cm"], library.prospect5.km)
    np.testing.assert_array_equal(soil["dry"], library.soil.rsoil1)
