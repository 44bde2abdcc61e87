"""Blocks computed by other processes: the same map, whoever computes it and whoever dies."""

import os
import signal
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import rasterio
from distributed import Client, LocalCluster

from inversion import cluster, retrieve
from inversion.readers.declaration import Declaration
from inversion.readers.geotiff import read
from inversion.writers import maps
from physvae.__main__ import run

COMMAND = EntryPoint("retrieve", "inversion.cli:retrieve", "physvae.commands")
OPTIONS = ("--variables", "lai,cab", "--chunk", "32")
BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
NAMES = ("out.tif", "out_quality.tif")


def command(*arguments) -> int:
    return run(["retrieve", *map(str, arguments)], [COMMAND])


def contents(folder) -> list[bytes]:
    return [(folder / name).read_bytes() for name in NAMES]


@pytest.fixture(scope="module")
def running():
    """A scheduler with two worker processes that a user has started elsewhere."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**options, host="127.0.0.1", processes=True) as started:
        yield started.scheduler_address


@pytest.fixture
def image(geotiff, meadow):
    return geotiff(meadow(320, 48))


@pytest.fixture
def serial(image, tmp_path):
    """What threads of this process make of the image."""
    folder = tmp_path / "serial"
    folder.mkdir()
    assert command(image, "-o", folder / "out.tif", *OPTIONS) == 0
    return contents(folder)


@pytest.mark.slow
def test_a_cluster_that_runs_already_is_joined(running, image, serial, tmp_path):
    """One thread or two processes, the file is the same to the bit; the cluster lives on."""
    goal = tmp_path / "out.tif"
    assert command(image, "-o", goal, *OPTIONS, "--scheduler", running) == 0
    assert contents(tmp_path) == serial
    with Client(running, set_as_default=False) as client:
        assert len(client.scheduler_info()["workers"]) == 2


@pytest.mark.slow
def test_f4_a_killed_worker_is_survived(running, image, serial, tmp_path):
    """One of two is killed after each of the first portions; the file is the same to the bit."""
    result = retrieve(
        read(image, Declaration(), bands=BANDS, chunk=32),
        "sentinel-2",
        ["lai", "cab"],
    )
    with Client(running, set_as_default=False) as client:
        victims = list(client.run(os.getpid).values())

        def advance(pixels: int) -> None:
            if victims:
                os.kill(victims.pop(), signal.SIGKILL)

        with cluster.computing(scheduler=running) as gather:
            maps.write(result, tmp_path / "out.tif", advance=advance, gather=gather)
    assert not victims
    assert contents(tmp_path) == serial


@pytest.mark.slow
def test_processes_of_a_cluster_give_the_same_map(data_dir, tmp_path):
    """N4: the same file to 1e-6 whether threads or processes computed it."""
    source = data_dir / "rasters" / "Strickhof_S2A_MSIL2A_20220421T101601_R065_T32TMT.tif"
    options = ["--scale", 1e-4, "--variables", "lai", "--chunk", 32]
    assert command(source, "-o", tmp_path / "a.tif", *options) == 0
    assert command(source, "-o", tmp_path / "b.tif", *options, "--workers", 1) == 0
    with rasterio.open(tmp_path / "a.tif") as one, rasterio.open(tmp_path / "b.tif") as other:
        np.testing.assert_allclose(other.read(), one.read(), atol=1e-6)


def test_a_scheduler_that_is_not_there_is_told(shipped, geotiff, meadow, tmp_path, monkeypatch):
    monkeypatch.setattr("inversion.cluster.PATIENCE", 1.0)
    options = ["--scheduler", "tcp://127.0.0.1:9"]
    assert command(geotiff(meadow()), "-o", tmp_path / "out.tif", *options) == 2
    assert command(geotiff(meadow()), "-o", tmp_path / "out.tif", *options, "--workers", 1) == 2
