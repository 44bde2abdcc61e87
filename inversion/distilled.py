"""The fast way: a small network that has learnt what the model would have answered.

    s(x, angles) ≈ (m_t, s_t, q_t,2.5 %, q_t,97.5 %)_t, ln misfit, prior width       t over traits

The teacher's mean and quantiles follow from 128 draws of a posterior; the student says them at
once (knowledge distillation; Hinton et al. 2015, arXiv 1503.02531). It is taught on simulations of
the prior under the model's own noise, measured on others, refused where it is off by more than
`OFF_MAX`, and kept in the user's cache under the hash of the model. Pixels with a missing band are
left to the model itself. The distance from the training domain (bit 5) is exact.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from physvae.errors import ModelError
from physvae.files import write_atomically
from physvae.scaling import log_reflectance

LOG = logging.getLogger(__name__)
FORMAT = 1
WIDTH = 96
LESSONS, EXAMINED, STEPS, BATCH, RATE = 120_000, 10_000, 12_000, 1024, 3e-3
OFF_MAX = 0.15
"""Distance from the model's mean [posterior sd] that 95 % of the examined pixels must keep."""
ANGLE_RANGES = ((15.0, 75.0), (0.0, 12.0), (0.0, 180.0))
UNKNOWN = (0.05, 0.2, 0.2)
"""Shares of the lessons in which an angle is not known."""
TINY = 1e-6


class Fast(NamedTuple):
    """An estimate (see `physvae.vae.Estimate`) by the student."""

    mean: dict[str, Tensor]
    sd: dict[str, Tensor]
    p025: dict[str, Tensor]
    p975: dict[str, Tensor]
    misfit: Tensor
    novelty: Tensor
    prior_width: Tensor


class Student(nn.Module):
    """Two hidden layers from standardised inputs to standardised answers.

    Parameters
    ----------
    bands : int
    traits : tuple of str
        In the order of the answers.
    """

    centre: Tensor
    scale: Tensor
    low: Tensor
    spread: Tensor

    def __init__(self, bands: int, traits: tuple[str, ...], width: int = WIDTH) -> None:
        super().__init__()
        self.traits, self.outputs = traits, 4 * len(traits) + 2
        self.network = nn.Sequential(
            nn.Linear(2 * bands + 6, width), nn.SiLU(),
            nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, self.outputs),
        )  # fmt: skip
        for name, size in (("centre", 2 * bands), ("scale", 2 * bands)):
            self.register_buffer(name, torch.ones(size))
        for name in ("low", "spread"):
            self.register_buffer(name, torch.ones(self.outputs))

    def seen(self, reflectance: Tensor, angles: Tensor) -> Tensor:
        """Inputs [n, 2·band + 6] of the network."""
        both = torch.cat((reflectance, log_reflectance(reflectance)), -1)
        known = angles.isfinite()
        cosine = torch.where(known, angles, 90.0).deg2rad().cos()
        return torch.cat(((both - self.centre) / self.scale, cosine, known.to(cosine)), -1)

    def forward(self, reflectance: Tensor, angles: Tensor) -> Tensor:
        """Answers [n, output]: by trait mean, ln sd, ln distances in sd; ln misfit, ln width."""
        return self.network(self.seen(reflectance, angles)) * self.spread + self.low

    @torch.no_grad()
    def settled(self) -> "Settled":
        """Return the same for use: constants taken into the weights, answers sorted by kind."""
        first, middle, last = (part for part in self.network if isinstance(part, nn.Linear))
        size = len(self.centre)
        scaled = first.weight.clone()
        scaled[:, :size] /= self.scale
        bias = first.bias - scaled[:, :size] @ self.centre
        count = len(self.traits)
        order = [4 * i + k for k in range(4) for i in range(count)] + [4 * count, 4 * count + 1]
        weight, shift = last.weight * self.spread.unsqueeze(-1), last.bias * self.spread + self.low
        layers = ((scaled, bias), (middle.weight, middle.bias), (weight[order], shift[order]))
        return Settled([(w.detach().clone(), b.detach().clone()) for w, b in layers], count)


class Settled:
    """A student's answers, quickly.

    Parameters
    ----------
    layers
        Weight and bias of each.
    traits
        How many traits it answers for.
    """

    def __init__(self, layers: list[tuple[Tensor, Tensor]], traits: int) -> None:
        self._layers, self._traits = layers, traits

    def __call__(self, reflectance: Tensor, angles: Tensor) -> tuple[Tensor, ...]:
        """Return mean, sd and both distances [n, trait] each, then misfit and width [n]."""
        known = angles.isfinite()
        cosine = torch.where(known, angles, 90.0).deg2rad_().cos_()
        hidden = torch.cat(
            (reflectance, log_reflectance(reflectance), cosine, known.to(cosine)), -1
        )
        (first, b1), (middle, b2), (last, b3) = self._layers
        hidden = nn.functional.silu(torch.addmm(b1, hidden, first.T), inplace=True)
        hidden = nn.functional.silu(torch.addmm(b2, hidden, middle.T), inplace=True)
        answers = torch.addmm(b3, hidden, last.T)
        count = self._traits
        answers[:, count:].exp_()
        sd = answers[:, count : 2 * count]
        below, above = (answers[:, k * count : (k + 1) * count] * sd for k in (2, 3))
        return answers[:, :count], sd, below, above, answers[:, -2], answers[:, -1]


class Distilled:
    """A model that answers through its student; all else is the model's.

    Parameters
    ----------
    model
        A loaded model.
    """

    batch = 8192
    """Pixels at once: large enough to hide what a call costs, small enough for the cache."""

    def __init__(self, model: Any) -> None:
        self._model, self.traits = model, dict(model.traits)
        student = student_for(model)
        self._known, self._settled = student.traits, student.settled()
        traits = [self.traits[name] for name in student.traits]
        self._low = torch.tensor([float(trait.low) for trait in traits])
        self._high = torch.tensor([float(trait.high) for trait in traits])
        self._apart = torch.linalg.inv(model.domain.covariance) / model.domain.limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def estimate(self, reflectance: Tensor, angles: Tensor, variables: tuple[str, ...]) -> Any:
        """Estimate as the model does, but for pixels with all bands by the student."""
        whole = reflectance.isfinite().all(-1)
        if not whole.any() or not set(variables) <= set(self._known):
            return self._model.estimate(reflectance, angles, variables)
        if whole.all():
            return self._answered(reflectance, angles, variables)
        parts = (
            (whole, self._answered(reflectance[whole], angles[whole], variables)),
            (~whole, self._model.estimate(reflectance[~whole], angles[~whole], variables)),
        )
        return _merged(parts, variables)

    def _answered(self, reflectance: Tensor, angles: Tensor, variables: Sequence[str]) -> Fast:
        mean, sd, below, above, misfit, width = self._settled(reflectance, angles)
        mean = torch.clamp(mean, self._low, self._high)
        lower, upper = (
            torch.clamp(v, self._low, self._high) for v in (mean - below, mean + above)
        )
        rows = [self._known.index(name) for name in variables]
        named = [
            dict(zip(variables, (part[:, row] for row in rows), strict=True))
            for part in (mean, sd, lower, upper)
        ]
        novelty = self._novelty(reflectance)
        return Fast(named[0], named[1], named[2], named[3], misfit, novelty, width)

    def _novelty(self, reflectance: Tensor) -> Tensor:
        """The distance of `physvae.domain.Domain` where all bands are there."""
        gap = log_reflectance(reflectance) - self._model.domain.mean
        return ((gap @ self._apart) * gap).mean(-1)


def _merged(parts: tuple[tuple[Tensor, Any], ...], variables: Sequence[str]) -> Fast:
    """Put the answers of both back to the order of the pixels."""
    count = len(parts[0][0])

    def together(pick: Any) -> Tensor:
        out = torch.empty(count)
        for where, part in parts:
            out[where] = pick(part).to(out)
        return out

    named = [
        {name: together(lambda part, f=f, n=name: getattr(part, f)[n]) for name in variables}
        for f in ("mean", "sd", "p025", "p975")
    ]
    rest = [together(lambda part, f=f: getattr(part, f)) for f in Fast._fields[4:]]
    return Fast(named[0], named[1], named[2], named[3], rest[0], rest[1], rest[2])


def student_for(model: Any) -> Student:
    """Return the student of a model: from the cache, else taught now.

    Raises
    ------
    ModelError
        It is off by more than `OFF_MAX` after its lessons.
    """
    path = _kept(model)
    student = _loaded(path, model) if path.is_file() else None
    if student is None:
        LOG.warning("no fast way for %s yet; it is learnt now, once, in some minutes", model.name)
        student, off = teach(model)
        if off > OFF_MAX:
            raise ModelError(
                f"{model.name}: expected a student within {OFF_MAX} posterior sd, found {off:.2f};"
                " use --method amortised"
            )
        about = {"format": str(FORMAT), "traits": ",".join(student.traits), "off": f"{off:.4f}"}
        write_atomically(path, save(student.state_dict(), about))
        LOG.warning("the fast way lies within %.2f posterior sd for 95 %% of pixels", off)
    return student.eval()


def teach(
    model: Any, *, lessons: int = LESSONS, steps: int = STEPS, seed: int = 0
) -> tuple[Student, float]:
    """Teach a student; return it and its distance from the model's mean [posterior sd].

    The distance is the largest over the traits of that which 95 % of `EXAMINED` other simulations
    keep.
    """
    from inversion.kernel import DEFAULT_VARIABLES

    traits = tuple(name for name in DEFAULT_VARIABLES if name in model.traits)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        student = Student(len(model.bands), traits)
    x, angles, answers = _lesson(model, traits, lessons, generator)
    _standardised(student, x, answers)
    _train(student, x, angles, answers, steps, generator)
    x, angles, answers = _lesson(model, traits, EXAMINED, generator)
    with torch.no_grad():
        found = student(x, angles)
    gaps = [
        ((found - answers)[:, 4 * i].abs() / answers[:, 4 * i + 1].exp()).quantile(0.95)
        for i in range(len(traits))
    ]
    return student, float(torch.stack(gaps).max())


@torch.no_grad()
def _lesson(
    model: Any, traits: tuple[str, ...], count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw spectra of the prior under the model's noise, and ask the model about them."""
    spectra, geometry, answers = [], [], []
    for start in range(0, count, 1024):
        n = min(1024, count - start)
        kind = next(model.parameters())
        scores = torch.randn(n, len(model.space), generator=generator).to(kind)
        low, high = torch.tensor(ANGLE_RANGES).unbind(-1)
        angles = low + (high - low) * torch.rand(n, 3, generator=generator)
        seen = model.likelihood.draw(
            model.physical(model.prior(scores).to(kind), angles.to(kind)), generator
        )
        hidden = torch.rand(n, 3, generator=generator) < torch.tensor(UNKNOWN)
        angles = torch.where(hidden, torch.nan, angles)
        told = model.estimate(seen.float(), angles, traits)
        spectra.append(seen.float())
        geometry.append(angles)
        answers.append(_answers(told, traits))
    return torch.cat(spectra), torch.cat(geometry), torch.cat(answers)


def _answers(told: Any, traits: Sequence[str]) -> Tensor:
    columns = []
    for name in traits:
        mean, sd = told.mean[name], told.sd[name].clamp_min(TINY)
        below, above = (mean - told.p025[name]) / sd, (told.p975[name] - mean) / sd
        columns += [mean, sd.log(), below.clamp_min(0.01).log(), above.clamp_min(0.01).log()]
    columns += [told.misfit.clamp_min(1e-3).log(), told.prior_width.clamp_min(1e-3).log()]
    return torch.stack([column.float() for column in columns], -1)


def _standardised(student: Student, x: Tensor, answers: Tensor) -> None:
    both = torch.cat((x, log_reflectance(x)), -1)
    student.centre.copy_(both.mean(0))
    student.scale.copy_(both.std(0))
    student.low.copy_(answers.mean(0))
    student.spread.copy_(answers.std(0))


def _train(
    student: Student, x: Tensor, angles: Tensor, answers: Tensor, steps: int,
    generator: torch.Generator,
) -> None:  # fmt: skip
    """Least squares: means in posterior sd, logarithms as they are."""
    sd = torch.ones_like(answers)
    for i in range(len(student.traits)):
        sd[:, 4 * i] = answers[:, 4 * i + 1].exp() / 3.0
    inputs = student.seen(x, angles).detach()
    adam = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=1e-6)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (BATCH,), generator=generator)
        found = student.network(inputs[rows]) * student.spread + student.low
        gap = (found - answers[rows]) / sd[rows]
        loss = torch.nn.functional.smooth_l1_loss(gap, torch.zeros_like(gap))
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()


def _kept(model: Any) -> Path:
    """Where a student lies: the user's cache, named by the model it answers for."""
    root = os.environ.get("PHYSVAE_CACHE") or os.environ.get("XDG_CACHE_HOME", "~/.cache")
    key = hashlib.sha256(json.dumps([model.sha256, FORMAT, WIDTH]).encode()).hexdigest()[:16]
    return Path(root).expanduser() / "physvae" / f"fast-{model.name}-{key}.safetensors"


def _loaded(path: Path, model: Any) -> Student | None:
    """Read a student; None where the file is not what it should be, so that it is made anew."""
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        student = Student(len(model.bands), tuple(about["traits"].split(",")))
        student.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, RuntimeError):
        return None
    finite = all(tensor.isfinite().all() for tensor in state.values())
    return student if finite else None
