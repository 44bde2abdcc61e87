"""A page of Markdown with figures, and the forms in which its numbers are shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

from validation import drawing
from validation.tables import shown


@dataclass(frozen=True)
class Setting:
    """What the page is made from.

    Attributes
    ----------
    model
        A loaded model.
    data : Path
        Folder of the reference data.
    simulations, compared : int
        Simulations on which the posterior is tested, and on which methods compete.
    seed : int
        Of the simulations; not one of training's.
    """

    model: Any
    data: Path
    simulations: int = 20_000
    compared: int = 2_000
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
            with matplotlib.rc_context(drawing.STYLE):
                figure.savefig(
                    folder / "images" / f"evidence-{name}.png", dpi=130, bbox_inches="tight",
                    pad_inches=0.08, metadata={"Software": None},
                )  # fmt: skip
        print(f"{folder / 'evidence.md'}\n{len(self.figures)} figures in {folder / 'images'}")


def span(ends: list[float] | None, form: str = "{:.2f}") -> str:
    """An interval as text, a dash where there is none."""
    return "–" if ends is None else " to ".join(form.format(end) for end in ends)


def number(value: float | None, ends: list[float] | None, form: str) -> str:
    """A number and its interval in brackets."""
    text = shown(value, form)
    return text if ends is None or value is None else f"{text} ({span(ends, form)})"
