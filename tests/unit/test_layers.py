"""Dependencies point downwards, and no files go round in a circle; imports for type hints count too."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import caloforge

ROOT = Path(caloforge.__file__).parent
LAYERS = (  # each may import what stands in rows above it
    {"shares"},
    {"errors", "lazy", "signals", "streams", "units", "diffusion"},
    {
        "devices",
        "disk",
        "downloads",
        "files",
        "markup",
        "names",
        "optional",
        "particles",
        "places",
        "processes",
        "records",
    },
    {"showers"},
    {"beam", "cluster", "events", "geometry", "nn", "preprocessing", "public", "split"},
    {"formats", "models"},
    {"features", "trained"},
    {"simulator"},
    {"zoo"},
    {"blocks", "training"},
    {"geant4", "generation"},
    {"export", "integration"},
    {"speed"},
    {"evaluation"},
    {"sweeps"},
    {"report"},
    {"api"},
    {"cli"},
    {"__main__"},
)
# methods for people, each of one line: what is below hands itself to what is above, when it is called
CONVENIENT = {
    ("caloforge.showers", "caloforge.formats"),  # Showers.save
    ("caloforge.showers", "caloforge.geometry"),  # the type that it takes
    ("caloforge.evaluation.outcome", "caloforge.report"),  # Evaluation.save
    ("caloforge.geometry.layers", "caloforge.geometry.files"),  # Geometry.stack
}


def modules() -> dict[str, Path]:
    """Every file by the name of its module."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("caloforge", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> dict[str, set[str]]:
    """Files of the package that every file imports, anywhere in it."""
    known = modules()
    downwards = {name: _imported(path, known) - {name} for name, path in known.items()}
    for name, other in CONVENIENT:
        downwards[name].remove(other)
    return downwards


def _imported(path: Path, known: dict[str, Path]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            places = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {place if place in known else node.module for place in places}
    return found & known.keys() - {"caloforge"}  # which tells the version, and imports the rest when asked


def test_no_files_go_round_in_a_circle() -> None:
    try:
        order = list(TopologicalSorter(imports()).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
    assert len(order) > 200


def test_dependencies_point_downwards() -> None:
    height = {name: number for number, names in enumerate(LAYERS) for name in names}
    wrong = [
        f"{name} -> {other}"
        for name, others in imports().items()
        for other in others
        if name != "caloforge" and _part(name) != _part(other) and height[_part(name)] <= height[_part(other)]
    ]
    assert not wrong


def _part(name: str) -> str:
    return name.split(".")[1]
