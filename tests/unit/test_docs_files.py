"""The pages on files say what the code does, and their examples run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from caloforge.evaluation import evaluate
from caloforge.formats import FORMATS, detect_format, open_showers
from caloforge.geometry import BoxGrid, Geometry, Layer, PolarGrid, load_geometry
from caloforge.models import GenerativeModel
from command_line import done, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "foreign-files.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)

SUFFIXES = {".h5", ".hdf5", ".root", ".parquet"}


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCKS if name == kind]


def keys_after(words: str) -> dict[str, str]:
    """Keys and defaults of the table that follows ``words``."""
    lines = PAGE.split(words)[1].strip().splitlines()
    rows = [line.strip("|").split("|") for line in lines[2 : [*lines, ""].index("")] if line.startswith("|")]
    return {row[0].strip(" `"): row[1].strip(" `") for row in rows}


def fields(*kinds: Any) -> dict[str, Any]:
    return {name: field for kind in kinds for name, field in kind.model_fields.items()}


def test_readme_has_every_format() -> None:
    """``python benchmarks/formats_table.py`` writes the table anew."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- formats -->")[1]
    lines = text.split("<!-- end of formats -->")[0].strip().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [(row[0].strip("`"), row[2], row[3]) for row in rows] == [
        (
            form.name,
            "read, write" if form.writer else "read",
            "points, cells" if form.points and form.cells else "points" if form.points else "cells",
        )
        for form in FORMATS
    ]
    assert all(row[1] for row in rows)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("At the top:", {*fields(Geometry), "grid"}),
        ("Of a layer:", {*fields(Layer), "repeat"}),
        ("Of a grid with `kind: box`:", set(fields(BoxGrid))),
        ("Of a grid with `kind: polar`:", set(fields(PolarGrid))),
    ],
)
def test_the_page_has_every_key_of_a_geometry(words: str, expected: set[str]) -> None:
    assert set(keys_after(words)) == expected


def test_the_page_has_the_defaults_of_a_geometry() -> None:
    told = keys_after("At the top:")
    for name, field in Geometry.model_fields.items():
        default = "required" if field.is_required() else str(field.default) or '""'
        assert told[name] == default, name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page's examples start from."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("energy.npy", rng.uniform(10, 20, 120))
    np.save(
        "voxels.npy", np.where(rng.random((120, 8, 10, 12)) < 0.1, rng.exponential(1e-3, (120, 8, 10, 12)), 0)
    )
    np.save("counts.npy", rng.poisson(50, 120))
    hits = rng.uniform([-40, -40, 0, 0.1], [40, 40, 39, 2.0], (int(np.load("counts.npy").sum()), 4))
    np.save("hits.npy", hits)
    for text in blocks("yaml"):
        Path(f"{text.split()[1]}.yaml").write_text(text)
    return tmp_path


def test_numpy_arrays_become_a_report(folder: Path) -> None:
    exec(compile(blocks("python")[0], "foreign-files.md", "exec"), {})
    geometry = load_geometry("mine.yaml")
    voxels = 1000 * np.load("voxels.npy")
    with open_showers("geant4.h5", geometry=geometry) as reader:
        showers = reader.read(0, 120)
    hit = np.where(voxels < geometry.threshold, 0, voxels)
    assert showers.visible_energy == pytest.approx(hit.sum(axis=(1, 2, 3)), rel=1e-6)
    first = showers.cells[0]  # type: ignore[index]
    layer, x, y = np.argwhere(hit[0])[0]
    assert geometry.cell_layer[first] == layer
    assert geometry.cell_positions[first, :2] == pytest.approx([10 * x - 45, 10 * y - 55])
    result = evaluate("geant4.h5", {"mine": "geant4.h5"}, geometry="mine.yaml")
    values = {m.value for m in result.results["mine"] if m.name.startswith("separation.")}
    assert values == {0.0}


def test_the_commands_of_the_page_run(folder: Path) -> None:
    exec(compile(blocks("python")[0], "foreign-files.md", "exec"), {})
    inspect, evaluation = (line.split()[1:] for line in blocks("bash")[0].splitlines())
    shown = run(*inspect)
    assert shown.exit_code == 0
    assert "960 cells" in shown.stdout
    command = ["convert", "geant4.h5", "small.h5", "--input-geometry", "mine.yaml"]
    assert run(*command).exit_code == 0
    with open_showers("small.h5") as reader:
        assert reader.geometry == load_geometry("mine.yaml")
    missing = run(*evaluation)  # there is no model.h5 here
    assert missing.exit_code == 2
    assert "There is no shower file model.h5" in missing.stderr


def test_hits_with_positions_become_showers(folder: Path) -> None:
    exec(compile(blocks("python")[1], "foreign-files.md", "exec"), {})
    with open_showers("geant4.h5") as reader:
        showers = reader.read(0, len(reader))
        assert reader.geometry == load_geometry("stack.yaml")
    assert showers.n_hits.tolist() == np.load("counts.npy").tolist()
    assert showers.incident.energy == pytest.approx(1000 * np.load("energy.npy"))
    assert set(showers.incident.pdg.tolist()) == {11}
    command = ["convert", "geant4.h5", "cells.h5", "--project"]
    assert run(*command).exit_code == 0
    with h5py.File("cells.h5") as file:
        assert "hits/cells" in file


def test_the_page_has_every_format() -> None:
    rows = [line.split("|")[1].strip(" `") for line in PAGE.splitlines() if line.startswith("| `")]
    assert {form.name for form in FORMATS} <= set(rows)


@pytest.mark.slow
def test_the_page_s_conversions_run(folder: Path) -> None:
    for line in blocks("bash")[-1].splitlines():
        done(*line.split()[1:])
    told = {path.name: detect_format(path).name for path in folder.iterdir() if path.suffix in SUFFIXES}
    assert set(told.values()) == {form.name for form in FORMATS if form.writer}
    for name in told:
        with open_showers(name) as reader:
            assert len(reader) == 20
            assert reader.read(0, 20).n_hits.min() > 5


def test_contributing_tells_what_a_model_must_do() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = set(
        re.findall(r"^- `(\w+)\(", text.split("## A new model")[1].split("## ")[0], flags=re.MULTILINE)
    )
    assert told == set(GenerativeModel.__abstractmethods__)
    for path in re.findall(r"`((?:src|tests|benchmarks|docs)/[\w/.-]+\.\w+)`", text):
        assert (ROOT / path).is_file(), path


def test_the_index_has_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    texts = {path.relative_to(ROOT / "docs").as_posix(): path for path in (ROOT / "docs").rglob("*.md")}
    of_the_site = {"api/", "cards/", "commands/", "index.md", "reports.md"}
    pages = {name for name in texts if not name.startswith(tuple(of_the_site))} - {"README.md"}
    # those that stand elsewhere in the repository
    pages -= {name for name, path in texts.items() if "On the site, this page is" in path.read_text("utf-8")}
    assert set(re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", index, flags=re.MULTILINE)) == pages
