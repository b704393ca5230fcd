"""Figures, tables and the page that an evaluation is read from."""

from caloforge.report.page import write_report
from caloforge.report.tables import summary

__all__ = ["summary", "write_report"]
