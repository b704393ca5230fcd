"""Which showers of a file are trained on, tuned on and reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import ConfigError, DataError
from caloforge.formats import NativeWriter, open_showers
from caloforge.formats.selected import SelectedReader
from caloforge.showers import Incident
from caloforge.split import PARTS, Split, check_part

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

UNIFORM = np.random.default_rng(1).uniform(1e4, 1e5, 400)


def test_the_split_goes_by_index_where_nothing_depends_on_it() -> None:
    split = Split.of(Incident.of(np.random.default_rng(2).uniform(1e4, 1e5, 7000)))
    assert not split.permuted
    assert [(r[0], r[-1] + 1) for r in map(split.rows, PARTS)] == [
        (0, 7000),
        (0, 4900),
        (4900, 5600),
        (5600, 7000),
    ]
    assert [split.size(part) for part in PARTS] == [7000, 4900, 700, 1400]
    np.testing.assert_array_equal(split.rows("report", 3), [5600, 5601, 5602])
    assert split.facts() == {"permuted": False}


@pytest.mark.parametrize(
    ("incident", "reason"),
    [
        (Incident.of(np.sort(UNIFORM)), "incident energies"),
        (Incident.of(np.sort(UNIFORM)[::-1]), "incident energies"),
        (Incident.of(np.sort(UNIFORM)[:10]), "incident energies"),
        (Incident.of(np.repeat(np.exp2(np.arange(8.0, 23.0)), 20)), "incident energies"),
        (Incident.of(np.abs(np.arange(400) - 250.0) + 1.0), "incident energies"),
        (Incident.of(UNIFORM, theta=np.linspace(0.0, 1.0, 400)), "angles of incidence"),
        (Incident.of(UNIFORM, theta=0.4, phi=np.linspace(0.0, 1.0, 400)), "directions"),
        (Incident.of(UNIFORM, pdg=np.repeat([11, 22], 200)), "particles"),
        (Incident.of(UNIFORM), ""),
        (Incident.of(np.tile(np.exp2(np.arange(8.0, 23.0)), 20)), ""),
        (Incident.of(np.full(400, 5e4)), ""),
        (Incident.of(UNIFORM, phi=np.linspace(0.0, 1.0, 400)), ""),  # perpendicular: no direction
        (Incident.of(np.sort(UNIFORM)[:9]), ""),
        (Incident.of(UNIFORM[:1]), ""),
    ],
)
def test_what_depends_on_the_place_is_seen(incident: Incident, reason: str) -> None:
    assert Split.of(incident).reason == reason


def test_the_permutation_is_always_the_same() -> None:
    split = Split(10, "incident energies")
    assert split.order.tolist() == [9, 2, 4, 7, 5, 0, 8, 6, 3, 1]
    assert split.rows("train").tolist() == [0, 2, 4, 5, 7, 8, 9]
    assert split.rows("tune").tolist() == [6]
    assert split.rows("report").tolist() == [1, 3]
    assert split.facts() == {"permuted": True, "seed": 1}
    assert split.sentence("a.h5") == (
        "a.h5: the incident energies depend on the place in the file, so its showers are permuted (seed 1) "
        "before they are split into parts."
    )


def test_parts_of_a_sorted_file_have_the_same_energies() -> None:
    energy = np.sort(np.random.default_rng(3).uniform(10.0, 100.0, 4000))
    split = Split.of(Incident.of(energy))
    means = [energy[split.rows(part)].mean() for part in ("train", "tune", "report")]
    np.testing.assert_allclose(means, 55.0, atol=4.0)  # 10 of 400 showers: 1.3 is one standard deviation
    assert energy[split.rows("report", 100)].mean() == pytest.approx(55.0, abs=10.0)


@given(st.integers(0, 300), st.booleans(), st.integers(1, 50))
def test_parts_share_no_shower_and_miss_none(count: int, permuted: bool, size: int) -> None:
    split = Split(count, "particles" if permuted else "")
    rows = {part: split.rows(part) for part in PARTS}
    assert np.sort(np.concatenate([rows[p] for p in PARTS[1:]])).tolist() == list(range(count))
    for part in PARTS:
        assert len(rows[part]) == split.size(part)
        blocks = [np.zeros(0, int), *split.blocks(part, size)]
        np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), rows[part])
        assert all(len(b) <= size and np.all(np.diff(b) > 0) for b in blocks)


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(ConfigError, match="Unknown part 'test'"):
        check_part("test")


def test_the_known_files_stay_as_they_are(shared: Path) -> None:
    for name in ("siw_photons.h5", "siw_photons_angles.h5", "cylinder_electrons_ds2.hdf5"):
        with open_showers(shared / "data" / name) as reader:
            assert not Split.of(reader.incident()).permuted, name


def test_selected_showers_are_those_of_the_rows(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path: Path
) -> None:
    showers = make_toy_showers(1300)
    with NativeWriter(tmp_path / "a.h5", geometry=siw) as writer:
        writer.append(showers)
    rows = np.array([0, 1, 2, 30, 44, 499, 500, 501, 1100, 1299])
    with open_showers(tmp_path / "a.h5") as reader:
        chosen = SelectedReader(reader, rows)
        assert len(chosen) == len(chosen.incident()) == 10
        found, expected = chosen.read(2, 9), showers[rows[2:9]]
        for name in ("offsets", "energy", "points"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        np.testing.assert_array_equal(found.incident.energy, expected.incident.energy)
        assert [len(block) for block in chosen.blocks(4)] == [4, 4, 2]
        assert len(chosen.read(3, 3)) == 0
        with pytest.raises(DataError, match="must rise and lie below 1300"):
            SelectedReader(reader, np.array([3, 1300]))
