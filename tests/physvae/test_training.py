"""Training repeats itself by seed, survives being killed, and names what is wrong with a file."""

import hashlib

import pytest
import torch
from safetensors.torch import save

from physvae.config import parse_config, read_config
from physvae.errors import InputError
from physvae.objective import decode_draws, loss_terms
from physvae.regularisers import OF_REAL, Step
from physvae.simulation import simulate
from physvae.store import pack
from physvae.training import Trainer

from .conftest import SMALL


def fingerprint(model) -> str:
    return hashlib.sha256(save({k: v.contiguous() for k, v in pack(model).items()})).hexdigest()


def test_the_same_seed_gives_the_same_weights(small, made_up, tmp_path):
    hashes = {fingerprint(Trainer(small, made_up, tmp_path / n).run()) for n in ("a", "b")}
    assert len(hashes) == 1


def test_another_seed_gives_other_weights(small, made_up, tmp_path):
    other = parse_config(SMALL | {"seed": 4}, "other")
    hashes = {fingerprint(Trainer(c, made_up, tmp_path).run()) for c in (small, other)}
    assert len(hashes) == 2


def test_the_seed_decides_what_every_step_draws(small, made_up, tmp_path):
    one, two = (Trainer(small, made_up, tmp_path) for _ in range(2))
    two.config = small.model_copy(update={"seed": 4})  # the same weights and soils, other draws
    assert one.advance()["loss"] != two.advance()["loss"]


def test_a_killed_run_goes_on_where_it_was(small, made_up, tmp_path):
    whole = Trainer(small, made_up, tmp_path / "whole")
    expected = fingerprint(whole.run())
    first = Trainer(small, made_up, tmp_path / "killed")
    for _ in range(6):  # dies two steps after the checkpoint at 4
        first.advance()
        if first.step % small.optimiser.checkpoint == 0:
            first.save()
    second = Trainer(small, made_up, tmp_path / "killed")
    second.resume()
    assert second.step == 4
    assert fingerprint(second.run()) == expected
    assert second.log == whole.log


def test_a_checkpoint_of_another_configuration_is_refused(small, made_up, tmp_path):
    trainer = Trainer(small, made_up, tmp_path)
    trainer.advance()
    trainer.save()
    other = Trainer(parse_config(SMALL | {"seed": 4}, "other"), made_up, tmp_path)
    with pytest.raises(InputError, match="expected the configuration it was made with"):
        other.resume()


def test_training_learns(small, made_up, tmp_path):
    plan = SMALL | {"optimiser": {"steps": 150, "simulations": 128, "spectra": 32}}
    trainer = Trainer(parse_config(plan, "longer"), made_up, tmp_path)
    trainer.run()
    losses = [row["self_supervised"] for row in trainer.log]
    assert sum(losses[-10:]) < sum(losses[:10]) - 10  # a nat a step at least


def real_gradients(trainer: Trainer):
    """The model after a backward pass of what real spectra alone have to say."""
    config, model, batch = trainer.config, trainer.model, trainer.real.take(torch.arange(8))
    model.residual.open(1.0)
    generator = torch.Generator().manual_seed(0)
    decoded = decode_draws(model, batch, batch[:2], config.loss, generator)
    drawn = simulate(model, 2, config.angles, generator)
    step = Step(model, drawn, (drawn.reflectance, drawn.angles), decoded, config.regularisers)
    terms = loss_terms(step, config.loss)
    sum(v for k, v in terms.items() if k in ("fit", *OF_REAL)).backward()
    return model


@pytest.mark.parametrize("kind", ["elbo", "mcrl", "importance"])
@pytest.mark.parametrize("components", [1, 3])
def test_both_bounds_have_a_gradient_everywhere(kind, components, made_up, tmp_path):
    plan = SMALL | {
        "encoder": {"width": 16, "depth": 1, "components": components},
        "loss": {"reconstruction": kind, "draws": 3, "wake_sleep": False},
    }
    config = parse_config(plan, kind)
    model = real_gradients(Trainer(config, made_up, tmp_path))
    for part in (model.encoder, model.residual):
        gradients = [p.grad for p in part.parameters()]
        assert all(torch.isfinite(g).all() for g in gradients)
        assert sum(float(g.abs().sum()) for g in gradients) > 0
    assert model.likelihood.log_discrepancy.grad.abs().sum() > 0


def test_wake_and_sleep_train_one_side_each(small, made_up, tmp_path):
    model = real_gradients(Trainer(small, made_up, tmp_path))
    assert all(p.grad is None for p in model.encoder.parameters())
    assert model.residual.basis.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bandz": ["B3"]}, "bandz"),
        ({"encoder": {"width": 2}}, "encoder.width"),
        ({"prior": {"lai": {"mean": 2.0, "sd": -1.0, "low": 0, "high": 9}}}, "prior.lai.sd"),
        ({"encoder": {"kind": "magic"}}, "encoder.kind"),
    ],
)
def test_a_broken_configuration_names_the_key(change, words):
    with pytest.raises(InputError, match=words):
        parse_config(SMALL | change, "plan.toml")


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("name = [")
    with pytest.raises(InputError, match="expected TOML"):
        read_config(path)
