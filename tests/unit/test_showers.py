from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import DataError
from caloforge.showers import Incident, ShowerMeta, Showers, row_index
from comparisons import assert_same
from strategies import point_showers


def cells(**changes: object) -> Showers:
    fields: dict[str, object] = {
        "incident": Incident.of([1000.0, 2000.0, 3000.0]),
        "offsets": np.array([0, 2, 2, 5]),
        "energy": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        "cells": np.array([7, 8, 1, 2, 3]),
    }
    return Showers(**(fields | changes))  # type: ignore[arg-type]


def test_incident_broadcasts() -> None:
    incident = Incident.of([1.0, 2.0], theta=0.1)
    assert len(incident) == 2
    np.testing.assert_array_equal(incident.theta, [0.1, 0.1])
    np.testing.assert_array_equal(incident.pdg, [22, 22])
    assert incident.pdg.dtype == np.int32


def test_direction_leans_by_theta_towards_phi() -> None:
    incident = Incident.of(1.0, theta=[0.0, np.pi / 6, np.pi / 6], phi=[1.0, 0.0, np.pi / 2])
    expected = [[0, 0, 1], [0.5, 0, np.sqrt(0.75)], [0, 0.5, np.sqrt(0.75)]]
    np.testing.assert_allclose(incident.direction, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"energy": [1.0, np.nan]}, r"incident energy \[MeV\]: got nan at index 1 \(1 such values\)"),
        ({"energy": [-5.0]}, "got -5 at index 0"),
        ({"energy": [0.0]}, "finite and positive"),
        ({"energy": [np.inf]}, "got inf"),
        ({"energy": [1.0], "theta": [np.pi / 2]}, r"theta \[rad\].*expected in \[0, pi/2\)"),
        ({"energy": [1.0], "theta": [-0.1]}, "theta"),
        ({"energy": [1.0], "phi": [np.nan]}, "phi"),
        ({"energy": [[1.0, 2.0]]}, r"got shape \(1, 2\), expected shape \(B,\)"),
    ],
)
def test_bad_incident(fields: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Incident.of(**fields)  # type: ignore[arg-type]


def test_incident_lengths_must_agree() -> None:
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(DataError, match=r"lengths \(2, 1, 1, 1\)"):
        Incident(two, one, one, one.astype(np.int32))


def test_counts_and_sums() -> None:
    showers = cells()
    np.testing.assert_array_equal(showers.n_hits, [2, 0, 3])
    np.testing.assert_array_equal(showers.shower, [0, 0, 2, 2, 2])
    np.testing.assert_allclose(showers.visible_energy, [3.0, 0.0, 12.0])
    np.testing.assert_array_equal(row_index(np.array([0, 0, 1, 3])), [1, 2, 2])


def test_storage_types() -> None:
    showers = cells()
    assert showers.cells is not None
    assert (showers.offsets.dtype, showers.energy.dtype) == (np.int64, np.float32)
    assert showers.cells.dtype == np.int32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy": np.array([1, 2, np.nan, 4, 5])}, r"hit energies \[MeV\]: got nan at hit 0 of shower 2"),
        ({"energy": np.array([1, 2, 3, 4, -5.0])}, "finite and not negative"),
        ({"cells": None}, "exactly one"),
        ({"points": np.zeros((5, 3))}, "exactly one"),
        ({"cells": None, "points": np.full((5, 3), np.nan)}, r"hit positions \[mm\]: got 5"),
        ({"cells": np.zeros(4)}, r"hit places: got shape \(4,\), expected \(5,\) for 5 energies"),
        ({"offsets": np.array([0, 2, 5])}, "shower offsets: got 3 offsets ending at 5, expected 4"),
        ({"offsets": np.array([0, 2, 2, 4])}, "ending at 4"),
        ({"offsets": np.array([1, 2, 2, 5])}, "offsets"),
        ({"offsets": np.array([0, 3, 2, 5])}, "fall"),
        ({"offsets": np.array([], dtype=np.int64)}, "got 0 offsets"),
    ],
)
def test_bad_showers(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        cells(**changes)


@given(point_showers(), st.data())
def test_index_array_selects_in_its_order(showers: Showers, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(showers) - 1), max_size=6))
    chosen = showers[np.array(rows, dtype=np.int64)]
    assert len(chosen) == len(rows)
    assert chosen.points is not None
    assert showers.points is not None
    for new, old in enumerate(rows):
        mine, theirs = (slice(s.offsets[i], s.offsets[i + 1]) for s, i in ((chosen, new), (showers, old)))
        np.testing.assert_array_equal(chosen.energy[mine], showers.energy[theirs])
        np.testing.assert_array_equal(chosen.points[mine], showers.points[theirs])
        assert chosen.incident.energy[new] == showers.incident.energy[old]
        assert chosen.extras["cpu_seconds"][new] == showers.extras["cpu_seconds"][old]


@given(point_showers(), st.integers(0, 5))
def test_cutting_and_joining_gives_the_same(showers: Showers, at: int) -> None:
    assert_same(Showers.concatenate([showers[:at], showers[at:]]), showers)


@given(point_showers())
def test_mask_equals_index(showers: Showers) -> None:
    mask = showers.n_hits > 10
    assert_same(showers[mask], showers[np.flatnonzero(mask)])


@given(point_showers(), st.floats(0, 3))
def test_keep_drops_hits_not_showers(showers: Showers, cut: float) -> None:
    mask = showers.energy > cut
    kept = showers.keep(mask)
    assert len(kept) == len(showers)
    np.testing.assert_array_equal(kept.energy, showers.energy[mask])
    np.testing.assert_array_equal(kept.shower, showers.shower[mask])
    assert_same(showers.keep(np.ones(len(showers.energy), dtype=bool)), showers)


def test_concatenate_refuses_what_does_not_fit() -> None:
    with pytest.raises(DataError, match="no showers"):
        Showers.concatenate([])
    with pytest.raises(DataError, match="different geometries"):
        Showers.concatenate([cells(), cells(meta=ShowerMeta(threshold=1.0))])
    with pytest.raises(DataError, match="kinds"):
        Showers.concatenate([cells(), cells(cells=None, points=np.zeros((5, 3)))])


def test_concatenate_keeps_the_extras_of_all() -> None:
    both = {"a": np.arange(3), "b": np.arange(3)}
    joined = Showers.concatenate([cells(extras=both), cells(extras={"a": np.arange(3)})])
    assert list(joined.extras) == ["a"]
    np.testing.assert_array_equal(joined.extras["a"], [0, 1, 2, 0, 1, 2])


def test_showers_are_frozen() -> None:
    with pytest.raises(AttributeError):
        cells().energy = np.zeros(5)  # type: ignore[misc]


def test_no_showers_are_showers() -> None:
    none = cells()[:0]
    assert len(none) == 0
    assert none.visible_energy.shape == (0,)
    assert_same(Showers.concatenate([none, cells()]), replace(cells()))
