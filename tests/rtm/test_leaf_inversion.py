"""Leaves from their spectra: what went in comes out, sd are what they say, real water is found."""

import csv

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from rtm.leaf import Prospect, prospect
from rtm.leaf_inversion import _Problem, invert_leaf
from rtm.least_squares import minimise
from rtm.spectra import LEAF_CONTENTS

F64 = torch.float64
GRID = torch.arange(400.0, 2501.0, 10.0, dtype=F64)
SWIR = torch.arange(800.0, 2401.0, 10.0, dtype=F64)
LEAF = ("n_leaf", "cw", "cm")


def draws(model: Prospect, n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    low, high = model.space.low, model.space.high
    return low + (high - low) * torch.rand(n, len(low), generator=generator, dtype=F64)


@pytest.mark.parametrize("seen", [("reflectance",), ("transmittance",), None])
@pytest.mark.parametrize("leaf", ["D", "5"])
def test_what_went_in_comes_out(leaf, seen):
    """100 draws of the whole box, one start: every parameter to 1e-6 of its range."""
    model = Prospect(leaf, wavelength=GRID)
    theta = draws(model, 100)
    optics = model(theta)
    seen = seen or ("reflectance", "transmittance")
    fit = invert_leaf(wavelength=GRID, leaf=leaf, **{kind: getattr(optics, kind) for kind in seen})
    assert fit.converged.all()
    found = torch.stack([fit.parameters[name] for name in model.space.names], -1)
    error = (found - theta) / (model.space.high - model.space.low)
    assert error.abs().max() < 1e-6
    assert fit.rmse.max() < 1e-9
    for kind in ("reflectance", "transmittance"):
        assert (getattr(fit, kind) - getattr(optics, kind)).abs().max() < 1e-7


def test_proteins_come_out_of_prospect_pro():
    """Of reflectance and transmittance; the two kinds of dry matter are alike, so to 1e-4."""
    model = Prospect("PRO", wavelength=GRID)
    theta = draws(model, 50)
    optics = model(theta)
    fit = invert_leaf(
        wavelength=GRID, leaf="PRO",
        reflectance=optics.reflectance, transmittance=optics.transmittance,
    )  # fmt: skip
    for name, truth in model.space.split(theta).items():
        assert (fit.parameters[name] - truth).abs().max() < 1e-4 * truth.max(), name


def test_a_surface_and_the_structure_come_out():
    """Gain and baseline where transmittance ties n_leaf; n_leaf by its own wavelengths."""
    truth = {"cw": np.array([0.006, 0.02]), "cm": 0.005, "n_leaf": 1.7}
    optics = prospect(**truth, wavelength=SWIR)
    seen = 0.9 * (optics.reflectance + 0.02)
    both = invert_leaf(
        wavelength=SWIR, reflectance=seen, transmittance=optics.transmittance,
        free=(*LEAF, "gain", "baseline"), cab=40.0,
    )  # fmt: skip
    for name, value in (truth | {"gain": 0.9, "baseline": 0.02}).items():
        np.testing.assert_allclose(both.parameters[name], value + np.zeros(2), rtol=1e-5)
    np.testing.assert_allclose(both.reflectance, seen, atol=1e-7)
    apart = invert_leaf(
        wavelength=SWIR, reflectance=optics.reflectance, free=LEAF,
        structure=(800.0, 1300.0), domain=(1700.0, 2400.0),
    )  # fmt: skip
    for name, value in truth.items():
        np.testing.assert_allclose(apart.parameters[name], value + np.zeros(2), rtol=1e-5)
    assert apart.wavelength.tolist() == [w for w in SWIR.tolist() if not 1300 < w < 1700]


def test_structure_alone_decides_n_leaf_and_the_domain_the_rest():
    """The plateau of one leaf and the rest of another: each part is what a fit of it alone gives,
    the other part held where it ended."""
    one, other = (prospect(n_leaf=n, cm=0.005, wavelength=SWIR).reflectance for n in (1.3, 2.0))
    call = {"wavelength": SWIR, "reflectance": torch.where(SWIR <= 1300.0, one, other)}
    plateau, swir = (800.0, 1300.0), (1700.0, 2400.0)
    apart = invert_leaf(**call, free=LEAF, structure=plateau, domain=swir)
    n_leaf, cw, cm = (apart.parameters[name] for name in LEAF)
    assert 1.0 < n_leaf < 1.5
    first = invert_leaf(**call, free=("n_leaf",), domain=plateau, cw=cw, cm=cm)
    np.testing.assert_allclose(first.parameters["n_leaf"], n_leaf, rtol=1e-5)
    second = invert_leaf(**call, free=("cw", "cm"), domain=swir, n_leaf=n_leaf)
    np.testing.assert_allclose(second.parameters["cw"], cw, rtol=1e-4)
    np.testing.assert_allclose(second.parameters["cm"], cm, rtol=1e-4)


def test_slopes_are_those_of_finite_differences():
    problem = _Problem.of(
        "D", SWIR, 40.0, (*LEAF, "cab", "gain", "baseline"), {}, {"cm": (0.005, 0.002)}, 0.01
    )
    fixed = {name: torch.full((2,), 0.5, dtype=F64) for name in (*LEAF_CONTENTS["D"], "n_leaf")}
    measured = torch.full((2, len(SWIR), 2), 0.3, dtype=F64)
    measured[1, ::3] = torch.nan
    unit = torch.tensor([[0.3, 0.6]] * 6, dtype=F64)
    _, slopes = problem.residuals(unit, fixed, measured)
    for i in range(6):
        nudge = torch.zeros_like(unit)
        nudge[i] = 1e-6
        ends = [problem.residuals(unit + s * nudge, fixed, measured)[0] for s in (1, -1)]
        assert (slopes[i] - (ends[0] - ends[1]) / 2e-6).abs().max() < 1e-5 * slopes.abs().max()


def test_the_search_ends_where_scipy_ends():
    """Random problems whose minima lie inside and on bounds; scipy's trust region from afar."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(8, 3, 20, generator=generator, dtype=F64)
    truth = 1.4 * torch.rand(3, 20, generator=generator, dtype=F64) - 0.2
    target = torch.einsum("rpb,pb->rb", matrix, torch.exp(truth))
    target += 0.3 * torch.randn(8, 20, generator=generator, dtype=F64)

    def residuals(u):
        rows = torch.einsum("rpb,pb->rb", matrix, torch.exp(u)) - target
        return rows, (matrix * torch.exp(u)).movedim(0, 1)

    found, done = minimise(residuals, torch.full((3, 20), 0.5, dtype=F64))
    assert done.all()
    edges = 0
    for b in range(20):
        m, t = matrix[..., b].numpy(), target[:, b].numpy()
        ends = least_squares(
            lambda u, m=m, t=t: m @ np.exp(u) - t, np.full(3, 0.5), bounds=(0, 1), xtol=1e-12,
            gtol=1e-12, ftol=1e-14,
        )  # fmt: skip
        np.testing.assert_allclose(found[:, b], ends.x, rtol=0, atol=1e-4)
        edges += int((found[:, b] == 0.0).any() or (found[:, b] == 1.0).any())
    assert 0 < edges < 20


@pytest.mark.parametrize("length", [1, 15])
def test_sd_are_the_spread_of_estimates(length):
    """200 leaves with noise of sd 0.005 that is independent, or alike over 15 wavelengths; the
    rms of error / sd is 1 to 20 %: 5 % are the 200 draws, the rest is that the correlation is
    taken from next neighbours alone."""
    grid = torch.arange(800.0, 2401.0, 5.0, dtype=F64)
    generator = torch.Generator().manual_seed(5)
    n = len(grid) + length - 1
    white = torch.randn(200, 1, n, generator=generator, dtype=F64)
    kernel = torch.full((1, 1, length), length**-0.5, dtype=F64)
    noise = torch.nn.functional.conv1d(white, kernel)[:, 0]
    clean = prospect(cw=0.012, cm=0.005, n_leaf=1.5, wavelength=grid).reflectance
    fit = invert_leaf(wavelength=grid, reflectance=clean + 0.005 * noise, free=LEAF)
    for name, truth in (("n_leaf", 1.5), ("cw", 0.012), ("cm", 0.005)):
        z = (fit.parameters[name] - truth) / fit.sd[name]
        rms = z.square().mean().sqrt().item()
        assert 0.8 < rms < 1.2, name


def test_a_prior_pulls_as_its_noise_says():
    seen = prospect(cw=0.012, cm=0.005, n_leaf=1.5, wavelength=SWIR).reflectance
    options = {"wavelength": SWIR, "reflectance": seen, "free": LEAF}
    prior = {"n_leaf": (2.0, 0.1)}
    weak = invert_leaf(**options, prior=prior, noise=1e-4).parameters["n_leaf"]
    strong = invert_leaf(**options, prior=prior, noise=10.0).parameters["n_leaf"]
    assert abs(weak - 1.5) < 1e-3
    assert abs(strong - 2.0) < 1e-3
    assert 1.5 < invert_leaf(**options, prior=prior, noise=0.05).parameters["n_leaf"] < 2.0


def test_estimates_stay_in_their_bounds():
    seen = prospect(cw=0.03, cm=0.005, n_leaf=1.5, wavelength=SWIR).reflectance
    fit = invert_leaf(wavelength=SWIR, reflectance=seen, free=LEAF, bounds={"cw": (0.001, 0.01)})
    assert fit.parameters["cw"] == 0.01
    assert fit.converged


def test_missing_values_and_axes_are_kept():
    """A leaf without values is NaN, its neighbours as without it; missing wavelengths cost
    nothing without noise; float32 and arrays are taken, and results are float64."""
    cw = torch.tensor([[0.006, 0.01, 0.02], [0.008, 0.012, 0.03]])
    seen = prospect(cw=cw, wavelength=SWIR).reflectance
    assert seen.dtype == torch.float32
    seen[0, 1] = torch.nan
    seen[1, 2, ::2] = torch.nan
    fit = invert_leaf(wavelength=SWIR.numpy(), reflectance=seen.numpy(), free=LEAF)
    found = fit.parameters["cw"]
    assert found.shape == fit.rmse.shape == (2, 3)
    assert found.dtype == F64
    assert fit.reflectance.shape == (2, 3, len(SWIR))
    empty = torch.zeros(2, 3, dtype=torch.bool)
    empty[0, 1] = True
    for value in (found, fit.rmse, fit.sd["cw"], fit.reflectance[..., 0]):
        assert torch.equal(value.isnan(), empty)
    assert torch.equal(fit.converged, ~empty)
    np.testing.assert_allclose(found[~empty], cw[~empty], rtol=1e-4)


def test_many_leaves_are_fitted_in_blocks_and_none_at_all_is_no_error():
    cw = torch.linspace(0.005, 0.03, 300, dtype=F64)
    grid = SWIR[::8]
    seen = prospect(cw=cw, cm=torch.linspace(0.002, 0.01, 300), wavelength=grid).reflectance
    cm = torch.linspace(0.002, 0.01, 300, dtype=F64)
    fit = invert_leaf(wavelength=grid, reflectance=seen, free=("n_leaf", "cw"), cm=cm)
    np.testing.assert_allclose(fit.parameters["cw"], cw, rtol=1e-5)
    np.testing.assert_array_equal(fit.parameters["cm"], cm)
    none = invert_leaf(wavelength=grid, reflectance=torch.zeros(0, len(grid)), free=LEAF)
    assert none.parameters["cw"].shape == none.converged.shape == (0,)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reflectance": None}, "reflectance, transmittance: expected one of them at least"),
        ({"transmittance": torch.zeros(3, 161)}, "transmittance: expected 161 wavelengths"),
        ({"wavelength": SWIR.flip(0)}, "wavelength: expected one rising axis of nm"),
        ({"reflectance": torch.full((161,), 45.0)}, "reflectance: expected 0-1, got 45"),
        ({"domain": (2410.0, 2500.0)}, "domain, structure: expected wavelengths measured"),
        ({"free": ("n_leaf", "lai")}, "parameter: expected one of n_leaf, cab, .*, got 'lai'"),
        ({"ewt": 0.01}, "parameter: expected one of n_leaf, cab, .*, got 'ewt'"),
        ({"free": ("cw",), "cw": 0.01}, "cw: expected free or fixed, got both"),
        ({"free": ("cw", "cw")}, "free: expected distinct names, got cw, cw"),
        (
            {"free": ("n_leaf", "cab"), "domain": (1700.0, 2400.0)},
            "cab: expected one that absorbs in the domain",
        ),
        ({"free": ("cw",), "structure": (800.0, 900.0)}, "structure: expected n_leaf among"),
        (
            {"reflectance": None, "transmittance": torch.zeros(161), "free": ("gain", "cw")},
            "gain: expected reflectance to see it in",
        ),
        ({"bounds": {"cw": (0.1, 0.0)}}, "cw: expected bounds low < high, at least 0"),
        ({"bounds": {"n_leaf": (0.5, 2.0)}}, "n_leaf: expected bounds low < high, at least 1"),
        ({"prior": {"cw": (0.1, 0.0)}}, "cw: expected a prior sd above 0, got 0"),
        ({"prior": {"ant": (0.1, 0.1)}, "ant": 0.0}, "bounds, prior: expected some of n_leaf"),
        ({"noise": 0.0}, "noise: expected above 0, got 0"),
        ({"alpha": 0.0}, "alpha: expected above 0 and at most 90 degree, got 0"),
        ({"leaf": "PRO", "cm": 0.01}, "cm: expected 0 with leaf PRO"),
        ({"cab": torch.zeros(7)}, "cab: expected one number or"),
        ({"cab": -1.0}, "cab: expected at least 0, got -1"),
        ({"leaf": "4"}, "leaf: expected one of D, 5, PRO, got '4'"),
    ],
)
def test_a_wrong_call_is_told_in_words(options, words):
    call = {"wavelength": SWIR, "reflectance": torch.full((2, 161), 0.3)} | options
    with pytest.raises(ValueError, match=words):
        invert_leaf(**call)


@pytest.mark.slow
def test_water_of_measured_leaves(data_dir):
    """110 leaves of four species (Ely et al. 2019, 10.1093/jxb/erz061), the wavelengths chosen
    by the literature: r ≥ 0.85 and RMSE ≤ 2.1 mg cm⁻² of water; dry matter not half of the truth
    as where n_leaf is fitted with the rest; and the sd of water within 30 % of its errors."""
    with open(data_dir / "leaf" / "traits.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    water, dry = (np.array([float(r[k]) for r in rows]) for k in ("ewt_g_cm2", "lma_g_cm2"))
    path = data_dir / "leaf" / "reflectance_500_2400.csv"
    spectra = np.genfromtxt(path, delimiter=",", skip_header=1)[:, 1:]
    fit = invert_leaf(
        wavelength=np.arange(500.0, 2401.0), reflectance=spectra, free=LEAF,
        structure=(800.0, 1300.0), domain=(1700.0, 2400.0),
    )  # fmt: skip
    assert fit.converged.all()
    found = fit.parameters["cw"].numpy()
    assert np.corrcoef(found, water)[0, 1] >= 0.85
    assert np.sqrt(np.mean((found - water) ** 2)) <= 0.0021
    assert np.corrcoef(fit.parameters["cm"], dry)[0, 1] >= 0.85
    assert np.sqrt(np.mean((fit.parameters["cm"].numpy() - dry) ** 2)) <= 0.0008
    z = (found - water) / fit.sd["cw"].numpy()
    assert 0.7 < np.sqrt(np.mean(z**2)) < 1.3


def test_reflectance_alone_is_fitted_by_parts():
    """Water and dry matter as with the wavelengths the Notes name, pigments on the rest."""
    leaves = prospect(cab=[30.0, 60.0], cw=[0.008, 0.02], cm=0.005, wavelength=GRID)
    ripple = 0.01 * (GRID / 40.0).sin()
    seen = leaves.reflectance + ripple
    fit = invert_leaf(wavelength=GRID, reflectance=seen)
    named = invert_leaf(
        wavelength=GRID,
        reflectance=seen,
        free=LEAF,
        domain=(1700.0, 2400.0),
        structure=(800.0, 1300.0),
    )
    for name in LEAF:
        torch.testing.assert_close(
            fit.parameters[name], named.parameters[name], rtol=1e-5, atol=0.0
        )
    assert fit.wavelength.tolist() == GRID.tolist()
    np.testing.assert_allclose(fit.parameters["cab"], [30.0, 60.0], rtol=0.2)
    whole = invert_leaf(wavelength=GRID, reflectance=seen, domain=(400.0, 2500.0))
    assert not torch.allclose(whole.parameters["cm"], named.parameters["cm"], rtol=1e-3)


def test_dry_matter_of_measured_leaves_by_default(data_dir):
    """r at least 0.85, bias at most 4e-4 of 4e-3 g cm⁻²: by default it was half of what it is."""
    with open(data_dir / "leaf" / "traits.csv", encoding="utf-8") as file:
        truth = np.array([float(row["lma_g_cm2"]) for row in csv.DictReader(file)])
    with open(data_dir / "leaf" / "reflectance_500_2400.csv", encoding="utf-8") as file:
        nm = np.array(file.readline().split(",")[1:], dtype=float)
        seen = np.loadtxt(file, delimiter=",")[:, 1:]
    found = invert_leaf(wavelength=nm[::10], reflectance=seen[:, ::10]).parameters["cm"].numpy()
    assert np.corrcoef(found, truth)[0, 1] >= 0.85
    assert abs((found - truth).mean()) <= 4e-4
