"""XML metadata, read so that it cannot do harm: no entities, no DTD, no network."""

import math
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from inversion.naming import listing
from inversion.readers.content import Product
from physvae.errors import InputError


class Metadata:
    """A tree of tags known by their local names, namespaces left aside.

    Parameters
    ----------
    root
        The tree.
    source
        The file's name, for messages.
    """

    def __init__(self, root: Element, source: str) -> None:
        self._root, self.source = root, source

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.source.rsplit(": ", 1)[-1].rsplit("/", 1)[-1]

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of the topmost tag."""
        return dict(self._root.attrib)

    @property
    def text(self) -> str:
        """The text of the topmost tag."""
        return (self._root.text or "").strip()

    def all(self, path: str) -> Iterator["Metadata"]:
        """Yield what lies at a path of local names (``Tile_Angles/Sun_Angles_Grid``)."""
        first, *rest = path.split("/")
        for element in self._root.iter():
            if _local(element) == first and element is not self._root:
                part = Metadata(element, self.source)
                yield from part.all_direct(rest) if rest else [part]

    def all_direct(self, path: list[str]) -> Iterator["Metadata"]:
        """Yield what lies at a path that starts right below the topmost tag."""
        for element in self._root:
            if _local(element) == path[0]:
                part = Metadata(element, self.source)
                yield from part.all_direct(path[1:]) if path[1:] else [part]

    def get(self, *paths: str) -> str | None:
        """Return the text at the first of the paths that is there, or None."""
        for path in paths:
            found = next(self.all(path), None)
            if found is not None and found.text:
                return found.text
        return None

    def need(self, *paths: str) -> str:
        """Return the text at the first of the paths that is there; refuse a file without."""
        text = self.get(*paths)
        if text is None:
            raise InputError(f"{self.source}: expected {paths[0]}, found none")
        return text

    def number(self, *paths: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return the number at the first of the paths that is there; refuse a file without.

        Raises
        ------
        InputError
            No number, none from `low` to `high`, or several that contradict each other.
        """
        texts = next((found for path in paths if (found := self._texts(path))), ())
        if not texts:
            raise InputError(f"{self.source}: expected {paths[0]}, found none")
        values = {as_number(text, paths[0], self.source) for text in texts}
        if len(values) > 1:
            raise InputError(f"{self.source}: expected one {paths[0]}, found {listing(texts)}")
        value = values.pop()
        if not low <= value <= high:
            raise InputError(
                f"{self.source}: expected {paths[0]} from {low:g} to {high:g}, found {value:g}"
            )
        return value

    def _texts(self, path: str) -> list[str]:
        return [part.text for part in self.all(path) if part.text]

    def index(self, attribute: str) -> int:
        """Return an attribute of the topmost tag that is a whole number from 0 on."""
        text = self.attributes.get(attribute, "").strip()
        if not (text.isascii() and text.isdigit() and len(text) < 4):
            raise InputError(
                f"{self.source}: expected a whole number for {attribute}, found {text[:60]!r}"
            )
        return int(text)


def read_xml(product: Product, name: str) -> Metadata:
    """Parse a metadata file of a product.

    Raises
    ------
    InputError
        Cut, not XML, or with entities or a DTD.
    """
    source = f"{product.path}: {name}"
    try:
        root = fromstring(product.read(name), forbid_dtd=True)
    except (ParseError, ValueError, LookupError, DefusedXmlException) as error:
        reason = "entities or a DTD" if isinstance(error, DefusedXmlException) else str(error)
        raise InputError(f"{source}: expected plain XML, found: {reason}") from None
    return Metadata(root, source)


def as_number(text: str, what: str, source: str, *, gaps: bool = False) -> float:
    """Turn text into a finite number; refuse text that is none.

    Parameters
    ----------
    gaps
        Whether NaN is a number that is missing, as in grids of angles.
    """
    try:
        value = float("" if "_" in text else text)
    except ValueError:
        value = math.inf
    if math.isfinite(value) or (gaps and math.isnan(value)):
        return value
    raise InputError(f"{source}: expected a number for {what}, found {text[:60]!r}")


def from_attribute(value: Any, what: str, source: str) -> float:
    """Turn an attribute of a store or a value of JSON into a finite number; refuse any other."""
    number = value.item() if getattr(value, "size", 0) == 1 else value
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not is_number or not math.isfinite(number):
        raise InputError(f"{source}: expected a number for {what}, found {str(value)[:60]!r}")
    return float(number)


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
