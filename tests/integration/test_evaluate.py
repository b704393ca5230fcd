"""The command ``caloforge evaluate``, its files and its report; and the ceiling of independent points."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from caloforge.cli.evaluate import evaluate as command
from caloforge.errors import ConfigError, OutputError
from caloforge.evaluation import BASELINE, evaluate
from caloforge.formats import NativeWriter
from caloforge.geometry import load_geometry, project
from caloforge.report import write_evaluation
from caloforge.report.writing import evaluation_folder
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from caloforge.geometry import Geometry


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("showers")
    samples = {
        "reference": make_toy_showers(420, seed=1),
        "points": make_toy_showers(210, seed=2),
        "cells": project(make_toy_showers(230, seed=3), siw),
    }
    for name, showers in samples.items():
        with NativeWriter(folder / f"{name}.h5", geometry=siw) as writer:
            writer.append(showers)
    return {name: folder / f"{name}.h5" for name in samples}


@pytest.fixture(scope="module")
def done(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("evaluation") / "out"
    models = [f"--generated=first={files['points']}", f"--generated=second={files['cells']}"]
    reference = ["--reference", str(files["reference"]), "--count", "210"]
    return run(*reference, *models, "--out", str(out)), out


def test_summary_is_printed(done: tuple[Result, Path]) -> None:
    result, out = done
    assert result.exit_code == 0, result.output
    assert "Separation power" in result.output
    assert "Classifiers" in result.output
    assert "Geant4 floor" in result.output
    question = result.stdout.index("Can a classifier tell it from Geant4?")
    assert re.match(
        r".*\nfirst: (Yes|No).* auc\.boosted.*\nsecond: (Yes|No).* auc\.boosted.*\nreport: ",
        result.stdout[question:],
    )
    empty = [line for line in result.stdout.splitlines() if re.fullmatch(r"\w.*\S(\s+–)+", line)]
    assert empty == []  # a metric that no model has stands in the report, with the reason
    assert f"report: {out / 'report.html'}" in result.output


def test_metrics_file_has_all_that_is_needed_to_repeat(done: tuple[Result, Path]) -> None:
    content = json.loads((done[1] / "metrics.json").read_text())
    assert content["settings"]["seed"] == 1
    assert content["settings"]["geometry"]["name"] == "siw-ecal"
    assert content["settings"]["reference"]["showers"] == 210
    assert set(content["models"]) == {"first", "second"}
    for results in content["models"].values():
        assert sum(r["value"] is not None for r in results) >= 20
        for r in results:
            assert r["n_reference"] == r["n_generated"] == 210
            assert r["version"]
            if r["value"] is None:
                assert r["group"] == "physics"  # toy showers have no angles and no MIP peak
                assert r["note"]
                continue
            assert isinstance(r["value"], float)
            assert isinstance(r["floor"], float)
            assert r["settings"]["floor"]["sizes"] == [210, 210]
    assert not list(done[1].glob("*.part"))


class _Links(HTMLParser):
    """What the tags of a page point to, and its style sheets."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.styles = ""
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]

    def handle_data(self, data: str) -> None:
        self.styles += data if self._in_style else ""


def test_page_needs_nothing_else(done: tuple[Result, Path]) -> None:
    page = (done[1] / "report.html").read_text(encoding="utf-8")
    assert len(page) < 15_000_000
    links = _Links()
    links.feed(page)
    assert all(link.startswith(("data:", "#")) for link in links.found)
    assert all(word not in links.styles for word in ("@import", "url("))
    assert all(f'id="event-{number}"' in page for number in range(3))
    pictures = [link for link in links.found if link.startswith("data:image/png;base64,")]
    figures = done[1] / "figures"
    assert len(pictures) == len(list(figures.glob("*.png"))) == len(list(figures.glob("*.pdf"))) >= 18
    assert "first" in page
    assert "second" in page


def test_nothing_is_overwritten_without_force(done: tuple[Result, Path]) -> None:
    with pytest.raises(OutputError, match="--force"), evaluation_folder(done[1]):
        pytest.fail("the folder is looked at before the work")


def test_rings_have_a_report_too(tmp_path: Path) -> None:
    geometry = load_geometry("calochallenge-1-photons")
    showers = Showers(
        incident=Incident.of([256.0, 512.0, 256.0, 512.0]),
        offsets=[0, 2, 3, 3, 5],
        energy=[100.0, 120.0, 300.0, 90.0, 400.0],
        cells=[0, 10, 200, 367, 30],
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )
    result = evaluate(showers, {"same": showers}, geometry=geometry)
    write_evaluation(result, tmp_path / "out", vectors=False)
    assert not list((tmp_path / "out" / "figures").glob("*.pdf"))
    assert all(r.value is None for r in result.results["same"])
    assert (tmp_path / "out" / "figures" / "image_lateral.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generated", "nameless.h5"], "NAME=FILE"),
        (["--generated", "a="], "NAME=FILE"),
        (["--generated", "a=a.h5", "--offset", "1"], "two numbers"),
    ],
)
def test_wrong_options_get_one_sentence(files: dict[str, Path], arguments: list[str], message: str) -> None:
    result = run("--reference", str(files["reference"]), "--out", "unused", *arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_baseline_must_not_draw_from_the_reference(files: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="--part report"):
        evaluate(files["reference"], {}, baseline=files["reference"])


def test_ceiling_of_independent_points(shared: Path) -> None:
    """Points drawn independently from real showers make a fifth more hits and are caught by trees."""
    path = shared / "data" / "siw_photons.h5"
    result = evaluate(path, {}, part="report", baseline=path, count=700, seed=1)
    hits = result.generated[0].table["hits"].mean(), result.reference.table["hits"].mean()
    assert hits[0] / hits[1] == pytest.approx(636 / 530, abs=0.03)
    plain, with_hits = (result.value(BASELINE, f"auc.{n}") for n in ("boosted", "boosted_hits"))
    assert plain is not None
    assert with_hits is not None
    assert plain == pytest.approx(0.946, abs=0.04)
    assert with_hits > 0.98
    floors = {r.name: r.floor for r in result.results[BASELINE]}
    assert floors["auc.boosted"] == pytest.approx(0.5, abs=0.06)
