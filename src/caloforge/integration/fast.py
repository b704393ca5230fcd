"""A trained model in Geant4's place: which particles it takes, and the hits that it makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.integration.limits import Limits
from caloforge.integration.placing import placed
from caloforge.particles import particle_code
from caloforge.showers import Incident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.geant4.face import Arrival
    from caloforge.geometry import Geometry
    from caloforge.integration.catching import Caught
    from caloforge.integration.limits import Reason
    from caloforge.showers import Showers
    from caloforge.simulator import Simulator

__all__ = ["FastSimulation"]


class FastSimulation:
    """Replaces photons, electrons or positrons at the calorimeter's front face by a model's showers.

    Args:
        simulator: The trained model.
        particles: Names or codes of the particles to replace; by default all that it was trained on.
        energies: Lowest and highest kinetic energy [MeV] to replace; by default those of the training.
        margin: Particles nearer to the border of the read-out are left to Geant4 [mm].
        tolerance: Angles so far beyond those of the training are replaced, too [rad].
        batch_size: Showers computed together.

    Raises:
        ConfigError: Something asked for is outside of the training.
    """

    def __init__(
        self,
        simulator: Simulator,
        particles: Sequence[str | int] | None = None,
        energies: tuple[float, float] | None = None,
        *,
        margin: float = 20.0,
        tolerance: float = 0.02,
        batch_size: int = 100,
    ) -> None:
        self.simulator, self.batch_size = simulator, batch_size
        self.limits = Limits.of(
            simulator,
            particles=None if particles is None else [particle_code(name) for name in particles],
            energies=energies,
            margin=margin,
            tolerance=tolerance,
        )

    @property
    def geometry(self) -> Geometry:
        """The read-out."""
        return self.simulator.geometry

    def reason(self, arrival: Arrival) -> Reason:
        """Whether a particle at the front face is replaced, or why not."""
        return self.limits.reason(arrival)

    def warm_up(self) -> None:
        """Make a shower, so that the first one of an event takes no longer than others."""
        energy, particle = self.limits.energies[0], min(self.limits.particles)
        self.simulator.sample(Incident.of(energy, pdg=particle), seed=0)

    def showers(self, caught: Caught, *, seed: int) -> Showers | None:
        """Make the showers of caught particles, together, where they arrived.

        Args:
            caught: The particles, of one event or of several.
            seed: A shower depends on (seed, number) alone.

        Returns:
            Points, or cells before the threshold, one shower a particle; None when there are none.
        """
        if not len(caught.particles):
            return None
        made = self.simulator.sample(
            caught.particles, seed=seed, first=caught.number, batch_size=self.batch_size
        )
        return placed(made, caught.impact, self.geometry)
