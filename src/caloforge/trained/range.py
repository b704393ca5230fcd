"""Where a model was trained, what lies outside of it, and which showers from there cannot be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError, bad
from caloforge.models.reach import FAR
from caloforge.particles import particle_name
from caloforge.showers import Incident
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.showers import Showers

__all__ = ["TrainedRange", "absurd", "refuse_absurd"]

_MARGIN = 1e-3  # of energies relative, of angles in rad: rounding is not outside
_FAR_ANGLE = 5 * DEGREE  # beyond the largest trained angle
_DEPARTURE = 3.0  # of the visible fraction from that at the nearest trained energy
_ABOVE = 1.5  # of the visible fraction: clearly above, where it may be that of the whole energy
_ODD = 0.1  # share of showers that may be odd: fluctuations have tails


@dataclass(frozen=True)
class TrainedRange:
    """Where a model was trained.

    Attributes:
        energy: Lowest and highest incident energy [MeV].
        theta: Largest angle from the normal [rad].
        particles: Particle codes, rising.
    """

    energy: tuple[float, float]
    theta: float
    particles: tuple[int, ...]

    def __post_init__(self) -> None:
        """Bring the particles in order."""
        object.__setattr__(self, "particles", tuple(sorted(set(self.particles))))

    def complaint(self, incident: Incident) -> str:
        """What of ``incident`` lies outside, in one sentence; "" when nothing does."""
        low, high = self.energy
        outside = (incident.energy < low * (1 - _MARGIN)) | (incident.energy > high * (1 + _MARGIN))
        if outside.any():
            got = f"{incident.energy.min() / GEV:g} to {incident.energy.max() / GEV:g} GeV"
            return f"energies of {got} leave the trained range {low / GEV:.4g} to {high / GEV:.4g} GeV"
        if self.exceeds_angles(incident):
            got, known = incident.theta.max() / DEGREE, self.theta / DEGREE
            limit = f"0 to {known:.4g} degrees" if known > 0.1 else "perpendicular particles only"
            return f"angles of up to {got:.4g} degrees leave the trained range, {limit}"
        if self.is_other(incident).any():
            got = _names(np.unique(incident.pdg).tolist())
            return f"particles ({got}) are not those of the training ({self.names})"
        return ""

    @property
    def names(self) -> str:
        """Names of the particles."""
        return _names(self.particles)

    def is_other(self, incident: Incident) -> NDArray[np.bool_]:
        """Which particles are of a kind that was not trained on, ``(B,)``."""
        return ~np.isin(incident.pdg, self.particles)

    def exceeds_angles(self, incident: Incident) -> bool:
        """Whether an angle is larger than those of the training."""
        return bool(np.any(incident.theta > self.theta + _MARGIN))

    def is_far(self, incident: Incident) -> NDArray[np.bool_]:
        """Which particles lie far outside, ``(B,)``.

        Those of another kind, of more than twice the highest or less than half of the lowest energy, or more
        than five degrees beyond the largest angle.
        """
        low, high = self.energy
        energy = (incident.energy < low / FAR) | (incident.energy > high * FAR)
        far: NDArray[np.bool_] = energy | (incident.theta > self.theta + _FAR_ANGLE) | self.is_other(incident)
        return far

    def nearest(self, incident: Incident) -> Incident:
        """Perpendicular particles of the training in place of others: of their kind, else of the first one.

        Energies are the end of the trained ones that is nearer.
        """
        low, high = self.energy
        energy = np.where(incident.energy < np.sqrt(low * high), low, high)
        return Incident.of(energy, pdg=np.where(self.is_other(incident), self.particles[0], incident.pdg))


def _names(codes: Sequence[int]) -> str:
    names = [particle_name(code) for code in codes[:5]]
    return ", ".join([*names, "..."] if len(codes) > 5 else names)


def absurd(readout: Showers, usual: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which showers cannot be right, ``(B,)``.

    Those without a hit in the read-out, or whose visible fraction of the incident energy is below a third
    of, or above three times, the ``usual`` one at the nearest trained energy, ``(B,)``; or is clearly above
    it and more than the incident energy allows. NaN for a usual one: only those without a hit.
    """
    fraction = readout.visible_energy / readout.incident.energy
    allowed = np.maximum(1.0 / readout.meta.sampling_fraction, _ABOVE * usual)
    most = np.minimum(_DEPARTURE * usual, allowed)
    found: NDArray[np.bool_] = (readout.n_hits == 0) | (fraction < usual / _DEPARTURE) | (fraction > most)
    return found


def refuse_absurd(model: str, readout: Showers, usual: NDArray[np.float64], trained: TrainedRange) -> None:
    """Refuse showers from far outside of the trained range when more than one in ten is absurd.

    Args:
        model: Name of the model.
        readout: Read-out cells of showers that lie far outside.
        usual: See ``absurd``.
        trained: The range.

    Raises:
        DataError: More than one in ten is absurd.
    """
    wrong = absurd(readout, usual)
    if wrong.sum() <= _ODD * len(wrong):
        return
    energy = readout.incident.energy[wrong]
    fraction = readout.visible_energy[wrong] / energy
    low, high = (end / GEV for end in trained.energy)
    empty = int((readout.n_hits[wrong] == 0).sum())
    span = f"{energy.min() / GEV:.4g} to {energy.max() / GEV:.4g} GeV"
    visible = f"visible {fraction.min():.3g} to {fraction.max():.3g} of the energy"
    got = f"{wrong.sum()} of {len(wrong)} showers of {span} that cannot be right ({empty} empty, {visible})"
    about = "hits" if np.isnan(usual).any() else f"about {usual[wrong].mean():.3g}"
    expected = f"{about} as in the trained range, {low:.4g} to {high:.4g} GeV"
    raise DataError(bad(model, got=got, expected=expected, fix="stay inside of it or near it"))
