"""Is a model nearer to its training showers than Geant4 is?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.memorisation.shares import Counted
from caloforge.evaluation.results import Value
from caloforge.geometry import cell_symmetries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.memorisation.nearest import Nearest
    from caloforge.evaluation.memorisation.training import Training
    from caloforge.evaluation.pair import Pair
    from caloforge.features import CellStore

__all__ = ["CLOSEST", "copy_metric", "nearer"]

CLOSEST = 0.01
"""Of Geant4's showers this share counts as closest to the training showers."""

_KINDS = {"shower": "whole showers", "profile": "energies of layers", "layer": "single layers"}
_PAIRS = 2**27
_FEWEST = 200
_ENOUGH = 100
_SAME = 3e-3  # distance of a shower from itself in float32
_OVERLAP = "Showers of the reference are among the training showers: give a reference without them."


def copy_metric(pair: Pair) -> list[Value]:
    """Showers whose nearest training shower is nearer than Geant4's is, as ``nearest`` measures it.

    Geant4's showers that no training saw have a nearest training shower too. ``memorisation.KIND`` is
    the share of generated showers that have a nearer one than half of Geant4's: 0.5 for a perfect model,
    1 for one that copies all, less for one whose showers are unlike any real ones.
    ``memorisation.KIND_closest`` is the share of those nearer than a hundredth of Geant4's, 0.01 for a
    perfect model: it finds one that copies few. The kinds are whole showers, the energies of their layers,
    and single layers, each compared with Geant4's same one.

    Both samples are thinned where pairs of showers, times the symmetries of the read-out, are too many.
    """
    training = pair.frame.training
    if training is None:
        return []
    real, made = (training.nearest(_thinned(cells, training)) for cells in pair.cells)
    facts = _facts(pair, training)
    values = [value for kind in _KINDS for value in _values(kind, real, made, facts)]
    if np.mean(real.shower[np.isfinite(real.shower)] < _SAME) > CLOSEST:
        return [replace(value, value=None, error=None, note=_OVERLAP) for value in values]
    # Geant4's own share is what it is by definition; the model's error holds that of Geant4's quantile
    return [replace(value, error=0.0) for value in values] if pair.is_floor else values


def nearer(
    real: NDArray[np.floating], made: NDArray[np.floating], quantile: float
) -> tuple[Counted, Counted]:
    """Distances of both samples below a quantile of the real ones; equal ones count half.

    Args:
        real: Distances of Geant4's showers, ``(n, F)``; not a number where there is none. Each column has its
            own quantile, if it has a hundred distances.
        made: Distances of generated showers, ``(m, F)``.
        quantile: Such that a perfect model has this share.
    """
    known = np.isfinite(real).sum(axis=0) >= _ENOUGH
    limits = np.array([_quantile(column, quantile) for column in real[:, known].T])
    first, second = (_below(values[:, known], limits) for values in (real, made))
    return first, second


def _quantile(values: NDArray[np.floating], quantile: float) -> float:
    """The one below which a new value lies with this probability."""
    return float(np.quantile(values[np.isfinite(values)], quantile, method="weibull"))


def _below(values: NDArray[np.floating], limits: NDArray[np.float64]) -> Counted:
    known = np.isfinite(values)
    below = (values < limits) + 0.5 * (values == limits)
    return Counted(known.sum(axis=1).astype(float), np.where(known, below, 0.0).sum(axis=1))


def _thinned(cells: CellStore, training: Training) -> CellStore:
    pairs = len(cell_symmetries(cells.geometry)) * len(training)
    most = max(_FEWEST, _PAIRS // pairs)
    return cells.select(slice(None, None, -(-len(cells) // most)))


def _columns(near: Nearest, kind: str) -> NDArray[np.float32]:
    values: NDArray[np.float32] = getattr(near, kind)
    return values.reshape(len(values), -1)


def _facts(pair: Pair, training: Training) -> dict[str, Any]:
    symmetries = len(cell_symmetries(pair.frame.geometry))
    return {"training_showers": len(training), "symmetries": symmetries}


def _values(kind: str, real: Nearest, made: Nearest, facts: dict[str, Any]) -> list[Value]:
    first, second = _columns(real, kind), _columns(made, kind)
    told = {**facts, "distance": {"reference": _spread(first), "generated": _spread(second)}}
    names = (("", 0.5, "half"), ("_closest", CLOSEST, "the closest hundredth"))
    found = []
    for suffix, quantile, part in names:
        title = f"Nearer to a training shower than {part} of Geant4's: {_KINDS[kind]}"
        own, share = nearer(first, second, quantile)
        error = float(np.hypot(own.error, share.error))
        settings = {**told, "expected": quantile}
        name = f"memorisation.{kind}{suffix}"
        found.append(Value(name, title, share.share, error, settings, better="floor"))
    return found


def _spread(values: NDArray[np.float32]) -> dict[str, float | None]:
    """Quantiles of the distances of a sample, mean of the columns."""
    known = [column[np.isfinite(column)] for column in values.T]
    used = [column for column in known if len(column) >= _ENOUGH]
    names = {"least": 0.0, "hundredth": CLOSEST, "median": 0.5}
    return {
        name: float(np.mean([np.quantile(column, part) for column in used])) if used else None
        for name, part in names.items()
    }
