"""Blocks computed by other processes: the same map, whoever computes it and whoever dies."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import rasterio
from distributed import Client, LocalCluster

from inversion import cluster, retrieve, workers
from inversion.readers.declaration import Declaration
from inversion.readers.geotiff import read
from inversion.writers import maps
from physvae.__main__ import INTERRUPTED, run
from physvae.errors import RunError

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


DYING = """
import os, sys
from pathlib import Path
count = Path(__file__).with_name("starts")
if "distributed.cli.dask_worker" in sys.orig_argv:
    starts = len(count.read_text()) if count.exists() else 0
    count.write_text("x" * (starts + 1))
    if starts < {lives}:
        print("no such library", file=sys.stderr, flush=True)
        os._exit(7)
"""


@pytest.fixture
def dying(tmp_path, monkeypatch):
    """Let so many worker processes die as soon as they start; the file counts all starts."""

    def kill(lives: int):
        folder = tmp_path / "customised"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(DYING.format(lives=lives))
        monkeypatch.syspath_prepend(folder)
        return folder / "starts"

    return kill


def test_workers_that_die_at_start_up_are_named(dying, image, shipped, tmp_path, capsys):
    starts = dying(100)
    goal = tmp_path / "map" / "out.tif"
    goal.parent.mkdir()
    assert command(image, "-o", goal, *OPTIONS, "--workers", 2) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == (
        "error: --workers: expected processes that go on, one ended with exit code 7 and said: "
        "no such library"
    )
    assert len(starts.read_text()) <= 2 * workers.STARTS
    assert not list(goal.parent.iterdir())


def test_workers_that_never_join_are_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "JOINED", 0.0)
    with (
        pytest.raises(RunError, match="expected a worker within 0 s, none has started"),
        workers.running("tcp://127.0.0.1:9", 1) as started,
    ):
        started.check(0)


def children(parent: int) -> set[int]:
    """Processes that a process has started."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text("utf-8", "replace").rpartition(")")[2].split()[1]) == parent:
                found.add(int(path.parent.name))
    return found


@pytest.mark.slow
def test_sigterm_ends_a_run_with_workers_and_all_of_its_processes(geotiff, meadow, tmp_path):
    """The exit code is that of a run without workers; what is done is kept."""
    source = geotiff(meadow(2048, 64))
    goal = tmp_path / "map" / "out.tif"
    goal.parent.mkdir()
    arguments = [source, "-o", goal, "--chunk", 64, "--variables", "lai", "--workers", 2]
    run_ = subprocess.Popen(
        [sys.executable, "-m", "physvae", "retrieve", *map(str, arguments)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = goal.parent / ".out.tif.work/done-1-of-1"
    while run_.poll() is None and not journal.is_file():
        time.sleep(0.05)
    processes = children(run_.pid)
    run_.send_signal(signal.SIGTERM)
    told = run_.communicate(timeout=20)[1].splitlines()
    assert run_.returncode == INTERRUPTED
    assert told[-1] == "error: interrupted"
    assert len(processes) == 2
    assert not [process for process in processes if Path(f"/proc/{process}").exists()]
    assert [path.name for path in goal.parent.iterdir()] == [".out.tif.work"]


@pytest.mark.slow
def test_processes_of_a_cluster_give_the_same_map(data_dir, tmp_path, dying):
    """N4: the same file to 1e-6 whether threads or processes computed it.

    The first process dies as it starts; another one takes its place.
    """
    starts = dying(1)
    source = data_dir / "rasters" / "Strickhof_S2A_MSIL2A_20220421T101601_R065_T32TMT.tif"
    options = ["--scale", 1e-4, "--variables", "lai", "--chunk", 32]
    assert command(source, "-o", tmp_path / "a.tif", *options) == 0
    assert command(source, "-o", tmp_path / "b.tif", *options, "--workers", 1) == 0
    assert len(starts.read_text()) == 2
    with rasterio.open(tmp_path / "a.tif") as one, rasterio.open(tmp_path / "b.tif") as other:
        np.testing.assert_allclose(other.read(), one.read(), atol=1e-6)


def test_a_scheduler_that_is_not_there_is_told(shipped, geotiff, meadow, tmp_path, monkeypatch):
    monkeypatch.setattr("inversion.cluster.PATIENCE", 1.0)
    options = ["--scheduler", "tcp://127.0.0.1:9"]
    assert command(geotiff(meadow()), "-o", tmp_path / "out.tif", *options) == 2
    assert command(geotiff(meadow()), "-o", tmp_path / "out.tif", *options, "--workers", 1) == 2
