"""The model against 50 digits, at the edges of its box and inside it.

tests/references/prosail_mpmath.py solves the same equations by other means (matrix exponential,
quadrature, series) with mpmath; edge_cases.json holds its values and slopes. How well: 1e-10 in
float64, 1e-5 at leaves that absorb less than a millionth; 2e-5 between float32 and float64; slopes
to 1e-5 of themselves, or of a slope that moves reflectance by 1e-4 over the whole box of the
parameter, where they are smaller than that.
"""

import hashlib
import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rtm import GEOMETRY, TRAITS, Prosail
from rtm.prospect import plate_constants, prospect
from rtm.spectra import LEAF_CONTENTS, leaf_constants

F64 = torch.float64
FOLDER = Path(__file__).resolve().parents[1] / "references"
TABLE = json.loads((FOLDER / "edge_cases.json").read_text("utf-8"))
WAVELENGTHS = torch.tensor(TABLE["wavelength"], dtype=F64)
FACTORS = ("rso", "rdo", "rsd", "rdd")
PRODUCTS = ("fapar", "fapar_diffuse", "fcover")
GROUPS = tuple(dict.fromkeys(case["group"] for case in TABLE["cases"]))
LEAVES = ("D", "5", "PRO")
INTERIOR = ("usual", "k = m", "inside the box")
SLOPES_AT = [TABLE["wavelength"].index(w) for w in TABLE["slope_wavelength"]]

groups = pytest.mark.parametrize("group", GROUPS)


@cache
def model(leaf: str) -> Prosail:
    return Prosail(leaf, wavelength=WAVELENGTHS)


def cases(leaf: str, group: str) -> list[dict]:
    return [c for c in TABLE["cases"] if (c["leaf"], c["group"]) == (leaf, group)]


def leaves_of(group: str) -> list[str]:
    return [leaf for leaf in LEAVES if cases(leaf, group)]


def inputs(leaf: str, group: str, dtype: torch.dtype = F64) -> tuple[Tensor, Tensor]:
    """theta [case, parameter] and angles [case, 3]."""
    rows = [c["values"] for c in cases(leaf, group)]
    both = (model(leaf).space.names, tuple(GEOMETRY))
    theta, angles = (
        torch.tensor([[row[name] for name in names] for row in rows], dtype=dtype)
        for names in both
    )
    return theta, angles


def truth(leaf: str, group: str, name: str) -> Tensor:
    """[case, wavelength], or [case] of a product."""
    values = [c[name] for c in cases(leaf, group)]
    rows = [[float(x) for x in v] if isinstance(v, list) else float(v) for v in values]
    return torch.tensor(rows, dtype=F64)


def stacked(result) -> Tensor:
    """All factors and products on the last axis."""
    products = (getattr(result, name).unsqueeze(-1) for name in PRODUCTS)
    return torch.cat([*(getattr(result, name) for name in FACTORS), *products], -1)


def label(case: dict) -> str:
    usual = TABLE["cases"][0]["values"]
    return ", ".join(f"{k}={v:g}" for k, v in case["values"].items() if v != usual.get(k))


def worst(error: Tensor, tolerance: Tensor | float, rows: list[dict]) -> list[str]:
    """The cases whose error [case, ...] is beyond the tolerance or not a number, in words."""
    over = (error / tolerance).nan_to_num(nan=torch.inf).flatten(1).amax(1)
    size = error.flatten(1).amax(1)
    return [
        f"{label(row)}: {e:.1e}"
        for row, e, o in zip(rows, size.tolist(), over.tolist(), strict=True)
        if o > 1.0
    ]


def reference_module():
    spec = importlib.util.spec_from_file_location("reference", FOLDER / "prosail_mpmath.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_the_scripts_write():
    """Their hash, and three cases evaluated again to 20 digits."""
    scripts = [(FOLDER / name).read_bytes() for name in ("prosail_mpmath.py", "edge_cases.py")]
    assert hashlib.sha256(b"".join(scripts)).hexdigest() == TABLE["header"]["scripts_sha256"]
    reference = reference_module()
    for case in TABLE["cases"][::50]:
        p = {name: reference.mp.mpf(value) for name, value in case["values"].items()}
        found = reference.prosail(case["leaf"], 800.0, p)
        for name in FACTORS:
            expected = reference.mp.mpf(case[name][TABLE["wavelength"].index(800.0)])
            assert abs(getattr(found, name) - expected) <= 1e-19


@groups
def test_float64_is_finite_and_a_reflectance_factor(group):
    """rso is no share and goes beyond 1: see test_properties."""
    for leaf in leaves_of(group):
        theta, angles = inputs(leaf, group)
        result = model(leaf)(theta, angles)
        found = stacked(result)
        assert found.isfinite().all()
        assert found.min() >= -1e-12
        assert found[:, len(WAVELENGTHS) :].max() <= 1.0 + 1e-6
        cosine = torch.deg2rad(angles[:, :2]).cos().amax(1, keepdim=True)
        assert (result.rso * cosine).max() <= 5.0


@groups
def test_float64_is_the_reference(group):
    for leaf in leaves_of(group):
        found = model(leaf)(*inputs(leaf, group))
        absorbs = 1 - truth(leaf, group, "leaf_reflectance")
        absorbs -= truth(leaf, group, "leaf_transmittance")
        tolerance = torch.where(absorbs < 1e-6, 1e-5, 1e-10)
        for name in FACTORS:
            error = (getattr(found, name) - truth(leaf, group, name)).abs()
            assert not worst(error, tolerance, cases(leaf, group)), name


@groups
def test_products_are_the_reference(group):
    """With the weights of the table, which are those of `par_quadrature`."""
    for leaf in leaves_of(group):
        found = model(leaf)(*inputs(leaf, group))
        tolerance = 1e-5 if "absorber" in group else 1e-10
        for name in PRODUCTS:
            error = (getattr(found, name) - truth(leaf, group, name)).abs().unsqueeze(-1)
            assert not worst(error, tolerance, cases(leaf, group)), name


@groups
def test_the_leaf_is_the_reference(group):
    for leaf in leaves_of(group):
        theta, _ = inputs(leaf, group)
        index, absorption = leaf_constants(leaf, WAVELENGTHS)
        contents = theta[:, 1 : 1 + len(LEAF_CONTENTS[leaf])]
        found = prospect(
            depth=absorption.T @ contents.T, n_leaf=theta[:, 0],
            plate=plate_constants(index).unsqueeze(-1),
        )  # fmt: skip
        names = ("leaf_reflectance", "leaf_transmittance")
        expected = [truth(leaf, group, name) for name in names]
        tolerance = torch.where(1 - sum(expected) < 1e-6, 1e-5, 1e-10)
        for mine, theirs in zip((found.reflectance, found.transmittance), expected, strict=True):
            assert not worst((mine.T - theirs).abs(), tolerance, cases(leaf, group))


@groups
def test_float32_is_float64(group):
    """At the same inputs, those that float32 can hold; relative where rso is above 1."""
    for leaf in leaves_of(group):
        theta, angles = inputs(leaf, group, torch.float32)
        single = stacked(model(leaf)(theta, angles))
        assert single.dtype == torch.float32
        double = stacked(model(leaf)(theta.double(), angles.double()))
        error = (single - double).abs() / double.abs().clamp(min=1.0)
        assert not worst(error, 2e-5, cases(leaf, group))


@groups
@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_every_gradient_is_finite(group, dtype):
    """Also on the faces of the box and on the ridge of the hot spot."""
    for leaf in leaves_of(group):
        theta, angles = (x.requires_grad_() for x in inputs(leaf, group, dtype))
        found = stacked(model(leaf)(theta, angles))
        for column in found.unbind(-1):
            slopes = torch.autograd.grad(column.sum(), (theta, angles), retain_graph=True)
            bad = ~torch.cat(slopes, -1).isfinite().all(-1)
            assert not [label(c) for c, b in zip(cases(leaf, group), bad, strict=True) if b]


def widths(names: tuple[str, ...]) -> Tensor:
    box = {**TRAITS, **GEOMETRY}
    return torch.tensor([box[name].high - box[name].low for name in names], dtype=F64)


@groups
def test_slopes_of_rso_are_the_reference(group):
    """One-sided on the faces of the box; none where the hot spot is a ridge."""
    for leaf in leaves_of(group):
        rows = cases(leaf, group)
        names = (*model(leaf).space.names, *GEOMETRY)
        both = tuple(x.requires_grad_() for x in inputs(leaf, group))
        rso = model(leaf)(*both).rso
        for column, at in enumerate(SLOPES_AT):
            found = torch.cat(torch.autograd.grad(rso[:, at].sum(), both, retain_graph=True), -1)
            expected = torch.tensor(
                [[float((c["slopes"][n] or ["nan"] * 2)[column]) for n in names] for c in rows],
                dtype=F64,
            )
            expected = torch.where(expected.isnan(), found, expected)
            scale = torch.maximum(expected.abs(), 1e-4 / widths(names))
            error = (found - expected).abs() / scale
            for i, name in enumerate(names):
                assert not worst(error[:, i : i + 1], 1e-5, rows), name


@pytest.mark.parametrize("group", INTERIOR)
def test_slopes_of_all_factors_are_those_of_differences(group):
    """Central differences of fourth order, with steps of 1e-5 of the box: rounding costs 1e-6.

    Wider steps would cross angles where the sun grazes a class of leaves, 90 degree apart: second
    derivatives jump there.
    """
    for leaf in leaves_of(group):
        both = tuple(x.requires_grad_() for x in inputs(leaf, group))
        names = (*model(leaf).space.names, *GEOMETRY)
        generator = torch.Generator().manual_seed(0)
        weights = torch.rand(4 * len(WAVELENGTHS) + 3, generator=generator, dtype=F64)

        def total(theta, angles, leaf=leaf, weights=weights):
            return stacked(model(leaf)(theta, angles)) @ weights

        slopes = torch.cat(torch.autograd.grad(total(*both).sum(), both), -1)
        joined = torch.cat(both, -1).detach()
        for i, (name, width) in enumerate(zip(names, widths(names).tolist(), strict=True)):
            step = torch.zeros(len(names), dtype=F64)
            step[i] = 1e-5 * width
            at = [total(*(joined + k * step).tensor_split([-3], -1)) for k in (-2, -1, 1, 2)]
            expected = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * step[i])
            scale = expected.abs().clamp(min=1e-3 / width)
            error = ((slopes[:, i] - expected).abs() / scale).detach().unsqueeze(-1)
            assert not worst(error, 1e-5, cases(leaf, group)), name


def small() -> tuple[Prosail, tuple[Tensor, Tensor]]:
    """Two wavelengths, two canopies with everything in them."""
    spectral = Prosail(wavelength=torch.tensor([670.0, 800.0]))
    theta, angles = (x[:2].requires_grad_() for x in inputs("D", "inside the box"))
    return spectral, (theta, angles)


def test_first_and_second_derivatives_are_those_of_differences():
    spectral, both = small()

    def run(theta, angles):
        return stacked(spectral(theta, angles))

    assert torch.autograd.gradcheck(run, both, eps=1e-6, atol=1e-7)
    assert torch.autograd.gradgradcheck(run, both, eps=1e-6, atol=1e-6)


def test_vmap_over_canopies_is_the_batch():
    spectral, (theta, angles) = small()
    found = torch.func.vmap(lambda t, a: stacked(spectral(t, a)))(theta, angles)
    assert (found - stacked(spectral(theta, angles))).abs().max() < 1e-14


def test_the_jacobian_is_made_of_the_gradients():
    spectral, (theta, angles) = small()

    def run(theta, angles):
        return stacked(spectral(theta, angles))

    found = torch.func.vmap(torch.func.jacrev(run, argnums=(0, 1)))(theta, angles)
    for i, column in enumerate(run(theta, angles).unbind(-1)):
        slopes = torch.autograd.grad(column.sum(), (theta, angles), retain_graph=True)
        for mine, theirs in zip(found, slopes, strict=True):
            assert torch.allclose(mine[:, i], theirs, rtol=1e-10, atol=1e-13)


COMPILED = """
import sys, torch, torch._inductor.config
from rtm import Prosail
torch._inductor.config.cpp.simdlen = 1
torch._inductor.config.aot_inductor.debug_compile = True
backend = sys.argv[1]
theta, angles = (torch.tensor(eval(x), dtype=torch.float64).requires_grad_() for x in sys.argv[2:])
model = Prosail(wavelength=torch.tensor([670.0, 800.0]), products=False)
rows = []
for run in (model, torch.compile(model, fullgraph=True, backend=backend)):
    with torch.set_grad_enabled(backend == "aot_eager"):
        found = run(theta, angles)
    whole = torch.cat([found.rso, found.rdo, found.rsd, found.rdd], -1)
    steep = torch.autograd.grad(whole.square().sum(), (theta, angles)) if whole.grad_fn else ()
    rows.append((whole, *steep))
print(len(rows[1]), max(((a - b).abs() / (1e-3 + a.abs())).max().item() for a, b in zip(*rows)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "results"), [("inductor", 1), ("aot_eager", 3)])
def test_the_compiled_model_is_the_eager_one(backend, results):
    """One graph without a way back to Python (fullgraph): machine code forward, and the graphs of
    forward and backward, whose machine code takes minutes to make. The C++ compiler does not
    optimise (it would take a minute): the results are the same.

    In a process of its own, as the tests check the types of every call of `rtm`, which no graph
    can hold.
    """
    _, both = small()
    command = [sys.executable, "-c", COMPILED, backend, *(str(x.tolist()) for x in both)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    count, worst_error = done.stdout.split()
    assert int(count) == results
    assert float(worst_error) < 1e-9
