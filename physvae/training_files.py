"""Training files: a path, or the name of a preset; and the files of data that one names."""

from pathlib import Path

from physvae.config import Config
from physvae.errors import InputError
from physvae.plans import LibrarySoil

PRESETS = Path(__file__).parent / "presets", Path(__file__).parent / "emulation" / "presets"


def presets() -> dict[str, Path]:
    """Training files that come with the package, by name; first those of models."""
    return {path.stem: path for folder in PRESETS for path in sorted(folder.glob("*.toml"))}


def find_training_file(name: str | Path) -> Path:
    """The file of that path, else the preset of that name.

    Raises
    ------
    InputError
        There is neither; lists the presets.

    Examples
    --------
    >>> find_training_file("sentinel-2").name
    'sentinel-2.toml'
    """
    path, known = Path(name), presets()
    if path.exists() and not path.is_dir():
        return path
    if str(name) in known:
        return known[str(name)]
    raise InputError(f"{name}: expected a TOML file or one of {', '.join(known)}, got neither")


def check_data(config: Config, root: Path) -> None:
    """Refuse a training whose files of data are not there, before anything is computed.

    Raises
    ------
    InputError
        Names the folder and the files.
    """
    soils = config.soil.files if isinstance(config.soil, LibrarySoil) else ()
    wanted = (*soils, *(entry.file for entry in config.spectra))
    if absent := [name for name in wanted if not (root / name).exists()]:
        raise InputError(
            f"{root}: expected the data of {config.name}, {', '.join(wanted)}, got no "
            f"{', '.join(absent)}; name their folder by --data or PHYSVAE_DATA (docs/model.md, "
            "Data of the presets, says where they come from)"
        )
