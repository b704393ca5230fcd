"""Whether a file's showers are out of all proportion, told from a few of them on opening."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.units import GEV, KEV, MEV, unit_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.formats.base import ShowerReader
    from caloforge.showers import Showers

__all__ = ["ENERGY_UNITS", "assumed_unit", "energy_unit", "unit_of_hits", "warn_of_proportions"]

ENERGY_UNITS = {"MeV": MEV, "GeV": GEV, "keV": KEV}
_SAMPLE = 8
_LEAST, _MOST = 1e-4, 2.0  # of the incident energy, visible
_KEPT = 0.5  # of the visible energy, above the threshold
_FAR = 20.0  # mm
_UPRIGHT = 0.1  # rad

_assumed: ContextVar[float | None] = ContextVar("_assumed", default=None)
_logger = logging.getLogger(__name__)


def energy_unit(name: str) -> float:
    """Size of a unit of energy by its name [MeV].

    Raises:
        ConfigError: It is not MeV, GeV or keV.
    """
    if name not in ENERGY_UNITS:
        msg = f"Unknown unit of energy {shown(name)}: {did_you_mean(name, ENERGY_UNITS)}."
        raise ConfigError(msg)
    return ENERGY_UNITS[name]


@contextmanager
def assumed_unit(unit: float | None) -> Iterator[None]:
    """Files of other programs that are opened inside of the ``with`` block have hits in ``unit`` [MeV]."""
    token = _assumed.set(unit)
    try:
        yield
    finally:
        _assumed.reset(token)


def unit_of_hits(reader: ShowerReader) -> float:
    """Unit of the hits of a file [MeV]: files of caloforge's own know theirs."""
    unit = _assumed.get()
    return reader.hit_unit if unit is None or not reader.foreign else unit


def warn_of_proportions(reader: ShowerReader) -> None:
    """Say when the first showers hold far too little or too much energy, or are far off the axis."""
    showers = reader.sample(_SAMPLE)
    visible = showers.visible_energy
    if not np.any(visible > 0):
        return
    fraction = float(visible.sum() / showers.incident.energy[visible > 0].sum())
    if not _LEAST <= fraction <= _MOST:
        _logger.warning(
            "%s: its first showers hold %.2g of the incident energy, read in %s; %s.",
            reader.path,
            fraction,
            unit_name(reader.hit_unit),
            _advice(reader, fraction),
        )
    else:
        _warn_of_cut(reader, float(visible.sum()))
    if reader.foreign and showers.points is not None:
        _warn_of_centre(reader, showers)


def _warn_of_cut(reader: ShowerReader, visible: float) -> None:
    """Where particles and hits are in another unit than MeV, all hits may lie below the threshold."""
    kept = float(reader.read(0, min(_SAMPLE, len(reader))).visible_energy.sum()) / visible
    if kept < _KEPT:
        _logger.warning(
            "%s: the threshold of %.4g MeV leaves %.2g of the energy of its first showers: look at the units "
            "of the file, and at the threshold.",
            reader.path,
            reader.meta.threshold,
            kept,
        )


def _advice(reader: ShowerReader, fraction: float) -> str:
    if not reader.foreign:
        return "either its hits or its particles are not in MeV"
    likely = [n for n, unit in ENERGY_UNITS.items() if _LEAST <= fraction * unit / reader.hit_unit <= _MOST]
    if not likely:
        return "no unit of energy explains that: look at the file"
    return f"if they are in {likely[0]}, say so (--energy-unit {likely[0]})"


def _warn_of_centre(reader: ShowerReader, showers: Showers) -> None:
    upright = showers.incident.theta[showers.shower] < _UPRIGHT
    weights = showers.energy * upright
    if showers.points is None or not weights.sum():
        return
    x, y = np.average(showers.points[:, :2].astype(np.float64), axis=0, weights=weights)
    if np.hypot(x, y) > _FAR:
        _logger.warning(
            "%s: its first showers have their centre at x = %.1f, y = %.1f mm, not where the particle "
            "enters; move them (--offset %.1f,%.1f).",
            reader.path,
            x,
            y,
            -x + 0.0,
            -y + 0.0,
        )
