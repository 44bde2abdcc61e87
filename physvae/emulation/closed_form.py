"""Emulators by nodes, in closed form: everything follows from the moments of drawn spectra.

The auto-encoder is the linear one; the map from nodes to latents is the regression that brings
D(z) closest to x, so that no step is taken.
"""

import torch
from torch import Tensor, nn

from physvae.emulation.drawing import Report, assembled, moments_of
from physvae.emulation.emulator import Emulator
from physvae.emulation.interpolators import Nodes
from physvae.emulation.moments import Moments, choose_nodes, linear_vae, regression
from physvae.emulation.plans import EmulatorConfig, NodesPlan
from physvae.emulation.sources import ProsailSource, physics, with_par
from physvae.emulation.vae import Decoder, LinearDecoder


def fit_nodes(config: EmulatorConfig, source: ProsailSource, report: Report) -> Emulator:
    """Auto-encoders of all factors and the regression of their latents on nodes."""
    plan = source.plan
    assert isinstance(config.interpolator, NodesPlan)
    asked = config.interpolator.nodes
    given = torch.tensor(asked if isinstance(asked, tuple) else (), dtype=torch.float64)
    union = torch.unique(torch.cat([with_par(source.wavelength), given]))
    wide = source.on(union)
    found = moments_of(config, wide, report)
    if isinstance(asked, tuple):
        rows = torch.searchsorted(union, torch.unique(given))
    else:
        first = torch.searchsorted(union, with_par(union[:0])).tolist()
        rows = torch.tensor(sorted(choose_nodes(found["rso"].covariance, asked, first)))
    out = torch.searchsorted(union, source.wavelength)
    latents = dict.fromkeys(map(str, config.factors), min(config.vae.latents, len(rows), len(out)))
    nodes = Nodes(physics(plan, union[rows], products=True), latents)
    decoders: dict[str, Decoder] = {}
    for name, moment in found.items():
        decoders[name] = _linear_factor(nodes.maps[name], moment, rows, out, config)
    return assembled(config, source, nodes, decoders)


def _linear_factor(
    layer: nn.Module, moment: Moments, rows: Tensor, out: Tensor, config: EmulatorConfig
) -> LinearDecoder:
    """One factor's decoder, and the map from nodes that brings D(z) closest to x."""
    assert isinstance(layer, nn.Linear)
    mean, covariance = moment.mean, moment.covariance
    latents = layer.out_features
    linear = linear_vae(covariance[out][:, out], latents, config.vae.sd)
    decoder = LinearDecoder(latents, len(out))
    decoder.start(linear, mean[out])
    onto = torch.linalg.pinv(linear.decoder)
    weight = regression(onto @ covariance[out][:, rows], covariance[rows][:, rows])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(-weight @ mean[rows])
    return decoder
