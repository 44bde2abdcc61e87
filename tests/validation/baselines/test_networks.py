"""SNAP's networks give SNAP's numbers; what is no network is refused in words."""

import json

import numpy as np
import pandas as pd
import pytest

from physvae.errors import InputError
from validation.baselines.networks import VARIABLES, forward, load_net, network_inputs


def tiny(**changes) -> dict:
    """One hidden neuron, one band: y = tanh(x*) before the scaling back."""
    net = {
        "variable": "LAI",
        "inputs": ["B3"],
        "norm_min": [0.0],
        "norm_max": [1.0],
        "W1": [[1.0]],
        "b1": [0.0],
        "W2": [1.0],
        "b2": [0.0],
        "den_min": [0.0],
        "den_max": [8.0],
        "output_tolerance_min_max": [-0.2, 0.0, 8.0],
    }
    return {key: value for key, value in {**net, **changes}.items() if value is not None}


def stored(tmp_path, net: object):
    path = tmp_path / "net.json"
    path.write_text(json.dumps(net), encoding="utf-8")
    return path


@pytest.mark.parametrize("variable", ["LAI", "LAI_Cab", "FAPAR"])
def test_snaps_own_test_cases_are_met(data_dir, variable):
    """SNAP's cases in the unit of our trait (LAI_Cab in g m⁻², a hundredth), to 1e-3."""
    net = load_net(data_dir / "sl2p" / f"snap_v2_1_{variable}.json")
    cases = pd.read_csv(data_dir / "sl2p" / f"testcases_snap_v2_1_{variable}.csv")
    x = cases.drop(columns="expected").to_numpy(float)
    estimate = net.factor * forward(x, **net.constants)
    expected = net.factor * cases["expected"].to_numpy(float)
    known = np.isfinite(expected)
    assert known.sum() >= 28
    np.testing.assert_allclose(estimate[known], expected[known], atol=1e-3)


@pytest.mark.parametrize("variable", list(VARIABLES))
def test_every_network_gives_its_trait_on_real_rows(data_dir, variable):
    net = load_net(data_dir / "sl2p" / f"snap_v2_1_{variable}.json")
    estimate = net(pd.read_csv(data_dir / "field" / "field_dev.csv"))
    high = {"lai": 8, "ccc": 6, "cwc": 5500, "fapar": 1, "fcover": 1}[net.trait]
    assert np.isfinite(estimate).all()
    assert (estimate >= 0).all()
    assert (estimate <= high).all()
    assert np.median(estimate) > high / 50  # the unit is right: not off by 100 or 10⁴


def test_the_formulas_by_hand(tmp_path):
    """x* = 2·0.75 − 1 = 0.5, y = ½ (tanh 0.5 + 1) · 8."""
    net = load_net(stored(tmp_path, tiny()))
    expected = 4 * (np.tanh(0.5) + 1)
    assert net(pd.DataFrame({"B03": [0.75]})) == pytest.approx([expected], abs=1e-12)


@pytest.mark.parametrize(("den_min", "expected"), [(-0.15, 0.0), (-0.5, -0.5)])
def test_a_value_within_the_tolerance_is_set_to_the_limit_and_no_further(
    tmp_path, den_min, expected
):
    """Far below the range tanh is −1 and y is den_min: 0.2 below the limit 0 is tolerated."""
    net = load_net(stored(tmp_path, tiny(den_min=[den_min])))
    assert forward(np.array([[-1e3]]), **net.constants) == pytest.approx(expected)


def test_missing_angles_and_bands(data_dir):
    """No azimuth is 90°, no view zenith is nadir; no band or no sun gives no estimate."""
    net = load_net(data_dir / "sl2p" / "snap_v2_1_LAI.json")
    rows = pd.read_csv(data_dir / "field" / "field_dev.csv").head(4)
    filled = rows.assign(relative_azimuth_deg=90.0, view_zenith_deg=0.0)
    bare = rows.drop(columns=["relative_azimuth_deg", "view_zenith_deg"])
    np.testing.assert_array_equal(net(bare), net(filled))
    holes = filled.assign(
        B5=filled["B5"].where([False, True, True, True]),
        sun_zenith_deg=filled["sun_zenith_deg"].where([True, False, True, True]),
    )
    assert np.isnan(net(holes)).tolist() == [True, True, False, False]
    with pytest.raises(InputError, match="needs the column sun_zenith_deg"):
        network_inputs(rows.drop(columns="sun_zenith_deg"), net.inputs)


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ([1, 2], "expected a network with variable"),
        (tiny(W1=None), "expected a network with W1"),
        (tiny(variable="NDVI"), "variable: expected one of LAI"),
        (tiny(inputs=[]), "inputs: expected a list of names"),
        (tiny(inputs="B3"), "inputs: expected a list of names"),
        (tiny(W1=[[1.0, 2.0]]), r"W1: expected finite numbers of shape \[1, 1\]"),
        (tiny(b2=[float("nan")]), "b2: expected finite numbers"),
        (tiny(den_max="eight"), "den_max: expected finite numbers"),
        (tiny(b1={"a": 1}), "b1: expected finite numbers"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path, net, said):
    with pytest.raises(InputError, match=said):
        load_net(stored(tmp_path, net))


def test_a_file_that_is_no_json_is_refused(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"PK\x03\x04\xff")
    with pytest.raises(InputError, match=r"net\.pt: expected a network in JSON"):
        load_net(path)
    with pytest.raises(InputError, match="no such file"):
        load_net(tmp_path / "absent.json")
