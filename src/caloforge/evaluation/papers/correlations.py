"""Pearson correlations of observables, and how far those of two samples lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.resampling import draws, value_and_error
from caloforge.evaluation.results import Value
from caloforge.evaluation.scales import spreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.features import FeatureTable

__all__ = ["correlation_difference", "correlation_value", "named_columns", "pearson"]

_FLAT = 1e-9

_SHOWN = 25
"""Matrices up to this size are kept in the settings; larger ones follow from the feature tables."""


def pearson(values: NDArray[np.floating], weights: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
    """Linear correlation coefficients of the columns, ``(F, F)``; 0 with a column that does not vary.

    Args:
        values: Observables of the showers, ``(n, F)``.
        weights: How often each shower counts, ``(n,)``.
    """
    data = np.asarray(values, dtype=np.float64)
    count = np.ones(len(data)) if weights is None else weights
    apart = data - np.average(data, axis=0, weights=count)
    covariance = (apart * count[:, None]).T @ apart / count.sum()
    sigma = np.sqrt(np.diag(covariance))
    varies = sigma > _FLAT * np.abs(data).max(axis=0, initial=0.0)
    scale = np.where(varies, 1.0 / np.where(varies, sigma, 1.0), 0.0)
    return np.asarray(np.clip(covariance * np.outer(scale, scale), -1.0, 1.0))


def correlation_difference(
    reference: NDArray[np.floating],
    generated: NDArray[np.floating],
    weights: tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] = (None, None),
) -> float:
    """Mean absolute difference of the coefficients of all pairs of different columns."""
    first, second = pearson(reference, weights[0]), pearson(generated, weights[1])
    above = np.triu_indices(len(first), k=1)
    return float(np.abs(first - second)[above].mean())


def correlation_value(
    pair: Pair,
    name: str,
    title: str,
    columns: Sequence[str],
    *,
    more: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None,
) -> Value:
    """The difference of the correlations of some columns as a value with a bootstrap error.

    Columns that do not vary in the reference (the energy in a sample of one energy) are left out.

    Args:
        pair: The samples.
        name: Of the value.
        title: Of the value.
        columns: Columns of the feature table; those with several values per shower count as several.
        more: Observables beside them, of the showers of both samples: ``(n,)`` and ``(m,)``.
    """
    labels, reference = named_columns(pair.reference, columns)
    generated = named_columns(pair.generated, columns)[1]
    for label, (first, second) in (more or {}).items():
        labels.append(label)
        reference, generated = np.column_stack([reference, first]), np.column_stack([generated, second])
    keep = spreads(reference) > 0
    labels = [label for label, kept in zip(labels, keep, strict=True) if kept]
    reference, generated = reference[:, keep], generated[:, keep]
    if len(labels) < 2:
        note = "Fewer than two of the observables vary in the reference."
        return Value(name, title, None, note=note)
    weights = zip(*draws(pair, name), strict=True)
    found = [correlation_difference(reference, generated, both) for both in weights]
    value, error = value_and_error(found)
    settings: dict[str, Any] = {"titles": labels}
    if len(labels) <= _SHOWN:
        settings["reference"] = pearson(reference).tolist()
        settings["generated"] = pearson(generated).tolist()
    return Value(name, title, value, error, settings)


def named_columns(table: FeatureTable, names: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
    """Labels and values of columns, those with several values numbered from 1: ``(n, F)``."""
    labels: list[str] = []
    for name in names:
        width = table[name].reshape(len(table), -1).shape[1]
        labels += [name] if table[name].ndim == 1 else [f"{name} {k + 1}" for k in range(width)]
    return labels, table.matrix(names)
