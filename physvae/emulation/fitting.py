"""Fitting a network: the auto-encoder, then the interpolator with the decoder frozen, then both.

The loss of the interpolator is |D(I) - x|² over the variance of x, and w·|I - μ(x)|²; in the
one-step procedure there is no μ, and I and D start from nothing and learn together.
"""

import torch
from torch import Tensor, nn

from physvae.emulation.drawing import STRIDE, AnySource, Report, assembled, moments_of
from physvae.emulation.emulator import Emulator
from physvae.emulation.interpolators import Network
from physvae.emulation.moments import linear_vae
from physvae.emulation.plans import EmulatorConfig, NetworkPlan
from physvae.emulation.sources import ProsailSource
from physvae.emulation.vae import Decoder, SpectraVAE
from physvae.errors import RunError


def fit_network(config: EmulatorConfig, source: AnySource, report: Report) -> Emulator:
    """Auto-encoders, then the network with their decoders frozen, then both; or one step."""
    two = config.fit.procedure == "two-step"
    encoders = _auto_encoders(config, source, report)
    latents = {name: vae.project.out_features for name, vae in encoders.items()}
    assert isinstance(config.interpolator, NetworkPlan)
    canopy = source.model if isinstance(source, ProsailSource) else None
    network = Network(source.space, source.geometry, config.interpolator, latents, canopy)
    first = source.draw(20_000, config.seed * STRIDE)
    network.features.fit(first.theta, first.angles)
    emulator = assembled(
        config, source, network, {name: vae.decoder for name, vae in encoders.items()}
    )
    if not two:
        for vae in encoders.values():
            _shuffle(vae.decoder, config.seed)
    emulator = emulator.with_factors(*config.factors)
    _steps(config, source, emulator, encoders if two else {}, config.fit.steps, not two, report)
    if two and config.fit.joint:
        _steps(config, source, emulator, {}, config.fit.joint, True, report)
    return emulator.with_factors("rso")


def _shuffle(decoder: Decoder, seed: int) -> None:
    """Forget the auto-encoder; the mean and the scale of spectra stay."""
    generator = torch.Generator().manual_seed(seed)
    last = decoder.last
    with torch.no_grad():
        scale = last.weight.square().sum(1, keepdim=True).sqrt() / last.in_features**0.5
        last.weight.copy_(torch.randn(last.weight.shape, generator=generator) * scale)


def _auto_encoders(config: EmulatorConfig, source, report: Report) -> dict[str, SpectraVAE]:
    """One auto-encoder a factor; steps only where the plan asks for them."""
    found = {}
    for name, moment in moments_of(config, source, report).items():
        linear = linear_vae(
            moment.covariance, min(config.vae.latents, len(moment.mean)), config.vae.sd
        )
        vae = SpectraVAE(config.vae, linear, moment.mean.float())
        if config.vae.steps:
            _train_vae(config, source, name, vae, report)
        found[name] = vae.eval().requires_grad_(False)
    return found


def _train_vae(config, source, factor: str, vae: SpectraVAE, report: Report) -> None:
    optimiser, schedule = _optimiser(vae.parameters(), config, config.vae.steps)
    names = (*source.space.names, *source.geometry.names)
    columns = [names.index(name) for name in config.vae.attributes]
    generator = torch.Generator().manual_seed(config.seed)
    for step in range(config.vae.steps):
        drawn = source.draw(config.fit.batch, config.seed * STRIDE + 10_000_000 + step)
        attributes = torch.cat([drawn.theta, drawn.angles], -1)[:, columns]
        loss = vae.loss(drawn.spectra[factor], attributes, generator)
        _step(loss, vae.parameters(), optimiser, schedule)
        report("auto-encoder", step + 1, config.vae.steps, float(loss.detach()))


def _steps(
    config, source, emulator: Emulator, encoders: dict[str, SpectraVAE], steps: int,
    both: bool, report: Report,
) -> None:  # fmt: skip
    """Train the interpolator, with the decoder where `both`."""
    emulator.decoders.requires_grad_(both)
    wanted = [
        *emulator.interpolator.parameters(),
        *(emulator.decoders.parameters() if both else ()),
    ]
    rate = 0.2 if both and config.fit.procedure == "two-step" else 1.0
    optimiser, schedule = _optimiser(wanted, config, steps, rate)
    stage = "together" if both else "interpolator"
    offset = 20_000_000 if both else 0
    for step in range(steps):
        drawn = source.draw(config.fit.batch, config.seed * STRIDE + offset + step)
        z = emulator.interpolator(drawn.theta, drawn.angles, config.factors).z
        loss = torch.zeros(())
        for name, x in drawn.spectra.items():
            misfit = (emulator.decoders[name](z[name]) - x).square().mean()
            loss = loss + misfit / x.var(0).mean().clamp(min=1e-12)
            if name in encoders:
                gap = (z[name] - encoders[name].encode(x)).square().mean()
                loss = loss + config.fit.latent * gap
        _step(loss, wanted, optimiser, schedule)
        report(stage, step + 1, steps, float(loss.detach()))


def _optimiser(parameters, config, steps: int, rate: float = 1.0):
    """Adam; a short rise of the learning rate, then a cosine to zero."""
    optimiser = torch.optim.Adam(parameters, lr=config.fit.learning_rate * rate)
    rise = max(1, steps // 50)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.fit.learning_rate * rate, total_steps=steps + 1, pct_start=rise / steps,
        cycle_momentum=False, div_factor=20.0, final_div_factor=1e4,
    )  # fmt: skip
    return optimiser, schedule


def _step(loss: Tensor, parameters, optimiser, schedule) -> None:
    if not torch.isfinite(loss):
        raise RunError(f"training: expected a finite loss, got {float(loss)}")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(list(parameters), 1.0)
    optimiser.step()
    schedule.step()
