"""Single showers of the reference and of every model, side by side at nearly the same energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.collections import Collection

from caloforge.report.interactive import turn_table
from caloforge.report.lines import REFERENCE
from caloforge.report.physics import BROKEN
from caloforge.report.plot import Plot
from caloforge.report.scene import row_length
from caloforge.report.still import draw_event
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.report.interactive import TurnTable
    from caloforge.report.scene import Panel

__all__ = ["event_plots", "event_table", "odd_plots"]

_MOST = 6
_LOW, _MIDDLE = 0, 1
_LARGEST = 5_000_000


def event_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw one shower of low, middle and high energy of every sample."""
    for number, shower in enumerate(evaluation.reference.examples):
        energy = shower.incident.energy[0] / GEV
        caption = f"Showers of about {energy:.3g} GeV: cells above threshold."
        panels = _panels(evaluation, number)
        figure = draw_event(panels)
        for hits in figure.findobj(Collection):
            hits.set_rasterized(True)  # thousands of faces
        yield Plot(f"event_{number}", "Events", caption, figure, row_length(len(panels)))


def odd_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw the showers of every model that lie furthest outside of Geant4's range."""
    for sample in evaluation.generated:
        if not sample.odd:
            continue
        panels = [
            (f"{odd.quantity}: {odd.beyond:.2g} ranges beyond", shower, evaluation.geometry)
            for odd, shower in sample.odd
        ]
        figure = draw_event(panels)
        for hits in figure.findobj(Collection):
            hits.set_rasterized(True)
        caption = (
            f"Showers of {sample.name} furthest outside of the range that {REFERENCE} has at their energy, "
            "in lengths of that range. Geant4 has some beyond its own range too: see the floor of the table."
        )
        key = "broken_" + "".join(c if c.isalnum() else "_" for c in sample.name)
        yield Plot(key, BROKEN, caption, figure, row_length(len(panels)))


def event_table(evaluation: Evaluation) -> TurnTable | None:
    """A shower of middle or low energy of every sample; None when all are too large for a page."""
    for number in (_MIDDLE, _LOW):
        table = turn_table(_panels(evaluation, number))
        if sum(len(fragment.figure) for fragment in table.fragments) < _LARGEST:
            return table
    return None


def _panels(evaluation: Evaluation, number: int) -> list[Panel]:
    samples = [(REFERENCE, evaluation.reference), *((s.name, s) for s in evaluation.generated)]
    return [(name, sample.examples[number], evaluation.geometry) for name, sample in samples[:_MOST]]
