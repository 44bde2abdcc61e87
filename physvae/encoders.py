"""Encoders: features in, the numbers of the posterior out.

Features are those of `physvae.scaling.Features`, with what is missing marked. `layout` says what
the axes before the last one are: "pixel" (any), "patch" (…, height, width), "series" (…, date).
`ENCODERS` maps the word in a training file to the class.

    mlp          pre-activated residual network: h ← h + W₂ SiLU(W₁ SiLU(h))
    transformer  one token a band and an angle and one that reads them (Mensah et al. 2025)
    spatial      a 3 × 3 convolution, then residual blocks; every pixel has its own posterior
    temporal     one token a date, its day in sines and cosines, any number and spacing of dates,
                 after U-BARN (Dumeur, Valero & Inglada 2024, 10.1109/JSTARS.2024.3361183)
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from physvae.plans import MLPPlan, SpatialPlan, TemporalPlan, TransformerPlan
from physvae.scaling import ANGLE_COUNT, feature_count

LONGEST_PERIOD = 2000.0  # days, of the slowest sine that dates are told by


def residual_block(
    width: int, dropout: float, layer: Callable[..., nn.Module] = nn.Linear
) -> nn.Sequential:
    """W₂ SiLU(W₁ SiLU(h)), with dropout before W₂ where asked for."""
    drop = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.SiLU(), layer(width, width), nn.SiLU(), *drop, layer(width, width))


class Encoder(nn.Module):
    """Base: features [..., feature] in, numbers [..., output] out."""

    layout: str


class ResidualMLP(Encoder):
    """Residual network on the features of one pixel.

    Parameters
    ----------
    bands, outputs : int
        Bands of the features, numbers the posterior wants.
    plan : MLPPlan
        Hidden size, residual blocks, dropout.
    """

    layout = "pixel"

    def __init__(self, bands: int, outputs: int, plan: MLPPlan):
        super().__init__()
        self.first = nn.Linear(feature_count(bands), plan.width)
        self.blocks = nn.ModuleList(
            residual_block(plan.width, plan.dropout) for _ in range(plan.depth)
        )
        self.last = nn.Sequential(nn.SiLU(), nn.Linear(plan.width, outputs))

    def forward(
        self, x: Float[Tensor, "*batch feature"], days: Tensor | None = None
    ) -> Float[Tensor, "*batch output"]:
        """Outputs [..., output] of features [..., feature]."""
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        return self.last(h)


def attention_stack(width: int, heads: int, depth: int, dropout: float) -> nn.TransformerEncoder:
    """Pre-normalised transformer blocks."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


class SpectralTransformer(Encoder):
    """Attention between the bands and angles of one pixel; what is missing is not attended to."""

    layout = "pixel"

    def __init__(self, bands: int, outputs: int, plan: TransformerPlan):
        super().__init__()
        self.bands = bands
        self.band = nn.Linear(2, plan.width)
        self.angle = nn.Linear(1, plan.width)
        self.place = nn.Parameter(0.3 * torch.randn(1 + bands + ANGLE_COUNT, plan.width))
        self.stack = attention_stack(plan.width, plan.heads, plan.depth, plan.dropout)
        self.last = nn.Sequential(nn.LayerNorm(plan.width), nn.Linear(plan.width, outputs))

    def forward(
        self, x: Float[Tensor, "*batch feature"], days: Tensor | None = None
    ) -> Float[Tensor, "*batch output"]:
        """Outputs [..., output] of features [..., feature]."""
        flat = x.flatten(0, -2) if x.dim() > 1 else x.unsqueeze(0)
        linear, log, seen = flat[:, : 3 * self.bands].unflatten(-1, (3, -1)).unbind(1)
        cosine, known = flat[:, 3 * self.bands :].unflatten(-1, (2, -1)).unbind(1)
        parts = (
            self.place[:1].expand(len(flat), 1, -1),
            self.band(torch.stack((linear, log), -1)) + self.place[1 : 1 + self.bands],
            self.angle(cosine.unsqueeze(-1)) + self.place[1 + self.bands :],
        )
        reader = torch.ones_like(seen[:, :1])
        gone = torch.cat((reader, seen, known), -1) == 0
        read = self.stack(torch.cat(parts, 1), src_key_padding_mask=gone)[:, 0]
        return self.last(read).reshape(*x.shape[:-1], -1)


class Convolution(nn.Conv2d):
    """A convolution that keeps the size of a patch, [n, channel, height, width]."""

    def __init__(self, inputs: int, outputs: int, size: int = 1):
        super().__init__(inputs, outputs, size, padding=size // 2, padding_mode="replicate")


class SpatialEncoder(Encoder):
    """Convolutions: the first sees 3 × 3 pixels, one block in two widens that by two more."""

    layout = "patch"

    def __init__(self, bands: int, outputs: int, plan: SpatialPlan):
        super().__init__()
        self.first = Convolution(feature_count(bands), plan.width, 3)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                residual_block(plan.width, plan.dropout, Convolution),
                *([Convolution(plan.width, plan.width, 3)] if i % 2 else []),
            )
            for i in range(plan.depth)
        )
        self.last = nn.Sequential(nn.SiLU(), Convolution(plan.width, outputs))

    def forward(
        self, x: Float[Tensor, "*batch height width feature"], days: Tensor | None = None
    ) -> Float[Tensor, "*batch height width output"]:
        """Outputs of every pixel of patches."""
        h = self.first(x.reshape(-1, *x.shape[-3:]).movedim(-1, 1))
        for block in self.blocks:
            h = h + block(h)
        return self.last(h).movedim(1, -1).reshape(*x.shape[:-1], -1)


class TemporalEncoder(Encoder):
    """Attention between the dates of one pixel; a date without any band asks and does not tell."""

    layout = "series"
    periods: Tensor

    def __init__(self, bands: int, outputs: int, plan: TemporalPlan):
        super().__init__()
        self.bands = bands
        self.first = nn.Linear(feature_count(bands), plan.width)
        self.reader = nn.Parameter(0.3 * torch.randn(plan.width))
        self.time = nn.Linear(plan.width, plan.width)
        self.stack = attention_stack(plan.width, plan.heads, plan.depth, plan.dropout)
        self.last = nn.Sequential(nn.LayerNorm(plan.width), nn.Linear(plan.width, outputs))
        exponent = torch.linspace(0.0, 1.0, plan.width // 2)
        periods = 2.0 * (LONGEST_PERIOD / 2.0) ** exponent
        self.register_buffer("periods", periods, persistent=False)

    def forward(
        self, x: Float[Tensor, "*batch date feature"], days: Tensor | None = None
    ) -> Float[Tensor, "*batch date output"]:
        """Outputs at every date from features and days [..., date]; the day 0 is the caller's."""
        if days is None:
            raise ValueError("days: expected the day of every date for a series, got none")
        flat = x.reshape(-1, *x.shape[-2:])
        seen = (flat[..., 2 * self.bands : 3 * self.bands] > 0).any(-1)
        day = days.expand(x.shape[:-1]).reshape(flat.shape[:-1])
        phase = 2 * math.pi * day.unsqueeze(-1) / self.periods
        tokens = self.first(flat) + self.time(torch.cat((phase.sin(), phase.cos()), -1))
        reader = self.reader.expand(len(flat), 1, -1)
        gone = torch.cat((torch.zeros_like(seen[:, :1]), ~seen), 1)
        read = self.stack(torch.cat((reader, tokens), 1), src_key_padding_mask=gone)[:, 1:]
        return self.last(read).reshape(*x.shape[:-1], -1)


class Members(Encoder):
    """A deep ensemble (Lakshminarayanan et al. 2017, arXiv 1612.01474): outputs of every member.

    Parameters
    ----------
    members : list of Encoder
        Encoders of one kind, each with its own start.
    """

    def __init__(self, members: list[Encoder]):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.layout = members[0].layout

    def forward(self, x: Tensor, days: Tensor | None = None) -> Tensor:
        """Outputs [member, ..., output]."""
        return torch.stack([member(x, days) for member in self.members])


ENCODERS: dict[str, Callable[..., Encoder]] = {
    "mlp": ResidualMLP,
    "transformer": SpectralTransformer,
    "spatial": SpatialEncoder,
    "temporal": TemporalEncoder,
}


def build_encoder(bands: int, outputs: int, plan) -> Encoder:
    """The encoder of a plan, or an ensemble of them."""
    kind = ENCODERS[plan.kind]
    if plan.members == 1:
        return kind(bands, outputs, plan)
    return Members([kind(bands, outputs, plan) for _ in range(plan.members)])
