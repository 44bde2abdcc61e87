"""Radiative transfer of leaves and canopies in torch: PROSPECT, 4SAIL, sensors."""

from rtm.parameters import GEOMETRY, PRODUCTS, TRAITS, Parameter, ParameterSpace
from rtm.prosail import CanopyReflectance, Prosail, prosail
from rtm.sensor import Sensor, load_sensor, sensors
from rtm.soil import SpectralSoil

__all__ = [
    "GEOMETRY",
    "PRODUCTS",
    "TRAITS",
    "CanopyReflectance",
    "Parameter",
    "ParameterSpace",
    "Prosail",
    "Sensor",
    "SpectralSoil",
    "load_sensor",
    "prosail",
    "sensors",
]
