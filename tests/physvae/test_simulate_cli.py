"""`physvae simulate`: the model's numbers in four formats, or one sentence and no file."""

import csv
from pathlib import Path

import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import zarr

import rtm
from physvae.__main__ import run

TABLE = "id,LAI,cab,sza,lma\nfirst,1,40,30,0.005\nsecond,4,60,45,0.01\n"


@pytest.fixture
def parameters(tmp_path) -> Path:
    path = tmp_path / "parameters.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def truth() -> rtm.CanopyReflectance:
    return rtm.prosail(
        sensor="sentinel-2b", lai=np.array([1.0, 4.0]), cab=np.array([40.0, 60.0]),
        tts=np.array([30.0, 45.0]), cm=np.array([0.005, 0.01]),
    )  # fmt: skip


def simulate(parameters: Path, output: Path, *options: str) -> int:
    return run(["simulate", str(parameters), "-o", str(output), *options])


def test_csv_holds_the_model_and_passes_other_columns(parameters, truth, tmp_path, capfd):
    output = tmp_path / "spectra.csv"
    assert simulate(parameters, output, "--sensor", "sentinel-2b") == 0
    with output.open() as file:
        rows = list(csv.DictReader(file))
    found = np.array([[float(row[band]) for band in truth.band] for row in rows])
    np.testing.assert_array_equal(found, truth.rso.numpy())  # digits that give the number back
    assert [row["id"] for row in rows] == ["first", "second"]
    told = capfd.readouterr().err
    assert "taken as default: n_leaf 1.5" in told
    assert "not a parameter, passed through: id" in told


def test_parquet_holds_the_columns_of_csv(parameters, truth, tmp_path):
    for name in ("spectra.csv", "spectra.parquet"):
        assert simulate(parameters, tmp_path / name, "--sensor", "sentinel-2b") == 0
    table = pyarrow.parquet.read_table(tmp_path / "spectra.parquet")
    header = (tmp_path / "spectra.csv").read_text().splitlines()[0]
    assert ",".join(table.column_names) == header
    found = np.column_stack([table[band].to_numpy() for band in truth.band])
    np.testing.assert_array_equal(found, truth.rso.numpy())
    assert table["id"].to_pylist() == ["first", "second"]
    assert b"sentinel-2b" in table.schema.metadata[b"physvae"]


def test_other_columns_pass_through_as_they_are(tmp_path):
    """From CSV as written; in Parquet a column of numbers is numbers, a code stays a code."""
    source = tmp_path / "wild.csv"
    text = 'note,code,B3,year,share,lai\n"a, ""b""\nc",007,0.10,2020,0.50,1\n,12,,,,2\n'
    source.write_text(text)
    for suffix in (".csv", ".parquet"):
        assert simulate(source, tmp_path / f"out{suffix}", "--sensor", "sentinel-2a") == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    names = ("note", "code", "B3_input", "year", "share")
    assert [first[n] for n in names] == ['a, "b"\nc', "007", "0.10", "2020", "0.50"]
    assert [second[n] for n in names] == ["", "12", "", "", ""]
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet").select(names)
    assert [str(kind) for kind in table.schema.types] == [
        "string", "string", "double", "int64", "double",
    ]  # fmt: skip
    assert table.to_pylist()[1] == dict(zip(names, (None, "12", None, None, None), strict=True))


def test_other_columns_of_parquet_keep_their_kind(tmp_path):
    source = tmp_path / "in.parquet"
    names = pa.array(["x", "y"]).dictionary_encode()
    columns = {"lai": [1.0, 2.0], "LMA": pa.array(["0.01", "0.02"]), "plot": [1, 2], "crop": names}
    pyarrow.parquet.write_table(pa.table(columns), source)
    for suffix in (".csv", ".parquet"):
        assert simulate(source, tmp_path / f"out{suffix}", "--sensor", "sentinel-2a") == 0
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table["cm"].to_pylist() == [0.01, 0.02]
    assert table["plot"].to_pylist() == [1, 2]
    assert table["crop"].to_pylist() == ["x", "y"]
    assert (tmp_path / "out.csv").read_text().splitlines()[2].startswith("2,y,")


def test_netcdf_holds_all_factors(parameters, truth, tmp_path):
    output = tmp_path / "spectra.nc"
    assert simulate(parameters, output, "--sensor", "sentinel-2b") == 0
    with netCDF4.Dataset(output) as file:
        assert tuple(file["band"][:]) == truth.band
        for name in ("rso", "rdo", "rsd", "rdd", "fapar", "fcover"):
            np.testing.assert_array_equal(file[name][:], getattr(truth, name).numpy())
        assert file["cab"].units == "µg cm⁻²"


def test_zarr_without_sensor_has_every_nm_and_replaces_an_old_result(parameters, tmp_path):
    output = tmp_path / "spectra.zarr"
    assert simulate(parameters, output) == 0
    assert simulate(parameters, output) == 0
    group = zarr.open_group(output, mode="r")
    assert group["rso"].shape == (2, 2101)
    np.testing.assert_array_equal(group["wavelength"][:], np.arange(400.0, 2501.0))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".nc", ".zarr"])
def test_float32_is_close_and_the_parameters_stay_exact(suffix, parameters, tmp_path):
    """Single precision carries 6e-8 relative; sums over leaf layers and angles lose some of it."""
    spectra = {}
    for dtype in ("float64", "float32"):
        output = tmp_path / f"{dtype}{suffix}"
        assert simulate(parameters, output, "--sensor", "sentinel-2a", "--dtype", dtype) == 0
        spectra[dtype] = columns_of(output, "B4", "cab")
    np.testing.assert_allclose(spectra["float32"][0], spectra["float64"][0], atol=1e-5)
    assert (spectra["float32"][0] != spectra["float64"][0]).any()
    np.testing.assert_array_equal(spectra["float32"][1], [40.0, 60.0])


def columns_of(path: Path, band: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A band of rso and a parameter, from any format."""
    if path.suffix == ".csv":
        with path.open() as file:
            rows = list(csv.DictReader(file))
        return tuple(np.array([float(row[key]) for row in rows]) for key in (band, name))
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path)
        return table[band].to_numpy(), table[name].to_numpy()
    if path.suffix == ".nc":
        with netCDF4.Dataset(path) as file:
            index = list(file["band"][:]).index(band)
            return file["rso"][:, index].filled(), file[name][:].filled()
    group = zarr.open_group(path, mode="r")
    return group["rso"][:, list(group["band"][:]).index(band)], group[name][:]


def test_names_of_columns_choose_the_model(tmp_path):
    """Verhoef's pair of leaf angles, against the model called by hand."""
    source, output = tmp_path / "table.csv", tmp_path / "out.parquet"
    source.write_text("lai,lidf_a,lidf_b\n1,-0.35,-0.15\n3,1,0\n")
    assert simulate(source, output, "--sensor", "sentinel-2a") == 0
    truth = rtm.prosail(
        sensor="sentinel-2a",
        lai=np.array([1.0, 3.0]),
        lidf_a=np.array([-0.35, 1.0]),
        lidf_b=np.array([-0.15, 0.0]),
    )
    found = columns_of(output, "B8", "lidf_a")[0]
    np.testing.assert_array_equal(found, truth.rso[:, truth.band.index("B8")].numpy())


@pytest.mark.parametrize("leaf", ["5", "D", "PRO"])
def test_every_leaf_model_is_at_hand(leaf, parameters, tmp_path):
    output = tmp_path / "out.parquet"
    assert simulate(parameters, output, "--sensor", "sentinel-2a", "--leaf", leaf) == 0
    truth = rtm.prosail(leaf=leaf, sensor="sentinel-2a", lai=1.0, cab=40.0, tts=30.0, **DRY[leaf])
    found = columns_of(output, "B11", "cab")[0]
    np.testing.assert_allclose(found[0], truth.rso[truth.band.index("B11")], rtol=1e-12)


DRY: dict[str, dict[str, float]] = {"5": {"cm": 0.005}, "D": {"cm": 0.005}, "PRO": {}}


def test_a_sensor_of_ones_own_is_read_from_a_file(parameters, tmp_path):
    """Two boxes of response, against the mean over them of the spectrum at every nm."""
    sensor, output = tmp_path / "my.csv", tmp_path / "out.parquet"
    rows = [f"{nm},{int(650 <= nm <= 680)},{int(780 <= nm <= 900)}" for nm in range(600, 1001)]
    sensor.write_text("wavelength,red,near infrared\n" + "\n".join(rows) + "\n")
    assert simulate(parameters, output, "--sensor", str(sensor)) == 0
    truth = rtm.prosail(lai=1.0, cab=40.0, cm=0.005, tts=30.0)
    for band, low, high in (("red", 650, 680), ("near infrared", 780, 900)):
        mean = truth.rso[low - 400 : high - 399].mean()
        np.testing.assert_allclose(columns_of(output, band, "cab")[0][0], mean, rtol=1e-10)


@pytest.mark.parametrize("text", [None, "nm,red\n600,1\n"])
def test_a_wrong_sensor_file_is_refused(text, parameters, tmp_path, capfd):
    sensor = tmp_path / "my.csv"
    if text is not None:
        sensor.write_text(text)
    assert simulate(parameters, tmp_path / "out.csv", "--sensor", str(sensor)) == 3
    assert "my.csv" in capfd.readouterr().err


def test_bands_may_not_bear_the_names_of_parameters(parameters, tmp_path, capfd):
    sensor = tmp_path / "my.csv"
    sensor.write_text("wavelength,lai\n600,1\n601,1\n602,1\n")
    assert simulate(parameters, tmp_path / "out.csv", "--sensor", str(sensor)) == 2
    assert "expected bands that are not named as parameters, got lai" in capfd.readouterr().err


def test_few_wavelengths_give_the_same_bands(parameters, tmp_path):
    """To the tolerance they were chosen for, and faster, as there is less to compute."""
    options = ("--sensor", "sentinel-2a")
    assert simulate(parameters, tmp_path / "full.nc", *options) == 0
    assert simulate(parameters, tmp_path / "few.nc", *options, "--reduced") == 0
    with (
        netCDF4.Dataset(tmp_path / "full.nc") as full,
        netCDF4.Dataset(tmp_path / "few.nc") as few,
    ):
        assert few.wavelengths < full.wavelengths / 4
        for factor in ("rso", "rdo", "rsd", "rdd"):
            np.testing.assert_allclose(few[factor][:], full[factor][:], rtol=0, atol=1e-4)


def test_a_column_of_another_model_is_told(parameters, tmp_path, capfd):
    """PROSPECT-PRO has proteins and carbon in place of the dry matter that is given."""
    assert simulate(parameters, tmp_path / "out.csv", "--leaf", "PRO") == 0
    assert "a parameter of another model, passed through: lma" in capfd.readouterr().err


def test_a_result_does_not_depend_on_the_block_it_falls_into(tmp_path):
    """600 rows are three blocks; the last rows are simulated again on their own."""
    rows = "".join(f"{0.01 * i},{i % 80}\n" for i in range(600))
    many, few = tmp_path / "many.csv", tmp_path / "few.csv"
    many.write_text("lai,tts\n" + rows)
    few.write_text("lai,tts\n" + "".join(rows.splitlines(keepends=True)[-3:]))
    for path in (many, few):
        assert simulate(path, path.with_suffix(".nc"), "--sensor", "sentinel-2a") == 0
    with (
        netCDF4.Dataset(many.with_suffix(".nc")) as a,
        netCDF4.Dataset(few.with_suffix(".nc")) as b,
    ):
        np.testing.assert_allclose(a["rso"][-3:], b["rso"][:], rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lai,tts\n1,30\n-2,30\n", "row 2, column lai: expected lai at least 0, got -2"),
        ("lai,sza\n1,90\n", "row 1, column sza: expected tts at least 0 and below 90, got 90"),
        ("lai\n1\nthick\n", "row 2, column lai: expected a number, got 'thick'"),
        ("lai,cab\n1,40\n2,\n", "row 2, column cab: expected cab at least 0, got an empty cell"),
        ("lai,n\n1,0.5\n", "row 1, column n: expected n_leaf at least 1, got 0.5"),
        ("cm,lma\n1,1\n", "expected one column for cm, found cm and lma"),
        ("lai\n", "expected a header and at least one row"),
        ("", "expected a row of names and rows below, found an empty file"),
        ("leaf;area\n1;2\n", "expected a column named as one of n_leaf, cab"),
        ("lai,lai\n1,2\n", "every column once, found twice: lai"),
        ("lai,cab\n1,2\n3\n", "expected 2 cells in row 2, as many as in the header, found 1"),
        ("ala,lidf_a\n60,0\n", "ala, lidf_a: expected one of them at most, got both"),
        (
            "lidf_a,lidf_b\n0,0\n-0.8,0.4\n",
            "row 2: lidf_a, lidf_b: expected |a| + |b| of at most 1",
        ),
    ],
)
def test_a_wrong_table_is_refused_in_one_sentence(text, words, tmp_path, capfd):
    table = tmp_path / "wrong.csv"
    table.write_text(text)
    assert simulate(table, tmp_path / "spectra.csv") == 3
    told = capfd.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.csv"]


@pytest.mark.parametrize(
    ("output", "options", "words"),
    [
        ("s.txt", (), "expected .csv, .parquet, .nc, .zarr"),
        ("s.csv", ("--leaf", "7"), "leaf: expected one of D, 5, PRO"),
        ("s.csv", ("--dtype", "half"), "--dtype: expected float64 or float32, got 'half'"),
        ("s.csv", ("--sensor", "eye"), "sensor: expected one of sentinel-2a"),
        ("s.csv", ("--reduced",), "--reduced: expected together with --sensor"),
        ("parameters.csv", (), "expected another file than the input"),
    ],
)
def test_wrong_usage_is_told(output, options, words, parameters, tmp_path, capfd):
    assert simulate(parameters, tmp_path / output, *options) == 2
    assert words in capfd.readouterr().err
    assert parameters.read_text() == TABLE


def test_a_folder_that_is_no_result_is_never_replaced(parameters, tmp_path, capfd):
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "notes").touch()
    assert simulate(parameters, tmp_path / "mine.zarr") == 2
    assert "expected a new name or an earlier result" in capfd.readouterr().err
    assert (tmp_path / "mine.zarr" / "notes").exists()


def test_precision_is_checked_where_it_is_lost(tmp_path, capfd):
    """89.9999999 degrees are 90 in single precision."""
    source = tmp_path / "low_sun.csv"
    source.write_text("lai,tts\n1,89.9999999\n")
    assert simulate(source, tmp_path / "out.csv") == 0
    assert simulate(source, tmp_path / "out.csv", "--dtype", "float32") == 3
    assert "expected tts at least 0 and below 90, got 90" in capfd.readouterr().err


def test_measured_soils_come_from_a_table_by_name(tmp_path, capfd):
    """Bare ground is the soil that the column names; a name that is not there is refused."""
    soils = tmp_path / "soils.csv"
    soils.write_text("nm,clay,sand\n400,.08,.15\n2500,.2,.4\n")
    given = tmp_path / "plots.csv"
    given.write_text("lai,soil\n0,sand\n0,clay\n")
    made = tmp_path / "made.csv"
    assert simulate(given, made, "--soil", str(soils)) == 0
    with made.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["soil"] for row in rows] == ["sand", "clay"]
    assert [float(row["2500"]) for row in rows] == pytest.approx([0.4, 0.2])
    for text, words in (("lai,soil\n0,peat\n", "soil: expected one of clay, sand, got 'peat'"),
                        ("lai\n0\n", "expected a column soil"),
                        ("lai,soil,psoil\n0,sand,1\n", "soil, psoil: expected one")):  # fmt: skip
        given.write_text(text)
        assert simulate(given, tmp_path / "none.csv", "--soil", str(soils)) == 3
        assert words in capfd.readouterr().err
    assert not (tmp_path / "none.csv").exists()
