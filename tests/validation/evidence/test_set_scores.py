"""Scores on labelled sets against truths that can be computed by hand or are known."""

import numpy as np
import pandas as pd
import pytest

from inversion.quality import Quality
from validation.evidence.labelled_sets import LabelledSet, Target, labelled_sets
from validation.evidence.set_scores import (
    differences,
    flagged,
    paired,
    retrieval,
    score_table,
    scores,
)
from validation.evidence.set_tables import HEADS, cells, scored

ROWS = 400


@pytest.fixture(scope="module")
def made() -> LabelledSet:
    random = np.random.default_rng(1)
    truth = random.uniform(0.0, 6.0, ROWS)
    spread = np.full(ROWS, 0.3)
    target = Target(truth + random.normal(0, 0.3, ROWS), spread, np.full(ROWS, "LAI", object))
    labels = pd.DataFrame({"group": np.arange(ROWS) // 10, "place": "p", "cover": ""}).astype(str)
    return LabelledSet("made", pd.DataFrame({"truth": truth}), labels, {"lai": target})


def noisy(scale: float):
    """Errors whose size the estimator knows: sd between 0.2 and 1 times the scale."""

    def estimate(labelled, traits):
        random = np.random.default_rng(2)
        sd = scale * random.uniform(0.2, 1.0, len(labelled))
        mean = labelled.frame["truth"].to_numpy() + random.normal(0, 1, len(labelled)) * sd
        columns = {"lai": mean, "lai_sd": sd, "lai_p025": mean - 1.96 * sd}
        return pd.DataFrame(columns | {"lai_p975": mean + 1.96 * sd, "quality": 0})

    return estimate


def test_the_measurements_own_error_is_taken_off(made):
    found = scores(paired(noisy(1.0), [made]))
    own = np.sqrt(np.mean(np.random.default_rng(2).uniform(0.2, 1.0, ROWS) ** 2))
    assert found["rmse"] > own + 0.03
    assert found["rmse_without_reference"] == pytest.approx(own, abs=0.06)  # two standard errors


def test_an_sd_that_knows_the_errors_ranks_them_and_another_does_not(made):
    rows = paired(noisy(1.5), [made])
    assert scores(rows)["sd_ranks_error"] > 0.3
    blind = rows.assign(sd=rows["sd"].to_numpy()[::-1])
    assert abs(scores(blind)["sd_ranks_error"]) < 0.15


def test_intervals_and_classes_have_their_scores(made):
    table = score_table(paired(noisy(1.0), [made]))
    assert table["class"].tolist()[:5] == ["", "0–0.5", "0.5–2", "2–4", "> 4"]
    assert table["n"].tolist()[0] == sum(table["n"].tolist()[1:5])
    assert 0.8 < table["coverage_95"][0] < 0.97
    assert table["crps"][0] > 0


def test_flagged_rows_are_counted_and_compared():
    error = np.array([1.0, 1.0, 3.0, 4.0])
    bits = np.array([0, int(Quality.ANGLE_FILLED_IN), 32, 128])
    found = flagged(bits, error)
    assert found["flagged_share"] == 0.5
    assert found["flagged_error_ratio"] == pytest.approx(np.sqrt(12.5))


def test_a_difference_is_of_the_same_rows_and_over_whole_groups(made):
    good, bad = (paired(noisy(scale), [made]) for scale in (0.5, 1.5))
    found = differences(good, {"bad": bad.iloc[::2]}).iloc[0]
    assert found["n"] == ROWS // 2
    assert found["groups"] == 40
    assert found["low"] < found["difference"] < found["high"] < 0


def test_the_text_has_a_cell_for_every_head(made):
    table = score_table(paired(noisy(1.0), [made]))
    assert {len(row) for row in cells(table)} == {len(HEADS)}
    text = scored(noisy(1.0), [made], classes=False)
    assert text.splitlines()[0].split()[0] == "trait"
    assert len(text.splitlines()) == 2


def test_an_estimator_may_have_nothing_to_say(made):
    assert paired(lambda labelled, traits: None, [made]).empty


@pytest.mark.parametrize(
    ("name", "error", "held"),
    [("field_dev", 1.0, 0.93), ("grounded_eo_dev", 1.06, 0.89)],
)
def test_the_default_model_holds_on_farms_and_on_other_continents(data_dir, name, error, held):
    """LAI of both sets in view of which its prior was chosen."""
    (labelled,) = (part for part in labelled_sets(data_dir) if part.name == name)
    pairs = paired(retrieval("sentinel-2"), [labelled])
    found = scores(pairs[pairs["trait"] == "lai"])
    assert found["rmse"] < error
    assert found["coverage_95"] >= held
    assert found["sd_ranks_error"] > 0.2
