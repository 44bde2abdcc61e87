"""Index regressions never see the site they estimate; the look-up table finds what it holds."""

import numpy as np
import pandas as pd
import pytest

from inversion.tables import retrieve_table
from physvae.errors import InputError, UsageError
from validation.baselines.indices import INDICES, IndexRegression, index
from validation.baselines.named import load_baseline
from validation.baselines.networks import load_net


def frame(n: int = 90) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reflectances of which NDVI is a known function of LAI, and the measurements."""
    lai = np.linspace(0.2, 5, n)
    ndvi = 0.1 + 0.15 * lai
    bands = pd.DataFrame({"B4": (1 - ndvi) / 4, "B8A": (1 + ndvi) / 4})
    for band in ("B5", "B6", "B7"):
        bands[band] = 0.2
    site = np.array(["a", "b", "c"])[np.arange(n) % 3]
    return bands, pd.DataFrame({"measured": lai, "site": site})


def test_a_regression_finds_a_line_that_is_there():
    bands, rows = frame()
    found = load_baseline("index:ndvi", "lai").predict(bands, rows)
    assert found.mean == pytest.approx(rows["measured"].to_numpy(), abs=1e-9)


@pytest.mark.parametrize("sites", [3, 1])
def test_a_site_never_helps_to_estimate_itself(sites):
    """Whatever is measured at a site, its own estimates stay the same."""
    bands, rows = frame()
    rows = rows if sites == 3 else rows.assign(site="all")
    rng = np.random.default_rng(0)
    rows["measured"] += rng.normal(0, 0.3, len(rows))
    first = IndexRegression.named("ndvi", "lai").predict(bands, rows)
    own = (rows["site"] == "a").to_numpy() if sites == 3 else np.arange(len(rows)) == 7
    changed = rows.assign(measured=np.where(own, 100.0, rows["measured"]))
    second = IndexRegression.named("ndvi", "lai").predict(bands, changed)
    np.testing.assert_array_equal(first.mean[own], second.mean[own])
    assert np.abs(first.mean[~own] - second.mean[~own]).max() > 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ndvi", 0.4 / 0.5),
        ("evi2", 2.5 * 0.4 / (0.45 + 2.4 * 0.05 + 1)),
        ("ndre", 0.35 / 0.55),
        ("cire", 3.0),
        ("ireci", 0.35 * 0.3 / 0.1),
        ("nirv", 0.8 * 0.45),
    ],
)
def test_an_index_is_what_a_hand_calculation_gives(name, value):
    bands = {"B4": 0.05, "B5": 0.1, "B6": 0.3, "B7": 0.4, "B8A": 0.45}
    assert index(name, {k: np.array(v) for k, v in bands.items()}) == pytest.approx(value)
    assert set(INDICES) == {"ndvi", "evi2", "ndre", "cire", "ireci", "nirv"}


@pytest.mark.parametrize("name", list(INDICES))
def test_every_index_is_a_number_on_real_rows(data_dir, name):
    table = pd.read_csv(data_dir / "field" / "field_dev.csv")
    value = index(name, {band: table[band].to_numpy() for band in INDICES[name].bands})
    assert np.isfinite(value).all()
    assert np.corrcoef(value, table["lai"])[0, 1] > 0.3


def test_what_an_index_needs_is_told():
    bands, rows = frame()
    with pytest.raises(InputError, match="ndvi regression needs the bands B8A"):
        load_baseline("index:ndvi", "lai").predict(bands[["B4"]], rows)
    with pytest.raises(UsageError, match="expected one of index:ndvi, index:evi2"):
        load_baseline("index:pvi", "lai")


def test_the_look_up_table_is_the_one_that_users_have(data_dir):
    """Row for row what `physvae retrieve --method lut` says; nothing is learned from the field."""
    field = pd.read_csv(data_dir / "field" / "field_dev.csv").head(4)
    field.loc[3, [c for c in field if c.startswith("B")]] = np.nan
    baseline = load_baseline("lut", "lai")
    found = baseline.predict(field, pd.DataFrame())
    theirs = retrieve_table(field, variables=("lai",), method="lut")
    np.testing.assert_array_equal(found.mean, theirs["lai"])
    np.testing.assert_array_equal(found.lower, theirs["lai_p025"])
    np.testing.assert_array_equal(found.upper, theirs["lai_p975"])
    assert np.isnan(found.mean).tolist() == [False, False, False, True]
    assert baseline.name == "look-up table"


def test_a_network_is_a_baseline_that_learns_nothing(data_dir):
    path = data_dir / "sl2p" / "snap_v2_1_LAI.json"
    field = pd.read_csv(data_dir / "field" / "field_dev.csv").head(5)
    found = load_baseline(str(path), "lai").predict(field, pd.DataFrame())
    np.testing.assert_array_equal(found.mean, load_net(path)(field))
    assert found.lower is None
