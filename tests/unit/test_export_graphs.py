"""A small sampler of cells goes to every target that has a graph, with the showers that it has in torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from caloforge.export.runner import Exported, RandomNumbers, conditions
from caloforge.geometry import load_geometry
from caloforge.models import CellSet
from caloforge.models.assembly import rows_of
from caloforge.trained.range import TrainedRange

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.models import Particles
    from caloforge.models.base import Noise
    from caloforge.simulator import Simulator

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")

pytestmark = pytest.mark.slow

STRIDE = 7  # cells from which one hit chooses


class Toy(nn.Module):
    """As many hits as 10 GeV fit into the energy, and one more; the n-th in one of the cells from 7 n on."""

    name = "toy"
    trains_on = "cells"

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(2.0))

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        size = noise.normal("size", 1, 2)[:, 0]
        counts = (particles.energy / 1e4).floor().long() + 1
        uniform = noise.uniform("cells", counts, 1)[:, 0]
        shower = rows_of(counts, uniform.shape[0])
        rank = torch.arange(uniform.shape[0]) - (counts.cumsum(0) - counts)[shower]
        energy = self.scale * (1 + uniform) * size[shower].exp()
        return CellSet(counts, STRIDE * rank + (STRIDE * uniform).long(), energy.float())


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    toy = Toy()
    trained = TrainedRange((1e4, 1e5), 0.0, (11,))
    geometry = load_geometry("cylinder-ds2")
    return cast("Simulator", SimpleNamespace(model=toy, networks=toy, trained=trained, geometry=geometry))


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_parts_with_their_program(simulator: Simulator, tmp_path: Path) -> None:
    from caloforge.export.onnx_target import write_onnx

    result = write_onnx("toy", simulator, tmp_path)
    assert len(result.nodes) == 2
    assert result.parity is not None
    assert result.parity.same == result.parity.showers == 24
    model = Exported(tmp_path)
    assert model.metadata["noise.noise_cells"] == "uniform rows_1 1"
    made = model(conditions([5.5e4, 1e4, 2e4], pdg=11), RandomNumbers(1))
    assert made["counts"].tolist() == [6, 2, 3]
    assert (made["cell"] // STRIDE).tolist() == [*range(6), *range(2), *range(3)]
    lines = (tmp_path / "model.txt").read_text().splitlines()
    assert lines[:2] == ["parts 2", "particle 11"]
    assert "noise noise_size normal showers 2" in lines


def test_both_contracts_of_par04(simulator: Simulator, tmp_path: Path) -> None:
    from caloforge.export.par04 import write_par04

    write_par04("toy", simulator, tmp_path)
    given = np.zeros((1, 8), np.float32)
    given[0, 0] = 35  # GeV: four hits
    graph = session(tmp_path / "calodit2.onnx")
    mesh = graph.run(None, {"conditions": given})[0]
    assert mesh.shape == (9, 16, 45)
    hit = mesh.transpose(2, 1, 0).ravel()  # depth, azimuth, radius: as cells are numbered
    assert (np.flatnonzero(hit) // STRIDE).tolist() == [0, 1, 2, 3]
    again = graph.run(None, {"conditions": given})[0]
    assert not np.array_equal(mesh, again)
    latent = 2 + 17  # of the size; eleven hits and half as many more
    vector = np.zeros((1, latent + 4), np.float32)
    vector[0, latent] = 0.2  # of 100 GeV: three hits
    row = session(tmp_path / "vae.onnx").run(None, {"vector": vector})[0]
    assert row.shape == (9 * 16 * 45,)
    cells = row.reshape(9, 16, 45).transpose(2, 1, 0).ravel()
    assert np.flatnonzero(cells).tolist() == [3, 10, 17]  # all uniform numbers are one half
    np.testing.assert_allclose(cells[[3, 10, 17]], 2 * 1.5 / 2e4, rtol=1e-6)


def test_ddml_has_no_such_read_out(simulator: Simulator, tmp_path: Path) -> None:
    from caloforge.errors import ConfigError
    from caloforge.export.ddml import write_ddml

    with pytest.raises(ConfigError, match="points or one grid of square cells: cylinder-ds2"):
        write_ddml("toy", simulator, tmp_path)


class Repeat(nn.Module):
    """Values of sets, as often as their sets have elements."""

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor]:
        counts, values = given
        return (values[torch.arange(counts.shape[0]).repeat_interleave(counts)],)


def test_rows_are_not_compared_with_all_counts() -> None:
    """Empty sets anywhere; the exporter's own graph needs a number for every pair: gigabytes."""
    from caloforge.export.tracing import to_onnx

    example = [torch.tensor([2, 0, 3]), torch.tensor([1.0, 2.0, 3.0])]
    graph = to_onnx(Repeat(), example, free=[True, True], inputs=["counts", "values"], outputs=["rows"])
    assert "Less" not in {node.op_type for node in graph.graph.node}
    run = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"]).run
    for counts in ([2, 0, 3, 0, 0], [0, 0], [5], [0, 1, 0, 4]):
        values = np.arange(len(counts), dtype=np.float32)
        made = run(None, {"counts": np.array(counts), "values": values})[0]
        assert made.tolist() == np.repeat(values, counts).tolist()
