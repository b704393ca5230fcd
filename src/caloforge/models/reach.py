"""How far from its training a model may be asked, for those that do not need torch."""

from __future__ import annotations

__all__ = ["FAR"]

FAR = 2.0
"""Energies above the trained ones by this factor, or below them by it, are far outside."""
