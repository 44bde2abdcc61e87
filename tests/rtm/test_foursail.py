"""The canopy: what the flux equations, symmetry and the limits demand."""

import math

import numpy as np
import pytest
import torch

from rtm import foursail as sail
from rtm.prospect import Leaf

F64 = torch.float64
NAMES = ("tdd", "rdd", "tsd", "rsd", "tdo", "rdo", "rsod")


def draw(n: int, low: float, high: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, generator=generator, dtype=F64)


def random_layers(n: int, least: float = 1e-9):
    """Leaves of any absorptance between `least` and 0.9, and canopies of any extinction."""
    alpha = least * (0.9 / least) ** draw(n, 0.0, 1.0, 0)
    rho = (1.0 - alpha) * draw(n, 0.3, 0.7, 1)
    leaf = Leaf(rho[None], (1.0 - alpha - rho)[None], alpha[None])
    ks, ko = draw(n, 0.3, 2.0, 4), draw(n, 0.3, 2.0, 5)
    return leaf, draw(n, 0.1, 6.0, 3), sail.Extinction(ks, ko, draw(n, 0.1, 0.9, 2), ks, ko)


def by_matrix_exponential(leaf: Leaf, lai, geometry) -> dict[str, np.ndarray]:
    """The fluxes of a layer from their differential equations, in SAIL's own coefficients.

    State (Es, E⁻, E⁺) down the canopy; the view's flux is the integral of v·E⁻ + v′·E⁺ on its way
    up, which is one more state.
    """
    rho, tau, _ = (x[0].numpy() for x in leaf)
    ks, ko, bf = (x.numpy() for x in geometry[:3])
    ddb, ddf = 0.5 * (1 + bf), 0.5 * (1 - bf)
    sigb, att = ddb * rho + ddf * tau, 1 - (ddf * rho + ddb * tau)
    found = {name: np.zeros(len(rho)) for name in NAMES}
    for i, depth in enumerate(lai.numpy()):
        sf = 0.5 * (ks[i] - bf[i]) * rho[i] + 0.5 * (ks[i] + bf[i]) * tau[i]
        sb = 0.5 * (ks[i] + bf[i]) * rho[i] + 0.5 * (ks[i] - bf[i]) * tau[i]
        vf = 0.5 * (ko[i] - bf[i]) * rho[i] + 0.5 * (ko[i] + bf[i]) * tau[i]
        vb = 0.5 * (ko[i] + bf[i]) * rho[i] + 0.5 * (ko[i] - bf[i]) * tau[i]
        matrix = np.array(
            [[-ks[i], 0, 0], [sf, -att[i], sigb[i]], [-sb, -sigb[i], att[i]]], dtype=float
        )
        whole = np.zeros((4, 4))
        whole[:3, :3] = matrix - ko[i] * np.eye(3)
        whole[3, :3] = [0, vb, vf]
        plain = torch.linalg.matrix_exp(torch.from_numpy(matrix * depth)).numpy()
        seen = torch.linalg.matrix_exp(torch.from_numpy(whole * depth)).numpy()[3]
        up = -plain[2, 0] / plain[2, 2]
        found["rsd"][i], found["tsd"][i] = up, plain[1, 0] + plain[1, 2] * up
        found["rsod"][i] = seen[0] + seen[2] * up
        up = -plain[2, 1] / plain[2, 2]
        found["rdd"][i], found["tdd"][i] = up, plain[1, 1] + plain[1, 2] * up
        found["rdo"][i] = seen[1] + seen[2] * up
        found["tdo"][i] = seen[2] / plain[2, 2]
    return found


def test_a_layer_obeys_the_flux_equations():
    """torch's matrix exponential; the tolerance is its rounding over e^{mL}, up to 1e4."""
    layers = random_layers(200)
    truth = by_matrix_exponential(*layers)
    found = sail.scatter(leaf=layers[0], lai=layers[1], geometry=layers[2])
    for name in NAMES:
        np.testing.assert_allclose(getattr(found, name)[0], truth[name], rtol=0, atol=2e-11)


@pytest.mark.parametrize("offset", [0.0, 1e-12, 1e-6, -1e-6, 1e-3])
def test_a_layer_is_smooth_where_the_beams_meet_the_diffuse_light(offset):
    """k = m, where the classical solution is 0/0; the equations have nothing special there."""
    leaf, lai, geometry = random_layers(50, least=0.2)
    rho, tau, alpha = leaf
    m = (alpha * (1.0 + geometry.bf * (rho - tau))).sqrt()[0]
    geometry = geometry._replace(ks=m + offset, ko=m - 2.0 * offset)
    truth = by_matrix_exponential(leaf, lai, geometry)
    found = sail.scatter(leaf=leaf, lai=lai, geometry=geometry)
    for name in NAMES:
        np.testing.assert_allclose(getattr(found, name)[0], truth[name], rtol=0, atol=2e-11)


def test_reflection_is_the_same_both_ways():
    """Reciprocity: exchanging sun and view leaves the beam-to-beam term as it is."""
    leaf, lai, geometry = random_layers(500)
    swapped = geometry._replace(ks=geometry.ko, ko=geometry.ks)
    there, back = (sail.scatter(leaf=leaf, lai=lai, geometry=g) for g in (geometry, swapped))
    np.testing.assert_allclose(there.rsod, back.rsod, rtol=0, atol=1e-12)
    np.testing.assert_allclose(there.rsd, back.rdo, rtol=0, atol=1e-14)
    np.testing.assert_allclose(there.tsd, back.tdo, rtol=0, atol=1e-14)


def test_a_layer_keeps_all_light_that_its_leaves_do_not_absorb():
    """Without absorption what goes in comes out; the leaves still absorb 1e-9 here."""
    leaf, lai, geometry = random_layers(300)
    rho, tau, _ = leaf
    total = rho + tau
    leaf = Leaf(rho / total, tau / total, torch.full_like(rho, 1e-9))
    layer = sail.scatter(leaf=leaf, lai=lai, geometry=geometry)
    assert (layer.tdd + layer.rdd - 1.0).abs().max() < 1e-7
    assert (layer.tss + layer.tsd + layer.rsd - 1.0).abs().max() < 1e-7


@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_volume_scattering_sums_to_the_intercepted_light(dtype):
    """A flat leaf seen from the nadir: all light falls on it, ks = ko = 1, back-scatter ρ only."""
    angles = torch.tensor([[[1.0]], [[0.0]]], dtype=dtype)
    one, zero = torch.ones(1, 1, dtype=dtype), torch.zeros(1, dtype=dtype)
    found = sail.extinction(tts=zero, tto=zero, psi=zero, angles=angles, shares=one)
    for name, truth in {"ks": 1.0, "ko": 1.0, "bf": 1.0, "sob": 1.0, "sof": 0.0}.items():
        assert getattr(found, name).item() == pytest.approx(truth, abs=1e-6), name


def test_extinction_of_a_sphere_of_leaves_is_one_half_over_the_cosine():
    """The classical result for leaves of all directions; 90 classes of one degree."""
    middle = torch.deg2rad(torch.arange(0.5, 90.0, dtype=F64))
    angles = torch.stack([middle.cos(), middle.sin()]).unsqueeze(-1)
    tts = torch.tensor([0.0, 30.0, 60.0, 80.0], dtype=F64)
    shares = (middle.sin() / middle.sin().sum()).unsqueeze(-1).expand(-1, 4)
    found = sail.extinction(
        tts=tts, tto=tts, psi=torch.zeros_like(tts), angles=angles, shares=shares
    )
    np.testing.assert_allclose(found.ks, 0.5 / torch.deg2rad(tts).cos(), rtol=1e-4)
    np.testing.assert_array_equal(found.ks, found.ko)


def test_the_beams_are_as_far_apart_as_the_angle_between_them():
    """dso² = tan² θs + tan² θo - 2 tan θs tan θo cos ψ, Verhoef's own form, where it is exact."""
    tts, tto, psi = draw(100, 0.0, 80.0, 0), draw(100, 0.0, 80.0, 1), draw(100, 0.0, 180.0, 2)
    found = sail.separation(tts=tts, tto=tto, psi=psi)
    s, o = torch.deg2rad(tts).tan(), torch.deg2rad(tto).tan()
    truth = (s * s + o * o - 2.0 * s * o * torch.deg2rad(psi).cos()).sqrt()
    np.testing.assert_allclose(found, truth, rtol=1e-9)
    near = sail.separation(
        tts=torch.tensor([60.0001]), tto=torch.tensor([60.0]), psi=torch.zeros(1)
    )
    step = math.tan(math.radians(60.0001)) - math.tan(math.radians(60.0))
    assert near.item() == pytest.approx(step, rel=0.05)  # float32 knows the angle to 4e-6
