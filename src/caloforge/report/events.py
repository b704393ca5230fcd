"""Single showers of the reference and of every model, side by side at nearly the same energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.collections import Collection
from plotly.offline import get_plotlyjs

from caloforge.report.interactive import colour_gradient, html_fragments
from caloforge.report.plot import Plot
from caloforge.report.still import draw_event
from caloforge.report.style import REFERENCE
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.report.interactive import Fragment
    from caloforge.report.scene import Panel

__all__ = ["TurnTable", "event_plots", "plotly_library", "turn_table"]

_MOST = 6
_LOW, _MIDDLE = 0, 1
_LARGEST = 5_000_000
_COLUMNS = 4


class TurnTable(NamedTuple):
    """Showers to turn with the mouse.

    Attributes:
        fragments: One per sample.
        low: Hits of this energy have the first colour [MeV].
        high: Hits of this energy have the last colour [MeV].
        gradient: The colours, as a CSS gradient.
    """

    fragments: list[Fragment]
    low: float
    high: float
    gradient: str


def event_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw one shower of low, middle and high energy of every sample."""
    for number, shower in enumerate(evaluation.reference.examples):
        energy = shower.incident.energy[0] / GEV
        caption = f"Showers of about {energy:.3g} GeV: cells above threshold."
        panels = _panels(evaluation, number)
        columns = len(panels) if len(panels) <= _COLUMNS else -(-len(panels) // 2)
        figure = draw_event(panels, columns=columns)
        for hits in figure.findobj(Collection):
            hits.set_rasterized(True)  # thousands of faces
        yield Plot(f"event_{number}", "Events", caption, figure, columns)


def turn_table(evaluation: Evaluation) -> TurnTable | None:
    """A shower of middle or low energy of every sample; None when all are too large for a page.

    The page must have ``plotly_library``.
    """
    for number in (_MIDDLE, _LOW):
        fragments, scale = html_fragments(_panels(evaluation, number), div_id="event")
        if sum(len(fragment.html) for fragment in fragments) < _LARGEST:
            return TurnTable(fragments, scale.low, scale.high, colour_gradient())
    return None


def plotly_library() -> str:
    """The JavaScript that the interactive events need, about 5 MB."""
    return str(get_plotlyjs())


def _panels(evaluation: Evaluation, number: int) -> list[Panel]:
    samples = [(REFERENCE, evaluation.reference), *((s.name, s) for s in evaluation.generated)]
    return [(name, sample.examples[number], evaluation.geometry) for name, sample in samples[:_MOST]]
