"""Trained models by name ``model:tag``."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, clipped, did_you_mean
from caloforge.trained.card import CARD, read_card

if TYPE_CHECKING:
    from caloforge.simulator import Simulator

__all__ = [
    "load_simulator",
    "model_folder",
    "recorded_time",
    "reference_path",
    "shipped_models",
    "weights_of",
]

_HOME = Path(str(resources.files("caloforge.zoo")))


def shipped_models() -> list[str]:
    """Names ``model:tag`` of the trained models in the package."""
    return sorted(f"{c.parent.parent.name}:{c.parent.name}" for c in _HOME.glob("models/*/*/config.json"))


def model_folder(name_or_folder: str | Path) -> Path:
    """The folder of a shipped model, a saved model or a training run.

    Raises:
        ConfigError: It is neither a shipped name nor a folder.
    """
    text = str(name_or_folder)
    if text in shipped_models():
        model, tag = text.split(":")
        return _HOME / "models" / model / tag
    folder = Path(name_or_folder)
    if (folder / "model" / "config.json").is_file():
        return folder / "model"
    if folder.is_dir():
        return folder
    hint = did_you_mean(text, shipped_models())
    known = f"{hint}, or give the folder of a saved model or of a finished run"
    msg = f"There is no model {clipped(text, 60)!r}: {known}."
    raise ConfigError(msg)


def weights_of(name_or_folder: str | Path) -> str:
    """Hash of a model's configuration and weights: which model it is, wherever it lies.

    Raises:
        ConfigError: As of ``model_folder``.
    """
    folder = model_folder(name_or_folder)
    files = [(folder / name).read_bytes() for name in ("config.json", "model.safetensors")]
    return hashlib.sha256(b"".join(files)).hexdigest()[:16]


def recorded_time(name: str) -> float | None:
    """CPU milliseconds per shower on one thread that the benchmark wrote into a model's card, at its best.

    Args:
        name: Shipped name, or a folder as ``model_folder`` takes it.

    Returns:
        None when it was not measured.

    Raises:
        ConfigError: There is no such model.
        FormatError: Its card is damaged.
    """
    folder = model_folder(name)
    card = read_card(folder) if (folder / CARD).is_file() else {}
    entries = card.get("benchmark", {}).get("configurations", ())
    on_cpu = [entry for entry in entries if entry.get("device", "cpu") == "cpu"]
    times = [entry["cpu_ms"]["mean"] for entry in on_cpu if entry["threads"] == 1]
    return min(times, default=None)


def load_simulator(name_or_folder: str | Path, *, networks: bool = False) -> Simulator:
    """Load a shipped model by name, or a saved one from its folder.

    Args:
        name_or_folder: As of ``model_folder``.
        networks: As of ``Simulator.load``; without them mosaic generates, but is not saved.

    Raises:
        ConfigError: The name is unknown.
        FormatError: The folder is not a saved model.
    """
    from caloforge.simulator import Simulator

    return Simulator.load(model_folder(name_or_folder), networks=networks)


def reference_path(geometry: str = "siw-ecal") -> Path:
    """The shipped Geant4 showers of a geometry (read-out cells, from the report part of the data).

    Raises:
        ConfigError: None is shipped.
    """
    path = _HOME / "reference" / f"{geometry}.h5"
    if not path.is_file():
        known = [p.stem for p in _HOME.glob("reference/*.h5")]
        msg = f"No Geant4 showers of {geometry!r} are shipped: {did_you_mean(geometry, known)}."
        raise ConfigError(msg)
    return path
