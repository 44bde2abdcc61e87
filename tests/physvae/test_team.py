"""Two processes share a batch: the same weights on both, those that one process would find."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from physvae.__main__ import run
from physvae.config import parse_config
from physvae.errors import UsageError
from physvae.team import Team
from physvae.training import Trainer

from .conftest import SMALL
from .test_train_cli import write

SHARED = SMALL | {
    "likelihood": {"kind": "sigma"},
    "loss": {"real": 0.5, "warm_up": 0.0},
    "optimiser": {"steps": 6, "simulations": 32, "spectra": 16, "checkpoint": 3},
}
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
EACH = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from physvae.config import read_config
from physvae.team import joined
from physvae.training import Trainer

plan, data, folder = (Path(word) for word in sys.argv[1:])
with joined("cpu") as (team, device):
    trainer = Trainer(read_config(plan), data, folder, device, team)
    trainer.run()
    weights = {k: v.contiguous() for k, v in trainer.model.state_dict().items()}
    save_file(weights, folder / f"rank-{team.rank}.safetensors")
"""


class Apart(Team):
    """One of two, whose gradients the test itself averages."""

    def average(self, tensors):
        pass

    def share(self, tensors):
        pass


@pytest.fixture(scope="module")
def ranks(made_up, tmp_path_factory):
    """Weights of both processes of a torchrun, and the folder."""
    folder = tmp_path_factory.mktemp("team")
    (folder / "each.py").write_text(EACH)
    plan = write(folder, SHARED)
    command = [*TORCHRUN, str(folder / "each.py"), str(plan), str(made_up), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return [load_file(folder / f"rank-{rank}.safetensors") for rank in (0, 1)], folder


def test_both_processes_hold_the_same_bits(ranks):
    one, two = ranks[0]
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_weights_are_those_of_the_mean_gradient(ranks, made_up, tmp_path):
    """One process draws both parts, takes the mean by hand: equal but for the order of sums."""
    config = parse_config(SHARED, "shared")
    both = [Trainer(config, made_up, tmp_path, team=Apart(rank, 2)) for rank in (0, 1)]
    for _ in range(config.optimiser.steps):
        terms = [trainer.gradients() for trainer in both]
        for pair in zip(*(t.model.parameters() for t in both), strict=True):
            if pair[0].grad is not None:
                mean = torch.stack([p.grad for p in pair]).mean(0)
                for parameter in pair:
                    parameter.grad = mean.clone()
        for pair in zip(*(t.model.likelihood.observed() for t in both), strict=True):
            mean = torch.stack(pair).mean(0)
            for square in pair:
                square.copy_(mean)
        for trainer, own in zip(both, terms, strict=True):
            trainer.update(own)
    both[0].model.load_state_dict(both[0].average, strict=False)
    for name, value in both[0].model.state_dict().items():
        torch.testing.assert_close(ranks[0][0][name], value, rtol=1e-5, atol=1e-6, msg=name)
    assert both[0].log[0]["loss"] != both[1].log[0]["loss"]  # they drew other spectra


def test_the_leader_alone_writes_and_logs_the_mean_loss(ranks, made_up, tmp_path):
    config = parse_config(SHARED, "shared")
    first = [Trainer(config, made_up, tmp_path, team=Apart(rank, 2)).advance() for rank in (0, 1)]
    rows = (ranks[1] / "log.csv").read_text().splitlines()
    logged = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    assert len(rows) == 7
    mean = (first[0]["loss"] + first[1]["loss"]) / 2
    assert float(logged["loss"]) == pytest.approx(mean, rel=1e-5)


@pytest.mark.slow
def test_the_command_trains_resumes_and_finishes_under_torchrun(made_up, tmp_path):
    """Resumed by one process after two: the checkpoint is the same thing."""
    plan, model = write(tmp_path, SHARED), tmp_path / "model"
    command = ["train", str(plan), "--data", str(made_up), "-o", str(model)]
    subprocess.run(
        [*TORCHRUN, "-m", "physvae", *command], check=True, capture_output=True, timeout=300
    )
    for name in ("config.json", "weights.safetensors", "card.md", "log.csv"):
        assert (model / name).is_file()
    assert run([*command, "--resume"]) == 0


def test_a_batch_that_cannot_be_shared_is_refused(small, made_up, tmp_path):
    with pytest.raises(UsageError, match="simulations: expected a multiple of 3 processes"):
        Trainer(small, made_up, tmp_path, team=Team(0, 3))


def test_one_process_is_a_team_that_changes_nothing():
    value = torch.tensor([1.0, 2.0])
    Team().average([value])
    Team().share([value])
    assert value.tolist() == [1.0, 2.0]
    assert Team().seed(5) == 5
    assert Team(1, 2).seed(5) != Team(0, 2).seed(5)
