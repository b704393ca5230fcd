"""BIB-AE as a whole: stages and turns, terms and weights, the second critic, leaning showers."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.errors import DataError
from caloforge.formats import open_showers
from caloforge.formats.convert import Changes, convert_file
from caloforge.geometry import load_geometry, place, project
from caloforge.models import build_model
from caloforge.models.base import Batch, CellSet, Particles
from caloforge.models.bibae.angles import BIBAEAngles
from caloforge.models.bibae.model import BIBAE
from caloforge.models.noise import StreamNoise
from caloforge.showers import Incident
from caloforge.training import RunDirectory, load_config, train
from caloforge.training.renewal import start_anew
from caloforge.units import DEGREE, GEV
from toy_training import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

SHOWERS = 12


@pytest.fixture(scope="module")
def readout(siw: Geometry) -> Geometry:
    """Six by six cells of 25 mm, thirty layers."""
    return siw.coarsen(5)


def incident(*, theta: float = 30.0, phi: float = 90.0) -> Incident:
    energy = np.linspace(50, 100, SHOWERS) * GEV
    return Incident.of(energy, theta=theta * DEGREE, phi=np.full(SHOWERS, phi * DEGREE))


def batch_of(readout: Geometry, particles: Incident | None = None) -> Batch:
    cells = torch.rand(SHOWERS, readout.n_cells, generator=torch.Generator().manual_seed(1)).pow(8) * 5
    return Batch(Particles.of(particles or incident()), cells=CellSet.from_dense(cells, 0.1))


def model_of(readout: Geometry, *overrides: str, name: str = "bibae-angles") -> BIBAE:
    config = load_config(f"{name}/smoke", overrides)
    model = build_model(name, config.model, readout, seed=1)
    assert isinstance(model, BIBAE)
    model.prepare(batch_of(readout), torch.Generator())
    return model.eval()


def loss(model: BIBAE, readout: Geometry, turn: str, seed: int = 0) -> dict[str, float]:
    terms = model.loss(batch_of(readout), turn=turn, rng=torch.Generator().manual_seed(seed))
    return {name: float(value.detach()) for name, value in terms.items()}


def test_stages_and_turns_are_the_papers() -> None:
    """Five steps of every critic on one batch, then the autoencoder; what comes later needs it."""
    model = load_config("bibae-angles/paper")
    with torch.device("meta"):
        turns = BIBAE._turns(  # zuko's flow cannot be made there
            type("Turned", (), {"config": model.model})(), ("critic", "second_critic"), ("encoder", "decoder")
        )
    assert [(t.name, t.times, t.modules, t.fresh, t.anew) for t in turns] == [
        ("critic", 5, ("critic",), False, 0),
        ("second_critic", 5, ("second_critic",), False, 1953),
        ("autoencoder", 1, ("encoder", "decoder"), False, 0),
    ]


def test_stages_of_a_model_without_extras(readout: Geometry) -> None:
    names = [stage.name for stage in model_of(readout).stages()]
    assert names == ["autoencoder", "post_processor", "density"]
    plain = ("model.post=null", "model.density=null", "model.rescaled=none", "model.second_critic=0")
    plain += ("model.decoder.cells.neighbours=false",)
    (stage,) = model_of(readout, *plain).stages()
    assert [turn.name for turn in stage.turns] == ["critic", "latent_critic", "autoencoder"]


def test_every_term_counts_with_its_weight(readout: Geometry) -> None:
    weights = {"critic": 2.0, "latent_critic": 3.0, "divergence": 0.5, "latent_mmd": 7.0, "likelihood": 0.1}
    model = model_of(readout, *(f"model.loss.{name}={weight}" for name, weight in weights.items()))
    terms = loss(model, readout, "autoencoder")
    assert terms.keys() == {"loss", "second_critic", *weights}
    expected = sum(w * terms[name] for name, w in weights.items()) + 2.0 * terms["second_critic"]
    assert terms["loss"] == pytest.approx(expected, rel=1e-5)
    for turn in ("critic", "second_critic", "latent_critic"):
        terms = loss(model, readout, turn)
        assert terms["loss"] == pytest.approx(terms["fake"] - terms["real"] + 10 * terms["penalty"], rel=1e-4)


def test_the_likelihood_knows_real_showers_from_others(readout: Geometry) -> None:
    """More hits than there are, and it is less likely: here of a model that says that hits are rare."""
    model = model_of(readout)
    sparse = batch_of(readout)
    assert sparse.cells is not None
    dense = replace(sparse, cells=CellSet.from_dense(sparse.cells.dense(readout.n_cells) + 0.2, 0.1))
    found = [
        model.loss(b, turn="autoencoder", rng=torch.Generator().manual_seed(0))["likelihood"]
        for b in (sparse, dense)
    ]
    assert found[0] < found[1]


def test_a_second_critic_starts_anew(readout: Geometry) -> None:
    model = model_of(readout)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    start_anew(model, ["second_critic"], seed=5)
    assert torch.equal(state, torch.get_rng_state())
    changed = {n.split(".")[0] for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"second_critic"}
    first = model.second_critic.value.weight.clone()  # type: ignore[union-attr]
    start_anew(model, ["second_critic"], seed=6)
    assert not torch.equal(first, model.second_critic.value.weight)  # type: ignore[union-attr]
    start_anew(model, ["second_critic"], seed=5)
    assert torch.equal(first, model.second_critic.value.weight)  # type: ignore[union-attr]


def test_showers_have_the_visible_energy_that_is_drawn(readout: Geometry) -> None:
    model = model_of(readout)
    particles, noise = Particles.of(incident()), StreamNoise(1, np.arange(SHOWERS))
    with torch.no_grad():
        cells = model.sample(particles, noise)
        visible, _ = model._drawn(particles, model._conditions(particles), _Named(noise))
    made = torch.zeros(SHOWERS).index_add(0, cells.index, cells.energy)
    floor = 0.1 * cells.counts
    torch.testing.assert_close(made.double(), torch.maximum(visible, floor.double()), rtol=1e-3, atol=1e-3)


def test_parts_can_be_left_out_of_a_trained_model(readout: Geometry) -> None:
    particles = Particles.of(incident())
    made = {}
    for part in ("", "latent", "post", "rescaled"):
        model = model_of(readout, *([f"model.sampler.{part}=false"] if part else []))
        with torch.no_grad():
            made[part] = model.sample(particles, StreamNoise(1, np.arange(SHOWERS)))
    sums = {part: cells.energy.sum() for part, cells in made.items()}
    assert not torch.equal(made["latent"].cell, made[""].cell)
    # the others have the same hits, before what falls below the threshold
    assert not torch.equal(made["post"].energy, made[""].energy)
    torch.testing.assert_close(sums["post"], sums[""], rtol=0.05, atol=0.0)
    assert abs(sums["rescaled"] / sums[""] - 1) > 0.01


class _Named:
    """Numbers of the streams, as a sampler asks for them."""

    def __init__(self, noise: StreamNoise) -> None:
        self._noise = noise

    def normal(self, name: str, width: int) -> torch.Tensor:
        return self._noise.normal(name, 1, width)

    def uniform(self, name: str, width: int) -> torch.Tensor:
        return self._noise.uniform(name, 1, width)


def test_only_showers_that_lean_to_one_side_are_made(readout: Geometry) -> None:
    model = model_of(readout)
    for phi in (0.0, -90.0):
        particles = Particles.of(incident(phi=phi))
        with pytest.raises(DataError, match="--azimuth 90") as caught:
            model.sample(particles, StreamNoise(1, np.arange(SHOWERS)))
        assert len(str(caught.value).splitlines()) == 1
        with pytest.raises(DataError, match=r"12 of 12 particles"):
            model.prepare(batch_of(readout, incident(phi=phi)), torch.Generator())
    model.sample(Particles.of(incident(theta=0.0, phi=17.0)), StreamNoise(1, np.arange(SHOWERS)))


def test_conditions_are_the_energy_and_the_polar_angle(readout: Geometry) -> None:
    model = model_of(readout)
    assert isinstance(model, BIBAEAngles)
    conditions = model._conditions(Particles.of(incident(theta=40.0)))
    torch.testing.assert_close(conditions[:, 0], torch.linspace(0.5, 1, SHOWERS))
    torch.testing.assert_close(conditions[:, 1], torch.full((SHOWERS,), 50 * DEGREE))
    flow = model._flow_conditions(conditions)
    torch.testing.assert_close(flow[:, 1], torch.full((SHOWERS,), 50 / 90))


def test_mirrors_are_in_x_alone(readout: Geometry) -> None:
    model = model_of(readout)
    image = model._real(batch_of(readout)).image
    mirrored = model._real(batch_of(readout), torch.Generator().manual_seed(0)).image
    same, turned = ((mirrored == other).flatten(1).all(1) for other in (image, image.flip(2)))
    assert bool((same ^ turned).all())
    assert 0 < int(turned.sum()) < SHOWERS


def test_steps_of_the_post_processor_are_counted(siw: Geometry) -> None:
    model = model_of(siw, name="bibae")
    assert model.config.post is not None
    early = loss(model, siw, "post_processor")
    assert early["loss"] == pytest.approx(early["squared"])
    for _ in range(model.config.post.start):
        model.after_step("post_processor")
    late = loss(model, siw, "post_processor")
    assert late["loss"] == pytest.approx(late["squared"] + 5 * late["kernel_200"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "readout"), [("bibae", "ild-30x30x30"), ("bibae-angles", "ild-30x60x30")])
def test_the_published_models_take_a_step_and_make_showers(name: str, readout: str) -> None:
    geometry = load_geometry(readout)
    config = load_config(f"{name}/paper").model
    model = build_model(name, config, geometry, seed=1)
    particles = incident(theta=30.0 if name == "bibae-angles" else 0.0)[:2]
    cells = torch.rand(2, geometry.n_cells, generator=torch.Generator().manual_seed(1)).pow(16)
    batch = Batch(Particles.of(particles), cells=CellSet.from_dense(cells, 0.1))
    model.prepare(batch, torch.Generator())
    for turn in (turn for stage in model.stages() for turn in stage.turns):
        terms = model.loss(batch, turn=turn.name, rng=torch.Generator().manual_seed(0))
        terms["loss"].backward()
        assert all(bool(value.isfinite()) for value in terms.values()), turn.name
    with torch.no_grad():
        made = model.sample(Particles.of(particles), StreamNoise(1, np.arange(2)))
    assert len(made.counts) == 2
    assert bool(made.energy.isfinite().all())


# leaning showers


def leaning(showers: Showers) -> Showers:
    """The toy showers, leaning by 40 degrees in a direction of their own each."""
    phi = np.linspace(0, 5, len(showers))
    lean = np.tan(40 * DEGREE) * showers.points[:, 2]
    points = showers.points.copy()
    points[:, 0] += np.cos(phi)[showers.shower] * lean
    points[:, 1] += np.sin(phi)[showers.shower] * lean
    particles = Incident.of(showers.incident.energy, theta=40 * DEGREE, phi=phi)
    return replace(showers, points=points, incident=particles)


def test_every_shower_is_turned_to_one_azimuth(toy_showers: Showers) -> None:
    turned = place(leaning(toy_showers), azimuth=np.pi / 2)
    np.testing.assert_allclose(turned.incident.phi, np.pi / 2)
    np.testing.assert_allclose(turned.incident.direction[:, 0], 0, atol=1e-12)
    weight = np.bincount(turned.shower, turned.energy, len(turned))
    x, y, z = (
        np.bincount(turned.shower, turned.energy * column, len(turned))[weight > 0] / weight[weight > 0]
        for column in turned.points.T
    )
    np.testing.assert_allclose(y, np.tan(40 * DEGREE) * z, atol=3)
    np.testing.assert_allclose(x, 0, atol=3)
    assert turned.meta.pitch == 0.0


def test_leaning_showers_are_converted(toy_showers: Showers, siw: Geometry, tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", leaning(toy_showers), siw)
    geometry = load_geometry("siw-ecal-24x36x30")
    changes = Changes(geometry=geometry, azimuth=np.pi / 2, project=True)
    convert_file(source, tmp_path / "b.h5", name="native", changes=changes)
    with open_showers(tmp_path / "b.h5") as reader:
        found = reader.read(0, len(reader))
    expected = project(place(leaning(toy_showers), azimuth=np.pi / 2), geometry)
    np.testing.assert_array_equal(found.cells, expected.cells)
    np.testing.assert_allclose(found.incident.phi, np.pi / 2)


def stop(name: str, done: int, total: int, loss: float, *, step: int) -> None:
    if (name, done) == ("autoencoder", step):
        os.kill(os.getpid(), signal.SIGINT)


def test_training_on_leaning_showers(make_toy_showers: Callable[..., Showers], tmp_path: Path) -> None:
    """All stages; every term has its own line in the log; interrupted when the second critic starts anew and
    in the middle of its epoch of four cycles, the weights are the same."""
    geometry = load_geometry("siw-ecal-24x36x30").coarsen(2)
    showers = project(place(leaning(make_toy_showers(60)), azimuth=np.pi / 2), geometry)
    data = write(tmp_path / "lean.h5", showers, geometry)
    config = load_config("bibae-angles/smoke")
    simulator = train(config, [data], tmp_path / "run", seed=1)
    for step in (4, 6):
        with pytest.raises(KeyboardInterrupt):
            train(config, [data], tmp_path / "again", seed=1, on_progress=partial(stop, step=step))
        state = RunDirectory(tmp_path / "again").stage("autoencoder").load_state()
        assert state is not None
        assert state["loop"]["step"] == step
    again = train(config, [data], tmp_path / "again", seed=1)
    for name, value in simulator.networks.state_dict().items():
        assert torch.equal(value, again.networks.state_dict()[name]), name
    lines = [
        json.loads(line)
        for line in (tmp_path / "run" / "stages" / "autoencoder" / "log.jsonl").read_text().splitlines()
    ]
    logged = set().union(*lines)
    for term in ("critic", "second_critic", "latent_critic", "divergence", "latent_mmd", "likelihood"):
        assert f"autoencoder.{term}" in logged
    for critic in ("critic", "second_critic", "latent_critic"):
        assert {f"{critic}.{term}" for term in ("real", "fake", "penalty")} <= logged
    made = simulator(incident(), seed=3)
    assert len(made) == SHOWERS
