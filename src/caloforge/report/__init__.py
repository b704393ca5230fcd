"""Figures, tables and the page that an evaluation is read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.lazy import attributes

if TYPE_CHECKING:
    from caloforge.report.page import write_report
    from caloforge.report.tables import summary
    from caloforge.report.verdicts import headline
    from caloforge.report.writing import write_evaluation

__all__ = ["headline", "summary", "write_evaluation", "write_report"]

# imported when they are first used: the event display is part of this package, and needs no metrics
__getattr__ = attributes(
    __name__,
    {
        "headline": "verdicts",
        "summary": "tables",
        "write_evaluation": "writing",
        "write_report": "page",
    },
)
