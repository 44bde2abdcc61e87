"""The evidence page: docs/evidence.md and its figures, from the reference data and the model.

    python benchmarks/evidence.py [--write] [--data FOLDER] [--model M]
    python benchmarks/evidence.py --scores [--model M] [--method refined]

With --scores only what a model (name or folder) does on all labelled sets is printed, in a few
seconds; `validation.set_tables.scored` does it for any estimator. Without --write the page is
printed and nothing is changed. Without the data folder nothing is done. Every number and figure of
the page comes from here; `evidence_parts` has a file a section.
"""

import argparse
import os
import sys
from importlib import metadata
from pathlib import Path

from evidence_parts import agreement, physics, simulations, uncertainty
from evidence_parts.page import Page, Setting
from inversion.kernel import load_model
from physvae.errors import InputError
from validation.labelled_sets import labelled_sets
from validation.set_scores import retrieval
from validation.set_tables import scored

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHYSVAE_DATA", ROOT.parent / "shared" / "data"))
LIBRARIES = ("physvae", "torch", "numpy", "pandas", "scoringrules")


def main() -> int:
    """Write or print the page; 0 also where there is no data to look at."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="sentinel-2")
    parser.add_argument("--simulations", type=int, default=20_000, help="of the posterior's test")
    parser.add_argument("--compared", type=int, default=2_000, help="on which methods compete")
    parser.add_argument("--scores", action="store_true", help="of the labelled sets, no page")
    parser.add_argument("--method", default="amortised", help="of --scores")
    options = parser.parse_args()
    if not (options.data / "field" / "field_dev.csv").is_file():
        print(f"evidence: no data, expected {options.data / 'field' / 'field_dev.csv'}")
        return 0
    if options.scores:
        estimator = retrieval(options.model, options.method)
        print(scored(estimator, labelled_sets(options.data)))
        return 0
    model = load_model(options.model, "cpu")
    page = build(Setting(model, options.data, options.simulations, options.compared))
    if options.write:
        page.write(ROOT / "docs")
    else:
        print(page.text())
    return 0


def build(setting: Setting) -> Page:
    """All sections in their order."""
    page = Page()
    report = agreement.field_report(setting)
    agreement.head(page, setting, report)
    agreement.pooled(page, report)
    agreement.by_site(page, report)
    uncertainty.on_plots(page, setting, report)
    agreement.chlorophyll(page, setting)
    simulations.compared(page, setting)
    simulations.ranks(page, setting)
    physics.reconstruction(page, setting)
    foot(page, setting)
    return page


def foot(page: Page, setting: Setting) -> None:
    """How to make the page again."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    page.say("## Make it again")
    page.say(
        "    make evidence", "",
        f"Model `{setting.model.name}`, sha256 `{setting.model.sha256}`. Seed {setting.seed}; "
        f"bootstrap of 2,000 draws, seed 0. Versions: {versions}.",
        "Reference data: `PHYSVAE_DATA`, else `../shared/data`; what is in it and whose it is, is",
        "written beside it. Reading the tables of published campaigns:",
        "[../benchmarks/campaigns.md](../benchmarks/campaigns.md).",
    )  # fmt: skip


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
