"""Cell numbers of DD4hep: fields of bits in 64, described by a text such as ``system:5,layer:9,x:32:-16``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.errors import FormatError, bad, did_you_mean, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BitField", "field_of", "parse_encoding"]


class BitField(NamedTuple):
    """Some bits of a cell number.

    Attributes:
        first: The lowest bit.
        width: How many.
        signed: Whether the highest one is a sign (two's complement).
    """

    first: int
    width: int
    signed: bool = False

    def of(self, ids: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
        """The field's values in cell numbers, of the same shape."""
        wide = ids.astype(np.uint64)
        left = np.uint64(64 - self.first - self.width)
        shifted = wide << left  # the field's highest bit is now the sign
        kind = np.int64 if self.signed else np.uint64
        return (shifted.view(kind) >> kind(64 - self.width)).astype(np.int64)


def parse_encoding(text: str) -> dict[str, BitField]:
    """The fields of a description: ``name:width`` follow each other, ``name:first:width`` say where.

    A negative width is that of a signed field.

    Raises:
        FormatError: It is no such description, or fields do not fit into 64 bits.
    """
    found: dict[str, BitField] = {}
    place = 0
    for word in text.split(","):
        name, _, rest = word.strip().partition(":")
        try:
            *given, width = (int(number) for number in rest.split(":"))
        except ValueError:
            width, given = 0, [0, 0]
        place = given[0] if given else place
        if not name or not width or len(given) > 1 or place < 0 or place + abs(width) > 64:
            expected = "name:width or name:first:width in 64 bits, as system:5,layer:9"
            raise FormatError(bad("fields of cell numbers", got=shown(word), expected=expected))
        found[name] = BitField(place, abs(width), width < 0)
        place += abs(width)
    return found


def field_of(encoding: str, name: str) -> BitField:
    """One field of a description.

    Raises:
        FormatError: It is no description, or does not have the field.
    """
    fields = parse_encoding(encoding)
    if name not in fields:
        msg = f"The cell numbers {shown(encoding)} have no field {name!r}: {did_you_mean(name, fields)}."
        raise FormatError(msg)
    return fields[name]
