"""Field intervals found from plots: they hold at campaigns that were left out."""

import numpy as np
import pandas as pd
import pytest

from validation.evidence.field_intervals import fitted, left_out, strata, weighted_quantile


def plots(errors: dict[str, float], n: int = 200, groups: int = 40) -> pd.DataFrame:
    random = np.random.default_rng(6)
    parts = []
    for name, size in errors.items():
        truth = random.uniform(0, 6, n)
        rows = {"measured": truth, "estimate": truth + random.normal(0, size, n), "sd": 0.5}
        labels = {"set": name, "trait": "lai", "row": np.arange(n), "far": 1.0}
        group = [f"g{i % groups}" for i in range(n)]
        labels |= {"group": group, "place": name, "cover": "", "measured_std": np.nan}
        parts.append(pd.DataFrame(labels | rows))
    return pd.concat(parts, ignore_index=True)


def inside(rows: pd.DataFrame) -> float:
    return float(
        ((rows["lower"] <= rows["measured"]) & (rows["measured"] <= rows["upper"])).mean()
    )


def test_where_campaigns_err_alike_95_percent_are_held_when_one_is_left_out():
    found = left_out(plots({"a": 0.8, "b": 0.8, "c": 0.8}), "set", 0.0, 10.0)
    assert len(found) == 600
    assert 0.94 <= inside(found) <= 0.985  # the larger half of the rule is above 95 %


def test_a_campaign_that_errs_more_widens_the_interval_of_the_others():
    alike, mixed = (fitted(plots({"a": 0.5, "b": size})) for size in (0.5, 1.5))
    assert mixed.factor * mixed.floor > 1.5 * alike.factor * alike.floor


def test_every_set_weighs_the_same_however_many_plots_it_has():
    rows = plots({"a": 0.5, "b": 1.5})
    few = rows[(rows["set"] == "a") | (rows["row"] < 60)]
    assert fitted(few).floor == pytest.approx(fitted(rows).floor, rel=0.15)


def test_a_single_set_of_few_groups_is_judged_by_its_groups():
    assert set(strata(plots({"a": 1.0}, groups=3))) == {"g0", "g1", "g2"}
    assert set(strata(plots({"a": 1.0}))) == {"a"}


def test_a_weighted_quantile_counts_weights():
    value, weight = np.array([3.0, 1.0, 2.0]), np.array([0.1, 0.8, 0.1])
    assert weighted_quantile(value, weight, 0.8) == 1.0
    assert weighted_quantile(value, weight, 0.95) == 3.0
