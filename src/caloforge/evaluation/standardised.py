"""The high-level features of two samples as distances take them: on common scales."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from caloforge.features import calochallenge_vector, conditions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Frame, Pair
    from caloforge.features import FeatureTable

__all__ = ["CLIP", "challenge_features", "standardised_features"]

CLIP = 5.0
"""Standardised features end at so many standard deviations."""

_CONSTANT = 1e-6
_ROUNDED = 1e-6  # widths of single cells are roots of rounding errors


def challenge_features(pair: Pair) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The CaloChallenge's features, ``(n, F)`` and ``(m, F)``, divided by the reference's largest |value|.

    That is JetNet's normalisation (reference section 13.5). Features that are 0 in all of the
    reference, but for rounding, stay as they are.
    """
    first, second = (calochallenge_vector(t, pair.frame.geometry) for t in (pair.reference, pair.generated))
    largest = np.abs(first).max(axis=0)
    largest[largest < _ROUNDED] = 1.0
    return first / largest, second / largest


def standardised_features(pair: Pair) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same features and the direction in standard deviations of the whole reference, ``(n, F + 3)``.

    Three things are mended. Layers without energy count as the cut instead of 1e-8 MeV, so that a
    layer in the tail that is sometimes empty does not outweigh all others. The scale is the standard
    deviation, which does not grow with the number of showers as the largest value does. What lies
    more than ``CLIP`` deviations away is put there: a single odd shower cannot decide a covariance.
    """
    whole = _features(pair.frame.reference, pair.frame)
    mean, width = whole.mean(axis=0), whole.std(axis=0)
    width = np.where(width > _CONSTANT * np.abs(whole).max(axis=0), width, 1.0)
    first, second = (
        np.clip((_features(t, pair.frame) - mean) / width, -CLIP, CLIP)
        for t in (pair.reference, pair.generated)
    )
    return first, second


def _features(table: FeatureTable, frame: Frame) -> NDArray[np.float64]:
    cut = frame.binning.spectrum[0]
    raised = {name: np.maximum(table[name], cut) for name in ("layer_energy", "visible")}
    table = replace(table, columns={**table.columns, **raised})
    return np.column_stack([calochallenge_vector(table, frame.geometry), conditions(table)[:, 1:]])
