"""Draws in parts, their moments, and an emulator put together from its parts."""

from collections.abc import Callable, Iterator, Mapping

from physvae.emulation.emulator import Emulator
from physvae.emulation.interpolators import Network, Nodes
from physvae.emulation.moments import Moments, mixed, moments
from physvae.emulation.plans import EmulatorConfig
from physvae.emulation.regions import EDGES
from physvae.emulation.sources import Draws, ProsailSource, TableSource
from physvae.emulation.uncertainty import StandardError
from physvae.emulation.vae import Decoder

STRIDE = 1_000_003  # between the seeds of two configurations, which are added to the step
_PART = 4096
Report = Callable[[str, int, int, float], None]
AnySource = ProsailSource | TableSource


def parts(
    source: AnySource, n: int, seed: int, held_out: bool = False, region: str = "inside"
) -> Iterator[Draws]:
    """n draws in parts; the rows of a table come once each."""
    if isinstance(source, TableSource):
        yield source.draw(n, seed, held_out=True) if held_out else source.all()
        return
    for part, start in enumerate(range(0, n, _PART)):
        yield source.draw(min(_PART, n - start), seed * STRIDE + part, held_out, region)


def moments_of(config: EmulatorConfig, source: AnySource, report: Report) -> dict[str, Moments]:
    """Moments of the spectra by factor, inside the box and at its edges together."""
    edges = config.edges
    shares = {"inside": (1.0, config.draws)}
    if isinstance(source, ProsailSource) and edges.weight > 0.0:
        shares |= dict.fromkeys(EDGES, (edges.weight, edges.draws))
    found: dict[str, Moments] = {}
    for factor in config.factors:
        each = []
        for region, (weight, n) in shares.items():
            drawn = parts(source, n, config.seed, region=region)
            each.append((weight, moments(part.spectra[factor] for part in drawn)))
        found[factor] = mixed(each)
        report("moments", len(found), len(config.factors), 0.0)
    return found


def assembled(
    config: EmulatorConfig, source: AnySource, interpolator: Network | Nodes,
    decoders: Mapping[str, Decoder],
) -> Emulator:  # fmt: skip
    """An emulator whose standard error is still to be fitted."""
    mean = next(iter(decoders.values())).last.bias
    error = StandardError(source.space, source.geometry, config.error, len(mean))
    return Emulator(
        config.name, source.space, source.geometry, interpolator, decoders, error,
        source.wavelength, source.bands,
    )  # fmt: skip
