"""The evidence page: docs/evidence.md, its figures and scores, from data and shipped models.

    python benchmarks/evidence.py [--write] [--data FOLDER]
    python benchmarks/evidence.py --scores [--model M] [--method refined]

With --scores only what a model (name or folder) does on all labelled sets is printed, in a few
seconds; `validation.evidence.set_tables.scored` does it for any estimator. With --write the page,
its figures, docs/evidence-scores.csv and the table of README.md are written, too. Without the data
folder nothing is done. Every number comes from here; `evidence_parts` has a file a section.
"""

import argparse
import os
import sys
import time
from importlib import metadata
from pathlib import Path

from evidence_parts import measured, physics, pictures, readme, simulations
from evidence_parts.page import Page, Setting
from evidence_parts.sets import MODELS, Gathered, everything, gathered
from physvae.errors import InputError
from validation.evidence import in_view
from validation.evidence.labelled_sets import labelled_sets
from validation.evidence.set_scores import retrieval
from validation.evidence.set_tables import scored

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHYSVAE_DATA", ROOT.parent / "shared" / "data"))
LIBRARIES = ("physvae", "torch", "numpy", "pandas", "scoringrules")


def main() -> int:
    """Print the page, and write it where that is wanted; 0 also where there is no data."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--simulations", type=int, default=20_000, help="of the posterior's test")
    parser.add_argument("--scores", action="store_true", help="of the labelled sets, no page")
    parser.add_argument("--model", default="sentinel-2", help="of --scores")
    parser.add_argument("--method", default="amortised", help="of --scores")
    options = parser.parse_args()
    if not (options.data / "field" / "field_dev.csv").is_file():
        print(f"evidence: no data, expected {options.data / 'field' / 'field_dev.csv'}")
        return 0
    if options.scores:
        estimator = retrieval(options.model, options.method)
        print(scored(estimator, labelled_sets(options.data)))
        return 0
    start, found = time.perf_counter(), gathered(options.data)
    page = build(found, options.data, options.simulations)
    foot(page, found, time.perf_counter() - start)
    print(page.text())
    if options.write:
        page.write(ROOT / "docs")
        table = everything(found)
        table.to_csv(ROOT / "docs" / "evidence-scores.csv", index=False, float_format="%.4g")
        readme.write(ROOT / "README.md", found)
    return 0


def build(found: Gathered, data: Path, simulated: int) -> Page:
    """All sections in their order."""
    page = Page()
    head(page)
    pictures.pictures(page, found)
    for section in (
        measured.leaf_area, measured.definitions, measured.others, measured.paired_differences,
        measured.intervals,
    ):  # fmt: skip
        section(page, found)
    setting = Setting(found.models[MODELS[0]], data, simulated)
    simulations.ranks(page, setting)
    physics.reconstruction(page, setting)
    return page


def head(page: Page) -> None:
    """What the page is, what its columns are, and what was in view."""
    page.say("# Evidence")
    page.say(
        "How well the shipped models do on measured plots, on simulations and on real spectra,",
        "beside other methods on the same rows. `make evidence` writes this page; no number is",
        "typed. For `landsat-8` the bands of Sentinel-2 at the same wavelengths stand in.",
    )
    page.say(
        "RMSE° is without the measurements' own stated error; ρ Spearman's correlation; score the",
        "interval score (Gneiting & Raftery 2007); CRPS of the normal distribution of the stated",
        "interval; sd ~ err Spearman's correlation of the stated sd with the absolute error;",
        "flagged the share of rows with bit 5, 6 or 7, and their RMSE over that of the others.",
        "Classes of fewer than 10 rows are left out. [validate.md](validate.md) defines the rest.",
    )
    page.say(
        "**In view** says what a number cannot prove. P: prior and physics, N: noise, I: factor",
        "of the stated interval, V: limits of the novelty. A capital: these rows with their",
        "values were in view when it was chosen; a small letter: other rows of the group or",
        "set, or spectra of these sites without a value; –: nothing of them. A reference that",
        "learns saw other groups or sets. No measured value was in the training of any model.",
    )
    rows = [
        [name, *(", ".join(in_view.CHOSEN[name][letter]) for letter in "PN")] for name in MODELS
    ]
    page.table(["model", "prior and physics chosen with", "noise chosen with"], rows, texts=3)


def foot(page: Page, found: Gathered, seconds: float) -> None:
    """How to make the page again."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    page.say("## Make it again")
    page.say(
        "    make evidence", "",
        f"It took {seconds / 60:.0f} minutes with {os.environ.get('OMP_NUM_THREADS', 'all')} "
        "thread(s) per process. Bootstrap of 2,000 draws, seed 0.",
        f"Versions: {versions}. Data: `PHYSVAE_DATA`, else `../shared/data`. Published campaigns:",
        "[../benchmarks/campaigns.md](../benchmarks/campaigns.md). Models, by sha256:",
    )  # fmt: skip
    page.table(["model", "sha256"], [[n, m.sha256] for n, m in found.models.items()], texts=2)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
