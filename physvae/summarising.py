"""Teach a model's `Summaries`, and correct them on simulations they have not seen."""

import torch
from torch import Tensor, nn

from physvae.config import Config
from physvae.evaluation import true_traits
from physvae.io.progress import Done, Stage, nothing, silent
from physvae.simulation import hide, simulate
from physvae.soils import SoilMixtures
from physvae.summaries import Summaries
from physvae.vae import PhysVAE

BLOCK = 8192  # simulations at a time
RATE = 4e-3
PHYSICAL = 0.5  # weight of the physical spectrum beside the likelihood of a trait
SEEDS = {"lessons": 404, "calibration": 505}  # added to the configuration's seed


def fit_summaries(
    model: PhysVAE, config: Config, soils: SoilMixtures | None = None, stage: Stage = silent
) -> None:
    """Train the network by maximum likelihood, then set its table of scores."""
    net, plan = model.summaries, config.summaries
    if net is None or plan is None:
        return
    generator = torch.Generator().manual_seed(config.seed + SEEDS["lessons"])
    with stage("simulations for the marginals", plan.simulations) as done:
        lessons = known_pairs(model, config, plan.simulations, generator, soils, done)
    with stage("learning the marginals", plan.steps) as done:
        _learn(model, net, config, lessons, generator, done)
    for name, factor in config.calibration.widen.items():
        net.widen[list(model.traits).index(name)] = factor
    with stage("correcting the marginals", plan.calibration) as done:
        calibrate(model, net, config, soils, done)


def _learn(
    model: PhysVAE, net: Summaries, config: Config, lessons: tuple[Tensor, ...],
    generator: torch.Generator, done: Done,
) -> None:  # fmt: skip
    """Maximum likelihood of the traits of simulations, with gaps drawn anew."""
    plan = config.summaries
    assert plan is not None
    net.requires_grad_(True).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=plan.steps)
    for _ in range(plan.steps):
        rows = torch.randint(len(lessons[0]), (plan.batch,), generator=generator)
        loss = _loss(model, net, config, [part[rows] for part in lessons], generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        done(1)
    net.eval()


@torch.no_grad()
def calibrate(
    model: PhysVAE, net: Summaries, config: Config, soils: SoilMixtures | None = None,
    done: Done = nothing,
) -> None:  # fmt: skip
    """Set the table of scores by new simulations."""
    generator = torch.Generator().manual_seed(config.seed + SEEDS["calibration"])
    rest, scores = config.summaries.calibration if config.summaries else 0, []
    while rest > 0:
        block = min(BLOCK, rest)
        reflectance, angles, traits, _ = known_pairs(model, config, block, generator, soils)
        seen = hide(reflectance, angles, config.bands, config.missing, generator)
        scores.append(net(model.features(net.look(seen[0]), seen[1])).marginals.raw_score(traits))
        rest -= block
        done(block)
    net.calibrate(torch.cat(scores))


@torch.no_grad()
def known_pairs(
    model: PhysVAE, config: Config, n: int, generator: torch.Generator,
    soils: SoilMixtures | None, done: Done = nothing,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """n simulations: reflectance [n, band], angles [n, 3], traits [n, trait], physical [n, band].

    fapar and fcover are those of the exact physics.
    """
    names, parts = tuple(model.traits), []
    for start in range(0, n, BLOCK):
        drawn = simulate(model, min(BLOCK, n - start), config.angles, generator, soils)
        truth = true_traits(model, drawn.scores, drawn.angles, names)
        traits = torch.stack([truth[name] for name in names], -1)
        parts.append((drawn.reflectance, drawn.angles, traits, drawn.physical))
        done(len(traits))
    reflectance, angles, traits, physical = (torch.cat(x) for x in zip(*parts, strict=True))
    return reflectance, angles, traits, physical


def _loss(
    model: PhysVAE, net: Summaries, config: Config, lesson: list[Tensor],
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    reflectance, angles, traits, physical = lesson
    seen = hide(reflectance, angles, config.bands, config.missing, generator)
    found = net(model.features(net.look(seen[0]), seen[1]))
    target = (physical - model.features.mean) / model.features.sd
    likelihood = found.marginals.log_prob(traits).mean()
    return PHYSICAL * nn.functional.mse_loss(found.physical, target) - likelihood
