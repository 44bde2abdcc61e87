"""Image patches in tar shards, one zipped Zarr group a sample, as TerraMesh has them.

Layout (Blumenstiel et al. 2025, arXiv 2504.11172): `NAME.zarr.zip` in a tar; in it `bands`
[..., band, y, x] and the band names `band` [band]; maybe an array of classes [..., y, x] that
tells clear pixels. What a number means is not written there, so the training file says it. Nothing
is unpacked by the names that an archive gives.
"""

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import ZipStore

from physvae.config import Spectra
from physvae.errors import InputError
from physvae.io.codecs import check_codecs

SUFFIX = ".zarr.zip"
MOST = 2**28  # bytes of one sample


def shard_patches(path: Path, entry: Spectra, bands: tuple[str, ...]) -> Iterator[np.ndarray]:
    """Reflectance [y, x, band] of every sample of a shard, NaN where missing or not clear.

    Parameters
    ----------
    path : Path
        The tar.
    entry : Spectra
        `scale` and `offset` of the numbers, of which 0 is no data; `mask` and `clear`.
    bands : tuple of str
        Band ids, without the zeros of names such as B02.

    Raises
    ------
    InputError
        Where the shard or one of its samples is not such a thing.
    """
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                if not member.isfile() or not member.name.endswith(SUFFIX):
                    continue
                if member.size > MOST:
                    raise InputError(f"{path}: {member.name}: expected below {MOST >> 20} MiB")
                blob: Any = tar.extractfile(member)
                yield _sample(f"{path}: {member.name}", blob.read(), entry, bands)
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{path}: expected a tar of Zarr samples, got {error}") from None


def pixels_of(patch: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most so many of the pixels that are whole, at random [pixel, band]."""
    whole = patch.reshape(-1, patch.shape[-1])
    whole = whole[np.isfinite(whole).all(1)]
    return np.random.default_rng(seed).permutation(whole)[:most]


def _sample(source: str, blob: bytes, entry: Spectra, bands: tuple[str, ...]) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(blob)
        file.flush()
        try:
            check_codecs(file.name)
            with ZipStore(file.name, mode="r") as store:
                group: Any = zarr.open_group(store, mode="r")
                if any(group[name].nbytes > MOST for name in ("bands", "band")):
                    raise ValueError(f"an array of more than {MOST >> 20} MiB")
                values, names = np.asarray(group["bands"][:]), np.asarray(group["band"][:])
                classes = np.asarray(group[entry.mask][:]) if entry.mask else None
        except InputError as error:
            raise InputError(str(error).replace(file.name, source)) from None
        except Exception as error:  # zarr raises many kinds
            raise InputError(
                f"{source}: expected a group with bands, got {str(error)[:80]}"
            ) from None
    known = [str(name).replace("B0", "B") for name in names]
    if absent := [band for band in bands if band not in known]:
        raise InputError(f"{source}: expected bands {', '.join(bands)}, got none of {absent[0]}")
    image = values.reshape(-1, *values.shape[-2:])  # one date
    if len(image) != len(known):
        raise InputError(f"{source}: expected one image of {len(known)} bands, got {len(image)}")
    image = image[[known.index(band) for band in bands]].astype(np.float32)
    lost = image == 0
    if classes is not None:
        lost |= ~np.isin(classes.reshape(-1, *image.shape[1:])[0], entry.clear)
    return np.where(lost, np.nan, entry.scale * image + entry.offset).transpose(1, 2, 0)
