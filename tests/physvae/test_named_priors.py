"""Named priors: the published numbers, kept by the draws."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest, truncnorm

from physvae.errors import InputError, UsageError
from physvae.named_priors import CubeMap, load_prior, prior_names
from physvae.priors import LAI_REFERENCE
from physvae.samplers import sobol
from rtm import Prosail

FILE = """[prior]
lai = { mean = 2.0, sd = 2.0, low = 0.5, high = 6.0 }
cab = { mean = 50.0, sd = 10.0, low = 20.0, high = 80.0 }
car = { mean = 0.2, sd = 0.05, low = 0.1, high = 0.3, times = "cab" }
cv = { mean = 0.5, sd = 0.3, low = 0.1, high = 1.0 }

[angles]
tts = [30.0, 30.0]
"""


def drawn(name: str, n: int = 4096, crowns: bool = False) -> dict[str, np.ndarray]:
    mapped = CubeMap(load_prior(name), Prosail("D", "sentinel-2a", crowns=crowns))
    (points,) = sobol(n, len(mapped.drawn), 0, n)
    return {k: v.numpy() for k, v in mapped.space.split(mapped(torch.from_numpy(points))).items()}


def own(folder: Path, text: str) -> str:
    path = folder / "own.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", prior_names())
def test_every_named_prior_stays_within_the_box_of_the_model(name):
    space = Prosail("D", "sentinel-2a").space
    values = drawn(name)
    for parameter in space.parameters:
        assert values[parameter.name].min() >= parameter.low
        assert values[parameter.name].max() <= parameter.high


def test_the_box_is_uniform_in_every_parameter():
    for name, values in drawn("box").items():
        middle = (values.max() + values.min()) / 2
        assert kstest((values - middle) / np.ptp(values) + 0.5, "uniform").pvalue > 0.99, name


def test_lai_of_the_atbd_is_a_truncated_normal():
    """Mean 2, standard deviation 3, within 0-15: the document's table."""
    law = truncnorm((0 - 2) / 3, (15 - 2) / 3, 2, 3)
    assert kstest(drawn("s2-atbd")["lai"], law.cdf).pvalue > 0.99


@pytest.mark.parametrize(
    ("name", "at_0", "at_15"),
    [
        ("n_leaf", (1.2, 2.2), (1.3, 1.8)),
        ("cab", (20, 90), (45, 90)),
        ("car", (5, 23), (5, 23)),
        ("cbrown", (0, 2), (0, 0.2)),
        ("cw", (0.0075, 0.075), (0.015, 0.055)),
        ("cm", (0.003, 0.011), (0.003, 0.011)),
        ("ala", (30, 80), (55, 65)),
        ("hspot", (0.1, 0.5), (0.1, 0.5)),
        ("rsoil", (0.5, 3.5), (0.5, 1.2)),
        ("psoil", (0, 1), (0, 1)),
    ],
)
def test_bounds_of_the_atbd_close_in_on_those_at_lai_15(name, at_0, at_15):
    """Linear in LAI. Draws keep them, and come near them where LAI is low."""
    values = drawn("s2-atbd")
    share = values["lai"] / LAI_REFERENCE
    low, high = (a + (b - a) * share for a, b in zip(at_0, at_15, strict=True))
    place = (values[name] - low) / (high - low)
    assert place.min() > -1e-12
    assert place.max() < 1 + 1e-12
    assert place.min() < 0.02
    assert place.max() > (0.5 if name == "cbrown" else 0.95)  # cbrown is near 0 mostly


def test_soils_of_the_atbd_mix_dry_and_wet_evenly():
    assert kstest(drawn("s2-atbd")["psoil"], "uniform").pvalue > 0.99


def test_a_file_of_ones_own_is_drawn_from(tmp_path):
    values = drawn(own(tmp_path, FILE), crowns=True)
    assert (values["tts"] == 30).all()
    assert np.ptp(values["psi"]) > 179  # not given: as in a training file
    assert (values["n_leaf"] == 1.5).all()
    share = values["car"] / values["cab"]
    assert share.min() > 0.0999
    assert share.max() < 0.3001
    assert values["cv"].min() < 0.12


def test_the_file_of_the_documentation_is_drawn_from(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "simulate.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if line.startswith("    ") and "physvae" not in line)
    assert drawn(own(tmp_path, text))["tts"].max() < 60


def test_a_training_file_serves_as_a_prior(tmp_path):
    text = 'name = "mine"\nsensor = "sentinel-2a"\n' + FILE
    assert load_prior(own(tmp_path, text)).traits == ("lai", "cab", "car", "cv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[prior", "expected TOML"),
        ("[angles]\n", "prior: expected a value, got none"),
        ("[prior]\n", "expected lai as the first variable, got none"),
        (FILE + "[angels]\ntts = [0.0, 1.0]\n", "angels: expected no such key"),
        (FILE.replace("low = 0.5", "low = 7.0"), "low: expected below high, got 7.0 and 6.0"),
        (FILE.replace("[30.0, 30.0]", "[30.0, 90.0]"), "tts: expected at least 0 and below 90"),
        (FILE.replace("[30.0, 30.0]", "[40.0, 30.0]"), "tts: expected the lower bound first"),
        (FILE.replace('times = "cab"', 'times = "cw"'), "car.times: expected a variable that"),
    ],
)
def test_a_wrong_file_is_refused(text, words, tmp_path):
    with pytest.raises(InputError, match=words.replace("[", r"\[")):
        load_prior(own(tmp_path, text))


LONG = "x" * 500


@pytest.mark.parametrize(
    "text",
    [
        FILE.replace('times = "cab"', f'times = "{LONG}"'),
        FILE.replace("low = 20.0", f'low = "{LONG}"'),
        FILE.replace("low = 20.0", f'low = {{ password = "{LONG}" }}'),
        f"[prior]\n{LONG} = 1\n",
        f'[prior]\nlai = {{ kind = "{LONG}" }}\n',
        f'[prior.{LONG}]\nkind = "normal"\nmean = 1.0\nsd = 1.0\nlow = 0.0\nhigh = 2.0\n',
        FILE + f'[angels]\npassword = "{LONG}"\n',
        f'password = "{LONG}"\n',
    ],
)
def test_no_more_than_a_little_of_a_file_is_shown(text, tmp_path):
    """The file of somebody else, given by mistake, does not end in a log."""
    with pytest.raises(InputError) as refused:
        load_prior(own(tmp_path, text))
    assert "x" * 61 not in str(refused.value)
    assert len(str(refused.value)) < 400 + len(str(tmp_path))


def test_a_pipe_or_a_device_is_no_file_of_toml(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in ("pipe.toml", "zero.toml"):
        with pytest.raises(InputError, match="got something that is not an ordinary file"):
            load_prior(str(tmp_path / name))


def test_a_prior_that_does_not_fit_the_model_is_refused(tmp_path):
    model = Prosail("D", "sentinel-2a")
    with pytest.raises(UsageError, match=r"has cv, expected parameters of the model: n_leaf"):
        CubeMap(load_prior(own(tmp_path, FILE)), model)
    below = FILE.replace("low = 20.0", "low = -20.0").replace("cv =", "ant =")
    negative = load_prior(own(tmp_path, below))
    with pytest.raises(InputError, match=r"a bound of cab: expected at least 0, got -20"):
        CubeMap(negative, model)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"one of box, .*, wheat or a file \.toml"):
        load_prior("snap")
