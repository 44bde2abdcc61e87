"""Methods that learn from plots: what they may see, and that they learn."""

import numpy as np
import pandas as pd
import pytest

from validation.baselines.gaussian_process import predicted
from validation.evidence.labelled_sets import LabelledSet, Target, labelled_sets
from validation.evidence.references import BROAD, learned, parts_of, snap
from validation.evidence.set_scores import paired, scores


def test_a_gaussian_process_learns_a_smooth_function_and_knows_its_noise():
    random = np.random.default_rng(3)
    x, new = random.uniform(-2, 2, (100, 2)), random.uniform(-2, 2, (300, 2))
    f = lambda x: np.sin(2 * x[:, 0])  # noqa: E731
    y = f(x) + random.normal(0, 0.2, 100)
    found = predicted(x, y, new)
    assert np.sqrt(np.mean((found.mean - f(new)) ** 2)) < 0.15
    measured = f(new) + random.normal(0, 0.2, 300)
    inside = np.abs(measured - found.mean) < 1.96 * found.sd
    assert 0.9 <= inside.mean() <= 0.99


def test_far_from_its_plots_it_returns_to_their_mean_with_the_whole_spread():
    random = np.random.default_rng(4)
    x = random.normal(0, 1, (40, 1))
    y = 5 + np.sin(2 * x[:, 0]) + random.normal(0, 0.05, 40)
    near, far = predicted(x, y, np.zeros((1, 1))), predicted(x, y, np.full((1, 1), 30.0))
    assert far.mean[0] == pytest.approx(y.mean(), abs=0.1)
    assert far.sd[0] > 3 * near.sd[0]


def test_whole_groups_and_whole_sets_are_left_out():
    groups = np.repeat([f"g{i}" for i in range(12)], 5)
    names = np.array(["one"] * 30 + ["two"] * 30)
    part = parts_of(groups, names, "group")
    assert all(len(set(part[groups == g])) == 1 for g in set(groups))
    assert len(set(part)) > 2
    assert [len(set(parts_of(groups, names, "set")[names == n])) for n in ("one", "two")] == [1, 1]


def plots(name: str, n: int, seed: int) -> LabelledSet:
    random = np.random.default_rng(seed)
    lai = random.uniform(0, 5, n)
    bands = {b: 0.05 + 0.06 * lai * (i > 3) + random.normal(0, 0.002, n)
             for i, b in enumerate(BROAD)}  # fmt: skip
    frame = pd.DataFrame(bands | {"sun_zenith_deg": 30.0})
    labels = pd.DataFrame({"group": np.arange(n) // 4, "place": name, "cover": ""}).astype(str)
    kind = np.full(n, "LAI", object)
    return LabelledSet(name, frame, labels, {"lai": Target(lai, np.full(n, np.nan), kind)})


@pytest.mark.parametrize("how", ["process", "cire"])
@pytest.mark.parametrize("left_out", ["group", "set"])
def test_references_predict_every_row_from_others(how, left_out):
    sets = [plots("one", 28, 1), plots("two", 28, 2)]
    found = learned(sets, ("lai",), left_out=left_out, how=how)
    assert len(found) == 56
    assert scores(found)["rmse"] < 0.5


def test_with_its_set_left_out_a_row_does_not_see_it():
    """The second set says the opposite of the first, so what learns from the first alone errs."""
    one, two = plots("one", 28, 1), plots("two", 28, 2)
    target = two.targets["lai"]
    turned = Target(5 - target.measured, target.spread, target.definition)
    other = LabelledSet("two", two.frame, two.labels, {"lai": turned})
    found = learned([one, other], ("lai",), left_out="set", how="process")
    rows = found[found["set"] == "two"]
    assert np.corrcoef(rows["measured"], rows["estimate"])[0, 1] < -0.9


def test_snaps_networks_say_what_the_anchors_have(data_dir):
    found = paired(snap(data_dir / "sl2p"), labelled_sets(data_dir))
    assert scores(found[(found["trait"] == "lai") & (found["set"] == "field_dev")])[
        "rmse"
    ] == pytest.approx(1.15, abs=0.01)
    assert "sparc_barrax_dev" not in set(found["set"])  # no short-wave infrared there
