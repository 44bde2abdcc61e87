"""Real spectra as pixels, series and patches, from tables and Zarr stores."""

import numpy as np
import pytest
import torch
import zarr

import physvae
from physvae.config import Spectra, parse_config
from physvae.errors import InputError
from physvae.finishing import finish
from physvae.plans import SpatialPlan, TemporalPlan
from physvae.real_spectra import read_spectra
from physvae.training import Trainer

from .conftest import SMALL

BANDS = ("B3", "B4", "B8A")
ENTRY = Spectra(file="s.csv", group="pixel", date="day")


@pytest.fixture
def series(tmp_path):
    path = tmp_path / "s.csv"
    rows = [
        "b,2021-03-05,0.3,0.3,0.3,40",
        "a,2021-01-01,0.1,0.1,0.1,60",
        "a,2021-02-01,0.2,0.2,,50",
        "b,2021-03-01,0.4,0.4,0.4,41",
        "a,2021-01-11,0.5,0.5,0.5,55",
    ]
    path.write_text("pixel,day,B3,B4,B8A,sun_zenith_deg\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def patches(tmp_path):
    group = zarr.open_group(tmp_path / "p.zarr", mode="w")
    values = np.random.default_rng(0).random((6, 8, 7, 4), dtype=np.float32)
    array = group.create_array("reflectance", data=values)
    array.attrs["bands"] = ["B4", "B3", "extra", "B8A"]
    group.create_array("angles", data=np.full((6, 3), 30.0, np.float32))
    return tmp_path / "p.zarr", values


def test_series_are_in_the_order_of_their_days(series):
    real, training = read_spectra(series, ENTRY, BANDS, TemporalPlan())
    assert real.reflectance.shape == (2, 3, 3)
    assert real.days is not None
    assert real.days.tolist() == [[0.0, 10.0, 31.0], [0.0, 4.0, 0.0]]
    torch.testing.assert_close(real.reflectance[:, :, 0][0], torch.tensor([0.1, 0.5, 0.2]))
    assert real.reflectance[0, 2, 2].isnan()
    assert real.valid.tolist() == [[True, True, True], [True, True, False]]
    assert real.angles[1, :2, 0].tolist() == [41.0, 40.0]
    assert training.tolist() == [True, True]


def test_a_series_without_dates_is_refused(series):
    with pytest.raises(InputError, match="`group` and `date`"):
        read_spectra(series, Spectra(file="s.csv", group="pixel"), BANDS, TemporalPlan())
    with pytest.raises(InputError, match="expected a column when"):
        read_spectra(series, Spectra(file="s", group="pixel", date="when"), BANDS, TemporalPlan())


def test_patches_are_cut_and_pixels_are_spread(patches):
    path, values = patches
    entry = Spectra(file="p.zarr")
    cut, training = read_spectra(path, entry, BANDS, SpatialPlan(patch=4))
    assert cut.reflectance.shape == (12, 4, 4, 3)  # two of 8 × 7 pixels a patch
    np.testing.assert_array_equal(cut.reflectance[3], values[1, 4:8, :4][..., [1, 0, 3]])
    assert training.tolist() == [True] * 8 + [False] * 2 + [True] * 2
    flat, training = read_spectra(path, entry, BANDS)
    np.testing.assert_array_equal(flat.reflectance, values[..., [1, 0, 3]].reshape(-1, 3))
    assert int((~training).sum()) == 56
    assert (cut.angles == 30).all()
    assert flat.angles.shape == (336, 3)


@pytest.mark.parametrize("plan", [SpatialPlan(), TemporalPlan()])
def test_what_an_encoder_cannot_read_is_refused(plan, series, patches):
    path = series if plan.kind == "spatial" else patches[0]
    with pytest.raises(InputError, match=r"expected a (Zarr store|table)"):
        read_spectra(path, ENTRY, BANDS, plan)
    with pytest.raises(InputError, match="patches of 16 pixels or more"):
        read_spectra(patches[0], ENTRY, BANDS, SpatialPlan())


@pytest.mark.parametrize("kind", ["temporal", "spatial"])
def test_series_and_patches_train(kind, made_up, series, patches, tmp_path):
    sizes = {"temporal": {"dates": 4, "heads": 2}, "spatial": {"patch": 4}}[kind]
    entry = ENTRY.model_dump() if kind == "temporal" else {"file": "p.zarr"}
    (tmp_path / "soils.csv").write_text((made_up / "soils.csv").read_text())
    raw = SMALL | {
        "encoder": {"kind": kind, "width": 8, "depth": 1, **sizes},
        "spectra": [entry],
        "products": {"simulations": 500, "steps": 5},
        "evaluation": {"simulations": 500},
        "optimiser": {"steps": 3, "simulations": 4, "spectra": 2, "checkpoint": 2},
    }
    trainer = Trainer(parse_config(raw, kind), tmp_path, tmp_path / "model")
    model = trainer.run()
    assert trainer.step == 3
    assert all(np.isfinite(list(row.values())).all() for row in trainer.log)
    finish(model, trainer.config, tmp_path, tmp_path / "model")
    model = physvae.load(tmp_path / "model")
    assert f"Encoder\n{kind}" in (tmp_path / "model" / "card.md").read_text()
    batch = trainer.real.take(torch.tensor([0]))
    estimate = model.estimate(batch.reflectance, batch.angles, ("lai",), batch.days)
    assert estimate.mean["lai"].shape == batch.reflectance.shape[:-1]
