"""The page is whole, well formed, needs nothing from elsewhere, and lets no text act."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from validation.report import figure_style, page, plots
from validation.report.report import evaluate

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}'


class Outline(HTMLParser):
    """Elements that were opened and closed, and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img", "input", "wbr"):
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
def report():
    return evaluate(*tables(), name=EVIL)


@pytest.fixture(scope="module")
def figures(report) -> dict:
    return plots.figures(report.metrics, report.pairs, report.courses)


@pytest.fixture(scope="module")
def text(report, figures) -> str:
    return page.render(report.metrics, report.ledger, figures)


def test_every_element_is_closed_and_every_section_is_there(text):
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    headings = {a.get("id") for tag, a in outline.tags if tag == "h2"}
    assert headings >= {"said", "agreement", "by-site", "intervals", "errors", "limits", "map",
                        "series", "rows", "how"}  # fmt: skip
    assert sum(a.get("class") == "panels" for _, a in outline.tags) == 7
    assert any(tag == "table" for tag, _ in outline.tags)


def test_every_panel_is_an_element_that_fits_a_telephone(figures, text):
    """In the 396 pixels of a page of 420 no panel is drawn at less than 85 % of its size."""
    count = {
        kind: sum(axes.get_visible() and not hasattr(axes, "_colorbar") for axes in figure.axes)
        for kind, figure in figures.items()
    }
    count["map"] += 1  # the colour bar that all panels share
    parts = text.split('<div class="panels"')[1:]
    found = [part.split("</div>")[0].count('<svg role="img"') for part in parts]
    assert sorted(found) == sorted(count.values())
    widths = [int(width) for width in re.findall(r'<svg [^>]*style="--w:(\d+)px"', text)]
    assert len(widths) > sum(found)
    assert max(widths) <= 396 / 0.85


def test_a_panel_alone_has_the_labels_that_it_shares(text):
    sites = text.split('id="by-site"')[1].split("</figure>")[0].split("<svg")[1:]
    panels = [part for part in sites if ">By site" in part or "By site." in part]
    assert len(panels) == 3
    for panel in panels:
        assert "measured LAI [m² m⁻²]" in panel
        assert "retrieved LAI [m² m⁻²]" in panel
        assert panel.count("<text") >= 10


def test_intervals_stand_behind_the_points_and_are_faint(figures):
    for kind in ("scatter", "sites"):
        for axes in (axes for axes in figures[kind].axes if axes.get_visible()):
            lines = [part for part in axes.collections if isinstance(part, LineCollection)]
            points = [line for line in axes.lines if line.get_marker() not in ("None", "")]
            assert lines
            assert max(part.zorder for part in lines) < min(part.zorder for part in points)
            assert all(part.get_alpha() <= 0.4 for part in lines)


def test_every_cell_knows_its_heading(text):
    """Where there is no room for columns a row is a card, each cell with its heading."""
    for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
        heads = re.findall(r'<button type="button">(.*?)</button>', table)
        for row in re.findall(r"<tr><td.*?</tr>", table, re.DOTALL):
            assert re.findall(r'<td data-head="(.*?)"', row) == heads


MEASURE = """
const page = JSON.parse(document.getElementById("page").textContent);
const done = [420, 1280].map(width => new Promise(resolve => {
  const frame = document.createElement("iframe");
  Object.assign(frame.style, { width: width + "px", height: "900px", border: "0" });
  frame.onload = () => {
    const inside = frame.contentDocument;
    inside.querySelectorAll("details").forEach(part => part.open = true);
    const wide = part => part.scrollWidth > part.clientWidth + 1;
    const cut = [...inside.querySelectorAll("td, th, p, li, h1, h2, figcaption, .scroll, .panels")]
      .filter(wide).map(part => part.className + part.textContent.trim().slice(0, 30));
    const out = [...inside.querySelectorAll("svg text")].filter(text => {
      const all = text.closest("svg").getBoundingClientRect(), own = text.getBoundingClientRect();
      return own.left < all.left - 1 || own.right > all.right + 1 || own.right > width; });
    resolve({ width, page: inside.documentElement.scrollWidth, cut,
      out: out.map(text => text.textContent.trim()),
      stacked: [...inside.querySelectorAll(".panels")].every(grid =>
        getComputedStyle(grid).gridTemplateColumns.split(" ").length === 1) });
  };
  frame.srcdoc = page;
  document.body.append(frame);
}));
Promise.all(done).then(found => { document.getElementById("found").textContent =
  JSON.stringify(found); });
"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_cuts_nothing_off_at_420_and_1280_pixels(text, tmp_path):
    page = json.dumps(text).replace("<", "\\u003c")
    outer = f'<pre id="found"></pre><script type="application/json" id="page">{page}</script>'
    path = tmp_path / "outer.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{outer}<script>{MEASURE}</script>")
    asked = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user"]
    command = ["chromium", *asked, "--virtual-time-budget=20000", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout)
    assert found is not None, done.stderr
    narrow, wide = json.loads(html.unescape(found[1]))
    assert narrow["page"] <= 420
    assert wide["page"] <= 1280
    assert (narrow["cut"], wide["cut"]) == ([], [])
    assert (narrow["out"], wide["out"]) == ([], [])
    assert narrow["stacked"]
    assert not wide["stacked"]


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
    for colour, name in figure_style.THEME.items():
        assert f"var({name})" in text
        figures = text[text.index("<figure>") :]
        assert colour.lower() not in figures.lower()


def test_the_page_says_what_the_numbers_do_not_show(text):
    assert "Validation stage 1 of CEOS LPV: 36 comparisons at 3 sites" in text
    assert "Fewer than four clusters: no confidence interval" in text
    assert "No row of the field table was left out." in text
