"""Two samples in halves: what is trained on one half of a sample is tested on the other half of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.classify.workers import parallel
from caloforge.evaluation.downstream.network import RECIPE, Recipe
from caloforge.evaluation.downstream.training import train
from caloforge.evaluation.downstream.voxels import Voxels

if TYPE_CHECKING:
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.features import CellStore

__all__ = ["Crossing", "Reconstructed", "cross", "halves"]


@dataclass(frozen=True)
class Reconstructed:
    """Showers of one half of a sample, reconstructed by ``K`` networks that saw none of that half.

    Attributes:
        energy: Incident energies [MeV], ``(m,)``.
        ratio: Reconstructed over incident energies, ``(K, m)``.
        labels: Kind of particle, ``(m,)``.
        probability: Of every kind, ``(K, m, kinds)``.
    """

    energy: NDArray[np.float64]
    ratio: NDArray[np.float64]
    labels: NDArray[np.int64]
    probability: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.energy)

    def select(self, index: NDArray[np.generic]) -> Reconstructed:
        """Some of the showers, some several times."""
        return Reconstructed(
            self.energy[index], self.ratio[:, index], self.labels[index], self.probability[:, index]
        )


@dataclass(frozen=True)
class Crossing:
    """All four ways to train on one sample and to test on the other.

    Attributes:
        tested: By the samples of training and of testing (0: first, 1: second): both halves.
        train_showers: Showers that the two networks of a sample were trained on, by half.
        steps: Optimiser steps of each half.
    """

    tested: dict[tuple[int, int], tuple[Reconstructed, Reconstructed]]
    train_showers: tuple[int, int]
    steps: tuple[int, int]


@dataclass(frozen=True)
class _Job:
    sample: int
    half: int
    seed: int


def halves(sizes: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """The half (0 or 1) that showers of an index belong to, in both samples, ``(largest size,)``.

    Generated showers have the same particles as those of the reference at the same index: what
    a network learns from one must not be tested on the other.
    """
    return rng.permutation(max(sizes)) % 2


def cross(
    samples: tuple[CellStore, CellStore],
    labels: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    kinds: int,
    rng: np.random.Generator,
    seeds: int,
    recipe: Recipe = RECIPE,
    capped: bool = True,
    device: str = "cpu",
    workers: int | None = None,
) -> Crossing:
    """Train ``seeds`` networks on every half of both samples, and test each on the other halves.

    Both samples give the same number of showers of each kind to a training, and the networks of one
    half have the same seeds, so that equal samples give equal numbers.

    Args:
        samples: Cells of the two samples, of one uniform geometry.
        labels: Kind of particle of every shower, from 0.
        kinds: Number of kinds.
        rng: Draws the halves and the seeds.
        seeds: Networks of each half.
        recipe: Of the networks.
        capped: Whether the recipe's number of steps is limited.
        device: Where networks are trained.
        workers: Trainings at once; by default one a core. It does not change the numbers.
    """
    voxels = Voxels.of(samples[0].geometry)
    half_of = halves((len(samples[0]), len(samples[1])), rng)
    numbers = rng.integers(2**31, size=(2, seeds))
    rows = {
        half: _equal([np.flatnonzero(half_of[: len(s)] == half) for s in samples], labels) for half in (0, 1)
    }
    tests = [[np.flatnonzero(half_of[: len(s)] == half) for half in (0, 1)] for s in samples]

    def job(item: _Job, stop: Event) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        found = train(
            samples[item.sample],
            rows[item.half][item.sample],
            labels[item.sample],
            voxels,
            kinds=kinds,
            seed=item.seed,
            recipe=recipe,
            capped=capped,
            device=device,
            stop=stop,
        )
        return [found(s, t[1 - item.half]) for s, t in zip(samples, tests, strict=True)]

    jobs = [_Job(sample, half, int(seed)) for sample in (0, 1) for half in (0, 1) for seed in numbers[half]]
    done = parallel(job, jobs, workers=workers)

    def tested(trained: int, test: int, half: int) -> Reconstructed:
        found = [
            r[test] for j, r in zip(jobs, done, strict=True) if (j.sample, j.half) == (trained, 1 - half)
        ]
        index = tests[test][half]
        energy = samples[test].incident_energy[index]
        ratio = np.exp(np.stack([energies for energies, _ in found]) - np.log(energy))
        return Reconstructed(energy, ratio, labels[test][index], np.stack([kind for _, kind in found]))

    counts = (len(rows[0][0]), len(rows[1][0]))
    return Crossing(
        {(a, b): (tested(a, b, 0), tested(a, b, 1)) for a in (0, 1) for b in (0, 1)},
        counts,
        (recipe.steps(counts[0], capped=capped), recipe.steps(counts[1], capped=capped)),
    )


def _equal(
    rows: list[NDArray[np.int64]], labels: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> list[NDArray[np.int64]]:
    """As many showers of each kind from both samples; the larger one loses some from all over its file."""
    kinds = [own[index] for own, index in zip(labels, rows, strict=True)]
    counts = {kind: min(int(np.sum(k == kind)) for k in kinds) for kind in np.unique(np.concatenate(kinds))}
    chosen = []
    for index, own in zip(rows, kinds, strict=True):
        parts = [_thinned(index[own == kind], count) for kind, count in counts.items()]
        chosen.append(np.sort(np.concatenate(parts)))
    return chosen


def _thinned(index: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """``count`` entries, evenly: what a file begins with may have other energies than its end."""
    return index[np.arange(count) * len(index) // max(count, 1)]
