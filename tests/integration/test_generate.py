"""Generation into files: any number of processes, interruptions, particles of other files, formats."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge.beam import Beam
from caloforge.cli.app import app
from caloforge.errors import ConfigError, DataError, FormatError, OutputError
from caloforge.formats import NativeReader, format_named
from caloforge.generation import Generation, LikeFile, engine, generate
from caloforge.geometry import place, project
from caloforge.showers import Incident
from caloforge.simulator import Simulator, TrainedRange
from caloforge.units import DEGREE
from caloforge.zoo import load_simulator, shipped_models
from comparisons import assert_same
from support.showers import load
from toy_training import prepared, training_data, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

BEAM = Beam((10e3, 100e3))


@pytest.fixture(scope="module")
def model(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A saved model with random weights, as a run leaves it."""
    folder = tmp_path_factory.mktemp("model")
    data = training_data(folder, make_toy_showers(120), siw)
    simulator = Simulator(
        prepared("caloclouds-2", data),
        TrainedRange((10e3, 100e3), 0.01 * DEGREE, (22,)),
    )
    simulator.save(folder / "run" / "model")
    return folder / "run"


def make(model: Path, out: Path, *, count: int = 12, **options: Any) -> Showers:
    settings = {k: options.pop(k) for k in list(options) if k in Generation.__dataclass_fields__}
    settings = {"particles": BEAM, "seed": 4, "batch_size": 4, **settings}
    generate(Generation(model=str(model), **settings), out=out, count=count, **options)
    return load(out)


def run(model: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["generate", str(model), "--out", str(out), *options])


def test_the_showers_do_not_depend_on_processes_and_blocks(model: Path, tmp_path: Path) -> None:
    one = make(model, tmp_path / "one.h5", batch_size=300, count=700)
    two = make(model, tmp_path / "two.h5", batch_size=300, count=700, processes=2)
    assert_same(one, two)
    # whole batches: 600
    assert Generation(str(model), BEAM, seed=4, batch_size=300, block_size=301).block == 600
    assert_same(make(model, tmp_path / "three.h5", batch_size=300, count=700, block_size=301), one)
    assert (tmp_path / "three.h5").read_bytes() == (tmp_path / "one.h5").read_bytes()
    np.testing.assert_array_equal(one.incident.energy, BEAM.sample(4, 0, 700).energy)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.h5", "three.h5", "two.h5"]


def test_one_process_loads_the_model_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    monkeypatch.setattr(engine, "load_simulator", lambda name: loads.append(name) or load_simulator(name))
    make(model, tmp_path / "a.h5", count=2)
    assert len(loads) == 1
    worker = engine.production_of(Generation(str(model), BEAM, seed=1), 2).worker
    assert worker.loaded is not None
    assert pickle.loads(pickle.dumps(worker)).loaded is None  # other processes read its files


def test_the_file_has_what_the_simulator_makes(model: Path, tmp_path: Path, siw: Geometry) -> None:
    simulator = load_simulator(model)
    made = make(model, tmp_path / "a.h5")
    assert_same(made, simulator(BEAM.sample(4, 0, 12), seed=4, batch_size=4))
    assert made.n_hits.min() > 0
    with NativeReader(tmp_path / "a.h5") as reader:
        assert reader.geometry == siw
        request = reader.provenance["generated"]
    assert request["seed"] == 4
    assert request["particles"]["energy"] == [10e3, 100e3]
    points = make(model, tmp_path / "b.h5", readout=False)
    assert points.points is not None
    assert_same(project(points, siw), made)


def test_seed_count_offset_and_sampler(model: Path, tmp_path: Path, siw: Geometry) -> None:
    points = make(model, tmp_path / "a.h5", readout=False)
    longer = make(model, tmp_path / "b.h5", readout=False, count=16)
    assert_same(longer[:12], points)
    other = make(model, tmp_path / "c.h5", readout=False, seed=5)
    assert np.isin(other.energy, points.energy).mean() < 0.01
    moved = make(model, tmp_path / "d.h5", readout=False, offset=(2.5, -1.0))
    assert_same(moved, place(points, offset=(2.5, -1.0)))
    cells = load_simulator(model)(BEAM.sample(4, 0, 12), seed=4, batch_size=4, offset=(2.5, -1.0))
    np.testing.assert_array_equal(project(moved, siw).cells, cells.cells)
    fewer = make(model, tmp_path / "e.h5", readout=False, sampler={"steps": 1})
    np.testing.assert_array_equal(fewer.offsets, points.offsets)
    assert not np.array_equal(fewer.points, points.points)
    with pytest.raises(ConfigError, match="sampler does not take"):
        make(model, tmp_path / "f.h5", sampler={"stepz": 1})


def recorded(monkeypatch: pytest.MonkeyPatch, *, interrupt_at: int = -1) -> list[int]:
    """The first shower of every block that is made from now on."""
    original, calls = Simulator.sample, list[int]()

    def sample(self: Simulator, incident: Incident, **options: Any) -> Showers:
        calls.append(options["first"])
        if len(calls) == interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, incident, **options)

    monkeypatch.setattr(Simulator, "sample", sample)
    return calls


def test_killed_it_goes_on_with_the_blocks_that_are_finished(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, parts = tmp_path / "a.h5", tmp_path / "a.h5.parts"
    options = ["--energy", "10:100", "--batch-size", "25", "--count", "1000", "--points"]
    command = [sys.executable, "-m", "caloforge", "generate", str(model), *options, "--out", str(out)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(parts.glob("[0-9]*.h5")):
        assert child.poll() is None
        time.sleep(0.005)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert not out.exists()
    finished = len(list(parts.glob("[0-9]*.h5")))
    other = run(model, out, *options, "--seed", "5")
    assert other.exit_code == 2
    assert "another request (seed 1 there and 5 here)" in other.stderr
    expected = load_simulator(model).sample(BEAM.sample(1, 0, 25), seed=1)
    calls = recorded(monkeypatch)
    assert run(model, out, *options).exit_code == 0
    assert calls == list(range(100 * finished, 1000, 100))
    made = load(out)
    assert len(made) == 1000
    np.testing.assert_allclose(made[:25].visible_energy, expected.visible_energy, rtol=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5"]


def test_interrupted_the_same_command_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caloforge.generation.engine._BLOCK", 4)
    reference = make(model, tmp_path / "a.h5")
    calls = recorded(monkeypatch, interrupt_at=2)
    options = ("--energy", "10:100", "--count", "12", "--seed", "4", "--batch-size", "4")
    result = run(model, tmp_path / "b.h5", *options)
    assert result.exit_code == 130
    assert "run the same command again to go on" in result.stderr
    assert calls == [0, 4]
    result = run(model, tmp_path / "b.h5", *options)
    assert result.exit_code == 0, result.output
    assert calls == [0, 4, 4, 8]
    assert_same(load(tmp_path / "b.h5"), reference)


def test_particles_of_another_file(model: Path, tmp_path: Path, siw: Geometry, toy_showers: Showers) -> None:
    like = write(tmp_path / "like.h5", toy_showers, siw)
    result = run(model, tmp_path / "a.h5", "--like", str(like), "--points")
    assert result.exit_code == 0, result.output
    assert "ms per shower" in result.stdout
    made = load(tmp_path / "a.h5")
    np.testing.assert_array_equal(made.incident.energy, toy_showers.incident.energy)
    again = make(model, tmp_path / "b.h5", particles=LikeFile(like), count=30)
    np.testing.assert_array_equal(again.incident.energy[24:], toy_showers.incident.energy[:6])
    assert not np.array_equal(again.n_hits[:12], again.n_hits[12:24])  # the same particles, other showers


OUTSIDE = [
    (("--energy", "5:100"), "energies of 5 to 100 GeV leave the trained range 10 to 100 GeV"),
    (("--energy", "50", "--theta", "0:4"), "angles of up to 4 degrees leave the trained range"),
]
FAR = [
    (("--energy", "4:100"), "energies of 4 to 4 GeV leave the trained range 10 to 100 GeV"),
    (("--energy", "50", "--theta", "0:30"), "angles of up to 30 degrees leave the trained range"),
    (("--energy", "50", "--particle", "e-"), r"particles (e-) are not those of the training (gamma)"),
]


@pytest.mark.parametrize(("options", "message"), OUTSIDE)
def test_outside_of_the_trained_range(
    model: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    result = run(model, tmp_path / "a.h5", *options, "--count", "3", "--strict")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "--strict" in result.stderr
    assert list(tmp_path.iterdir()) == []
    result = run(model, tmp_path / "a.h5", *options, "--count", "3")
    assert result.exit_code == 0, result.output
    assert message in result.stderr
    assert "extrapolated" in result.stderr
    assert len(load(tmp_path / "a.h5")) == 3


@pytest.mark.parametrize(("options", "message"), FAR)
def test_far_outside_of_the_trained_range_is_refused_unless_allowed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    result = run(model, tmp_path / "a.h5", *options, "--count", "3")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "--allow-extrapolation" in result.stderr
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("caloforge.simulator.refuse_absurd", lambda *_: None)  # the weights are random
    result = run(model, tmp_path / "a.h5", *options, "--count", "3", "--allow-extrapolation")
    assert result.exit_code == 0, result.output
    assert "the showers are " in result.stderr
    assert len(load(tmp_path / "a.h5")) == 3


def test_the_particle_is_that_of_the_training_unless_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = load_simulator(model)
    other = Simulator(simulator.model, TrainedRange((10e3, 100e3), 0.01 * DEGREE, (11,)))
    other.save(tmp_path / "electrons")
    assert run(tmp_path / "electrons", tmp_path / "a.h5", "--energy", "50", "--count", "2").exit_code == 0
    assert load(tmp_path / "a.h5").incident.pdg.tolist() == [11, 11]
    both = Simulator(simulator.model, TrainedRange((10e3, 100e3), 0.01 * DEGREE, (11, 22)))
    both.save(tmp_path / "both")
    result = run(tmp_path / "both", tmp_path / "b.h5", "--energy", "50", "--count", "2")
    assert result.exit_code == 2
    assert "--particle is missing" in result.stderr
    assert "knows e-, gamma" in result.stderr
    options = ("--energy", "50", "--count", "2", "--particle", "gamma")
    assert run(tmp_path / "both", tmp_path / "b.h5", *options).exit_code == 0
    assert load(tmp_path / "b.h5").incident.pdg.tolist() == [22, 22]
    refused = run(tmp_path / "both", tmp_path / "c.h5", *options[:-1], "pi+")
    assert "particles (pi+) are not those of the training (e-, gamma)" in refused.stderr


def test_devices_and_threads(model: Path, tmp_path: Path) -> None:
    options = ("--energy", "50", "--count", "2")
    assert run(model, tmp_path / "a.h5", *options, "--device", "auto", "--threads", "1").exit_code == 0
    assert_same(
        load(tmp_path / "a.h5"),
        make(model, tmp_path / "b.h5", particles=Beam((5e4, 5e4)), seed=1, batch_size=100, count=2),
    )
    result = run(model, tmp_path / "c.h5", *options, "--device", "cuda:99")
    assert result.exit_code == 2
    expected = "device: got 'cuda:99', expected cpu, auto or an accelerator that this machine has"
    assert expected in result.stderr
    assert not (tmp_path / "c.h5").exists()


def test_far_outside_showers_stay_finite(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caloforge.simulator.refuse_absurd", lambda *_: None)  # the weights are random
    particles = Beam((1e3, 1e6))
    far = make(model, tmp_path / "a.h5", particles=particles, readout=False, allow_extrapolation=True)
    assert np.isfinite(far.energy).all()
    assert far.n_hits.max() < 1e5


@pytest.mark.parametrize("first", [3, 8, 10, 20])
def test_a_file_is_extended_to_what_it_would_have_been(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Also when its last block was shorter, or nothing is missing."""
    monkeypatch.setattr("caloforge.generation.engine._BLOCK", 8)
    fresh = make(model, tmp_path / "fresh.h5", count=20)
    made = make(model, tmp_path / "a.h5", count=first)
    assert_same(made, fresh[:first]) if first % 4 == 0 else None
    assert_same(make(model, tmp_path / "a.h5", count=20, append=True), fresh)
    with NativeReader(tmp_path / "a.h5") as one, NativeReader(tmp_path / "fresh.h5") as two:
        assert one.provenance == two.provenance
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "fresh.h5"]


def test_only_the_missing_blocks_are_generated(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caloforge.generation.engine._BLOCK", 4)
    make(model, tmp_path / "a.h5", count=10)
    before = (tmp_path / "a.h5").read_bytes()
    work, ranges = engine._make, []

    def counting(generation: Generation, simulator: Simulator, start: int, stop: int) -> Showers:
        if len(ranges) == 1:
            assert (tmp_path / "a.h5").read_bytes() == before
            raise KeyboardInterrupt
        ranges.append((start, stop))
        return work(generation, simulator, start, stop)

    monkeypatch.setattr(engine, "_make", counting)
    with pytest.raises(KeyboardInterrupt, match="12 of 20 showers are kept"):
        make(model, tmp_path / "a.h5", count=20, append=True)
    assert (tmp_path / "a.h5").read_bytes() == before
    monkeypatch.setattr(engine, "_make", work)
    made = make(model, tmp_path / "a.h5", count=20, append=True)
    assert ranges == [(8, 12)]
    assert_same(made, make(model, tmp_path / "fresh.h5", count=20))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seed", "5", "--count", "8"), "another request (seed 4 there and 5 here)"),
        (("--energy", "10:90", "--count", "8"), "particles.energy.1 100000.0 there and 90000.0 here"),
        (("--points", "--count", "8"), "readout True there and False here"),
        (("--count", "3"), "has 4 showers, more than the 3 that --count asks for in all"),
        (("--count", "8", "--force"), "--append extends the file and --force replaces it"),
    ],
)
def test_what_does_not_fit_is_not_appended(
    model: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    make(model, tmp_path / "a.h5", count=4)
    before = (tmp_path / "a.h5").read_bytes()
    options = ("--energy", "10:100", "--seed", "4", "--batch-size", "4", "--append", *options)
    result = run(model, tmp_path / "a.h5", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (tmp_path / "a.h5").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_a_damaged_file_is_not_extended(model: Path, tmp_path: Path) -> None:
    """Its damage would get a checksum of its own."""
    make(model, tmp_path / "a.h5", count=4)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["hits/energy"][0] += 1
    with pytest.raises(FormatError, match="'hits/energy' is not what was written"):
        make(model, tmp_path / "a.h5", count=8, append=True)


def test_a_damaged_request_is_one_sentence(model: Path, tmp_path: Path) -> None:
    make(model, tmp_path / "a.h5", count=4)
    parts = tmp_path / "b.h5.parts"
    parts.mkdir()
    (tmp_path / "a.h5").rename(parts / "0000000000.h5")
    for content in (b"{", b"\xff", b"[" * 100_000):
        (parts / "request.json").write_bytes(content)
        with pytest.raises(OutputError, match=r"unfinished showers of another request .* --force to drop"):
            make(model, tmp_path / "b.h5", count=4)


def test_nothing_to_append_to(model: Path, tmp_path: Path, siw: Geometry, toy_showers: Showers) -> None:
    options = ("--energy", "50", "--count", "3", "--append")
    assert run(model, tmp_path / "new.h5", *options).exit_code == 0
    assert len(load(tmp_path / "new.h5")) == 3
    with format_named("ddml").writer(tmp_path / "d.h5", geometry=siw) as writer:  # type: ignore[misc]
        writer.append(toy_showers)
    assert "cannot be extended" in run(model, tmp_path / "d.h5", *options).stderr
    write(tmp_path / "t.h5", toy_showers, siw)
    assert "holds showers of another request" in run(model, tmp_path / "t.h5", *options).stderr


def test_nothing_is_overwritten_without_force(model: Path, tmp_path: Path) -> None:
    options = ("--energy", "50", "--count", "3")
    (tmp_path / "a.h5").write_text("precious")
    result = run(model, tmp_path / "a.h5", *options)
    assert result.exit_code == 2
    assert "exists already: choose another name, or give --force" in result.stderr
    assert (tmp_path / "a.h5").read_text() == "precious"
    assert run(model, tmp_path / "a.h5", *options, "--force").exit_code == 0
    assert len(load(tmp_path / "a.h5")) == 3


@pytest.mark.parametrize(("name", "points"), [("ddml", True), ("caloclouds", True), ("ddml", False)])
def test_other_formats(model: Path, tmp_path: Path, siw: Geometry, name: str, points: bool) -> None:
    options = [
        "--energy",
        "10:100",
        "--count",
        "5",
        "--seed",
        "4",
        "--format",
        name,
        *(["--points"] * points),
    ]
    result = run(model, tmp_path / "a.h5", *options)
    assert result.exit_code == 0, result.output
    expected = load_simulator(model)(BEAM.sample(4, 0, 5), seed=4, readout=not points)
    with format_named(name).reader(tmp_path / "a.h5", siw) as reader:
        found = reader.read(0, 5)
    np.testing.assert_allclose(found.incident.energy, expected.incident.energy, rtol=1e-6)
    np.testing.assert_allclose(found.visible_energy, expected.visible_energy, rtol=1e-4)
    np.testing.assert_array_equal(found.n_hits, expected.n_hits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--energy", "50"), "--count is missing"),
        (("--count", "3"), "Give either --energy (with --count) or --like FILE"),
        (("--energy", "50", "--like", "a.h5", "--count", "3"), "Give either --energy"),
        (("--energy", "50", "--count", "3", "--format", "fine-grid"), "can only be read"),
        (("--energy", "50", "--count", "3", "--format", "caloclouds"), "holds points only: add --points"),
        (
            ("--energy", "50", "--count", "3", "--format", "calochallenge", "--points"),
            "holds cells only: leave out --points",
        ),
        (("--energy", "50", "--count", "3", "--format", "ddnl"), "did you mean 'ddml'"),
        (("--like", "no.h5"), "There is no shower file no.h5"),
    ],
)
def test_what_cannot_be_generated_is_said_in_one_sentence(
    model: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    result = run(model, tmp_path / "a.h5", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_strict_calls_raise(model: Path) -> None:
    with pytest.raises(DataError, match="leave the trained range"):
        load_simulator(model)(Incident.of(1.5e5), seed=1, strict=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", b"nonsense", "is damaged"),
        ("config.json", b"{", "is damaged"),
        ("config.json", b'{"model_name": "caloclouds-2"}', "is damaged"),
        ("model.safetensors", None, r"lacks model\.safetensors"),
        ("card.json", None, r"lacks card\.json"),
    ],
)
def test_damaged_models_are_said(
    model: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    for file in (model / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        load_simulator(tmp_path)


def test_models_are_listed_and_shown(model: Path) -> None:
    def shown(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["models", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "caloclouds-2-cm" in shown()
    assert shown("--names").split() == shipped_models()
    assert "steps: 200" in shown("caloclouds-2/smoke")
    assert "shower flow, diffusion of independent points" in shown("caloclouds-2")
    for name in shipped_models():
        assert f"{name.split(':')[0]}, " in shown(name)
        assert "data" in json.loads(shown(name, "--json"))
    assert "model.sampler.steps" in shown("caloclouds-2")
    assert "gamma, 10 to 100 GeV, perpendicular" in shown(str(model))
    result = CliRunner().invoke(app, ["models", "caloclouds-3"])
    assert result.exit_code == 2
    assert "did you mean" in result.stderr
    result = CliRunner().invoke(
        app, ["generate", "nothing:here", "--energy", "1", "--count", "1", "--out", "a"]
    )
    assert "There is no model 'nothing:here'" in result.stderr
