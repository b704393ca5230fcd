"""Figures, tables and the page that an evaluation is read from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caloforge.report.page import write_report
    from caloforge.report.tables import summary
    from caloforge.report.verdicts import headline
    from caloforge.report.writing import write_evaluation

__all__ = ["headline", "summary", "write_evaluation", "write_report"]

# imported when they are first used: the event display is part of this package, and needs no metrics
_PLACES = {
    "headline": "verdicts",
    "summary": "tables",
    "write_evaluation": "writing",
    "write_report": "page",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        msg = f"module 'caloforge.report' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"caloforge.report.{_PLACES[name]}"), name)
