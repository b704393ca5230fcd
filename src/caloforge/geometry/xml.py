"""The binning XML of the CaloChallenge: rings and angles of every layer, by particle.

Layout: root ``Bins``; one ``Bin`` a particle with ``pid`` and ``name``; one ``Layer`` each with
``id``, ``r_edges`` (comma list [mm]) and ``n_bin_alpha``. A layer whose ``r_edges`` is "0" has no
voxels. Materials, thresholds and energy scales are not part of it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from pydantic import ValidationError

from caloforge.errors import ConfigError, GeometryError, bad, clipped, shown
from caloforge.files import write_text
from caloforge.geometry.grids import PolarGrid
from caloforge.geometry.layers import MOST_LAYERS, Geometry, Layer
from caloforge.markup import parse_xml, read_bytes
from caloforge.particles import PARTICLES, particle_code
from caloforge.records import first_problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_binning_xml", "write_binning_xml"]


def read_binning_xml(path: Path, *, particle: str | None = None) -> Geometry:
    """Read the geometry of one particle.

    Args:
        path: The XML file.
        particle: Name ("photon") or code ("22") of the ``Bin``; not needed when there is only one.

    Raises:
        GeometryError: The file is missing or not such XML, or it has no such particle.
    """
    chosen = _choose(_bins(path), path, particle)
    stem = path.stem if particle is None else f"{path.stem}#{particle}"
    name = "".join(c if c.isprintable() else "?" for c in stem)[:200]
    elements = chosen.findall("Layer")
    if len(elements) > MOST_LAYERS:
        raise GeometryError(bad(f"{path}", got=f"{len(elements)} layers", expected=f"up to {MOST_LAYERS}"))
    layers = [layer for element in elements if (layer := _layer(element, path)) is not None]
    if not layers:
        raise GeometryError(bad(f"The geometry {path}", got="no layer with voxels", expected="at least one"))
    try:
        return Geometry(name=name, layers=tuple(layers), particle=str(_code(chosen, path)))
    except ValidationError as error:
        problem = first_problem(error)
        raise GeometryError(
            bad(f"The geometry {path}", got=problem.got, expected=problem.expected)
        ) from error


def write_binning_xml(geometry: Geometry, path: Path) -> None:
    """Write the voxels of ``geometry``, which ``read_binning_xml`` reads as the same.

    Numbers of layers that rise from front to back and leave some out are filled up by empty layers, as
    others count them; layers in another order are written in their order.

    Raises:
        GeometryError: The geometry has square cells, which the XML has no words for.
    """
    root = ET.Element("Bins")
    named = {"name": geometry.particle} if geometry.particle in PARTICLES else {}
    bin_ = ET.SubElement(root, "Bin", {"pid": str(geometry.pdg), **named})
    for number, grid in _numbered(geometry):
        edges = ",".join(map(_number, grid.r_edges)) if grid else "0"
        alpha = str(grid.n_alpha) if grid else "1"
        ET.SubElement(bin_, "Layer", id=str(number), r_edges=edges, n_bin_alpha=alpha)
    ET.indent(root)
    write_text(path, ET.tostring(root, encoding="unicode") + "\n")


def _numbered(geometry: Geometry) -> Iterator[tuple[int, PolarGrid | None]]:
    """Numbers and grids of all layers in the order of the file; None for the empty ones."""
    grids = {layer.id: _polar(geometry, layer) for layer in geometry.layers}
    numbers = list(grids)
    ordered = numbers == sorted(numbers)
    for number in range(max(numbers) + 1) if ordered else numbers:
        yield number, grids.get(number)


def _number(value: float) -> str:
    """The shortest text that reads back as the same number; 5, not 5.0."""
    short = f"{value:.12g}"
    return short if float(short) == value else repr(value)


def _bins(path: Path) -> list[ET.Element]:
    text = read_bytes(path, what="geometry file", error=GeometryError)
    root = parse_xml(text, source=f"The geometry file {path}", error=GeometryError)
    bins = root.findall("Bin")
    if root.tag != "Bins" or not bins:
        msg = f"{path} is no binning XML: expected a root element Bins with at least one Bin."
        raise GeometryError(msg)
    return bins


def _choose(bins: list[ET.Element], path: Path, particle: str | None) -> ET.Element:
    matching = [b for b in bins if particle is None or particle in _labels(b) or _is(b, particle)]
    if len(matching) == 1:
        return matching[0]
    present = clipped(", ".join(map(_title, bins)), 160)
    if particle is None:
        wanted = f"has {len(bins)} particles"
    else:
        wanted = f"has {len(matching) or 'no'} particle{'s'[: len(matching) != 1]} {shown(particle)}"
    labels = Counter(label for b in bins for label in _labels(b))
    unique = next((label for label, times in labels.items() if times == 1), None)
    advice = f"name one, as in {path.name}#{unique}" if unique else "leave only one of them in the file"
    msg = f"{path} {wanted}: it has {present}; {advice}."
    raise GeometryError(msg)


def _labels(element: ET.Element) -> list[str]:
    """What a Bin can be called by: its name and its code."""
    return [text for key in ("name", "pid") if (text := element.get(key))]


def _title(element: ET.Element) -> str:
    labels = [clipped(label, 30) for label in _labels(element)]
    return " ".join([*labels[:1], *(f"({label})" for label in labels[1:])]) or "one without a name"


def _is(element: ET.Element, particle: str) -> bool:
    try:
        return particle_code(particle) in {particle_code(label) for label in _labels(element)}
    except ConfigError:
        return False


def _code(element: ET.Element, path: Path) -> int:
    """The particle of a Bin: its name and its pid, when it has both, say the same."""
    found = {label: _code_of(label, element, path) for label in _labels(element)}
    if len(set(found.values())) == 1:
        return found.popitem()[1]
    got = " and ".join(f"{label!r}, which is {code}," for label, code in found.items()) or "none"
    expected = "one particle by its name, its pid or both"
    raise GeometryError(bad(f"Particle of a Bin of {path}", got=got.rstrip(","), expected=expected))


def _code_of(label: str, element: ET.Element, path: Path) -> int:
    try:
        return particle_code(label)
    except ConfigError as error:
        key = "name" if label == element.get("name") else "pid"
        what, known = f"{key} of a Bin of {path}", ", ".join(PARTICLES)
        expected = f"a PDG code or one of {known}"
        fix = "leave the name out if there is a pid" if key == "name" else ""
        raise GeometryError(bad(what, got=shown(label), expected=expected, fix=fix)) from error


def _layer(element: ET.Element, path: Path) -> Layer | None:
    edges = _edges(_attribute(element, "r_edges", path))
    if edges == (0.0,):
        return None
    alpha, number = _attribute(element, "n_bin_alpha", path), _attribute(element, "id", path)
    try:
        return Layer.model_validate(
            {"id": number, "grid": {"kind": "polar", "r_edges": edges, "n_alpha": alpha}}
        )
    except ValidationError as error:
        problem = first_problem(error)
        key = {"n_alpha": "n_bin_alpha"}.get(str(problem.place[-1]), "r_edges")
        what = f"{'id' if problem.place == ('id',) else key} of layer {clipped(number, 20)} of {path}"
        raise GeometryError(bad(what, got=problem.got, expected=problem.expected)) from error


def _edges(text: str) -> tuple[str | float, ...]:
    """Edges as numbers; words stay as they are, for the check of the grid to name them."""
    parts = text.split(",")
    return (0.0,) if len(parts) == 1 and _is_zero(parts[0]) else tuple(parts)


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0.0
    except ValueError:
        return False


def _attribute(element: ET.Element, name: str, path: Path) -> str:
    if name not in element.attrib:
        msg = f"A layer of {path} lacks the attribute {name}: see the CaloChallenge's binning files."
        raise GeometryError(msg)
    return element.attrib[name]


def _polar(geometry: Geometry, layer: Layer) -> PolarGrid:
    if not isinstance(layer.grid, PolarGrid):
        msg = f"{geometry.name} has square cells: a binning XML describes rings cut into angles only."
        raise GeometryError(msg)
    return layer.grid
