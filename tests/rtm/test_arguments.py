"""What people give as numbers: every public call has a sentence or the right result."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import rtm
from rtm.arguments import count, mapping, names, number, numbers, pair

NM = np.arange(800.0, 2401.0, 50.0)


def test_what_is_no_number_is_told_in_words():
    """16 kinds of it in 45 places, in a process without the type checks of the tests."""
    script = Path(__file__).with_name("wrong_arguments.py")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert run.stdout == ""


def test_text_is_quoted_and_nothing_is_called_so():
    with pytest.raises(ValueError, match=r"^lai: expected numbers, got '3'$"):
        rtm.prosail(lai="3")
    with pytest.raises(ValueError, match=r"^lai: expected numbers, got nothing$"):
        rtm.prosail(lai=None)
    with pytest.raises(
        ValueError, match=r"^lai, tts: expected shapes that broadcast, got lai \(2,\)"
    ):
        rtm.prosail(lai=[1.0, 2.0], tts=[1.0, 2.0, 3.0], wavelength=[670.0])


@pytest.mark.parametrize(
    "two",
    [
        [1, 2], (1.0, 2.0), np.array([1, 2], np.uint16), np.array([1.0, 2.0], ">f4"),
        np.array([2.0, 1.0])[::-1], np.ma.array([1.0, 2.0]), pd.Series([1.0, 2.0]),
        pd.Series([1, 2], dtype="Int64"), torch.tensor([1, 2]),
        [torch.tensor(1.0), torch.tensor(2.0)], np.array([1.0, 2.0], np.float16),
    ],
    ids=lambda x: type(x).__name__,
)  # fmt: skip
def test_numbers_of_any_library_are_numbers(two):
    expected = rtm.prosail(lai=torch.tensor([1.0, 2.0]).double(), wavelength=[670.0, 865.0]).rso
    found = rtm.prosail(lai=two, wavelength=[670.0, 865.0]).rso
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=0.0)


def test_a_table_and_a_masked_array_of_leaves_are_fitted():
    """A DataFrame is its values, what is masked is missing."""
    seen = rtm.prospect(cw=[0.008, 0.02], wavelength=NM).reflectance.numpy()
    options = {"wavelength": NM, "free": "cw", "domain": (800.0, 2400.0)}
    expected = rtm.invert_leaf(reflectance=seen, **options).parameters["cw"]
    frame = pd.DataFrame(seen, columns=NM)
    assert torch.equal(rtm.invert_leaf(reflectance=frame, **options).parameters["cw"], expected)
    holes = np.ma.masked_array(
        seen.copy(), mask=np.arange(len(NM)) % 3 == 0 & np.ones((2, 1), int)
    )
    holes.data[holes.mask] = 9.0
    found = rtm.invert_leaf(reflectance=holes, **options).parameters["cw"]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0.0)


def test_gradients_pass_lists_of_tensors():
    x = [torch.tensor(1.0, requires_grad=True), torch.tensor(2.0)]
    numbers("lai", x).sum().backward()
    assert x[0].grad == 1.0


def test_single_values_pairs_and_names():
    assert (number("a", np.float32(2)), count("a", 3), pair("a", [1, 2])) == (2.0, 3, (1.0, 2.0))
    assert names("free", "cw") == ("cw",)
    assert mapping("bounds", {"cw": (0, 1)}) == {"cw": (0.0, 1.0)}
    assert mapping("bounds", None) == {}
    for bad, words in ((2.5, "a whole number"), (0, "at least 1")):
        with pytest.raises(ValueError, match=words):
            count("a", bad)
    with pytest.raises(ValueError, match="bounds: cw: expected two numbers, got 3"):
        mapping("bounds", {"cw": 3})
