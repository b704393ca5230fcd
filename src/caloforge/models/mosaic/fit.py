"""Fitting: from real showers to the tables that the engine draws from."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from caloforge.geometry import cell_symmetries
from caloforge.models.mosaic import native
from caloforge.models.mosaic.growing import grow
from caloforge.models.mosaic.program import PATTERN
from caloforge.models.mosaic.real_roots import real_roots
from caloforge.models.mosaic.runs import firsts
from caloforge.models.mosaic.tables import Tables, exponentials, squared_sines
from caloforge.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.growing import Grown
    from caloforge.models.mosaic.plan import Plan, Table
    from caloforge.models.mosaic.real_cells import RealCells
    from caloforge.models.mosaic.samples import Samples
    from caloforge.models.mosaic.tables import Roots

__all__ = ["FitConfig", "Fitted", "fit"]

_LOGGER = logging.getLogger(__name__)
_PROBE = 400  # showers that tell how often tables are used
_SPARE = 1.3  # rows asked for beyond those expected


class FitConfig(Record):
    """How much of the real showers is kept, and how finely it is sorted."""

    copies: int = Field(default=2, ge=1, le=64)
    """Times that every real shower is used, turned and mirrored by chance."""
    window: float = Field(default=0.02, ge=0, le=1)
    """Part of the incident energy by which that of a real shower to start from may differ."""
    nearest: int = Field(default=60, ge=1, le=10**5)
    """Real showers to start from that are enough; where there are fewer, the window is wider."""
    roots: int | None = Field(default=None, ge=1, le=10**7)
    """Most real showers to start from that are kept; none: all."""
    local_rows: int = Field(default=12_000, ge=100, le=10**7)
    """Most splits of a table for one interval of layers."""
    split_rows: int = Field(default=20_000, ge=100, le=10**7)
    """Most splits of the other tables of splits."""
    cell_rows: int = Field(default=150_000, ge=100, le=10**7)
    """Most patterns of a table of cells."""
    split_leaf: int = Field(default=20, ge=1, le=10**5)
    """Fewest splits of a leaf."""
    cell_leaf: int = Field(default=12, ge=1, le=10**5)
    """Fewest patterns of a leaf."""
    features: float = Field(default=0.5, gt=0, le=1)
    """Share of the context that a cut of a tree chooses from."""

    def rows(self, table: Table) -> int:
        """Most rows of a table."""
        if table.kind == PATTERN:
            return self.cell_rows
        return self.local_rows if table.local else self.split_rows

    def leaf(self, table: Table) -> int:
        """Fewest rows of a leaf."""
        return self.cell_leaf if table.kind == PATTERN else self.split_leaf


@dataclass(frozen=True)
class Fitted:
    """What is fitted."""

    tables: Tables
    roots: Roots


def fit(
    plan: Plan,
    geometry: Geometry,
    cells: RealCells,
    config: FitConfig,
    *,
    seed: int,
    turns: NDArray[np.integer] | None = None,
    scale: NDArray[np.integer] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fit all tables to real showers.

    Args:
        plan: Of the read-out.
        geometry: The read-out.
        cells: The real showers.
        config: Sizes.
        seed: Of all choices: the same showers give the same tables, with any number of workers.
        turns: Symmetries of the showers, as of ``real_roots``.
        scale: Of the conditions, as of ``real_roots``.
        workers: Threads.
        progress: Told how many tables are done, and of how many.

    Raises:
        MissingDependencyError: The compiled engine is missing.
    """
    rng = np.random.default_rng(seed)
    turns = cell_symmetries(geometry) if turns is None else turns
    copies = cells.copies(turns, config.copies, rng).shuffled(rng)
    samples = _collected(plan, copies, config, seed)
    _LOGGER.info("%d splits of %d showers", sum(len(s.hits) for s in samples), len(copies))
    grown = _grown(plan.tables, samples, config, seed=seed, workers=workers, progress=progress)
    tables = _joined(grown)
    kept = cells if config.roots is None else cells.shuffled(rng).first(config.roots)
    roots = real_roots(
        plan, geometry, kept, window=config.window, nearest=config.nearest, turns=turns, scale=scale
    )
    return Fitted(tables, roots)


def _collected(plan: Plan, copies: RealCells, config: FitConfig, seed: int) -> list[Samples]:
    """Real splits of every table, not more than wanted, from all showers alike."""
    most = np.array([config.rows(table) for table in plan.tables], np.int64)
    probe = copies.first(_PROBE)
    _, seen = _collect(plan, probe, np.zeros(len(most), np.float32), most, seed)
    expected = np.maximum(seen, 1) * (len(copies) / max(len(probe), 1))
    keep = np.minimum(_SPARE * most / expected, 1.0).astype(np.float32)
    return _collect(plan, copies, keep, most, seed)[0]


def _collect(
    plan: Plan, cells: RealCells, keep: NDArray[np.float32], most: NDArray[np.int64], seed: int
) -> tuple[list[Samples], NDArray[np.int64]]:
    arrays = cells.counts, cells.cell, cells.energy, cells.codes
    return native.collect(plan.program, *arrays, keep=keep, most=most, seed=seed)


def _grown(
    tables: Sequence[Table],
    samples: list[Samples],
    config: FitConfig,
    *,
    seed: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[Grown]:
    def one(number: int) -> Grown:
        table = tables[number]
        leaf, features = config.leaf(table), config.features
        return grow(samples[number], table, leaf=leaf, features=features, seed=seed + number)

    grown = []
    with ThreadPoolExecutor(workers) as pool:
        for done in pool.map(one, range(len(tables))):
            grown.append(done)
            if progress is not None:
                progress(len(grown), len(tables))
    return grown


def _joined(grown: Sequence[Grown]) -> Tables:
    """All tables on end."""

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(table, name) for table in grown])

    forests = [table.forest for table in grown]
    nodes = firsts([len(forest.feature) for forest in forests])
    donors = firsts([len(table.pattern) for table in grown])
    placed = list(zip(forests, nodes, donors, strict=False))
    pattern = joined("pattern").astype(np.uint16)
    return Tables(
        roots=np.stack([forest.roots + node for forest, node, _ in placed]).astype(np.int32),
        feature=np.concatenate([forest.feature for forest in forests]).astype(np.int16),
        limit=np.concatenate([forest.limit for forest in forests]).astype(np.int16),
        kid=np.concatenate([forest.kid + node for forest, node, _ in placed]).astype(np.int32),
        start=np.concatenate([forest.start + donor for forest, _, donor in placed]).astype(np.int32),
        count=np.concatenate([forest.count for forest in forests]).astype(np.int32),
        weights_start=firsts([len(table.weights) for table in grown]),
        weights=joined("weights").astype(np.int32),
        bias=np.stack([table.bias for table in grown]),
        hit_weight=np.array([table.hit_weight for table in grown], np.int64),
        split_hits=joined("split_hits").astype(np.uint8),
        split_angle=joined("split_angle").astype(np.int16),
        split_ratio=joined("split_ratio").astype(np.int16),
        pattern=pattern,
        share_start=firsts(np.bitwise_count(pattern))[:-1],
        share=joined("share").astype(np.float32),
        pull_start=firsts([len(table.pulls.amount) for table in grown]),
        pull_place=np.concatenate([table.pulls.place for table in grown]),
        pull_child=np.concatenate([table.pulls.child for table in grown]),
        pull=np.concatenate([table.pulls.amount for table in grown]),
        sine=squared_sines(),
        exponential=exponentials(),
    )
