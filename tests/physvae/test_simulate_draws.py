"""`physvae simulate --draw`: seeded, the same whatever the blocks, refused in one sentence."""

from pathlib import Path

import pyarrow.parquet
import pytest

from physvae.__main__ import run
from physvae.samplers import SAMPLERS

SENSOR = ("--sensor", "sentinel-2a")


def draw(output: Path, *options: str) -> int:
    return run(["simulate", "-o", str(output), *SENSOR, *options])


def content(path: Path) -> dict[str, bytes]:
    """Every byte of a file, or of all files of a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(f.relative_to(path)): f.read_bytes() for f in files if f.is_file()}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".nc", ".zarr"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_command_writes_the_same_bytes(suffix, sampler, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        options = ("--draw", "20", "--seed", seed, "--sampler", sampler)
        assert draw(tmp_path / f"{name}{suffix}", *options) == 0
    a, b, c = (content(tmp_path / f"{name}{suffix}") for name in "abc")
    assert a == b
    assert a != c


def test_draws_given_back_as_a_table_give_the_same_spectra(tmp_path):
    """The table has all digits of the parameters, so every spectrum is the same to the bit."""
    assert draw(tmp_path / "drawn.csv", "--draw", "50") == 0
    table = tmp_path / "drawn.csv"
    assert run(["simulate", str(table), "-o", str(tmp_path / "again.parquet"), *SENSOR]) == 0
    again = pyarrow.parquet.read_table(tmp_path / "again.parquet")
    assert again.num_rows == 50
    for band in ("B2", "B8A", "B12", "fapar", "fcover"):
        assert again[band].equals(again[f"{band}_input"])


def test_a_prior_chooses_the_model(tmp_path):
    """Crown cover asks for crowns, as a column of a table does."""
    (tmp_path / "crowns.toml").write_text(
        "[prior]\nlai = { mean = 2.0, sd = 2.0, low = 0.5, high = 6.0 }\n"
        "cv = { mean = 0.5, sd = 0.3, low = 0.1, high = 1.0 }\n"
    )
    options = ("--draw", "30", "--prior", str(tmp_path / "crowns.toml"))
    assert draw(tmp_path / "out.parquet", *options) == 0
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    cover = table["cv"].to_numpy()
    assert cover.min() < 0.3
    assert (table["fcover"].to_numpy() <= cover).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table.csv", "--draw", "3"], "expected a table or --draw, got both"),
        ([], "expected a table or --draw, got neither"),
        (["table.csv", "--seed", "1"], "--seed: expected together with --draw, got a table"),
        (["table.csv", "--prior", "box"], "--prior: expected together with --draw"),
        (["--draw", "3", "--prior", "snap"], "s2-atbd, wheat or a file .toml"),
        (["--draw", "3", "--sampler", "halton"], "--sampler: expected sobol, lhs, random"),
        (["--draw", "0"], "'--draw'"),
        (["--draw", "3", "--seed", "-1"], "'--seed'"),
        (["--draw", "3", "--leaf", "PRO"], "s2-atbd has cm, expected parameters of the model"),
    ],
)
def test_wrong_usage_is_told_in_one_sentence(arguments, words, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("table.csv").write_text("lai\n1\n")
    assert run(["simulate", *arguments, "-o", "out.csv"]) == 2
    told = capfd.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not Path("out.csv").exists()


def test_a_prior_file_that_is_not_there_is_refused(tmp_path, capfd):
    assert draw(tmp_path / "out.csv", "--draw", "3", "--prior", "nowhere.toml") == 3
    assert "nowhere.toml: expected a TOML file" in capfd.readouterr().err


def test_impossible_pairs_of_a_prior_are_refused_before_anything_is_written(tmp_path, capfd):
    (tmp_path / "pairs.toml").write_text(
        "[prior]\nlai = { mean = 2.0, sd = 2.0, low = 0.5, high = 6.0 }\n"
        "lidf_a = { mean = 0.0, sd = 100.0, low = -1.0, high = 1.0 }\n"
        "lidf_b = { mean = 0.0, sd = 100.0, low = -1.0, high = 1.0 }\n"
    )
    options = ("--draw", "30", "--prior", str(tmp_path / "pairs.toml"))
    assert draw(tmp_path / "out.csv", *options) == 3
    assert "lidf_a, lidf_b: expected |a| + |b| of at most 1" in capfd.readouterr().err
    assert not (tmp_path / "out.csv").exists()
