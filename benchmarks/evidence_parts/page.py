"""A page of Markdown with figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

from validation.report import figure_style


@dataclass(frozen=True)
class Setting:
    """What the page is made from.

    Attributes
    ----------
    model
        A loaded model.
    data : Path
        Folder of the reference data.
    simulations : int
        Simulations on which the posterior is tested.
    seed : int
        Of the simulations; not one of training's.
    """

    model: Any
    data: Path
    simulations: int = 20_000
    seed: int = 20_261_121


class Page:
    """Lines of Markdown and figures by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.figures: dict[str, Any] = {}

    def say(self, *lines: str) -> None:
        """Add a paragraph."""
        self.lines += [*lines, ""]

    def table(self, heads: list[str], rows: list[list[str]], texts: int = 1) -> None:
        """Add a table; the first columns are words."""
        rule = ["---"] * texts + ["---:"] * (len(heads) - texts)
        body = [heads, rule, *rows]
        self.say(*("| " + " | ".join(map(str, row)) + " |" for row in body))

    def show(self, name: str, figure: Any, words: str) -> None:
        """Add a figure."""
        self.figures[name] = figure
        self.say(f"![{words}](images/evidence-{name}.png)")

    def text(self) -> str:
        """The page."""
        return "\n".join(self.lines).rstrip() + "\n"

    def write(self, folder: Path) -> None:
        """Write evidence.md and images/evidence-*.png; pictures of an earlier page go."""
        (folder / "evidence.md").write_text(self.text(), encoding="utf-8")
        for old in (folder / "images").glob("evidence-*.png"):
            old.unlink()
        for name, figure in self.figures.items():
            with matplotlib.rc_context(figure_style.STYLE):
                figure.savefig(
                    folder / "images" / f"evidence-{name}.png", dpi=130, bbox_inches="tight",
                    pad_inches=0.08, metadata={"Software": None},
                )  # fmt: skip
