"""The parts of a shower file: 70 % to train on, 10 % to tune with, 20 % to report on.

The split goes by index, so that a file which grows keeps its first showers in the first part. That is
only right where the particles do not depend on their place in the file. Where they do (a file sorted by
energy, electrons before photons), a model would learn from low and be judged at high energies: the
showers are then permuted before they are split, always in the same way. Whoever asks for a part of a
file gets the same showers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.stats import ks_2samp, spearmanr

from caloforge.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.showers import Incident

__all__ = ["LEAST_PROBABILITY", "PARTS", "SPLIT_SEED", "Part", "Split", "check_part"]

Part = Literal["all", "train", "tune", "report"]
PARTS: tuple[Part, ...] = get_args(Part)

LEAST_PROBABILITY = 1e-6
"""Particles depend on their place in the file when chance alone had made it less likely than this."""

SPLIT_SEED = 1
"""Of the permutation, which depends on it and on the number of showers alone."""

_SHARES: dict[Part, tuple[float, float]] = {
    "all": (0.0, 1.0),
    "train": (0.0, 0.7),
    "tune": (0.7, 0.8),
    "report": (0.8, 1.0),
}
_FEWEST = 10  # in fewer showers nothing can be told


def check_part(name: str) -> Part:
    """The part of this name.

    Raises:
        ConfigError: There is no such part.
    """
    for part in PARTS:
        if part == name:
            return part
    msg = f"Unknown part {shown(name)}: {did_you_mean(name, PARTS)}."
    raise ConfigError(msg)


@dataclass(frozen=True)
class Split:
    """How the ``n`` showers of one file are divided.

    Attributes:
        count: Showers of the file.
        reason: What depends on the place in the file, for people; "" when the split goes by index.
    """

    count: int
    reason: str = ""

    @classmethod
    def of(cls, incident: Incident) -> Split:
        """The split of a file with these particles: by index, or permuted where they depend on it.

        Energies, angles, directions and kinds are looked at. They depend on the index when a part's
        differ from those of the other showers (two-sample Kolmogorov-Smirnov test) or rise or fall with
        it (Spearman's rank correlation) with a probability below ``LEAST_PROBABILITY``.
        """
        count = len(incident)
        found = (words for words, values in _looked_at(incident) if _depends(values))
        return cls(count, next(found, "") if count >= _FEWEST else "")

    @property
    def permuted(self) -> bool:
        """Whether the showers are permuted before they are split."""
        return bool(self.reason)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The showers in the order in which they are divided, ``(n,)``."""
        if not self.permuted:
            return np.arange(self.count)
        # raw numbers of the generator: they are the same in every version of numpy
        return np.argsort(np.random.PCG64(SPLIT_SEED).random_raw(self.count), kind="stable")

    def size(self, part: Part) -> int:
        """Showers of a part."""
        first, last = _bounds(part, self.count)
        return last - first

    def rows(self, part: Part, most: int | None = None) -> NDArray[np.int64]:
        """Showers of a part, in rising order.

        Args:
            part: Its name.
            most: At most so many of them; they are a fair sample of the part.
        """
        first, last = _bounds(part, self.count)
        return np.sort(self.order[first : last if most is None else min(last, first + most)])

    def blocks(self, part: Part, size: int) -> list[NDArray[np.int64]]:
        """The showers of a part in blocks of ``size``, each in rising order and a fair sample of the part."""
        first, last = _bounds(part, self.count)
        return [np.sort(self.order[k : min(k + size, last)]) for k in range(first, last, size)]

    def sentence(self, path: object) -> str:
        """What to tell about a permuted file."""
        return (
            f"{path}: the {self.reason} depend on the place in the file, so its showers are permuted "
            f"(seed {SPLIT_SEED}) before they are split into parts."
        )

    def facts(self) -> dict[str, Any]:
        """How the split was made, as JSON types."""
        return {"permuted": True, "seed": SPLIT_SEED} if self.permuted else {"permuted": False}


def _bounds(part: Part, count: int) -> tuple[int, int]:
    low, high = _SHARES[part]
    return round(low * count), round(high * count)


def _looked_at(incident: Incident) -> list[tuple[str, NDArray[Any]]]:
    sine = np.sin(incident.theta)
    return [
        ("incident energies", incident.energy),
        ("angles of incidence", incident.theta),
        ("directions", sine * np.cos(incident.phi)),
        ("directions", sine * np.sin(incident.phi)),
        ("particles", incident.pdg),
    ]


def _depends(values: NDArray[Any]) -> bool:
    """Whether values ``(n,)`` depend on their index more than chance allows."""
    values = np.asarray(values, dtype=np.float64)
    if np.ptp(values) <= 1e-6 * np.abs(values).max():  # one value, up to rounding
        return False
    correlation = spearmanr(np.arange(len(values)), values).pvalue
    return bool(min(correlation, *_probabilities(values)) < LEAST_PROBABILITY)


def _probabilities(values: NDArray[np.float64]) -> list[float]:
    """Of each part having the distribution of the others."""
    found = []
    for part in PARTS[1:]:
        first, last = _bounds(part, len(values))
        inside, outside = values[first:last], np.concatenate([values[:first], values[last:]])
        found.append(float(ks_2samp(inside, outside, method="asymp").pvalue))
    return found
