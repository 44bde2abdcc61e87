"""BSM: a dry soil from three vectors, wetted by films of water (brightness, shape, moisture).

    B, φ, λ    brightness; latitude and longitude of the shape [degree]
    g          the three global soil vectors (GSV)
    r_dry  =   B·(sin φ·g₁ + cos φ·sin λ·g₂ + cos φ·cos λ·g₃)
    w          water content, volume [%];  μ = (w - 5)/25, 0 below 5 %
    P_k    =   e^{-μ}·μ^k/k!, share of the ground under k films, k = 0 … 6
    n, κ       refractive index and absorption of water [-, cm⁻¹]
    τ      =   e^{-2κ·0.015 cm}, transmittance of one film, down and up
    R_w, p     reflectivity of the film from above (within 40°) and from inside: 1 - t₉₀(n)/n²
    r_b    =   r_dry·(1 - (t₉₀(2/n)/t₉₀(2) - 1)·(1 - r_dry)), soil of index 2 under water
    R_k    =   R_w + (1 - R_w)(1 - p)·τᵏr_b / (1 - p·τᵏr_b)
           =   R_w + (1 - R_w)(1 - p)/p·[1/(1 - p·τᵏr_b) - 1]
    r      =   P₀·r_dry + Σ_{k ≥ 1} P_k·R_k

Dry soil: Verhoef, van der Tol & Middleton 2018, 10.1016/j.rse.2017.08.006. Films: Yang, van der
Tol, Yin & Verhoef 2020, 10.1016/j.rse.2020.111870, who use 25 %, 0.015 cm and six films; ground
under more of them, 0.5 % at w = 55 %, is left out. Surfaces after Lekner & Dorf 1988,
10.1364/AO.27.001278.

Departures: r_dry is kept within (0, 0.99), which it leaves at the corners of the box, and so r is;
κ is the absorption of PROSPECT-D, of which the authors' table holds three digits (at most 3e-4 in
r); g and n, given for 400-2400 nm, keep their last value up to 2500 nm. n has two digits, hence
steps of up to 0.003 in a wet soil where it changes.
"""

import numpy as np
import torch
from torch import Tensor

from rtm.parameters import TRAITS
from rtm.prospect import surface_transmissivity
from rtm.soil import cap, lift
from rtm.spectra import resample, table

_CAPACITY = 25.0
_FILM = 0.015
_FILMS = 6


class BSM:
    """The brightness-shape-moisture soil; see the module for its formulas.

    >>> soil = BSM()
    >>> shapes = soil.shapes(torch.tensor([670.0, 1940.0]))
    >>> values = torch.tensor([[0.5, 0.5], [25.0, 25.0], [45.0, 45.0], [5.0, 40.0]])
    >>> soil.reflectance(values, shapes.float())
    tensor([[0.1970, 0.1429],
            [0.4841, 0.1358]])
    """

    parameters = (
        TRAITS["bsm_brightness"], TRAITS["bsm_lat"], TRAITS["bsm_lon"], TRAITS["smc"],
    )  # fmt: skip

    def shapes(self, wavelength: Tensor) -> Tensor:
        """g₁, g₂, g₃, τ, R_w, p and t₉₀(2/n)/t₉₀(2) - 1 [7, wavelength], float64.

        Raises
        ------
        ValueError
            A wavelength beyond 400-2500 nm.
        """
        soil, leaf = table("soil-bsm"), table("leaf")
        absorption = resample(wavelength, leaf["wavelength"], leaf["D.cw"])
        names = ("gsv_1", "gsv_2", "gsv_3", "water_refractive_index")
        known = wavelength.clamp(max=soil["wavelength"][-1])
        columns = resample(known, soil["wavelength"], np.stack([soil[name] for name in names]))
        return torch.cat([columns[:3], film_optics(columns[3], absorption)])

    def reflectance(self, values: Tensor, shapes: Tensor) -> Tensor:
        """Soil reflectance of wet soils.

        Parameters
        ----------
        values : Tensor [4, canopy]
            bsm_brightness, bsm_lat and bsm_lon [degree], smc [%].
        shapes : Tensor [7, wavelength]
            From `shapes`, in the dtype of the values.

        Returns
        -------
        Tensor [wavelength, canopy]
            0-1, below 1.
        """
        brightness, lat, lon, moisture = values.unbind(0)
        lat, lon = torch.deg2rad(lat), torch.deg2rad(lon)
        mix = torch.stack([lat.sin(), lat.cos() * lon.sin(), lat.cos() * lon.cos()])
        dry = cap(lift(shapes[:3].T @ (brightness * mix)))
        return wet_soil(dry=dry, films=torch.relu(moisture - 5.0) / _CAPACITY, optics=shapes[3:])


def film_optics(index: Tensor, absorption: Tensor) -> Tensor:
    """τ, R_w, p and t₉₀(2/n)/t₉₀(2) - 1 [4, wavelength] of a film of water, float64.

    Parameters
    ----------
    index : Tensor [wavelength]
        Refractive index of water, > 1.
    absorption : Tensor [wavelength]
        Absorption of water, cm⁻¹.
    """
    t40, t90 = surface_transmissivity(40.0, index), surface_transmissivity(90.0, index)
    soil = surface_transmissivity(90.0, torch.full_like(index, 2.0))
    under_water = surface_transmissivity(90.0, 2.0 / index) / soil
    thickness = -2.0 * _FILM
    return torch.stack(
        [(thickness * absorption).exp(), 1.0 - t40, 1.0 - t90 / index**2, under_water - 1.0]
    )


def wet_soil(*, dry: Tensor, films: Tensor, optics: Tensor) -> Tensor:
    """Reflectance [wavelength, canopy] of a soil under a random number of films of water.

    Parameters
    ----------
    dry : Tensor [wavelength, canopy]
        Reflectance of the dry soil, 0-1.
    films : Tensor [canopy]
        Mean number of films μ, ≥ 0.
    optics : Tensor [4, wavelength]
        From `film_optics`.
    """
    tau, above, inside, gain = optics.unsqueeze(-1)
    back = dry * (1.0 - gain * (1.0 - dry))
    bare = (-films).exp()
    share, under, bounced = bare, torch.zeros_like(films), torch.zeros_like(dry)
    for k in range(1, _FILMS + 1):
        share = share * films / k
        under = under + share
        bounced = torch.addcdiv(bounced, share, 1.0 - (inside * tau**k) * back)
    leaving = (1.0 - above) * (1.0 - inside) / inside
    return bare * dry + above * under + leaving * (bounced - under)
