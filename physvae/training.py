"""Training: simulations drawn anew at every step beside real spectra; resumable; seeded.

Step i draws everything from a generator seeded by (seed, i), so a run that was killed and resumed
follows the same losses as one that was not. Several processes share a batch, see `physvae.team`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from physvae import checkpoint
from physvae.config import Config
from physvae.decoders import canopy
from physvae.errors import RunError
from physvae.objective import decode_draws, loss_terms
from physvae.plans import LibrarySoil
from physvae.priors import Prior
from physvae.real_spectra import RealSpectra, read_all, read_spectra
from physvae.regularisers import Step, self_supervised
from physvae.simulation import hide, reduced_sensor, simulate
from physvae.soils import SOILS, SoilLibrary, SoilMixtures
from physvae.store import assemble, pack
from physvae.team import Team
from physvae.vae import PhysVAE
from rtm import Prosail, Sensor, load_sensor

__all__ = ["Trainer", "build", "read_spectra", "soils_of"]

STRIDE = 1_000_003  # between the seeds of two runs, which are added to the step
SCALED = 20_000  # simulated spectra behind the scaling of the features
WORTH = 1_000_000  # decodings for which compiling the physics pays
VALIDATION = 404  # added to the seed for the simulations of early stopping


def soil_of(config: Config, data: Path):
    """The soil of a configuration."""
    if not isinstance(config.soil, LibrarySoil):
        return SOILS[config.soil.kind]()
    library = SoilLibrary([data / name for name in config.soil.files])
    return library.components(config.soil.components, config.seed)


def soils_of(config: Config, data: Path, model: PhysVAE) -> SoilMixtures | None:
    """Whole soils for the simulations, where the configuration asks for them."""
    if not isinstance(config.soil, LibrarySoil) or config.soil.draw == "components":
        return None
    library = SoilLibrary([data / name for name in config.soil.files])
    soil = library.components(config.soil.components, config.seed)
    return SoilMixtures(library, soil, model.physical.sensor, config.physics, model.prior)


def sensor_of(config: Config) -> Sensor:
    """The sensor of a configuration, with all its wavelengths."""
    if config.grid is None:
        return load_sensor(config.sensor).select(config.bands)
    width = [config.grid.fwhm] * len(config.grid.ids)
    whole = Sensor.gaussian(config.sensor, config.grid.centers, width, config.grid.ids)
    return whole.select(config.bands)


def build(config: Config, data: Path) -> PhysVAE:
    """A model ready for training: sensor reduced, soils read, features scaled by simulations."""
    soil = soil_of(config, data)
    full = sensor_of(config)
    probe = Prosail(
        config.physics.leaf, None, full.wavelength, soil=soil, products=False,
        **canopy(config.physics),
    )  # fmt: skip
    sensor = reduced_sensor(
        full, Prior(config.prior, probe.space, config.correlation), probe, ranges=config.angles,
        tolerance=config.tolerance, seed=config.seed,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    model = assemble(config, sensor, soil)
    count = max(1, SCALED // model.pixels)
    generator = torch.Generator().manual_seed(config.seed)
    first = simulate(model, count, config.angles, generator, soils_of(config, data, model))
    model.features.fit(first.reflectance.flatten(0, -2))
    return model


def _decodings(config: Config) -> int:
    """How many spectra the physics computes in a training."""
    real = config.optimiser.spectra * config.loss.draws if config.spectra else 0
    return config.optimiser.steps * (config.optimiser.simulations + real)


class Trainer:
    """One training run in one folder.

    Parameters
    ----------
    config : Config
    data : Path
        Folder that the files of the configuration are relative to.
    folder : Path
        Where the log and the checkpoint go.
    device : str
        "cpu" or "cuda"; random numbers differ between the two.
    team : Team, optional
        The processes that train together, each with its part of the batch.
    """

    def __init__(
        self, config: Config, data: Path, folder: Path, device: str = "cpu",
        team: Team | None = None,
    ):  # fmt: skip
        self.config, self.folder, self.device = config, folder, torch.device(device)
        self.team = team or Team()
        self.simulations = self.team.part(config.optimiser.simulations, "optimiser.simulations")
        self.spectra = self.team.part(config.optimiser.spectra, "optimiser.spectra")
        self.model = build(config, data)
        self.soils = soils_of(config, data, self.model)
        self.model.to(self.device)
        if _decodings(config) >= WORTH:
            self.model.physical.compile()
        if self.soils:
            self.soils.decoder.to(self.device)
        self.real = read_all(config, data)
        self.average = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        self.best: dict[str, Tensor] = {}
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=config.optimiser.learning_rate, betas=(0.9, 0.98)
        )
        self.step = 0
        self.log: list[dict] = []

    def run(self, report: Callable[[int, dict], None] = lambda step, losses: None) -> PhysVAE:
        """Train to the last step, with `report(step, log)` after each: its row of the log.

        Returns the averaged model, with `patience` the best of it, on the CPU.
        """
        plan = self.config.optimiser
        self.team.share([*self.model.parameters(), *self.model.buffers()])
        while self.step < plan.steps and not self.stale:
            self.advance()
            if self.step % plan.checkpoint == 0 or self.step == plan.steps:
                self.validate()
                self.save()
            report(self.step, self.log[-1])
        self.model.load_state_dict(self.best or self.average, strict=False)
        return self.model.cpu().eval()

    @property
    def stale(self) -> bool:
        """Whether the last `patience` checkpoints brought nothing."""
        patience = self.config.optimiser.patience
        found = [row["validation"] for row in self.log if "validation" in row]
        return patience is not None and len(found) - 1 - int(np.argmin(found or [0])) >= patience

    def advance(self) -> dict[str, float]:
        """One step. Returns the terms of the loss, weighted, and their sum."""
        terms = self.gradients()
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.team.average([*gradients, *terms.values(), *self.model.likelihood.observed()])
        return self.update(terms)

    def gradients(self) -> dict[str, Tensor]:
        """Gradients of this process's part of a batch. Returns the terms of its loss."""
        seed = self.team.seed(self.config.seed * STRIDE + self.step)
        generator = torch.Generator(self.device).manual_seed(seed)
        self._schedule(self.step / self.config.optimiser.steps)
        self.model.train()
        with torch.random.fork_rng(self._cuda()):
            torch.manual_seed(seed)  # for dropout
            terms = self._terms(generator)
        self.optimiser.zero_grad(set_to_none=True)
        sum(terms.values(), torch.zeros((), device=self.device)).backward()
        return {name: value.detach() for name, value in terms.items()}

    def update(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Take the step that the gradients say, into the log. Returns the terms and their sum."""
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self._after_step()
        self.step += 1
        losses = {"loss": float(sum(terms.values(), torch.zeros((), device=self.device)))}
        losses |= {name: float(value) for name, value in terms.items()}
        if not np.isfinite(losses["loss"]):
            raise RunError(f"training: expected a finite loss at step {self.step}, got {losses}")
        self.log.append({"step": self.step, **losses})
        return losses

    def _cuda(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []

    def _terms(self, generator: torch.Generator) -> dict[str, Tensor]:
        config, model = self.config, self.model
        drawn = simulate(model, self.simulations, config.angles, generator, self.soils)
        seen = self._hidden(drawn.reflectance, drawn.angles, generator)
        decoded = None
        if len(self.real.reflectance) and config.loss.real > 0:
            batch = self._batch(generator)
            hidden = self._hidden(batch.reflectance, batch.angles, generator)
            decoded = decode_draws(model, batch, hidden, config.loss, generator)
        step = Step(model, drawn, seen, decoded, config.regularisers)
        return loss_terms(step, config.loss, self.step / config.optimiser.steps)

    def _batch(self, generator: torch.Generator) -> RealSpectra:
        rows = torch.randint(
            len(self.real.reflectance), (self.spectra,), generator=generator, device=self.device,
        )  # fmt: skip
        return self.real.take(rows.cpu()).to(self.device)

    def _hidden(self, reflectance: Tensor, angles: Tensor, generator: torch.Generator):
        config = self.config
        layout = self.model.layout
        return hide(reflectance, angles, config.bands, config.missing, generator, layout)

    def _schedule(self, done: float) -> None:
        """Learning rate: a short rise, a cosine to zero. Gate: 0 in the warm-up, then to 1."""
        rate = min(1.0, done / 0.02 + 0.01) * 0.5 * (1 + np.cos(np.pi * done))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.optimiser.learning_rate * rate
        warm = self.config.loss.warm_up
        self.model.residual.open(0.0 if done < warm else min(1.0, (done - warm) / 0.2))

    @torch.no_grad()
    def _after_step(self) -> None:
        self.model.likelihood.constrain()
        keep = min(self.config.optimiser.averaging, self.step / (self.step + 10))
        for name, value in self.model.named_parameters():
            self.average[name].lerp_(value, 1 - keep)

    @torch.no_grad()
    def validate(self) -> None:
        """Loss of the averaged model on simulations of its own, into the log; keep the best."""
        config = self.config
        if config.optimiser.patience is None:
            return
        now = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        self.model.load_state_dict(self.average, strict=False)
        self.model.eval()
        seed = config.seed * STRIDE - VALIDATION
        generator = torch.Generator(self.device).manual_seed(seed)
        count = max(1, config.optimiser.validation // self.model.pixels)
        drawn = simulate(self.model, count, config.angles, generator, self.soils)
        seen = self._hidden(drawn.reflectance, drawn.angles, generator)
        found = self_supervised(Step(self.model, drawn, seen, None, config.regularisers))
        self.team.share([found])  # all stop together
        loss = float(found)
        if loss < min((r["validation"] for r in self.log if "validation" in r), default=np.inf):
            self.best = {k: v.clone() for k, v in self.average.items()}
        self.log[-1]["validation"] = loss
        self.model.load_state_dict(now, strict=False)

    def save(self) -> None:
        """Write checkpoint.safetensors and log.csv, each whole or not at all; the leader does."""
        if not self.team.leads:
            return
        adam = self.optimiser.state_dict()["state"]
        state = checkpoint.Checkpoint(self.step, pack(self.model), self.average, self.best, adam)
        checkpoint.write(self.folder, state, self.config.model_dump_json(), self.log)

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises
        ------
        InputError
            Where there is none, or it belongs to another configuration.
        """
        state, self.log = checkpoint.read(self.folder, self.config.model_dump_json())
        self.model.load_state_dict(state.model)
        self.average = {k: v.to(self.device) for k, v in state.average.items()}
        self.best = {k: v.to(self.device) for k, v in state.best.items()}
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state.adam, "param_groups": groups})
        self.step = state.step
