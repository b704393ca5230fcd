"""Exports: what stands for missing operators, where graphs are cut, what is compared, what is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.special
import torch

from caloforge.errors import ConfigError, MissingDependencyError, OutputError
from caloforge.export import export
from caloforge.export.layouts import CloudRows, Grid, Own
from caloforge.export.noise import NoisePort
from caloforge.export.parity import compare
from caloforge.export.replaced import Replaced, normal_cdf, normal_quantile, search_sorted
from caloforge.models import CellSet, Cloud, Particles
from caloforge.showers import Incident

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.export import Target


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 64])
def test_bisection_is_searchsorted(size: int, *, right: bool) -> None:
    generator = torch.Generator().manual_seed(size)
    table = torch.rand(size, generator=generator, dtype=torch.float64).sort().values
    values = torch.cat([torch.rand(3, 50, generator=generator, dtype=torch.float64), table.expand(3, -1)], 1)
    assert torch.equal(
        search_sorted(table, values, right=right), torch.searchsorted(table, values, right=right)
    )


def test_the_normal_distribution_in_double_precision() -> None:
    x = torch.linspace(-8.0, 8.0, 4001, dtype=torch.float64)
    expected = torch.from_numpy(scipy.special.ndtr(x.numpy()))
    torch.testing.assert_close(normal_cdf(x), expected, rtol=3e-14, atol=0)
    share = torch.cat(
        [torch.logspace(-12, -0.31, 500, dtype=torch.float64), torch.tensor([0.5, 0.7, 1 - 1e-6]).double()]
    )
    expected = torch.from_numpy(scipy.special.ndtri(share.numpy()))
    torch.testing.assert_close(normal_quantile(share), expected, rtol=0, atol=1e-14)


def test_showers_are_compared_one_by_one() -> None:
    """Of three showers one has another cell and one another number of hits: one is the same."""
    theirs = {
        "counts": np.array([2, 1, 4]),
        "cell": np.array([3, 9, 5, 1, 2, 3, 4]),
        "hit_energy": np.array([1.0, 2.0, 4.0, 1.0, 1.0, 1.0, 1.0]),
    }
    mine = {
        "counts": np.array([2, 1, 3]),
        "cell": np.array([3, 9, 6, 1, 2, 3]),
        "hit_energy": np.array([1.0, 2.0 + 3e-5, 4.0, 2.0, 1.0, 1.0]),
    }
    found = compare(mine, theirs)
    assert (found.showers, found.same, found.hits) == (3, 1, 0.0)
    assert found.largest == pytest.approx(1e-5)
    assert found.energy == pytest.approx(1e-5)
    assert not found.agrees
    assert compare(theirs, theirs).agrees


def test_points_in_the_layout_of_ddml() -> None:
    """Two layers of three have points; 50 GeV at 30 degrees and an azimuth of 90."""
    points = torch.tensor([[1.0, 2.0, 0.0, 0.5], [3.0, 4.0, 2.0, 0.25], [5.0, 6.0, 2.0, 0.125]])
    made = Cloud(torch.tensor([3]), points)
    layout = CloudRows(22, 3)
    assert layout.outputs(made)["output"].tolist() == [1.0, 0.0, 2.0, *points.flatten().tolist()]
    wide = layout.outputs(made)["output_rows"].tolist()
    assert wide == [1.0, 0, 0, 0, 0, 0, 0, 0, 2.0, 0, 0, 0, *points.flatten().tolist()]
    particles = layout.particles(torch.tensor([50.0]), torch.tensor([30.0]), torch.tensor([90.0]))
    assert float(particles.energy) == 50_000.0
    torch.testing.assert_close(particles.direction, torch.tensor([[0.0, 0.5]]))
    assert particles.pdg.tolist() == [22]
    given = [float(value) for value in layout.given(particles)]
    assert given == pytest.approx([50.0, 30.0, 90.0])


def test_cells_in_the_layout_of_ddml() -> None:
    layout = Grid(11, 4)
    made = CellSet(torch.tensor([2]), torch.tensor([1, 3]), torch.tensor([500.0, 20.0]))
    torch.testing.assert_close(layout.outputs(made)["output"], torch.tensor([0.0, 0.5, 0.0, 0.02]))
    particles = Particles.of(Incident.of(np.array([2e4]), theta=np.pi / 6, phi=0.0, pdg=11))
    condition = layout.given(particles)[0]
    torch.testing.assert_close(condition, torch.tensor([[20.0, 0.5, 0.0, 0.75**0.5]]))
    assert float(layout.particles(condition).energy) == 20_000.0


@pytest.mark.parametrize("target", ["onnx", "par04", "ddml"])
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("mosaic:siw-ecal", "it draws from tables of real splits"),
        ("pyramid:siw-ecal", "cells get their hits and energies in many"),
        ("bibae:siw-ecal", "cells are drawn in many turns one after the other"),
        ("bibae-angles:siw-ecal-24x36x30", "cells are drawn in many turns one after the other"),
        ("conv-l2lflows:cylinder-ds2", "its flows draw one layer after the other"),
        ("l2lflows:siw-ecal-10x10", "its masked flows draw one cell after the other"),
    ],
)
def test_models_without_a_graph_say_why(model: str, reason: str, target: Target, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{model.partition(':')[0]} has no ONNX graph, for {reason}"):
        export(model, target=target, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outputs_have_other_names_than_inputs() -> None:
    made = CellSet(torch.tensor([1]), torch.tensor([3]), torch.tensor([0.5]))
    assert list(Own().outputs(made)) == ["counts", "cell", "hit_energy"]
    assert not set(Own().outputs(made)) & set(Own.inputs)


def test_functions_are_replaced_where_it_is_asked_for() -> None:
    x = torch.tensor([0.3, 0.6], dtype=torch.float64)
    table = torch.tensor([0.1, 0.5], dtype=torch.float64)
    with Replaced():
        found = torch.special.ndtri(x), torch.hypot(x, x), torch.bucketize(x, table), x.erfc()
    expected = torch.special.ndtri(x), torch.hypot(x, x), torch.bucketize(x, table), x.erfc()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14)
    assert not torch.equal(found[0], expected[0])  # it is another function: the last digit tells


def test_only_mosaic_goes_to_the_engine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Only mosaic has an engine in C"):
        export("caloclouds-2-cm:siw-ecal", target="cpp", out=tmp_path / "out")


def test_the_engine_s_file(tmp_path: Path) -> None:
    export("mosaic:siw-ecal", target="cpp", out=tmp_path)
    assert (tmp_path / "model.mosaic").read_bytes()[:8] == b"CFMOSAIC"
    cells = np.loadtxt(tmp_path / "cells.txt")
    assert cells.shape == (30 * 30 * 30, 4)
    assert json.loads((tmp_path / "model.json").read_text())["particles"] == [22]
    with pytest.raises(OutputError, match=r"has export\.json already"):
        export("mosaic:siw-ecal", target="cpp", out=tmp_path)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caloforge.export.targets.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="onnx and onnxscript and onnxruntime: install them"):
        export("caloclouds-2-cm:siw-ecal", target="onnx", out=tmp_path / "out")


def graph_of_two_parts() -> SimpleNamespace:
    """Rows = round(energy); the numbers drawn, times the energy, plus twice the energy of another part."""
    onnx = pytest.importorskip("onnx", reason="needs the extra export")
    helper, number = onnx.helper, onnx.TensorProto

    def value(name: str, kind: int, *shape: object) -> object:
        return helper.make_tensor_value_info(name, kind, list(shape))

    nodes = [
        helper.make_node("Identity", ["noise_b"], ["early"]),  # before its rows are known
        helper.make_node("Cast", ["energy"], ["rows_1"], to=number.INT64),
        helper.make_node("Add", ["energy", "energy"], ["double"]),
        helper.make_node("ReduceSum", ["double"], ["whole"], keepdims=0),
        helper.make_node("Mul", ["early", "whole"], ["scaled"]),
        helper.make_node("Add", ["scaled", "noise_a"], ["points"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            value("energy", number.FLOAT, 1),
            value("noise_a", number.FLOAT, 1, 1),
            value("noise_b", number.FLOAT, "n", 1),
        ],
        [value("points", number.FLOAT, "n", 1), value("rows_1", number.INT64, 1)],
        value_info=[
            value("double", number.FLOAT, 1),
            value("whole", number.FLOAT),
            value("early", number.FLOAT, "n", 1),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    ports = (NoisePort("a", "normal", 1, fixed=True), NoisePort("b", "normal", 1, fixed=False))
    return SimpleNamespace(graph=model, rows={"noise_b": "rows_1"}, ports=ports, outputs=("points",))


def test_graphs_are_cut_where_rows_are_told_and_everything_is_late() -> None:
    traced = graph_of_two_parts()
    from caloforge.export.cutting import cut

    first, second = cut(traced)  # type: ignore[arg-type]
    assert [v.name for v in first.graph.input] == ["energy"]
    assert [v.name for v in first.graph.output] == ["rows_1"]
    assert {v.name for v in second.graph.input} == {"energy", "noise_a", "noise_b"}
    assert [v.name for v in second.graph.output] == ["points"]


def test_random_numbers_inside_of_a_graph() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    traced = graph_of_two_parts()
    from caloforge.export.cutting import joined

    graph = joined(traced, output="points")  # type: ignore[arg-type]
    assert [v.name for v in graph.graph.input] == ["energy"]
    session = runtime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for rows in (1, 400):
        points = session.run(None, {"energy": np.array([rows], dtype=np.float32)})[0]
        assert points.shape == (rows, 1)
    # b times 2 E: of variance (2 E)^2
    assert points.std() == pytest.approx(800, rel=0.2)


def test_pieces_of_a_tensor_are_slices() -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra export")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    from caloforge.export.simplified import split_at_once

    helper, numbers = onnx.helper, onnx.numpy_helper
    nodes, outputs = [], []
    for name in ("equal", "own"):
        nodes.append(helper.make_node("SplitToSequence", ["x", name], [f"{name}_pieces"], axis=1))
        nodes.append(helper.make_node("SequenceAt", [f"{name}_pieces", "second"], [f"{name}_piece"]))
        outputs.append(helper.make_tensor_value_info(f"{name}_piece", onnx.TensorProto.FLOAT, None))
    stored = [
        numbers.from_array(value.astype(np.int64), name)
        for name, value in (("equal", np.array(3)), ("own", np.array([1, 4, 1])), ("second", np.array(1)))
    ]
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 6])
    graph = helper.make_graph(nodes, "g", [given], outputs, initializer=stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    split_at_once(model)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    equal, own = session.run(None, {"x": x})
    assert "SequenceAt" not in {node.op_type for node in model.graph.node}
    assert equal.tolist() == x[:, 3:].tolist()
    assert own.tolist() == x[:, 1:5].tolist()
