"""Training of the reconstruction, and what a trained one tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from caloforge.evaluation.classify.networks import initialised
from caloforge.evaluation.downstream.network import RECIPE, Recipe, ReconstructionNetwork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.evaluation.downstream.voxels import Voxels
    from caloforge.features import CellStore

__all__ = ["Line", "Reconstruction", "train"]

_CHUNK = 256


@dataclass(frozen=True)
class Line:
    """The straight line through (log sum of the cells, log energy), and the scale of its residuals.

    Attributes:
        mean: Of the log sums; showers without cells are put there.
        spread: Of the log sums.
        offset: Log energy at the mean.
        slope: Of the log energy, by spread of the log sum.
        scale: Standard deviation of the residuals.
    """

    mean: float
    spread: float
    offset: float
    slope: float
    scale: float

    @classmethod
    def through(cls, sums: NDArray[np.float64], log_energy: NDArray[np.float64]) -> Line:
        """Least squares over the showers with cells; ``sums`` in MeV."""
        logs, wanted = np.log(sums[sums > 0]), log_energy[sums > 0]
        if len(logs) == 0:
            return cls(0.0, 1.0, float(log_energy.mean()), 0.0, float(log_energy.std()) or 1.0)
        mean, spread, offset = float(logs.mean()), float(logs.std()) or 1.0, float(wanted.mean())
        slope = float(np.mean((logs - mean) / spread * (wanted - offset)))
        residuals = wanted - offset - slope * (logs - mean) / spread
        return cls(mean, spread, offset, slope, float(residuals.std()) or 1.0)

    def standardised(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log sums with mean 0 and deviation 1, ``(b,)``."""
        logs = np.log(np.where(sums > 0, sums, np.exp(self.mean)))
        return (logs - self.mean) / self.spread

    def at(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log energy on the line, for standardised log sums."""
        return self.offset + self.slope * place


@dataclass(frozen=True)
class Reconstruction:
    """A trained network with what its inputs and outputs mean.

    Attributes:
        network: The network.
        voxels: Its images.
        line: Energy from the sum of the cells.
        unit: Energies in images are counted in it [MeV].
    """

    network: ReconstructionNetwork
    voxels: Voxels
    line: Line
    unit: float

    def __call__(
        self, store: CellStore, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log energies ``(n,)`` [log MeV] and probabilities of the kinds ``(n, kinds)``."""
        energies, kinds = [], []
        with torch.inference_mode():
            for part in np.split(rows, range(_CHUNK, len(rows), _CHUNK)):
                images, place = self.inputs(store, part)
                correction, logits = self.judged(images, place)
                energies.append(self.line.at(place) + self.line.scale * correction.double().cpu().numpy())
                kinds.append(torch.softmax(logits.double(), dim=1).cpu().numpy())
        return np.concatenate(energies), np.concatenate(kinds)

    def judged(self, images: torch.Tensor, place: NDArray[np.float64]) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's correction ``(b,)`` and logits ``(b, kinds)`` for what ``inputs`` gives."""
        device = next(self.network.parameters()).device
        sums = torch.from_numpy(place.astype(np.float32))[:, None]
        correction, logits = self.network(images.to(device), sums.to(device))
        return correction, logits

    def inputs(self, store: CellStore, rows: NDArray[np.int64]) -> tuple[torch.Tensor, NDArray[np.float64]]:
        """Images for the network ``(b, 1, depth, first, second)``, standardised log sums ``(b,)``."""
        images = self.voxels.images(store, rows)
        place = self.line.standardised(images.sum(axis=(1, 2, 3), dtype=np.float64))
        return torch.from_numpy(np.log1p(images / np.float32(self.unit)))[:, None], place


def train(
    store: CellStore,
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    voxels: Voxels,
    *,
    kinds: int,
    seed: int,
    recipe: Recipe = RECIPE,
    capped: bool = True,
    device: str = "cpu",
    stop: Event | None = None,
) -> Reconstruction:
    """Train a reconstruction on some showers; the global random state is left alone.

    Args:
        store: The showers.
        rows: Those to train on.
        labels: Kind of particle of every shower of the store.
        voxels: Of the geometry.
        kinds: Number of kinds.
        seed: Of the first weights and of the order of the showers.
        recipe: Sizes and steps.
        capped: Whether ``recipe.most_steps`` holds.
        device: Where it is done.
        stop: Gives up when it is set.
    """
    rng = torch.Generator().manual_seed(seed)
    log_energy = np.log(store.incident_energy)
    line, unit = _scales(store, rows, log_energy)
    network = _network(voxels, kinds, recipe, rng).to(device)
    found = Reconstruction(network, voxels, line, unit)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, fused=True)
    steps = recipe.steps(len(rows), capped=capped)
    weights = _class_weights(labels[rows], kinds).to(device)
    for step, part in enumerate(_batches(rows, recipe.batch, steps, rng)):
        if stop is not None and stop.is_set():
            break
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * _schedule(step / steps)
        images, place = found.inputs(store, part)
        target = (log_energy[part] - line.at(place)) / line.scale
        correction, logits = found.judged(images, place)
        wanted_energy = torch.from_numpy(target.astype(np.float32)).to(device)
        loss = nn.functional.smooth_l1_loss(correction, wanted_energy)
        if kinds > 1:
            wanted = torch.from_numpy(labels[part]).to(device)
            loss = loss + nn.functional.cross_entropy(logits, wanted, weight=weights)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return found


def _network(voxels: Voxels, kinds: int, recipe: Recipe, rng: torch.Generator) -> ReconstructionNetwork:
    network = cast(
        "ReconstructionNetwork", initialised(lambda: ReconstructionNetwork(voxels, kinds, recipe), rng)
    )
    nn.init.zeros_(network.energy.weight)  # the first guess is the line
    return network


def _scales(store: CellStore, rows: NDArray[np.int64], log_energy: NDArray[np.float64]) -> tuple[Line, float]:
    sums, hits = np.zeros(len(rows)), 0
    for start in range(0, len(rows), _CHUNK):
        batch = store.batch(rows[start : start + _CHUNK])
        showers = len(batch.offsets) - 1
        sums[start : start + showers] = np.bincount(batch.shower, weights=batch.energy, minlength=showers)
        hits += len(batch.energy)
    return Line.through(sums, log_energy[rows]), float(sums.sum()) / max(hits, 1) or 1.0


def _class_weights(labels: NDArray[np.int64], kinds: int) -> torch.Tensor:
    """Kinds count the same, however many showers each has."""
    counts = np.maximum(np.bincount(labels, minlength=kinds), 1)
    return torch.from_numpy((len(labels) / (kinds * counts)).astype(np.float32))


def _batches(
    rows: NDArray[np.int64], size: int, steps: int, rng: torch.Generator
) -> Iterator[NDArray[np.int64]]:
    """``steps`` batches, every shower once before any comes again; batches are full ones."""
    size, given = min(size, len(rows)), 0
    while given < steps:
        order = rows[torch.randperm(len(rows), generator=rng).numpy()]
        for start in range(0, len(order) - size + 1, size):
            if given < steps:
                yield order[start : start + size]
                given += 1


def _schedule(progress: float) -> float:
    if progress < 0.1:
        return progress / 0.1 + 0.01
    return 0.5 * (1.0 + float(np.cos(np.pi * (progress - 0.1) / 0.9)))
