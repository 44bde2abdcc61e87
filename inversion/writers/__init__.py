"""Writers: one file a format; what is written appears under its name only when it is complete."""

from pathlib import Path

from physvae.errors import UsageError

TABLES = {".csv": "inversion.writers.table", ".parquet": "inversion.writers.table"}
IMAGES = {
    ".tif": "inversion.writers.geotiff",
    ".nc": "inversion.writers.netcdf",
    ".zarr": "inversion.writers.zarr",
}
"""The module that writes a format, by the suffix of the output."""


def check_output(output: Path, inputs: tuple[Path, ...], gives: str | None = None) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Parameters
    ----------
    output
        Where the result shall lie. What lies there is replaced when the new result is complete.
    inputs
        Files that are read and so may not be the output.
    gives
        ``table`` or ``image``, or None where that is not known yet.

    Raises
    ------
    UsageError
        An unknown suffix, a folder that is not there, or an input as the output.
    """
    allowed = {"table": TABLES, "image": IMAGES}.get(gives or "", TABLES | IMAGES)
    if output.suffix.lower() not in allowed:
        kind = f"for {gives}s " if gives else ""
        raise UsageError(f"output: expected {kind}one of {', '.join(allowed)}, got {output.name}")
    if not output.parent.is_dir():
        raise UsageError(f"output: expected an existing folder, got {output.parent}")
    if any(output.exists() and output.samefile(path) for path in inputs if path.exists()):
        raise UsageError(f"output: expected another file than the input, got {output}")
    if output.is_dir() != (output.suffix.lower() == ".zarr") and output.exists():
        found = "a folder" if output.is_dir() else "a file"
        raise UsageError(f"output: {output} is {found} and is not replaced")
