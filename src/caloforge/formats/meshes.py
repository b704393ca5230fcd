"""Cylindrical meshes around a particle, stored with the axes of radius, angle and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import FormatError, GeometryError, bad

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.geometry import Geometry

__all__ = ["check_mesh", "check_rings"]


def check_mesh(what: str, cells: tuple[int, ...], geometry: Geometry) -> None:
    """Refuse a mesh that is not that of a geometry.

    Args:
        what: Whose mesh it is.
        cells: Numbers of depths, angles and rings.
        geometry: Whose layers have that order.

    Raises:
        FormatError: The numbers are others.
    """
    if geometry.dense_shape != cells:
        got = f"{cells[::-1]} cells (r, angle, z)"
        raise FormatError(
            bad(what, got=got, expected=f"those of {geometry.name} {geometry.dense_shape[::-1]}")
        )


def check_rings(path: Path, geometry: Geometry) -> None:
    """Refuse to write what is no such mesh.

    Raises:
        GeometryError: Layers differ, or their cells are no rings.
    """
    if not geometry.is_uniform or geometry.layers[0].grid.kind != "polar":
        got, expected = f"those of {geometry.name}", "the same rings in all layers"
        raise GeometryError(bad(f"cells for {path}", got=got, expected=expected))
