"""Events of several particles, from arrays and from tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import DataError, FormatError
from caloforge.events import Events
from caloforge.formats.event_list import read_events
from caloforge.particles import MIXED, particle_name
from caloforge.showers import Incident

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """event, particle, energy, theta, phi, x, y
4, gamma, 20, 0, 0, 1.5, -2
4, pi-, 10, 30, 90, 0, 0
9, e-, 5, 60, 180, 0, 3
"""


def table(folder: Path, text: str) -> Path:
    path = folder / "events.csv"
    path.write_text(text)
    return path


def test_a_table_is_read_in_gev_degrees_and_mm(tmp_path: Path) -> None:
    events = read_events(table(tmp_path, TABLE))
    assert events.offsets.tolist() == [0, 2, 3]
    np.testing.assert_allclose(events.particles.energy, [20e3, 10e3, 5e3])
    np.testing.assert_allclose(events.particles.theta, [0, math.pi / 6, math.pi / 3])
    np.testing.assert_allclose(events.particles.phi, [0, math.pi / 2, math.pi])
    assert events.particles.pdg.tolist() == [22, -211, 11]
    assert events.impact.tolist() == [[1.5, -2], [0, 0], [0, 3]]


def test_columns_may_be_left_out_and_stand_in_any_order(tmp_path: Path) -> None:
    events = read_events(table(tmp_path, "energy,event,particle\n1,0,22\n2,1,-11\n"))
    assert events.particles.pdg.tolist() == [22, -11]
    assert not events.impact.any()
    assert len(events) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no events"),
        ("event,particle,energy\n", "no events"),
        ("event,particle\n1,gamma\n", "columns of .*expected event, particle, energy and perhaps"),
        ("event,particle,energy,mass\n1,gamma,1,1\n", "columns of"),
        ("event,particle,energy,energy\n1,gamma,1,1\n", "columns of"),
        ("event,particle,energy\n1,gamma\n", "line 2 of .*got 2 values, expected 3"),
        ("event,particle,energy\n1,quark,1\n", "Unknown particle 'quark'"),
        ("event,particle,energy\n1,gamma,much\n", "energy in .*got 'much', expected a finite number"),
        ("event,particle,energy\n1,gamma,inf\n", "got 'inf'"),
        ("event,particle,energy\n1,gamma,-1\n", "finite and positive"),
        ("event,particle,energy,theta\n1,gamma,1,90\n", "theta"),
        ("event,particle,energy\n1,gamma,1\n0,gamma,1\n", "do not fall"),
    ],
)
def test_what_cannot_be_right_is_told_in_a_sentence(tmp_path: Path, text: str, problem: str) -> None:
    path = table(tmp_path, text)
    with pytest.raises(FormatError, match=problem) as error:
        read_events(path)
    assert str(path) in str(error.value)
    assert str(error.value).endswith(".")


def test_an_event_as_one_particle() -> None:
    """10 GeV along x at 45 degrees and 10 GeV along -x at 45 degrees: 20 GeV along the normal."""
    particles = Incident.of(
        [10e3, 10e3, 7e3, 1e3], theta=[0.5, 0.5, 0.3, 0], phi=[0, np.pi, 1, 0], pdg=[22, 22, 11, 13]
    )
    events = Events.of(particles, event=[0, 0, 1, 2])
    whole = events.summary()
    np.testing.assert_allclose(whole.energy, [20e3, 7e3, 1e3])
    np.testing.assert_allclose(whole.theta, [0, 0.3, 0], atol=1e-12)
    assert whole.phi[1] == 1
    assert whole.pdg.tolist() == [22, 11, 13]
    assert particle_name(MIXED) == "mixed"
    assert Events.of(particles, event=[0, 0, 0, 1]).summary().pdg.tolist() == [MIXED, 13]


def test_a_slice_of_events() -> None:
    events = Events.of(Incident.of([1.0, 2.0, 3.0, 4.0]), np.arange(8).reshape(4, 2), [0, 1, 1, 2])
    part = events[1:3]
    assert part.offsets.tolist() == [0, 2, 3]
    assert part.particles.energy.tolist() == [2, 3, 4]
    assert part.impact.tolist() == [[2, 3], [4, 5], [6, 7]]
    assert part.multiplicity.tolist() == [2, 1]
    assert len(events[3:]) == 0


def test_what_does_not_fit_together() -> None:
    two = Incident.of([1.0, 2.0])
    with pytest.raises(DataError, match="impact points"):
        Events(two, np.zeros((3, 2)), np.array([0, 1, 2]))
    with pytest.raises(DataError, match="impact points"):
        Events.of(two, np.nan)
    with pytest.raises(DataError, match="one particle or more an event"):
        Events(two, np.zeros((2, 2)), np.array([0, 0, 2]))
    with pytest.raises(DataError, match="do not fall"):
        Events.of(two, event=[1, 0])
