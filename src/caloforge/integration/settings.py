"""What is asked of a model in Geant4, as values that worker processes and files can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from caloforge.integration.fast import FastSimulation
from caloforge.zoo.shipped import load_simulator, recorded_name, weights_of

__all__ = ["FastSettings"]


@dataclass(frozen=True)
class FastSettings:
    """A model by name and what it replaces; see ``FastSimulation``.

    Attributes:
        model: A trained model's name or a saved model's folder.
        particles: Names or codes; None is all that it was trained on.
        energies: [MeV]; None is the range of the training.
        margin: To the border of the read-out [mm].
        tolerance: Beyond the angles of the training [rad].
        batch_size: Showers computed together; they agree to rounding between batch sizes.
    """

    model: str
    particles: tuple[str, ...] | None = None
    energies: tuple[float, float] | None = None
    margin: float = 20.0
    tolerance: float = 0.02
    batch_size: int = 100

    def load(self) -> FastSimulation:
        """Load the model, on one thread of the CPU.

        Raises:
            ConfigError: There is no such model, or something asked for is outside of its training.
            FormatError: Its folder is damaged.
        """
        simulator = load_simulator(self.model)
        simulator.model.work_on("cpu", threads=1)
        return FastSimulation(
            simulator,
            self.particles,
            self.energies,
            margin=self.margin,
            tolerance=self.tolerance,
            batch_size=self.batch_size,
        )

    def request(self) -> dict[str, Any]:
        """All that determines the model's part, as JSON types."""
        return {
            "model": recorded_name(self.model),
            "weights": weights_of(self.model),
            "particles": None if self.particles is None else list(self.particles),
            "energies": None if self.energies is None else list(self.energies),
            "margin": self.margin,
            "tolerance": self.tolerance,
            "batch_size": self.batch_size,
        }
