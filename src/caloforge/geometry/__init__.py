"""Calorimeter geometries: layers, grids, the catalogue, and points to cells and back."""

from caloforge.geometry.files import geometry_from_dict, geometry_from_json, geometry_names, load_geometry
from caloforge.geometry.grids import BoxGrid, PolarGrid
from caloforge.geometry.layers import Geometry, Layer, Slab
from caloforge.geometry.projection import (
    Deposits,
    check_cells,
    cut_cells,
    deposits,
    from_sums,
    place,
    project,
    summed,
    to_cells,
    to_dense,
    to_points,
)
from caloforge.geometry.rings import (
    SQUARE_TURNS,
    Rings,
    cell_symmetries,
    find_rings,
    symmetry_turns,
    uniform_grid,
)
from caloforge.geometry.xml import read_binning_xml, write_binning_xml

__all__ = [
    "SQUARE_TURNS",
    "BoxGrid",
    "Deposits",
    "Geometry",
    "Layer",
    "PolarGrid",
    "Rings",
    "Slab",
    "cell_symmetries",
    "check_cells",
    "cut_cells",
    "deposits",
    "find_rings",
    "from_sums",
    "geometry_from_dict",
    "geometry_from_json",
    "geometry_names",
    "load_geometry",
    "place",
    "project",
    "read_binning_xml",
    "summed",
    "symmetry_turns",
    "to_cells",
    "to_dense",
    "to_points",
    "uniform_grid",
    "write_binning_xml",
]
