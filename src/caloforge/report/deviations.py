"""Heat maps of relative deviations in bins of energy and angle, as 3DGAN's papers show them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.report.panels import make_panels
from caloforge.report.plot import Plot
from caloforge.report.samples import recorded
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation

__all__ = ["deviation_plots"]

_ROW, _COLUMN, _NARROWEST, _WIDEST = 0.32, 0.62, 2.6, 7.0
_LEFT, _BOTTOM, _DEEP, _SMALL = 4.6, 1.5, 2.1, 13
_SURE = 2.0


def deviation_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw the deviations of all quantities, where the metric recorded them (inside of ``style()``)."""
    found = recorded(evaluation, "physics.3dgan_beyond")
    if not found:
        return
    first = next(iter(found.values()))
    titles, bins = [title for _, title in first["quantities"]], _bin_names(first)
    size = min(max(_COLUMN * len(bins), _NARROWEST), _WIDEST), _ROW * len(titles)
    bottom = _BOTTOM if len(first["angle_edges"]) == 2 else _DEEP
    panels = make_panels(len(found), size=size, left=_LEFT, bottom=bottom)
    limit = 2 * first["limit"]
    for column, (axes, (model, settings)) in enumerate(zip(panels.axes[0], found.items(), strict=True)):
        mesh = axes.pcolormesh(_matrix(settings), cmap="RdBu_r", vmin=-limit, vmax=limit, rasterized=True)
        panels.title(model, 0, column)
        axes.set_xticks(np.arange(len(bins)) + 0.5, bins, rotation=90, fontsize=_SMALL)
        names = titles if column == 0 else [""] * len(titles)
        axes.set_yticks(np.arange(len(titles)) + 0.5, names, fontsize=_SMALL)
        axes.tick_params(which="both", length=0)
        axes.invert_yaxis()
        axes.set_xlabel("incident energy [GeV]")
    panels.bar(mesh, 0, label="relative deviation", extend="both")
    caption = (
        "Deviation of means from Geant4 in bins of the incident particle (3DGAN); white: within two "
        f"statistical errors. The metric counts deviations beyond {first['limit']:.0%}."
    )
    yield Plot("deviations", "Response", caption, panels.figure, columns=max(len(found), 2))


def _matrix(settings: Mapping[str, Any]) -> NDArray[np.float64]:
    """Quantities by bins: 0 where statistics explain a deviation, NaN where there were too few showers."""
    off, error = (np.array(settings[key], dtype=np.float64) for key in ("deviation", "error"))
    sure = np.where(np.abs(off) < _SURE * error, 0.0, off)
    return sure.reshape(len(sure), -1)


def _bin_names(settings: Mapping[str, Any]) -> list[str]:
    energy, angle = (np.array(settings[key]) for key in ("energy_edges", "angle_edges"))
    energies = [f"{low / GEV:.3g}–{high / GEV:.3g}" for low, high in pairwise(energy)]
    if len(angle) == 2:
        return energies
    # whole numbers: there is no angle of -0 degrees
    angles = [f"{round(low / DEGREE)} to {round(high / DEGREE)}°" for low, high in pairwise(angle)]
    return [f"{e}, {a}" for e in energies for a in angles]
