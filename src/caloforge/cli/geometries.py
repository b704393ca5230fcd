"""``caloforge geometries``: the catalogue of read-outs."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.common import print_table
from caloforge.errors import ConfigError, clipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.geometry import BoxGrid, Geometry, Layer, PolarGrid

__all__ = ["geometries"]


def geometries(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME|FILE", help="One geometry in detail.", autocompletion=complete.geometry),
    ] = None,
    *,
    names: Annotated[bool, typer.Option("--names", help="Print only the names, one a line.")] = False,
    xml: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write NAME as the CaloChallenge's binning XML.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.")] = False,
) -> None:
    r"""List the geometries that caloforge knows, or show one.

    A file may be YAML, JSON or binning XML (binning.xml#photon names the particle).

    \b
    caloforge geometries
    caloforge geometries siw-ecal
    caloforge geometries calochallenge-2 --xml binning_dataset_2.xml
    """
    from caloforge.geometry import geometry_names, load_geometry

    if xml is not None:
        _write_xml(name, xml, force=force)
    elif names:
        typer.echo("\n".join(geometry_names()))
    elif name is not None:
        _print_one(load_geometry(name))
    else:
        _print_all([load_geometry(known) for known in geometry_names()])


def _write_xml(name: str | None, path: Path, *, force: bool) -> None:
    from caloforge.files import claimed
    from caloforge.geometry import load_geometry, write_binning_xml

    if name is None:
        raise ConfigError("--xml needs a geometry: caloforge geometries NAME --xml OUT.")
    with claimed(path, force=force):
        write_binning_xml(load_geometry(name), path)
    typer.echo(f"{path}: binning of {name} (rings and angles: plates, cut and scale have no place in it)")


def _print_all(known: list[Geometry]) -> None:
    rows = [(g.name, g.n_layers, f"{g.n_cells:,}", _scale(g), g.description) for g in known]
    print_table(("name", "layers", "cells", "cut and scale", "description"), rows)


def _print_one(geometry: Geometry) -> None:
    rows = [
        ("description", clipped(geometry.description, 300) or "none"),
        ("particle", geometry.particle),
        ("cells", f"{geometry.n_cells:,} in {geometry.n_layers} layers"),
        ("dense shape", " x ".join(map(str, geometry.dense_shape))),
        ("depth", f"{geometry.depth:.4g} mm" if _has_materials(geometry) else "not known"),
        ("cut and scale", _scale(geometry)),
        ("points per cell", f"{geometry.points_per_cell} x {geometry.points_per_cell}"),
        ("fingerprint", geometry.fingerprint),
    ]
    print_table(("", geometry.name), rows)
    typer.echo("")
    print_table(("layers", "plates", "cells"), list(_layer_rows(geometry)))


def _scale(geometry: Geometry) -> str:
    cut = f"{geometry.threshold:.4g} MeV" if geometry.threshold else "none"
    fraction = geometry.sampling_fraction
    return f"{cut}, deposits / {fraction:g}" if fraction != 1 else cut


def _has_materials(geometry: Geometry) -> bool:
    return any(layer.slabs for layer in geometry.layers)


def _layer_rows(geometry: Geometry) -> Iterator[tuple[str, str, str]]:
    for (plates, cells), group in groupby(geometry.layers, key=lambda x: (_plates(x), _cells(x.grid))):
        layers = list(group)
        yield (_numbers([layer.id for layer in layers]), plates, cells)


def _numbers(ids: list[int]) -> str:
    """Layer numbers in their order, those that count up by one as "0 to 3"."""
    runs: list[list[int]] = []
    for number in ids:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return clipped(", ".join(f"{r[0]}" if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs), 200)


def _plates(layer: Layer) -> str:
    texts = (f"{s.material} {s.thickness:g}{' (sensitive)' if s.sensitive else ''}" for s in layer.slabs)
    return " + ".join(texts) + " mm" if layer.slabs else "not known"


def _cells(grid: BoxGrid | PolarGrid) -> str:
    if grid.kind == "box":
        return f"{grid.nx} x {grid.ny} of {grid.pitch[0]:g} x {grid.pitch[1]:g} mm"
    angles = f"{grid.n_alpha} angles x " if grid.n_alpha > 1 else ""
    return f"{angles}{grid.n_r} rings up to {grid.r_edges[-1]:g} mm"
