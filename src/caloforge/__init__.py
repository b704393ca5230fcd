"""Fast calorimeter shower simulation: Geant4 data, generative models, evaluation, deployment.

>>> import caloforge
>>> simulator = caloforge.load("mosaic:siw-ecal")
>>> showers = simulator(caloforge.Incident.of([20e3, 50e3]), seed=1)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caloforge.formats import open_showers
    from caloforge.geometry import load_geometry
    from caloforge.showers import Incident, Showers
    from caloforge.zoo import load_simulator as load

__all__ = ["Incident", "Showers", "__version__", "load", "load_geometry", "open_showers"]

__version__ = "0.1.0"

# imported when they are first used, so that `import caloforge` and `caloforge --help` stay instant
_PLACES = {
    "Incident": ("caloforge.showers", "Incident"),
    "Showers": ("caloforge.showers", "Showers"),
    "load": ("caloforge.zoo", "load_simulator"),
    "load_geometry": ("caloforge.geometry", "load_geometry"),
    "open_showers": ("caloforge.formats", "open_showers"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        msg = f"module 'caloforge' has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)
