"""A run that is killed and resumed follows the same losses, whatever it is made of."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from physvae.config import parse_config
from physvae.errors import InputError
from physvae.training import Trainer

from .conftest import SMALL
from .test_train_cli import write


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_to_the_same_losses(made_up, tmp_path):
    """kill -9 between two checkpoints, then --resume, against a run that nobody killed."""
    steps = {"steps": 60, "simulations": 64, "spectra": 16, "checkpoint": 3}
    encoder = {"width": 16, "depth": 1, "dropout": 0.1, "members": 2}
    plan = write(tmp_path, SMALL | {"optimiser": steps, "encoder": encoder})
    command = [sys.executable, "-m", "physvae", "train", str(plan), "--data", str(made_up), "-o"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    run = subprocess.Popen([*command, str(killed)], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while time.monotonic() < end and not (killed / "checkpoint.safetensors").exists():
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    with safe_open(killed / "checkpoint.safetensors", "pt") as file:
        assert 3 <= int(file.metadata()["step"]) < 60
    assert not list(killed.glob(".*part*"))
    subprocess.run([*command, str(killed), "--resume"], check=True, capture_output=True)
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    assert (killed / "log.csv").read_text() == (whole / "log.csv").read_text()
    one, two = (load_file(f / "weights.safetensors") for f in (killed, whole))
    assert all((one[name] == two[name]).all() for name in two)


def test_training_stops_early_and_keeps_the_best(made_up, tmp_path):
    plan = {"steps": 400, "simulations": 8, "spectra": 4, "checkpoint": 5, "learning_rate": 0.05}
    raw = SMALL | {"optimiser": plan | {"patience": 1, "validation": 64, "averaging": 0.0}}
    trainer = Trainer(parse_config(raw, "early"), made_up, tmp_path)
    trainer.run()
    found = [row["validation"] for row in trainer.log if "validation" in row]
    assert trainer.step < 400
    assert len(found) - 1 - int(np.argmin(found)) == 1
    again = Trainer(parse_config(raw, "early"), made_up, tmp_path)
    again.resume()
    assert again.stale
    assert again.log == trainer.log
    assert all((again.best[name] == value).all() for name, value in trainer.best.items())


def test_a_damaged_checkpoint_is_refused(small, made_up, tmp_path):
    trainer = Trainer(small, made_up, tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(InputError, match="expected a checkpoint"):
        trainer.resume()
    save_file({"x": trainer.model.features.mean}, tmp_path / "checkpoint.safetensors")
    with pytest.raises(InputError, match="expected a checkpoint"):
        trainer.resume()
