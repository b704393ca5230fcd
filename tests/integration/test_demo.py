"""``caloforge demo`` on what the package ships."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

import command_line
from caloforge.cli.app import app
from caloforge.formats import open_showers
from caloforge.zoo import reference_path, shipped, shipped_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

COUNT = 120  # enough for all metrics but the trees


def run(*options: str) -> Result:
    return CliRunner().invoke(app, ["demo", *options])


def shipped_names() -> list[str]:
    return [name.split(":")[0] for name in shipped_models() if name.endswith(":siw-ecal")]


def names() -> list[str]:
    """The models of a demo: all but those that take as long as Geant4."""
    return [name for name in shipped_names() if name != "caloclouds"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Result, Path]]:
    """A demo without a network."""

    def refuse(*_: object) -> None:
        raise AssertionError("the demo went to the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        out = tmp_path_factory.mktemp("demo") / "new" / "demo"
        yield run("--out", str(out), "--count", str(COUNT)), out


def test_models_are_shipped() -> None:
    assert {"caloclouds-2", "caloclouds-2-cm", "pyramid"} <= set(names()) < set(shipped_names())


def test_summary_and_where_to_look(done: tuple[Result, Path]) -> None:
    result, out = done
    assert result.exit_code == 0, result.output
    assert f"{COUNT} showers of each" in result.stdout
    for name in names():
        assert name in result.stdout
    assert re.search(r"left out, \d+ ms a shower: caloclouds \(--model caloclouds takes it\)", result.stdout)
    pages = re.findall(r"file://(\S+)", result.stdout)
    assert pages == [str(out / "event.html"), str(out / "report.html")]


def test_report_compares_all_models_with_geant4(done: tuple[Result, Path]) -> None:
    out = done[1]
    content = json.loads((out / "metrics.json").read_text())
    assert list(content["models"]) == names()
    for results in content["models"].values():
        values = {r["name"]: r["value"] for r in results}
        assert isinstance(values["separation.layer_energy"], float)
        assert all(r["n_reference"] == r["n_generated"] == COUNT for r in results)
    for page in ("report.html", "event.html"):
        text = (out / page).read_text(encoding="utf-8")
        assert not re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["'](?!data:)""", text)
        assert all(name in text for name in names())


def test_showers_are_for_the_particles_of_the_reference(done: tuple[Result, Path]) -> None:
    with open_showers(reference_path("siw-ecal")) as reader:
        reference = reader.read(0, COUNT)
    for name in names():
        with open_showers(done[1] / f"{name}.h5") as reader:
            generated = reader.read(0, len(reader))
            assert reader.geometry is not None
        np.testing.assert_array_equal(generated.incident.energy, reference.incident.energy)
        assert generated.meta.fingerprint == reference.meta.fingerprint != ""


def test_shipped_models_resemble_geant4(done: tuple[Result, Path]) -> None:
    with open_showers(reference_path("siw-ecal")) as reader:
        reference = reader.read(0, COUNT)
    for name in names():
        with open_showers(done[1] / f"{name}.h5") as reader:
            generated = reader.read(0, COUNT)
        assert generated.visible_energy.mean() == pytest.approx(reference.visible_energy.mean(), rel=0.05)
        assert generated.n_hits.mean() == pytest.approx(reference.n_hits.mean(), rel=0.1)


def test_second_demo_needs_force(done: tuple[Result, Path]) -> None:
    before = (done[1] / "report.html").stat().st_mtime_ns
    result = run("--out", str(done[1]), "--count", str(COUNT))
    assert result.exit_code == 2
    assert "report.html" in result.stderr
    assert "give --force" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (done[1] / "report.html").stat().st_mtime_ns == before


def test_chosen_models(tmp_path: Path) -> None:
    """An interrupted demo has left the showers of one model: they stay as they are."""
    options = "--like", reference_path("siw-ecal"), "--count", "10", "--seed", "1"
    command_line.done("generate", "calopointflow:siw-ecal", *options, "--out", tmp_path / "calopointflow.h5")
    result = run("--out", str(tmp_path), "--count", "10", "--model", "pyramid", "--model", "calopointflow")
    assert result.exit_code == 0, result.output
    speeds = next(line for line in result.stdout.splitlines() if line.startswith("wall-clock"))
    assert re.fullmatch(r".*with start +[\d.e+]+ +- +-", speeds)
    assert "left out" not in result.stdout
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert list(content["models"]) == ["pyramid", "calopointflow"]


def test_unknown_model(tmp_path: Path) -> None:
    result = run("--out", str(tmp_path / "out"), "--model", "pyramide")
    assert result.exit_code == 2
    assert "no trained model 'pyramide' of siw-ecal: did you mean 'pyramid'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_package_without_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tmp_path / "zoo" / "reference" / "siw-ecal.h5"
    reference.parent.mkdir(parents=True)
    reference.touch()
    monkeypatch.setattr(shipped, "_HOME", tmp_path / "zoo")
    result = run("--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "no trained model of siw-ecal" in result.stderr
    assert not (tmp_path / "out").exists()
