"""A model folder is what its config.json says, or it is refused before any of it is used."""

import hashlib
import json
import os
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

import physvae
from physvae.errors import InputError, ModelError
from physvae.finishing import finish
from physvae.training import Trainer


@pytest.fixture(scope="module")
def trained(small, made_up, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    trainer = Trainer(small, made_up, folder)
    model = trainer.run()
    finish(model, small, made_up, folder)
    return model, folder


@pytest.fixture
def folder(trained, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.json", "weights.safetensors"):
        (copy / name).write_bytes((trained[1] / name).read_bytes())
    return copy


def rewrite(folder, change) -> None:
    """Change the tensors and make the hash agree again."""
    path = folder / "weights.safetensors"
    blob = save(change(load(path.read_bytes())))
    path.write_bytes(blob)
    record = json.loads((folder / "config.json").read_text())
    record["weights_sha256"] = hashlib.sha256(blob).hexdigest()
    (folder / "config.json").write_text(json.dumps(record))


def test_what_is_saved_is_what_is_loaded(trained):
    model, folder = trained
    again = physvae.load(folder)
    x, angles = torch.rand(5, 3), torch.tensor([30.0, 5.0, 90.0]).expand(5, 3)
    one, two = (m.estimate(x, angles, ("lai", "ccc", "fapar")) for m in (model, again))
    for name in ("lai", "ccc", "fapar"):
        torch.testing.assert_close(one.mean[name], two.mean[name], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.misfit, two.misfit, rtol=1e-4, atol=1e-6)


def test_the_card_states_what_was_measured(trained):
    text = (trained[1] / "card.md").read_text()
    figures = json.loads((trained[1] / "config.json").read_text())["figures"]
    assert f"{100 * figures['coverage_90']['lai']:.1f} %" in text
    assert f"{figures['reconstruction']['spectra.csv']['physical']:.4f}" in text


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".ckpt", ".joblib"])
def test_a_pickle_is_refused_unopened(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ModelError, match="could run code"):
        physvae.load(path)


def test_an_unknown_name_is_told_which_there_are():
    known = "hyperspectral-10nm, landsat-8, sentinel-2, sentinel-2-crops"
    with pytest.raises(ModelError, match=f"model: expected one of {known}, or the"):
        physvae.load("sentinel-9")


def test_changed_weights_are_refused(folder):
    path = folder / "weights.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(ModelError, match="expected sha256"):
        physvae.load(folder)


def test_weights_that_are_not_finite_are_refused(folder):
    rewrite(folder, lambda t: t | {"features.mean": t["features.mean"] * torch.nan})
    with pytest.raises(ModelError, match=r"features\.mean: expected finite numbers"):
        physvae.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t | {"features.mean": torch.zeros(7)},
        lambda t: t | {"surprise": torch.zeros(1)},
        lambda t: {k: v for k, v in t.items() if k != "soil.mean"},
    ],
    ids=["shape", "extra", "missing"],
)
def test_other_tensors_than_declared_are_refused(folder, change):
    rewrite(folder, change)
    with pytest.raises(ModelError, match=r"expected the tensors of its config\.json"):
        physvae.load(folder)


def test_a_folder_without_weights_is_refused(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match="expected a file"):
        physvae.load(folder)


@pytest.mark.parametrize(
    ("section", "change"),
    [("noise", {"floor": 0.02}), ("calibration", {"field": {"lai": 2.0}}), ("seed", 4)],
)
def test_the_sha256_covers_the_configuration(folder, trained, section, change):
    before = physvae.load(folder).sha256
    assert before == trained[0].sha256
    assert before == hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    record = json.loads((folder / "config.json").read_text())
    record["training"][section] = change
    (folder / "config.json").write_text(json.dumps(record))
    assert physvae.load(folder).sha256 != before


def test_changed_weights_change_the_sha256(folder):
    before = physvae.load(folder).sha256
    rewrite(folder, lambda t: t | {"features.mean": t["features.mean"] + 0.01})
    assert physvae.load(folder).sha256 != before


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_what_is_no_ordinary_file_is_refused_before_it_is_read(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ModelError, match=f"{name}: expected a file, got something that is not"):
        physvae.load(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(ModelError, match=f"{name}: expected a file, got something that is not"):
        physvae.load(folder)


def test_a_file_too_large_to_be_a_configuration_is_refused_before_it_is_read(folder):
    with open(folder / "config.json", "wb") as file:
        file.truncate(1 << 40)  # holes
    with pytest.raises(ModelError, match=r"config\.json: expected a file, got 1,099,511,627,776"):
        physvae.load(folder)


@pytest.mark.parametrize(
    ("section", "change", "reason"),
    [
        (None, {"bands": [f"B{i}" for i in range(5000)]}, "bands: expected at most 4096 items"),
        ("grid", {"first": 400, "last": 2500, "step": 0.01, "fwhm": 1}, "at most 4096 bands"),
        ("grid", {"first": 400, "last": 2500, "step": 2.1e-5, "fwhm": 1}, "grid.step: .*0.01"),
        ("encoder", {"width": 2048, "depth": 12, "members": 20}, "encoder.members.0.first.weight"),
    ],
)
def test_more_than_the_weights_hold_is_refused_before_memory_is_taken(
    folder, section, change, reason
):
    record = json.loads((folder / "config.json").read_text())
    table = record["training"]
    if section == "encoder":
        table["encoder"] |= change
    else:
        table |= change if section is None else {section: change}
    (folder / "config.json").write_text(json.dumps(record))
    tracemalloc.start()
    with pytest.raises(InputError, match=reason):
        physvae.load(folder)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 64 << 20


def test_a_training_that_has_not_ended_says_so(folder):
    (folder / "config.json").unlink()
    (folder / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"not ended; go on with .* --resume"):
        physvae.load(folder)


def test_an_emulator_is_no_model():
    folder = Path(physvae.__file__).parent / "emulators" / "prosail-d"
    with pytest.raises(ModelError, match="expected a PhysVAE model, got 'emulator'"):
        physvae.load(folder)
