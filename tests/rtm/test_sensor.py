"""Bands against pyrsr and published tables, and few wavelengths against full integration."""

import numpy as np
import pytest
import torch

from rtm import Prosail, load_sensor, prosail, sensors
from rtm.catalogue import ALIASES, REGULAR
from rtm.response import GRID
from rtm.sensor import Sensor
from rtm.soil_tables import read_soils

F64 = torch.float64
TEN = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
NAMES = [info.name for info in sensors()]
FACTORS = ("rso", "rdo", "rsd", "rdd")


def draws(model: Prosail, n: int, seed: int, zenith: float = 80.0):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(n, len(model.space) + 3, generator=generator, dtype=F64)
    theta = model.space.low + (model.space.high - model.space.low) * unit[:, :-3]
    return theta, unit[:, -3:] * torch.tensor([80.0, zenith, 180.0], dtype=F64)


def on_grid(sensor: Sensor) -> np.ndarray:
    rows = np.zeros((len(sensor.bands), len(GRID)))
    rows[:, (sensor.wavelength.numpy() - GRID[0]).astype(int)] = sensor.weights.numpy()
    return rows


@pytest.mark.parametrize("name", [*NAMES, *ALIASES])
def test_every_sensor_loads_with_normalised_weights(name):
    sensor = load_sensor(name)
    info = next(info for info in sensors() if info.name == sensor.name)
    assert sensor.bands == info.bands
    assert (sensor.weights >= 0.0).all()
    assert (sensor.weights.sum(-1) - 1.0).abs().max() < 1e-14
    assert sensor.wavelength.min() >= 400.0
    assert sensor.wavelength.max() <= 2500.0
    flat = sensor.apply(torch.full((len(sensor.wavelength),), 0.3, dtype=F64))
    np.testing.assert_allclose(flat, 0.3, rtol=1e-14)
    mean = sensor.apply(sensor.wavelength)
    gaussian = name in ("enmap", "prisma", *REGULAR)
    tolerance = 0.2 if gaussian else 1e-9  # Gaussians are cut at 400 and 2500
    np.testing.assert_allclose(mean, sensor.center, atol=tolerance)


def test_regular_bands_are_named_by_their_centre():
    sensor = load_sensor("hyperspectral-10nm")
    assert len(sensor.bands) == 209
    assert sensor.bands == tuple(f"B{center:g}" for center in sensor.center.tolist())
    assert (sensor.fwhm == 10.0).all()


def test_the_list_says_who_published_each_sensor():
    assert NAMES[:3] == ["sentinel-2a", "sentinel-2b", "sentinel-2c"]
    assert all(info.source and info.name in str(info) for info in sensors())
    assert {"landsat-8", "landsat-9", "terra-modis", "planetscope", "enmap"} <= set(NAMES)


PYRSR = {
    "sentinel-2a": "Sentinel-2A/MSI", "sentinel-2b": "Sentinel-2B/MSI",
    "landsat-4": "Landsat-4/TM", "landsat-5": "Landsat-5/TM", "landsat-7": "Landsat-7/ETM+",
    "landsat-8": "Landsat-8/OLI_TIRS", "landsat-9": "Landsat-9/OLI_TIRS",
}  # fmt: skip


@pytest.mark.parametrize("name", PYRSR)
def test_bands_are_those_of_pyrsr(name):
    """Its files hold the agencies' numbers, µm or nm and response; ours are float32 and not < 0.

    The spectrum is a canopy's: red edge, water bands and all.
    """
    pyrsr = pytest.importorskip("pyrsr")
    sensor = load_sensor(name)
    canopy = prosail(lai=3.0, cab=45.0, tts=30.0, tto=10.0).rso
    values = canopy[(sensor.wavelength - 400.0).long()]
    for i, band in enumerate(sensor.bands):
        path = f"{pyrsr.__path__[0]}/data/{PYRSR[name]}/band_{band[1:]}"
        nm, response = np.loadtxt(path, skiprows=1).T
        nm = nm * (1000.0 if nm.max() < 100.0 else 1.0)
        whole = np.interp(GRID, nm, np.maximum(response, 0.0), 0.0, 0.0)
        whole /= whole.sum()
        np.testing.assert_allclose(on_grid(sensor)[i], whole, rtol=1e-6, atol=1e-12)
        assert sensor.center[i] == pytest.approx((whole * GRID).sum(), abs=1e-3)
        assert sensor.apply(values)[i] == pytest.approx(canopy.numpy() @ whole, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "truth", "tolerance"),
    [
        # Sentinel-2 user handbook, S2A; it rounds and averages
        ("sentinel-2", {"B2": (492.4, 66), "B4": (664.6, 31), "B8A": (864.7, 21)}, 3.0),
        # Barsi et al. 2014, 10.3390/rs61010232, table 1
        ("landsat-8", {"B1": (442.96, 15.98), "B4": (654.59, 37.47), "B5": (864.67, 28.25)}, 0.1),
        ("landsat-8", {"B6": (1608.86, 84.72), "B7": (2200.73, 186.66)}, 0.6),
        # MODIS specification: edges of the bands
        ("terra-modis", {"B1": (645.0, 50), "B2": (858.5, 35), "B4": (555.0, 20)}, 3.5),
        ("aqua-modis", {"B5": (1240.0, 20), "B6": (1640.0, 24), "B7": (2130.0, 50)}, 17.0),
        # JPSS-1 VIIRS, specification
        ("viirs", {"M3": (488, 20), "M5": (672, 20), "M8": (1240, 20), "M11": (2250, 50)}, 10.0),
        # Planet, SuperDove band table
        ("planetscope", {"blue": (490, 50), "red": (665, 31), "nir": (865, 40)}, 4.0),
        ("planetscope", {"green_i": (531, 36), "yellow": (610, 20), "red_edge": (705, 15)}, 4.0),
        # Sentinel-3 OLCI, specification
        ("sentinel-3a-olci", {"Oa08": (665, 10), "Oa10": (681.25, 7.5), "Oa17": (865, 20)}, 1.0),
    ],
)
def test_centers_and_widths_are_the_published_ones(name, truth, tolerance):
    sensor = load_sensor(name)
    for band, (center, width) in truth.items():
        i = sensor.bands.index(band)
        assert sensor.center[i].item() == pytest.approx(center, abs=tolerance)
        assert sensor.fwhm[i].item() == pytest.approx(width, abs=tolerance)


def test_select_keeps_order_and_values():
    sensor = load_sensor("sentinel-2a")
    some = sensor.select(("B8A", "B2"))
    assert some.bands == ("B8A", "B2")
    spectrum = torch.linspace(0.0, 1.0, len(sensor.wavelength), dtype=F64)
    used = torch.isin(sensor.wavelength, some.wavelength)
    full = sensor.apply(spectrum)
    found = some.apply(spectrum[used])
    np.testing.assert_allclose(found, full[[sensor.bands.index("B8A"), sensor.bands.index("B2")]])
    with pytest.raises(ValueError, match=r"bands: expected some of B1, B2.*got B99"):
        sensor.select(("B99",))


def test_a_gaussian_band_is_the_integral_over_its_gaussian():
    """Against 0.001 nm steps through a spectrum that is linear between whole nm."""
    spectrum = prosail(lai=2.0, tts=30.0).rso.numpy()
    fine = np.arange(650.0, 790.0, 0.001)
    values = np.interp(fine, GRID, spectrum)
    for center, fwhm in ((700.3, 12.0), (717.77, 2.5), (740.6, 0.4), (699.5, 0.02)):
        sensor = Sensor.gaussian("one", [center], [fwhm])
        found = sensor.apply(torch.from_numpy(spectrum)[(sensor.wavelength - 400.0).long()])
        weight = np.exp(-4.0 * np.log(2.0) * ((fine - center) / fwhm) ** 2)
        assert found.item() == pytest.approx((weight @ values) / weight.sum(), abs=1e-7)
        assert (sensor.center.item(), sensor.fwhm.item()) == (center, fwhm)
        assert sensor.apply(sensor.wavelength).item() == pytest.approx(center, abs=1e-6)


@pytest.mark.parametrize(
    ("center", "fwhm", "bands", "words"),
    [
        ([500.0, 399.0], [10.0, 10.0], None, "x: expected responses within 400-2500 nm, got B2"),
        ([2499.0], [10.0], ["far"], "got far with more than 1% outside"),
        ([500.0], [10.0, 20.0], None, "as many centres, widths and bands, got 1, 2 and 1"),
        ([500.0], [0.0], None, "widths above 0"),
        ([500.0, 510.0], [5.0, 5.0], ["a", "a"], "distinct bands"),
    ],
)
def test_a_wrong_gaussian_is_told(center, fwhm, bands, words):
    with pytest.raises(ValueError, match=words):
        Sensor.gaussian("x", center, fwhm, bands)


def test_imaging_spectrometers_have_their_bands():
    """EnMAP: 224 bands of 6-12 nm from 418 to 2445 nm (Guanter 2015, 10.3390/rs70708830)."""
    enmap, prisma = load_sensor("enmap"), load_sensor("prisma")
    assert (len(enmap.bands), len(prisma.bands)) == (224, 225)
    assert enmap.center[[0, 90, 91, 223]].tolist() == [418.416, 993.338, 901.962, 2445.3]
    assert 5.5 < enmap.fwhm.min() < enmap.fwhm.max() < 12.5
    assert 8.0 < prisma.fwhm.min() < prisma.fwhm.max() < 16.0


def test_files_of_responses_and_of_widths_are_read(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("wavelength,red,nir\n600,0,0\n650,1,0\n700,0,0\n800,0,3\n801,0,1\n")
    sensor = load_sensor(str(table))
    assert (sensor.name, sensor.bands) == ("mine", ("red", "nir"))
    # red is a triangle; nir rises from 700 to 800 and falls: means by hand
    assert sensor.center[0].item() == pytest.approx(650.0)
    assert sensor.fwhm[0].item() == pytest.approx(50.0)
    assert prosail(sensor=str(table), lai=2.0).band == ("red", "nir")
    widths = tmp_path / "widths.csv"
    widths.write_text("fwhm,band,centre\n10,a,550.5\n0.5,b,705.25\n")
    sensor = Sensor.from_file(widths)
    assert sensor.bands == ("a", "b")
    assert sensor.apply(sensor.wavelength).tolist() == pytest.approx([550.5, 705.25])


def test_a_response_between_whole_nm_keeps_its_mean(tmp_path):
    """A box from 500.25 to 503.75 nm of a spectrum that is linear: its middle."""
    table = tmp_path / "box.csv"
    table.write_text("wavelength,a\n500.25,2\n503.75,2\n")
    sensor = load_sensor(table)
    assert sensor.center.item() == pytest.approx(502.0, abs=1e-12)
    square = sensor.apply((sensor.wavelength - 502.0) ** 2).item()
    fine = np.linspace(500.25, 503.75, 350_001)
    whole = np.interp(fine, np.arange(500.0, 505.0), (np.arange(500.0, 505.0) - 502.0) ** 2)
    assert square == pytest.approx(whole.mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a row of names and rows below, found an empty file"),
        ("a,b\n1,2\n", "expected the columns band, center, fwhm or .* found a, b"),
        ("wavelength,a\n", "expected rows below the header, found none"),
        ("wavelength,a\n500,1\n501,x\n", "expected a number in row 2, column a, found 'x'"),
        (
            "wavelength,a\n500,1\n501\n",
            "expected 2 cells in row 2, as many as in the header, found 1",
        ),
        ("wavelength,a\n501,1\n500,1\n", "expected rising wavelengths"),
        ("wavelength,a\n0.5,1\n0.6,1\n", "expected wavelengths in nm, found 0.5"),
        ("wavelength,a\n500,0\n501,0\n", "expected responses ≥ 0, not all 0, found others in a"),
        ("wavelength,a\n390,1\n410,1\n", "expected responses within 400-2500 nm, got a"),
        ("band,center,fwhm\na,500,0\n", "expected fwhm above 0, found 0"),
        ("band,center,fwhm\na,500,5\na,600,5\n", "expected distinct bands"),
    ],
)
def test_a_wrong_file_is_told_with_its_name(tmp_path, text, words):
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"wrong\.csv: {words}"):
        load_sensor(path)


def test_a_missing_file_is_told():
    with pytest.raises(FileNotFoundError, match=r"expected a CSV file, found no none\.csv"):
        load_sensor("none.csv")
    with pytest.raises(ValueError, match=r"reduced: expected a sensor of the package"):
        load_sensor("none.csv", reduced=True)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hyperspectral-10nm"])
def test_few_wavelengths_are_means_within_the_responses(name):
    full, few = load_sensor(name), load_sensor(name, reduced=True)
    assert few.bands == full.bands
    assert len(few.wavelength) < 0.4 * len(full.wavelength)
    assert torch.equal(few.wavelength, few.wavelength.round())
    assert (few.weights >= 0.0).all()
    assert (few.weights.sum(-1) - 1.0).abs().max() < 1e-14
    assert not ((on_grid(few) > 0.0) & (on_grid(full) == 0.0)).any()
    some = few.select(few.bands[1:3])
    assert len(some.wavelength) < len(few.wavelength)
    assert torch.equal(some.center, full.center[1:3])


@pytest.mark.parametrize("leaf", ["D", "5"])
def test_few_wavelengths_of_sentinel_2_are_exact_to_1e_4_over_the_whole_box(leaf):
    """All four factors, 1,000 draws no choice saw; benchmarks/reduce_sensors.py does 10,000."""
    full, few = load_sensor("sentinel-2a"), load_sensor("sentinel-2a", reduced=True)
    assert len(few.wavelength) <= 64
    assert len(few.select(TEN).wavelength) <= 50
    truth = Prosail(leaf, full, products=False)
    unseen = draws(truth, 1000, 5)
    seen, exact = Prosail(leaf, few, products=False)(*unseen), truth(*unseen)
    for factor in FACTORS:
        error = (getattr(seen, factor) - getattr(exact, factor)).abs().max()
        assert error < (1e-4 if leaf == "D" else 1.5e-4)


@pytest.mark.slow
def test_reduce_is_exact_to_1e_4_on_spectra_it_never_saw():
    """Chosen on 1,000 draws of the box, views to 60 degree, to 5e-5; held to 1e-4 on others."""
    sensor = load_sensor("sentinel-2a").select(TEN)
    full = Prosail(sensor=sensor, products=False)
    plain = Prosail(wavelength=sensor.wavelength, products=False)
    reduced = sensor.reduce(plain(*draws(plain, 1000, 0, 60.0)).rso, tolerance=5e-5)
    assert len(reduced.wavelength) <= 50
    assert (reduced.weights >= 0.0).all()
    assert (reduced.weights.sum(-1) - 1.0).abs().max() < 1e-14
    few = Prosail(sensor=reduced, products=False)
    unseen = draws(plain, 1000, 1, 60.0)
    assert (few(*unseen).rso - full(*unseen).rso).abs().max() < 1e-4


def test_reduce_finds_the_two_wavelengths_that_are_enough_for_lines():
    """For spectra linear in wavelength any two nodes with the right mean will do."""
    grid = torch.arange(500.0, 521.0, dtype=F64)
    sensor = Sensor.from_responses("one", grid, {"a": np.hanning(21) + 1e-3})
    slope = torch.linspace(-1.0, 1.0, 50, dtype=F64)[:, None]
    reduced = sensor.reduce(0.5 + slope * (grid - 510.0) / 50.0, tolerance=1e-9)
    assert len(reduced.wavelength) <= 2
    assert reduced.apply(reduced.wavelength).item() == pytest.approx(510.0, abs=1e-6)


def test_reduce_keeps_a_band_that_one_wavelength_or_none_can_spare():
    """Spectra without colour need one node a band, a band of one nm is its own node."""
    sensor = Sensor.gaussian("two", [500.0, 700.0], [1e-6, 30.0])
    gray = torch.linspace(0.0, 1.0, 20, dtype=F64)[:, None].expand(-1, len(sensor.wavelength))
    reduced = sensor.reduce(gray, tolerance=1e-9)
    assert len(reduced.wavelength) == 2
    assert reduced.wavelength[0] == 500.0
    np.testing.assert_allclose(reduced.weights.sum(-1), 1.0, rtol=1e-14)


@pytest.mark.parametrize(
    ("grid", "response", "words"),
    [
        ([1.0, 1.0], [1.0, 1.0], "wavelength: expected a rising 1-D grid"),
        ([1.0, 2.0], [0.0, 0.0], "a: expected 2 responses ≥ 0, not all 0"),
        ([1.0, 2.0], [1.0, -1.0], "a: expected 2 responses"),
    ],
)
def test_a_wrong_response_is_told(grid, response, words):
    with pytest.raises(ValueError, match=words):
        Sensor.from_responses("x", grid, {"a": response})


def test_an_unknown_sensor_is_told_with_the_names():
    with pytest.raises(ValueError, match=r"one of sentinel-2a, .* or a CSV file, got 'landsat'"):
        load_sensor("landsat")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("wavelength;a\n500;1,5\n510;1,5\n", "utf-8-sig"),
        ("sep=\t\n# a remark\nwavelength\ta\n500\t1,5\n510\t1,5\n", "utf-16"),
        ('# ähre\r\nwavelength,"a"\r\n500,1.5\r\n# another\r\n510,"1.5"\r\n\r\n', "cp1252"),
    ],
)
def test_responses_and_soils_are_read_in_any_dialect(tmp_path, text, encoding):
    path = tmp_path / "mine.txt"
    path.write_bytes(text.encode(encoding))
    sensor = load_sensor(path)
    assert (sensor.name, sensor.bands) == ("mine", ("a",))
    assert sensor.center.item() == pytest.approx(505.0)
    path.write_bytes(text.replace("1,5", "0,5").replace("1.5", "0.5").encode(encoding))
    soils = read_soils(path)
    assert (soils.names, soils.spectra.tolist()) == (("a",), [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'wavelength,a\n500,"1\n', "expected a closed quotation mark"),
        (b"wavelength,a\n500,1,2\n", "expected 2 cells in row 1"),
        (b"wavelength,a,a\n500,1,2\n", "found twice: a"),
        (b"PK\3\4secret", "found another kind of file"),
        (b"wavelength,a\n\0,\0\n", "found a binary file|expected a number"),
    ],
)
def test_a_damaged_table_is_told_in_a_sentence(tmp_path, content, words):
    path = tmp_path / "wrong.csv"
    path.write_bytes(content)
    for read in (load_sensor, read_soils):
        with pytest.raises(ValueError, match=rf"wrong\.csv: .*({words})"):
            read(path)
