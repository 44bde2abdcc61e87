"""`physvae emulate`: the numbers of the emulator in four formats, or one sentence and no file."""

import csv
from typing import NamedTuple

import netCDF4
import numpy as np
import pyarrow.parquet
import pytest
import torch
import zarr

import physvae
import rtm
from physvae.__main__ import run
from physvae.cli import train
from physvae.emulation.commands import emulate
from physvae.emulation.store import SHIPPED

HEAD = "id,n,cab,car,ant,cbrown,cw,cm,LAI,ala,hspot,psoil,rsoil,sza,tto,psi"
ROWS = ("first,1.5,40,8,0,0,0.01,0.009,2,57,0.1,0.5,1,30,0,0",
        "second,2,60,10,1,0.2,0.02,0.01,5,40,0.2,0.3,0.8,45,20,90")  # fmt: skip


class Point(NamedTuple):
    name: str

    def load(self):
        return {"emulate": emulate, "train": train}[self.name]


def call(*arguments: object) -> int:
    return run(["emulate", *(str(a) for a in arguments)], [Point("emulate")])


def call_train(*arguments: object) -> int:
    return run(["train", *(str(a) for a in arguments)], [Point("train")])


def write(folder, rows=ROWS, head=HEAD):
    path = folder / "parameters.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


@pytest.fixture
def expected():
    theta = torch.tensor([[float(v) for v in row.split(",")[1:13]] for row in ROWS])
    angles = torch.tensor([[float(v) for v in row.split(",")[13:]] for row in ROWS])
    return theta, angles


def test_csv_and_parquet_hold_the_emulator(tmp_path, expected):
    table = write(tmp_path)
    emulator = physvae.load_emulator("prosail-d")
    truth = emulator(*expected)
    for suffix in ("csv", "parquet"):
        assert call(table, "-o", tmp_path / f"out.{suffix}") == 0
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [f"{nm:g}" for nm in emulator.wavelength]
    found = np.array([[float(row[name]) for name in names] for row in rows])
    np.testing.assert_allclose(found, truth.rso.numpy(), rtol=1e-6)
    assert [row["id"] for row in rows] == ["first", "second"]
    assert [float(row["extrapolated"]) for row in rows] == [0.0, 0.0]
    error = emulator.standard_error(*expected).square().mean(-1).sqrt()
    np.testing.assert_allclose([float(r["rso_error"]) for r in rows], error.numpy(), rtol=1e-5)
    np.testing.assert_allclose([float(r["fapar"]) for r in rows], truth.fapar, rtol=1e-6)
    held = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    np.testing.assert_allclose(held["550"].to_numpy(), truth.rso[:, 15].numpy(), rtol=1e-6)
    assert b"emulate" in held.schema.metadata[b"physvae"]


def test_netcdf_and_zarr_hold_all_factors_near_the_exact_ones(tmp_path, expected):
    table = write(tmp_path)
    truth = rtm.Prosail(sensor="sentinel-2a")(*expected)
    for suffix in ("nc", "zarr"):
        assert call(table, "-o", tmp_path / f"out.{suffix}", "--sensor", "sentinel-2a") == 0
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert file.emulator == "prosail-d-1nm"
        assert list(file["band"][:]) == list(truth.band)
        for name in ("rso", "rdo", "rsd", "rdd"):
            gap = file[name][:] - getattr(truth, name).numpy()
            assert np.abs(gap).max() < 2e-3, name
    store = zarr.open_group(tmp_path / "out.zarr", mode="r")
    np.testing.assert_allclose(store["rdd"][:], truth.rdd.numpy(), atol=2e-3)


@pytest.mark.parametrize(
    ("head", "rows", "said"),
    [
        (HEAD, [ROWS[0], ROWS[1].replace(",5,40,", ",15.5,40,")],
         "row 2, column LAI: expected lai within 0 and 15, got 15.5; or --allow-extrapolation"),
        (HEAD.replace(",psi", ""), [row.rpartition(",")[0] for row in ROWS], "found none for psi"),
        (HEAD.replace("id", "prot"), [ROWS[0].replace("first", "0.001")],
         "column prot: expected text or one of n_leaf"),
        (HEAD, [ROWS[0].replace(",40,", ",,")],
         "row 1, column cab: expected cab within 0 and 100, got an empty cell"),
        (HEAD, [ROWS[0].replace(",40,", ",forty,")],
         "row 1, column cab: expected a number, got 'forty'"),
        (HEAD.replace("id", "lai"), ROWS, "expected one column for lai, found lai and LAI"),
        (HEAD, [], "expected a header and at least one row"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_no_file(head, rows, said, tmp_path, capsys):
    table = write(tmp_path, rows, head)
    assert call(table, "-o", tmp_path / "out.csv") == 3
    told = capsys.readouterr().err.strip()
    assert said in told
    assert "\n" not in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parameters.csv"]


def test_extrapolation_is_allowed_and_flagged(tmp_path):
    table = write(tmp_path, [ROWS[0], ROWS[1].replace(",5,40,", ",15.5,40,")])
    assert call(table, "-o", tmp_path / "out.csv", "--allow-extrapolation") == 0
    with (tmp_path / "out.csv").open() as file:
        assert [float(row["extrapolated"]) for row in csv.DictReader(file)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--emulator", "prosail-x"], 3, "emulator: expected one of prosail-d, prosail-d-1nm"),
        (["--sensor", "sentinel-9"], 2, "sensor: expected one of"),
        (["--sensor", "sentinel-2a", "--emulator", "prosail-d"], 3, "prosail-d-1nm has every nm"),
    ],
)
def test_unknown_names_are_told(options, code, said, tmp_path, capsys):
    assert call(write(tmp_path), "-o", tmp_path / "out.csv", *options) == code
    assert said in capsys.readouterr().err


PLAN = (
    'name = "mine"\n[simulator]\nkind = "table"\nfile = "mine.{suffix}"\n'
    "[vae]\nlatents = 2\n[interpolator]\nwidth = 32\ndepth = 2\n"
    "[fit]\nsteps = 120\nbatch = 64\n[error]\nsteps = 50\n"
)


def another_code(folder, suffix):
    """A table or a store of another code's parameters, and its training file."""
    random = np.random.default_rng(0)
    heat, view = random.uniform(-10, 10, 60), random.uniform(0, 60, 60)
    spectra = 0.3 + 0.01 * heat[:, None] * np.array([1.0, 0.5]) + 0.001 * view[:, None]
    if suffix == "csv":
        lines = [",".join(map(str, row)) for row in np.column_stack([heat, view, spectra])]
        (folder / "mine.csv").write_text("heat,vza,500,600\n" + "\n".join(lines) + "\n")
    else:
        group = zarr.create_group(folder / "mine.zarr")
        named = {"heat": heat, "vza": view, "rso": spectra, "wavelength": np.array([500.0, 600.0])}
        for name, values in named.items():
            group.create_array(name, data=values)
    plan = folder / "plan.toml"
    plan.write_text(PLAN.format(suffix=suffix))
    return plan


@pytest.mark.parametrize("suffix", ["csv", "zarr"])
def test_a_trained_folder_emulates_another_code(tmp_path, capsys, suffix):
    """From a training file and a table to spectra; what the code does not give is empty."""
    plan = another_code(tmp_path, suffix)
    assert call_train(plan, "-o", tmp_path / "made", "--data", tmp_path) == 0
    assert "held-out RMSE" in capsys.readouterr().out
    card = (tmp_path / "made" / "card.md").read_text("utf-8")
    assert "| heat |" in card
    table = tmp_path / "new.csv"
    table.write_text("heat,vza\n-5,30\n5,10\n")
    for ending in ("csv", "nc"):
        output = tmp_path / f"out.{ending}"
        assert call(table, "-o", output, "--emulator", tmp_path / "made") == 0
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = [[float(row["500"]), float(row["600"])] for row in rows]
    np.testing.assert_allclose(found, [[0.28, 0.305], [0.36, 0.335]], atol=0.02)
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert np.isnan(np.ma.filled(file["rdd"][:], np.nan)).all()


@pytest.mark.parametrize(
    ("change", "options", "code", "said"),
    [
        (("mine.csv", "none.csv"), [], 3, "none.csv: expected a"),
        (("latents", "latent"), [], 3, "vae.latent: expected no such key, got"),
        (("[fit]", "[fit"), [], 3, "plan.toml: expected TOML"),
        (("mine", "mine"), ["--resume"], 2, "--resume, --device, --tensorboard: expected a model"),
    ],
)
def test_a_training_that_cannot_be_is_one_sentence(change, options, code, said, tmp_path, capsys):
    plan = another_code(tmp_path, "csv")
    plan.write_text(plan.read_text().replace(*change))
    assert call_train(plan, "-o", tmp_path / "made", "--data", tmp_path, *options) == code
    told = capsys.readouterr().err.strip()
    assert said in told
    assert "\n" not in told
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_the_shipped_card_comes_from_its_training_file(tmp_path):
    """`physvae train` on the preset makes the shipped weights, to the rounding of another run.

    Ten times fewer draws are measured than on the card: figures within 10 %, spectra within 1e-5.
    """
    preset = SHIPPED.parent / "emulation" / "presets" / "prosail-d.toml"
    plan = tmp_path / "plan.toml"
    text = preset.read_text("utf-8").replace("evaluation = 100000", "evaluation = 10000")
    plan.write_text(text.replace("steps = 4000\ndraws = 40000", "steps = 50\ndraws = 2000"))
    assert call_train(plan, "-o", tmp_path / "made") == 0
    made, shipped = physvae.load_emulator(tmp_path / "made"), physvae.load_emulator("prosail-d")
    for key in ("rmse", "sam", "worst"):
        found = made.record["figures"][key]
        assert found == pytest.approx(shipped.record["figures"][key], rel=0.1)
    theta = shipped.space.stack(lai=torch.tensor([0.5, 3.0, 8.0])).float()
    angles = torch.tensor([40.0, 20.0, 100.0])
    torch.testing.assert_close(
        made(theta, angles).rso, shipped(theta, angles).rso, atol=1e-5, rtol=0.0
    )


def test_columns_are_declared_and_strangers_refused(tmp_path, capsys):
    """`--column`, `--strict`, `--decimal`: the same as of simulate."""
    table = write(tmp_path, head=HEAD.replace("LAI", "lia"))
    assert call(table, "-o", tmp_path / "out.csv") == 3
    assert "found none for lai; where lia is lai, give --column lai=lia" in capsys.readouterr().err
    assert call(table, "-o", tmp_path / "out.csv", "--column", "lai=lia", "--strict") == 0
    other = write(tmp_path, head=HEAD.replace("id", "remark"))
    assert call(other, "-o", tmp_path / "out.csv", "--strict") == 3
    assert "--strict: expected known columns, found remark" in capsys.readouterr().err
    assert call(other, "-o", tmp_path / "out.csv", "--column", "prot=remark") == 2
    other.write_text(other.read_text().replace(",", ";").replace(".", ","))
    assert call(other, "-o", tmp_path / "semicolons.csv") == 0
    assert call(other, "-o", tmp_path / "none.csv", "--decimal", ".") == 3
