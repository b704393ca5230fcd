"""Hypothesis strategies for grids, geometries and showers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from caloforge.geometry import BoxGrid, Geometry, Layer, PolarGrid, Slab
from caloforge.showers import Incident, ShowerMeta, Showers

__all__ = ["box_grids", "cell_showers", "geometries", "grids", "point_showers", "polar_grids"]

_sizes = st.floats(0.5, 20.0)


@st.composite
def box_grids(draw: st.DrawFn) -> BoxGrid:
    centre = st.floats(-50.0, 50.0)
    return BoxGrid(
        nx=draw(st.integers(1, 6)),
        ny=draw(st.integers(1, 6)),
        pitch=(draw(_sizes), draw(_sizes)),
        centre=(draw(centre), draw(centre)),
    )


@st.composite
def polar_grids(draw: st.DrawFn) -> PolarGrid:
    widths = draw(st.lists(_sizes, min_size=1, max_size=5))
    first = draw(st.sampled_from([0.0, 3.0]))
    edges = np.cumsum([first, *widths])
    return PolarGrid(r_edges=tuple(edges.tolist()), n_alpha=draw(st.integers(1, 12)))


def grids() -> st.SearchStrategy[BoxGrid | PolarGrid]:
    return st.one_of(box_grids(), polar_grids())


@st.composite
def _layers(draw: st.DrawFn, *, grid: BoxGrid | PolarGrid, number: int) -> Layer:
    if draw(st.booleans()):
        return Layer(grid=grid, id=number)
    plates = (Slab(material="W", thickness=draw(_sizes)), Slab(material="Si", thickness=0.5, sensitive=True))
    return Layer(slabs=plates if draw(st.booleans()) else plates[::-1], grid=grid, id=number)


@st.composite
def geometries(draw: st.DrawFn, *, threshold: float = 0.0) -> Geometry:
    """Ragged or uniform, of boxes, rings or both."""
    count = draw(st.integers(1, 4))
    kind = draw(st.sampled_from([box_grids(), polar_grids(), grids()]))
    same = draw(st.booleans())
    chosen = [draw(kind)] * count if same else [draw(kind) for _ in range(count)]
    layers = tuple(draw(_layers(grid=grid, number=number)) for number, grid in enumerate(chosen))
    return Geometry(name="drawn", layers=layers, threshold=threshold)


@st.composite
def cell_showers(draw: st.DrawFn, geometry: Geometry) -> Showers:
    """Up to five showers, some empty, with distinct sorted cells."""
    cells = st.lists(st.integers(0, geometry.n_cells - 1), unique=True, max_size=20).map(sorted)
    parts = draw(st.lists(cells, min_size=1, max_size=5))
    energy = draw(st.randoms(use_true_random=False))
    counts = [len(part) for part in parts]
    return Showers(
        incident=Incident.of(np.full(len(parts), 1000.0)),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        energy=np.array([energy.uniform(0.5, 50.0) for _ in range(sum(counts))], dtype=np.float32),
        cells=np.array([c for part in parts for c in part], dtype=np.int32),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )


@st.composite
def point_showers(draw: st.DrawFn, *, width: float = 30.0, depth: float = 30.0) -> Showers:
    """Up to five showers of points in a box of ``width`` around the axis and down to ``depth``."""
    counts = draw(st.lists(st.integers(0, 30), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    hits = sum(counts)
    points = rng.uniform((-width / 2, -width / 2, 0.0), (width / 2, width / 2, depth), (hits, 3))
    return Showers(
        incident=Incident.of(rng.uniform(1e3, 1e5, len(counts)), phi=rng.uniform(0, 6, len(counts))),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        energy=rng.exponential(1.0, hits),
        points=points,
        meta=ShowerMeta(geometry="drawn", sampling_fraction=draw(st.sampled_from([1.0, 0.03]))),
        extras={"cpu_seconds": rng.random(len(counts))},
    )
