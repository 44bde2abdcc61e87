"""Training of emulators: closed forms against their definitions, steps that learn, other codes."""

import json

import numpy as np
import pytest
import torch
import zarr

from physvae.emulation.making import train_emulator
from physvae.emulation.moments import choose_nodes, linear_vae, moments, regression
from physvae.emulation.plans import parse_plan, read_plan
from physvae.emulation.scores import score
from physvae.emulation.store import SHIPPED, load_emulator
from physvae.emulation.training import fit_emulator, source_of
from physvae.emulation.vae import ordering
from physvae.errors import InputError, ModelError

GRID = np.arange(500, 900, 20)
SMALL = {
    "name": "small",
    "seed": 3,
    "simulator": {"kind": "prosail", "start": 500, "stop": 900, "step": 20},
    "draws": 3000,
    "edges": {"draws": 500},
    "vae": {"latents": 8},
    "interpolator": {"kind": "network", "width": 64, "depth": 2, "features": "canopy"},
    "fit": {"steps": 150, "joint": 20, "batch": 512},
    "error": {"steps": 100, "draws": 1000},
    "evaluation": 1000,
}
TABLE = {
    "name": "mine",
    "simulator": {"kind": "table", "file": "mine.csv"},
    "vae": {"latents": 3},
    "interpolator": {"kind": "network", "width": 64, "depth": 2},
    "fit": {"steps": 500, "batch": 128},
    "error": {"steps": 100, "draws": 200},
}


def of(**changes) -> dict:
    return {k: {**v, **changes.get(k, {})} if isinstance(v, dict) else changes.get(k, v)
            for k, v in SMALL.items()}  # fmt: skip


def made_up(n: int = 400, seed: int = 0):
    """A code of our own: two parameters and a view, three shapes."""
    random = np.random.default_rng(seed)
    warmth, dry, view = random.uniform(-5, 30, n), random.random(n), random.uniform(0, 60, n)
    x = (GRID - 500) / 400
    spectra = (
        0.2
        + 0.1 * np.outer(dry, x)
        + 0.05 * np.outer(np.sin(warmth / 10), np.cos(3 * x))
        + 0.05 * np.outer(np.cos(np.radians(view)) * dry, x**2)
    )
    return {"warmth": warmth, "dry": dry, "VZA": view}, spectra


@pytest.fixture
def csv(tmp_path):
    parameters, spectra = made_up()
    head = ",".join([*parameters, "site", *(str(nm) for nm in GRID)])
    rows = zip(*parameters.values(), *spectra.T, strict=True)
    body = "\n".join(
        ",".join([*(repr(float(v)) for v in r[:3]), "plot", *(repr(float(v)) for v in r[3:])])
        for r in rows
    )
    path = tmp_path / "mine.csv"
    path.write_text(f"{head}\n{body}\n")
    return path


def test_moments_in_parts_are_those_of_the_whole():
    x = torch.rand(1000, 5, generator=torch.Generator().manual_seed(0)) + 100.0
    found = moments(x.split(300))
    torch.testing.assert_close(found.mean, x.double().mean(0))
    torch.testing.assert_close(found.covariance, torch.cov(x.double().T, correction=0))
    assert found.n == 1000
    with pytest.raises(ValueError, match="at least two draws, got 0"):
        moments([])


def test_the_linear_auto_encoder_is_the_optimum_of_its_likelihood():
    """WWᵀ + s² has the eigenvalues of the covariance where kept, their mean elsewhere."""
    x = torch.randn(4000, 6, generator=torch.Generator().manual_seed(1)).double()
    covariance = torch.cov((x * torch.tensor([3.0, 2.0, 1.0, 0.3, 0.3, 0.2])).T)
    linear = linear_vae(covariance, 3)
    model = linear.decoder @ linear.decoder.T + linear.noise**2 * torch.eye(6)
    values, found = torch.linalg.eigvalsh(covariance), torch.linalg.eigvalsh(model)
    torch.testing.assert_close(found[3:], values[3:])
    torch.testing.assert_close(found[:3], values[:3].mean().expand(3))
    posterior = linear.encoder @ covariance @ linear.encoder.T
    torch.testing.assert_close(  # E|μ|² + σ² = 1: the aggregate posterior is the prior
        posterior.diagonal() + linear.variance, torch.ones(3, dtype=torch.float64)
    )


def test_nodes_are_found_where_the_spectra_have_few_degrees_of_freedom():
    """Rows that are sums of three others need three nodes; a fourth brings nothing."""
    base = torch.randn(500, 3, generator=torch.Generator().manual_seed(2)).double()
    mixed = torch.cat([base, base @ torch.rand(3, 7).double()], 1)
    covariance = torch.cov(mixed.T)
    chosen = choose_nodes(covariance, 3, [4])
    assert chosen[0] == 4
    assert len(set(chosen)) == 3
    weight = regression(covariance[:, chosen], covariance[chosen][:, chosen])
    rebuilt = (mixed - mixed.mean(0))[:, chosen] @ weight.T + mixed.mean(0)
    torch.testing.assert_close(rebuilt, mixed, atol=1e-4, rtol=0.0)


def test_ordered_latents_cost_nothing_and_reversed_ones_two():
    a = torch.linspace(0.0, 1.0, 20).unsqueeze(-1)
    assert ordering(1e3 * a, a) < 1e-5
    assert ordering(-1e3 * a, a) == pytest.approx(2.0 * 19 / 20)
    assert ordering(a, a[:, :0]) == 0.0


def test_scores_are_their_definitions():
    x = torch.rand(200, 7, generator=torch.Generator().manual_seed(3)).double()
    y = x + 0.01 * torch.randn(200, 7, generator=torch.Generator().manual_seed(4))
    found = score([(x[:50], y[:50]), (x[50:], y[50:])]).figures()
    e = y - x
    assert found["rmse"] == pytest.approx(e.square().mean().sqrt().item())
    cosine = (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))
    assert found["sam"] == pytest.approx(cosine.acos().rad2deg().mean().item(), rel=1e-6)
    r2 = 1 - e.square().sum(0) / (x - x.mean(0)).square().sum(0)
    assert found["r2_least"] == pytest.approx(r2.min().item())
    own = e.square().mean(1).sqrt().sort(descending=True).values
    assert found["worst"] == pytest.approx(own[:2].mean().item())
    assert score([(x, x)]).figures()["sam"] == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"interpolator": {"features": "plain"}, "fit": {"procedure": "one-step", "joint": 0}},
        {"vae": {"decoder": "mlp", "steps": 60, "width": 32, "attributes": ["lai"]}},
        {"factors": ("rso", "rdd")},
    ],
    ids=["two-step", "one-step", "curved", "two factors"],
)
def test_a_network_learns_and_comes_back_from_disk(changes, tmp_path):
    """Every procedure and decoder: far better than the mean spectrum, and the same when loaded."""
    raw = of(**changes) | ({"factors": changes["factors"]} if "factors" in changes else {})
    config = parse_plan(raw, "test")
    trained = train_emulator(config, tmp_path / "made")
    assert trained.figures["r2"] > 0.6
    loaded = load_emulator(tmp_path / "made")
    theta = loaded.space.stack(lai=torch.tensor([0.5, 3.0])).float()
    angles = torch.tensor([40.0, 20.0, 100.0])
    found = loaded.with_factors(*config.factors)(theta, angles)
    before = trained.emulator.with_factors(*config.factors)(theta, angles)
    for factor in config.factors:
        assert torch.equal(getattr(found, factor), getattr(before, factor))
    assert found.fapar is None
    x = theta.clone().requires_grad_()
    loaded(x, angles).rso.sum().backward()
    assert x.grad.abs().min() > 0.0
    for name in ("config.json", "weights.safetensors", "card.md", "errors.csv"):
        assert (tmp_path / "made" / name).is_file()


def test_nodes_follow_from_the_configuration():
    raw = of() | {"interpolator": {"kind": "nodes", "nodes": 20}, "vae": {"latents": 20}}
    trained = fit_emulator(parse_plan(raw, "test"))
    assert trained.figures["rmse"] < 2e-3
    nodes = trained.emulator.interpolator.physics.wavelength
    assert len(nodes) == 20
    assert torch.isin(torch.tensor([412.0, 695.0]).double(), nodes).all()  # those of fapar
    given = raw | {"interpolator": {"kind": "nodes", "nodes": [450.0, 550.0, 670.0, 720.0, 860.0]}}
    trained = fit_emulator(parse_plan(given, "test"))
    assert trained.emulator.interpolator.physics.wavelength.tolist() == [450, 550, 670, 720, 860]


def test_another_code_is_emulated_from_a_table(csv, tmp_path):
    """Names from the columns, text ignored, VZA known as the view's zenith, negatives allowed."""
    plan = TABLE | {"fit": {"steps": 250, "batch": 64}}
    trained = train_emulator(parse_plan(plan, "test"), tmp_path / "mine", csv.parent)
    loaded = load_emulator(tmp_path / "mine")
    assert loaded.space.names == ("warmth", "dry")
    assert loaded.geometry.names == ("tto",)
    assert loaded.wavelength.tolist() == GRID.tolist()
    assert trained.figures["n"] == 40
    parameters, spectra = made_up(200, seed=9)
    theta = torch.tensor(np.column_stack([parameters["warmth"], parameters["dry"]])).float()
    angles = torch.tensor(parameters["VZA"]).float().unsqueeze(-1)
    gap = loaded(theta, angles).rso - torch.tensor(spectra).float()
    assert gap.square().mean().sqrt() < 5e-3  # the spectra vary by 0.05


def test_another_code_is_emulated_from_a_store(tmp_path):
    """Band names instead of wavelengths, no geometry, parameters named in the training file."""
    parameters, spectra = made_up(200)
    group = zarr.create_group(tmp_path / "mine.zarr")
    for name in ("warmth", "dry"):
        group.create_array(name, data=parameters[name])
    group.create_array("reflectance", data=spectra[:, :4])
    group.create_array("band", data=np.array(["B1", "B2", "B3", "B4"]))
    plan = {"kind": "table", "file": "mine.zarr", "spectra": "reflectance", "parameters": ["dry"]}
    raw = TABLE | {"simulator": plan, "fit": {"steps": 20}}
    train_emulator(parse_plan(raw, "test"), tmp_path / "mine", tmp_path)
    loaded = load_emulator(tmp_path / "mine")
    found = loaded(torch.tensor([[0.5]]))
    assert loaded.space.names == ("dry",)
    assert found.band == ("B1", "B2", "B3", "B4")
    assert found.wavelength is None
    assert found.rso.shape == (1, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,500\n1,\n2,0.1\n", "mine.csv: row 1: spectra: expected a number, got an empty cell"),
        ("a,b\n1,2\n", "mine.csv: expected spectra in columns named by nm"),
        ("500,520\n1,2\n", "mine.csv: expected columns of parameters beside the spectra"),
        ("a,500\n1,0.1\n2,0.2\n", "expected at least 12 rows, got 2"),
    ],
)
def test_a_table_that_will_not_do_is_refused_in_words(text, said, tmp_path):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        fit_emulator(parse_plan(TABLE, "test"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vae": {"latents": 0}}, "vae.latents: expected a value greater than or equal to 1"),
        ({"steps": 3}, "steps: expected no such key, got 3"),
        ({"factors": ["rdd"]}, "factors: expected rso first"),
        (
            {"interpolator": {"kind": "nodes"}, "simulator": {"kind": "table", "file": "x"}},
            "expected a network on plain features for a table",
        ),
    ],
)  # fmt: skip
def test_a_wrong_training_file_is_told_in_words(changes, said):
    with pytest.raises(InputError, match=said):
        parse_plan(SMALL | changes, "test")


def test_a_box_is_narrowed_by_name():
    raw = of(simulator={"box": {"lai": [0.0, 6.0], "tto": [0.0, 30.0]}})
    raw |= {"interpolator": {"kind": "nodes", "nodes": 15}}
    emulator = fit_emulator(parse_plan(raw, "test")).emulator
    assert emulator.space.high[emulator.space.index("lai")] == 6.0
    assert emulator.geometry.high.tolist() == [85.0, 30.0, 180.0]
    with pytest.raises(InputError, match="box: expected some of n_leaf"):
        fit_emulator(parse_plan(of(simulator={"box": {"lia": [0.0, 6.0]}}), "test"))


def test_the_presets_are_valid():
    folder = SHIPPED.parent / "emulation" / "presets"
    for path in sorted(folder.glob("*.toml")):
        assert read_plan(path).name == path.stem
    with pytest.raises(InputError, match="expected a TOML file"):
        read_plan(folder / "none.toml")


def test_folders_that_are_not_what_they_say_are_refused(tmp_path):
    with pytest.raises(ModelError, match="emulator: expected one of prosail-d, prosail-d-1nm"):
        load_emulator("prosail-x")
    with pytest.raises(ModelError, match="could run code"):
        load_emulator("net.pt")
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("config.json", "weights.safetensors"):
        (folder / name).write_bytes((SHIPPED / "prosail-d" / name).read_bytes())
    record = json.loads((folder / "config.json").read_text("utf-8"))
    record["training"]["vae"]["decoder"] = "mlp"
    record["training"]["interpolator"] = {"kind": "network"}
    (folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match="expected the tensors of its config"):
        load_emulator(folder)
    with (folder / "weights.safetensors").open("ab") as file:
        file.write(b"0")
    with pytest.raises(ModelError, match="expected sha256"):
        load_emulator(folder)


def test_the_stated_error_of_a_small_table_holds_for_other_inputs(tmp_path):
    """Of 40 rows the four held out cannot say it; cross-validation of the others does."""
    parameters, spectra = made_up(40)
    head = ",".join([*parameters, *(str(nm) for nm in GRID)])
    rows = np.c_[np.stack(list(parameters.values()), 1), spectra]
    np.savetxt(tmp_path / "mine.csv", rows, delimiter=",", header=head, comments="", fmt="%.9g")
    plan = TABLE | {"fit": {"steps": 200, "batch": 64}}
    emulator = train_emulator(parse_plan(plan, "mine"), tmp_path / "mine", tmp_path).emulator
    assert "held out from the fit and from the stated error" in (
        tmp_path / "mine" / "card.md"
    ).read_text("utf-8")
    others, truth = made_up(500, seed=9)
    theta = torch.tensor(np.c_[others["warmth"], others["dry"]]).float()
    view = torch.tensor(others["VZA"]).float().unsqueeze(-1)
    with torch.no_grad():
        error = emulator(theta, view).rso - torch.tensor(truth).float()
        stated = emulator.standard_error(theta, view)
    assert 0.5 < float(error.square().mean().sqrt() / stated.square().mean().sqrt()) < 1.5
    assert (error.abs() < 2.0 * stated).float().mean() >= 0.9


def test_the_folds_of_a_table_hold_out_every_row_to_learn_from_once(csv):
    source = source_of(parse_plan(TABLE, "mine"), csv.parent)
    kept = source.all().theta
    parts = [fold.draw(len(fold), 0, held_out=True).theta for fold in source.folds(5)]
    assert torch.equal(torch.cat(parts).sort(0).values, kept.sort(0).values)
    first = next(source.folds(5)).all().theta
    assert not (first.unsqueeze(1) == parts[0]).all(-1).any()
