"""Geometries by name (the catalogue) or from a YAML or JSON file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from caloforge.errors import GeometryError, bad, did_you_mean
from caloforge.geometry.layers import Geometry
from caloforge.geometry.xml import read_binning_xml
from caloforge.names import GEOMETRIES, geometry_names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["geometry_from_dict", "geometry_names", "load_geometry"]


def load_geometry(name_or_path: str | Path, *, particle: str | None = None) -> Geometry:
    """Load a geometry by its name in the catalogue, or from a YAML, JSON or binning XML file.

    Args:
        name_or_path: A name, or a file; ``binning.xml#photon`` names the particle too.
        particle: Which particle's layers of a binning XML, by name or code; not needed for one.

    Raises:
        GeometryError: The name is unknown or the file does not describe a geometry.
    """
    file, _, fragment = str(name_or_path).partition("#")
    path = Path(file)
    if path.suffix == ".xml":
        return read_binning_xml(path, particle=particle or fragment or None)
    if path.suffix in {".yaml", ".yml", ".json"}:
        return _from_file(Path(name_or_path))
    return _from_catalog(str(name_or_path))


@cache
def _from_catalog(name: str) -> Geometry:
    if name not in geometry_names():
        msg = (
            f"Unknown geometry {name!r}: {did_you_mean(name, geometry_names())}, or give a YAML or XML file."
        )
        raise GeometryError(msg)
    text = (GEOMETRIES / f"{name}.yaml").read_text(encoding="utf-8")
    return geometry_from_dict(yaml.safe_load(text), source=name)


def _from_file(path: Path) -> Geometry:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else error.strerror
        msg = f"Cannot read the geometry file {path}: {reason}."
        raise GeometryError(msg) from error
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        msg = f"The geometry file {path} is not valid {path.suffix[1:].upper()}: {error}."
        raise GeometryError(msg) from error
    return geometry_from_dict(content, source=str(path))


def geometry_from_dict(content: Mapping[str, Any], *, source: str) -> Geometry:
    """Build a geometry from the keys of a YAML file.

    ``layers`` is a list in which an entry may say ``repeat: 20``; ``grid`` at the top level is
    the grid of all layers that do not bring their own; ``slabs`` are written
    ``[material, thickness in mm]`` or ``[material, thickness, sensitive]``.

    Raises:
        GeometryError: A key is unknown or a value is out of range.
    """
    if not isinstance(content, dict) or "layers" not in content:
        msg = f"The geometry {source} has no list of layers: see a file of the catalogue for the keys."
        raise GeometryError(msg)
    entries = dict(content)
    grid = entries.pop("grid", None)
    try:
        layers = _expand(entries.pop("layers"), grid)
        return Geometry.model_validate({**entries, "layers": layers})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        msg = f"The geometry {source} is wrong at {place}: {first['msg']} (got {first['input']!r})."
        raise GeometryError(msg) from error


def _expand(entries: object, grid: object) -> list[dict[str, Any]]:
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, dict) for entry in entries):
        raise GeometryError(bad("the layers", got=repr(entries), expected="a list of layers with their keys"))
    layers: list[dict[str, Any]] = []
    for entry in entries:
        fields = {"grid": grid, "slabs": [], "repeat": 1, **entry}
        repeat, slabs = fields.pop("repeat"), fields.pop("slabs")
        if not isinstance(repeat, int) or not isinstance(slabs, list | tuple):
            expected = "a number to repeat and a list of slabs"
            raise GeometryError(bad("a layer", got=repr(entry), expected=expected))
        for _ in range(repeat):
            layers.append({"id": len(layers), **fields, "slabs": [_slab(s) for s in slabs]})
    return layers


def _slab(entry: object) -> dict[str, Any]:
    match entry:
        case [material, thickness]:
            return {"material": material, "thickness": thickness}
        case [material, thickness, "sensitive"]:
            return {"material": material, "thickness": thickness, "sensitive": True}
    raise GeometryError(
        bad("a slab", got=repr(entry), expected="[material, mm] or [material, mm, sensitive]")
    )
