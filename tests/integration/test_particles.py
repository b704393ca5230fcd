"""One model of several kinds of particles, from the files to the showers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError, DataError
from caloforge.models import build_model
from caloforge.showers import Incident
from caloforge.simulator import Simulator
from caloforge.training import TrainingData, load_config, train
from toy_training import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

KINDS = "model.conditions.particles=[gamma,pi+]"


@pytest.fixture(scope="module")
def files(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Photons, and as many pions with half of their light."""
    folder, showers = tmp_path_factory.mktemp("files"), make_toy_showers(120)
    pions = replace(
        showers,
        incident=Incident.of(showers.incident.energy, pdg=211),
        energy=showers.energy * np.float32(0.5),
    )
    return [write(folder / "gamma.h5", showers, siw), write(folder / "pions.h5", pions, siw)]


def test_batches_tell_the_particle(files: list[Path], siw: Geometry, tmp_path: Path) -> None:
    data = TrainingData.prepare(files, siw, tmp_path / "cache", seed=0)
    assert data.particles == (22, 211)
    rows = np.array([119, 120, 3, 200])
    pdg = data.batch(rows, rng=np.random.default_rng(0)).pdg
    assert (pdg.tolist(), pdg.dtype) == ([22, 211, 22, 211], torch.int64)


@pytest.mark.parametrize("name", ["caloclouds", "caloclouds-2", "calopointflow", "calopointflow-2"])
def test_the_particle_is_a_condition(name: str, files: list[Path], siw: Geometry, tmp_path: Path) -> None:
    """The same random numbers, energies and networks: other particles, other showers."""
    data = TrainingData.prepare(files, siw, tmp_path / "cache", seed=0)
    model = build_model(name, load_config(f"{name}/smoke", [KINDS]).model, siw, seed=3)
    rows = data.rows("train")
    cells = model.trains_on == "cells"
    batch = data.batch(rows, points=64, cells=cells, summary=not cells, rng=np.random.default_rng(0))
    model.prepare(batch, torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, other = (
            model.conditions(replace(batch.particles, pdg=torch.full((len(rows),), code)))
            for code in (22, 211)
        )
    assert not torch.equal(first, other)
    assert torch.equal(first[:, :1], other[:, :1])


def test_one_model_makes_the_showers_of_both(files: list[Path], tmp_path: Path) -> None:
    stages = ("point_diffusion.steps=5", "shower_flow.steps=300", "shower_flow.batch_size=64")
    config = load_config("caloclouds-2/smoke", [KINDS, *(f"training.{stage}" for stage in stages)])
    simulator = train(config, files, tmp_path / "run", seed=0)
    assert simulator.trained.particles == (22, 211)
    loaded = Simulator.load(tmp_path / "run" / "model")
    assert loaded.trained == simulator.trained
    energy = np.linspace(2e4, 9e4, 60)
    photons, pions = (loaded(Incident.of(energy, pdg=code), seed=1) for code in (22, 211))
    ratio = pions.visible_energy.sum() / photons.visible_energy.sum()
    assert ratio == pytest.approx(0.5, abs=0.15)
    mixed = loaded(Incident.of(energy[:4], pdg=[22, 211, 211, 22]), seed=1)
    for shower, kind in enumerate((photons, pions, pions, photons)):
        expected = kind[shower : shower + 1].visible_energy
        np.testing.assert_allclose(mixed[shower : shower + 1].visible_energy, expected, rtol=1e-4)
    with pytest.raises(DataError, match=r"particles \(e-\) are not those of the training \(gamma, pi\+\)"):
        loaded(Incident.of(energy, pdg=11), seed=1)
    with pytest.raises(DataError, match=r"got e-, expected one of gamma, pi\+"):
        loaded(Incident.of(energy, pdg=11), seed=1, allow_extrapolation=True)


@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        ("caloclouds-2/smoke", [], r"train with model\.conditions\.particles=\[gamma,pi\+\]"),
        ("caloclouds-2/smoke", ["model.conditions.particles=[gamma,e-]"], "expected those of gamma, e-"),
        ("pyramid/smoke", [], "pyramid knows no particles, so give those of one particle"),
    ],
)
def test_particles_that_are_no_conditions_are_refused(
    files: list[Path], tmp_path: Path, preset: str, options: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        train(load_config(preset, options), files, tmp_path / "run", seed=0)


def test_models_say_what_they_can_be_told(siw: Geometry) -> None:
    config = load_config("calopointflow-2/smoke", ["model.conditions.angles=true"])
    with pytest.raises(ConfigError, match="angles, expected particles as conditions beside the energy"):
        build_model(config.model_name, config.model, siw)
