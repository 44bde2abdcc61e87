"""`physvae train` and `physvae models`: a model folder, or one sentence and an exit code."""

import json
from pathlib import Path

import pytest

import physvae
from physvae.__main__ import run
from physvae.config import parse_config, read_config
from physvae.emulation.plans import parse_plan
from physvae.errors import InputError
from physvae.plans import LibrarySoil
from physvae.store import models
from physvae.training_files import find_training_file, presets

from .conftest import SMALL


def toml(value: dict, prefix: str = "") -> str:
    """Enough TOML for a training file: tables of numbers, strings, lists and inline tables."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in value.items() if not _nested(v)]
    for key, part in value.items():
        if isinstance(part, dict):
            lines += [f"[{prefix}{key}]", toml(part, f"{prefix}{key}.")]
        elif _nested(part):
            lines += [f"[[{prefix}{key}]]\n{toml(row)}" for row in part]
    return "\n".join(lines)


def _nested(value) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict))


def write(folder, config: dict):
    path = folder / "plan.toml"
    path.write_text(toml(config))
    return path


def test_a_model_is_trained_resumed_and_listed(made_up, tmp_path, capsys):
    plan = write(tmp_path, SMALL)
    arguments = ["train", str(plan), "--data", str(made_up), "-o", str(tmp_path / "model")]
    assert run(arguments) == 0
    for name in ("config.json", "weights.safetensors", "card.md", "log.csv"):
        assert (tmp_path / "model" / name).is_file()
    assert f"physvae train {plan} --data" in (tmp_path / "model" / "card.md").read_text()
    lines = capsys.readouterr().err.splitlines()
    assert f"data of {made_up}" in lines[0]
    for stage in (
        "learning fapar",
        "limits",
        "measuring: intervals",
        "measuring: spectra of spec",
    ):
        assert any(line.startswith(stage) for line in lines)
    told = [line for line in lines if " loss " in line]
    steps = SMALL["optimiser"]["steps"]
    assert len(told) >= min(steps, 20)
    assert f"{steps}/{steps} loss" in told[-1]
    assert run(arguments) == 3
    assert "go on with --resume" in capsys.readouterr().err
    assert run([*arguments, "--resume"]) == 0
    assert run(["models"]) == 0
    assert "sentinel-2" in capsys.readouterr().out


def test_a_broken_file_is_one_sentence(made_up, tmp_path, capsys):
    plan = write(tmp_path, SMALL | {"sensor": "sentinel-2a", "steps": 4})
    assert run(["train", str(plan), "--data", str(made_up), "-o", str(tmp_path / "m")]) == 3
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "steps" in said
    assert "\n" not in said
    assert not (tmp_path / "m").exists()


def test_a_data_folder_that_is_not_there_is_wrong_usage(tmp_path, capsys):
    plan = write(tmp_path, SMALL)
    assert (
        run(["train", str(plan), "--data", str(tmp_path / "no"), "-o", str(tmp_path / "m")]) == 2
    )
    assert "expected a folder" in capsys.readouterr().err


def test_the_presets_are_valid():
    presets = sorted((Path(physvae.__file__).parent / "presets").glob("*.toml"))
    assert presets
    for path in presets:
        assert read_config(path).name == path.stem
    assert parse_config(SMALL, "small").optimiser.steps == 12


def test_a_preset_is_found_by_its_name(tmp_path, capsys):
    where = ["--data", str(tmp_path), "-o", str(tmp_path / "m")]
    assert run(["train", "sentinel-2", *where]) == 3
    told = capsys.readouterr().err
    assert f"{tmp_path}: expected the data of sentinel-2, soils/ossl_47_soils_400_2500" in told
    assert "Data of the presets" in told
    assert run(["train", "sentinel-9", *where]) == 3
    assert "expected a TOML file or one of hyperspectral-10nm, " in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_the_presets_are_those_of_models_and_emulators():
    assert find_training_file("prosail-d-1nm").parent.parent.name == "emulation"
    assert set(models()) <= set(presets())


def test_the_documentation_tells_where_the_data_of_the_presets_come_from():
    text = (Path(__file__).parents[2] / "docs" / "model.md").read_text()
    part = text.split("### Data of the presets")[1].split("\n## ")[0]
    for path in (Path(physvae.__file__).parent / "presets").glob("*.toml"):
        plan = read_config(path)
        soils = plan.soil.files if isinstance(plan.soil, LibrarySoil) else ()
        for file in (*soils, *(entry.file for entry in plan.spectra)):
            assert f"`{file}`" in part


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"regularisers": {"attributes": [{"dimension": 1, "bands": ["B4"]}]}}, "a weight attrib"),
        ({"regularisers": {"attribute": 1.0}}, "expected attributes and a weight"),
        ({"missing": {"often": {"B99": 0.5}}}, "missing.often: expected bands of the model"),
        (
            {"calibration": {"widen": {"lia": 1.1}}},
            "calibration.widen: expected traits, got {'lia",
        ),
    ],
)
def test_what_training_would_ignore_or_stumble_over_is_refused(change, reason):
    with pytest.raises(InputError, match=reason):
        parse_config(SMALL | change, "plan.toml")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"vae": {"attributes": ["lai"]}}, "plan.toml: .*vae.attributes: expected steps"),
        ({"vae": {"steps": 9}, "interpolator": {"kind": "nodes"}}, "vae.steps: expected 0"),
        ({"fit": {"joint": 9, "procedure": "one-step"}}, "fit.joint: expected the two-step"),
    ],
)
def test_what_an_emulator_would_ignore_is_refused(change, reason):
    with pytest.raises(InputError, match=reason):
        parse_plan({"name": "e"} | change, "plan.toml")
