"""Baselines by their names on the command line."""

from typing import Any

from validation.baselines.base import Baseline
from validation.baselines.indices import IndexRegression
from validation.baselines.lut import LookUp
from validation.baselines.networks import load_net


def load_baseline(text: str, trait: str, model: Any = "sentinel-2") -> Baseline:
    """A baseline by its name on the command line.

    Parameters
    ----------
    text : str
        ``index:ndvi`` (see `validation.baselines.indices`), ``lut`` (see
        `validation.baselines.lut`), or the path of a network in JSON.
    trait : str
        What is to be estimated.
    model
        A model's name, folder or the loaded model: its prior, physics and noise make the look-up
        table.

    Raises
    ------
    InputError, UsageError
        If there is no such index, or the file is no network.
    """
    if text.startswith("index:"):
        return IndexRegression.named(text.removeprefix("index:"), trait)
    if text == "lut":
        return LookUp.of(model, trait)
    return load_net(text)
