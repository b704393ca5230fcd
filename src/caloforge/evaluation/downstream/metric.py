"""Energy resolution and particle identification of reconstructions that never saw the tested sample's kind.

The question is that of 3DGAN (arXiv:2109.07388, section 8; there "GAN-train" and "GAN-test"): does
a reconstruction that learnt from generated showers do its work on Geant4's as well as one that
learnt from Geant4? What the network has of the published one tells ``network``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from caloforge.evaluation.downstream.crossing import Crossing, Reconstructed, cross
from caloforge.evaluation.downstream.network import RECIPE
from caloforge.evaluation.downstream.quantities import (
    accuracy,
    area,
    bias,
    bias_by_energy,
    energy_edges,
    resolution,
    resolution_by_energy,
)
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.results import Better

__all__ = ["downstream_metric"]

_SEEDS = 2
_FEWEST_OF_A_KIND = 40
_SMALLEST_SPREAD = 0.02
_Way = Literal["g4_to_g4", "gen_to_g4", "g4_to_gen", "gen_to_gen"]
_WAYS: dict[_Way, tuple[int, int]] = {
    "g4_to_g4": (0, 0),
    "gen_to_g4": (1, 0),
    "g4_to_gen": (0, 1),
    "gen_to_gen": (1, 1),
}
_WORDS: dict[_Way, str] = {
    "g4_to_g4": "trained on Geant4, tested on Geant4",
    "gen_to_g4": "trained on generated, tested on Geant4",
    "g4_to_gen": "trained on Geant4, tested on generated",
    "gen_to_gen": "trained on generated, tested on generated",
}


class _Quantity(NamedTuple):
    """A number that every network of a way has.

    ``better`` is for generated to Geant4: in the other ways, the best number is Geant4's own.
    """

    name: str
    title: str
    compute: Callable[[Reconstructed], NDArray[np.float64]]
    better: Better
    note: str


_RESOLUTION = _Quantity(
    "energy_resolution",
    "Energy resolution",
    resolution,
    "lower",
    "Half of the interval that holds the central 68 % of E_rec / E_true.",
)
_BIAS = _Quantity("energy_bias", "Energy bias", bias, "floor", "Median of E_rec / E_true, less 1.")
_ACCURACY = _Quantity(
    "pid_accuracy",
    "Particle identification, accuracy",
    accuracy,
    "higher",
    "Share of the showers whose kind is found, averaged over the kinds.",
)
_AREA = _Quantity(
    "pid_auc",
    "Particle identification, AUC",
    area,
    "higher",
    "Area under the ROC curve, averaged over the kinds, each against the others.",
)


def downstream_metric(pair: Pair) -> list[Value]:
    """Energy resolution and bias, and accuracy and AUC of the identification of particles, of all four ways.

    Half of each sample trains and the other half tests, and the other way round. The error combines
    the spread of the networks (two halves, two seeds) with a bootstrap over the tested showers.
    Identification needs samples of several kinds of particles.
    """
    if not pair.frame.geometry.is_uniform:
        note = "The layers have different grids: the network needs images."
        return [Value("downstream", "Reconstruction trained on generated showers", None, note=note)]
    first, second = pair.cells
    kinds = np.unique(np.concatenate([first.pdg, second.pdg]))
    labels = (np.searchsorted(kinds, first.pdg), np.searchsorted(kinds, second.pdg))
    crossing = cross(
        (first, second),
        labels,
        kinds=len(kinds),
        rng=pair.frame.rng("downstream"),
        seeds=_SEEDS,
        capped=pair.frame.level != "official",
        device=pair.frame.device,
        workers=pair.frame.workers,
    )
    study = _Study(pair, crossing, kinds)
    return [*study.energies(), *(study.identification(labels) if len(kinds) > 1 else [])]


@dataclass(frozen=True)
class _Study:
    """The crossing of a pair, turned into values."""

    pair: Pair
    crossing: Crossing
    kinds: NDArray[np.int64]

    def energies(self) -> list[Value]:
        """Resolutions, their ratios to Geant4's own, and biases."""
        energy = self.pair.cells[0].incident_energy
        if np.std(np.log(energy)) < _SMALLEST_SPREAD:
            note = "All particles have the same energy: there is none to reconstruct."
            return [*_absent(_RESOLUTION, note), *_absent(_BIAS, note)]
        edges = energy_edges(energy)

        def by_energy(way: _Way, compute: Callable[..., list[float | None]]) -> dict[str, Any]:
            numbers = compute(self.crossing.tested[_WAYS[way]], edges)
            return {"energy_edges_mev": edges.tolist(), "by_energy": numbers}

        values = []
        for way in _WAYS:
            values.append(self._value(_RESOLUTION, way, by_energy(way, resolution_by_energy)))
            values.append(self._value(_BIAS, way, by_energy(way, bias_by_energy)))
        return [*values, *(self._ratio(way) for way in _WAYS if way != "g4_to_g4")]

    def identification(self, labels: tuple[NDArray[np.int64], NDArray[np.int64]]) -> list[Value]:
        """Accuracies and areas."""
        fewest = min(np.bincount(own, minlength=len(self.kinds)).min() for own in labels)
        if fewest < _FEWEST_OF_A_KIND:
            note = f"Too few particles of one kind: {fewest}, {_FEWEST_OF_A_KIND} are needed."
            return [*_absent(_ACCURACY, note), *_absent(_AREA, note)]
        told = {"pdg": self.kinds.tolist()}
        return [self._value(quantity, way, told) for quantity in (_ACCURACY, _AREA) for way in _WAYS]

    def _value(self, quantity: _Quantity, way: _Way, told: dict[str, Any]) -> Value:
        own = self.crossing.tested[_WAYS[way]]
        numbers = _numbers(quantity, own)
        error = self._error(numbers, lambda draw: _numbers(quantity, draw(_WAYS[way])))
        return Value(
            f"downstream.{quantity.name}_{way}",
            f"{quantity.title}, {_WORDS[way]}",
            float(numbers.mean()),
            error,
            {**self._settings(quantity, way, numbers), **told},
            quantity.note,
            quantity.better if way == "gen_to_g4" else "floor",
        )

    def _ratio(self, way: _Way) -> Value:
        base = _WAYS["g4_to_g4"]

        def ratios(
            draw: Callable[[tuple[int, int]], tuple[Reconstructed, Reconstructed]],
        ) -> NDArray[np.float64]:
            return _numbers(_RESOLUTION, draw(_WAYS[way])) / _numbers(_RESOLUTION, draw(base))

        numbers = ratios(self.crossing.tested.__getitem__)
        return Value(
            f"downstream.energy_resolution_ratio_{way}",
            f"Energy resolution, {_WORDS[way]}, over Geant4's own",
            float(numbers.mean()),
            self._error(numbers, ratios),
            self._settings(_RESOLUTION, way, numbers),
            "1: as good as trained and tested on Geant4.",
            "lower" if way == "gen_to_g4" else "floor",
        )

    def _error(
        self,
        numbers: NDArray[np.float64],
        again: Callable[
            [Callable[[tuple[int, int]], tuple[Reconstructed, Reconstructed]]], NDArray[np.float64]
        ],
    ) -> float:
        """Spread of the networks and, when errors are asked for, of the tested showers."""
        networks = float(np.std(numbers, ddof=1)) / len(numbers) ** 0.5
        rng = self.pair.frame.rng("downstream.bootstrap")
        drawn = [again(_Resample(self.crossing, rng)).mean() for _ in range(self.pair.resamples)]
        showers = float(np.std(drawn, ddof=1)) if len(drawn) > 1 else 0.0
        return float(np.hypot(networks, showers))

    def _settings(self, quantity: _Quantity, way: _Way, numbers: NDArray[np.float64]) -> dict[str, Any]:
        base = float(_numbers(quantity, self.crossing.tested[_WAYS["g4_to_g4"]]).mean())
        return {
            **RECIPE.settings,
            "seeds": _SEEDS,
            "train_showers": list(self.crossing.train_showers),
            "test_showers": [len(half) for half in self.crossing.tested[_WAYS[way]]],
            "steps": list(self.crossing.steps),
            "per_network": numbers.tolist(),
            "trained_and_tested_on_geant4": base,
        }


class _Resample:
    """Showers drawn again: the same ones of a sample in all ways that test on it."""

    def __init__(self, crossing: Crossing, rng: np.random.Generator) -> None:
        self._crossing = crossing
        self._index = {
            (test, half): rng.integers(len(tested), size=len(tested))
            for test in (0, 1)
            for half, tested in enumerate(crossing.tested[0, test])
        }

    def __call__(self, way: tuple[int, int]) -> tuple[Reconstructed, Reconstructed]:
        first, second = (
            tested.select(self._index[way[1], half]) for half, tested in enumerate(self._crossing.tested[way])
        )
        return first, second


def _numbers(quantity: _Quantity, tested: tuple[Reconstructed, Reconstructed]) -> NDArray[np.float64]:
    """Of every network of a way, ``(2 * seeds,)``."""
    return np.concatenate([quantity.compute(half) for half in tested])


def _absent(quantity: _Quantity, note: str) -> list[Value]:
    name, title = quantity.name, quantity.title
    return [Value(f"downstream.{name}_{w}", f"{title}, {_WORDS[w]}", None, note=note) for w in _WAYS]
