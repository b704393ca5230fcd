"""A zoo with versions of a small model, in a folder."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from caloforge.trained.card import CARD
from caloforge.trained.configuration import CONFIG, WEIGHTS
from caloforge.zoo.fetch import Fetched, download_models
from caloforge.zoo.index import INDEX
from caloforge.zoo.publish import Publication, Terms, publish_models
from caloforge.zoo.shipped import model_folder
from caloforge.zoo.titles import parse_title
from web import Watched

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.errors import CaloForgeError

__all__ = ["NAME", "changed", "fetch", "make_zoo", "newest", "refusal", "small_model"]

NAME = "caloclouds-2-cm:toy"


def small_model(folder: Path, *, seed: int = 1, note: str = "") -> Path:
    """One of the package's models with a number of its weights changed, and a short card."""
    source = model_folder("caloclouds-2-cm:siw-ecal")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / CONFIG, folder / CONFIG)
    with safe_open(source / WEIGHTS, framework="numpy") as file:
        metadata = file.metadata()
    tensors = load_file(source / WEIGHTS)
    name = next(name for name, value in sorted(tensors.items()) if value.ndim == 2)
    tensors[name][0, 0] = seed / 100
    save_file(tensors, folder / WEIGHTS, metadata)
    data = {"showers": 10, "files": ["photons.h5"]}
    (folder / CARD).write_text(json.dumps({"data": data, "note": note}))
    return folder


def make_zoo(folder: Path) -> Path:
    """Versions 1.0, 1.1 (another card), 2.0 (other weights), and 3.0 for a caloforge to come."""
    zoo = folder / "zoo"
    for number, (seed, note) in enumerate([(1, ""), (1, "judged"), (2, ""), (3, "")]):
        made = small_model(folder / str(number), seed=seed, note=note)
        terms = Terms("CC-BY-4.0", "99.0" if seed == 3 else "0.1.0")
        publish_models(zoo, [Publication(parse_title(NAME), made, terms)])
    return zoo


def newest(content: Any) -> Any:
    """Version 2.0 in the JSON of the zoo's index."""
    return content["models"][2]


def changed(zoo: Path, folder: Path, change: Any) -> Path:
    """The zoo with another index: ``change`` gets its JSON and may return other JSON."""
    other = shutil.copytree(zoo, folder / "other")
    content = json.loads((other / INDEX).read_text())
    (other / INDEX).write_text(json.dumps(change(content) or content))
    return other


def fetch(name: str, *places: object) -> list[Fetched]:
    """Download as the command does."""
    return download_models([name], places=[str(place) for place in places], progress=Watched())


def refusal(name: str, *places: object, kind: type[CaloForgeError], match: str) -> None:
    """One sentence, in one line."""
    with pytest.raises(kind, match=match) as caught:
        fetch(name, *places)
    assert "\n" not in str(caught.value)
