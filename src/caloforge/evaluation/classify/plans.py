"""How large the network classifiers are and how they are trained, by level and number of showers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.classify.training import Training

if TYPE_CHECKING:
    from caloforge.evaluation.pair import Level

__all__ = ["HIDDEN", "Plan", "convolutional_plan", "dense_plan", "residual_plan", "texture_plan"]

HIDDEN = 3
"""Hidden layers of the dense networks."""

_FEW = 20_000


@dataclass(frozen=True)
class Plan:
    """Sizes of one classifier for a number of showers.

    Attributes:
        training: The recipe.
        trainings: With different splits, first weights and orders.
        scaled: Whether inputs are scaled: columns to mean 0 and deviation 1, cell energies by one
            factor to mean square 1 over all cells.
        width: Of the hidden layers, for dense networks.
        directions: Whether inputs have the direction of the incident particle where it differs.
        turned: Whether images are cropped to the window that is hit, and showers are turned and
            mirrored by the symmetries of the read-out.
    """

    training: Training
    trainings: int
    scaled: bool
    width: int = 0
    directions: bool = True
    turned: bool = False

    def on(self, device: str) -> Plan:
        """The same on a device."""
        return replace(self, training=replace(self.training, device=device))

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings."""
        width = {"hidden": [self.width] * HIDDEN} if self.width else {}
        return {**width, **self.training.settings, "trainings": self.trainings, "scaled": self.scaled}


_CHALLENGE_RESNET = Plan(
    Training(2e-4, 1000, 50, precision="float64"), trainings=10, scaled=False, directions=False
)
_CHALLENGE = replace(_CHALLENGE_RESNET, width=2048)
_VISITS = 14_000  # of showers of each class
_TEXTURE = Training(4e-3, 32, 10, keep="loss", schedule="one_cycle", weight_decay=1e-2)
_L2LFLOWS = Plan(Training(1e-3, 512, 30), trainings=1, scaled=False, directions=False)


def dense_plan(level: Level, count: int) -> Plan:
    """Scaled to the file: at least a dozen steps an epoch, 512 wide below 20 000 showers."""
    if level == "official":
        return _CHALLENGE
    few = count < _FEW
    training = Training(2e-4, _batch(count, 12, 1000), 25 if few else 50, patience=6)
    return Plan(training, trainings=3, scaled=True, width=512 if few else 2048)


def residual_plan(level: Level, count: int) -> Plan:
    """The official recipe, or one that learns from a thousand showers.

    At n = 1400 four epochs at a constant rate see nothing in a model that ``texture`` tells from Geant4
    with AUC .95 (.52); one cycle of ten epochs on cropped images finds .72, and turned showers .74.
    What is left is the input: log cells would give .84, but soft hits are next to nothing in the
    CaloChallenge's cells / E_inc, which are kept.
    """
    if level == "official":
        return _CHALLENGE_RESNET
    return Plan(
        _few_cycles(replace(_TEXTURE, learning_rate=2e-3), count, most=10),
        trainings=3,
        scaled=True,
        turned=True,
    )


def convolutional_plan(level: Level, count: int) -> Plan:
    """Scaled to the file: at least fifty steps an epoch, four epochs."""
    if level == "official":
        return _L2LFLOWS
    return Plan(Training(1e-3, _batch(count, 50, 512), 4), trainings=1, scaled=True)


def texture_plan(level: Level, count: int) -> Plan:
    """500 steps for a thousand showers, in 3 to 20 epochs; at level "official" 30 epochs, ten trainings."""
    if level == "official":
        return Plan(replace(_TEXTURE, batch=64, epochs=30), trainings=10, scaled=True, turned=True)
    return Plan(_few_cycles(_TEXTURE, count, most=20), trainings=3, scaled=True, turned=True)


def _few_cycles(training: Training, count: int, *, most: int) -> Training:
    """As many epochs as the showers need, 3 at least, and fifty steps or more in each."""
    epochs = int(np.clip(_VISITS / count, 3, most))
    return replace(training, batch=_batch(count, 50, 64), epochs=epochs)


def _batch(count: int, steps: int, most: int) -> int:
    """Showers a step, a power of two up to ``most``, that gives ``steps`` steps an epoch or more."""
    fitting = 2 * 0.6 * count / steps
    return int(min(max(2 ** np.floor(np.log2(max(fitting, 1.0))), 16), most))
