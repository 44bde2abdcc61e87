"""The clumping index from named numbers, and what its call and that of a forest share."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rtm.arguments import count, joined, numbers
from rtm.clumping import Stand, crown_omega, foursail2_depth, most_filled, patches
from rtm.foursail import extinction
from rtm.lidf import class_edges
from rtm.modes import own_precision
from rtm.named import lidf_of
from rtm.numerics import floor
from rtm.parameters import FOREST, GEOMETRY, TRAITS, check, check_joint
from rtm.prosail import LIDF

CROWNS = ("crown_area", "crown_shape", "crown_spread", "crown_base", "shoot_clumping")
WILSON = 57.5  # degree
NO_LEAVES = 1e-9


@own_precision
def clumping_index(*, lai: Any, zenith: Any = WILSON, classes: int = 18, **values) -> Tensor:
    """Clumping index Ω of a beam, in the crowns that the names ask for.

    Ω is defined by the gap e^{-Ω·k·lai} (Nilson 1971, 10.1016/0002-1571(71)90092-6), and the
    effective leaf area is Ω·lai. At 57.5 degree k is nearly 0.5/cos θ whatever the leaf angles.

    Parameters
    ----------
    lai : float, array or Tensor
        Leaf area (with wood, plant area) per ground [m² m⁻²].
    zenith : float, array or Tensor
        Of the beam, at least 0 and below 90 [degree].
    classes : int
        Classes of leaf inclination, as in `Prosail`.
    **values : float, array or Tensor
        `crown_area` and other names of the crowns of `forest`; or `cv` alone, crowns side by side
        with bare ground as in `Prosail(crowns=True)`; or `cv` and `zeta`, those of 4SAIL2; and
        leaf angles.

    Returns
    -------
    Tensor
        float64.

    Raises
    ------
    ValueError
        Unknown name, a value without a physical meaning, crowns for which there is no room.

    Examples
    --------
    >>> clumping_index(lai=2.5, crown_area=0.5, zenith=[0.0, 57.5])
    tensor([0.4459, 0.4968], dtype=torch.float64)
    """
    law = ("cv", "zeta") if "zeta" in values else ("cv",) if "cv" in values else CROWNS
    kind = lidf_of(values)
    names = ("lai", "tts", *law, *(p.name for p in LIDF[kind].parameters))
    given = checked({"lai": lai, "tts": zenith, **values}, names, law[0])
    theta, shape = columns(given, names, ())
    p: dict[str, Tensor] = dict(zip(names, theta, strict=True))
    angles, shares = leaf_angles(p, kind, classes)
    lai, tts = floor(p["lai"], NO_LEAVES), p["tts"]
    k = extinction(tts=tts, tto=tts, psi=0.0 * tts, angles=angles, shares=shares).ks
    if law == CROWNS:
        omega = crown_omega(lai=lai, k=k, zenith=tts, stand=stand_of(p))
    elif "zeta" in law:
        omega = foursail2_depth(lai=lai, cv=p["cv"], k=k, zenith=tts) / (k * lai)
    else:
        omega = patches(lai=lai, cv=p["cv"], k=k) / (k * lai)
    return omega.reshape(shape)


def checked(values: Mapping[str, Any], names: Sequence[str], needed: str) -> dict[str, Tensor]:
    """Values as tensors; ValueError in words for other names and for what has no meaning."""
    given = {name: numbers(name, value) for name, value in values.items()}
    for name, value in given.items():
        if name not in names:
            raise ValueError(f"parameter: expected one of {', '.join(names)}, got {name!r}")
        check(name, value)
    if needed not in given:
        raise ValueError(f"{needed}: expected a number, got nothing")
    check_joint(given)
    joined(given)
    if "crown_area" in given:
        stand = {n: torch.as_tensor(given.get(n, FOREST[n].default)).double() for n in CROWNS}
        filled = most_filled(stand_of(stand)).max().item()
        if filled > 1.0:
            wrong = f"crowns that fill {filled:.3g} of it"
            raise ValueError(f"crown_area: expected crowns that fit into their layer, got {wrong}")
    return given


def columns(
    given: Mapping[str, Tensor], names: Sequence[str], others: Sequence[Tensor]
) -> tuple[Tensor, torch.Size]:
    """Named values or their defaults [name, canopy], float64, and the shape of the canopies.

    `others` [...] broadcast with the values; the device is that of the first tensor with one.
    """
    table = TRAITS | GEOMETRY | FOREST
    shape = torch.broadcast_shapes(*(x.shape for x in (*given.values(), *others)))
    device = next((x.device for x in (*given.values(), *others) if x.device.type != "cpu"), None)
    rows = [
        torch.as_tensor(given.get(n, table[n].default), dtype=torch.float64, device=device)
        for n in names
    ]
    return torch.stack([x.expand(shape).reshape(-1) for x in rows]), shape


def stand_of(p: Mapping[str, Tensor]) -> Stand:
    """The crowns of named values."""
    return Stand(p["crown_area"], p["crown_shape"], p["crown_spread"], p["shoot_clumping"])


def leaf_angles(p: Mapping[str, Tensor], kind: str, classes: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of classes of inclination [2, class, 1], and shares [class, canopy]."""
    edges = class_edges(count("classes", classes, 2)).to(p["lai"].device)
    middle = torch.deg2rad((edges[1:] + edges[:-1]) / 2.0)
    family = LIDF[kind]()
    values = torch.stack([p[parameter.name] for parameter in family.parameters])
    angles = torch.stack([middle.cos(), middle.sin()]).unsqueeze(-1)
    return angles, family.shares(values, edges)
