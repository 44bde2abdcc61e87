"""docs/rtm.md: its Python runs, and the lines of code that it quotes are those of the code."""

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "rtm.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.S | re.M)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the page's Python leaves behind: its blocks run in their order, in an empty folder."""
    found: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        torch.manual_seed(0)
        for block in blocks("python"):
            exec(compile(block, "docs/rtm.md", "exec"), found)
    return found


def test_the_page_gives_the_gradients_and_shapes_it_names(names):
    assert (names["theta"].grad[:, names["model"].space.index("lai")] > 0.0).all()
    assert names["seen"].rso.shape == (3, 2, 13)
    assert names["jacobian"].shape == (22, 12)
    assert names["both"].shape == (2, 22, 12)


def test_the_page_finds_the_water_that_it_put_into_leaves(names):
    torch.testing.assert_close(
        names["fit"].parameters["cw"], torch.tensor([0.008, 0.02], dtype=torch.float64),
        atol=1e-5, rtol=0.0,
    )  # fmt: skip


def test_a_reduced_sensor_of_the_page_has_fewer_wavelengths(names):
    assert len(names["small"].wavelength) < len(names["drone"].wavelength) / 2


def test_every_line_that_the_page_quotes_stands_in_the_code():
    code = {
        line.strip() for line in (ROOT / "rtm" / "foursail.py").read_text("utf-8").splitlines()
    }
    quoted = [line.strip() for block in blocks("py") for line in block.splitlines() if line]
    assert len(quoted) > 40
    assert not [line for line in quoted if line not in code]


def test_every_link_of_the_page_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert not [link for link in links if not (ROOT / "docs" / link).exists()]
