"""Every preset trains: a few small steps on the data it names."""

from pathlib import Path

import pytest

import physvae
from physvae.config import read_config
from physvae.training import Trainer

PRESETS = sorted((Path(physvae.__file__).parent / "presets").glob("*.toml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_it_takes_its_first_steps(path, data_dir, tmp_path):
    config = read_config(path)
    few = config.optimiser.model_copy(update={"simulations": 8, "spectra": 8})
    trainer = Trainer(config.model_copy(update={"optimiser": few}), data_dir, tmp_path)
    real = len(config.spectra) > 0
    assert (len(trainer.real.reflectance) > 1000) == real
    losses = [trainer.advance() for _ in range(3)]
    weights = config.regularisers
    for name in ("self_supervised", "unmixing", "orthogonality"):
        assert (name in losses[0]) == (getattr(weights, name) > 0)
    for name in ("beta", "least_action"):
        assert (name in losses[0]) == (real and getattr(weights, name) > 0)
    assert ("fit" in losses[0]) == real
    assert losses[0]["loss"] != losses[-1]["loss"]
