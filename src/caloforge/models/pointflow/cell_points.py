"""Read-out cells as points that a flow can learn, and points back to cells.

A cell becomes x, y [mm] and depth [layers] anywhere inside of it, with equal probability for equal
areas, and the logarithm of its energy over the threshold. Cell energies end at the threshold as at a
wall, next to which many of them lie. A flow of ln E, as published, smears the wall, and what it puts
below is lost: one reason for the missing soft hits of the paper's figure 3. Scaled by quantiles, the
wall lies at minus infinity, and no energy comes out below.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from caloforge import shares
from caloforge.geometry.grids import BoxGrid
from caloforge.models.pointflow.places import find_in_graph
from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import CellSet

__all__ = ["CellPoints", "LinearScaling", "PointScaling", "QuantileScaling"]

PointScaling = Literal["linear", "quantile"]

_ENERGY_BINS = 256
_FIT_CELLS = 2_000_000  # more do not change the numbers
_EDGE = 1e-6  # shares stay inside of [edge, 1 - edge], normal numbers below 4.8
_LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)


class CellPoints(Fitted):
    """Cells to points ``(M, 4)`` of order one, and back.

    Args:
        geometry: The read-out.
        scaling: ``linear``: means and standard deviations, as published; ``quantile``: every
            coordinate to a normal number by its own cumulative distribution (arXiv:2403.15782), which
            keeps points inside of the box and energies above the threshold.
    """

    floor: Tensor
    low: Tensor
    high: Tensor
    polar: Tensor

    def __init__(self, geometry: Geometry, *, scaling: PointScaling) -> None:
        super().__init__()
        self.geometry = geometry
        edges = _box_edges(geometry)
        self.scaling = LinearScaling() if scaling == "linear" else QuantileScaling(edges)
        self.register_buffer("floor", torch.ones((), dtype=torch.float64))
        low, high, polar = _cell_corners(geometry)
        for name, values in (("low", low), ("high", high), ("polar", polar)):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def fit(self, cells: CellSet, rng: torch.Generator) -> None:
        """Take the scales from showers."""
        stride = -(-len(cells.cell) // _FIT_CELLS)
        cell, energy = cells.cell[::stride], cells.energy[::stride].double()
        lowest = self.geometry.threshold or float(energy.min())
        self.floor.fill_(lowest)
        self.scaling.fit(self._values(cell, energy, rng))
        self._done()

    def forward(self, cells: CellSet, rng: torch.Generator) -> Tensor:
        """Points ``(M, 4)`` of cells, each anywhere in its cell."""
        self._require_fitted()
        points: Tensor = self.scaling(self._values(cells.cell, cells.energy.double(), rng))
        return points

    def inverse(self, points: Tensor) -> Tensor:
        """x, y [mm], depth [layers] and energy [MeV], float64 ``(M, 4)``, of points ``(M, 4)``.

        Energies that a linear scaling leaves below the threshold are mirrored there.
        """
        self._require_fitted()
        values = self.scaling.inverse(points)
        energy = self.floor * values[:, 3:].abs().clamp(max=30.0).exp()
        return torch.cat([values[:, :3], energy], dim=1)

    def log_slope(self, points: Tensor) -> Tensor:
        """ln |d point / d (x, y, depth, ln energy)| at points ``(M, 4)``: ``(M,)`` float64."""
        self._require_fitted()
        return self.scaling.log_slope(points)

    def find(self, values: Tensor) -> Tensor:
        """The cells ``(M,)`` under x, y, depth of ``(M, 3 or more)``; -1 outside of the window."""
        if torch.compiler.is_compiling():
            return find_in_graph(self.geometry, values)
        x, y, depth = values[:, :3].cpu().numpy().T
        # far away before it becomes a whole number
        layer = np.floor(np.clip(depth, -1.0, self.geometry.n_layers)).astype(np.int64)
        return torch.from_numpy(self.geometry.find_cells(x, y, layer)).to(values.device)

    def _values(self, cell: Tensor, energy: Tensor, rng: torch.Generator) -> Tensor:
        share = shares.uniform((len(cell), 3), rng, ragged=True, device=cell.device, dtype=torch.float64)
        low, high = self.low.index_select(0, cell), self.high.index_select(0, cell)
        place = low + (high - low) * share
        lateral = _cartesian(place[:, :2], self.polar.index_select(0, cell))
        log_energy = (energy / self.floor).log()[:, None]
        return torch.cat([lateral, place[:, 2:], log_energy], dim=1)


class LinearScaling(Fitted):
    """Four numbers less their mean, over their standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4, dtype=torch.float64))
        self.register_buffer("std", torch.ones(4, dtype=torch.float64))

    def fit(self, values: Tensor) -> None:
        """Take mean and standard deviation of values ``(N, 4)``, in two passes."""
        mean = values.mean(0)
        self.mean.copy_(mean)
        self.std.copy_((values - mean).square().mean(0).sqrt().clamp_min(1e-6))
        self._done()

    def forward(self, values: Tensor) -> Tensor:
        """Scale values ``(N, 4)`` to float32."""
        return ((values - self.mean) / self.std).float()

    def inverse(self, points: Tensor) -> Tensor:
        """Values ``(N, 4)``, float64."""
        return points.double() * self.std + self.mean

    def log_slope(self, points: Tensor) -> Tensor:
        """ln |d point / d value|, ``(N,)``: the same everywhere."""
        return -self.std.log().sum().expand(points.shape[0])


class QuantileScaling(Fitted):
    """Four numbers to normal ones, each by the cumulative distribution of its bins.

    Args:
        edges: Bin edges of the first three, each rising; the fourth gets its own from data.
    """

    def __init__(self, edges: Sequence[NDArray[np.float64]]) -> None:
        super().__init__()
        unit = np.linspace(0.0, 1.0, _ENERGY_BINS + 1)
        self.tables = nn.ModuleList(_Quantiles(torch.from_numpy(e)) for e in (*edges, unit))

    def fit(self, values: Tensor) -> None:
        """Count values ``(N, 4)``; the fourth starts at 0, and ends a bin above its largest."""
        end = values[:, 3].max().clamp_min(1e-3) * (1 + 1 / _ENERGY_BINS)
        steps = torch.linspace(0.0, 1.0, _ENERGY_BINS + 1, dtype=torch.float64, device=values.device)
        self._table(3).knots.copy_(steps * end)
        for k in range(4):
            self._table(k).fit(values[:, k])
        self._done()

    def forward(self, values: Tensor) -> Tensor:
        """Normal numbers ``(N, 4)`` float32 of values."""
        return torch.stack([self._table(k)(values[:, k]) for k in range(4)], dim=1)

    def inverse(self, points: Tensor) -> Tensor:
        """Values ``(N, 4)``, float64; all are inside of the bins."""
        return torch.stack([self._table(k).inverse(points[:, k]) for k in range(4)], dim=1)

    def log_slope(self, points: Tensor) -> Tensor:
        """ln |d point / d value|, ``(N,)``."""
        return torch.stack([self._table(k).log_slope(points[:, k]) for k in range(4)]).sum(0)

    def _table(self, k: int) -> _Quantiles:
        table = self.tables[k]
        assert isinstance(table, _Quantiles)  # for the type checker: a ModuleList forgets
        return table


class _Quantiles(Fitted):
    """One number to a normal one: bins of equal density inside."""

    knots: Tensor
    share: Tensor

    def __init__(self, knots: Tensor) -> None:
        super().__init__()
        self.register_buffer("knots", knots.double().clone())
        self.register_buffer("share", torch.linspace(0.0, 1.0, len(knots), dtype=torch.float64))

    def fit(self, values: Tensor) -> None:
        bins = len(self.knots) - 1
        # half a count in every bin: a value that was never seen has a place too
        counts = torch.bincount(self._bin(self.knots, values), minlength=bins).double() + 0.5
        self.share[1:] = counts.cumsum(0) / counts.sum()
        self._done()

    def forward(self, values: Tensor) -> Tensor:
        share = self._line(values, self.knots, self.share).clamp(_EDGE, 1 - _EDGE)
        target: Tensor = torch.special.ndtri(share)
        return target.float()

    def inverse(self, target: Tensor) -> Tensor:
        share = torch.special.ndtr(target.double()).clamp(_EDGE, 1 - _EDGE)
        return self._line(share, self.share, self.knots)

    def log_slope(self, target: Tensor) -> Tensor:
        normal = target.double()
        share = torch.special.ndtr(normal).clamp(_EDGE, 1 - _EDGE)
        density = (self.share.diff() / self.knots.diff()).log()
        return density[self._bin(self.share, share)] + 0.5 * normal.square() + _LOG_ROOT_TWO_PI

    def _line(self, values: Tensor, start: Tensor, end: Tensor) -> Tensor:
        place = self._bin(start, values)
        slope = end.diff() / start.diff()
        return end[place] + (values - start[place]) * slope[place]

    def _bin(self, knots: Tensor, values: Tensor) -> Tensor:
        return (torch.searchsorted(knots, values.contiguous(), right=True) - 1).clamp(0, len(knots) - 2)


def _box_edges(geometry: Geometry) -> list[NDArray[np.float64]]:
    """Edges in x, y and depth between which cells lie: of all layers together."""
    x: list[NDArray[np.float64]] = []
    y: list[NDArray[np.float64]] = []
    for layer in geometry.layers:
        grid = layer.grid
        if isinstance(grid, BoxGrid):
            x.append(grid.low[0] + grid.pitch[0] * np.arange(grid.nx + 1.0))
            y.append(grid.low[1] + grid.pitch[1] * np.arange(grid.ny + 1.0))
        else:
            radii = np.asarray(grid.r_edges, dtype=np.float64)
            both = np.concatenate([-radii, radii])
            x.append(both)
            y.append(both)
    lateral = [np.unique(np.concatenate(axis).round(9)) for axis in (x, y)]
    return [*lateral, np.arange(geometry.n_layers + 1, dtype=np.float64)]


def _cell_corners(
    geometry: Geometry,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Lower and upper corners ``(n_cells, 3)`` in (x, y, depth) or (r squared, alpha, depth), and which."""
    low, high, polar = [], [], []
    for number, layer in enumerate(geometry.layers):
        grid = layer.grid
        centre, half = grid.centres(), 0.5 * grid.extents()
        if not isinstance(grid, BoxGrid):
            centre = np.stack([np.hypot(*centre.T), np.arctan2(centre[:, 1], centre[:, 0])], axis=1)
        ends = [centre - half, centre + half]
        if not isinstance(grid, BoxGrid):  # equal probability for equal areas
            for end in ends:
                end[:, 0] = end[:, 0].clip(0.0) ** 2
        depth = np.full((len(centre), 1), float(number))
        low.append(np.hstack([ends[0], depth]))
        high.append(np.hstack([ends[1], depth + 1]))
        polar.append(np.full(len(centre), not isinstance(grid, BoxGrid)))
    return np.concatenate(low), np.concatenate(high), np.concatenate(polar)


def _cartesian(place: Tensor, polar: Tensor) -> Tensor:
    """x and y of (x, y) or, where ``polar``, of (r squared, alpha)."""
    if not bool(polar.any()):
        return place
    radius, alpha = place[:, :1].clamp_min(0.0).sqrt(), place[:, 1:]
    turned = torch.cat([radius * alpha.cos(), radius * alpha.sin()], dim=1)
    return torch.where(polar[:, None], turned, place)
