"""Soils: mixture, wet films, measured spectra, and the bounds that keep them physical."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rtm
from rtm import Prosail, SpectralSoil
from rtm.bsm import BSM, film_optics, wet_soil
from rtm.soil import DryWetSoil, cap, lift
from rtm.soil_tables import as_soil

F64 = torch.float64
GRID = torch.arange(400.0, 2501.0, 20.0, dtype=F64)
SPART = json.loads((Path(__file__).parents[1] / "references/bsm.json").read_text("utf-8"))


def measured_like(components: int = 3) -> SpectralSoil:
    """Steep and wild shapes, which leave 0-1 at the bounds of their coefficients."""
    t = GRID.numpy() / 2500.0
    basis = np.stack([0.1 * np.cos(6.0 * k * t) for k in range(components)])
    return SpectralSoil(GRID.numpy(), basis, 0.1 + 0.3 * t)


SOILS = [DryWetSoil(), measured_like(), BSM()]


def test_the_cap_is_the_identity_up_to_0_9_and_below_one_above():
    x = torch.linspace(0.0, 10.0, 10_001, dtype=F64)
    for dtype in (F64, torch.float32):
        y = cap(x.to(dtype))
        assert torch.equal(y[x <= 0.9], x[x <= 0.9].to(dtype))
        assert y.max() < 1.0
        assert (y.diff() >= 0.0).all()


def test_the_lift_is_the_identity_from_0_01_and_not_negative_below():
    """To rounding: it is written as a multiple of 0.01."""
    x = torch.linspace(-10.0, 1.0, 11_001, dtype=F64)
    for dtype in (F64, torch.float32):
        y = lift(x.to(dtype))
        eps = torch.finfo(dtype).eps
        assert (y - x)[x >= 0.01].abs().max() < 2 * eps
        assert y.min() >= 0.0
        assert (y.diff() >= 0.0).all()


@pytest.mark.parametrize(("keep", "joint"), [(cap, 0.9), (lift, 0.01)])
def test_the_joints_are_smooth(keep, joint):
    """Slope 1 at the joint itself, where two clamped pieces meet, and on both sides."""
    for dtype in (F64, torch.float32):
        edge = torch.tensor([joint - 1e-6, joint, joint + 1e-6], dtype=dtype, requires_grad=True)
        slope = torch.autograd.grad(keep(edge).sum(), edge)[0]
        np.testing.assert_allclose(slope, 1.0, atol=2e-4)
        assert slope[1].item() == pytest.approx(1.0, abs=4 * torch.finfo(dtype).eps)
    x = torch.tensor([-0.3, 0.001, 0.005, 0.3, 0.93, 2.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(keep, x, eps=1e-7)
    assert torch.autograd.gradgradcheck(keep, x, eps=1e-7, rtol=1e-4)


def test_psoil_one_is_the_dry_soil():
    soil = DryWetSoil()
    shapes = soil.shapes(torch.arange(400.0, 2501.0, dtype=F64))
    dry, wet = (
        soil.reflectance(torch.tensor([[p], [1.0]], dtype=F64), shapes) for p in (1.0, 0.0)
    )
    assert (dry > wet).all()
    library = pytest.importorskip("prosail").spectral_lib.soil
    np.testing.assert_allclose(dry, library.rsoil1[:, None], rtol=1e-14)


def test_components_give_the_measured_soils_back(data_dir):
    """46 components and the mean span 47 spectra; eight leave less than 0.01 on average."""
    values = np.loadtxt(data_dir / "soils/ossl_47_soils_400_2500.csv", delimiter=",", skiprows=1).T
    for components, tolerance in ((46, 1e-9), (8, 0.01)):
        soil = SpectralSoil.from_spectra(values[0], values[1:], components)
        scale = (soil.basis**2).sum(1)
        c = (values[1:] - soil.mean) @ soil.basis.T / scale
        theta = torch.from_numpy(np.column_stack([c, np.ones(len(c))]).T)
        found = soil.reflectance(theta, soil.shapes(torch.from_numpy(values[0]))).numpy().T
        bright = values[1:] > 0.02
        assert np.abs(found - values[1:])[bright].mean() < tolerance


def test_a_spectral_soil_under_a_canopy_has_named_coefficients():
    grid = np.linspace(400.0, 2500.0, 50)
    soil = SpectralSoil(grid, np.stack([np.ones(50), grid / 2500.0]), np.full(50, 0.2))
    model = Prosail(sensor="sentinel-2a", soil=soil)
    assert model.space.names[-3:] == ("soil_1", "soil_2", "rsoil")
    theta = model.space.stack(lai=0.0, soil_1=0.1, rsoil=2.0)
    np.testing.assert_allclose(model(theta, torch.zeros(3)).rso, 0.6, rtol=1e-12)
    theta = model.space.stack(lai=2.0, soil_1=torch.tensor([-3.0, 3.0], dtype=F64))
    assert model(theta, torch.zeros(3)).rso.isfinite().all()


def test_a_wrong_soil_is_told():
    with pytest.raises(ValueError, match="basis: expected"):
        SpectralSoil([400.0, 500.0], [[1.0, 2.0, 3.0]], [0.1, 0.1])
    with pytest.raises(ValueError, match="wavelength: expected rising"):
        SpectralSoil([500.0, 400.0], [[1.0, 2.0]], [0.1, 0.1])
    narrow = SpectralSoil([400.0, 500.0], [[1.0, 2.0]], [0.1, 0.1])
    with pytest.raises(ValueError, match="wavelength: expected 400-500 nm"):
        Prosail(soil=narrow)


def test_a_table_of_soils_is_read(tmp_path):
    """Two soils have one component, half their difference over √½; names are optional."""
    rows = "400,0.1,0.3\n1000,0.2,0.5\n2500,0.4,0.5\n"
    for text in ("wavelength,a,b\n" + rows, rows):
        path = tmp_path / "soils.csv"
        path.write_text(text, "utf-8")
        soil = SpectralSoil.from_file(path, 1)
        np.testing.assert_allclose(soil.mean, [0.2, 0.35, 0.45])
        np.testing.assert_allclose(
            np.abs(soil.basis[0]), np.sqrt(2.0) * np.array([0.1, 0.15, 0.05])
        )
    bright = SpectralSoil.from_file(path, 0)
    assert [p.name for p in bright.parameters] == ["rsoil"]
    found = bright.reflectance(torch.tensor([[2.0]]), bright.shapes(torch.tensor([400.0])).float())
    np.testing.assert_allclose(found, [[0.4]], rtol=1e-6)


@pytest.mark.parametrize("name", ["ossl_47_soils_400_2500.csv", "atbd_v2_7_soils_400_2500.csv"])
def test_the_soils_at_hand_are_read(data_dir, name):
    soil = SpectralSoil.from_file(data_dir / "soils" / name, 6)
    values = torch.tensor([p.default for p in soil.parameters], dtype=F64).unsqueeze(-1)
    found = soil.reflectance(values, soil.shapes(GRID))
    np.testing.assert_allclose(found[:, 0], soil.shapes(GRID)[-1], atol=2e-2)
    assert found.shape == (len(GRID), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wavelength,a\n400,0.1\n500,x\n", "expected a number in row 2, column a, found 'x'"),
        ("wavelength\n400\n500\n", "expected a wavelength and a soil"),
        ("wavelength,a\n400,12.0\n500,30.0\n", "expected reflectance 0-1, got 12"),
        ("wavelength,a\n400,nan\n500,0.3\n", "expected a number in row 1, column a, found 'nan'"),
        ("wavelength,a\n400,0.1\n500,-0.3\n", "expected reflectance 0-1, got -0.3"),
        ("wavelength,a\n500,0.1\n400,0.3\n", "expected rising wavelengths"),
    ],
)
def test_a_wrong_table_is_told(tmp_path, text, message):
    path = tmp_path / "soils.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        SpectralSoil.from_file(path, 0)


def test_more_components_than_soils_are_told():
    with pytest.raises(ValueError, match="components: expected 0-1 for 2 spectra, got 2"):
        SpectralSoil.from_spectra([400.0, 500.0], [[0.1, 0.2], [0.2, 0.2]], 2)


@pytest.mark.parametrize("case", SPART["soils"])
def test_bsm_is_that_of_the_spart_package(case):
    """To rounding with its constants; within 3e-4 with ours, whose water has more digits."""
    water = (
        torch.tensor(SPART[f"water_{name}"], dtype=F64)
        for name in ("refractive_index", "absorption")
    )
    dry = torch.tensor(case["dry"], dtype=F64).unsqueeze(-1)
    films = torch.tensor([(case["smc"] - 5.0) / 25.0], dtype=F64)
    found = wet_soil(dry=dry, films=films, optics=film_optics(*water))
    np.testing.assert_allclose(found[:, 0], case["wet"], rtol=0, atol=1e-14)

    soil = BSM()
    values = torch.tensor([[case[p.name]] for p in soil.parameters], dtype=F64)
    shapes = soil.shapes(torch.tensor(SPART["wavelength"], dtype=F64))
    found = soil.reflectance(values, shapes)
    np.testing.assert_allclose(found[:, 0], case["wet"], rtol=0, atol=3e-4)
    values[3] = 5.0
    found = soil.reflectance(values, shapes)
    np.testing.assert_allclose(found[:, 0], case["dry"], rtol=0, atol=1e-14)


def test_water_darkens_a_soil_and_no_water_leaves_it():
    """Below 5 % nothing changes; above, a bright soil darkens at every wavelength."""
    soil = BSM()
    moisture = torch.tensor([0.0, 5.0, 10.0, 20.0, 40.0, 55.0], dtype=F64)
    rest = torch.tensor([[0.6], [25.0], [50.0]], dtype=F64).expand(3, 6)
    found = soil.reflectance(torch.cat([rest, moisture[None]]), soil.shapes(GRID))
    assert torch.equal(found[:, 0], found[:, 1])
    assert (found[:, 1:].diff(dim=1) < 0.0).all()


def test_bsm_keeps_its_last_vectors_up_to_2500_nm_and_ends_there():
    soil = BSM()
    ends = soil.shapes(torch.tensor([2400.0, 2500.0], dtype=F64))
    assert torch.equal(ends[:3, 0], ends[:3, 1])
    for outside in (399.0, 2501.0):
        with pytest.raises(ValueError, match="wavelength: expected 400-2500 nm"):
            soil.shapes(torch.tensor([outside, 1000.0]))


@settings(max_examples=40)
@given(st.data())
def test_every_soil_is_physical_over_the_whole_box(data):
    """0 ≤ r < 1 and a finite gradient, at the bounds too, in both dtypes."""
    for soil in SOILS:
        numbers = [
            data.draw(st.one_of(st.sampled_from([p.low, p.high]), st.floats(p.low, p.high)))
            for p in soil.parameters
        ]
        shapes = soil.shapes(GRID)
        for dtype in (F64, torch.float32):
            values = torch.tensor(numbers, dtype=dtype).unsqueeze(-1).requires_grad_()
            found = soil.reflectance(values, shapes.to(dtype))
            assert found.shape == (len(GRID), 1)
            assert found.dtype == dtype
            assert found.min() >= 0.0
            assert found.max() < 1.0
            assert torch.autograd.grad(found.sum(), values)[0].isfinite().all()


def middle(soil) -> torch.Tensor:
    """Three canopies [parameter, canopy] inside the box."""
    low, high = (
        torch.tensor([[getattr(p, end)] for p in soil.parameters], dtype=F64)
        for end in ("low", "high")
    )
    return low + (high - low) * torch.tensor([0.31, 0.45, 0.62], dtype=F64)


@pytest.mark.parametrize("soil", SOILS, ids=lambda s: type(s).__name__)
def test_derivatives_of_soils_are_right(soil):
    shapes = soil.shapes(torch.tensor([500.0, 1450.0, 2200.0], dtype=F64))
    values = middle(soil).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: soil.reflectance(v, shapes), values)
    assert torch.autograd.gradgradcheck(lambda v: soil.reflectance(v, shapes), values)


@pytest.mark.parametrize("soil", SOILS, ids=lambda s: type(s).__name__)
def test_soils_run_under_vmap_and_as_one_graph(soil):
    shapes, values = soil.shapes(GRID), middle(soil)

    def one(value):
        return soil.reflectance(value.unsqueeze(-1), shapes)[:, 0]

    found = torch.func.vmap(torch.func.jacrev(one))(values.T)
    alone = torch.stack([torch.autograd.functional.jacobian(one, v) for v in values.T])
    np.testing.assert_allclose(found, alone, rtol=1e-11, atol=1e-14)
    graph = torch.compile(soil.reflectance, fullgraph=True, backend="aot_eager")
    np.testing.assert_allclose(graph(values, shapes), soil.reflectance(values, shapes), rtol=1e-13)


NM = [400.0, 1000.0, 2500.0]
CLAY, SAND = [0.08, 0.25, 0.2], [0.15, 0.35, 0.4]


@pytest.mark.parametrize("form", ["pair", "array", "file", "rows", "object"])
def test_bare_ground_reflects_as_the_soil_that_is_given(form, tmp_path):
    """At no leaf all four factors are the soil, scaled by rsoil, whatever form it comes in."""
    grid = torch.arange(400.0, 2501.0, 20.0)
    expected = 1.5 * np.interp(grid, NM, SAND)
    table = tmp_path / "soils.csv"
    table.write_text("nm,sand\n" + "".join(f"{a},{b}\n" for a, b in zip(NM, SAND, strict=True)))
    both = tmp_path / "both.csv"
    rows = zip(NM, CLAY, SAND, strict=True)
    both.write_text("nm,clay,sand\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    options = {
        "pair": {"soil": (NM, SAND)}, "array": {"soil": np.interp(grid, NM, SAND)},
        "file": {"soil": str(table)}, "rows": {"soil": both, "soil_number": 2},
        "object": {"soil": as_soil((NM, [CLAY, SAND])), "soil_number": 2},
    }[form]  # fmt: skip
    found = rtm.prosail(lai=0.0, rsoil=1.5, wavelength=grid, **options)
    for factor in (found.rso, found.rdd):
        np.testing.assert_allclose(factor, expected, atol=1e-12)


def test_soils_by_number_are_a_batch_and_mix_between_numbers():
    found = rtm.prosail(lai=0.0, soil=(NM, [CLAY, SAND]), soil_number=[1, 2, 1.5], wavelength=NM)
    torch.testing.assert_close(found.rso[2], found.rso[:2].mean(0))
    fast = rtm.Prosail(soil=(NM, [CLAY, SAND]), wavelength=NM, fused=True)
    theta = fast.space.stack(soil_number=torch.tensor([1.0, 2.0, 1.5]), lai=0.0).float()
    torch.testing.assert_close(
        fast(theta, torch.zeros(3)).rso, found.rso.float(), atol=1e-6, rtol=0
    )
    assert fast._shared().made() is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"soil": (NM, [CLAY, SAND])},
            r"soil_number: expected which of 2 soils \(1 soil_1, 2 soil_2",
        ),
        ({"soil": (NM, [CLAY, SAND]), "soil_number": 3}, "soil_number: expected 1-2"),
        ({"soil": [0.1, 0.2]}, "soil: expected reflectance at 2101 wavelengths"),
        ({"soil": (NM, [8.0, 25.0, 20.0])}, "soil: expected reflectance 0-1, got 8"),
        ({"soil": ([500.0, 900.0], [0.1, 0.2])}, "soil: expected a spectrum over 400-2500 nm"),
        (
            {"soil": (NM, SAND), "psoil": 0.3},
            "soil, psoil: expected one of them at most, got both",
        ),
        ({"soil": "none.csv"}, "soil: expected a CSV file, found no none.csv"),
        ({"soil": "sand"}, "soil: expected a CSV file"),
    ],
)
def test_a_wrong_soil_is_told_in_words(options, words):
    with pytest.raises(ValueError, match=words):
        rtm.prosail(lai=1.0, **options)
