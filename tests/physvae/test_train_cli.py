"""`physvae train` and `physvae models`: a model folder, or one sentence and an exit code."""

import json
from pathlib import Path

import physvae
from physvae.__main__ import run
from physvae.config import parse_config, read_config

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
    told = [line for line in capsys.readouterr().err.splitlines() if " loss " in line]
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
