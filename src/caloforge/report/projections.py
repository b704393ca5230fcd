"""Single showers on the three planes, as 3DGAN's figures 7 and 16 have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LogNorm

from caloforge.features.projections import has_projections
from caloforge.geometry import to_dense
from caloforge.particles import particle_name
from caloforge.report.gan import SECTION
from caloforge.report.lines import REFERENCE
from caloforge.report.panels import make_panels
from caloforge.report.plot import Plot
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["projection_plots"]

_PLANES = {"yz": (1, "layer", "y [mm]"), "xz": (2, "layer", "x [mm]"), "xy": (0, "x [mm]", "y [mm]")}
"""Axis of (layer, x, y) that is summed, and the labels of the other two."""

_LOW, _HIGH = 0, -1
_DECADES, _SIZE, _SMALL, _MOST = 4.0, (3.4, 2.9), 13, 6


def projection_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw showers of low and high energy, and the earliest one, of every sample (inside of ``style()``)."""
    geometry = evaluation.geometry
    if not (geometry.is_uniform and has_projections(geometry)):
        return
    samples = (evaluation.reference, *evaluation.generated)[:_MOST]
    names = [REFERENCE, *(sample.name for sample in evaluation.generated)]
    for key, number in (("low", _LOW), ("high", _HIGH)):
        showers = [sample.examples[number] for sample in samples]
        caption = f"A shower of {key} energy on three planes: sums of the cells (figure 7)."
        yield _plot(names, showers, geometry, key, caption)
    early = [(name, s.early) for name, s in zip(names, samples, strict=False) if s.early is not None]
    if early:
        caption = (
            "The shower of the upper half of energies that has most of its energy in the first 3/25 of the "
            "layers (figure 16: showers that begin in front of the calorimeter)."
        )
        yield _plot([name for name, _ in early], [shower for _, shower in early], geometry, "early", caption)


def _plot(
    names: Sequence[str], showers: Sequence[Showers], geometry: Geometry, key: str, caption: str
) -> Plot:
    figure = _draw(names, showers, geometry)
    return Plot(f"3dgan_projections_{key}", SECTION, caption, figure, columns=len(_PLANES))


def _draw(names: Sequence[str], showers: Sequence[Showers], geometry: Geometry) -> Figure:
    """A row for every sample, a column for every plane; one scale of colours."""
    images = [to_dense(shower, geometry)[0].astype(np.float64) for shower in showers]
    sums = [[image.sum(axis=axis) for axis, _, _ in _PLANES.values()] for image in images]
    top = max(max(float(plane.max()) for plane in planes) for planes in sums) or 1.0
    panels = make_panels(len(_PLANES), len(showers), size=_SIZE)
    x, y = _edges(geometry)
    layers = np.arange(geometry.n_layers + 1) - 0.5
    across = {"yz": (layers, y), "xz": (layers, x), "xy": (x, y)}
    for row, (name, shower, planes) in enumerate(zip(names, showers, sums, strict=False)):
        panels.title(f"{name}: {_particle(shower)}", row, 0, size=_SMALL)
        for column, ((key, (_, first, second)), plane) in enumerate(
            zip(_PLANES.items(), planes, strict=True)
        ):
            axes = panels.axes[row][column]
            horizontal, vertical = across[key]
            shown = np.where(plane > 0, plane, np.nan).T
            norm = LogNorm(top * 10.0**-_DECADES, top)
            mesh = axes.pcolormesh(horizontal, vertical, shown, norm=norm, rasterized=True)
            axes.grid(visible=False)
            axes.set_xlabel(first)
            axes.set_ylabel(second)
        panels.bar(mesh, row, label="MeV")
    return panels.figure


def _edges(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    centres = geometry.layers[0].grid.centres()
    x, y = (np.unique(centres[:, axis]) for axis in (0, 1))
    return _around(x), _around(y)


def _around(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    half = 0.5 * (centres[1] - centres[0]) if len(centres) > 1 else 0.5
    return np.concatenate([centres - half, [centres[-1] + half]])


def _particle(shower: Showers) -> str:
    incident = shower.incident
    particle, energy = particle_name(int(incident.pdg[0])), incident.energy[0] / GEV
    lean = incident.theta[0] * np.sign(np.sin(incident.phi[0]) or 1.0) / DEGREE
    return f"{particle} {energy:.3g} GeV, {lean:.3g}°"
