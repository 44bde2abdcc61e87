"""Runs that are stopped, repeated, shared or given many products: nothing is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint

import dask
import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from rio_cogeo import cog_validate

import products
from inversion import retrieve
from inversion.readers.declaration import Declaration
from inversion.readers.geotiff import read
from inversion.writers import maps
from inversion.writers.work import Shard, Work
from physvae.__main__ import run
from physvae.errors import UsageError

BANDS = products.BANDS
COMMAND = EntryPoint("retrieve", "inversion.cli:retrieve", "physvae.commands")


def command(*arguments) -> int:
    return run(["retrieve", *map(str, arguments)], [COMMAND])


@pytest.fixture
def traits(geotiff, meadow, stand_in) -> xr.Dataset:
    image = read(geotiff(meadow(530, 90)), Declaration(), bands=BANDS, chunk=64)
    return retrieve(image, stand_in, ["lai", "cab"])


def killed(action, delay: float) -> bool:
    """Do it in a process that is killed after a delay; say whether it had ended before."""
    child = os.fork()
    if child == 0:
        try:
            with dask.config.set(scheduler="synchronous"):
                action()
        finally:
            os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_f1_killed_at_20_moments_then_resumed_the_file_is_the_same_to_the_bit(traits, tmp_path):
    (tmp_path / "whole").mkdir()
    maps.write(traits, tmp_path / "whole" / "out.tif", identity={"a": 1})
    expected = [
        (tmp_path / "whole" / name).read_bytes() for name in ("out.tif", "out_quality.tif")
    ]
    moments = random.Random(1)

    def again():
        maps.write(traits, path, identity={"a": 1}, resume=True)

    folder = tmp_path / "part"
    folder.mkdir()
    path = folder / "out.tif"
    for _ in range(20):
        if killed(again, moments.uniform(0.0, 0.6)):
            path.unlink()
        visible = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
        assert "out.tif" not in visible
    maps.write(traits, path, identity={"a": 1}, resume=True)
    assert [(folder / name).read_bytes() for name in ("out.tif", "out_quality.tif")] == expected


def started(*arguments) -> subprocess.Popen:
    """The command as a user starts it, in a process of its own that hears of Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "physvae", "retrieve", *map(str, arguments)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


@pytest.mark.slow
def test_f7_ctrl_c_keeps_what_is_done_and_the_run_goes_on(geotiff, meadow, tmp_path):
    """Interrupted after its first portion: 130, one sentence; resumed, the same file."""
    image = geotiff(meadow(2048, 64))
    options = ["--chunk", 64, "--variables", "lai"]
    (tmp_path / "whole").mkdir()
    assert command(image, "-o", tmp_path / "whole" / "out.tif", *options) == 0
    path = tmp_path / "out.tif"
    run_, journal = started(image, "-o", path, *options), tmp_path / ".out.tif.work/done-1-of-1"
    while run_.poll() is None and not journal.is_file():
        time.sleep(0.01)
    run_.send_signal(signal.SIGINT)
    told = run_.communicate()[1].splitlines()
    assert run_.returncode == 130
    assert told[-2:] == [
        "note: what is done is kept; go on with --resume",
        "error: interrupted",
    ]
    assert not path.exists()
    assert 0 < len(journal.read_text().splitlines()) < 2048 // 64
    assert command(image, "-o", path, *options, "--resume") == 0
    for name in ("out.tif", "out_quality.tif"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_only_what_is_missing_is_computed_again(traits, tmp_path, suffix, stand_in):
    path, told = tmp_path / f"out{suffix}", []

    def interrupt(pixels):
        told.append(pixels)
        if len(told) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maps.write(traits, path, advance=interrupt)
    before = stand_in.pixels
    summary = maps.write(traits, path, resume=True)
    assert summary is not None
    assert summary.estimated == 530 * 90
    assert stand_in.pixels - before == (530 - 4 * 64) * 90
    assert not list(tmp_path.glob(".*"))


def test_a_portion_cut_by_a_kill_or_changed_on_disk_is_computed_again(traits, tmp_path):
    path = tmp_path / "out.tif"
    with Work(path, maps.in_blocks(traits), identity={}) as work:
        work.put(0, traits.isel(y=slice(0, 64)).compute())
        work.put(64, traits.isel(y=slice(64, 128)).compute())
        assert not work.complete()  # once both are on disk
        with (work.folder / "done-1-of-1").open("a") as journal:
            journal.write("128 12")
        content = bytearray((work.folder / "rows.bin").read_bytes())
        content[100] ^= 1
        (work.folder / "rows.bin").write_bytes(content)
    with Work(path, maps.in_blocks(traits), identity={}, resume=True) as work:
        assert [top for top, _ in work.finished()] == [64]


def test_another_run_is_not_gone_on_with(traits, tmp_path):
    path = tmp_path / "out.tif"
    with Work(path, maps.in_blocks(traits), identity={"model": 1}):
        pass
    with pytest.raises(UsageError, match="begun with other inputs, options or model"):
        maps.write(traits, path, identity={"model": 2}, resume=True)
    maps.write(traits, path, identity={"model": 2})
    assert path.is_file()


def test_f5_a_second_run_on_one_output_is_refused(traits, tmp_path):
    path = tmp_path / "out.tif"
    with (
        Work(path, maps.in_blocks(traits), identity={}),
        pytest.raises(UsageError, match="is being written by another run"),
    ):
        maps.write(traits, path)
    maps.write(traits, path)


def test_shards_make_one_map(traits, tmp_path):
    (tmp_path / "one").mkdir()
    maps.write(traits, tmp_path / "one" / "out.tif")
    path = tmp_path / "out.tif"
    assert maps.write(traits, path, shard=Shard(2, 3)) is None
    assert maps.write(traits, path, shard=Shard(1, 3)) is None
    assert not path.exists()
    with pytest.raises(UsageError, match="begun with other"):
        maps.write(traits, path, shard=Shard(1, 2))
    assert maps.write(traits, path, shard=Shard(3, 3)).estimated == 530 * 90
    assert path.read_bytes() == (tmp_path / "one" / "out.tif").read_bytes()


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/2/3"])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(UsageError, match="--shard: expected I/N"):
        Shard.parse(text)
    assert Shard.parse("2/8").share(list(range(10))) == [1, 9]


def test_a_map_opens_right_elsewhere(traits, tmp_path):
    """I1 and I2: a strict COG, a valid STAC item, a style that names the range of the map."""
    path = tmp_path / "out.tif"
    traits["lai"] = traits["lai"].where(traits["lai"].x > traits["lai"].x[4])
    maps.write(traits, path, packing=dict.fromkeys(traits.data_vars, 0.001))
    assert cog_validate(path, strict=True)[0]
    with rasterio.open(path) as file:
        assert file.dtypes[0] == "int16"
        assert file.nodata == -32768
        assert (file.read(1)[:, :5] == -32768).all()
        lai = file.read(1, masked=True).astype(float).filled(np.nan) * file.scales[0]
        np.testing.assert_allclose(lai, traits["lai"], atol=5.1e-4)
    item = pystac.Item.from_file(str(tmp_path / "out.stac.json"))
    assert item.assets["estimates"].href == "./out.tif"
    assert item.bbox is not None
    item.stac_extensions = []  # their schemas lie on the network; that of the core comes along
    assert item.validate()
    assert 8 < item.bbox[0] < item.bbox[2] < 9
    assert 'classificationMin="' in (tmp_path / "out.qml").read_text()


def scenes(folder):
    names = [products.safe(folder / str(day), name=f"day{day}.SAFE") for day in (1, 2)]
    broken = products.safe(folder / "3", name="day3.SAFE")
    for file in broken.rglob("*B05_20m.jp2"):
        file.write_bytes(file.read_bytes()[:300])
    path = folder / "list.txt"
    path.write_text("# days\n" + "\n".join(str(n.relative_to(folder)) for n in [*names, broken]))
    return path


def test_many_products_one_of_them_broken(shipped, tmp_path, capsys):
    """F3: the broken one is named, the others are done, the exit code is 4."""
    path = scenes(tmp_path)
    assert command(path, "-o", tmp_path / "out") == 4
    out, err = capsys.readouterr()
    assert "2 of 3 products done" in out
    assert "error: 2 of 3 products done; missing: day3.SAFE" in err
    made = sorted(file.name for file in (tmp_path / "out").iterdir() if file.suffix == ".tif")
    assert made == ["day1.tif", "day1_quality.tif", "day2.tif", "day2_quality.tif"]
    pixels = shipped.pixels
    assert command(path, "-o", tmp_path / "out", "--resume") == 4
    assert shipped.pixels == pixels
    assert command(path, "-o", tmp_path / "two", "--shard", "2/3", "--format", "nc") == 0
    assert [file.name for file in (tmp_path / "two").iterdir()] == ["day2.nc"]


def test_every_bad_product_of_a_list_is_named_with_its_reason(shipped, tmp_path, capsys):
    """One missing, one without a scale, a STAC item cut off, a table: the rest is done."""
    good = products.safe(tmp_path / "good", name="day1.SAFE")
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 10, "dtype": "int16"}
    with rasterio.open(tmp_path / "no_scale.tif", "w", **profile) as file:
        file.write(np.full((10, 8, 8), 900, np.int16))
        file.descriptions = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
    item = {"type": "Feature", "stac_version": "1.0.0", "id": "day4", "assets": []}
    (tmp_path / "item.json").write_text(json.dumps(item))
    (tmp_path / "plots.csv").write_text("B2,B3\n0.1,0.2\n")
    names = ["gone.SAFE", "no_scale.tif", str(good), "item.json", "plots.csv"]
    (tmp_path / "list.txt").write_text("\n".join(names))
    assert command(tmp_path / "list.txt", "-o", tmp_path / "out") == 4
    errors = [x for x in capsys.readouterr().err.splitlines() if x.startswith(("error", "note"))]
    reasons = {
        "gone.SAFE": "expected a file",
        "no_scale.tif": "scale",
        "item.json": "assets",
        "plots.csv": "table",
    }
    for name, reason in reasons.items():
        assert [x for x in errors if name in x and reason in x], (name, errors)
    assert (tmp_path / "out" / "day1.tif").is_file()


def test_r2_a_refused_product_leaves_no_file(shipped, tmp_path, capsys):
    """An offset in the pixels that the metadata do not state: exit code 3, one sentence."""
    (tmp_path / "out").mkdir()
    source = products.safe(tmp_path, offset=0.0, stated=-1000.0)
    assert command(source, "-o", tmp_path / "out" / "map.tif") == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_composite_of_two_dates(shipped, tmp_path, capsys):
    path = scenes(tmp_path)
    path.write_text("\n".join(path.read_text().splitlines()[:3]))
    goal = tmp_path / "both.tif"
    assert command(path, "-o", goal, "--composite", "--variables", "lai") == 0
    with rasterio.open(tmp_path / "both_quality.tif") as file:
        assert file.descriptions == ("quality", "number_of_dates")
        count = file.read(2)
    assert (count[:2] == 0).all()
    assert (count[2:] == 2).all()
    with rasterio.open(goal) as file:
        expected = 10 * products.landscape().mean(0)
        np.testing.assert_allclose(file.read(1)[2:], expected[2:], atol=2e-3)
        np.testing.assert_allclose(file.read(2)[2:], 0.1, atol=1e-5)
    assert command(products.safe(tmp_path / "x"), "-o", goal, "--composite") == 2


def test_the_sidecar_says_what_the_map_came_to(shipped, tmp_path):
    safe = products.safe(tmp_path)
    assert command(safe, "-o", tmp_path / "out.tif", "--variables", "lai") == 0
    record = json.loads((tmp_path / "out.tif.json").read_text())
    assert record["summary"]["pixels"] == 48 * 48
    assert record["summary"]["variables"]["lai"]["count"] == 46 * 48
    assert record["options"]["input"]["baseline"] == "05.09"
    assert len(record["inputs"][0]["sha256_of_folder"]) == 64
