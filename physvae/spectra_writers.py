"""Spectra to CSV, Parquet, netCDF or Zarr, block by block; a file appears whole or not at all.

CSV and Parquet hold the columns that pass through, the parameters, and rso by band or nm; netCDF
and Zarr hold all four reflectance factors [spectrum, band | wavelength] and the parameters
[spectrum]. Parameters are float64 always, what is computed has the dtype it was computed in.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import torch

from physvae.errors import UsageError
from physvae.io.files import atomic
from physvae.spectra_table import Block, Plan, spectra
from physvae.tables.csv_files import write_header, write_rows
from rtm import Prosail

FACTORS = {
    "rso": "bidirectional reflectance factor",
    "rdo": "hemispherical-directional reflectance factor",
    "rsd": "directional-hemispherical reflectance factor",
    "rdd": "bihemispherical reflectance factor",
}
PRODUCTS = {
    "fapar": "absorbed share of 400-700 nm under the sun",
    "fapar_diffuse": "absorbed share of 400-700 nm under an even sky",
    "fcover": "1 - gap fraction at nadir",
}
_MOST_ROWS = 2**15
_SMALL = 2**20  # numbers of one factor in a chunk of Zarr or netCDF: 8 MB at most
_LARGE = 2**23  # in a row group of Parquet, whose index grows with their number
_LONG = 2**14  # least rows in a chunk of a parameter

Results = Iterator[tuple[Block, dict[str, np.ndarray]]]


@dataclass(frozen=True)
class Layout:
    """What a file holds, and where.

    Attributes
    ----------
    plan : Plan
    axis : str
        "band" or "wavelength".
    labels : tuple
        Band ids, or nm.
    kind : str
        numpy's name of the dtype of what is computed.
    rows : int
        Rows written at a time.
    about : dict
        How the spectra came about.
    """

    plan: Plan
    axis: str
    labels: tuple
    kind: str
    rows: int
    about: dict[str, str | int]


def write(
    output: Path, model: Prosail, plan: Plan, dtype: torch.dtype, done: Callable[[int], None]
) -> None:
    """Simulate and write in the format of the suffix.

    Raises
    ------
    UsageError
        A band of the sensor bears the name of a parameter.
    """
    writer, names, numbers = FORMATS[output.suffix]
    layout = _layout(model, plan, dtype, numbers)
    with atomic(output) as temporary:
        writer(temporary, layout, spectra(model, plan, names, layout.rows, dtype, done))


def _layout(model: Prosail, plan: Plan, dtype: torch.dtype, numbers: int) -> Layout:
    sensor = model.sensor
    if sensor is None:
        axis, labels = "wavelength", tuple(model.wavelength.tolist())
    else:
        axis, labels = "band", tuple(sensor.bands)
        taken = set(labels) & {*plan.space.names, *PRODUCTS}
        if taken:
            raise UsageError(
                f"--sensor: expected bands that are not named as parameters, got {min(taken)}"
            )
    rows = min(_MOST_ROWS, 2 ** round(np.log2(numbers / len(labels))))
    about = {
        "source": f"physvae {metadata.version('physvae')}, simulate",
        "leaf": f"PROSPECT-{model.leaf}",
        **({} if sensor is None else {"sensor": sensor.name}),
        "wavelengths": len(model.wavelength),
        **plan.about,
    }
    return Layout(plan, axis, labels, str(dtype).removeprefix("torch."), rows, about)


def _write_csv(path: Path, layout: Layout, results: Results) -> None:
    names = _schema(layout).names
    with path.open("wb") as file:
        write_header(file, names)
        for block, arrays in results:
            columns = [*block.others.columns, *_ours(block, arrays)]
            write_rows(file, pa.Table.from_arrays(columns, names=names))


def _write_parquet(path: Path, layout: Layout, results: Results) -> None:
    schema = _schema(layout)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for block, arrays in results:
            kinds = layout.plan.others.types
            others = [c.cast(kind) for c, kind in zip(block.others.columns, kinds, strict=True)]
            writer.write_table(pa.table([*others, *_ours(block, arrays)], schema=schema))


def _schema(layout: Layout) -> pa.Schema:
    """Other columns first, then parameters, then rso by band id or nm, fapar and fcover."""
    labels = [label if isinstance(label, str) else f"{label:g}" for label in layout.labels]
    made = [*labels, *PRODUCTS]
    taken = {*layout.plan.space.names, *made}
    fields = []
    for field in layout.plan.others:
        name = field.name
        while name in taken:
            name += "_input"
        taken.add(name)
        fields.append(pa.field(name, field.type))
    kind = pa.from_numpy_dtype(np.dtype(layout.kind))
    fields += [pa.field(name, pa.float64()) for name in layout.plan.space.names]
    fields += [pa.field(name, kind) for name in made]
    return pa.schema(fields, {"physvae": json.dumps(layout.about, ensure_ascii=False)})


def _ours(block: Block, arrays: dict[str, np.ndarray]) -> list[pa.Array]:
    columns = [*block.values.T, *arrays["rso"].T, *(arrays[name] for name in PRODUCTS)]
    return [pa.array(np.ascontiguousarray(column)) for column in columns]


def _variables(layout: Layout) -> dict[str, tuple[tuple[str, ...], str, dict[str, str]]]:
    """Every array of a netCDF or Zarr result: its dimensions, dtype and attributes."""
    both, one = ("spectrum", layout.axis), ("spectrum",)
    factors = {n: (both, layout.kind, _about(t)) for n, t in FACTORS.items()}
    products = {n: (one, layout.kind, _about(t)) for n, t in PRODUCTS.items()}
    given = {
        p.name: (one, "float64", _about(p.description, p.unit))
        for p in layout.plan.space.parameters
    }
    return {**factors, **products, **given}


def _about(name: str, unit: str = "-") -> dict[str, str]:
    return {"units": "1" if unit == "-" else unit, "long_name": name}


def _chunks(layout: Layout, dimensions: tuple[str, ...]) -> tuple[int, ...]:
    """A block fills a chunk of a factor; chunks of one number a spectrum are longer."""
    if len(dimensions) == 2:
        return min(layout.rows, layout.plan.rows), len(layout.labels)
    return (min(max(layout.rows, _LONG), layout.plan.rows),)


def _fill(arrays: Any, layout: Layout, results: Results) -> None:
    start = 0
    for block, made in results:
        rows = slice(start, start + len(block.values))
        for index, name in enumerate(layout.plan.space.names):
            arrays[name][rows] = block.values[:, index]
        for name, part in made.items():
            arrays[name][rows] = part
        start = rows.stop


def _write_netcdf(path: Path, layout: Layout, results: Results) -> None:
    import netCDF4

    with netCDF4.Dataset(path, "w") as file:
        file.setncatts(layout.about)
        file.createDimension("spectrum", layout.plan.rows)
        file.createDimension(layout.axis, len(layout.labels))
        if layout.axis == "band":
            names = file.createVariable("band", str, ("band",))
            names[:] = np.array(layout.labels, dtype=object)
        else:
            grid = file.createVariable("wavelength", "f8", ("wavelength",))
            grid[:] = np.array(layout.labels)
            grid.units = "nm"
        for name, (dimensions, kind, attributes) in _variables(layout).items():
            chunks = _chunks(layout, dimensions)
            made = file.createVariable(name, kind, dimensions, zlib=True, chunksizes=chunks)
            made.set_var_chunk_cache(size=2 * math.prod(chunks) * made.dtype.itemsize)
            made.setncatts(attributes)
        _fill(file.variables, layout, results)


def _write_zarr(path: Path, layout: Layout, results: Results) -> None:
    """Zarr version 2, as version 3 has no settled form for the band ids."""
    import zarr

    group = zarr.create_group(path, zarr_format=2, attributes=layout.about)
    sizes = {"spectrum": layout.plan.rows, layout.axis: len(layout.labels)}
    about: dict[str, Any] = {"_ARRAY_DIMENSIONS": [layout.axis]}
    if layout.axis == "wavelength":
        about["units"] = "nm"
    group.create_array(layout.axis, data=np.array(layout.labels), attributes=about)
    for name, (dimensions, kind, attributes) in _variables(layout).items():
        group.create_array(
            name,
            shape=tuple(sizes[d] for d in dimensions),
            chunks=_chunks(layout, dimensions),
            dtype=kind,
            attributes={**attributes, "_ARRAY_DIMENSIONS": list(dimensions)},
        )
    _fill(group, layout, results)
    zarr.consolidate_metadata(path, zarr_format=2)


_SHORT = ("rso", *PRODUCTS)
_WHOLE = (*FACTORS, *PRODUCTS)
FORMATS: dict[str, tuple[Callable[[Path, Layout, Results], None], tuple[str, ...], int]] = {
    ".csv": (_write_csv, _SHORT, _SMALL),
    ".parquet": (_write_parquet, _SHORT, _LARGE),
    ".nc": (_write_netcdf, _WHOLE, _SMALL),
    ".zarr": (_write_zarr, _WHOLE, _SMALL),
}
