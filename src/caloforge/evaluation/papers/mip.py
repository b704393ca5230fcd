"""The peak that minimum-ionising particles leave in the spectrum of cell energies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Peak", "has_peak", "spectrum_peak"]

_SMOOTHING = 0.06
_PART = 0.8
_RISE = 1.1


@dataclass(frozen=True)
class Peak:
    """The peak of a density in the cell energy.

    Attributes:
        position: Energy of the maximum [MeV].
        height: Density at the maximum [cells / MeV].
        width: Of the interval above 80 % of the maximum [MeV], which ends at the threshold at the latest.
    """

    position: float
    height: float
    width: float

    def as_dict(self) -> dict[str, float]:
        """JSON-ready content."""
        return asdict(self)


def spectrum_peak(edges: NDArray[np.float64], counts: NDArray[np.floating]) -> Peak | None:
    """The highest point of the density, from a parabola through the logarithms of its top.

    The density is smoothed with a Gaussian of 6 % in energy to find the bins above 80 % of its
    maximum; the parabola is fitted to the unsmoothed bins there.

    Args:
        edges: Logarithmic bins [MeV], ``(B + 1,)``.
        counts: Cells in them, ``(B,)``.

    Returns:
        None without cells.
    """
    if not counts.any():
        return None
    smooth = _smoothed(edges, counts)
    top = int(np.argmax(smooth))
    low, high = _crossings(edges, smooth, top)
    centres = 0.5 * np.log(edges[1:] * edges[:-1])
    used = (centres >= np.log(low)) & (centres <= np.log(high)) & (counts > 0)
    position, height = _vertex(centres[used] - centres[top], (counts / np.diff(edges))[used], counts[used])
    if position is None or height is None:
        return Peak(float(np.exp(centres[top])), float(smooth[top]), high - low)
    return Peak(float(np.exp(centres[top] + position)), height, high - low)


def has_peak(edges: NDArray[np.float64], counts: NDArray[np.number]) -> bool:
    """Whether the smoothed density rises from the threshold by a tenth at least before it falls."""
    smooth = _smoothed(edges, counts)
    return bool(smooth.max(initial=0.0) > _RISE * smooth[0])


def _smoothed(edges: NDArray[np.float64], counts: NDArray[np.number]) -> NDArray[np.float64]:
    step = np.log(edges[1] / edges[0])
    density = np.asarray(counts, dtype=np.float64) / np.diff(edges)
    return np.asarray(gaussian_filter1d(density, max(_SMOOTHING / step, 1.0), mode="nearest"))


def _crossings(edges: NDArray[np.float64], smooth: NDArray[np.float64], top: int) -> tuple[float, float]:
    """Energies around the maximum where the density falls below 80 % of it; at most the outer edges."""
    below = smooth < _PART * smooth[top]
    left, right = np.flatnonzero(below[:top]), np.flatnonzero(below[top:])
    centres = np.sqrt(edges[1:] * edges[:-1])

    def between(outer: int, inner: int) -> float:
        share = (_PART * smooth[top] - smooth[outer]) / (smooth[inner] - smooth[outer])
        return float(centres[outer] * (centres[inner] / centres[outer]) ** share)

    low = between(left[-1], left[-1] + 1) if len(left) else float(edges[0])
    high = between(top + right[0], top + right[0] - 1) if len(right) else float(edges[-1])
    return low, high


def _vertex(
    x: NDArray[np.float64], density: NDArray[np.float64], counts: NDArray[np.floating]
) -> tuple[float | None, float | None]:
    """Place and height of the top of a parabola through the logarithms; None when it has no top there."""
    if len(x) < 4:
        return None, None
    a, b, c = np.polyfit(x, np.log(density), 2, w=np.sqrt(counts))
    place = -b / (2 * a) if a < 0 else np.inf
    if not x[0] <= place <= x[-1]:
        return None, None
    return float(place), float(np.exp(c - b * b / (4 * a)))
