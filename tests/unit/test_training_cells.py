from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.formats import open_showers
from caloforge.geometry import Geometry, Layer, PolarGrid, find_rings, load_geometry, project
from caloforge.showers import Incident, Showers
from caloforge.training import TrainingData
from toy_training import training_data, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.models import Batch

POLAR = Geometry(
    name="polar",
    layers=tuple(Layer(grid=PolarGrid(r_edges=(0.0, 3.0, 8.0, 20.0), n_alpha=6), id=i) for i in range(30)),
    threshold=0.1,
)


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def cells_of(
    data: TrainingData, rows: NDArray[np.int64], *, symmetry: str = "none", seed: int = 0
) -> tuple[Batch, list[tuple[NDArray[np.int64], NDArray[np.float32]]]]:
    """A batch, and the cells and energies of every shower in it."""
    batch = data.batch(rows, points=0, rng=rng_of(seed), symmetry=symmetry, cells=True)
    assert batch.cells is not None
    sets = batch.cells
    assert sets.cell.dtype == sets.counts.dtype == torch.int64
    assert sets.energy.dtype == torch.float32
    assert torch.equal(torch.bincount(sets.index, minlength=len(rows)), sets.counts)
    ends = sets.counts.cumsum(0)[:-1].numpy()
    cells, energies = (np.split(v.numpy(), ends) for v in (sets.cell, sets.energy))
    return batch, list(zip(cells, energies, strict=True))


@pytest.fixture(scope="module")
def showers(make_toy_showers: Callable[..., Showers]) -> Showers:
    return make_toy_showers(40)


@pytest.fixture(scope="module")
def data(showers: Showers, siw: Geometry, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return training_data(tmp_path_factory.mktemp("data"), showers, siw)


def test_cells_of_a_batch_are_the_file_s_showers_in_the_read_out(
    data: TrainingData, showers: Showers, siw: Geometry
) -> None:
    cells = project(showers, siw)
    rows = np.array([7, 3, 5, 3, 39])  # 5 is empty
    batch, sets = cells_of(data, rows)
    np.testing.assert_allclose(batch.energy, showers.incident.energy[rows])
    for row, (cell, energy) in zip(rows, sets, strict=True):
        part = slice(*cells.offsets[row : row + 2])
        np.testing.assert_array_equal(cell, cells.cells[part])  # type: ignore[index]
        np.testing.assert_array_equal(energy, cells.energy[part])
    assert [len(cell) > 0 for cell, _ in sets] == [True, True, False, True, True]


def test_files_of_cells_give_the_same_cells(
    data: TrainingData, showers: Showers, siw: Geometry, tmp_path: Path
) -> None:
    from_cells = training_data(tmp_path, project(showers, siw), siw)
    rows = np.arange(40)
    _, expected = cells_of(data, rows)
    _, got = cells_of(from_cells, rows)
    for (cell, energy), (other_cell, other_energy) in zip(got, expected, strict=True):
        np.testing.assert_array_equal(cell, other_cell)
        np.testing.assert_array_equal(energy, other_energy)


def test_only_cells_above_threshold_and_showers_that_have_any(
    showers: Showers, siw: Geometry, tmp_path: Path
) -> None:
    weak = showers.energy.copy()
    weak[: showers.offsets[4]] = 1e-3 * siw.threshold  # the first four showers
    data = training_data(tmp_path, replace(showers, energy=weak), siw)
    rows = data.rows("train")
    assert set(range(28)) - set(rows.tolist()) == {0, 1, 2, 3, 5, 17}
    _, sets = cells_of(data, rows)
    assert min(float(energy.min()) for _, energy in sets) >= np.float32(siw.threshold)


def test_no_cells_unless_wanted(data: TrainingData) -> None:
    assert data.batch(np.arange(4), points=0, rng=rng_of(0)).cells is None


def symmetric_data(name: str, showers: Showers, folder: Path) -> tuple[TrainingData, Geometry]:
    geometry = load_geometry("siw-ecal") if name == "square" else POLAR
    if name == "polar":
        points = np.array(showers.points)
        points[:, 2] = geometry.layer_z[load_geometry("siw-ecal").layer_of(points[:, 2])]
        meta = replace(showers.meta, geometry="polar", pitch=0.0, sampling_fraction=1.0)
        showers = replace(showers, points=points, meta=meta)
    n = len(showers)
    tilted = Incident.of(showers.incident.energy, theta=np.linspace(0.1, 0.5, n), phi=np.linspace(0, 6, n))
    return training_data(folder, replace(showers, incident=tilted), geometry), geometry


@pytest.mark.parametrize("name", ["square", "polar"])
def test_symmetries_keep_rings_and_energies(name: str, showers: Showers, tmp_path: Path) -> None:
    data, geometry = symmetric_data(name, showers, tmp_path)
    ring, rows = find_rings(geometry).ring, data.rows("train")
    before, straight = cells_of(data, rows)
    after, turned = cells_of(data, rows, symmetry="square")
    moved = 0
    for (cell, energy), (other, other_energy) in zip(straight, turned, strict=True):
        assert (np.diff(other) > 0).all()
        first, second = (
            sorted(zip(ring[c].tolist(), e.tolist(), strict=True))
            for c, e in ((cell, energy), (other, other_energy))
        )
        assert first == second
        moved += not np.array_equal(cell, other)
    assert moved > 0.7 * len(rows)
    torch.testing.assert_close(after.direction.norm(dim=1), before.direction.norm(dim=1))


@pytest.mark.parametrize("name", ["square", "polar"])
def test_cells_directions_and_centres_turn_together(name: str, showers: Showers, tmp_path: Path) -> None:
    data, geometry = symmetric_data(name, showers, tmp_path)
    rows = data.rows("train")
    before, straight = cells_of(data, rows)
    after, turned = cells_of(data, rows, symmetry="square", seed=1)
    place = geometry.cell_positions[:, :2].astype(np.float64)

    def dipole(sets: list[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> NDArray[np.float64]:
        return np.array([energy @ place[cell] for cell, energy in sets])

    for vectors in (lambda batch: batch.direction, lambda batch: batch.summary.centre[:, :2]):
        first, second = (vectors(batch).numpy().astype(np.float64) for batch in (before, after))
        scale = np.linalg.norm(first, axis=1) * np.linalg.norm(dipole(straight), axis=1)
        for product in (np.vecdot, lambda a, b: abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])):
            np.testing.assert_allclose(
                product(second, dipole(turned)) / scale, product(first, dipole(straight)) / scale, atol=1e-4
            )
    assert float((after.direction - before.direction).abs().max()) > 0.1


def test_caches_of_an_older_format_are_made_again(showers: Showers, siw: Geometry, tmp_path: Path) -> None:
    path, cache = write(tmp_path / "toy.h5", showers, siw), tmp_path / "cache"
    TrainingData.prepare([path], siw, cache, seed=0)
    facts = json.loads((cache / "facts.json").read_text())
    del facts["origin"]["format"]
    (cache / "facts.json").write_text(json.dumps(facts))
    for name in ("cell", "cell_energy", "cell_offsets"):
        (cache / f"{name}.npy").unlink()
    data = TrainingData.prepare([path], siw, cache, seed=0)
    with open_showers(path, geometry=siw) as reader:
        assert len(reader) == len(data.cell_offsets) - 1
    made = (cache / "cell.npy").stat().st_mtime_ns
    TrainingData.prepare([path], siw, cache, seed=0)
    assert (cache / "cell.npy").stat().st_mtime_ns == made


def test_a_damaged_cache_is_made_again(
    showers: Showers, siw: Geometry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, cache = write(tmp_path / "toy.h5", showers, siw), tmp_path / "cache"
    TrainingData.prepare([path], siw, cache, seed=0)
    right = (cache / "energy.npy").read_bytes()
    (cache / "energy.npy").write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    TrainingData.prepare([path], siw, cache, seed=0)
    assert (cache / "energy.npy").read_bytes() == right
    assert "made again" in caplog.text
