"""``caloforge inspect``: what a shower file holds."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.common import print_table, progress
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.formats import ShowerReader
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
) -> None:
    r"""Tell what a shower file holds, in one pass over it.

    \b
    caloforge inspect showers.h5
    caloforge inspect voxels.hdf5 --geometry binning.xml#photon
    """
    from caloforge.formats import detect_format, open_showers
    from caloforge.formats.summary import summarise
    from caloforge.geometry import load_geometry

    known = load_geometry(geometry) if geometry else None
    form = detect_format(file)
    with open_showers(file, geometry=known) as reader:
        with progress("reading", len(reader)) as advance:
            summary = summarise(reader, advance=advance)
        size = f"{file.stat().st_size / 1e6:.1f} MB"
        rows = [("format", f"{form.name}: {form.description}"), ("size", size), *_rows(reader, summary)]
    print_table(("", str(file)), rows)


def _rows(reader: ShowerReader, summary: FileSummary) -> Iterator[tuple[str, str]]:
    yield "showers", f"{len(reader):,}" + (f", {summary.empty:,} of them empty" if summary.empty else "")
    yield from _geometry_rows(reader)
    if len(reader):
        yield from _shower_rows(summary)
    yield from _scale_rows(reader)
    for key, value in reader.provenance.items():
        yield f"file: {key}", _short(str(value))


def _geometry_rows(reader: ShowerReader) -> Iterator[tuple[str, str]]:
    geometry = reader.geometry
    if geometry is None:
        yield "geometry", "not known"
        return
    yield "geometry", f"{geometry.name} ({geometry.fingerprint}), {geometry.n_cells:,} cells"
    if geometry.description:
        yield "", geometry.description


def _shower_rows(summary: FileSummary) -> Iterator[tuple[str, str]]:
    from caloforge.beam import particle_name

    counts = ((particle_name(code), n) for code, n in sorted(summary.particles.items()))
    yield "particles", ", ".join(f"{n:,} {name}" for name, n in counts)
    yield "energy", _spread(summary.energy, GEV, "GeV")
    yield "theta", _spread(summary.theta, DEGREE, "degrees from the perpendicular")
    yield "phi", _spread(summary.phi, DEGREE, "degrees")
    yield "hits", _spread(summary.hits, 1.0, f"{summary.kind} per shower")
    yield "hit energy", _spread(summary.hit_energy, 1.0, "MeV")
    yield "visible fraction", _spread(summary.visible, 1.0, "of the incident energy")


def _scale_rows(reader: ShowerReader) -> Iterator[tuple[str, str]]:
    meta = reader.meta
    yield "threshold", f"{meta.threshold:.4g} MeV" if meta.threshold else "none known"
    fraction = meta.sampling_fraction
    yield "energy scale", f"deposits divided by {fraction:g}" if fraction != 1 else "sensor energy"
    if meta.pitch:
        yield "positions", f"on a grid of {meta.pitch:.4g} mm"


def _spread(values: Spread, unit: float, name: str) -> str:
    if not values.count:
        return "none"
    if values.low == values.high:
        return f"{_number(values.low / unit)} {name}"
    low, mean, high = (_number(v / unit) for v in (values.low, values.mean, values.high))
    return f"{low} to {high} {name} (mean {mean})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 3] + "..."
