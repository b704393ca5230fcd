"""Trained models by name ``model:tag``."""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, bad, clipped, did_you_mean
from caloforge.trained.card import CARD, read_card
from caloforge.zoo.installed import find_model, installed_models
from caloforge.zoo.titles import parse_title

if TYPE_CHECKING:
    from caloforge.simulator import Simulator
    from caloforge.zoo.installed import Installed

__all__ = [
    "check_weights",
    "exact_name",
    "find_installed",
    "installed",
    "known_models",
    "load_simulator",
    "model_folder",
    "recorded_name",
    "recorded_time",
    "reference_path",
    "shipped_models",
    "weights_of",
    "zoo_home",
]

_LOGGER = logging.getLogger(__name__)

_HOME = Path(str(resources.files("caloforge.zoo")))


def shipped_models() -> list[str]:
    """Names ``model:tag`` of the trained models in the package."""
    return sorted(f"{c.parent.parent.name}:{c.parent.name}" for c in _HOME.glob("models/*/*/config.json"))


def known_models() -> list[str]:
    """Names ``model:tag`` of the trained models of this machine: in the package, and downloaded."""
    return sorted({model.title.name for model in installed()})


def installed() -> list[Installed]:
    """All versions of the trained models of this machine."""
    return installed_models(_HOME)


def zoo_home() -> Path:
    """The folder of the package's zoo, with its index."""
    return _HOME


def model_folder(name_or_folder: str | Path) -> Path:
    """The folder of a model of the package, a downloaded one, a saved one or a training run.

    Of a name without a version it is the newest on this machine that this caloforge loads.

    Raises:
        ConfigError: It is neither a name nor a folder, or the model needs a newer caloforge.
        FormatError: What the download of the model noted is damaged.
    """
    text = str(name_or_folder)
    if (found := find_installed(text)) is not None:
        _tell(text, found)
        return found.folder
    folder = Path(name_or_folder)
    if (folder / "model" / "config.json").is_file():
        return folder / "model"
    if folder.is_dir():
        return folder
    raise ConfigError(_unknown(text))


def isfind_installed(name_or_folder: str | Path) -> bool:
    """Whether it is the name of a model on this machine, and no folder."""
    return find_installed(str(name_or_folder)) is not None


def exact_name(name_or_folder: str) -> str:
    """A model's name with its version, which no download changes the meaning of; a folder as it is."""
    found = find_installed(name_or_folder)
    return name_or_folder if found is None else str(found.title)


def recorded_name(name_or_folder: str) -> str:
    """The name that is noted beside showers: with its version for a downloaded model.

    Those of the package belong to a version of caloforge, which is noted, too.
    """
    found = find_installed(name_or_folder)
    if found is None:
        return name_or_folder
    return found.title.name if found.place == "package" else str(found.title)


def find_installed(text: str) -> Installed | None:
    """The model of a name with or without a version; None when there is none, or it is no name.

    Raises:
        ConfigError: It needs a newer caloforge.
        FormatError: What its download noted is damaged.
    """
    if ":" not in text:
        return None
    try:
        title = parse_title(text)
    except ConfigError:
        return None
    return find_model(title, _HOME)


@cache
def _tell(text: str, found: Installed) -> None:
    """Say once that a download has taken the place of a model of the package."""
    if found.place == "cache" and text in shipped_models():
        _LOGGER.info("%s is version %s, which was downloaded", text, found.title.version)


def _unknown(text: str) -> str:
    name, _, version = text.partition("@")
    there = [str(m.title.version) for m in installed() if m.title.name == name]
    if version and there:
        return (
            f"{clipped(text, 60)} is not on this machine, which has {', '.join(there)}: "
            f"fetch it with `caloforge models --download {clipped(text, 60)}`."
        )
    hint = did_you_mean(text, known_models())
    other = "give the folder of a saved model or of a finished run"
    zoo = ", or fetch it from a zoo (`caloforge models --download`)" if ":" in text else ""
    return f"There is no model {clipped(text, 60)!r}: {hint}, or {other}{zoo}."


def weights_of(name_or_folder: str | Path) -> str:
    """Hash of a model's configuration and weights: which model it is, wherever it lies.

    Raises:
        ConfigError: As of ``model_folder``.
    """
    folder = model_folder(name_or_folder)
    files = [(folder / name).read_bytes() for name in ("config.json", "model.safetensors")]
    return hashlib.sha256(b"".join(files)).hexdigest()[:16]


def check_weights(name_or_folder: str | Path, weights: str) -> None:
    """Make sure that a model is the one that showers were asked of, here and now.

    Args:
        name_or_folder: As of ``model_folder``.
        weights: What ``weights_of`` gave there and then; empty is anything.

    Raises:
        ConfigError: It is another, or there is none.
    """
    found = weights_of(name_or_folder)
    if weights and found != weights:
        fix = "have the same files on all machines, and leave them while showers are made"
        raise ConfigError(bad(f"weights of {name_or_folder}", got=found, expected=weights, fix=fix))


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
