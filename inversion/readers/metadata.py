"""XML metadata, read so that it cannot do harm: no entities, no DTD, no network."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

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

    def number(self, *paths: str) -> float:
        """Return the number at the first of the paths that is there; refuse a file without."""
        return as_number(self.need(*paths), paths[0], self.source)


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
    except (ParseError, ValueError, DefusedXmlException) as error:
        reason = "entities or a DTD" if isinstance(error, DefusedXmlException) else str(error)
        raise InputError(f"{source}: expected plain XML, found: {reason}") from None
    return Metadata(root, source)


def as_number(text: str, what: str, source: str) -> float:
    """Turn text into a number; refuse text that is none."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{source}: expected a number for {what}, found {text!r}") from None


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
