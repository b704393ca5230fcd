"""Sweeps: one preset trained with many values of its keys, judged, and set side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.lazy import attributes

if TYPE_CHECKING:
    from caloforge.sweeps.axes import Axis, parse_axis, parse_seeds
    from caloforge.sweeps.checks import check_points
    from caloforge.sweeps.points import Point, folder_name, grid
    from caloforge.sweeps.record import Request, Sweep, begin, planned, read_sweep
    from caloforge.sweeps.results import Judged, Row, gather, judged_by
    from caloforge.sweeps.running import run_points
    from caloforge.sweeps.tables import write_tables

__all__ = [
    "Axis",
    "Judged",
    "Point",
    "Request",
    "Row",
    "Sweep",
    "begin",
    "check_points",
    "folder_name",
    "gather",
    "grid",
    "judged_by",
    "parse_axis",
    "parse_seeds",
    "planned",
    "read_sweep",
    "run_points",
    "write_tables",
]

# imported when they are first used: what is wrong with a command line is told without torch
__getattr__ = attributes(
    __name__,
    {
        **dict.fromkeys(["Axis", "parse_axis", "parse_seeds"], "axes"),
        "check_points": "checks",
        **dict.fromkeys(["Point", "folder_name", "grid"], "points"),
        **dict.fromkeys(["Request", "Sweep", "begin", "planned", "read_sweep"], "record"),
        **dict.fromkeys(["Judged", "Row", "gather", "judged_by"], "results"),
        "run_points": "running",
        "write_tables": "tables",
    },
)
