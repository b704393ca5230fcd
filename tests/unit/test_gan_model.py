"""3DGAN as a whole: its turns, the sum of the terms, what counts, steps and transfer, collapse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.models import build_model
from caloforge.models.base import Batch, CellSet, Particles
from caloforge.models.gan.model import ThreeDGAN
from caloforge.models.noise import StreamNoise
from caloforge.showers import Incident
from caloforge.training import load_config, train
from caloforge.training.takeover import take_over
from caloforge.units import DEGREE, GEV
from toy_training import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.models.gan.generator import Draw
    from caloforge.showers import Showers

SHOWERS = 24


@pytest.fixture(scope="module")
def readout(siw: Geometry) -> Geometry:
    """Ten by ten cells of 15 mm, thirty layers."""
    return siw.coarsen(3)


def batch_of(readout: Geometry, *, lean: float = 0.0) -> Batch:
    rng = np.random.default_rng(1)
    phi = np.full(SHOWERS, np.copysign(np.pi / 2, lean))
    incident = Incident.of(rng.uniform(50, 100, SHOWERS) * GEV, theta=abs(lean) * DEGREE, phi=phi)
    cells = torch.rand(SHOWERS, readout.n_cells, generator=torch.Generator().manual_seed(1)).pow(8) * 5
    return Batch(Particles.of(incident), cells=CellSet.from_dense(cells, 0.1))


def model_of(readout: Geometry, *overrides: str, preset: str = "smoke", seed: int = 1) -> ThreeDGAN:
    config = load_config(f"3dgan/{preset}", overrides)
    model = build_model("3dgan", config.model, readout, seed=seed)
    assert isinstance(model, ThreeDGAN)
    model.prepare(batch_of(readout), torch.Generator())
    return model


def noise(seed: int = 0) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    return lambda _, width: torch.randn(SHOWERS, width, generator=generator)


def loss(model: ThreeDGAN, batch: Batch, turn: str, seed: int = 0) -> dict[str, float]:
    terms = model.loss(batch, turn=turn, rng=torch.Generator().manual_seed(seed))
    return {name: float(value.detach()) for name, value in terms.items()}


def test_the_turns_are_the_paper_s_algorithm(readout: Geometry) -> None:
    """The discriminator on real, then on generated showers of the same particles; the generator twice."""
    (stage,) = model_of(readout).stages()
    told = [(t.name, t.times, t.modules, t.settings, t.fresh, t.active) for t in stage.turns]
    assert told == [
        ("real", 1, ("discriminator",), "discriminator", True, ()),
        ("fake", 1, ("discriminator",), "discriminator", False, ()),
        ("generator", 2, ("generator",), "generator", False, ("discriminator",)),
    ]
    (stage,) = model_of(readout, preset="small").stages()
    assert [(t.name, t.times, t.fresh) for t in stage.turns] == [
        ("discriminator", 1, True),
        ("generator", 1, False),
    ]


def test_losses_are_weighted_as_in_the_paper_s_table(readout: Geometry) -> None:
    model, batch = model_of(readout), batch_of(readout)
    terms = loss(model, batch, "generator")
    weights = {"real": 3.0, "energy": 0.1, "angle": 25.0, "sum": 0.1}
    assert terms["loss"] == pytest.approx(sum(w * terms[k] for k, w in weights.items()), rel=1e-5)
    for turn in ("real", "fake"):
        terms = loss(model, batch, turn)
        expected = 3 * terms[f"{turn}_real"] + 0.1 * terms[f"{turn}_energy"]
        assert terms["loss"] == pytest.approx(expected, rel=1e-5)
        assert len(terms) == 3


class Copying(ThreeDGAN):
    """Generates the real images that it is given, scaled."""

    image: torch.Tensor
    factor = 1.0

    def _generate(self, *_: object) -> torch.Tensor:
        return self.image * self.factor


@pytest.mark.parametrize("matching", ["pairs", "sorted"])
def test_constraints_vanish_for_real_showers_and_measure_what_is_off(
    readout: Geometry, matching: str
) -> None:
    options = [f"model.loss.matching={matching}", "model.mirrored=false", "model.loss.layers=1.0"]
    config = load_config("3dgan/smoke", options).model
    model = Copying.build(config, readout)
    batch = batch_of(readout)
    assert batch.cells is not None
    model.image = model.images.encode(batch.cells.dense(readout.n_cells))
    terms = loss(model, batch, "generator")
    assert terms["angle"] == pytest.approx(0, abs=1e-6)
    assert terms["sum"] == pytest.approx(0, abs=1e-4)
    model.factor = 1.2**0.85
    terms = loss(model, batch, "generator")
    assert terms["sum"] == pytest.approx(20, rel=1e-4)
    assert terms["layers"] == pytest.approx(20, rel=1e-4)
    model.image = model.image.roll(1, 0) if matching == "sorted" else model.image
    model.factor = 1.0
    assert loss(model, batch, "generator")["angle"] == pytest.approx(0, abs=1e-5)


def test_the_penalty_is_that_of_real_images_alone(readout: Geometry) -> None:
    model = model_of(readout, "model.loss.gradient_penalty=2.0")
    terms = loss(model, batch_of(readout), "real")
    assert terms["penalty"] > 0
    expected = 3 * terms["real_real"] + 0.1 * terms["real_energy"] + 2 * terms["penalty"]
    assert terms["loss"] == pytest.approx(expected, rel=1e-5)
    assert "penalty" not in loss(model, batch_of(readout), "fake")


def test_the_discriminator_s_turns_leave_the_generator_alone(readout: Geometry) -> None:
    model, batch = model_of(readout, preset="small"), batch_of(readout)
    model.loss(batch, turn="discriminator", rng=torch.Generator().manual_seed(0))["loss"].backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())


def test_drawn_hits_have_a_least_energy(readout: Geometry) -> None:
    """The larger one of the option and the read-out's threshold of 0.1 MeV, in units of 20 MeV."""
    for least, expected in ((0.3, 0.3), (0.05, 0.1)):
        model = model_of(readout, "model.generator.hits=true", f"model.generator.least={least}")
        batch = batch_of(readout)
        image = model._generate(batch.energy, model._real(batch).conditions, None, noise())
        found = image[image > 0].min().item() ** (1 / 0.85) * 20
        assert expected <= found * (1 + 1e-4) < 3 * expected


def test_a_soft_channel_shows_hits(readout: Geometry) -> None:
    model = model_of(readout, "model.discriminator.soft=0.1", "model.discriminator.conditional=true")
    image = torch.tensor([0.0, 0.1, 9.9]).reshape(1, 1, 3, 1, 1)
    seen = model._seen(image, torch.tensor([25 * GEV]))
    assert seen[0, 0].flatten().tolist() == pytest.approx([0, 0.1 / 0.25**0.85, 9.9 / 0.25**0.85])
    assert seen[0, 1].flatten().tolist() == pytest.approx([0, np.log(2), np.log(100)], rel=1e-5)
    assert all(
        np.isfinite(v)
        for turn in ("real", "generator")
        for v in loss(model, batch_of(readout), turn).values()
    )


def test_rescaled_showers_have_the_sums_that_are_drawn(readout: Geometry) -> None:
    """At first those are the mean of the data, whatever the image; the noise of the sums changes them."""
    model, batch = model_of(readout, "model.generator.rescaled=true"), batch_of(readout)
    assert batch.cells is not None
    (stage,) = model.stages()
    assert stage.turns[-1].modules == ("generator", "sums")
    assert model.sums is not None
    share = batch.cells.dense(readout.n_cells).sum(1) / batch.energy
    image = model._generate(batch.energy, model._real(batch).conditions, None, noise())
    made = model.images.energies(image).sum((1, 2, 3)) / model.images.scale / batch.energy
    assert made.tolist() == pytest.approx([share.mean().item()] * SHOWERS, rel=0.3)
    assert made.std() > 0
    with torch.no_grad():
        for parameter in model.sums.parameters():
            parameter.zero_()
    image = model._generate(batch.energy, model._real(batch).conditions, None, noise())
    made = model.images.energies(image).sum((1, 2, 3)) / model.images.scale / batch.energy
    assert made.tolist() == pytest.approx([share.mean().item()] * SHOWERS, rel=1e-4)


def test_showers_have_the_rings_that_are_drawn(readout: Geometry) -> None:
    """Those of the real showers in training; drawn ones of the particles when showers are made."""
    model = model_of(readout, "model.totals={rings: [4, 12], leaves: 4, donors: 24, leaf: 5}", preset="small")
    assert model.totals is not None
    batch = batch_of(readout, lean=20.0)
    real = model._real(batch)
    energy, conditions, groups = model._like(real)
    image = model._generate(energy, conditions, groups, noise())
    made = model.totals.of_cells(model.images.energies(image), conditions[:, 1])
    assert groups is not None
    assert torch.equal(made.counts, groups.counts)
    torch.testing.assert_close(made.excess, groups.excess, rtol=1e-3, atol=1e-3)
    drawn = model._drawn_groups(batch.particles, StreamNoise(1, np.arange(SHOWERS)))
    assert drawn is not None
    cells = model.sample(batch.particles, StreamNoise(1, np.arange(SHOWERS)))
    assert cells.counts.tolist() == drawn.counts.sum((1, 2)).tolist()
    expected = (drawn.excess + model.totals.least * drawn.counts).sum((1, 2)) / model.totals.scale
    visible = torch.zeros(SHOWERS).index_add(0, cells.index, cells.energy)
    torch.testing.assert_close(visible, expected, rtol=1e-3, atol=0.0)


def test_rings_are_those_of_the_particles_at_hand(readout: Geometry) -> None:
    """Weights of other particles bring their rings along, which are fitted anew."""
    totals = "model.totals={rings: [4, 12], leaves: 4, donors: 24, leaf: 5}"
    model = model_of(readout, totals, preset="small")
    before = model.totals.totals.root.residual.clone()  # type: ignore[union-attr]
    model.prepare(batch_of(readout, lean=20.0), torch.Generator())
    assert not torch.equal(before, model.totals.totals.root.residual)  # type: ignore[union-attr]


def test_showers_with_a_small_sum_do_not_count(readout: Geometry) -> None:
    """Sums are about 1.7 GeV, 83 in the image's units."""
    batch = batch_of(readout)
    for lowest, counted in ((10.0, True), (1000.0, False)):
        terms = loss(model_of(readout, f"model.lowest_sum={lowest}"), batch, "generator")
        assert (terms["loss"] > 0) == counted


def test_conditions_are_the_polar_angle_of_the_paper(readout: Geometry) -> None:
    for lean in (-20.0, 20.0):
        real = model_of(readout)._real(batch_of(readout, lean=lean))
        assert real.conditions[:, 1].tolist() == pytest.approx([(90 - lean) * DEGREE] * SHOWERS, abs=1e-6)


def test_steps_own_the_networks_once_and_start_from_the_one_before(readout: Geometry) -> None:
    narrow, full = model_of(readout, "model.steps=[narrow,full]").stages()
    assert (narrow.modules, full.modules) == (("generator", "discriminator"), ())
    assert full.needs == ("narrow",)
    assert full.trained == narrow.trained == ("discriminator", "generator")
    assert full.replaces == ("generator", "discriminator")


@pytest.mark.parametrize(
    ("there", "fine_tune", "kept"), [("narrow", [], "narrow"), ("narrow,full", ["full"], "narrow")]
)
def test_other_energies_and_particles_start_from_trained_weights(
    readout: Geometry, there: str, fine_tune: list[str], kept: str
) -> None:
    """As in the paper: electrons of 100 to 200 GeV are the start of all energies and of other particles."""
    source = model_of(readout, f"model.steps=[{there}]", seed=1)
    model = model_of(readout, "model.steps=[narrow,full]", seed=2)
    assert take_over(model, source, fine_tune=fine_tune) == (kept,)
    for key, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_collapse_is_told(readout: Geometry) -> None:
    batch = batch_of(readout)
    config = load_config("3dgan/smoke").model
    model = Copying.build(config, readout)
    assert batch.cells is not None
    real = model.images.encode(batch.cells.dense(readout.n_cells))
    found = {}
    for name, image in (("real", real.roll(1, 0)), ("empty", 0 * real), ("equal", real[:1].expand_as(real))):
        model.image = image
        found[name] = model.health(batch, stage="full", rng=torch.Generator())
    assert found["real"] == ""
    assert found["empty"] == "100% of the showers are empty"
    assert found["equal"].startswith("showers differ by")


def test_two_steps_train_in_their_energies_and_another_particle_goes_on_from_them(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path: Path
) -> None:
    path = write(tmp_path / "toy.h5", make_toy_showers(120), siw)
    short = {"steps": 2, "batch_size": 8, "validate_every": 2, "validation_batches": 1}
    options = [
        f"training.{step}.{key}={value}" for step in ("narrow", "full") for key, value in short.items()
    ]
    changes = ["model.steps=[narrow,full]", "training.narrow.energy_range=[40,70]", *options]
    changes += ["log_steps=1", "checkpoint_steps=2"]
    config = load_config("3dgan/smoke", changes)
    first = train(config, [path], tmp_path / "first")
    assert {step: "validation_merit" in told for step, told in first.card["stages"].items()} == {
        "narrow": True,
        "full": True,
    }
    source = tmp_path / "first"
    tuned = train(config, [path], tmp_path / "second", init_from=source, fine_tune=["full"], seed=5)
    assert tuned.card["stages"]["narrow"] == first.card["stages"]["narrow"]
    start, end = (s.model.state_dict()["generator.start.weight"] for s in (first, tuned))
    assert 0 < (end - start).abs().max().item() < 0.02  # two steps of RMSprop away
