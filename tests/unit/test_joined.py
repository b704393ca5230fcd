"""Several files read as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import DataError
from caloforge.evaluation import evaluate
from caloforge.formats import NativeWriter, open_showers
from caloforge.formats.joined import JoinedReader, Piece
from comparisons import assert_same

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers


def write(path: Path, showers: Showers, geometry: Geometry) -> Path:
    with NativeWriter(path, geometry=geometry) as writer:
        writer.append(showers)
    return path


@pytest.mark.parametrize(("start", "stop"), [(0, 20), (3, 9), (8, 14), (12, 20), (5, 5), (0, 4)])
def test_any_range_is_that_of_the_whole(
    tmp_path: Path, make_toy_showers: Callable[..., Showers], siw: Geometry, start: int, stop: int
) -> None:
    whole = make_toy_showers(30, seed=1)
    files = [write(tmp_path / "a.h5", whole[:14], siw), write(tmp_path / "b.h5", whole[14:], siw)]
    readers = [open_showers(path) for path in files]
    with JoinedReader([Piece(readers[0], 4, 14), Piece(readers[1], 0, 10)]) as joined:
        assert len(joined) == 20
        np.testing.assert_array_equal(joined.incident().energy, whole.incident.energy[4:24])
        expected = write(tmp_path / "c.h5", whole[4:24], siw)
        with open_showers(expected) as reader:
            assert_same(joined.read(start, stop), reader.read(start, stop))


def test_files_of_different_kinds_are_refused(
    tmp_path: Path, toy_showers: Showers, toy_cells: Showers, siw: Geometry
) -> None:
    files = [write(tmp_path / "a.h5", toy_showers, siw), write(tmp_path / "b.h5", toy_cells, siw)]
    with pytest.raises(DataError, match="differ in geometry"):
        evaluate(files, {"model": files[1]})


def test_a_joined_reference_is_the_concatenated_one(
    tmp_path: Path, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> None:
    whole, model = make_toy_showers(240, seed=2), make_toy_showers(240, seed=3)
    halves = [write(tmp_path / f"{k}.h5", whole[k * 120 : (k + 1) * 120], siw) for k in range(2)]
    joined = evaluate(halves, {"model": model}, geometry=siw)
    single = evaluate(write(tmp_path / "whole.h5", whole, siw), {"model": model}, geometry=siw)
    values = {r.name: (r.value, r.error, r.floor) for r in single.results["model"]}
    assert values == {r.name: (r.value, r.error, r.floor) for r in joined.results["model"]}
    assert joined.settings["reference"]["path"] == f"{halves[0]} + {halves[1]}"


def test_parts_and_counts_are_taken_of_every_file(
    tmp_path: Path, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> None:
    whole = make_toy_showers(400, seed=4)
    halves = [write(tmp_path / f"{k}.h5", whole[k * 200 : (k + 1) * 200], siw) for k in range(2)]
    done = evaluate(halves, {"model": halves}, part="report", count=30, geometry=siw)
    rows = [*range(160, 190), *range(360, 390)]
    np.testing.assert_array_equal(done.reference.table["energy"], whole.incident.energy[rows])
    assert len(done.generated[0].table) == 60
