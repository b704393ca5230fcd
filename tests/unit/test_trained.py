"""Outside of the trained range: what is near, far, absurd, and what a shower may have at most."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from caloforge.errors import DataError
from caloforge.models.base import Cloud, GenerativeModel, ModelConfig
from caloforge.models.bounds import Bounds
from caloforge.preprocessing import Conditions
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.simulator import Simulator, TrainedRange
from caloforge.trained.range import absurd, refuse_absurd
from caloforge.units import DEGREE
from toy_training import particles_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise, Particles

RANGE = TrainedRange(energy=(1e4, 1e5), theta=10 * DEGREE, particles=(22,))
FRACTION = 0.02


class Toy(GenerativeModel):
    """Ten points in one cell of a layer each, together a share of the energy that is told."""

    name = "toy"

    def __init__(self, geometry: Geometry, fraction: Callable[[Tensor], Tensor]) -> None:
        super().__init__(ModelConfig(), geometry)
        self.fraction = fraction
        self.batches: list[int] = []

    def sample(self, particles: Particles, noise: Noise) -> Cloud:  # noqa: ARG002
        energy = particles.energy
        self.batches.append(len(energy))
        points = torch.zeros(10 * len(energy), 4)
        points[:, 2] = torch.arange(10).repeat(len(energy))
        points[:, 3] = (energy * self.fraction(energy) / 10).repeat_interleave(10)
        return Cloud(torch.full((len(energy),), 10), points)

    def stages(self) -> Any:
        raise NotImplementedError

    prepare = loss = stages


def toy(geometry: Geometry, fraction: Callable[[Tensor], Tensor]) -> Simulator:
    return Simulator(Toy(geometry, fraction), RANGE)


def made(fractions: Sequence[float], *, energy: float = 1e6, sampling_fraction: float = 1.0) -> Showers:
    """Read-out cells: one hit each, none for a fraction of 0."""
    visible = energy * np.asarray(fractions)
    return Showers(
        incident=Incident.of(np.full(len(visible), energy)),
        offsets=np.concatenate([[0], np.cumsum(visible > 0)]),
        energy=visible[visible > 0],
        cells=np.zeros(int((visible > 0).sum()), dtype=np.int32),
        meta=ShowerMeta(sampling_fraction=sampling_fraction),
    )


@pytest.mark.parametrize(
    ("particle", "far"),
    [
        ({"energy": 1e4}, False),
        ({"energy": 5.01e3}, False),
        ({"energy": 4.99e3}, True),
        ({"energy": 1.99e5}, False),
        ({"energy": 2.01e5}, True),
        ({"energy": 5e4, "theta": 14.9 * DEGREE}, False),
        ({"energy": 5e4, "theta": 15.1 * DEGREE}, True),
        ({"energy": 5e4, "pdg": 11}, True),
    ],
)
def test_far_is_twice_the_energies_five_degrees_or_another_particle(
    particle: dict[str, float], far: bool
) -> None:
    assert RANGE.is_far(Incident.of(**particle)).tolist() == [far]


@pytest.mark.parametrize(
    "particle", [{"energy": 1e7}, {"energy": 5e4, "theta": 1.5}, {"energy": 5e4, "pdg": 11}]
)
def test_what_is_far_outside_is_an_error_unless_it_is_allowed(
    siw: Geometry, caplog: pytest.LogCaptureFixture, particle: dict[str, float]
) -> None:
    simulator, incident = toy(siw, lambda energy: 0 * energy + FRACTION), Incident.of(**particle)
    with pytest.raises(DataError, match="--allow-extrapolation"):
        simulator(incident, seed=1)
    with pytest.raises(DataError, match="--strict"):
        simulator(incident, seed=1, strict=True, allow_extrapolation=True)
    with caplog.at_level(logging.WARNING):
        assert len(simulator(incident, seed=1, allow_extrapolation=True)) == 1
    consequence = "those of another particle (gamma)" if "pdg" in particle else "extrapolated"
    assert f"the showers are {consequence}." in caplog.text


def test_models_of_cells_say_that_they_know_no_angles(
    siw: Geometry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "trains_on", "cells")
    with caplog.at_level(logging.WARNING):
        toy(siw, lambda energy: 0 * energy + FRACTION)(Incident.of(5e4, theta=0.2), seed=1)
    assert "those of perpendicular particles, as the model knows no angles" in caplog.text


def test_a_model_may_know_several_particles() -> None:
    known = TrainedRange(energy=(1e4, 1e5), theta=0.1, particles=(211, 11, 22, 11))
    assert known.particles == (11, 22, 211)
    incident = Incident.of([2e4, 9e4, 2e4], pdg=[22, -11, 211])
    assert known.is_far(incident).tolist() == [False, True, False]
    complaint = "particles (e+, gamma, pi+) are not those of the training (e-, gamma, pi+)"
    assert known.complaint(incident) == complaint
    assert known.complaint(incident[::2]) == ""
    near = known.nearest(incident)
    assert (near.energy.tolist(), near.pdg.tolist()) == ([1e4, 1e5, 1e4], [22, 11, 211])


def test_the_usual_fraction_is_that_of_the_particle(siw: Geometry) -> None:
    """A kind that makes a fifth of the light is not absurd for it."""

    class Two(Toy):
        def sample(self, particles: Particles, noise: Noise) -> Cloud:
            cloud = super().sample(particles, noise)
            cloud.points[:, 3] *= torch.where(particles.pdg == 211, 0.2, 1.0).repeat_interleave(10)
            return cloud

    both = TrainedRange(energy=(1e4, 1e5), theta=0.1, particles=(22, 211))
    simulator = Simulator(Two(siw, lambda energy: 0 * energy + FRACTION), both)
    incident = Incident.of(np.full(20, 1e6), pdg=[22, 211] * 10)
    assert len(simulator(incident, seed=1, allow_extrapolation=True)) == 20
    assert simulator._usual == {
        (1e5, 22): pytest.approx(FRACTION),
        (1e5, 211): pytest.approx(0.2 * FRACTION),
    }


def test_what_is_near_is_a_warning(siw: Geometry, caplog: pytest.LogCaptureFixture) -> None:
    simulator = toy(siw, lambda energy: 0 * energy)
    with caplog.at_level(logging.WARNING):
        assert simulator(Incident.of([6e3, 1.9e5]), seed=1).n_hits.tolist() == [0, 0]  # the model's own
    assert "leave the trained range" in caplog.text


@pytest.mark.parametrize(
    ("fraction", "usual", "sampling", "wrong"),
    [
        (0.02, 0.02, 1.0, False),
        (0.0067, 0.02, 1.0, False),
        (0.0066, 0.02, 1.0, True),
        (0.0599, 0.02, 1.0, False),
        (0.0601, 0.02, 1.0, True),
        (0.0, 0.02, 1.0, True),
        (1.01, 0.5, 1.0, True),  # not three times the usual one, but more than there is
        (0.99, 0.5, 1.0, False),
        (1.2, 1.0, 1.0, False),  # deposits of others are scaled without a word
        (19.0, 8.0, 0.05, False),
        (21.0, 8.0, 0.05, True),  # the sampling fraction allows twenty times
    ],
)
def test_absurd_showers_are_told_by_their_visible_fraction(
    fraction: float, usual: float, sampling: float, wrong: bool
) -> None:
    found = absurd(made([fraction], sampling_fraction=sampling), np.array([usual]))
    assert found.tolist() == [wrong]


def test_more_than_one_in_ten_is_refused_by_name() -> None:
    usual = np.full(20, FRACTION)
    refuse_absurd("toy", made([FRACTION] * 18 + [0.0, 0.001]), usual, RANGE)
    message = (
        r"toy: got 3 of 20 showers of 1000 to 1000 GeV that cannot be right \(1 empty, visible 0 to 0\.2 of "
        r"the energy\), expected about 0\.02 as in the trained range, 10 to 100 GeV; "
        r"stay inside of it or near it\."
    )
    with pytest.raises(DataError, match=message) as caught:
        refuse_absurd("toy", made([FRACTION] * 17 + [0.0, 0.001, 0.2]), usual, RANGE)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("fraction", "energy", "message"),
    [
        (lambda e: torch.where(e > 2e5, 0.1 * FRACTION, FRACTION), 1e7, "4 of 4 showers of 1e\\+04"),
        (lambda e: torch.where(e > 2e5, 10 * FRACTION, FRACTION), 1e6, "visible 0.2 to 0.2 of the energy"),
        (
            lambda e: torch.where(e < 5e3, 0.0, FRACTION),
            1.0,
            "4 empty.*expected hits as in the trained range",
        ),
    ],
)
def test_absurd_showers_are_refused_even_when_extrapolation_is_allowed(
    siw: Geometry, fraction: Callable[[Tensor], Tensor], energy: float, message: str
) -> None:
    incident = Incident.of(np.full(4, energy))
    with pytest.raises(
        DataError, match=message.replace("4 of 4", r"\d of \d").replace("4 empty", r"\d empty")
    ):
        toy(siw, fraction)(incident, seed=1, allow_extrapolation=True)


def test_showers_that_leave_the_read_out_sideways_are_refused(siw: Geometry) -> None:
    class Leaning(Toy):
        def sample(self, particles: Particles, noise: Noise) -> Cloud:
            cloud = super().sample(particles, noise)
            cloud.points[:, 0] = 1e4 * particles.direction[0, 0]
            return cloud

    simulator = Simulator(Leaning(siw, lambda energy: 0 * energy + FRACTION), RANGE)
    with pytest.raises(DataError, match="1 empty"):
        simulator(Incident.of(5e4, theta=89 * DEGREE), seed=1, allow_extrapolation=True)


def test_a_shower_of_many_times_the_energy_takes_the_place_of_many(siw: Geometry) -> None:
    simulator = toy(siw, lambda energy: 0 * energy + FRACTION)
    model = simulator.model
    assert isinstance(model, Toy)
    simulator.sample(Incident.of(np.full(25, 1.9e5)), seed=1, batch_size=10)
    assert model.batches == [10, 10, 5]  # in and near the range as ever
    simulator._usual = {(1e5, 22): FRACTION}
    model.batches.clear()
    simulator.sample(Incident.of([1e6, 1e6, 1e6, 1e7, 5e4, 5e4]), seed=1, batch_size=10)
    assert model.batches == [2, 1, 1, 2]  # of five, of fifty, of one each


class TestBounds:
    """Energies 50 GeV (inside), 200 GeV (near) and 10 TeV (far), trained from 10 to 100 GeV."""

    def bounds(self, *energies: float) -> Bounds:
        conditions = Conditions()
        conditions.fit(particles_of(torch.tensor([1e4, 1e5], dtype=torch.float64)))
        return Bounds.of("toy", torch.tensor(energies, dtype=torch.float64), conditions)

    def test_nothing_changes_below_the_bounds(self) -> None:
        bounds = self.bounds(5e4, 2e5, 1e7)
        counts = torch.tensor([300, 600, 1000])
        assert bounds.points(counts, 100) is counts
        energies = torch.rand(3, 30)
        assert bounds.visible(energies, sampling_fraction=0.1) is energies

    def test_odd_showers_are_cut_with_a_word(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            found = self.bounds(5e4, 2e5, 5e4).points(torch.tensor([301, 601, 7]), 100)
        assert found.tolist() == [300, 600, 7]
        assert "toy: 2 of 3 showers of 50 to 200 GeV wanted more than 300 points and were cut" in caplog.text

    def test_layers_are_cut_in_proportion(self) -> None:
        rows = torch.tensor([[100.0, 300.0, 0.0], [1.0, 2.0, 3.0]])
        found = self.bounds(5e4, 5e4).points(rows, 100)
        torch.testing.assert_close(found[0], torch.tensor([75.0, 225.0, 0.0]))
        assert torch.equal(found[1], rows[1])

    def test_what_is_no_number_becomes_the_smallest(self) -> None:
        found = self.bounds(5e4, 5e4).points(torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0]]), 100)
        torch.testing.assert_close(found, torch.full((2, 2), 0.5))
        whole = self.bounds(5e4).points(torch.tensor([torch.iinfo(torch.int64).min]), 100)
        assert whole.tolist() == [1]

    def test_the_bound_ends_at_ten_times_the_largest(self) -> None:
        with pytest.raises(
            DataError, match=r"toy: got 1 of 2 showers of 1e\+04 to 1e\+04 GeV that want more"
        ):
            self.bounds(5e4, 1e7).points(torch.tensor([5, 1001]), 100)

    def test_energies_end_at_ten_times_the_incident_one(self) -> None:
        found = self.bounds(5e4).visible(torch.tensor([6e6]), sampling_fraction=0.1)
        assert found.item() == pytest.approx(5e6)
        with pytest.raises(DataError, match="at most 1e\\+08 MeV"):
            self.bounds(1e7).visible(torch.tensor([1.1e8]), sampling_fraction=1.0)
