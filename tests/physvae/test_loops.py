"""Estimates by loops made for the processor are those of the model, but for rounding."""

import copy

import pytest
import torch

import physvae
from physvae.loops import BLOCK

TRAITS = ("lai", "cab", "ccc", "cw", "cwc", "fapar", "fcover")
CLOSE = 2e-5  # of a trait's range, or of a check; float32 has 6e-8, and checks cancel digits


@pytest.fixture(scope="module")
def model():
    return physvae.load("sentinel-2")


@pytest.fixture(scope="module")
def compiled(model):
    made = copy.deepcopy(model)
    made.compile()
    assert made._loops is not None
    return made


@pytest.fixture(scope="module")
def pixels(model):
    """More than a block of spectra, some with gaps of several kinds, and angles."""
    draw = torch.Generator().manual_seed(3)
    count = BLOCK + 77
    scores = torch.randn(count, len(model.space), generator=draw)
    angles = torch.rand(count, 3, generator=draw) * torch.tensor([70.0, 12.0, 180.0])
    with torch.no_grad():
        seen = model.likelihood.draw(model.physical(model.prior(scores), angles), draw)
    seen[::7, 3] = torch.nan
    seen[::11, 6:] = torch.nan
    seen[5] = -0.01
    angles[::5, 1:] = torch.nan
    return seen, angles


def gaps(model, one, other):
    """Largest differences, of traits in parts of their range, of checks relative."""
    for part in ("mean", "sd", "p025", "p975"):
        for name, values in getattr(one, part).items():
            trait = model.traits[name]
            away = (values - getattr(other, part)[name]).abs().max()
            yield f"{part} of {name}", float(away) / (trait.high - trait.low)
    for part in ("misfit", "novelty", "prior_width"):
        a, b = getattr(one, part), getattr(other, part)
        yield part, float(((a - b).abs() / (1.0 + a.abs())).max())


@pytest.mark.parametrize("traits", [TRAITS, ("cab",), ("fcover", "lai"), ("ccc",)])
def test_loops_say_what_the_model_says(model, compiled, pixels, traits):
    away = dict(gaps(model, model.estimate(*pixels, traits), compiled.estimate(*pixels, traits)))
    assert max(away.values()) < CLOSE, away


def test_any_leading_axes_and_no_pixel_at_all(model, compiled, pixels):
    seen, angles = pixels[0][:60].reshape(3, 20, -1), pixels[1][:60].reshape(3, 20, -1)
    away = dict(gaps(model, model.estimate(seen, angles), compiled.estimate(seen, angles)))
    assert max(away.values()) < CLOSE, away
    assert compiled.estimate(seen, angles).mean["lai"].shape == (3, 20)
    assert compiled.estimate(seen[:0], angles[:0]).mean["lai"].shape == (0, 20)


def test_one_set_of_angles_serves_all_spectra(model, compiled, pixels):
    angles = torch.tensor([30.0, 5.0, 90.0])
    away = dict(gaps(model, *(m.estimate(pixels[0], angles) for m in (model, compiled))))
    assert max(away.values()) < CLOSE, away


def test_pixels_in_another_order_in_memory(compiled, pixels):
    seen, angles = (x.T.contiguous().T for x in pixels)
    one, other = compiled.estimate(*pixels), compiled.estimate(seen, angles)
    assert torch.equal(one.mean["lai"], other.mean["lai"])


def test_without_summaries_or_in_float64_nothing_is_compiled(model):
    double = copy.deepcopy(model).double()
    double.compile()
    assert double._loops is None
    bare = copy.deepcopy(model)
    bare.summaries = None
    bare.compile()
    assert bare._loops is None


def test_a_model_of_many_bands_stays_as_it_is():
    many = copy.deepcopy(physvae.load("hyperspectral-10nm"))
    many.compile()
    assert many._loops is None


def test_a_copy_of_a_compiled_model_is_the_model_without_loops(model, compiled, pixels):
    """As every method but `amortised` makes one; machine code cannot be copied."""
    twin = copy.deepcopy(compiled)
    assert twin._loops is None
    assert compiled._loops is not None
    one, other = model.estimate(*pixels), twin.estimate(*pixels)
    assert torch.equal(one.mean["lai"], other.mean["lai"])


def test_estimates_are_exported_and_mapped_with_missing_bands(compiled, pixels):
    """The distance from the training spectra goes by a matrix a pixel there, to its rounding."""
    reflectance, angles = pixels[0][:4].clone(), pixels[1][:4]
    reflectance[0, 2] = reflectance[1, :2] = torch.nan

    class Estimate(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = compiled

        def forward(self, x, a):
            found = self.model.estimate(x, a, ("lai",))
            return found.mean["lai"], found.sd["lai"], found.novelty

    expected = Estimate()(reflectance, angles)
    program = torch.export.export(Estimate(), (reflectance, angles)).module()
    for one, other in zip(program(reflectance, angles), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    mapped = torch.func.vmap(compiled.domain)(reflectance)
    torch.testing.assert_close(mapped, expected[2], atol=1e-4, rtol=1e-4)
