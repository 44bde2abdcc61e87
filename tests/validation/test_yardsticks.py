"""Index regressions never see the site they estimate; the look-up table finds what it holds."""

import numpy as np
import pandas as pd
import pytest

from physvae.errors import InputError, UsageError
from validation.baselines import load_baseline, load_net
from validation.indices import INDICES, IndexRegression, index
from validation.look_up import LookUp


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


@pytest.mark.parametrize("name", list(INDICES))
def test_every_index_is_a_number_on_real_rows(data_dir, name):
    table = pd.read_csv(data_dir / "field" / "field_dev.csv")
    value = index(name, {band: table[band].to_numpy() for band in INDICES[name]})
    assert np.isfinite(value).all()
    assert np.corrcoef(value, table["lai"])[0, 1] > 0.3


def test_what_an_index_needs_is_told():
    bands, rows = frame()
    with pytest.raises(InputError, match="ndvi regression needs the bands B8A"):
        load_baseline("index:ndvi", "lai").predict(bands[["B4"]], rows)
    with pytest.raises(UsageError, match="expected one of index:ndvi, index:evi2"):
        load_baseline("index:pvi", "lai")


def test_the_look_up_table_returns_the_entries_around_a_spectrum():
    """Entries on a line of one band: the five nearest of 0.30 are 0.28 ... 0.32."""
    grid = np.linspace(0, 1, 101)
    table = LookUp("lai", ("B4",), grid[:, None], np.full(101, 30.0), 10 * grid, nearest=5)
    seen = pd.DataFrame({"B4": [0.30, np.nan], "sun_zenith_deg": 30.0})
    found = table.predict(seen, pd.DataFrame())
    assert found.mean[0] == pytest.approx(3.0, abs=1e-9)
    assert found.lower is not None
    assert 2.8 <= found.lower[0] < found.mean[0]
    assert np.isnan(found.mean[1])


def test_a_network_is_a_baseline_that_learns_nothing(data_dir):
    path = data_dir / "sl2p" / "snap_v2_1_LAI.json"
    field = pd.read_csv(data_dir / "field" / "field_dev.csv").head(5)
    found = load_baseline(str(path), "lai").predict(field, pd.DataFrame())
    np.testing.assert_array_equal(found.mean, load_net(path)(field))
    assert found.lower is None
