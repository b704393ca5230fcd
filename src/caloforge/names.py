"""Names of what there is: models, presets, geometries and results, told without importing any of them."""

from __future__ import annotations

from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = [
    "DATA_SETS",
    "EVALUATION",
    "GEOMETRIES",
    "PRESETS",
    "check_preset",
    "geometry_names",
    "model_names",
    "model_places",
    "preset_names",
    "presets_of",
]

PRESETS: Traversable = resources.files("caloforge") / "presets"
GEOMETRIES: Traversable = resources.files("caloforge") / "geometry" / "catalog"
DATA_SETS = (
    *("siw-ecal-photons", "geant4", "calochallenge-1-photons", "calochallenge-1-pions", "calochallenge-2"),
    *("calochallenge-3", "clic-fixed", "clic-angles", "getting-high", "par04", "calohadronic", "allshowers"),
    *("multi-geometry", "lemurs", "caloclouds", "new-angles"),
)
"""What ``caloforge data`` brings, or tells where it is (``caloforge.public.records``)."""
EVALUATION = ("metrics.json", "summary.md", "report.html", "figures")
"""What an evaluation leaves in its folder."""

_MODELS = {
    "3dgan": "caloforge.models.gan.model:ThreeDGAN",
    "bibae": "caloforge.models.bibae.model:BIBAE",
    "bibae-angles": "caloforge.models.bibae.angles:BIBAEAngles",
    "caloclouds": "caloforge.models.clouds.caloclouds:CaloClouds",
    "caloclouds-2": "caloforge.models.clouds.caloclouds2:CaloClouds2",
    "caloclouds-2-cm": "caloforge.models.clouds.caloclouds2_cm:CaloClouds2CM",
    "calopointflow": "caloforge.models.pointflow.calopointflow:CaloPointFlow",
    "calopointflow-2": "caloforge.models.pointflow.calopointflow2:CaloPointFlow2",
    "conv-l2lflows": "caloforge.models.l2l.convolutional:ConvL2LFlows",
    "l2lflows": "caloforge.models.l2l.masked:L2LFlows",
    "mosaic": "caloforge.models.mosaic.model:Mosaic",
    "pyramid": "caloforge.models.pyramid.model:Pyramid",
}


def model_places() -> dict[str, str]:
    """``module:class`` of every model by its name; third parties add theirs as ``caloforge.models``."""
    return _MODELS | {e.name: e.value for e in entry_points(group="caloforge.models")}


def model_names() -> list[str]:
    """Names of all registered models."""
    return sorted(model_places())


def preset_names() -> list[str]:
    """All presets as ``model/preset``."""
    folders = [entry for entry in PRESETS.iterdir() if entry.is_dir()]
    return sorted(f"{d.name}/{p.name.removesuffix('.yaml')}" for d in folders for p in d.iterdir())


def presets_of(model: str) -> list[str]:
    """Names of a model's presets, without the model."""
    return [preset.split("/")[1] for preset in preset_names() if preset.split("/")[0] == model]


def check_preset(name: str) -> None:
    """Make sure that there is a preset ``model/preset``, or the YAML file of this name.

    Raises:
        ConfigError: There is none.
    """
    if Path(name).suffix in {".yaml", ".yml"}:
        if not Path(name).is_file():
            msg = f"There is no configuration file {name}: check the name."
            raise ConfigError(msg)
    elif name not in preset_names():
        msg = f"Unknown preset {shown(name)}: {did_you_mean(name, preset_names())}."
        raise ConfigError(msg)


def geometry_names() -> list[str]:
    """Names of the geometries in the catalogue."""
    names = (entry.name for entry in GEOMETRIES.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))
