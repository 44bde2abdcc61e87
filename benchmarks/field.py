"""LAI on measured plots: the shipped model beside SNAP's network, pooled and per site.

    python benchmarks/field.py [FIELD.csv] [NET.json ...]

Without arguments: field/field_dev.csv and sl2p/*_LAI.json in the folder PHYSVAE_DATA, else
../shared/data. The model's card says which rows of that table steered its making; figures on those
describe the model and prove nothing. The networks of SNAP have never seen them.
"""

import os
import sys
from pathlib import Path

from inversion.tables import retrieve_table
from physvae.errors import InputError
from validation.baselines.networks import load_net
from validation.field.table import read_table
from validation.report.report import evaluate
from validation.report.tables import heads, markdown, table_rows

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHYSVAE_DATA", ROOT.parent / "shared" / "data"))


def main(arguments: list[str]) -> int:
    """Print the table; 0 also where there is no data to look at."""
    field = Path(arguments[0]) if arguments else DATA / "field" / "field_dev.csv"
    if not arguments and not field.is_file():
        print(f"field: no data, expected {field}")
        return 0
    nets = [Path(net) for net in arguments[1:]] or sorted((DATA / "sl2p").glob("*_LAI.json"))
    table = read_table(field)
    estimates = retrieve_table(table, variables=("lai",), source=field.name)
    baselines = [load_net(net) for net in nets]
    report = evaluate(estimates, table, baselines=baselines, name="PhysVAE sentinel-2")
    print("\n".join(markdown(heads(), table_rows(report.metrics))))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"error: {error}")
