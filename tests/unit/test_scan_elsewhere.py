"""Features of a file by workers of a cluster: those of one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.cluster import run_in_order
from caloforge.evaluation import evaluate
from caloforge.features import CellRecorder, derive_binning, scan
from caloforge.features.elsewhere import can_be_opened_elsewhere
from caloforge.formats import NativeReader, NativeWriter, open_showers
from caloforge.formats.selected import SelectedReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers


@pytest.fixture
def file(make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path: Path) -> Path:
    """Sixty showers of points."""
    with NativeWriter(tmp_path / "a.h5", geometry=siw) as writer:
        writer.append(make_toy_showers(60))
    return tmp_path / "a.h5"


def test_tables_images_and_cells_are_the_same(
    file: Path, siw: Geometry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caloforge.features.elsewhere.BLOCK", 7)
    with open_showers(file) as source, ThreadPoolExecutor(2) as executor:
        options: dict[str, Any] = {"binning": derive_binning(source, siw), "offset": (1.0, 2.0), "start": 3}
        stores = [CellRecorder(tmp_path, name, siw) for name in "ab"]
        here = scan(source, siw, record=stores[0], **options)
        there = scan(source, siw, record=stores[1], executor=executor, **options)
    assert len(there.table) == 57
    for name in here.table.names:
        np.testing.assert_array_equal(here.table[name], there.table[name], strict=True)
    np.testing.assert_array_equal(here.images.lateral, there.images.lateral)
    np.testing.assert_array_equal(here.images.depth, there.images.depth)
    one, two = (store.finish() for store in stores)
    np.testing.assert_array_equal(one.cells, two.cells)
    np.testing.assert_array_equal(one.energy, two.energy)
    np.testing.assert_array_equal(one.count, two.count)


def test_what_is_no_file_as_it_stands_stays_here(file: Path) -> None:
    with NativeReader(file) as reader:
        assert can_be_opened_elsewhere(reader)
        assert not can_be_opened_elsewhere(SelectedReader(reader, np.arange(3)))
        assert not can_be_opened_elsewhere(reader.read(0, 3))


def test_results_come_in_the_order_of_the_tasks() -> None:
    with ThreadPoolExecutor(2) as executor:
        found = list(run_in_order([(n,) for n in range(9)], _slow_first, executor=executor, at_a_time=3))
    assert found == [n * n for n in range(9)]


def _slow_first() -> Callable[[int], int]:
    import time

    def work(number: int) -> int:
        time.sleep(0.3 if not number else 0.0)
        return number * number

    return work


def test_an_evaluation_on_workers_has_the_same_numbers(file: Path) -> None:
    here = evaluate(file, {"a": file}, threads=1)
    with ThreadPoolExecutor(1) as executor:
        there = evaluate(file, {"a": file}, threads=1, executor=executor)
    numbers = [[(r.name, r.value, r.error, r.floor) for r in e.results["a"]] for e in (here, there)]
    assert numbers[0]
    np.testing.assert_equal(numbers[0], numbers[1])
