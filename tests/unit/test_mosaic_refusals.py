"""What mosaic says of read-outs that it cannot make."""

from __future__ import annotations

from typing import Any

import pytest

from caloforge.errors import GeometryError
from caloforge.geometry import geometry_from_dict
from caloforge.models.mosaic.lattice import BoxLattice, lattice_of


def _readout(layers: list[dict[str, Any]] | None = None, *, cells: int = 6, pitch: float = 20.0) -> Any:
    grid = {"kind": "box", "nx": cells, "ny": cells, "pitch": [20.0, pitch]}
    return geometry_from_dict(
        {"name": "stack", "grid": grid, "layers": layers or [{"repeat": 2}]}, source="a test"
    )


@pytest.mark.parametrize(
    ("cells", "pitch", "got"),
    [
        (21, 20.0, "21 x 21 cells of 20 x 20 mm"),
        (4, 20.0, "4 x 4 cells of 20 x 20 mm"),
        (6, 25.0, "20 x 25 mm"),
    ],
)
def test_a_refusal_tells_what_the_cells_are_and_what_they_should_be(
    cells: int, pitch: float, got: str
) -> None:
    with pytest.raises(
        GeometryError, match=f"stack, whose layers have .*{got}.* 6 or more and an even number"
    ):
        lattice_of(_readout(cells=cells, pitch=pitch))


def test_layers_that_differ_are_refused() -> None:
    fine = {"kind": "box", "nx": 8, "ny": 8, "pitch": [10, 10]}
    with pytest.raises(GeometryError, match="cells that differ from layer to layer"):
        lattice_of(_readout([{}, {"grid": fine}]))


def test_the_smallest_read_out_has_two_rings() -> None:
    lattice = lattice_of(_readout())
    assert isinstance(lattice, BoxLattice)
    assert len(lattice.rings) == 2
