"""The binning XML of the CaloChallenge: rings and angles of every layer, by particle.

Layout: root ``Bins``; one ``Bin`` a particle with ``pid`` and ``name``; one ``Layer`` each with
``id``, ``r_edges`` (comma list [mm]) and ``n_bin_alpha``. A layer whose ``r_edges`` is "0" has no
voxels. Materials, thresholds and energy scales are not part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from pydantic import ValidationError

from caloforge.errors import GeometryError
from caloforge.files import write_text
from caloforge.geometry.grids import PolarGrid
from caloforge.geometry.layers import Geometry, Layer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_binning_xml", "write_binning_xml"]

_PID = {"photon": "22", "pion": "211", "electron": "11"}


def read_binning_xml(path: Path, *, particle: str | None = None) -> Geometry:
    """Read the geometry of one particle.

    Args:
        path: The XML file.
        particle: Name ("photon") or code ("22") of the ``Bin``; not needed when there is only one.

    Raises:
        GeometryError: The file is missing or not such XML, or it has no such particle.
    """
    chosen = _choose(_bins(path), path, particle)
    name = path.stem if particle is None else f"{path.stem}#{particle}"
    try:
        layers = [_layer(element) for element in chosen.findall("Layer")]
        kept = tuple(layer for layer in layers if layer is not None)
        return Geometry(name=name, layers=kept, **_particle_field(chosen))
    except ValueError as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        msg = f"{path} does not describe a geometry: {first}."
        raise GeometryError(msg) from error


def write_binning_xml(geometry: Geometry, path: Path) -> None:
    """Write the voxels of ``geometry``; layer numbers that it does not use become empty layers.

    Raises:
        GeometryError: The geometry has square cells, which the XML has no words for.
    """
    root = ET.Element("Bins")
    bin_ = ET.SubElement(root, "Bin", pid=_PID[geometry.particle], name=geometry.particle)
    by_id = {layer.id: _polar(geometry, layer) for layer in geometry.layers}
    for number in range(max(by_id) + 1):
        grid = by_id.get(number)
        edges = ",".join(f"{edge:.12g}" for edge in grid.r_edges) if grid else "0"
        alpha = str(grid.n_alpha) if grid else "1"
        ET.SubElement(bin_, "Layer", id=str(number), r_edges=edges, n_bin_alpha=alpha)
    ET.indent(root)
    write_text(path, ET.tostring(root, encoding="unicode") + "\n")


def _bins(path: Path) -> list[ET.Element]:
    try:
        root = ET.fromstring(path.read_bytes())
    except OSError as error:
        msg = f"Cannot read the geometry file {path}: {error.strerror}."
        raise GeometryError(msg) from error
    except ET.ParseError as error:
        msg = f"The geometry file {path} is not valid XML: {error}."
        raise GeometryError(msg) from error
    bins = root.findall("Bin")
    if root.tag != "Bins" or not bins:
        msg = f"{path} is no binning XML: expected a root element Bins with at least one Bin."
        raise GeometryError(msg)
    return bins


def _choose(bins: list[ET.Element], path: Path, particle: str | None) -> ET.Element:
    matching = [b for b in bins if particle in {None, b.get("name"), b.get("pid")}]
    if len(matching) != 1:
        present = ", ".join(f"{b.get('name')} ({b.get('pid')})" for b in bins)
        wanted = f"has no particle {particle!r}" if particle else "has several particles"
        msg = f"{path} {wanted}: it has {present}; name one, as in {path.name}#{bins[0].get('name')}."
        raise GeometryError(msg)
    return matching[0]


def _particle_field(element: ET.Element) -> dict[str, Any]:
    by_pid = {pid: name for name, pid in _PID.items()}
    return {"particle": element.get("name") or by_pid.get(element.get("pid", ""), "unnamed")}


def _layer(element: ET.Element) -> Layer | None:
    edges = tuple(float(edge) for edge in _attribute(element, "r_edges").split(","))
    if edges == (0.0,):
        return None
    grid = PolarGrid(r_edges=edges, n_alpha=int(_attribute(element, "n_bin_alpha")))
    return Layer(id=int(_attribute(element, "id")), grid=grid)


def _attribute(element: ET.Element, name: str) -> str:
    if name not in element.attrib:
        msg = f"a {element.tag} lacks the attribute {name}"
        raise ValueError(msg)
    return element.attrib[name]


def _polar(geometry: Geometry, layer: Layer) -> PolarGrid:
    if not isinstance(layer.grid, PolarGrid):
        msg = f"{geometry.name} has square cells: a binning XML describes rings cut into angles only."
        raise GeometryError(msg)
    return layer.grid
