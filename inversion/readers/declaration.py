"""What a user says about an input that does not say it itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from physvae.errors import UsageError
from physvae.tables.reader import TableOptions

KEEP_CLASSES = (4, 5)
"""Sentinel-2 scene classes that are kept: vegetation and bare soil."""

PIXELS = (10.0, 20.0, 60.0)
"""Pixel sides [m] of Sentinel-2."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Options that stand for missing metadata; None means that nothing was said.

    Parameters
    ----------
    bands
        Names of an image's bands in their order.
    scale, offset, nodata
        ρ = DN · scale + offset, after `nodata` became missing.
    sun_zenith, view_zenith, relative_azimuth
        One angle [degree] for the whole input, used where it gives none.
    scene_classes
        File with the scene classes of an image.
    keep_classes
        Scene classes that are kept; empty keeps all.
    pixel
        Side of the pixels [m] of a product that has several.
    check_radiometry
        Whether a scale or offset that cannot be right is refused.
    columns
        A table's names of columns, by ours (``B4``: ``red``).
    strict
        Whether a table's columns that are not understood are refused.
    table
        How a table is written where it does not say it.
    """

    bands: Sequence[str] | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    sun_zenith: float | None = None
    view_zenith: float | None = None
    relative_azimuth: float | None = None
    scene_classes: str | None = None
    keep_classes: Sequence[int] = KEEP_CLASSES
    pixel: float | None = None
    check_radiometry: bool = True
    columns: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    table: TableOptions = field(default_factory=TableOptions)

    def __post_init__(self) -> None:
        for name in ("sun_zenith", "view_zenith"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 90:
                raise UsageError(f"{name}: expected degrees in [0, 90), got {value:g}")
        if self.pixel is not None and self.pixel not in PIXELS:
            raise UsageError(f"pixel: expected one of 10, 20, 60 m, got {self.pixel:g}")
        azimuth = self.relative_azimuth
        if azimuth is not None and not math.isfinite(azimuth):
            raise UsageError(f"relative_azimuth: expected degrees, got {azimuth:g}")

    @property
    def angles(self) -> dict[str, float | None]:
        """The declared angles under their column names."""
        return {
            "sun_zenith_deg": self.sun_zenith,
            "view_zenith_deg": self.view_zenith,
            "relative_azimuth_deg": self.relative_azimuth,
        }


def option_of(angle: str) -> str:
    """The option that declares an angle.

    >>> option_of("sun_zenith_deg")
    '--sun-zenith'
    """
    return "--" + angle.removesuffix("_deg").replace("_", "-")
