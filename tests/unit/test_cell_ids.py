from __future__ import annotations

import numpy as np
import pytest

from caloforge.errors import FormatError
from caloforge.formats.cell_ids import BitField, field_of, parse_encoding

ILD = "system:0:5,module:5:3,stave:8:4,tower:12:4,layer:16:6,wafer:22:6,slice:28:4,cellX:32:-16,cellY:48:-16"
VALUES = {"system": 20, "module": 3, "stave": 3, "tower": 2, "layer": 27, "wafer": 63, "slice": 1}


def packed(**places: int) -> int:
    """A cell of the ILD, by hand."""
    fields = {"system": 0, "module": 5, "stave": 8, "tower": 12, "layer": 16, "wafer": 22, "slice": 28}
    number = sum(value << fields[name] for name, value in VALUES.items())
    return number | (places["x"] & 0xFFFF) << 32 | (places["y"] & 0xFFFF) << 48


def test_fields_of_a_cell() -> None:
    ids = np.array([packed(x=-7, y=12), packed(x=0, y=-1), packed(x=32767, y=-32768)], "u8")
    fields = parse_encoding(ILD)
    for name, value in VALUES.items():
        assert fields[name].of(ids).tolist() == [value] * 3
    assert fields["cellX"].of(ids).tolist() == [-7, 0, 32767]
    assert fields["cellY"].of(ids).tolist() == [12, -1, -32768]


def test_fields_follow_each_other() -> None:
    fields = parse_encoding("system:5,side:-2,layer:9,module:32:8,sensor:8")
    assert fields["side"] == BitField(5, 2, signed=True)
    assert fields["layer"] == BitField(7, 9)
    assert fields["sensor"] == BitField(40, 8)
    assert parse_encoding("all:64")["all"].of(np.array([2**63], "u8")).tolist() == [-(2**63)]


@pytest.mark.parametrize(
    "text", ["", "layer", "layer:", "layer:x", "layer:0", "layer:60:5", ":5", "a:1:2:3", "a:-1:2"]
)
def test_no_encoding(text: str) -> None:
    with pytest.raises(FormatError, match=r"name:width"):
        parse_encoding(text)


def test_a_field_that_is_not_there() -> None:
    assert field_of(ILD, "layer") == BitField(16, 6)
    with pytest.raises(FormatError, match="did you mean 'layer'"):
        field_of("system:5,layer:6", "layr")
