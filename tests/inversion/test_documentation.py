"""What the documentation lists is what the code does."""

import re
from pathlib import Path

import pytest

from inversion.quality import DESCRIPTIONS, Quality

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "retrieve.md"
PROMISES = re.findall(
    r"`((?:tests|benchmarks)/[^`]+)`", (ROOT / "docs/reliability.md").read_text()
)


def test_the_table_of_bits_is_that_of_the_code():
    rows = [
        f"| {flag.value.bit_length() - 1} | {flag.value} | `{str(flag.name).lower()}` |"
        f" {DESCRIPTIONS[flag]} |"
        for flag in Quality
    ]
    assert "\n".join(rows) in DOCUMENT.read_text("utf-8")


@pytest.mark.parametrize("promise", sorted(set(PROMISES)))
def test_what_keeps_a_promise_exists(promise):
    path, _, name = promise.partition("::")
    text = (ROOT / path).read_text("utf-8")
    assert not name or f"\ndef {name}(" in text


def test_every_family_of_faults_has_its_promises():
    rows = re.findall(
        r"^\| ([A-Z]\d) \|", (ROOT / "docs/reliability.md").read_text(), re.MULTILINE
    )
    families = {"R": 6, "G": 5, "N": 7, "F": 8, "I": 5}
    expected = {f"{kind}{n}" for kind, count in families.items() for n in range(1, count + 1)}
    assert set(rows) == expected | {"S1", "S2", "S3", "S4", "S5", "S7", "S8"}
    assert len(rows) == len(set(rows))
