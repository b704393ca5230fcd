"""Reconstructions that learnt from one sample and are used on the other, as figure 17 of 3DGAN's paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.report.plot import Plot
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.report.samples import recorded, recorded_curve
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.report.curves import Curve

__all__ = ["downstream_plots"]

_SECTION = "Trained on one, used on the other"
_WAYS = {
    "gen_to_g4": "generated, tested on Geant4",
    "g4_to_gen": "Geant4, tested on generated",
    "gen_to_gen": "generated, both",
}
_BLACK = "Black: learnt from Geant4 and tested on it."
_QUANTITIES = {
    "energy_resolution": (
        r"$\sigma_{68}$ of $E_{rec} / E_{true}$ [%]",
        f"Energy resolution of networks that learnt from {{model}} or from Geant4. {_BLACK}",
        True,
    ),
    "energy_bias": (
        r"median of $E_{rec} / E_{true}$ [%]",
        f"Energy that networks reconstruct which learnt from {{model}} or from Geant4. {_BLACK}",
        False,
    ),
}


def downstream_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw resolution and bias against the true energy, for every model (inside of ``style()``)."""
    for quantity, (label, caption, from_zero) in _QUANTITIES.items():
        own = recorded(evaluation, f"downstream.{quantity}_g4_to_g4")
        others = {way: recorded(evaluation, f"downstream.{quantity}_{way}") for way in _WAYS}
        for number, (model, settings) in enumerate(own.items()):
            if any(model not in found for found in others.values()):
                continue
            edges = np.array(settings["energy_edges_mev"]) / GEV
            shift = 0.0 if from_zero else 1.0
            curves = {name: _curve(others[way][model], shift) for way, name in _WAYS.items()}
            axis = Axis("incident energy [GeV]", label, points=True, from_zero=from_zero)
            figure = ratio_figure(edges, _curve(settings, shift), curves, axis)
            yield Plot(f"downstream_{quantity}_{number}", _SECTION, caption.format(model=model), figure)


def _curve(settings: Mapping[str, Any], shift: float) -> Curve:
    """Per cent; ``shift`` makes the median of a ratio of its distance to 1."""
    numbers = [None if value is None else 100 * (value + shift) for value in settings["by_energy"]]
    return recorded_curve(numbers)
