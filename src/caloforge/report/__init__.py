"""Figures, tables and the page that an evaluation is read from."""

from caloforge.report.headline import headline
from caloforge.report.page import write_report
from caloforge.report.tables import summary

__all__ = ["headline", "summary", "write_report"]
