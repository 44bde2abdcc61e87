"""Calls of rtm with what is no number, run without the type checks of the tests.

Prints a line for every call that neither answers nor says in words what it expects.
"""

import re

import numpy as np
import torch

import rtm

NM = np.arange(800.0, 2401.0, 50.0)
SEEN = np.full((2, len(NM)), 0.3)
MODEL = rtm.Prosail(wavelength=[670.0, 865.0])
SENSOR = rtm.load_sensor("sentinel-2a")
WRONG = {
    "text": "three", "nothing": None, "listed text": ["3"], "a dict": {"a": 1}, "complex": 1j,
    "complex tensor": torch.tensor(1j), "truth": True, "true tensor": torch.tensor(True),
    "an object": object(), "ragged": [[1.0], [1.0, 2.0]], "a time": np.datetime64("2020-01-01"),
    "a function": print, "with a gap": [1.0, None], "masked": np.ma.masked_all(2),
    "infinite": float("inf"), "no number": np.array("x"),
}  # fmt: skip


FOREST = {
    "reflectance": [0.1], "transmittance": [0.1], "soil_reflectance": [0.2], "lai": 2.0,
    "crown_area": 0.4,
}  # fmt: skip


def wooded(**options):
    """A forest of one wavelength."""
    return rtm.forest(**(FOREST | options))


def fitted(**options):
    """Contents of two leaves."""
    return rtm.invert_leaf(wavelength=NM, reflectance=SEEN, **options)


CALLS = {
    "prosail": lambda x: rtm.prosail(wavelength=[670.0], lai=x),
    "prosail, tts": lambda x: rtm.prosail(wavelength=[670.0], tts=x),
    "prosail, classes": lambda x: rtm.prosail(wavelength=[670.0], classes=x),
    "prosail, soil": lambda x: rtm.prosail(wavelength=[670.0], soil=[x]),
    "prosail, leaf": lambda x: rtm.prosail(wavelength=[670.0], leaf=x),
    "prosail, hotspot": lambda x: rtm.prosail(wavelength=[670.0], hotspot=x),
    "prosail, wavelength": lambda x: rtm.prosail(wavelength=[x]),
    "Prosail, alpha": lambda x: rtm.Prosail(wavelength=[670.0], alpha=x),
    "Prosail, lidf": lambda x: rtm.Prosail(wavelength=[670.0], lidf=x),
    "Prosail, layers": lambda x: rtm.Prosail(wavelength=[670.0], layers=x),
    "Prosail, sensor": lambda x: rtm.Prosail(sensor=x),
    "theta": lambda x: MODEL(x, torch.zeros(3)),
    "angles": lambda x: MODEL(MODEL.space.stack(), x),
    "stack": lambda x: MODEL.space.stack(lai=x),
    "split": lambda x: MODEL.space.split(x),
    "prospect": lambda x: rtm.prospect(wavelength=[670.0], cw=x),
    "Prospect": lambda x: rtm.Prospect(wavelength=[670.0])(x),
    "load_sensor": lambda x: rtm.load_sensor(x),
    "apply": lambda x: SENSOR.apply(x),
    "reduce": lambda x: SENSOR.reduce(x),
    "select": lambda x: SENSOR.select(x),
    "gaussian": lambda x: rtm.Sensor.gaussian("mine", x, 10.0),
    "gaussian, fwhm": lambda x: rtm.Sensor.gaussian("mine", [600.0, 700.0], x),
    "from_responses": lambda x: rtm.Sensor.from_responses("mine", [600.0, 601.0], {"a": x}),
    "SpectralSoil": lambda x: rtm.SpectralSoil([400.0, 2500.0], x, [0.1, 0.2]),
    "from_spectra": lambda x: rtm.SpectralSoil.from_spectra([400.0, 2500.0], x, 0),
    "forest": lambda x: wooded(lai=x),
    "forest, crowns": lambda x: wooded(crown_area=x),
    "forest, reflectance": lambda x: wooded(reflectance=x),
    "forest, soil": lambda x: wooded(soil_reflectance=[x]),
    "forest, wood": lambda x: wooded(wai=1.0, wood_reflectance=x),
    "forest, diffuse": lambda x: wooded(diffuse=x),
    "forest, classes": lambda x: wooded(classes=x),
    "clumping_index": lambda x: rtm.clumping_index(lai=x, cv=0.5),
    "clumping_index, zenith": lambda x: rtm.clumping_index(lai=2.0, cv=0.5, zenith=x),
    "clumping_index, cv": lambda x: rtm.clumping_index(lai=2.0, cv=x),
    "invert_leaf": lambda x: rtm.invert_leaf(wavelength=NM, reflectance=[x] * len(NM)),
    "invert_leaf, wavelength": lambda x: rtm.invert_leaf(wavelength=x, reflectance=SEEN),
    "invert_leaf, cab": lambda x: fitted(cab=x),
    "invert_leaf, free": lambda x: fitted(free=x),
    "invert_leaf, domain": lambda x: fitted(domain=x),
    "invert_leaf, bounds": lambda x: fitted(bounds=x),
    "invert_leaf, noise": lambda x: fitted(noise=x),
    "invert_leaf, max_steps": lambda x: fitted(max_steps=x),
    "invert_leaf, leaf": lambda x: fitted(leaf=x),
}  # fmt: skip
TAKEN = {  # no space checks values, a leaf may have gaps, None is a default
    ("stack", "with a gap"), ("stack", "masked"), ("stack", "infinite"),
    ("invert_leaf", "with a gap"), ("invert_leaf", "masked"), ("invert_leaf", "infinite"),
    ("invert_leaf", "nothing"),
    ("Prosail, sensor", "nothing"), ("invert_leaf, free", "nothing"),
    ("invert_leaf, domain", "nothing"), ("invert_leaf, bounds", "nothing"),
    ("invert_leaf, bounds", "a dict"), ("apply", "masked"),
}  # fmt: skip


def offence(call: str, kind: str) -> str:
    """What is wrong with the answer to a call, or nothing."""
    try:
        CALLS[call](WRONG[kind])
    except ValueError as error:
        return "" if re.match(r"[\w :,.()-]+: expected ", str(error)) else f"says {error}"
    except Exception as error:  # whatever it is, it is no sentence
        return f"{type(error).__name__}: {error}"
    return "" if (call, kind) in TAKEN else "is taken"


if __name__ == "__main__":
    for call in CALLS:
        for kind in WRONG:
            if wrong := offence(call, kind):
                print(f"{call} with {kind}: {wrong}")
