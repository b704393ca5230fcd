"""The direction of showers from their principal axis, as in New Angles on Fast Calorimeter Simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.bins import angle_bins, energy_bins, has_angles
from caloforge.evaluation.papers.intervals import core_draws
from caloforge.evaluation.papers.resampling import spread, value_and_error
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.bins import Bins
    from caloforge.features import FeatureTable

__all__ = ["angle_metric", "residuals"]

_ANGLE_BINS = 5
_ENERGY_BINS = 3
_FEWEST = 20
_TITLES = {
    "theta_response": "BIB-AE: mean of the reconstructed angle, difference in resolutions",
    "theta_resolution": "BIB-AE: resolution of the reconstructed angle, relative deviation",
    "azimuth_response": "BIB-AE: mean of the reconstructed azimuth, difference in resolutions",
    "azimuth_resolution": "BIB-AE: resolution of the reconstructed azimuth, relative deviation",
}


def angle_metric(pair: Pair) -> list[Value]:
    """Response and resolution of the reconstructed direction (2303.18150, figure 2 of 2309.16584).

    The principal axis of the cells, weighted with their energy, against the true direction, in bins
    of angle and energy: mean and RMS of the shortest interval that holds 90 % of the residuals. The
    azimuth's residual is multiplied by the sine of the true angle, which makes it an angle in space.
    Values are averages over the bins of the absolute difference of the means, in units of the
    reference's resolution, and of the relative deviation of the resolution.
    """
    whole = pair.frame.reference
    if not has_angles(whole):
        note = "All particles of the reference come perpendicular to the front face."
        return _nothing(note)
    angles, energies = angle_bins(whole, _ANGLE_BINS), energy_bins(whole, _ENERGY_BINS)
    rng = pair.frame.rng("physics.bibae_angles")
    places = [(i, j) for i in range(len(angles)) for j in range(len(energies))]
    found = [_measure(pair, angles, energies, place, rng) for place in places]
    cells = [cell for cell in found if cell is not None]
    if not cells:
        return _nothing(f"No bin of angle and energy has {_FEWEST} showers in both samples.")
    numbers = np.mean([cell.deviations for cell in cells], axis=0)
    settings = {"bins": [cell.settings for cell in cells]}
    return [
        Value(f"physics.bibae_{what}", title, *value_and_error(column), settings)
        for (what, title), column in zip(_TITLES.items(), numbers.T, strict=True)
    ]


def residuals(table: FeatureTable) -> NDArray[np.float64]:
    """Reconstructed minus true angle, and the azimuth's difference times sin(theta) [rad], ``(n, 2)``."""
    turned = np.remainder(table["axis_phi"] - table["phi"] + np.pi, 2 * np.pi) - np.pi
    return np.column_stack([table["axis_theta"] - table["theta"], turned * np.sin(table["theta"])])


@dataclass(frozen=True)
class _Cell:
    """One bin: deviations ``(1 + R, 4)`` in the order of the titles, and what to draw."""

    deviations: NDArray[np.float64]
    settings: dict[str, Any]


def _measure(
    pair: Pair, angles: Bins, energies: Bins, place: tuple[int, int], rng: np.random.Generator
) -> _Cell | None:
    tables = [_select(table, angles, energies, place) for table in (pair.reference, pair.generated)]
    if min(len(table) for table in tables) < _FEWEST:
        return None
    # (sample, 1 + R, theta and azimuth, mean and width)
    first, second = (
        np.stack([core_draws(column, pair.resamples, rng) for column in residuals(table).T], axis=1)
        for table in tables
    )
    width = first[..., 1]
    shift = np.abs(second[..., 0] - first[..., 0])
    scale = np.where(width > 0, width, 1.0)
    off = np.stack([shift / scale, np.abs(second[..., 1] / scale - width / scale)], axis=-1)
    settings = {
        "theta": angles.intervals[place[0]],
        "energy": energies.intervals[place[1]],
        "count": [len(table) for table in tables],
        "mean_theta": float(tables[0]["theta"].mean()),
        "reference": _settings(first),
        "generated": _settings(second),
    }
    return _Cell(off.reshape(len(off), -1), settings)


def _select(table: FeatureTable, angles: Bins, energies: Bins, place: tuple[int, int]) -> FeatureTable:
    chosen = (angles.find(table["theta"]) == place[0]) & (energies.find(table["energy"]) == place[1])
    return table.select(chosen)


def _settings(found: NDArray[np.float64]) -> dict[str, Any]:
    """``found`` is ``(1 + R, 2, 2)``: theta and azimuth, mean and width."""
    settings: dict[str, Any] = {}
    for row, what in enumerate(("theta", "azimuth")):
        for column, number in enumerate(("mean", "width")):
            settings[f"{what}_{number}"] = float(found[0, row, column])
            settings[f"{what}_{number}_error"] = spread(found[1:, row, column])
    return settings


def _nothing(note: str) -> list[Value]:
    return [Value(f"physics.bibae_{what}", title, None, note=note) for what, title in _TITLES.items()]
