"""The report: one HTML page that needs no other file, and the same figures as PNG files."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from caloforge.errors import OutputError
from caloforge.files import write_text
from caloforge.report.correlations import correlation_plots
from caloforge.report.events import event_plots, interactive_event, plotly_library
from caloforge.report.images import image_plots
from caloforge.report.plots import Plot, observable_plots
from caloforge.report.style import data_uri, model_styles, png, style
from caloforge.report.tables import number, published, summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caloforge.evaluation.outcome import Evaluation

__all__ = ["write_report"]


class _Picture(NamedTuple):
    key: str
    caption: str
    uri: str
    wide: bool


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into ``folder``.

    Returns:
        Path of the page.

    Raises:
        OutputError: A file cannot be written.
    """
    figures = folder / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
        sections: dict[str, list[_Picture]] = defaultdict(list)
        for plot, content in _drawn(evaluation):
            (figures / f"{plot.key}.png").write_bytes(content)
            picture = _Picture(plot.key, plot.caption, data_uri(content), plot.wide)
            sections[plot.section].append(picture)
        page = folder / "report.html"
        write_text(page, _html(evaluation, sections))
    except OutputError:
        raise
    except OSError as error:
        msg = f"Cannot write the report into {folder}: {error.strerror}."
        raise OutputError(msg) from error
    return page


def _drawn(evaluation: Evaluation) -> Iterator[tuple[Plot, bytes]]:
    with style():
        for make in (observable_plots, correlation_plots, image_plots):
            for plot in make(evaluation):
                yield plot, png(plot.figure)
    for plot in event_plots(evaluation):  # has its own style
        yield plot, png(plot.figure)


def _html(evaluation: Evaluation, sections: dict[str, list[_Picture]]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("caloforge.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        settings=evaluation.settings,
        geometry=evaluation.geometry,
        warnings=evaluation.warnings,
        models=_models(evaluation),
        summary=summary(evaluation),
        sections=sections,
        published=_published(),
        event=interactive_event(evaluation),
        library=plotly_library(),
    )


def _models(evaluation: Evaluation) -> list[dict[str, Any]]:
    styles = model_styles([sample.name for sample in evaluation.generated])
    return [
        {"name": s.name, "path": s.path, "showers": len(s.table), "colour": styles[s.name].colour}
        for s in evaluation.generated
    ]


def _published() -> dict[str, Any]:
    content = published()
    rows = {name: [number(v, e, 1) for v, e in cells] for name, cells in content["rows"].items()}
    areas = {name: number(v, e, 5) for name, (v, e) in content["classifier"]["rows"].items()}
    return {**content, "rows": rows, "areas": areas}
