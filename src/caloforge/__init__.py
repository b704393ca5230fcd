"""Fast calorimeter shower simulation: Geant4 data, generative models, evaluation, deployment.

Energies are in MeV, lengths in mm, angles in rad.

>>> import caloforge
>>> simulator = caloforge.load("mosaic:siw-ecal")
>>> showers = simulator(caloforge.Incident.of([20e3, 50e3]), seed=1)
>>> showers
Showers(2 of gamma, 20 to 50 GeV, 768 hits in cells of siw-ecal)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.lazy import attributes

if TYPE_CHECKING:
    from caloforge.api import generate, load, simulate, train
    from caloforge.beam import Beam
    from caloforge.evaluation import evaluate
    from caloforge.formats import open_showers
    from caloforge.geometry import Geometry, load_geometry
    from caloforge.showers import Incident, Showers
    from caloforge.simulator import Simulator

__all__ = [
    "Beam",
    "Geometry",
    "Incident",
    "Showers",
    "Simulator",
    "__version__",
    "evaluate",
    "generate",
    "load",
    "load_geometry",
    "open_showers",
    "simulate",
    "train",
]

__version__ = "0.1.0"

# imported when they are first used, so that `import caloforge` and `caloforge --help` stay instant
__getattr__ = attributes(
    __name__,
    {
        "Beam": "beam",
        "Geometry": "geometry",
        "Incident": "showers",
        "Showers": "showers",
        "Simulator": "simulator",
        "evaluate": "evaluation",
        "generate": "api",
        "load": "api",
        "load_geometry": "geometry",
        "open_showers": "formats",
        "simulate": "api",
        "train": "api",
    },
)
