"""Training: simulations drawn anew at every step beside real spectra; resumable; seeded.

Step i draws everything from a generator seeded by (seed, i), so a run that was killed and resumed
follows the same losses as one that was not. The checkpoint is a safetensors file.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from physvae.config import Config, Spectra
from physvae.errors import InputError
from physvae.files import write_atomically
from physvae.objective import guard_loss, simulation_loss, spectra_loss
from physvae.priors import Prior
from physvae.simulation import hide, reduced_sensor, simulate, soil_from_library
from physvae.store import assemble, pack
from physvae.tables import read_table
from physvae.vae import PhysVAE
from rtm import Prosail, load_sensor

HELD_OUT = 5  # every fifth group (or row) of real spectra is kept for evaluation


class RealSpectra(NamedTuple):
    """Real spectra without labels: reflectance [n, band] and angles [n, 3], NaN where missing."""

    reflectance: Tensor
    angles: Tensor

    def take(self, rows: Tensor) -> "RealSpectra":
        """Some of the spectra, by row numbers or by a mask [n]."""
        return RealSpectra(self.reflectance[rows], self.angles[rows])


def read_spectra(path: Path, entry: Spectra, bands: tuple[str, ...]) -> tuple[RealSpectra, Tensor]:
    """One table of spectra, and which of its rows are for training (the others are held out)."""
    table = read_table(path)
    absent = [name for name in bands if name not in table]
    if absent:
        raise InputError(f"{path}: expected columns {', '.join(bands)}, got none of {absent[0]}")
    rows = len(table[bands[0]])
    gap = np.full(rows, np.nan)
    names = (entry.sun_zenith, "view_zenith_deg", "relative_azimuth_deg")
    columns = [[table.get(name, gap) for name in group] for group in (bands, names)]
    real = RealSpectra(*(torch.tensor(np.stack(c, -1), dtype=torch.float32) for c in columns))
    label = table[entry.group] if entry.group else np.arange(rows)
    _, group = np.unique(label, return_inverse=True)
    return real, torch.from_numpy(group % HELD_OUT != HELD_OUT - 1)


def build(config: Config, data: Path) -> PhysVAE:
    """A model ready for training: sensor reduced, soils read, features scaled by simulations."""
    files = [data / name for name in config.soil.files]
    soil = soil_from_library(files, config.soil.components, config.seed)
    full = load_sensor(config.sensor).select(config.bands)
    probe = Prosail("D", full, soil=soil, crowns=config.crowns, products=False)
    sensor = reduced_sensor(
        full, Prior(config.prior, probe.space), soil, crowns=config.crowns, ranges=config.angles,
        tolerance=config.tolerance, seed=config.seed,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    model = assemble(config, sensor, soil)
    first = simulate(model, 20_000, config.angles, torch.Generator().manual_seed(config.seed))
    model.features.fit(first.reflectance)
    return model


class Trainer:
    """One training run in one folder.

    Parameters
    ----------
    config : Config
    data : Path
        Folder that the files of the configuration are relative to.
    folder : Path
        Where the log and the checkpoint go.
    """

    def __init__(self, config: Config, data: Path, folder: Path):
        self.config, self.folder = config, folder
        self.model = build(config, data)
        self.real = self._read_real(data)
        self.average = {k: v.detach().clone() for k, v in self.model.named_parameters()}
        self.optimiser = torch.optim.Adam(
            self.model.parameters(), lr=config.optimiser.learning_rate, betas=(0.9, 0.98)
        )
        self.step = 0
        self.log: list[dict] = []

    def _read_real(self, data: Path) -> RealSpectra:
        parts = []
        for entry in self.config.spectra:
            real, training = read_spectra(data / entry.file, entry, self.config.bands)
            parts.append(real.take(training))
        if not parts:
            return RealSpectra(torch.empty(0, len(self.config.bands)), torch.empty(0, 3))
        return RealSpectra(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def run(self, report: Callable[[int, dict], None] = lambda step, losses: None) -> PhysVAE:
        """Train to the last step, with `report(step, losses)` after each.

        Returns the averaged model.
        """
        plan = self.config.optimiser
        while self.step < plan.steps:
            losses = self.advance()
            report(self.step, losses)
            if self.step % plan.checkpoint == 0 or self.step == plan.steps:
                self.save()
        return self.averaged()

    def advance(self) -> dict[str, float]:
        """One step. Returns the terms of the loss."""
        plan, weights = self.config.optimiser, self.config.loss
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        done = self.step / plan.steps
        self._schedule(done)
        terms = self._terms(generator)
        total = (
            terms["simulation"] + weights.real * terms["spectra"]
            + weights.unmixing * terms["unmixing"]
            + weights.orthogonality * terms["orthogonality"]
        )  # fmt: skip
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self._after_step()
        self.step += 1
        losses = {name: float(value.detach()) for name, value in terms.items()}
        if not np.isfinite(sum(losses.values())):
            raise RuntimeError(
                f"training: expected a finite loss at step {self.step}, got {losses}"
            )
        self.log.append({"step": self.step, **losses})
        return losses

    def _terms(self, generator: torch.Generator) -> dict[str, Tensor]:
        config, model = self.config, self.model
        drawn = simulate(model, config.optimiser.simulations, config.angles, generator)
        seen = hide(drawn.reflectance, drawn.angles, config.bands, config.missing, generator)
        zero = torch.zeros(())
        terms = {"simulation": simulation_loss(model, drawn, seen), "spectra": zero}
        terms["unmixing"], terms["orthogonality"] = guard_loss(model, drawn)
        if len(self.real.reflectance) and config.loss.real > 0:
            rows = torch.randint(
                len(self.real.reflectance), (config.optimiser.spectra,), generator=generator
            )
            batch = self.real.take(rows)
            seen = hide(*batch, config.bands, config.missing, generator)
            terms["spectra"] = spectra_loss(model, *batch, seen, config.loss, generator)
        return terms

    def _schedule(self, done: float) -> None:
        """Learning rate: a short rise, a cosine to zero. Gate: 0 in the warm-up, then to 1."""
        rate = min(1.0, done / 0.02 + 0.01) * 0.5 * (1 + np.cos(np.pi * done))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.optimiser.learning_rate * rate
        warm = self.config.loss.warm_up
        gate = 0.0 if done < warm else min(1.0, (done - warm) / 0.2)
        self.model.residual.gate.fill_(gate)

    @torch.no_grad()
    def _after_step(self) -> None:
        noise = self.model.likelihood.log_discrepancy
        noise.clamp_(np.log(1e-4), np.log(self.config.noise.discrepancy_max))
        keep = min(self.config.optimiser.averaging, self.step / (self.step + 10))
        for name, value in self.model.named_parameters():
            self.average[name].lerp_(value, 1 - keep)

    def averaged(self) -> PhysVAE:
        """The model with the running average of its weights."""
        self.model.load_state_dict(self.average, strict=False)
        return self.model.eval()

    def save(self) -> None:
        """Write checkpoint.safetensors and log.csv, each whole or not at all."""
        state = {f"model.{k}": v for k, v in pack(self.model).items()}
        state |= {f"average.{k}": v for k, v in self.average.items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            state |= {f"adam.{index}.{slot}": value for slot, value in slots.items()}
        record = {"step": str(self.step), "config": self.config.model_dump_json()}
        blob = save({k: v.contiguous() for k, v in state.items()}, metadata=record)
        write_atomically(self.folder / "checkpoint.safetensors", blob)
        write_atomically(self.folder / "log.csv", _csv(self.log))

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises
        ------
        InputError
            Where there is none, or it belongs to another configuration.
        """
        path = self.folder / "checkpoint.safetensors"
        if not path.is_file():
            raise InputError(f"{path}: expected a checkpoint to resume from, found none")
        blob = path.read_bytes()
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])["__metadata__"]
        if header["config"] != self.config.model_dump_json():
            raise InputError(f"{path}: expected the configuration it was made with, got another")
        state = load(blob)
        fixed = ("sensor.", "soil.")
        weights = {k[6:]: v for k, v in state.items() if k.startswith("model.")}
        self.model.load_state_dict({k: v for k, v in weights.items() if not k.startswith(fixed)})
        self.average = {k[8:]: v for k, v in state.items() if k.startswith("average.")}
        slots: dict[int, dict] = {}
        for key, value in state.items():
            if key.startswith("adam."):
                _, index, slot = key.split(".")
                slots.setdefault(int(index), {})[slot] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": slots, "param_groups": groups})
        self.step = int(header["step"])
        self.log = _read_log(self.folder / "log.csv", self.step)


def _csv(rows: list[dict]) -> bytes:
    lines = [",".join(rows[0])] + [",".join(str(v) for v in row.values()) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def _read_log(path: Path, last: int) -> list[dict]:
    with path.open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return [row | {"step": int(row["step"])} for row in rows if row["step"] <= last]
