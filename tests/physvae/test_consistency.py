"""Canopy products agree with LAI and the other factor, whatever the spectrum."""

import numpy as np
import pytest
import torch

import physvae
from physvae.consistency import with_partners
from physvae.field_interval import without_field
from physvae.loops import Said, said_plainly
from physvae.products import EXACT

NODES = [490, 560, 665, 705, 740, 783, 842, 865, 1610, 2190]  # nm, of the spectra below
STRANGE = {
    "water": [0.060, 0.050, 0.030, 0.020, 0.015, 0.012, 0.012, 0.010, 0.005, 0.004],
    "turbid water": [0.10, 0.13, 0.12, 0.09, 0.05, 0.045, 0.03, 0.025, 0.01, 0.008],
    "snow": [0.95, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90, 0.88, 0.12, 0.10],
    "soil": [0.06, 0.10, 0.15, 0.17, 0.19, 0.20, 0.22, 0.24, 0.32, 0.28],
    "black": [0.0] * 10,
}
ANGLES = torch.tensor([35.0, 5.0, 90.0])
SHARE = {"ccc": 0.01, "cwc": 1e4}


@pytest.fixture(
    scope="module", params=["sentinel-2", "sentinel-2-crops", "landsat-8", "hyperspectral-10nm"]
)
def model(request):
    """Each shipped model, with the intervals of its posterior."""
    return without_field(physvae.load(request.param))


@pytest.fixture(scope="module")
def spectra(model):
    """Of no canopy, each with noise, of mere chance, and with gaps."""
    random = torch.Generator().manual_seed(4)
    at = model.physical.sensor.center.tolist()
    strange = torch.tensor(np.array([np.interp(at, NODES, x) for x in STRANGE.values()])).float()
    noisy = strange * (1 + 0.1 * torch.randn(40, *strange.shape, generator=random))
    chance = 0.7 * torch.rand(200, len(at), generator=random)
    found = torch.cat([noisy.flatten(0, 1), chance, chance.sort(-1).values])
    found[::9, 0] = torch.nan
    return found


@pytest.fixture(scope="module")
def found(model, spectra):
    return model.estimate(spectra, ANGLES, tuple(model.traits))


def assert_possible(model, mean, sd):
    """|E[XY] − m m'| ≤ s s', to the rounding of float32."""
    for name, unit in SHARE.items():
        other = EXACT[name][0]
        centre = unit * mean["lai"] * mean[other]
        away = unit * sd["lai"] * sd[other]
        slack = 1e-4 * (away + centre) + 1e-9 * model.traits[name].high
        assert ((mean[name] - centre).abs() <= away + slack).all()


def test_means_of_products_are_possible_whatever_the_correlation(model, found):
    assert_possible(model, found.mean, found.sd)
    if "lai_effective" in found.mean:
        assert (found.mean["lai_effective"] <= found.mean["lai"] * (1 + 1e-5) + 1e-9).all()


def test_draws_give_such_means_by_themselves(model, spectra):
    """By which `refined`, `lut` and `lm` estimate; their sd is that of draws times `spread`."""
    posterior = model.posterior(spectra[:60], ANGLES)
    names = ("lai", "cab", "cw", "ccc", "cwc")
    found = model.summarise(posterior, spectra[:60], ANGLES.expand(60, 3), names)
    assert_possible(model, found.mean, {n: found.sd[n] / model.spread(n) for n in names})


def test_interval_and_sd_move_with_the_mean(model, found, spectra):
    moved = 0
    for name in filter(EXACT.__contains__, model.traits):
        trait = model.traits[name]
        mean, sd, low, high = (part[name] for part in found[:4])
        assert all(bool(x.isfinite().all()) for x in (mean, sd, low, high))
        assert ((trait.low <= low) & (low <= high) & (high <= trait.high)).all()
        assert (sd.square() <= (mean - trait.low) * (trait.high - mean) * 1.001 + 1e-6).all()
        raw = _as_the_network_says(model, spectra, name)
        times = mean / raw.mean
        free = (raw.mean > 1e-6) & (high < trait.high) & (times < 1)
        moved += int((free & (times < 0.99)).sum())
        torch.testing.assert_close(high[free], (times * raw.high)[free], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(sd[free], (times * raw.sd)[free], rtol=1e-3, atol=1e-6)
    assert moved > 50  # of 600 and two products


def _as_the_network_says(model, spectra, name):
    number = list(model.traits).index(name)
    said = said_plainly(model, spectra, ANGLES.expand(len(spectra), 3), [number])
    return Said(*(x[..., 0] for x in said[:4]), *said[4:])


def test_a_product_asked_for_alone_is_the_same(model, found, spectra):
    for name in filter(EXACT.__contains__, model.traits):
        alone = model.estimate(spectra, ANGLES, name)
        assert list(alone.mean) == [name]
        for part, whole in zip(alone[:4], found[:4], strict=True):
            torch.testing.assert_close(part[name], whole[name], rtol=1e-4, atol=1e-6)


def test_marginals_say_what_estimates_say(model, found, spectra):
    marginals = model.marginals(spectra, ANGLES, ("ccc", "lai"))
    mean, sd = marginals.moments()
    assert mean.shape == (len(spectra), 2)
    torch.testing.assert_close(mean[:, 0], found.mean["ccc"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sd[:, 1], found.sd["lai"], rtol=1e-4, atol=1e-6)
    high = marginals.quantile(1.959964)
    torch.testing.assert_close(high[:, 0], found.p975["ccc"], rtol=1e-4, atol=1e-6)
    raw = _as_the_network_says(model, spectra, "ccc").high  # near a bound scores are cut off
    inside = (raw > 0.1) & (raw < 14.0) & (high[:, 0] < 14.9)
    assert (marginals.score(high)[inside, 0] - 1.96).abs().max() < 0.02


def test_partners_stand_behind_what_is_asked_for():
    assert with_partners(("cwc", "cab", "ccc")) == ("cwc", "cab", "ccc", "lai", "cw")
    assert with_partners(("fapar",)) == ("fapar",)
