"""Bins that all files of a comparison share; they are derived from the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from caloforge.errors import DataError
from caloforge.features.bins import check_edges
from caloforge.features.hits import cell_blocks, hits_of
from caloforge.features.pipeline import pipelined
from caloforge.features.regimes import CellQuantiles, check_regimes
from caloforge.geometry import BoxGrid, PolarGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features.hits import Hits
    from caloforge.features.kept import KeptBlocks
    from caloforge.formats import ShowerReader
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["PUBLISHED_RADIAL_EDGES", "SPECTRUM_BINS", "SPECTRUM_SPLIT", "Binning", "derive_binning"]

PUBLISHED_RADIAL_EDGES = (0.0, 6.558, 9.849, 12.96, 17.028, 23.434, 33.609, 40.119, 48.491, 68.808, 300.0)
"""Radial bins of CaloClouds II [mm] (2309.05704, reference section 8.7)."""

SPECTRUM_BINS = 49
"""Bins of the CaloChallenge's voxel energies (section 13.3)."""

SPECTRUM_SPLIT = 4
"""Bins of the spectrum in each of them."""

_RADIAL_STEPS = 4000
_GROUPS = 10


@dataclass(frozen=True)
class Binning:
    """Bin edges of a comparison.

    Attributes:
        spectrum: Cell energies [MeV], logarithmic: ``SPECTRUM_SPLIT`` times 49 bins from the
            threshold to the largest cell of the reference, which they include, and as fine bins over
            one more decade; what lies above counts in the last bin.
        longitudinal: First layers of the groups, and the number of layers.
        radial: Distance to the incident axis, about ten bins [mm]; open at the end.
        profile: Distance to the incident axis in fine bins for figures [mm]; open at the end.
        lateral: Edges of the mean lateral image: x and y [mm], or alpha [rad] and r [mm] for rings.
        regimes: The two cell energies [MeV] between CaloPointFlow's three regimes.

    Raises:
        DataError: Edges are not finite or do not rise.
    """

    spectrum: NDArray[np.float64]
    longitudinal: NDArray[np.int64]
    radial: NDArray[np.float64]
    profile: NDArray[np.float64]
    lateral: tuple[NDArray[np.float64], NDArray[np.float64]]
    regimes: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check all edges."""
        for name in ("spectrum", "longitudinal", "radial", "profile", "regimes"):
            check_edges(f"{name} bins", getattr(self, name))
        for edges in self.lateral:
            check_edges("lateral bins", edges)

    @property
    def official_spectrum(self) -> NDArray[np.float64]:
        """The 50 edges of the CaloChallenge's voxel energy histogram [MeV]."""
        return self.spectrum[: SPECTRUM_BINS * SPECTRUM_SPLIT + 1 : SPECTRUM_SPLIT]


def derive_binning(
    source: ShowerReader | Showers,
    geometry: Geometry,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    start: int = 0,
    stop: int | None = None,
    radial: Literal["auto", "published", "quantile"] = "auto",
    regimes: tuple[float, float] | None = None,
    keep: KeptBlocks | None = None,
    threads: int | None = None,
) -> Binning:
    """Derive the bins from showers ``start`` to ``stop`` of the reference.

    Longitudinal groups, and radial bins when ``radial`` is "quantile", hold about a tenth of the
    reference's energy each (as CaloClouds' bins did for its own data). "auto" takes CaloClouds'
    published radial edges for box grids and quantiles for rings. ``regimes`` are the cell energies
    [MeV] between the three regimes; by default half and nine tenths of the reference's cells lie
    below them. ``keep`` gets the cells, for the ``scan`` that follows; ``threads`` as of ``scan``.

    Raises:
        ConfigError: ``regimes`` do not rise.
        DataError: No cell of the reference is above the threshold.
    """
    blocks = cell_blocks(source, geometry, offset=offset, start=start, stop=stop)
    if keep is not None:
        blocks = keep.keeping(blocks)
    sums = _sum(blocks, geometry, offset, threads)
    if radial == "auto":
        radial = "published" if isinstance(geometry.layers[0].grid, BoxGrid) else "quantile"
    edges = np.array(PUBLISHED_RADIAL_EDGES) if radial == "published" else _quantiles(sums.radial, sums.steps)
    layers = _quantiles(sums.layers, np.arange(geometry.n_layers + 1.0))
    return Binning(
        spectrum=_spectrum_edges(geometry.threshold, sums.smallest, sums.largest),
        longitudinal=layers.round().astype(np.int64),
        radial=edges,
        profile=_profile_edges(geometry),
        lateral=_lateral_edges(geometry),
        regimes=sums.cells.edges() if regimes is None else check_regimes(regimes),
    )


@dataclass(frozen=True)
class _Sums:
    smallest: float
    largest: float | np.floating
    layers: NDArray[np.float64]
    radial: NDArray[np.float64]
    steps: NDArray[np.float64]
    cells: CellQuantiles


def _sum(
    blocks: Iterator[Showers], geometry: Geometry, offset: tuple[float, float], threads: int | None
) -> _Sums:
    steps = np.linspace(0.0, _reach(geometry), _RADIAL_STEPS + 1)

    def of_block(block: Showers) -> _Sums | None:
        hits = hits_of(block, geometry, offset=offset)
        return _sums_of(hits, steps) if len(hits.energy) else None

    layers, radial = np.zeros(geometry.n_layers), np.zeros(_RADIAL_STEPS)
    smallest, cells = np.inf, CellQuantiles()
    largest: float | np.floating = 0.0
    for part in pipelined(blocks, of_block, threads=threads):
        if part is None:
            continue
        smallest, largest = min(smallest, part.smallest), max(largest, part.largest)
        cells.merge(part.cells)
        layers += part.layers
        radial += part.radial
    if largest == 0.0:
        msg = f"No cell of the reference is above the threshold of {geometry.threshold:g} MeV."
        raise DataError(msg)
    return _Sums(smallest, largest, layers, radial, steps, cells)


def _sums_of(hits: Hits, steps: NDArray[np.float64]) -> _Sums:
    cells = CellQuantiles()
    cells.add(hits.energy)
    return _Sums(
        smallest=float(hits.energy.min()),
        largest=hits.precision.type(hits.energy.max()),
        layers=_energies(hits, hits.layer, hits.geometry.n_layers),
        radial=_energies(hits, hits.distance_bins(steps), len(steps) - 1),
        steps=steps,
        cells=cells,
    )


def _energies(hits: Hits, index: NDArray[np.integer], size: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(index, weights=hits.energy, minlength=size), dtype=np.float64)


def _reach(geometry: Geometry) -> float:
    """A distance to the axis that no cell exceeds by much: the window's corner."""
    return float(max(np.hypot(*geometry.cell_positions[:, :2].T).max(), 1e-6) * 1.05)


def _quantiles(weights: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges, out of ``edges``, of ten bins with about equal weight; fewer where one holds more."""
    share = np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
    inner = np.searchsorted(share, np.arange(1, _GROUPS) / _GROUPS)
    inner = inner[(inner > 0) & (inner < len(edges) - 1)]
    return np.concatenate([edges[:1], edges[np.unique(inner)], edges[-1:]])


def _spectrum_edges(threshold: float, smallest: float, largest: float | np.floating) -> NDArray[np.float64]:
    low = threshold if threshold > 0 else smallest
    high = max(largest, low * 1.01)
    # the CaloChallenge's, bit by bit: the logarithm has the precision of the voxels
    coarse = np.logspace(np.log10(low), np.log10(high), SPECTRUM_BINS + 1)
    step = np.log10(coarse[-1] / coarse[0]) / (SPECTRUM_BINS * SPECTRUM_SPLIT)
    parts = np.power(10.0, step * np.arange(SPECTRUM_SPLIT))
    more = np.power(10.0, step * np.arange(int(np.ceil(1.0 / step)) + 1))
    more[0] = np.nextafter(1.0, 2.0)  # its last bin includes the edge
    return np.concatenate([np.outer(coarse[:-1], parts).ravel(), coarse[-1] * more])


def _profile_edges(geometry: Geometry) -> NDArray[np.float64]:
    grids = [layer.grid for layer in geometry.layers]
    if any(isinstance(grid, PolarGrid) for grid in grids):
        return np.unique(np.concatenate([g.r_edges for g in grids if isinstance(g, PolarGrid)]))
    pitch = max(max(g.pitch) for g in grids if isinstance(g, BoxGrid))
    return np.arange(0.0, _reach(geometry) + pitch, pitch)


def _lateral_edges(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    boxes = [layer.grid for layer in geometry.layers if isinstance(layer.grid, BoxGrid)]
    if not boxes:
        n_alpha = max(layer.grid.shape[0] for layer in geometry.layers)
        return np.linspace(-np.pi, np.pi, n_alpha + 1), _profile_edges(geometry)
    x, y = (_box_edges(boxes, axis) for axis in (0, 1))
    return x, y


def _box_edges(boxes: list[BoxGrid], axis: int) -> NDArray[np.float64]:
    cells = max(grid.shape[axis] for grid in boxes)
    low = min(grid.low[axis] for grid in boxes)
    high = max(grid.low[axis] + grid.shape[axis] * grid.pitch[axis] for grid in boxes)
    return np.linspace(low, high, cells + 1)
