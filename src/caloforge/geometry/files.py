"""Geometries by name (the catalogue) or from a YAML or JSON file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from caloforge.errors import GeometryError, bad, clipped, did_you_mean, shown
from caloforge.geometry.layers import MOST_LAYERS, Geometry
from caloforge.geometry.xml import read_binning_xml
from caloforge.markup import LARGEST_YAML, parse_json, parse_yaml, read_text
from caloforge.names import GEOMETRIES, geometry_names
from caloforge.records import first_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["geometry_from_dict", "geometry_from_json", "geometry_names", "load_geometry"]

_YAML, _JSON, _XML = {".yaml", ".yml"}, {".json"}, {".xml"}


def load_geometry(name_or_path: str | Path, *, particle: str | None = None) -> Geometry:
    """Load a geometry by its name in the catalogue, or from a YAML, JSON or binning XML file.

    Args:
        name_or_path: A name, or a file; ``binning.xml#photon`` names the particle too.
        particle: Which particle's layers of a binning XML, by name or code; not needed for one.

    Raises:
        GeometryError: The name is unknown or the file does not describe a geometry.
    """
    path = Path(name_or_path)
    file, _, fragment = str(name_or_path).rpartition("#")
    if file and Path(file).suffix.lower() in _XML:
        return read_binning_xml(Path(file), particle=particle or fragment or None)
    if path.suffix.lower() in _XML:
        return read_binning_xml(path, particle=particle)
    if path.suffix.lower() in _YAML | _JSON:
        return _from_file(path)
    return _from_catalog(str(name_or_path))


@cache
def _from_catalog(name: str) -> Geometry:
    if name not in geometry_names():
        hint = did_you_mean(name, geometry_names())
        msg = f"Unknown geometry {clipped(name, 60)!r}: {hint}, or give a YAML or XML file."
        raise GeometryError(msg)
    text = (GEOMETRIES / f"{name}.yaml").read_text(encoding="utf-8")
    return geometry_from_dict(parse_yaml(text, source=name, error=GeometryError), source=name)


def _from_file(path: Path) -> Geometry:
    source = f"The geometry file {path}"
    if path.suffix.lower() in _JSON:
        text = read_text(path, what="geometry file", error=GeometryError)
        return geometry_from_dict(parse_json(text, source=source, error=GeometryError), source=str(path))
    text = read_text(path, what="geometry file", error=GeometryError, largest=LARGEST_YAML)
    return geometry_from_dict(parse_yaml(text, source=source, error=GeometryError), source=str(path))


def geometry_from_json(text: str | bytes, *, source: str) -> Geometry:
    """Read a geometry as files of showers and models store it.

    Args:
        text: What ``Geometry.model_dump_json`` made.
        source: Where it is stored, for errors.

    Raises:
        GeometryError: It is no such text, or it describes no geometry.
    """
    return geometry_from_dict(
        parse_json(text, source=f"The geometry of {source}", error=GeometryError), source=source
    )


def geometry_from_dict(content: Mapping[str, Any], *, source: str) -> Geometry:
    """Build a geometry from the keys of a YAML file, or from those of ``Geometry.model_dump``.

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
    layers = _expand(entries.pop("layers"), grid, source)
    try:
        return Geometry.model_validate({**entries, "layers": layers})
    except ValidationError as error:
        raise GeometryError(_explain(error, source)) from error


def _explain(error: ValidationError, source: str) -> str:
    problem = first_problem(error)
    if problem.kind == "unknown":
        return f"The geometry {source} has an unknown key {problem.where!r}: check its name."
    if problem.kind == "missing":
        return f"The geometry {source} lacks {problem.where!r}: see a file of the catalogue for the keys."
    what = f"{problem.where} of the geometry {source}" if problem.place else f"The geometry {source}"
    return bad(what, got=problem.got, expected=problem.expected)


def _expand(entries: object, grid: object, source: str) -> list[dict[str, Any]]:
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, dict) for entry in entries):
        what, expected = f"layers of the geometry {source}", "a list of layers with their keys"
        raise GeometryError(bad(what, got=shown(entries), expected=expected))
    repeats = [_repeat(entry, source) for entry in entries]
    if not 0 < sum(repeats) <= MOST_LAYERS:
        what, expected = f"layers of the geometry {source}", f"1 to {MOST_LAYERS} with their repetitions"
        raise GeometryError(bad(what, got=f"{sum(repeats):,}", expected=expected))
    layers: list[dict[str, Any]] = []
    for entry, repeat in zip(entries, repeats, strict=True):
        fields = {"grid": grid, **entry, "slabs": _slabs(entry.get("slabs", ()), source)}
        fields.pop("repeat", None)
        first = len(layers)
        layers.extend({"id": number, **fields} for number in range(first, first + repeat))
    return layers


def _repeat(entry: Mapping[str, Any], source: str) -> int:
    repeat = entry.get("repeat", 1)
    if not isinstance(repeat, int) or isinstance(repeat, bool) or not 1 <= repeat <= MOST_LAYERS:
        what, expected = f"repeat of a layer of the geometry {source}", f"a whole number, 1 to {MOST_LAYERS}"
        raise GeometryError(bad(what, got=shown(repeat), expected=expected))
    return repeat


def _slabs(entries: object, source: str) -> list[dict[str, Any]]:
    if not isinstance(entries, list | tuple):
        what = f"slabs of a layer of the geometry {source}"
        raise GeometryError(bad(what, got=shown(entries), expected="a list of slabs"))
    return [_slab(entry, source) for entry in entries]


def _slab(entry: object, source: str) -> dict[str, Any]:
    match entry:
        case dict():
            return entry
        case [material, thickness]:
            return {"material": material, "thickness": thickness}
        case [material, thickness, "sensitive"]:
            return {"material": material, "thickness": thickness, "sensitive": True}
    expected = "[material, mm] or [material, mm, sensitive]"
    raise GeometryError(bad(f"a slab of the geometry {source}", got=shown(entry), expected=expected))
