"""Precision, density, recall and coverage: do generated showers lie among the real ones, and everywhere?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.neighbours import LogCells, Vectors, neighbourhoods
from caloforge.evaluation.results import Value
from caloforge.evaluation.standardised import CLIP, standardised_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.neighbours import Neighbourhoods
    from caloforge.evaluation.pair import Pair

__all__ = ["NEIGHBOURS", "coverage_metric", "coverage_values"]

NEIGHBOURS = 5
"""The CaloChallenge's k."""

_OFFICIAL_EMPTY = 0.1
_MOST = 5000
_HUBS = "In voxels a shower with too few hits is near to all others: precision and density mean little alone."


def coverage_metric(pair: Pair) -> list[Value]:
    """Precision, density, recall and coverage in three spaces.

    All voxels as the CaloChallenge takes them, log10 of the energies with 0.1 MeV in place of zeros
    (reference section 13.6); the same with the cut in place of zeros, so that no cell above the cut
    lies below an empty one; and the standardised high-level features, because the distance of two
    showers in thousands of voxels is mostly noise. Below the level "official" at most 5000 showers
    are compared.
    """
    pair = pair if pair.frame.level == "official" else _thinned(pair)
    cut = float(pair.frame.binning.spectrum[0])
    found = {empty: _of_cells(pair, empty) for empty in sorted({_OFFICIAL_EMPTY, cut})}
    return [
        *_voxel_values(pair, "", found[_OFFICIAL_EMPTY], _OFFICIAL_EMPTY),
        *_voxel_values(pair, "mended_", found[cut], cut),
        *_feature_values(pair),
    ]


def coverage_values(
    found: Neighbourhoods,
    k: int,
    *,
    prefix: str = "",
    words: str = "",
    settings: dict[str, Any] | None = None,
) -> list[Value]:
    """The four numbers from neighbourhoods of the k-th neighbour.

    Precision is the share of generated showers within neighbourhoods of real ones, recall the share of
    real showers within those of generated ones (1904.06991); coverage is the share of neighbourhoods
    of real showers with a generated one in it, density the number of them around a generated shower
    over k, 1 on average for samples of one origin (2002.09797).

    The errors are those of independent showers, with the neighbourhoods taken as they are.
    """
    inside = found.around > 0
    density = found.around / k
    numbers = {
        "precision": _share(inside),
        "density": (float(density.mean()), _mean_error(density, 1.0 / k)),
        "recall": _share(found.recalled),
        "coverage": _share(found.covered),
    }
    return [
        Value(f"coverage.{prefix}{name}", f"{name}{words}", value, error, settings or {}, better="floor")
        for name, (value, error) in numbers.items()
    ]


def _share(chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """A share and its binomial error; Laplace's rule of succession keeps it above 0 at 0 and 1."""
    likely = (chosen.sum() + 1.0) / (len(chosen) + 2.0)
    return float(chosen.mean()), float(np.sqrt(likely * (1.0 - likely) / len(chosen)))


def _mean_error(values: NDArray[np.float64], step: float) -> float:
    """Standard deviation of a mean, at least that of one more ``step`` in the sum."""
    return float(max(np.std(values) / np.sqrt(len(values)), step / len(values)))


def _thinned(pair: Pair) -> Pair:
    """At most so many showers of both samples that their square stays bearable."""
    first, second = (s.select(slice(None, None, -(-len(s) // _MOST))) for s in (pair.first, pair.second))
    return replace(pair, first=first, second=second)


def _of_cells(pair: Pair, empty: float) -> Neighbourhoods:
    first, second = (LogCells(store, empty) for store in pair.cells)
    return neighbourhoods(first, second, NEIGHBOURS)


def _voxel_values(pair: Pair, prefix: str, found: Neighbourhoods, empty: float) -> list[Value]:
    settings = {"cells": pair.frame.geometry.n_cells, "empty_mev": empty, **_common(pair)}
    values = coverage_values(
        found, NEIGHBOURS, prefix=prefix, words=f": voxels, empty as {empty:.3g} MeV", settings=settings
    )
    return [replace(value, note=_HUBS) for value in values]


def _feature_values(pair: Pair) -> list[Value]:
    first, second = (Vectors(values) for values in standardised_features(pair))
    settings = {
        "features": first.width,
        "scales": "standard deviation of the reference",
        "clip": CLIP,
        **_common(pair),
    }
    found = neighbourhoods(first, second, NEIGHBOURS)
    return coverage_values(
        found, NEIGHBOURS, prefix="features_", words=": high-level features", settings=settings
    )


def _common(pair: Pair) -> dict[str, Any]:
    return {"k": NEIGHBOURS, "showers": list(pair.sizes)}
