"""Radiative transfer of leaves and canopies in torch: PROSPECT, 4SAIL, sensors."""

from rtm.bsm import BSM
from rtm.leaf import LeafOptics, Prospect, prospect
from rtm.leaf_inversion import LeafFit, invert_leaf
from rtm.named import prosail
from rtm.named_clumping import clumping_index
from rtm.named_forest import ForestReflectance, forest
from rtm.parameters import FOREST, GEOMETRY, PRODUCTS, TRAITS, Parameter, ParameterSpace
from rtm.prosail import CanopyReflectance, Prosail
from rtm.sensor import Sensor, SensorInfo, load_sensor, sensors
from rtm.soil import DryWetSoil, SpectralSoil
from rtm.soil_tables import MeasuredSoils

__all__ = [
    "FOREST",
    "GEOMETRY",
    "PRODUCTS",
    "TRAITS",
    "BSM",
    "CanopyReflectance",
    "DryWetSoil",
    "ForestReflectance",
    "LeafFit",
    "LeafOptics",
    "MeasuredSoils",
    "Parameter",
    "ParameterSpace",
    "Prosail",
    "Prospect",
    "Sensor",
    "SensorInfo",
    "SpectralSoil",
    "clumping_index",
    "forest",
    "invert_leaf",
    "load_sensor",
    "prosail",
    "prospect",
    "sensors",
]
