"""A training that came to its end leaves a model, whatever is measured afterwards."""

import json

import numpy as np
import pytest

import physvae
from physvae import finishing
from physvae.config import parse_config
from physvae.finishing import finish, set_limits
from physvae.training import build

from .conftest import SMALL

QUICK = {"products": {"simulations": 100, "steps": 2}}


@pytest.fixture(scope="module")
def model(small, made_up):
    return build(small, made_up).eval()


@pytest.mark.parametrize("n", [100, 499, 501])
def test_any_number_of_simulations_measures_a_model(model, made_up, tmp_path, n):
    plan = parse_config(SMALL | QUICK | {"evaluation": {"simulations": n}}, "plan")
    figures = finish(model, plan, made_up, tmp_path)
    assert all(0.0 <= share <= 1.0 for share in figures["coverage_90"].values())
    lai = figures["coverage_90"]["lai"] * n
    assert lai == pytest.approx(round(lai), abs=1e-6)  # a share of all n
    assert physvae.load(tmp_path).sha256 == model.sha256


def test_a_model_is_kept_when_it_cannot_be_measured(model, made_up, tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(finishing, "measure", fail)
    plan = parse_config(SMALL | QUICK, "plan")
    with pytest.raises(MemoryError):
        finish(model, plan, made_up, tmp_path)
    assert physvae.load(tmp_path).name == "small"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [5, 10])
def test_held_out_spectra_too_few_to_vary_give_no_figure(model, made_up, tmp_path, rows):
    """One of five spectra is held out, two like ones of ten."""
    for name in ("soils.csv",):
        (tmp_path / name).write_bytes((made_up / name).read_bytes())
    spectra = np.tile([0.05, 0.04, 0.4, 30.0], (rows, 1))
    header = "B3,B4,B8A,sun_zenith_deg"
    np.savetxt(tmp_path / "spectra.csv", spectra, delimiter=",", header=header, comments="")
    plan = parse_config(SMALL | QUICK | {"evaluation": {"simulations": 100}}, "plan")
    finish(model, plan, tmp_path, tmp_path / "m")
    assert (
        json.loads((tmp_path / "m" / "config.json").read_text())["figures"]["reconstruction"] == {}
    )


def test_the_covariance_of_the_training_spectra_has_an_inverse(model, small):
    """Also where fewer simulations are asked for than there are bands."""
    from physvae.config import Evaluation

    few = small.model_copy(update={"evaluation": Evaluation.model_construct(simulations=2)})
    set_limits(model, few)
    assert np.linalg.cond(model.domain.covariance.numpy()) < 1e6
