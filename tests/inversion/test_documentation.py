"""What the documentation lists is what the code does."""

from pathlib import Path

from inversion.quality import DESCRIPTIONS, Quality

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "retrieve.md"


def test_the_table_of_bits_is_that_of_the_code():
    rows = [
        f"| {flag.value.bit_length() - 1} | {flag.value} | `{str(flag.name).lower()}` |"
        f" {DESCRIPTIONS[flag]} |"
        for flag in Quality
    ]
    assert "\n".join(rows) in DOCUMENT.read_text("utf-8")
