from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.formats import NativeWriter, open_showers
from caloforge.formats.convert import Changes, convert_file

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers


def test_skip_and_count_choose_showers(tmp_path: Path, siw: Geometry, toy_showers: Showers) -> None:
    with NativeWriter(tmp_path / "all.h5", geometry=siw) as writer:
        writer.append(toy_showers)
    done = convert_file(
        tmp_path / "all.h5", tmp_path / "some.h5", name="native", changes=Changes(skip=4, count=5)
    )
    assert done == 5
    with open_showers(tmp_path / "some.h5") as reader:
        np.testing.assert_array_equal(reader.read(0, 5).energy, toy_showers[4:9].energy)


def test_skip_past_the_end_leaves_nothing() -> None:
    assert len(Changes(skip=20, count=5).rows(12)) == 0
    assert Changes(skip=10).rows(12) == range(10, 12)
