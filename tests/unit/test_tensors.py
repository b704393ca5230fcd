"""Showers, particles and batches as tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.errors import DataError
from caloforge.geometry import place, to_cells, to_dense
from caloforge.models import Batch, CellSet, Cloud, Particles
from caloforge.models.assembly import to_showers
from caloforge.showers import Incident

if TYPE_CHECKING:
    from caloforge.geometry import Geometry

SET = CellSet(torch.tensor([2, 0, 1]), torch.tensor([0, 3, 2]), torch.tensor([1.5, 0.2, 7.0]))
IMAGE = [[1.5, 0.0, 0.0, 0.2], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 7.0, 0.0]]


def test_a_set_of_cells_is_an_image_and_back() -> None:
    assert torch.equal(SET.dense(4), torch.tensor(IMAGE))
    back = CellSet.from_dense(torch.tensor(IMAGE).view(3, 2, 2), 0.1)
    for name in ("counts", "cell", "energy"):
        assert torch.equal(getattr(back, name), getattr(SET, name))


def test_cells_below_the_threshold_are_not_hit() -> None:
    image = torch.tensor([[0.1, 0.0999, -1.0, 0.0], [0.0, 0.0, 0.0, 0.5]])
    cells = CellSet.from_dense(image, 0.1)
    assert (cells.counts.tolist(), cells.cell.tolist()) == ([1, 1], [0, 3])
    assert CellSet.from_dense(image, 0.0).cell.tolist() == [0, 1, 3]  # no energy is no hit


def test_gradients_reach_the_energies_of_an_image() -> None:
    energy = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    weight = torch.arange(12.0).view(3, 4)
    (CellSet(SET.counts, SET.cell, energy).dense(4) * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert energy.grad is not None
    assert energy.grad.tolist() == [0.0, 3.0, 10.0]


def test_an_image_has_the_layout_of_the_read_out(siw: Geometry) -> None:
    cell = torch.tensor([5, siw.n_cells - 1, 17])
    cells = CellSet(torch.tensor([2, 1]), cell, torch.tensor([1.0, 2.0, 3.0]))
    showers = to_showers(cells, Incident.of([1e4, 2e4]), siw)
    image = cells.dense(siw.n_cells).view(-1, *siw.dense_shape)
    np.testing.assert_array_equal(image, to_dense(showers, siw))


def test_showers_of_cells_are_those_of_points_at_their_centres(siw: Geometry) -> None:
    """What a model makes needs no way through points to become cells of the read-out."""
    rng, incident = np.random.default_rng(0), Incident.of(np.full(3, 1e4))
    cell = np.concatenate([np.sort(rng.choice(siw.n_cells, 40, replace=False)) for _ in range(3)])
    energy = np.float32(siw.threshold) * rng.uniform(0.5, 3.0, 120).astype(np.float32)
    energy[:2] = np.float32(siw.threshold), 0.0
    counts, energies = torch.full((3,), 40), torch.from_numpy(energy)
    points = np.column_stack([siw.cell_positions[cell, :2], siw.cell_layer[cell], energy])
    made = CellSet(counts, torch.from_numpy(cell), energies), Cloud(counts, torch.from_numpy(points))
    direct, projected = (to_cells(to_showers(m, incident, siw), siw) for m in made)
    assert direct.meta == projected.meta
    for name in ("offsets", "cells", "energy"):
        np.testing.assert_array_equal(getattr(direct, name), getattr(projected, name))
    assert 0 < direct.n_hits.sum() < 120


def test_cells_have_their_places(siw: Geometry) -> None:
    showers = to_showers(SET, Incident.of([1e4] * 3), siw)
    with pytest.raises(DataError, match="only clouds can be moved"):
        place(showers, offset=(1.0, 0.0))


def test_particles_are_those_of_the_showers() -> None:
    incident = Incident.of([1e4, 2e4], theta=[0.0, 0.9], phi=[0.0, 2.0], pdg=[22, -211])
    particles = Particles.of(incident)
    assert (particles.energy.tolist(), particles.pdg.tolist()) == ([1e4, 2e4], [22, -211])
    assert particles.pdg.dtype == torch.int64
    leaning = [math.cos(2.0), math.sin(2.0)]
    assert particles.direction[1].tolist() == pytest.approx([math.sin(0.9) * x for x in leaning], rel=1e-6)
    assert particles.slope[1].tolist() == pytest.approx([math.tan(0.9) * x for x in leaning], rel=1e-6)
    assert particles.position.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert len(particles[1:]) == 1
    assert particles[1:].pdg.item() == -211


def test_a_batch_moves_with_all_that_it_has() -> None:
    particles = Particles.of(Incident.of([1e4, 2e4, 3e4], pdg=[22, 11, 22]))
    batch = Batch(particles, cells=SET).to("meta")
    assert batch.summary is None
    assert batch.cells is not None
    tensors = (batch.energy, batch.direction, batch.pdg, batch.particles.position, batch.cells.energy)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
