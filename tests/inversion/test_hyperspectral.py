"""The model of 10 nm bands on an image of another spectrometer, and on a table."""

import numpy as np
import pandas as pd
import rasterio
import torch

import more_products as more
import physvae
import rtm
from inversion.geometry import COLUMNS
from inversion.kernel import CalibratedModel
from inversion.quality import Quality
from inversion.tables import retrieve_table
from physvae.__main__ import run
from physvae.config import parse_config
from physvae.simulation import simulate


def test_an_envi_image_of_other_bands_is_brought_to_the_model_s(tmp_path):
    """LAI rises over the columns from 0.3 to 5.8 and is followed with r > 0.9."""
    image, output = more.envi(tmp_path), tmp_path / "lai.tif"
    asked = ["retrieve", str(image), "-o", str(output), "--variables", "lai"]
    assert run([*asked, "--model", "hyperspectral-10nm"]) == 0
    with rasterio.open(output) as file:
        lai = file.read(1)
    truth = 0.3 + 5.5 * (np.indices(lai.shape)[1] // 4) / (lai.shape[1] // 4)
    assert np.corrcoef(lai.ravel(), truth.ravel())[0, 1] > 0.9


def test_a_table_of_the_sensor_s_bands_is_read():
    """Simulations of the model: its own interval of LAI holds 95 % of 400, within three errors.

    The sensor of the list is that of the model: the same bands, the same centres.
    """
    sensor, model = rtm.load_sensor("hyperspectral-10nm"), physvae.load("hyperspectral-10nm")
    assert sensor.bands == model.bands
    torch.testing.assert_close(
        sensor.center.float(), model.physical.sensor.center.float(), rtol=0.0, atol=0.2
    )
    ranges = parse_config(model.config["training"], model.name).angles
    drawn = simulate(model, 400, ranges, torch.Generator().manual_seed(4))
    frame = pd.DataFrame(drawn.reflectance.numpy(), columns=list(sensor.bands))
    for name, column in zip(model.angles, drawn.angles.T, strict=True):
        frame[COLUMNS[name]] = column.numpy()
    own = CalibratedModel("hyperspectral-10nm", field=False)
    found = retrieve_table(frame, model=own, variables=("lai",))
    lai = drawn.theta[:, 0].numpy()
    assert found["lai"].corr(pd.Series(lai)) > 0.75
    inside = (found["lai_p025"] <= lai) & (lai <= found["lai_p975"])
    assert abs(inside.mean() - 0.95) < 3 * (0.95 * 0.05 / 400) ** 0.5


def test_dense_vegetation_of_a_real_scene_is_within_the_training_domain(data_dir, tmp_path):
    """A chip of EnMAP with gaps at the water vapour bands: less than a tenth has bit 5."""
    path, output = data_dir / "rasters" / "enmap_potsdam_20220724_north.tif", tmp_path / "lai.tif"
    asked = ["retrieve", str(path), "-o", str(output), "--variables", "lai"]
    assert run([*asked, "--model", "hyperspectral-10nm", "--scale", "0.0001"]) == 0
    with rasterio.open(path) as chip:
        center = np.array([float(chip.tags(i)["wavelength"]) for i in chip.indexes])
        red, infrared = (chip.read(int(np.abs(center - x).argmin()) + 1) for x in (665, 865))
    with rasterio.open(tmp_path / "lai_quality.tif") as written:
        quality = written.read(1)
    dense = (red > 0) & (infrared - red > 0.6 * (infrared + red))
    assert dense.sum() > 1000
    assert (quality[dense] & Quality.OUTSIDE_TRAINING_DOMAIN != 0).mean() < 0.1
