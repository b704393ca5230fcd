"""Response and resolution of the energy, weighted by the absorber, against the incident energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.bins import energy_bins
from caloforge.evaluation.papers.resampling import relative
from caloforge.evaluation.physics.signed import curve_settings, mean_and_largest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.bins import Bins
    from caloforge.evaluation.results import Value
    from caloforge.features import FeatureTable

__all__ = ["response_metric", "response_numbers"]

_BINS, _PER_BIN, _FEWEST = 8, 60, 20
_LOW, _HIGH = 0.15865525393145707, 0.8413447460685429  # one standard deviation of a Gaussian
_NAMES = ("mean", "sigma68", "rms")


def response_metric(pair: Pair) -> list[Value]:
    """Mean and resolution of the weighted sum over the incident energy, in bins of that.

    The sum is that of the layers' energies, each weighted with its absorber (``absorber_weights``), as a
    sampling calorimeter measures; of alike layers it is the visible energy. In each bin a line in the
    logarithm of the energy is taken out, of each sample its own, so that the width of the bin and a
    response that grows with the energy add nothing to the resolution; the response is the line's height at
    the reference's mean logarithm. The resolution is half of the central 68.27 % over the response, or the
    standard deviation over it.

    Values are relative deviations from the reference: the signed mean over the bins, and the largest
    amount in any bin. Errors from resampling inside the bins.
    """
    count = int(np.clip(len(pair.frame.reference) // _PER_BIN, 1, _BINS))
    bins = energy_bins(pair.frame.reference, count)
    rng = pair.frame.rng("physics.response")
    centres = _centres(pair.reference, bins)
    tables = (pair.reference, pair.generated)
    first, second = (response_numbers(table, bins, centres, pair.resamples, rng) for table in tables)
    settings: dict[str, Any] = {
        "bins": bins.intervals,
        "reference": _settings(first),
        "generated": _settings(second),
        "unit": "weighted sum over incident energy; resolutions over the mean",
    }
    off = relative(second, first)
    mean, sigma, rms = (off[:, :, column] for column in range(3))
    return [
        *mean_and_largest("response", "Response of the weighted sum", mean, settings),
        *mean_and_largest("resolution", "Resolution of the weighted sum (68 %)", sigma, settings),
        mean_and_largest("resolution_rms", "Resolution of the weighted sum (RMS)", rms, settings)[0],
    ]


def response_numbers(
    table: FeatureTable,
    bins: Bins,
    centres: NDArray[np.float64],
    resamples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Response, and resolutions by 68 % and by standard deviation, ``(bins, 1 + R, 3)``.

    Args:
        table: The showers; NaN stands for bins with fewer than 20, or without energy.
        bins: Of the incident energy.
        centres: Logarithm of the energy that the response is taken at, of every bin, ``(bins,)``.
        resamples: Bootstrap samples, after the sample itself.
        rng: Of these.
    """
    found = np.full((len(bins), 1 + resamples, 3), np.nan)
    index = bins.find(table["energy"])
    log, response = np.log(table["energy"]), table["weighted_response"].astype(np.float64)
    for number in range(len(bins)):
        rows = np.flatnonzero(index == number)
        if len(rows) < _FEWEST or not np.median(response[rows]) > 0:
            continue
        drawn = rng.integers(0, len(rows), (resamples, len(rows)))
        chosen = rows[np.concatenate([np.arange(len(rows))[None], drawn])]
        found[number] = _line_numbers(log[chosen] - centres[number], response[chosen])
    return found


def _line_numbers(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height at 0 of lines through samples ``(R, n)``, and widths about them over that: ``(R, 3)``."""
    middle, mean = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    apart, off = x - middle, y - mean
    square = np.square(apart).sum(axis=1, keepdims=True)
    slope = (apart * off).sum(axis=1, keepdims=True) / np.where(square > 0, square, 1.0)
    rest = off - slope * apart
    height = (mean - slope * middle)[:, 0]
    low, high = np.quantile(rest, [_LOW, _HIGH], axis=1)
    rms = np.sqrt(np.square(rest).sum(axis=1) / (x.shape[1] - 2))
    return np.column_stack([height, 0.5 * (high - low) / height, rms / height])


def _centres(table: FeatureTable, bins: Bins) -> NDArray[np.float64]:
    index, log = bins.find(table["energy"]), np.log(table["energy"])
    inside = [log[index == number] for number in range(len(bins))]
    return np.array([part.mean() if len(part) else 0.0 for part in inside])


def _settings(found: NDArray[np.float64]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for column, name in enumerate(_NAMES):
        settings |= curve_settings(found[:, :, column], name)
    return settings
