"""From an input file to an output file: picks the reader and the writer, counts, tells."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

from inversion.areas import around, over_windows, within
from inversion.cluster import computing
from inversion.details import steps_of, tell_image, tell_model
from inversion.identity import digest, identity
from inversion.kernel import DEFAULT_VARIABLES, CalibratedModel, check_variables, load_model
from inversion.maps import retrieve
from inversion.priors import Priors, about, check_priors, priors_of
from inversion.progress import Watched, progress
from inversion.provenance import fingerprint, record
from inversion.readers import Declaration, detect, reader
from inversion.readers.scene_file import layer_of
from inversion.summary import Summary
from inversion.table_files import retrieve_rows
from inversion.writers import check_output, maps, table
from inversion.writers.work import Shard
from physvae.errors import UsageError
from physvae.io.messages import timed


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is asked of a retrieval, whatever its input.

    Parameters
    ----------
    model, variables, device
        As for `inversion.retrieve`.
    method
        How: one of `inversion.methods.METHODS`, perhaps with a number of steps.
    declaration
        What the user says about the input.
    chunk
        Largest side of the blocks [pixel]; 0 leaves it to the reader.
    resume, shard
        See `inversion.writers.maps.write`.
    workers, scheduler
        See `inversion.cluster.computing`.
    packed
        Whether a GeoTIFF holds numbers of 16 bits.
    field
        Whether intervals are meant for measurements, where the model has such, or the posterior's.
    area, points, window
        Vector files that choose parts of an image; side of the window around a point [pixel].
    prior, prior_column, prior_map
        See `inversion.priors`: a name or a file; the column, or the GeoTIFF of codes, that says
        which prior holds.
    """

    model: Any = "sentinel-2"
    variables: tuple[str, ...] = DEFAULT_VARIABLES
    device: str = "auto"
    method: str = "amortised"
    steps: int = 200
    declaration: Declaration = field(default_factory=Declaration)
    chunk: int = 0
    resume: bool = False
    shard: Shard = field(default_factory=Shard)
    workers: int | None = None
    scheduler: str | None = None
    packed: bool = False
    area: Path | None = None
    points: Path | None = None
    window: int = 1
    calibration: Path | None = None
    field: bool = True
    prior: str | None = None
    prior_column: str | None = None
    prior_map: Path | None = None

    @property
    def priors(self) -> Priors | None:
        """Priors in the place of the model's."""
        by = "column" if self.prior_column else "map" if self.prior_map else None
        return priors_of(self.prior, by, "--prior")

    @property
    def source(self) -> str | CalibratedModel:
        """The model by name, with its calibration and another kind of intervals where wanted."""
        if self.calibration is None and self.field:
            return self.model
        return CalibratedModel(self.model, self.calibration, self.field)

    @property
    def spread(self) -> bool:
        """Whether other processes compute."""
        return bool(self.workers or self.scheduler)


def retrieve_file(source: Path, output: Path, job: Job) -> list[str]:
    """Retrieve one file into another; return the summary's lines.

    Raises
    ------
    InputError
        The input was refused.
    UsageError
        An unknown variable, format or device, or options that do not go together.
    OSError
        The output cannot be written.
    """
    check_output(output, (source,))
    loaded = opened_model(job)
    wanted = check_variables(job.variables, loaded)
    family = detect(source)
    gives = "table" if job.points else family.gives
    check_output(output, (source,), gives)
    _check_options(job, family.gives, output)
    if family.gives == "table":
        summary = _table(source, output, job, wanted)
        return [*summary.lines("rows"), f"written: {output}"]
    check_priors(job.priors, loaded)
    whole = identity((source,), job, loaded)
    image = open_image(source, job, loaded)
    if job.points is not None:
        summary = _points(image, output, job, wanted)
        return [*summary.lines("points"), f"written: {output}"]
    text = provenance((source,), image, job, loaded, digest(whole))
    with progress(image["reflectance"][0].size) as bar:
        watched = job.source if job.spread else Watched(loaded, bar.advance)
        with stopping(watched):
            result = _estimated(image, watched, job, wanted)
            summary = write_map(result, output, job, loaded, text, bar.reached, whole)
    return ended(summary, output, job)


def opened_model(job: Job) -> Any:
    """Load the model of a job."""
    with timed("opening the model"):
        loaded = load_model(job.source, job.device)
    tell_model(loaded, job)
    return loaded


def open_image(source: Path, job: Job, loaded: Any) -> xr.Dataset:
    """Open an image of any family lazily, cut to the area where there is one."""
    with timed("opening and checking the input"):
        image = reader(detect(source))(
            source, job.declaration, bands=loaded.bands, sensor=loaded.sensor, chunk=job.chunk
        )
        if job.prior_map is not None:
            codes = layer_of(image, job.prior_map, "codes of priors", "--prior-map")
            image["prior_code"] = codes
        image = image if job.area is None else within(image, job.area)
    tell_image(image, job.declaration, str(source))
    return image


def provenance(
    sources: tuple[Path, ...], image: xr.Dataset, job: Job, loaded: Any, whole: str
) -> str:
    """Return the record of how a map came about, as JSON; `whole` is the hash of its identity."""
    keys = ("radiometry", "product", "baseline", "sensor", "acquired")
    options = {
        "variables": job.variables,
        "device": job.device,
        "method": job.method,
        "calibration": job.calibration and fingerprint(job.calibration),
        "intervals": "field" if job.field else "posterior",
        "prior": [about(prior) for prior in job.priors.all] if job.priors else None,
        "input": {key: image.attrs[key] for key in keys if key in image.attrs},
        "radiometry": next(iter(steps_of(image.attrs.get("radiometry"))), None),
        "declaration": asdict(job.declaration),
    }
    scene, others = job.declaration.scene_classes, (job.area, job.points, job.prior_map)
    inputs = [*sources, *(Path(scene) for scene in (scene,) if scene), *filter(None, others)]
    return record(
        inputs=inputs, model=loaded, options=options, command=command_line(),
        identity=whole,
    )  # fmt: skip


def write_map(
    result: xr.Dataset, output: Path, job: Job, loaded: Any, text: str, advance: Any,
    whole: dict[str, Any],
) -> Summary | None:  # fmt: skip
    """Compute a map where the job says and write it; None where other shards are missing."""
    from inversion.writers.geotiff import packing_of

    packing = packing_of(loaded.traits, job.variables) if job.packed else None
    with computing(job.workers, job.scheduler) as gather:
        return maps.write(
            result, output, provenance=text, advance=advance, identity=whole,
            resume=job.resume, shard=job.shard, gather=gather, packing=packing,
        )  # fmt: skip


def ended(summary: Summary | None, output: Path, job: Job) -> list[str]:
    """Say what a map came to, or that other shards are missing."""
    if summary is None:
        return [
            f"shard {job.shard.index} of {job.shard.count} done; {output} waits for the others"
        ]
    return [*summary.lines("pixels"), f"written: {output}"]


@contextmanager
def stopping(watched: Any) -> Iterator[None]:
    """Let the threads that still estimate end soon when the run is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if isinstance(watched, Watched):
            watched.stop()
        raise


def _estimated(image: xr.Dataset, model: Any, job: Job, wanted: tuple[str, ...]) -> xr.Dataset:
    return retrieve(
        image, model, wanted, job.device, keep_classes=job.declaration.keep_classes,
        method=job.method, steps=job.steps, check_radiometry=False, prior=job.priors,
    )  # fmt: skip


def _points(image: xr.Dataset, output: Path, job: Job, wanted: tuple[str, ...]) -> Summary:
    assert job.points is not None
    windows, points = around(image, job.points, job.window)
    with timed("estimating and writing"):
        estimates = over_windows(_estimated(windows, job.source, job, wanted), points, wanted)
        table.write(estimates, output)
    return _summed(estimates, wanted)


def _table(source: Path, output: Path, job: Job, wanted: tuple[str, ...]) -> Summary:
    said = job.declaration
    if said.scene_classes is not None:
        raise UsageError("--scl: expected an image, got a table")
    model = load_model(job.source, job.device)
    return retrieve_rows(
        source, output, model, wanted, said, method=job.method, steps=job.steps,
        priors=job.priors, prior_column=job.prior_column,
    )  # fmt: skip


def _summed(estimates: Any, wanted: tuple[str, ...]) -> Summary:
    summary = Summary([*wanted, "quality"])
    summary.add({name: estimates[name].to_numpy() for name in (*wanted, "quality")})
    return summary


def _check_options(job: Job, gives: str, output: Path) -> None:
    """Refuse options that do not go with the input or the output."""
    if gives == "table" and (job.area or job.points or job.shard.count > 1):
        raise UsageError("--aoi, --points and --shard: expected an image, got a table")
    if gives == "table" and job.prior_map:
        raise UsageError("--prior-map: expected an image, got a table; it has --prior-column")
    if gives != "table" and job.prior_column:
        raise UsageError("--prior-column: expected a table, got an image; it has --prior-map")
    if job.calibration is not None and job.method != "amortised":
        raise UsageError(f"--calibration: expected the method amortised, got {job.method}")
    if job.packed and output.suffix.lower() != ".tif":
        raise UsageError(f"--dtype int16: expected a GeoTIFF (.tif), got {output.name}")
    if job.window < 1 or job.window % 2 == 0:
        raise UsageError(f"--window: expected an odd number of pixels, got {job.window}")
    if job.window > 1 and job.points is None:
        raise UsageError("--window: expected --points, whose surroundings it takes, got none")


def command_line() -> str:
    """Return the command as it was called, without the path of the program."""
    return " ".join(["physvae", *sys.argv[1:]])
