"""Write a zoo: a folder with an index and files, which any web server, or a record of an archive, can hold.

A file's name has its sum, so that a new version never replaces the files of an old one, and all lie side by
side, as records of Zenodo want it.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from caloforge import __version__
from caloforge.errors import ConfigError, OutputError, clipped
from caloforge.files import made, owned, replacing, write_text
from caloforge.showers import Incident
from caloforge.simulator import Simulator
from caloforge.trained.card import CARD, read_card
from caloforge.trained.configuration import CONFIG, WEIGHTS
from caloforge.zoo.cards import ModelCard, card_of, read_folder
from caloforge.zoo.index import (
    INDEX,
    MODEL_FILES,
    Entry,
    Index,
    Summary,
    ZooFile,
    index_in,
    parse_index,
    sum_of,
    sums_of,
)
from caloforge.zoo.titles import Title, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Publication",
    "Terms",
    "entry_for",
    "next_version",
    "package_entries",
    "publish_models",
    "summary_of",
]


class Terms(NamedTuple):
    """Of the use of models.

    Attributes:
        licence: Of the weights; empty when it is not told.
        loads_with: The oldest caloforge that loads them.
    """

    licence: str = ""
    loads_with: str = __version__


class Publication(NamedTuple):
    """A model to publish.

    Attributes:
        title: Its name; without a version it gets the next one.
        folder: The saved model.
        terms: Of its use.
        evaluation: For its card, as ``evaluation_of`` gives it; None leaves what the card has.
    """

    title: Title
    folder: Path
    terms: Terms = Terms()
    evaluation: Mapping[str, Any] | None = None


def publish_models(zoo: Path, models: Sequence[Publication], *, mirrors: Sequence[str] = ()) -> list[Entry]:
    """Add models to a zoo, which is made when it does not exist; what it has stays.

    Every model is loaded and makes a shower, as a proof that it is one. Its card is told its name
    and its size.

    Args:
        zoo: The folder.
        models: Which ones; one that the zoo has already, to the bit, is not added again.
        mirrors: Addresses at which the folder will be, too.

    Returns:
        What the index says of them.

    Raises:
        ConfigError: A version is there with other files, or a model has not been trained.
        FormatError: A folder is not a saved model, or the zoo's index is damaged.
        OutputError: The folder cannot be written, or another process writes it.
    """
    with made(zoo), owned(zoo):
        index = index_in(zoo)
        entries = []
        for model in models:
            with TemporaryDirectory(prefix="caloforge-") as temporary:
                card = _complete(model, Path(temporary))
                entry = _entry(index, model.title, Path(temporary), card, model.terms)
                _copy(entry, Path(temporary), zoo)
            index = _with(index, entry)
            entries.append(entry)
        index = index.model_copy(update={"mirrors": tuple(dict.fromkeys((*index.mirrors, *mirrors)))})
        write_text(zoo / INDEX, parse_index(index.text().encode(), source=str(zoo / INDEX)).text())
    return entries


def entry_for(
    title: Title, folder: Path, summary: Summary, terms: Terms, *, path_of: Callable[[str, str], str]
) -> Entry:
    """What an index says of a folder.

    Args:
        title: Name and version.
        folder: The saved model.
        summary: Of its card.
        terms: Of its use.
        path_of: Where a file of a name and a sum is, from the index.
    """
    files = []
    for name in MODEL_FILES:
        digest, size = sum_of(folder / name), (folder / name).stat().st_size
        files.append(ZooFile(name=name, path=path_of(name, digest), size=size, sha256=digest))
    return Entry(
        name=title.name,
        version=str(title.version),
        caloforge=terms.loads_with,
        licence=terms.licence,
        summary=summary,
        files=tuple(files),
    )


def summary_of(card: ModelCard) -> Summary:
    """A card in short."""
    data, evaluation = card.card.get("data", {}), card.card.get("evaluation") or {}
    scores = {m["name"]: m["value"] for m in evaluation.get("metrics", ()) if m["name"].startswith("auc.")}
    return Summary(
        parameters=card.parameters,
        stored_numbers=card.stored_numbers,
        geometry=card.geometry.name,
        fingerprint=card.geometry.fingerprint,
        particles=card.particles,
        energy=card.energy,
        theta=card.theta,
        trained_on=tuple(clipped(name, 300) for name in data.get("files", ())),
        showers=data.get("showers", 0),
        auc={name[4:]: round(value, 4) for name, value in scores.items() if value is not None},
    )


def package_entries(home: Path, terms: Terms) -> Index:
    """The index that the package should have: versions go on from those that it has.

    Args:
        home: Folder of the package's zoo.
        terms: Of models that have changed.
    """
    index, entries = index_in(home), []
    for config in sorted(home.glob(f"models/*/*/{CONFIG}")):
        folder = config.parent
        name = f"{folder.parent.name}:{folder.name}"
        title = Title(name, next_version(index, name, sums_of(folder)))
        known = [entry for entry in index.models if entry.title == title]
        path_of = partial(_inside, folder.relative_to(home).as_posix())
        told = summary_of(read_folder(folder))
        entries += known or [entry_for(title, folder, told, terms, path_of=path_of)]
    return Index(models=tuple(entries))


def _inside(folder: str, name: str, digest: str) -> str:  # noqa: ARG001
    return f"{folder}/{name}"


def next_version(index: Index, name: str, sums: Mapping[str, str]) -> Version:
    """Of files: that of the newest entry when they are its files, else the one after it.

    Other weights or another configuration are a new major version, another card alone is a minor one.
    """
    versions = index.versions(name)
    if not versions:
        return Version(1, 0)
    newest = versions[-1]
    known = next(e.sums for e in index.models if e.title == Title(name, newest))
    if all(known[file] == sums[file] for file in MODEL_FILES):
        return newest
    if all(known[file] == sums[file] for file in (CONFIG, WEIGHTS)):
        return Version(newest.major, newest.minor + 1)
    return Version(newest.major + 1, 0)


def _complete(model: Publication, target: Path) -> ModelCard:
    """Copy a saved model, its card completed; the proof that it loads and generates."""
    simulator = Simulator.load(model.folder)
    if simulator.model.name != model.title.model:
        msg = (
            f"{model.folder} is a model {simulator.model.name}: its name must be {simulator.model.name}:TAG."
        )
        raise ConfigError(msg)
    _prove(simulator)
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(model.folder / name, target / name)
    card = read_card(model.folder)
    told: dict[str, Any] = {"name": model.title.name, "parameters": simulator.model.learnt_numbers}
    if simulator.model.stored_numbers:
        told["stored_numbers"] = simulator.model.stored_numbers
    if model.evaluation:
        told["evaluation"] = model.evaluation
    if card | told == card:
        shutil.copyfile(model.folder / CARD, target / CARD)
    else:
        (target / CARD).write_text(json.dumps(card | told), encoding="utf-8")
    return card_of(simulator)._replace(card=card | told)


def _prove(simulator: Simulator) -> None:
    """Generate a shower at the lower end of the training: one that cannot must not be published."""
    trained = simulator.trained
    particle = Incident.of([trained.energy[0]], pdg=trained.particles[0])
    simulator.delivered(simulator.sample(particle, seed=1))


def _entry(index: Index, title: Title, folder: Path, card: ModelCard, terms: Terms) -> Entry:
    sums = sums_of(folder)
    version = title.version or next_version(index, title.name, sums)
    full = Title(title.name, version)
    known = [entry for entry in index.models if entry.title == full]
    if known and known[0].sums != sums:
        after = next_version(index, title.name, sums)
        msg = f"The zoo has another {full}, and versions never change: give none, or {after}."
        raise ConfigError(msg)
    paths = {file.sha256: file.path for entry in index.models for file in entry.files}
    path_of = partial(_flat_name, full, paths)
    return known[0] if known else entry_for(full, folder, summary_of(card), terms, path_of=path_of)


def _flat_name(title: Title, known: Mapping[str, str], name: str, digest: str) -> str:
    """Of a file that is in the zoo already, such as the weights of a new card, the one that it has."""
    model, tag = title.words
    stem, _, suffix = name.rpartition(".")
    return known.get(digest) or f"{model}-{tag}-{title.version}-{stem}-{digest[:16]}.{suffix}"


def _copy(entry: Entry, folder: Path, zoo: Path) -> None:
    for file in entry.files:
        target = zoo / file.path
        if target.is_file() and sum_of(target) == file.sha256:
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as part:
                shutil.copyfile(folder / file.name, part)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            msg = f"Cannot write {target}: {error.strerror or error}."
            raise OutputError(msg) from error


def _with(index: Index, entry: Entry) -> Index:
    others = [known for known in index.models if known.title != entry.title]
    return index.model_copy(update={"models": (*others, entry)})
