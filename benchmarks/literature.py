"""The models of the literature beside the shipped one: LAI on measured plots, both decodings.

    python benchmarks/literature.py MODEL [MODEL ...] [--data FOLDER]

MODEL is a shipped name or the folder of a training, such as that of physvae/presets/magic.toml.
A row: LAI on the development plots with the 95 % interval the model states (the field interval
where it has one), then the mean squared error of held-out spectra of the Austrian forest and of
crops, in units of each band's variance, decoded from the centre of the posterior: by all of the
model / by its physics alone.
"""

import argparse
import os
from pathlib import Path

import physvae
from inversion.tables import retrieve_table
from physvae.config import parse_config
from physvae.finishing import decodings
from physvae.training import read_spectra
from validation.field.table import read_table
from validation.report.report import evaluate
from validation.report.tables import SHORT, heads, markdown, table_rows

SPECTRA = "sentinel-2"
"""The shipped model whose spectra, and rows held out of them, all are judged on."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", default=os.environ.get("PHYSVAE_DATA", "../shared/data"))
    options = parser.parse_args()
    data, spectra = Path(options.data), parse_config(_config(SPECTRA), SPECTRA).spectra
    decoded = [f"{Path(entry.file).stem}, total / physics" for entry in spectra]
    rows = [_field(model, data) + _decoded(model, data, spectra) for model in options.models]
    print("\n".join(markdown([*heads(SHORT), *decoded], rows)))


def _config(model: str) -> dict:
    return physvae.load(model).config["training"]


def _field(model: str, data: Path) -> list[str]:
    """LAI on the development plots."""
    file = data / "field" / "field_dev.csv"
    table = read_table(file)
    estimates = retrieve_table(table, model, variables=("lai",), source=file.name)
    report = evaluate(estimates, table, name=Path(model).name)
    return table_rows(report.metrics, SHORT)[0]


def _decoded(model: str, data: Path, spectra) -> list[str]:
    """Errors of both decodings, for each file of spectra."""
    loaded, cells = physvae.load(model), []
    for entry in spectra:
        real, training = read_spectra(data / entry.file, entry, loaded.bands)
        whole = real.reflectance.isfinite().all(-1)
        error = decodings(loaded, real.take(whole & ~training))
        cells.append(f"{error['total']:.3f} / {error['physical']:.3f}")
    return cells


if __name__ == "__main__":
    main()
