"""The page is whole, well formed, needs nothing from elsewhere, and lets no text act."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from validation import drawing, page, plots
from validation.report import evaluate

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}'


class Outline(HTMLParser):
    """Elements that were opened and closed, and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tables():
    """Three sites of twelve rows with everything a report can show, evil names included."""
    lai = [0.2 + 0.15 * i for i in range(36)]
    field = pd.DataFrame(
        {
            "site": [EVIL, "b", "c"] * 12,
            "plot": [f"p{i % 9}" for i in range(36)],
            "crop": [EVIL, "wheat"] * 18,
            "field_date": [f"2021-0{1 + i // 9}-01" for i in range(36)],
            "image_date": [f"2021-0{1 + i // 9}-0{1 + i % 3}" for i in range(36)],
            "lat": [47 + 0.01 * i for i in range(36)],
            "lon": 9.0,
            "lai": lai,
            "lai_std": 0.2,
        }
    )
    mean = [v + (0.3 if i % 2 else -0.2) for i, v in enumerate(lai)]
    columns = {f"lai_p{k}": [m + d for m in mean] for k, d in
               {"025": -1.0, "050": -0.8, "160": -0.5, "250": -0.3, "500": 0.0, "750": 0.3,
                "840": 0.5, "950": 0.8, "975": 1.0}.items()}  # fmt: skip
    return pd.DataFrame({"lai_input": lai, "lai": mean, "lai_sd": 0.5, **columns}), field


@pytest.fixture(scope="module")
def text() -> str:
    report = evaluate(*tables(), name=EVIL)
    drawn = plots.figures(report.metrics, report.pairs, report.courses)
    return page.render(report.metrics, report.ledger, drawn)


def test_every_element_is_closed_and_every_section_is_there(text):
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    headings = {a.get("id") for tag, a in outline.tags if tag == "h2"}
    assert headings >= {"said", "agreement", "by-site", "intervals", "errors", "limits", "map",
                        "series", "rows", "how"}  # fmt: skip
    assert sum(tag == "svg" for tag, _ in outline.tags) == 7
    assert any(tag == "table" for tag, _ in outline.tags)


def test_nothing_comes_from_elsewhere(text):
    outline = Outline()
    outline.feed(text)
    for tag, attributes in outline.tags:
        assert tag not in ("link", "iframe", "object", "img")
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png")), tag
    assert "default-src 'none'" in text


def test_no_text_of_the_input_acts(text):
    outline = Outline()
    outline.feed(text)
    assert sum(tag == "script" for tag, _ in outline.tags) == 1
    assert not [a for _, a in outline.tags for name in a if name.startswith("on")]
    assert "alert(1)" in text  # it is shown, as text
    assert "49" not in re.findall(r">(\d+)<", text.split("</h1>")[0])


def test_light_and_dark_share_the_figures(text):
    assert "prefers-color-scheme: dark" in text
    for colour, name in drawing.THEME.items():
        assert f"var({name})" in text
        figures = text[text.index("<figure>") :]
        assert colour.lower() not in figures.lower()


def test_the_page_says_what_the_numbers_do_not_show(text):
    assert "Validation stage 1 of CEOS LPV: 36 comparisons at 3 sites" in text
    assert "Fewer than four clusters: no confidence interval" in text
    assert "No row of the field table was left out." in text
