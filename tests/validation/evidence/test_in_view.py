"""What was in view of a model's choices: declared for every shipped model, and never less."""

import re
from types import SimpleNamespace

import pytest

import physvae
from physvae.io.artifacts import names_in
from physvae.store import SHIPPED
from validation.evidence.in_view import CHOSEN, in_view


@pytest.mark.parametrize("name", sorted(names_in(SHIPPED)))
def test_every_shipped_model_declares_what_it_was_chosen_with(name):
    notes = physvae.load(name).config["training"]["notes"]
    named = set(re.findall(r"(\w+_dev)\.csv", notes))
    assert named <= set(CHOSEN[name]["P"]) | set(CHOSEN[name]["N"])


def model(name="sentinel-2-crops", **training):
    return SimpleNamespace(name=name, config={"training": training})


def test_letters_follow_the_declaration_and_the_record():
    laws = {"lai": {"basis": "measured"}, "cw": {"basis": "transferred"}}
    made = model(calibration={"field": laws}, spectra=[{"file": "unlabelled/crops.csv"}])
    assert in_view(made, "lai", "field_dev") == "PNIv"
    assert in_view(made, "lai", "grounded_eo_dev") == "––I–"
    assert in_view(made, "lai", "all") == "PNIv"
    assert in_view(made, "cw", "field_dev") == "PN–v"
    assert in_view(made, "lai", "field_dev", method="lut") == "PN–v"
    assert in_view(made, "ccc", "ccc_dev") == "PN–v"


def test_what_was_left_out_is_not_in_view():
    made = model(calibration={"field": {"lai": {}}})
    assert in_view(made, "lai", "field_dev", left_out="set") == "PN––"
    assert in_view(made, "lai", "field_dev", left_out="group") == "PNi–"


def test_nobody_knows_what_a_model_of_others_was_chosen_with():
    assert in_view(model("mine"), "lai", "field_dev") == "??––"
