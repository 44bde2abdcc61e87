"""The sensors whose responses come with the package, and where these were published.

The numbers stand in `rtm/data/responses.safetensors`; `rtm/data/README.md` says how they came
there.
"""

from typing import NamedTuple


class SensorInfo(NamedTuple):
    """A sensor that `load_sensor` knows.

    Attributes
    ----------
    name : str
    bands : tuple of str
        Band ids, in the sensor's order.
    source : str
        Who published the responses.
    """

    name: str
    bands: tuple[str, ...]
    source: str

    def __str__(self) -> str:
        return f"{self.name}: {len(self.bands)} bands {_short(self.bands)}; {self.source}"


def _short(bands: tuple[str, ...]) -> str:
    if len(bands) <= 30:
        return " ".join(bands)
    return f"{bands[0]} {bands[1]} ... {bands[-1]}"


def _table(*rows: SensorInfo) -> dict[str, SensorInfo]:
    return {row.name: row for row in rows}


def _info(name: str, bands: str, source: str) -> SensorInfo:
    return SensorInfo(name, tuple(bands.split()), source)


def _numbered(first: int, last: int, form: str = "B{}") -> str:
    return " ".join(form.format(i) for i in range(first, last + 1))


_MSI = "B1 B2 B3 B4 B5 B6 B7 B8 B8A B9 B10 B11 B12"
_ESA = "ESA, Sentinel-2 Spectral Response Functions, COPE-GSEG-EOPG-TN-15-0007, issue 3.0 (2017)"
_OLCI = "ESA, Sentinel-3{} OLCI mean spectral response functions (Oa01 leaves 400 nm)"
_SLSTR = "ESA, Sentinel-3{} SLSTR spectral response functions, at 2.5 nm"
_MODIS = "NASA OBPG, relative spectral response HMODIS{}_RSRs, bands 1-16"

SENSORS = _table(
    _info("sentinel-2a", _MSI, _ESA),
    _info("sentinel-2b", _MSI, _ESA),
    _info("sentinel-2c", _MSI, "ESA, COPE-GSEG-EOPG-TN-15-0007, a later issue"),
    _info("sentinel-3a-olci", _numbered(2, 21, "Oa{:02d}"), _OLCI.format("A")),
    _info("sentinel-3b-olci", _numbered(2, 21, "Oa{:02d}"), _OLCI.format("B")),
    _info("sentinel-3a-slstr", _numbered(1, 6, "S{}"), _SLSTR.format("A")),
    _info("sentinel-3b-slstr", _numbered(1, 6, "S{}"), _SLSTR.format("B")),
    _info("landsat-4", "B1 B2 B3 B4 B5 B7", "NASA/USGS, L4_TM_RSR (2016)"),
    _info("landsat-5", "B1 B2 B3 B4 B5 B7", "NASA/USGS, L5_TM_RSR (2013)"),
    _info("landsat-7", "B1 B2 B3 B4 B5 B7 B8", "NASA/USGS, L7_RSR (2013)"),
    _info("landsat-8", _numbered(1, 9), "NASA, Ball_BA_RSR v1.2 (2014)"),
    _info("landsat-9", _numbered(1, 9), "NASA, L9_OLI2_Ball_BA_RSR v1.0 (2021)"),
    _info("terra-modis", _numbered(1, 16), _MODIS.format("T")),
    _info("aqua-modis", _numbered(1, 16), _MODIS.format("A")),
    _info("terra-aster", "B1 B2 B3N B4 B5 B6 B7 B8 B9", "NASA/USGS, ASTER-RSR (2017)"),
    _info(
        "noaa-20-viirs", f"{_numbered(2, 11, 'M{}')} I1 I2 I3",
        "NASA/NOAA, J1 VIIRS RSR, DAWG at-launch V2.1 (2016), in band (M1 leaves 400 nm)",
    ),
    _info("proba-v", "BLUE RED NIR SWIR", "ESA/VITO, PROBA-V, centre camera, at 2.5 nm"),
    _info(
        "planetscope", "coastal_blue blue green_i green yellow red red_edge nir",
        "Planet, SuperDove (PSB.SD) spectral response",
    ),
    _info("rapideye", _numbered(1, 5), "BlackBridge, Spectral Response Curves (2014)"),
    _info(
        "enmap", _numbered(1, 224),
        "DLR, EnMAP_Spectral_Bands_update: nominal centres; widths interpolated; Gaussian",
    ),
    _info(
        "prisma", _numbered(1, 225, "B{:03d}"),
        "ASI, PRISMA spectral responses: their centre and width; Gaussian",
    ),
    _info(
        "hyperspectral-10nm", " ".join(f"B{nm}" for nm in range(410, 2491, 10)),
        "of no instrument: Gaussian bands 10 nm wide, to which those of any can be brought",
    ),
)  # fmt: skip

REGULAR = {"hyperspectral-10nm": (410.0, 10.0, 10.0)}
"""First centre, distance of centres and width [nm] of sensors whose bands need no table."""

ALIASES = {
    "sentinel-2": "sentinel-2a", "modis": "terra-modis", "viirs": "noaa-20-viirs",
    "superdove": "planetscope",
}  # fmt: skip


def sensors() -> tuple[SensorInfo, ...]:
    """Every sensor `load_sensor` knows, with its bands and who published the responses.

    Examples
    --------
    >>> print(sensors()[10])
    landsat-8: 9 bands B1 B2 B3 B4 B5 B6 B7 B8 B9; NASA, Ball_BA_RSR v1.2 (2014)
    >>> "enmap" in [sensor.name for sensor in sensors()]
    True
    """
    return tuple(SENSORS.values())
