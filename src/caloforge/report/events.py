"""Single showers of the reference and of every model, side by side at nearly the same energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plotly.offline import get_plotlyjs

from caloforge.report.display import draw_event, html_fragment
from caloforge.report.plots import Plot
from caloforge.report.style import REFERENCE
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.report.scene import Panel

__all__ = ["event_plots", "interactive_event", "plotly_library"]

_PANELS = 4
_LOW, _MIDDLE = 0, 1
_LARGEST = 5_000_000


def event_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw one shower of low, middle and high energy of every sample."""
    for number, shower in enumerate(evaluation.reference.examples):
        energy = shower.incident.energy[0] / GEV
        caption = f"Showers of about {energy:.3g} GeV: cells above threshold."
        yield Plot(
            f"event_{number}", "Single showers", caption, draw_event(_panels(evaluation, number)), wide=True
        )


def interactive_event(evaluation: Evaluation) -> str:
    """A shower of middle or low energy of every sample, to turn with the mouse; "" when all are too large.

    The page must have ``plotly_library``.
    """
    for number in (_MIDDLE, _LOW):
        fragment = html_fragment(_panels(evaluation, number), div_id="event")
        if len(fragment) < _LARGEST:
            return fragment
    return ""


def plotly_library() -> str:
    """The JavaScript that the interactive event needs, about 5 MB."""
    return str(get_plotlyjs())


def _panels(evaluation: Evaluation, number: int) -> list[Panel]:
    samples = [(REFERENCE, evaluation.reference), *((s.name, s) for s in evaluation.generated)]
    return [(name, sample.examples[number], evaluation.geometry) for name, sample in samples[:_PANELS]]
