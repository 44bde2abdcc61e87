"""Training an emulator: moments, the auto-encoder, the interpolator, the standard error.

    1  moments of drawn spectra; the auto-encoder of them, in closed form or by steps
    2  the interpolator with the decoder frozen: |D(I) - x|² + w·|I - μ(x)|²
    3  optionally both together; in the one-step procedure from the start
    4  the standard error, from draws that trained nothing else; figures from further ones

Nodes need no steps: their linear map is a regression on the moments. The rows of a table are few,
so that the errors for step 4 come from cross-validation: the rows to learn from are parted, and
each part is emulated by what was trained on the others.
"""

from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from physvae.emulation.closed_form import fit_nodes
from physvae.emulation.drawing import AnySource, Report, parts
from physvae.emulation.emulator import Emulator
from physvae.emulation.extremes import slope_errors, worst_case
from physvae.emulation.fitting import fit_network
from physvae.emulation.plans import EmulatorConfig, ProsailPlan
from physvae.emulation.regions import EDGES
from physvae.emulation.scores import Scores
from physvae.emulation.sources import ProsailSource, TableSource
from physvae.emulation.uncertainty import fit_error

_ERROR, _SCORE = 202, 303  # added to the seed of held-out draws
EDGE_DRAWS = 20_000
FOLDS = {"few": 10, "many": 5}
"""Parts of a table; few rows, below `MANY`, can hardly spare a fifth of them."""
MANY = 200


def quiet(stage: str, step: int, steps: int, loss: float) -> None:
    """Report nothing."""


@dataclass
class Trained:
    """An emulator, its figures, and how long each stage took [s]."""

    emulator: Emulator
    figures: dict
    scores: Scores
    seconds: dict[str, float] = field(default_factory=dict)


def source_of(config: EmulatorConfig, root: Path) -> AnySource:
    """What a configuration draws from."""
    if isinstance(config.simulator, ProsailPlan):
        return ProsailSource(config.simulator, config.factors)
    return TableSource(config.simulator, root, config.seed)


def fit_emulator(
    config: EmulatorConfig, root: Path = Path("."), report: Report = quiet
) -> Trained:
    """Train and measure an emulator; nothing is written.

    Parameters
    ----------
    config : EmulatorConfig
    root : Path
        Folder that a table of the configuration is relative to.
    report : callable
        Told stage, step, number of steps and loss.

    Raises
    ------
    InputError
        A table that is refused; more latents than wavelengths.
    """
    torch.manual_seed(config.seed)
    seconds: dict[str, float] = {}
    source = source_of(config, root)
    start = perf_counter()
    if config.interpolator.kind == "nodes":
        assert isinstance(source, ProsailSource)
        emulator = fit_nodes(config, source, report)
    else:
        emulator = fit_network(config, source, report)
    seconds["fit"] = perf_counter() - start
    emulator.eval().requires_grad_(False)
    _fit_error(config, source, emulator)
    seconds["error"] = perf_counter() - start - seconds["fit"]
    scores, calibration = measure(config, source, emulator)
    figures = {**scores.figures(), **calibration, "seconds": round(seconds["fit"], 1)}
    return Trained(emulator, figures, scores, seconds)


@torch.no_grad()
def _pairs(source: AnySource, emulator: Emulator, n: int, seed: int, region: str = "inside"):
    """Held-out draws with what the emulator makes of them."""
    emulator.compile()
    for drawn in parts(source, n, seed, held_out=True, region=region):
        yield drawn, emulator(drawn.theta, drawn.angles).rso


def folds(source: TableSource) -> int:
    """How many parts the rows of a table are cross-validated in."""
    return FOLDS["few" if len(source) < MANY else "many"]


def _cross_validated(config: EmulatorConfig, source: TableSource):
    """Every row to learn from, with what an emulator makes of it that learned without it."""
    for fold in source.folds(folds(source)):
        emulator = fit_network(config, fold, quiet).eval()
        with torch.no_grad():
            drawn = fold.draw(len(fold), 0, held_out=True)
            yield drawn, emulator(drawn.theta, drawn.angles).rso


def _fit_error(config: EmulatorConfig, source: AnySource, emulator: Emulator) -> None:
    n, seed = config.error.draws, config.seed + _ERROR
    if isinstance(source, ProsailSource):
        drawn = list(_pairs(source, emulator, n, seed))
        for region in (*EDGES, "outside"):
            drawn += _pairs(source, emulator, n // 2, seed, region)
    else:
        drawn = list(_cross_validated(config, source))
    theta = torch.cat([d.theta for d, _ in drawn])
    angles = torch.cat([d.angles for d, _ in drawn])
    error = torch.cat([x - d.spectra["rso"] for d, x in drawn])
    emulator.error.requires_grad_(True)
    fit_error(emulator.error, theta, angles, error, config.error.steps, config.seed)
    emulator.error.requires_grad_(False)


def measure(config: EmulatorConfig, source: AnySource, emulator: Emulator) -> tuple[Scores, dict]:
    """Scores on held-out draws, and how the standard error does there.

    `inside_1` and `inside_2` are the shares of errors within one and two standard errors (68 and
    95 % for normal errors), `error_rank` the rank correlation of a spectrum's stated and true rms.
    Of our own physics also: these figures by region, `worst_case` and `slope_errors`.
    """
    scores, figures = _measured(source, emulator, config.evaluation, _SCORE, "inside")
    edges = min(EDGE_DRAWS, config.evaluation)
    if isinstance(source, ProsailSource):
        for region in (*EDGES, "outside"):
            own, shares = _measured(source, emulator, edges, _SCORE, region)
            found = own.figures()
            figures |= {f"{region}_{k}": found[k] for k in ("rmse", "greatest")}
            figures[f"{region}_inside_2"] = shares["inside_2"]
        worst = worst_case(emulator, source, edges)
        figures |= {f"ascent_{k}": v for k, v in worst._asdict().items()}
        figures |= {f"slope_{k}": v for k, v in slope_errors(emulator, source).items()}
    return scores, figures


def _measured(
    source: AnySource, emulator: Emulator, n: int, seed: int, region: str
) -> tuple[Scores, dict]:
    """Scores on n held-out draws of a region, and how the standard error does there."""
    scores, inside, stated, true = Scores(), torch.zeros(2), [], []
    count = 0
    for drawn, emulated in _pairs(source, emulator, n, seed, region):
        exact = drawn.spectra["rso"]
        scores.add(exact, emulated)
        with torch.no_grad():
            sd = emulator.standard_error(drawn.theta, drawn.angles)
        ratio = ((emulated - exact) / sd).abs()
        inside += torch.stack([(ratio <= k).float().mean() * len(ratio) for k in (1.0, 2.0)])
        count += len(ratio)
        stated.append(sd.square().mean(1).sqrt())
        true.append((emulated - exact).square().mean(1).sqrt())
    shares = (inside / count).tolist()
    rank = _rank_correlation(torch.cat(stated), torch.cat(true))
    return scores, {"inside_1": shares[0], "inside_2": shares[1], "error_rank": rank}


def _rank_correlation(a: Tensor, b: Tensor) -> float:
    ranks = torch.stack([x.argsort().argsort().double() for x in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])
