"""The steps as functions of showers in memory: what ``import caloforge`` offers.

Files that do not fit into memory, several processes and interruptions are the business of
``caloforge.geant4.simulate`` and ``caloforge.generation.generate``, which the commands call.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from caloforge.beam import Beam
from caloforge.errors import ConfigError
from caloforge.showers import Incident, Showers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caloforge.geant4 import Scoring
    from caloforge.geometry import Geometry
    from caloforge.simulator import Simulator

__all__ = ["Particles", "generate", "load", "simulate", "train"]

Particles = Incident | Showers | Beam
"""Particles one by one; those of other showers; or ranges that a number of them is drawn from."""


def load(model: str | Path, *, networks: bool = False) -> Simulator:
    """Load a trained model.

    Args:
        model: A trained model's name, such as ``mosaic:siw-ecal``, with a version if one is meant
            (``mosaic:siw-ecal@1.0``), or a saved one's folder.
        networks: As of ``Simulator.load``; without them mosaic generates, but is not saved.

    Raises:
        ConfigError: There is no such model.
        FormatError: The folder is not a saved model.
    """
    from caloforge.zoo import load_simulator

    return load_simulator(model, networks=networks)


def simulate(
    geometry: Geometry | str | Path,
    particles: Particles,
    *,
    count: int | None = None,
    seed: int = 1,
    scoring: Scoring = "cells",
    processes: int = 1,
    data: Path | None = None,
) -> Showers:
    """Simulate showers with Geant4.

    Args:
        geometry: A calorimeter with known plates, its name in the catalogue, or its file.
        particles: One shower for each; of a beam, ``count`` are drawn.
        count: Showers, for a beam.
        seed: Shower i depends on (seed, i) alone.
        scoring: ``cells`` above threshold, or ``steps``: points on a fine grid.
        processes: Worker processes; the showers do not depend on it.
        data: Folder of Geant4's data sets; by default where ``caloforge simulate`` finds them.

    Raises:
        ConfigError: A beam without ``count``, or the reverse.
        GeometryError: The geometry is unknown or has no plates.
        MissingDependencyError: Geant4 or its data are not there.
    """
    from caloforge.formats import open_showers
    from caloforge.geant4 import Simulation
    from caloforge.geant4 import simulate as run
    from caloforge.geometry import load_geometry

    beam, total = _source(particles, count)
    known = load_geometry(geometry) if isinstance(geometry, str | Path) else geometry
    simulation = Simulation(known, beam, seed=seed, scoring=scoring, data=data)
    with TemporaryDirectory(prefix="caloforge-") as folder:
        out = Path(folder) / "showers.h5"
        run(simulation, out=out, count=total, processes=processes)
        with open_showers(out) as reader:
            return reader.read(0, total)


def generate(
    model: Simulator | str | Path,
    particles: Particles,
    *,
    count: int | None = None,
    seed: int = 1,
    **options: Any,
) -> Showers:
    """Generate showers with a trained model.

    >>> import caloforge
    >>> beam = caloforge.Beam(energy=(20e3, 80e3))
    >>> caloforge.generate("mosaic:siw-ecal", beam, count=100, seed=1)
    Showers(100 of gamma, 21.6 to 79.8 GeV, 50764 hits in cells of siw-ecal)

    Args:
        model: A loaded one, a trained model's name, or a folder.
        particles: One shower for each; of a beam, ``count`` are drawn.
        count: Showers, for a beam.
        seed: Of the particles of a beam and of the showers: those of ``caloforge generate``.
        options: As of ``Simulator.__call__``: ``strict``, ``readout``, ``offset``, ``batch_size`` ...

    Raises:
        ConfigError: A beam without ``count``, or the reverse; no such model.
        DataError: Particles far outside of the trained range.
        FormatError: The folder is not a saved model.
    """
    beam, total = _source(particles, count)
    simulator = load(model) if isinstance(model, str | Path) else model
    incident = beam.sample(seed, 0, total) if isinstance(beam, Beam) else beam
    return simulator(incident, seed=seed, **options)


def train(
    preset: str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    changes: Mapping[str, Any] | None = None,
    seed: int = 1,
    **options: Any,
) -> Simulator:
    """Train a model, as ``caloforge train`` does; goes on where an interrupted run stopped.

    Args:
        preset: ``model/preset``, or a YAML file.
        data: Files of showers; ``Showers.save`` makes one.
        out: Run folder.
        changes: Of the preset, such as ``{"training.layers.steps": 500}``.
        seed: Of weights, batches and noise.
        options: As of ``caloforge.training.train``: ``init_from``, ``device``, ``processes`` ...

    Returns:
        The trained model, also saved in ``out/model``.

    Raises:
        ConfigError: The preset, a change or the data do not fit.
        DataError: The showers cannot be trained on.
        OutputError: ``out`` cannot be written.
        TrainingError: ``out`` holds another run, or the training failed.
    """
    from caloforge.training import load_config
    from caloforge.training import train as run

    files = [data] if isinstance(data, str | Path) else data
    overrides = [f"{key}={json.dumps(value)}" for key, value in (changes or {}).items()]
    return run(load_config(preset, overrides), [Path(f) for f in files], Path(out), seed=seed, **options)


def _source(particles: Particles, count: int | None) -> tuple[Beam | Incident, int]:
    if isinstance(particles, Beam):
        if count is None:
            raise ConfigError("count is missing: it says how many particles of the beam are drawn.")
        return particles, count
    if count is not None:
        msg = "count is for a beam: here there is a shower for each particle, take particles[:count]."
        raise ConfigError(msg)
    incident = particles.incident if isinstance(particles, Showers) else particles
    return incident, len(incident)
