"""The quantities of showers whose means 3DGAN compares in bins of energy and angle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.features import hits_above

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Frame
    from caloforge.features import FeatureTable

__all__ = ["FAMILIES", "Quantity", "quantities", "sparsity_edges"]

FAMILIES = {
    "sampling_fraction": "sampling fraction",
    "moments": "moments in x, y and z to third order",
    "sparsity": "sparsity at several thresholds",
    "first_part": "energy share of the first part (R1)",
    "angle": "measured angle",
}
"""Families of quantities, and their titles (2109.07388, section 5.2)."""

_ABOVE = (1.0, 0.75, 0.5, 0.25, 0.1)


@dataclass(frozen=True)
class Quantity:
    """One number of every shower.

    Attributes:
        name: Short.
        title: For people.
        family: One of ``FAMILIES``.
        column: Of the feature table; empty for sparsities.
        scale: What deviations of the mean are relative to: "mean" of the quantity itself, "width" and
            "cube" of the width along ``axis`` for odd moments, whose mean may be 0, or "radian".
        axis: x, y or z.
        edge: Number of the edge of the spectrum, for sparsities.
    """

    name: str
    title: str
    family: str
    column: str = ""
    scale: str = "mean"
    axis: str = ""
    edge: int = 0

    def values(self, table: FeatureTable, cells: int) -> NDArray[np.float64]:
        """Of every shower, ``(n,)``; ``cells`` are those of the read-out."""
        if not self.column:
            return hits_above(table, np.array([self.edge]))[:, 0] / cells
        return np.asarray(table[self.column], dtype=np.float64)

    def scales(self, table: FeatureTable, cells: int) -> NDArray[np.float64]:
        """What deviations are relative to, of every shower, ``(n,)``: its mean is taken."""
        if self.scale == "mean":
            return self.values(table, cells)
        if self.scale == "radian":
            return np.ones(len(table))
        width = np.sqrt(np.maximum(table[f"moment2_{self.axis}"], 0.0))
        return np.asarray(width if self.scale == "width" else width**3)


def quantities(frame: Frame) -> list[Quantity]:
    """All quantities, for the thresholds that suit the reference."""
    found = [Quantity("fraction", "sampling fraction", "sampling_fraction", "fraction")]
    for axis in "xyz":
        first, third = ("width", "cube") if axis != "z" else ("mean", "cube")
        found += [
            Quantity(f"M1_{axis}", f"first moment in {axis}", "moments", f"cog_{axis}", first, axis),
            Quantity(f"M2_{axis}", f"second moment in {axis}", "moments", f"moment2_{axis}"),
            Quantity(f"M3_{axis}", f"third moment in {axis}", "moments", f"moment3_{axis}", third, axis),
        ]
    energies = frame.binning.spectrum
    for edge in sparsity_edges(frame):
        title = f"share of cells above {energies[edge]:.2g} MeV"
        found.append(Quantity(f"cells>{energies[edge]:.2g}", title, "sparsity", edge=int(edge)))
    found.append(Quantity("R1", FAMILIES["first_part"], "first_part", "first_part"))
    found.append(Quantity("angle", FAMILIES["angle"], "angle", "measured_angle", "radian"))
    return found


def sparsity_edges(frame: Frame) -> NDArray[np.int64]:
    """Edges of the spectrum above which 100, 75, 50, 25 and 10 % of the reference's cells lie."""
    counts = frame.reference.total("spectrum")
    above = counts[::-1].cumsum()[::-1] / max(int(counts.sum()), 1)
    return np.unique([int(np.argmin(np.abs(above - share))) for share in _ABOVE])
