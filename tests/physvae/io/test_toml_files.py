"""A wrong training file is told in one sentence: source, key, expected, got."""

import pytest

from physvae.config import parse_config
from physvae.emulation.plans import parse_plan
from physvae.errors import InputError
from physvae.named_priors import load_prior

from ..conftest import SMALL

GRID = {key: value for key, value in SMALL.items() if key != "bands"}
EMULATOR = {"name": "e", "simulator": {"kind": "prosail"}}
MODELS = [
    ({"encoder": {"kind": "cnn"}}, "encoder.kind: expected one of 'mlp', 'transformer'", "'cnn'"),
    ({"encoder": {"kind": "transformer", "width": 33}}, "encoder.width: expected an even", "33"),
    ({"encoder": {"width": "wide"}}, "encoder.width: expected a whole number", "'wide'"),
    ({"encoder": 7}, "encoder: expected a table", "7"),
    ({"soil": {"files": "soils.csv"}}, "soil.files: expected a list", "'soils.csv'"),
    ({"prior": {"lai": {"sd": -1}}}, "prior.lai.sd: expected a value greater than 0", "-1"),
    ({"spectra": [{"file": 3}]}, "spectra.0.file: expected text", "3"),
    ({"nonsense": 1}, "nonsense: expected no such key", "1"),
]
EMULATORS = [
    ({"vae": {"attributes": ["lai"]}}, "vae.attributes: expected steps of", "steps 0"),
    ({"factors": ["rdo"]}, "factors: expected rso first", "['rdo']"),
    ({"simulator": {"step": -1}}, "simulator.step: expected a value greater than 0", "-1"),
    ({"simulator": {"kind": "table"}}, "simulator.file: expected a value", "none"),
    ({"simulator": {"leaf": "X"}}, "simulator.leaf: expected 'D', '5' or 'PRO'", "'X'"),
    ({"interpolator": {"kind": "nodes", "nodes": 1}}, "interpolator.nodes: expected a value", "1"),
]


@pytest.mark.parametrize(("extra", "said", "got"), MODELS)
def test_training_files_of_models(extra, said, got):
    assert_told(parse_config, SMALL | extra, said, got)


@pytest.mark.parametrize(("extra", "said", "got"), EMULATORS)
def test_training_files_of_emulators(extra, said, got):
    assert_told(parse_plan, EMULATOR | extra, said, got)


def test_a_grid_that_names_no_bands():
    assert_told(
        parse_config, GRID | {"grid": {"last": 500}}, "grid.first: expected a value", "none"
    )


def test_priors(tmp_path):
    path = tmp_path / "prior.toml"
    path.write_text("[prior.lai]\nmean = 3.0\nsd = -1.0\nlow = 0.0\nhigh = 9.0\n")
    assert_told(
        lambda raw, source: load_prior(str(raw)), path, "prior.lai.sd: expected", "-1.0", str(path)
    )


def assert_told(read, raw, said, got, source="plan.toml"):
    with pytest.raises(InputError) as told:
        read(raw, source)
    words = str(told.value)
    assert words.startswith(f"{source}: {said}")
    assert words.endswith(f", got {got}")
    assert "\n" not in words
    assert "Value error" not in words
