"""``caloforge inspect``: what a shower file holds."""

from __future__ import annotations

import json
import math
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caloforge.cli import complete
from caloforge.cli.common import print_table, progress
from caloforge.cli.units import Branches, EnergyUnit, reading_in
from caloforge.units import DEGREE, GEV, unit_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caloforge.formats import Format, ShowerReader
    from caloforge.formats.summary import FileSummary, Spread

__all__ = ["inspect"]

_LONGEST = 90


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Shower file of any format.")],
    *,
    geometry: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Read-out, where the file does not tell.",
            autocompletion=complete.geometry,
        ),
    ] = None,
    energy_unit: EnergyUnit = None,
    branches: Branches = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the content with the checksums of the file.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; energies in MeV, angles in rad.")
    ] = False,
) -> None:
    r"""Tell what a shower file holds, in one pass over it.

    All showers are read, which checks them; the first defect is told.

    \b
    caloforge inspect showers.h5
    caloforge inspect showers.h5 --check --json
    caloforge inspect voxels.hdf5 --geometry binning.xml#photon
    caloforge inspect tree.root --branches incident_energy=Etrue:GeV,energy=hit_E:GeV
    """
    from caloforge.formats import detect_format, open_showers
    from caloforge.formats.summary import summarise
    from caloforge.geometry import load_geometry

    known = load_geometry(geometry) if geometry else None
    with reading_in(energy_unit, branches), open_showers(file, geometry=known) as reader:
        form = detect_format(file)
        with progress("reading", len(reader)) as advance:
            summary = summarise(reader, advance=advance)
        sums = reader.verify() if check else None
        told = _told(file, form, reader, summary, sums)
    if as_json:
        typer.echo(json.dumps(told, indent=1))
    else:
        print_table(("", str(file)), list(_rows(told)))


def _told(
    file: Path, form: Format, reader: ShowerReader, summary: FileSummary, sums: int | None
) -> dict[str, Any]:
    """All that the command tells, as JSON has it: energies in MeV, angles in rad, lengths in mm."""
    from caloforge.formats.simulated import simulation_of

    spreads = {
        "energy": summary.energy,
        "theta": summary.theta,
        "phi": summary.phi,
        "hits": summary.hits,
        "hit_energy": summary.hit_energy,
        "visible_fraction": summary.visible,
    }
    return {
        "file": str(file),
        "format": form.name,
        "format_description": form.description,
        "size": file.stat().st_size,
        "showers": len(reader),
        "empty": summary.empty,
        "kind": summary.kind,
        "geometry": _geometry(reader),
        "particles": {str(code): n for code, n in sorted(summary.particles.items())},
        **{name: _limits(values) for name, values in spreads.items()},
        "threshold": reader.meta.threshold,
        "sampling_fraction": reader.meta.sampling_fraction,
        "pitch": reader.meta.pitch,
        "hit_unit": reader.hit_unit,
        "incident_unit": reader.incident_unit,
        "checksums": sums,
        "simulated": _plain(simulation_of(reader.provenance)),
        "fast": summary.fast,
        "provenance": {key: _plain(value) for key, value in reader.provenance.items()},
    }


def _geometry(reader: ShowerReader) -> dict[str, Any] | None:
    geometry = reader.geometry
    if geometry is None:
        return None
    return {
        "name": geometry.name,
        "description": geometry.description,
        "fingerprint": geometry.fingerprint,
        "cells": geometry.n_cells,
        "layers": geometry.n_layers,
        "threshold": geometry.threshold,
    }


def _limits(values: Spread) -> dict[str, float] | None:
    return {"low": values.low, "high": values.high, "mean": values.mean} if values.count else None


def _plain(value: Any) -> Any:
    """A value of any file as JSON has it: JSON knows neither numpy's types nor NaN."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def _rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "format", f"{told['format']}: {told['format_description']}"
    yield "size", f"{told['size'] / 1e6:.1f} MB"
    yield "showers", f"{told['showers']:,}" + (f", {told['empty']:,} of them empty" if told["empty"] else "")
    yield from _geometry_rows(told["geometry"])
    if told["showers"]:
        yield from _shower_rows(told)
    yield from _scale_rows(told)
    if told["checksums"] is not None:
        yield "checksums", f"{told['checksums']} agree" if told["checksums"] else "none in the file"
    if told["simulated"]:
        yield "simulated by", _simulation(told["simulated"])
    if "fast_replaced" in told["fast"]:
        yield "by the model", _replaced(told["fast"])
    for key, value in told["provenance"].items():
        if key not in told["simulated"]:
            yield f"file: {key}", _short(str(value))


def _simulation(told: Mapping[str, Any]) -> str:
    from caloforge.formats.simulated import simulation_text

    return simulation_text(told)


def _replaced(told: Mapping[str, float]) -> str:
    from caloforge.formats.simulated import replaced_text

    return replaced_text(told)


def _geometry_rows(geometry: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if geometry is None:
        yield "geometry", "not known"
        return
    yield "geometry", f"{geometry['name']} ({geometry['fingerprint']}), {geometry['cells']:,} cells"
    if geometry["description"]:
        yield "", geometry["description"]


def _shower_rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from caloforge.particles import particle_name

    counts = ((particle_name(int(code)), n) for code, n in told["particles"].items())
    yield "particles", ", ".join(f"{n:,} {name}" for name, n in counts)
    yield "energy", _spread(told["energy"], GEV, "GeV")
    yield "theta", _spread(told["theta"], DEGREE, "degrees from the perpendicular")
    yield "phi", _spread(told["phi"], DEGREE, "degrees")
    yield "hits", _spread(told["hits"], 1.0, f"{told['kind']} per shower")
    yield "hit energy", _spread(told["hit_energy"], 1.0, "MeV")
    yield "visible fraction", _spread(told["visible_fraction"], 1.0, "of the incident energy")


def _scale_rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "threshold", f"{told['threshold']:.4g} MeV" if told["threshold"] else "none known"
    fraction = told["sampling_fraction"]
    yield "stored in", f"{unit_name(told['hit_unit'])}, the particles in {unit_name(told['incident_unit'])}"
    yield "energy scale", f"deposits divided by {fraction:g}" if fraction != 1 else "sensor energy"
    if told["pitch"]:
        yield "positions", f"on a grid of {told['pitch']:.4g} mm"


def _spread(values: Mapping[str, float] | None, unit: float, name: str) -> str:
    if values is None:
        return "none"
    low, mean, high = (_number(values[key] / unit) for key in ("low", "mean", "high"))
    return f"{low} {name}" if values["low"] == values["high"] else f"{low} to {high} {name} (mean {mean})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 3] + "..."
