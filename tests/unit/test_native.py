from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import FormatError, GeometryError, OutputError
from caloforge.formats import NativeReader, NativeWriter, open_showers
from caloforge.geometry import BoxGrid, Geometry, Layer
from caloforge.showers import ShowerMeta, Showers
from comparisons import assert_same
from strategies import cell_showers, point_showers

if TYPE_CHECKING:
    from collections.abc import Sequence

OTHER = Geometry(name="other", layers=(Layer(grid=BoxGrid(nx=2, ny=2, pitch=(1, 1)), id=0),))


def write(path: Path, blocks: Sequence[Showers], geometry: Geometry | None = None) -> Path:
    with NativeWriter(path, geometry=geometry, provenance={"seed": 3}) as writer:
        for block in blocks:
            writer.append(block)
    return path


@given(point_showers(), st.integers(1, 6))
def test_points_round_trip_in_blocks(showers: Showers, size: int) -> None:
    with TemporaryDirectory() as folder:
        blocks = [showers[i : i + size] for i in range(0, len(showers), size)]
        path = write(Path(folder) / "a.h5", blocks)
        with open_showers(path) as file:
            assert len(file) == len(showers)
            assert_same(file.read(0, len(file)), showers)
            assert_same(Showers.concatenate(list(file.blocks(size))), showers)


@given(cell_showers(OTHER), st.data())
def test_cells_partial_read(showers: Showers, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(showers)))
    stop = data.draw(st.integers(start, len(showers)))
    with TemporaryDirectory() as folder, open_showers(write(Path(folder) / "a.h5", [showers], OTHER)) as file:
        assert_same(file.read(start, stop), showers[start:stop])
        assert file.geometry == OTHER


def test_sources_of_hits_round_trip(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    source = np.arange(len(toy_cells.energy)) % 3 + 1
    marked = replace(toy_cells, source=source)
    with open_showers(write(tmp_path / "a.h5", [marked[:5], marked[5:]], siw)) as file:
        np.testing.assert_array_equal(file.read(0, 12).source, source)
        np.testing.assert_array_equal(file.read(3, 7).source, marked[3:7].source)
        assert file.verify() > 5
    with NativeWriter(tmp_path / "b.h5", geometry=siw) as writer:
        writer.append(marked)
        with pytest.raises(FormatError, match="without sources"):
            writer.append(toy_cells)


def test_blocks_cover_a_stretch(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    with open_showers(write(tmp_path / "a.h5", [toy_cells], siw)) as file:
        blocks = list(file.blocks(3, start=2, stop=9))
        assert [len(b) for b in blocks] == [3, 3, 1]
        assert_same(Showers.concatenate(blocks), toy_cells[2:9])
        assert sum(len(b) for b in file.blocks(5)) == 12
        assert [len(b) for b in file.blocks(5, start=10, stop=99)] == [2]
        np.testing.assert_array_equal(file.incident().energy, toy_cells.incident.energy)


def test_what_the_file_tells(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    path = write(tmp_path / "a.h5", [toy_cells], siw)
    with NativeReader(path) as file:
        assert file.meta == toy_cells.meta
        assert file.geometry == siw
        assert file.provenance == {"seed": 3}


def test_documented_keys(tmp_path: Path, toy_showers: Showers, toy_cells: Showers, siw: Geometry) -> None:
    points, cells = tmp_path / "points.h5", tmp_path / "cells.h5"
    write(points, [toy_showers], siw)
    write(cells, [toy_cells], siw)
    common = {f"incident/{name}" for name in ("energy", "theta", "phi", "pdg")} | {
        "hits/offsets",
        "hits/energy",
    }
    for path, place in ((points, "hits/points"), (cells, "hits/cells")):
        with h5py.File(path) as file:
            datasets: set[str] = set()
            file.visititems(
                lambda name, item, found=datasets: found.add(name) if hasattr(item, "shape") else None
            )
            assert datasets == common | {place}
            assert json.loads(file.attrs["geometry"])["name"] == "siw-ecal"
            assert file["hits/offsets"][0] == 0


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    """Only the documented keys, uncompressed, without extras."""
    path = tmp_path / "hand.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "caloforge", "version": 1, "meta": '{"threshold": 0.5}'})
        for name, values in (
            ("energy", [1e3, 2e3]),
            ("theta", [0.0, 0.1]),
            ("phi", [0.0, 1.0]),
            ("pdg", [22, 11]),
        ):
            file[f"incident/{name}"] = values
        file["hits/offsets"], file["hits/energy"], file["hits/cells"] = [0, 1, 3], [1.0, 2.0, 3.0], [5, 6, 7]
    with open_showers(path) as reader:
        showers = reader.read(1, 2)
        assert reader.geometry is None
    assert showers.meta == ShowerMeta(threshold=0.5)
    assert showers.incident.pdg.tolist() == [11]
    assert showers.energy.tolist() == [2.0, 3.0]


def test_no_showers_at_all(tmp_path: Path) -> None:
    with open_showers(write(tmp_path / "a.h5", [])) as file:
        assert len(file) == 0
        assert list(file.blocks()) == []
        assert len(file.incident()) == 0


def test_an_exception_leaves_nothing_behind(tmp_path: Path, toy_showers: Showers) -> None:
    def interrupted() -> None:
        with NativeWriter(tmp_path / "a.h5", geometry=None) as writer:
            writer.append(toy_showers)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_the_name_appears_when_the_file_is_complete(tmp_path: Path, toy_showers: Showers) -> None:
    path = tmp_path / "a.h5"
    with NativeWriter(path, geometry=None) as writer:
        writer.append(toy_showers)
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_nothing_is_overwritten(tmp_path: Path, toy_showers: Showers) -> None:
    path = write(tmp_path / "a.h5", [toy_showers])
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"exists already.*--force"):
        NativeWriter(path, geometry=None)
    with pytest.raises(OutputError, match="does not exist: create it"):
        NativeWriter(tmp_path / "missing" / "a.h5", geometry=None)
    writer = NativeWriter(path, geometry=None, force=True)
    writer.append(toy_showers[:1])
    writer.abort()
    assert path.read_bytes() == before
    with NativeWriter(path, geometry=None, force=True) as writer:
        writer.append(toy_showers[:1])
    with open_showers(path) as file:
        assert len(file) == 1


def test_blocks_must_be_of_one_kind(tmp_path: Path, toy_showers: Showers, toy_cells: Showers) -> None:
    unlike = [
        replace(toy_cells, meta=replace(toy_cells.meta, threshold=0.2)),
        replace(toy_showers, meta=toy_cells.meta),
        replace(toy_cells, extras={"cpu_seconds": np.zeros(12)}),
    ]
    for number, block in enumerate(unlike):
        path = tmp_path / f"{number}.h5"
        with pytest.raises(FormatError, match="does not fit"):
            write(path, [toy_cells, block])
        assert not path.exists()


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_truncated_file(tmp_path: Path, toy_showers: Showers, kept: float) -> None:
    content = write(tmp_path / "a.h5", [toy_showers]).read_bytes()
    cut = tmp_path / "cut.h5"
    cut.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(FormatError, match=r"cut\.h5 is not a readable HDF5 file"):
        open_showers(cut)


@pytest.mark.parametrize("key", ["incident/phi", "hits/offsets", "hits/energy", "hits/points"])
def test_missing_dataset(tmp_path: Path, toy_showers: Showers, key: str) -> None:
    path = write(tmp_path / "a.h5", [toy_showers])
    with h5py.File(path, "a") as file:
        del file[key]
    wanted = "hits/cells" if key == "hits/points" else key
    with pytest.raises(FormatError, match=f"lacks the dataset '{wanted}'"):
        open_showers(path)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("meta", "{", "damaged"),
        ("meta", '{"colour": "red"}', "damaged.*colour"),
        ("meta", None, "damaged"),
        ("geometry", '{"name": "x"}', "damaged"),
        ("version", 99, "version 99 of the format.*update caloforge"),
        ("format", "other", "none of the formats"),
    ],
)
def test_damaged_attributes(
    tmp_path: Path, toy_showers: Showers, attribute: str, value: object, message: str
) -> None:
    path = write(tmp_path / "a.h5", [toy_showers])
    with h5py.File(path, "a") as file:
        del file.attrs[attribute]
        if value is not None:
            file.attrs[attribute] = value
    with pytest.raises(FormatError, match=message):
        open_showers(path)


def test_missing_file_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="There is no shower file"):
        open_showers(tmp_path / "missing.h5")
    with pytest.raises(FormatError, match="is a folder"):
        open_showers(tmp_path)
    text = tmp_path / "text.h5"
    text.write_text("energy,theta\n")
    with pytest.raises(FormatError, match="not a readable HDF5 file"):
        open_showers(text)


def test_wrong_geometry(tmp_path: Path, toy_showers: Showers, toy_cells: Showers, siw: Geometry) -> None:
    cells = write(tmp_path / "cells.h5", [toy_cells], siw)
    with pytest.raises(GeometryError, match=r"was written for the geometry 'siw-ecal'.*not for 'other'"):
        open_showers(cells, geometry=OTHER)
    points = write(tmp_path / "points.h5", [toy_showers], siw)
    with pytest.raises(GeometryError, match="99 mm deep, not for 'other' with 1 mm"):
        open_showers(points, geometry=OTHER)
    # points go to any cells of the same stack
    with open_showers(points, geometry=siw.coarsen(2)) as file:
        assert file.geometry == siw.coarsen(2)
