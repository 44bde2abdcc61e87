"""Portion by portion from a lazy map to a file; memory stays at a few portions.

What is computed goes to the working folder first, so that a stopped run can go on; when all is
there, the file is laid out, written and renamed in one go. The same numbers arrive in the same
order whether the run was stopped or not, so the file is the same to the bit.
"""

import ctypes
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from inversion.summary import Summary
from inversion.writers import IMAGES
from inversion.writers.layout import in_blocks
from inversion.writers.work import Shard, Work
from physvae.io.files import atomic_group, told

LOG = logging.getLogger(__name__)
COUNTED = 128
"""Rows that are counted at a time."""
Gather = Callable[[Iterable[xr.Dataset]], Iterator[xr.Dataset]]


def one_by_one(parts: Iterable[xr.Dataset]) -> Iterator[xr.Dataset]:
    """Compute parts of a map, one after the other, with the threads of this process.

    Every block goes to its place as soon as it is there; the next part takes the same places.
    """
    places: dict[Hashable, np.ndarray] = {}
    for part in parts:
        lazy = {name: layer.data for name, layer in part.items() if layer.chunks is not None}
        for name, layer in lazy.items():
            if name not in places or places[name].shape != layer.shape:
                places[name] = np.empty(layer.shape, layer.dtype)
        da.store(list(lazy.values()), [places[name] for name in lazy], lock=False)
        yield part.assign({name: (part[name].dims, places[name]) for name in lazy})


def write(
    result: xr.Dataset,
    output: Path,
    *,
    provenance: str = "{}",
    advance: Callable[[int], None] = lambda pixels: None,
    identity: dict | None = None,
    resume: bool = False,
    shard: Shard | None = None,
    gather: Gather = one_by_one,
    packing: Mapping[str, float] | None = None,
) -> Summary | None:
    """Compute a map and write it; the suffix of `output` chooses the format.

    Parameters
    ----------
    result
        What `inversion.retrieve` returned, with the dimensions y and x.
    provenance
        JSON text on how the map came about, kept with it.
    advance
        Called with the number of pixels after each portion.
    identity
        What the run is of; a later run with `resume` goes on only where it is the same.
    resume
        Whether to go on where a stopped run ended.
    shard
        The part of the portions that this run computes; the run that finds all of them there
        writes the map.
    gather
        Computes the portions, in their order.
    packing
        For GeoTIFF, the step of the numbers of every variable in 16 bits; None keeps float32.

    Returns
    -------
    Summary or None
        None where other shards are missing still.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    UsageError
        Another run is at the same output, or the one to go on with was of something else.
    """
    template = in_blocks(result)
    with (
        told(output),
        Work(output, template, identity=identity or {}, resume=resume, shard=shard) as work,
    ):
        work.remember(provenance)
        try:
            _compute(template, work, gather, advance)
            _give_back()
            if not work.complete():
                return None
            summary = _assemble(template, output, work, packing)
            _give_back()
        except KeyboardInterrupt:
            LOG.warning("what is done is kept; go on with --resume")
            raise
        except Exception:
            if work.shard.count == 1:
                work.remove()
            raise
        work.remove()
    return summary


def _compute(
    template: xr.Dataset, work: Work, gather: Gather, advance: Callable[[int], None]
) -> None:
    for top, bottom in work.finished():
        advance((bottom - top) * template.sizes["x"])
    pending = work.pending()
    parts = (template.isel(y=slice(*span)) for span in pending)
    for (top, _), rows in zip(pending, gather(parts), strict=True):
        work.put(top, rows)
        advance(rows["quality"].size)


def _assemble(
    template: xr.Dataset, output: Path, work: Work, packing: Mapping[str, float] | None
) -> Summary:
    """Write the map of the portions, which are all there, while they are counted."""
    module = import_module(IMAGES[output.suffix.lower()])
    options = {} if packing is None else {"packing": packing}
    with ThreadPoolExecutor(1) as beside, atomic_group(*module.files(output)) as temporaries:
        summary = beside.submit(_counted, template, work).result
        module.write(temporaries, template, work, summary, **options)
        return summary()


def _give_back() -> None:
    """Return freed memory to the system, which glibc keeps for each thread that ever had some."""
    with suppress(AttributeError, OSError, TypeError):  # another library for C
        ctypes.CDLL(None).malloc_trim(0)


def _counted(template: xr.Dataset, work: Work) -> Summary:
    summary = Summary([str(name) for name in template.data_vars])
    for _, rows in work.read(COUNTED):
        summary.add(rows)
    return summary
