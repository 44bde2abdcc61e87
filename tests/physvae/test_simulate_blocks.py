"""Any number of rows in the same memory: nothing holds more than a block."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
import zarr

from physvae import spectra_table, spectra_writers
from physvae.__main__ import run
from physvae.errors import InputError
from physvae.named_priors import load_prior
from physvae.spectra_table import Block, Plan, draw_plan, rows_at_once, spectra
from physvae.tables.reader import open_table
from rtm import Prosail


def told(rows: int) -> None:
    """What is told of the progress is not looked at here."""


@pytest.fixture
def model() -> Prosail:
    return Prosail("D", "sentinel-2a")


@pytest.fixture
def drawn(model) -> Plan:
    return draw_plan(
        load_prior("box"), model, n=70, seed=0, sampler="sobol", dtype=torch.float64, done=told
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_reader_holds_blocks_and_not_the_table(suffix, tmp_path):
    """Arrow counts every byte it holds; the table has 48 MB of numbers, twice that as text."""
    table = pa.table({name: np.arange(1_500_000) / 7 for name in ("lai", "cab", "cw", "plot")})
    path = tmp_path / f"long{suffix}"
    if suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path, row_group_size=100_000)
    del table
    before, peak, rows = pa.total_allocated_bytes(), 0, 0
    for block in open_table(path).blocks(1000):
        rows += block.num_rows
        assert block.num_rows <= 1000
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert rows == 1_500_000
    assert peak < 30e6


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".nc", ".zarr"])
def test_the_writers_let_go_of_a_block_before_the_next(
    suffix, model, drawn, tmp_path, monkeypatch
):
    """Blocks still alive when the next is asked for: at most the one just written."""
    monkeypatch.setattr(spectra_writers, "_MOST_ROWS", 8)
    alive: list[int] = []

    def watched(rows: int) -> Iterator[Block]:
        living: list[weakref.ref] = []
        for values, others in drawn.read(rows):
            living.append(weakref.ref(values))
            yield Block(values, others)
            del values
            alive.append(sum(ref() is not None for ref in living))

    plan = replace(drawn, read=watched)
    spectra_writers.write(tmp_path / f"out{suffix}", model, plan, torch.float64, told)
    assert len(alive) == 9
    assert max(alive) <= 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_size_of_the_blocks_does_not_change_the_spectra(model, drawn, dtype, monkeypatch):
    """The same sums in the same order, up to how a processor groups them: rounding."""

    def rso(cells: int, rows: int) -> np.ndarray:
        monkeypatch.setattr(spectra_table, "_CELLS", cells)
        found = spectra(model, drawn, ("rso",), rows, dtype)
        return np.concatenate([arrays["rso"] for _, arrays in found])

    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(rso(2**19, 70), rso(2**12, 9), rtol=0, atol=tolerance)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """All numbers of a result."""
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="r")
        return {name: array[:] for name, array in group.arrays() if name != "band"}
    if path.suffix == ".nc":
        with netCDF4.Dataset(path) as file:
            return {n: v[:].filled() for n, v in file.variables.items() if n != "band"}
    read = pyarrow.csv.read_csv if path.suffix == ".csv" else pyarrow.parquet.read_table
    table = read(path)
    return {name: table[name].to_numpy() for name in table.column_names}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".nc", ".zarr"])
def test_the_file_is_the_same_in_one_block_or_in_nine(suffix, model, drawn, tmp_path, monkeypatch):
    few, many = tmp_path / f"few{suffix}", tmp_path / f"many{suffix}"
    spectra_writers.write(few, model, drawn, torch.float64, told)
    monkeypatch.setattr(spectra_writers, "_MOST_ROWS", 8)
    monkeypatch.setattr(spectra_writers, "_LONG", 16)
    spectra_writers.write(many, model, drawn, torch.float64, told)
    expected, found = arrays_of(few), arrays_of(many)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12, err_msg=name)


def test_blocks_suit_the_model(model):
    assert rows_at_once(Prosail()) == 256
    assert rows_at_once(model) > 256
    few = Prosail(wavelength=torch.tensor([450.0, 670.0, 800.0]))
    assert rows_at_once(few) == 4096


def test_a_table_that_grows_while_it_is_read_is_refused(model, drawn):
    with pytest.raises(InputError, match="expected 60 rows again, got more"):
        list(spectra(model, replace(drawn, rows=60), ("rso",), 20, torch.float64))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".nc", ".zarr"])
def test_after_ctrl_c_nothing_is_left(suffix, tmp_path, monkeypatch, capfd):
    forward = Prosail.forward
    calls = []

    def interrupted(self, theta, angles):
        calls.append(len(theta))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forward(self, theta, angles)

    monkeypatch.setattr(spectra_writers, "_MOST_ROWS", 8)
    monkeypatch.setattr(Prosail, "forward", interrupted)
    output = tmp_path / f"out{suffix}"
    assert run(["simulate", "--draw", "20", "-o", str(output), "--sensor", "sentinel-2a"]) == 130
    assert "interrupted" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_row_far_down_is_refused_before_anything_is_computed(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(spectra_table, "_CHECKED", 16)
    monkeypatch.setattr(Prosail, "forward", lambda *_: pytest.fail("computed"))
    source = tmp_path / "table.csv"
    source.write_text("lai\n" + "1\n" * 99 + "-1\n" + "1\n" * 20)
    assert run(["simulate", str(source), "-o", str(tmp_path / "out.csv")]) == 3
    assert "row 100, column lai: expected lai at least 0, got -1" in capfd.readouterr().err
    source.write_text("lai\n" + "1\n" * 99 + "one\n")
    assert run(["simulate", str(source), "-o", str(tmp_path / "out.csv")]) == 3
    assert "row 100, column lai: expected a number, got 'one'" in capfd.readouterr().err


def test_the_progress_counts_every_row_once(model, drawn, tmp_path):
    counted: list[int] = []
    path: Path = tmp_path / "out.parquet"
    spectra_writers.write(path, model, drawn, torch.float64, counted.append)
    assert sum(counted) == 70
