"""Training showers in an uncompressed, memory-mapped cache of flat arrays."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from caloforge.errors import CaloForgeError, ConfigError, DataError, OutputError, bad
from caloforge.files import write_text
from caloforge.formats import open_showers
from caloforge.formats.selected import SelectedReader
from caloforge.geometry import (
    SQUARE_TURNS,
    cell_symmetries,
    load_geometry,
    project,
    symmetry_turns,
    to_points,
)
from caloforge.models import Batch, CellSet, Particles
from caloforge.preprocessing import Summary
from caloforge.showers import Incident, Showers
from caloforge.split import Split
from caloforge.training.cache_sums import cache_sums, whole_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.formats import ShowerReader
    from caloforge.geometry import Geometry
    from caloforge.split import Part

__all__ = ["TrainingData", "read_out_of"]

_LOGGER = logging.getLogger(__name__)
_COLUMNS = ("x", "y", "layer", "energy")
_CELL_COLUMNS = ("cell", "cell_energy")
_TYPES = {"layer": np.uint8, "cell": np.int32}  # float32 otherwise
_FACTS = "facts.json"
_FORMAT = 4  # of the cache: older ones are made again


class TrainingData:
    """Showers ready to train on; every file is split into its parts by itself.

    Args:
        folder: The cache.
        sources: The shower files that the cache was made from.
        geometry: The read-out.
    """

    def __init__(self, folder: Path, sources: Sequence[Path], geometry: Geometry) -> None:
        self.sources = tuple(sources)
        self.geometry = geometry
        arrays = {p.stem: np.load(p, mmap_mode="r") for p in sorted(folder.glob("*.npy"))}
        self._columns = {name: arrays[name] for name in (*_COLUMNS, *_CELL_COLUMNS)}
        self.offsets: NDArray[np.int64] = np.asarray(arrays["offsets"])
        self.cell_offsets: NDArray[np.int64] = np.asarray(arrays["cell_offsets"])
        self.energy: NDArray[np.float64] = np.asarray(arrays["incident_energy"])
        self.direction: NDArray[np.float32] = np.asarray(arrays["direction"])
        self.pdg: NDArray[np.int32] = np.asarray(arrays["pdg"])
        self._layers = {name: arrays[name] for name in ("counts", "energies", "centre")}
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        self.pitch: float = facts["pitch"]
        self.fingerprint: str = facts["fingerprint"]
        self.splits = tuple(Split(*entry) for entry in facts["splits"])
        self._rows: dict[Part, NDArray[np.int64]] = {}

    @classmethod
    def prepare(cls, sources: Sequence[Path], geometry: Geometry, folder: Path, *, seed: int) -> TrainingData:
        """Open the cache of shower files, or build it.

        Raises:
            DataError: There are fewer than ten showers, or several kinds of positions, or no hits.
            OutputError: The cache cannot be written.
        """
        origin = _origin(sources, geometry, seed)
        if whole_facts(folder / _FACTS).get("origin") != origin:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _FACTS).unlink(missing_ok=True)
            for old in folder.glob("*.npy"):  # other runs may share these files: they keep them
                old.unlink()
            with ExitStack() as stack, _writing(folder):
                opened = [stack.enter_context(open_showers(p, geometry=geometry)) for p in sources]
                _check_positions(opened)
                facts = _build_cache(opened, geometry, folder, seed=seed)
            write_text(folder / _FACTS, json.dumps({**facts, "origin": origin, "sums": cache_sums(folder)}))
        data = cls(folder, sources, geometry)
        for path, split in zip(sources, data.splits, strict=True):
            if split.permuted:
                _LOGGER.info(split.sentence(path))
        return data

    def __len__(self) -> int:
        return len(self.energy)

    @cached_property
    def particles(self) -> tuple[int, ...]:
        """The kinds of particles that there are, by code."""
        return tuple(np.unique(self.pdg).tolist())

    @property
    def _starts(self) -> NDArray[np.int64]:
        """First shower of every file, and the number of all."""
        return np.cumsum([0, *(split.count for split in self.splits)])

    def size(self, part: Part) -> int:
        """Showers of a part, with and without hits."""
        return sum(split.size(part) for split in self.splits)

    def rows(self, part: Part) -> NDArray[np.int64]:
        """Showers of a part that have at least one cell above threshold, in rising order.

        Raises:
            DataError: There is none.
        """
        if part not in self._rows:
            parts = [first + s.rows(part) for first, s in zip(self._starts, self.splits, strict=False)]
            rows = np.concatenate(parts).astype(np.int64)
            self._rows[part] = rows[np.diff(self.cell_offsets)[rows] > 0]
        if not len(self._rows[part]):
            msg = f"The {part} part of the {len(self)} showers has no shower with hits: give more showers."
            raise DataError(msg)
        return self._rows[part]

    def source_of(self, shower: int) -> Path:
        """The file that a shower comes from."""
        return self.sources[int(np.searchsorted(self._starts[1:], shower, side="right"))]

    def showers(self, part: Part, *, block: int = 200) -> Iterator[Showers]:
        """Stream the showers of a part as points; ``extras["index"]`` counts them.

        Every block of a permuted file is a fair sample of the part.
        """
        first = 0
        for source, split in zip(self.sources, self.splits, strict=True):
            with open_showers(source, geometry=self.geometry) as reader:
                for rows in split.blocks(part, block):
                    showers = SelectedReader(reader, rows).read(0, len(rows))
                    points = _as_points(showers, self.geometry, np.random.default_rng(first))
                    yield _with_index(points, first + np.arange(len(showers)))
                    first += len(showers)

    def batch(
        self,
        rows: NDArray[np.int64],
        *,
        rng: np.random.Generator,
        points: int = 0,
        cells: bool = False,
        summary: bool = True,
        symmetry: str = "none",
        own: slice = slice(None),
    ) -> Batch:
        """Assemble showers.

        Args:
            rows: Which ones.
            rng: Draws points and turns.
            points: So many of every shower's points come along, drawn with replacement. They are spread
                uniformly over their fine cell and over their layer (dequantisation), each by its own
                random number.
            cells: Whether all cells above threshold come along; showers are turned by the symmetries of
                the read-out then, instead of those of a square.
            summary: Whether summaries come along.
            symmetry: ``square`` turns and mirrors every shower at random; ``none`` leaves them.
            own: Those of the ``rows`` that are assembled, as they are in the batch of all.
        """
        turns = self._turns if cells else SQUARE_TURNS
        choice = rng.integers(len(turns), size=len(rows))
        if symmetry == "none":
            choice[:] = 0
        turn = turns[choice]
        drawn = self._draw(rows, points, turn, rng, own) if points else None
        rows, choice, turn = rows[own], choice[own], turn[own]
        return Batch(
            particles=self._particles(rows, turn),
            summary=self._summary(rows, turn) if summary else None,
            points=None if drawn is None else torch.from_numpy(drawn),
            cells=self._cells(rows, choice) if cells else None,
        )

    def _particles(self, rows: NDArray[np.int64], turn: NDArray[np.float32]) -> Particles:
        direction = torch.from_numpy(_turned(turn, self.direction[rows][:, None])[:, 0])
        pdg = torch.from_numpy(self.pdg[rows].astype(np.int64))
        return Particles(torch.from_numpy(self.energy[rows]), direction, pdg, torch.zeros_like(direction))

    def _summary(self, rows: NDArray[np.int64], turn: NDArray[np.float32]) -> Summary:
        centre = np.array(self._layers["centre"][rows])
        centre[:, :2] = _turned(turn, centre[:, None, :2])[:, 0]
        return Summary(
            counts=torch.from_numpy(self._layers["counts"][rows].astype(np.float32)),
            energies=torch.from_numpy(np.array(self._layers["energies"][rows])),
            centre=torch.from_numpy(centre),
        )

    @cached_property
    def _turns(self) -> NDArray[np.float32]:
        return symmetry_turns(self.geometry)

    @cached_property
    def _cell_turns(self) -> NDArray[np.int32]:
        return cell_symmetries(self.geometry)

    def _cells(self, rows: NDArray[np.int64], turn: NDArray[np.int64]) -> CellSet:
        counts = self.cell_offsets[rows + 1] - self.cell_offsets[rows]
        index = np.repeat(np.arange(len(rows)), counts)
        starts = self.cell_offsets[rows] - np.cumsum(counts) + counts
        chosen = starts[index] + np.arange(len(index))
        cell, energy = (np.asarray(self._columns[name][chosen]) for name in _CELL_COLUMNS)
        if turn.any():  # 0 leaves a shower as it is
            cell = self._cell_turns[turn[index], cell]
            order = np.argsort(index * self.geometry.n_cells + cell)
            cell, energy = cell[order], energy[order]
        return CellSet(*(torch.from_numpy(v) for v in (counts, cell.astype(np.int64), energy)))

    def _draw(
        self,
        rows: NDArray[np.int64],
        points: int,
        turn: NDArray[np.float32],
        rng: np.random.Generator,
        own: slice,
    ) -> NDArray[np.float32]:
        """Points of the ``own`` rows; random numbers are drawn for all."""
        shape = (len(rows), points)
        place = rng.random(shape)[own]
        aside = rng.random((*shape, 2), dtype=np.float32)[own]
        deeper = rng.random(shape, dtype=np.float32)[own]
        first, behind = self.offsets[rows[own]], self.offsets[rows[own] + 1]
        chosen = first[:, None] + (place * (behind - first)[:, None]).astype(np.int64)
        x, y, layer, energy = (self._columns[name][chosen].astype(np.float32) for name in _COLUMNS)
        lateral = np.stack([x, y], axis=-1)
        lateral += self.pitch * (aside - np.float32(0.5))
        depth = layer + deeper
        return np.concatenate([_turned(turn[own], lateral), np.stack([depth, energy], axis=-1)], axis=-1)


def read_out_of(name: str, data: Path) -> Geometry:
    """The read-out that is trained on.

    Args:
        name: In the catalogue, or a file; "" takes that of the showers.
        data: A file of them.

    Raises:
        ConfigError: The file does not tell its own.
        GeometryError: There is no such read-out.
    """
    if name:
        return load_geometry(name)
    with open_showers(data) as reader:
        if reader.geometry is None:
            msg = f"{data} does not tell its geometry: give geometry=NAME."
            raise ConfigError(msg)
        return reader.geometry


def _turned(turn: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    turned: NDArray[np.float32] = np.einsum("bij,bkj->bki", turn, vectors)
    return turned


def _as_points(showers: Showers, geometry: Geometry, rng: np.random.Generator) -> Showers:
    """Points with energies on the geometry's scale, which the trained model will generate on."""
    points = showers if showers.points is not None else to_points(showers, geometry, rng=rng)
    scale = points.meta.sampling_fraction / geometry.sampling_fraction
    meta = replace(points.meta, sampling_fraction=geometry.sampling_fraction)
    return replace(points, energy=points.energy * np.float32(scale), meta=meta)


def _with_index(showers: Showers, index: NDArray[np.int64]) -> Showers:
    return replace(showers, extras={"index": index})


def _origin(sources: Sequence[Path], geometry: Geometry, seed: int) -> dict[str, Any]:
    """What a cache is made of, so that a file which was replaced is noticed."""
    files = [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in sources if p.exists()]
    return {"format": _FORMAT, "files": files, "geometry": geometry.fingerprint, "seed": seed}


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say what could not be written; errors of reading are told by the readers."""
    try:
        yield
    except CaloForgeError:
        raise
    except OSError as error:
        msg = f"Cannot write the training data to {folder}: {error.strerror or error} (is the disk full?)."
        raise OutputError(msg) from error


def _build_cache(
    readers: Sequence[ShowerReader], geometry: Geometry, folder: Path, *, seed: int
) -> dict[str, Any]:
    incidents = [reader.incident() for reader in readers]
    incident = Incident.concatenate(incidents)
    _check_number(incident, readers)
    rng = np.random.default_rng(seed)
    blocks = (_as_points(block, geometry, rng) for reader in readers for block in reader.blocks())
    hits, facts = _stream_columns(blocks, geometry, folder)
    offsets = np.concatenate([[0], np.cumsum(hits)]).astype(np.int64)
    direction = incident.direction[:, :2].astype(np.float32)
    for name, values in (
        ("offsets", offsets),
        ("incident_energy", incident.energy),
        ("direction", direction),
        ("pdg", incident.pdg),
    ):
        np.save(folder / f"{name}.npy", values)
    digest = hashlib.sha256(offsets.tobytes() + incident.energy.tobytes()).hexdigest()[:16]
    splits = [[split.count, split.reason] for split in map(Split.of, incidents)]
    return {**facts, "fingerprint": digest, "splits": splits}


def _check_number(incident: Incident, readers: Sequence[ShowerReader]) -> None:
    if len(incident) < 10:
        names = ", ".join(str(reader.path) for reader in readers)
        raise DataError(bad(names, got=f"{len(incident)} showers", expected="ten or more to train on"))


def _check_positions(readers: Sequence[ShowerReader]) -> None:
    """Points are spread over the grid that they are on: one grid for all."""
    kinds = {_positions(reader): reader.path for reader in readers}
    if len(kinds) > 1:
        (first, one), (second, other) = list(kinds.items())[:2]
        msg = (
            f"{one} holds {first} and {other} holds {second}: train on files of one kind "
            "(`caloforge convert` turns points into cells)."
        )
        raise DataError(msg)


def _positions(reader: ShowerReader) -> str:
    meta = reader.meta
    if meta.fingerprint:
        return "read-out cells"
    return f"points on a grid of {meta.pitch:.4g} mm" if meta.pitch else "points at any place"


def _stream_columns(
    blocks: Iterator[Showers], geometry: Geometry, folder: Path
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    parts: dict[str, list[NDArray[np.generic]]] = {"counts": [], "energies": [], "centre": [], "cells": []}
    hits: list[NDArray[np.int64]] = []
    pitch = 0.0
    with ExitStack() as stack:
        names = (*_COLUMNS, *_CELL_COLUMNS)
        raw = {name: stack.enter_context((folder / f"{name}.raw").open("wb")) for name in names}
        for block in blocks:
            points = block.points if block.points is not None else np.empty((0, 3), np.float32)
            layer = geometry.layer_of(points[:, 2]).clip(0)
            cells = project(block, geometry)
            columns = (points[:, 0], points[:, 1], layer, block.energy, cells.cells, cells.energy)
            for name, column in zip(names, columns, strict=True):
                raw[name].write(np.ascontiguousarray(column, dtype=_TYPES.get(name, np.float32)).tobytes())
            hits.append(block.n_hits)
            pitch = block.meta.pitch
            parts["cells"].append(cells.n_hits)
            for name, values in _summaries(block, layer, geometry).items():
                parts[name].append(values)
    if not sum(int(n.sum()) for n in parts["cells"]):
        raise DataError("The showers to train on have no hits at all: look at the file and its threshold.")
    _finish_columns(folder)
    np.save(folder / "cell_offsets.npy", np.cumsum([0, *np.concatenate(parts.pop("cells"))]))
    for name, arrays in parts.items():
        np.save(folder / f"{name}.npy", np.concatenate(arrays))
    return np.concatenate(hits), {"pitch": pitch}


def _finish_columns(folder: Path) -> None:
    """Give the raw columns their header; copied piece by piece, so that nothing is held at once."""
    for name in (*_COLUMNS, *_CELL_COLUMNS):
        raw = folder / f"{name}.raw"
        dtype = np.dtype(_TYPES.get(name, np.float32))
        shape = (raw.stat().st_size // dtype.itemsize,)
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        # not through a memory map: a full disk would end the process there
        with raw.open("rb") as source, (folder / f"{name}.npy").open("wb") as target:
            np.lib.format.write_array_header_1_0(target, header)
            shutil.copyfileobj(source, target)
        raw.unlink()


def _summaries(
    block: Showers, layer: NDArray[np.int64], geometry: Geometry
) -> dict[str, NDArray[np.float32]]:
    """Counts and energies per layer and the centre of gravity relative to the particle's axis."""
    n, layers = len(block), geometry.n_layers
    key = block.shower * layers + layer
    energy = block.energy.astype(np.float64)
    counts = np.bincount(key, minlength=n * layers).reshape(n, layers)
    energies = np.bincount(key, weights=energy, minlength=n * layers).reshape(n, layers)
    direction = block.incident.direction
    slope = direction[:, :2] / direction[:, 2:]
    points = block.points if block.points is not None else np.empty((0, 3), np.float32)
    upright = points[:, :2] - slope[block.shower] * geometry.layer_z[layer][:, None]
    total = np.maximum(energies.sum(1), 1e-12)
    moments = [
        np.bincount(block.shower, weights=energy * values, minlength=n) / total
        for values in (upright[:, 0], upright[:, 1], layer + 0.5)
    ]
    arrays = {"counts": counts, "energies": energies, "centre": np.stack(moments, axis=1)}
    return {name: values.astype(np.float32) for name, values in arrays.items()}
