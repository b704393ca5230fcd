from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.beam import Beam
from caloforge.errors import ConfigError
from caloforge.particles import PARTICLES, particle_label, pdg_code

TILTED = Beam((1e3, 1e5), log=True, theta=(0.1, 0.9), pdg=11)


@given(st.integers(0, 2**63), st.integers(0, 10**9), st.integers(1, 20))
def test_a_shower_does_not_depend_on_its_block(seed: int, start: int, size: int) -> None:
    block, last = (
        TILTED.sample(seed, start, start + size),
        TILTED.sample(seed, start + size - 1, start + size),
    )
    for name in ("energy", "theta", "phi", "pdg"):
        assert getattr(block, name)[-1] == getattr(last, name)[0]


def test_values_fill_their_ranges_evenly() -> None:
    drawn = TILTED.sample(1, 0, 20_000)
    n = np.sqrt(12 * 20_000)  # a uniform number has the variance 1 / 12
    for values, low, high in (
        (np.log(drawn.energy), np.log(1e3), np.log(1e5)),
        (drawn.theta, 0.1, 0.9),
        (drawn.phi, 0, 2 * np.pi),
    ):
        unit = (values - low) / (high - low)
        assert 0 <= unit.min() < 1e-3 < 1 - 1e-3 < unit.max() <= 1
        assert abs(unit.mean() - 0.5) < 4 / n
        assert abs(unit.std() - 12**-0.5) < 4 / n
    assert abs(np.corrcoef([drawn.energy, drawn.theta, drawn.phi]) - np.eye(3)).max() < 0.03


def test_seeds_do_not_share_particles() -> None:
    beam = Beam((0.5, 1.5))
    energies = np.concatenate([beam.sample(seed, 0, 100).energy for seed in range(5)])
    assert len(np.unique(energies)) == 500


def test_one_energy_and_direction() -> None:
    drawn = Beam((50.0, 50.0), theta=(0.3, 0.3)).sample(3, 0, 4)
    np.testing.assert_array_equal(drawn.energy, 50.0)
    np.testing.assert_array_equal(drawn.theta, 0.3)
    np.testing.assert_array_equal(drawn.phi, 0.0)


def test_the_azimuth_turns_fully_only_when_theta_has_a_range() -> None:
    assert Beam((1, 2)).azimuths == (0, 0)
    assert Beam((1, 2), theta=(0, 1)).azimuths == (0, 2 * np.pi)
    assert Beam((1, 2), theta=(0, 1), phi=(0.5, 0.5)).azimuths == (0.5, 0.5)


@pytest.mark.parametrize("log", [False, True])
def test_mean_energy(log: bool) -> None:
    beam = Beam((10.0, 1000.0), log=log)
    assert beam.sample(1, 0, 40_000).energy.mean() == pytest.approx(beam.mean_energy, rel=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"energy": (0, 1)}, "energy"),
        ({"energy": (2, 1)}, "energy"),
        ({"energy": (1, np.inf)}, "energy"),
        ({"energy": (1, 1), "theta": (0, 2)}, "theta"),
        ({"energy": (1, 1), "theta": (-1, 0)}, "theta"),
        ({"energy": (1, 1), "phi": (1, 0)}, "phi"),
    ],
)
def test_ranges_that_cannot_be(options: dict[str, tuple[float, float]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Beam(**options)


def test_negative_angles_lean_to_the_other_side_of_a_given_azimuth() -> None:
    beam = Beam(energy=(1.0, 1.0), theta=(-0.5, 0.5), phi=(np.pi / 2, np.pi / 2))
    incident = beam.sample(3, 0, 4000)
    lean = incident.theta * np.sin(incident.phi)  # signed angle towards +y
    assert incident.theta.min() >= 0
    assert np.abs(incident.direction[:, 0]).max() < 1e-12
    assert (lean.min(), lean.max()) == pytest.approx((-0.5, 0.5), abs=2e-3)
    assert lean.mean() == pytest.approx(0, abs=4 * 1 / np.sqrt(12 * 4000))
    assert lean.std() == pytest.approx(1 / np.sqrt(12), rel=0.03)
    with pytest.raises(ConfigError, match="theta"):
        Beam(energy=(1.0, 1.0), theta=(-0.5, 0.5))


def test_particles() -> None:
    assert pdg_code("gamma") == pdg_code("photon") == 22
    assert pdg_code("e-") == -pdg_code("e+") == 11
    with pytest.raises(ConfigError, match="did you mean 'electron'"):
        pdg_code("elektron")
    assert set(PARTICLES.values()) >= {22, 11, -11, 111, 211, -211, 2212}
    labels = {22: "photon", -11: "positron", 111: "π⁰", -211: "π⁻", 13: "muon", 2112: "neutron"}
    assert {code: particle_label(code) for code in labels} == labels
    assert particle_label(130) == "particle 130"
