"""The public leaf: against the authors' code, and what every call may rely on."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm.leaf import Prospect, prospect
from rtm.prospect import plate_constants
from rtm.prospect import prospect as plates
from rtm.sensor import load_sensor
from rtm.spectra import LEAF_CONTENTS, full_grid, leaf_constants

F64 = torch.float64
LEAF = {"n_leaf": 1.2, "cab": 30.0, "car": 10.0, "ant": 1.0, "cbrown": 0.0, "cw": 0.015}
SOME = torch.tensor([450.0, 550.0, 680.0, 720.0, 850.0, 1450.0, 1700.0, 2200.0])


def reference(path, *columns) -> list[np.ndarray]:
    values = np.genfromtxt(path, delimiter=",", names=True)
    return [values[name] for name in columns]


def test_prospect_d_is_the_authors_code(data_dir):
    """Féret's own code, printed in full; here through the public call."""
    path = data_dir / "rtm_reference" / "prospectD_matlab.csv"
    found = prospect(**LEAF, cm=0.009)
    for name, truth in zip(found._fields, reference(path, "refl", "tran"), strict=False):
        np.testing.assert_allclose(getattr(found, name), truth, rtol=0, atol=1e-14)


def test_prospect_pro_is_the_authors_code(data_dir):
    """Féret's own code, printed in full. That run had proteins, carbon-based constituents and, on
    top of them, dry matter, which the public call does not mix: so its absorption is added."""
    index, absorption = leaf_constants("PRO", full_grid())
    amounts = LEAF | {"prot": 0.001, "cbc": 0.009}
    amounts = torch.tensor([[amounts[name] for name in LEAF_CONTENTS["PRO"]]], dtype=F64)
    dry_matter = leaf_constants("D", full_grid())[1][-1]
    found = plates(
        depth=(amounts @ absorption + 0.009 * dry_matter).T,
        n_leaf=torch.tensor([1.2], dtype=F64),
        plate=plate_constants(index).unsqueeze(-1),
    )
    path = data_dir / "rtm_reference" / "prospectPRO_matlab.csv"
    truth = reference(path, "refl", "tran")
    np.testing.assert_allclose(found.reflectance[:, 0], truth[0], rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.transmittance[:, 0], truth[1], rtol=0, atol=1e-14)


def test_pro_with_a_usual_share_of_protein_is_nearly_d():
    """Dry matter of 11.6 % protein has D's absorption to 5 % above 1000 nm (tests of the tables);
    over all of the spectrum the leaf then is the same to 0.01."""
    d = prospect(leaf="D", **LEAF, cm=0.008)
    pro = prospect(leaf="PRO", **LEAF, prot=0.116 * 0.008, cbc=0.884 * 0.008)
    for name in ("reflectance", "transmittance"):
        assert 1e-5 < (getattr(d, name) - getattr(pro, name)).abs().max() < 0.01


@settings(max_examples=50, deadline=None)
@given(
    leaf=st.sampled_from(list(LEAF_CONTENTS)),
    alpha=st.floats(0.0, 90.0, exclude_min=True),
    share=st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8),
    dtype=st.sampled_from([F64, torch.float32]),
)
def test_energy_closes_at_any_alpha(leaf, alpha, share, dtype):
    model = Prospect(leaf, wavelength=SOME, alpha=alpha)
    low, high = model.space.low, model.space.high
    theta = (low + (high - low) * torch.tensor(share[: len(low)], dtype=F64)).to(dtype)
    found = model(theta)
    rounding = 8 * torch.finfo(dtype).eps
    parts = torch.stack([found.reflectance, found.transmittance, found.absorptance])
    assert parts.dtype == dtype
    assert parts.min() >= -rounding
    assert (found.reflectance + found.transmittance).max() <= 1.0 + rounding
    floor = {F64: 1e-8, torch.float32: 2e-5}[dtype]  # of a plate's absorption, over the plates
    assert (parts.sum(0) - 1.0).abs().max() < floor


def test_a_wide_cone_reflects_more_at_the_surface_and_a_narrow_one_is_fresnel():
    """A leaf that lets nothing through reflects only at its surface: (n-1)²/(n+1)² at normal
    incidence (Fresnel), and 1 - t₉₀ under isotropic light."""
    index = leaf_constants("D", SOME)[0]
    black = dict.fromkeys(("cab", "car", "ant", "cbrown", "cw", "cm"), 1e4)
    found = [
        prospect(**black, alpha=alpha, wavelength=SOME[-2:]).reflectance
        for alpha in (1e-6, 40.0, 60.0, 90.0)
    ]
    fresnel = ((index - 1) / (index + 1)) ** 2
    np.testing.assert_allclose(found[0], fresnel[-2:], rtol=0, atol=1e-7)
    for narrow, wide in pairwise(found):
        assert (wide > narrow).all()
    t90 = plate_constants(index)[1]
    np.testing.assert_allclose(found[-1], (1.0 - t90)[-2:], rtol=0, atol=1e-7)


@pytest.mark.parametrize("leaf", LEAF_CONTENTS)
def test_gradients_are_those_of_finite_differences(leaf):
    model = Prospect(leaf, wavelength=SOME)
    middle = 0.7 * model.space.low + 0.3 * model.space.high
    theta = torch.stack([middle, 1.1 * middle]).requires_grad_()
    scale = (model.space.high - model.space.low).clamp(min=1e-3)

    def unit(share):
        return tuple(model(share * scale)[:3])

    share = (theta / scale).detach().requires_grad_()
    assert torch.autograd.gradcheck(unit, share, eps=1e-6, atol=1e-6)


def test_shapes_broadcast_and_tensors_keep_dtype_and_gradient():
    cab = torch.tensor([[10.0], [40.0]], requires_grad=True)
    found = prospect(cab=cab, cw=torch.tensor([0.01, 0.02, 0.03]), sensor="sentinel-2a")
    assert found.reflectance.shape == found.absorptance.shape == (2, 3, 13)
    assert found.reflectance.dtype == torch.float32
    assert found.wavelength is None
    assert found.band[0] == "B1"
    assert torch.autograd.grad(found.reflectance.sum(), cab)[0].shape == (2, 1)
    single = prospect(cab=40, wavelength=[550.0, 850.0])
    assert single.reflectance.shape == (2,)
    assert single.reflectance.dtype == F64
    assert single.band is None
    assert prospect(cab=[20.0, 30.0]).reflectance.dtype == F64
    assert prospect(cab=np.zeros((0,))).reflectance.shape == (0, 2101)


def test_bands_are_means_under_the_response():
    sensor = load_sensor("sentinel-2a").select(("B4", "B11"))
    fine = prospect(**LEAF, wavelength=sensor.wavelength)
    bands = prospect(**LEAF, sensor=sensor)
    for name in ("reflectance", "transmittance", "absorptance"):
        expected = sensor.apply(getattr(fine, name))
        np.testing.assert_allclose(getattr(bands, name), expected, rtol=1e-14)


def test_the_module_runs_under_vmap_and_jacrev():
    model = Prospect("PRO", wavelength=SOME)
    theta = model.space.stack(cab=torch.tensor([5.0, 60.0], dtype=F64), prot=0.0012)
    whole = model(theta).reflectance
    one = torch.func.vmap(lambda row: model(row).reflectance)(theta)
    np.testing.assert_allclose(one, whole, rtol=1e-14)
    slope = torch.func.vmap(torch.func.jacrev(lambda row: model(row).reflectance))(theta)
    assert slope.shape == (2, len(SOME), len(model.space))
    assert slope.isfinite().all()
    assert not model.state_dict()


@pytest.mark.slow
def test_the_module_compiles_in_one_graph():
    """In a Python of its own: the type checks of the tests cannot be traced."""
    program = """
import torch, rtm.leaf
model = rtm.leaf.Prospect("PRO", wavelength=[450.0, 850.0, 1450.0])
theta = model.space.stack(cab=torch.tensor([5.0, 60.0]), prot=0.0012).requires_grad_()
compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
found, expected = compiled(theta).reflectance, model(theta).reflectance
slopes = [torch.autograd.grad(x.sum(), theta)[0] for x in (found, expected)]
print((found - expected).abs().max().item() < 1e-6, torch.allclose(*slopes))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "True True\n", done.stderr


def test_dry_matter_of_zero_is_no_dry_matter():
    np.testing.assert_array_equal(
        prospect(leaf="PRO", cm=0, cab=30).reflectance, prospect(leaf="PRO", cab=30).reflectance
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"leaf": "PRO", "cm": 0.009},
            "cm: expected 0 with leaf PRO, whose prot and cbc take its place, got 0.009",
        ),
        ({"prot": 0.001}, "parameter: expected one of n_leaf, cab, .*, got 'prot'"),
        ({"leaf": "5", "ant": 1.0}, "parameter: expected one of n_leaf, cab, .*, got 'ant'"),
        ({"n_leaf": 0.9}, "n_leaf: expected at least 1, got 0.9"),
        ({"cab": [3.0, -2.0]}, "cab: expected at least 0, got -2"),
        ({"cw": float("nan")}, "cw: expected at least 0, got nan"),
        ({"leaf": "4"}, "leaf: expected one of D, 5, PRO, got '4'"),
        ({"alpha": 0.0}, "alpha: expected above 0 and at most 90 degree, got 0"),
        ({"alpha": 91.0}, "alpha: expected above 0 and at most 90 degree, got 91"),
        ({"wavelength": [350.0]}, "wavelength: expected .* within 400-2500, got 350-350"),
        ({"wavelength": torch.tensor(550.0)}, "wavelength: expected a list of nm"),
        (
            {"sensor": "sentinel-2a", "wavelength": [550.0]},
            "sensor, wavelength: expected one of them at most, got both",
        ),
    ],
)
def test_a_wrong_call_is_told_in_words(values, words):
    with pytest.raises(ValueError, match=words):
        prospect(**values)
    with pytest.raises(ValueError, match="theta: expected a last axis of 7"):
        Prospect()(torch.ones(3))
