"""Whatever is wrong with a dataset or an attribute of a shower file, it ends in one sentence on opening."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caloforge.errors import CaloForgeError, DataError, FormatError
from caloforge.formats import FORMATS, NativeReader, NativeWriter, format_named, open_showers
from comparisons import assert_same
from foreign_files import CASES, SCRIPTS, fitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.formats import Format
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

MOST = 330  # characters of a sentence, besides the name of the file
INTEGERS = {"pdg", "offsets", "layer", "ix", "iy", "cells", "num_points", "shape"}
# datasets that nothing depends on
IGNORED = {"shower_ids", "9x16/layer_e"}
OPTIONAL = {"num_points", "theta", "mtheta", "ecal/theta", "HCAL", "overflow"}


def _strings(data: np.ndarray) -> np.ndarray:
    return np.full(data.shape, b"abc")


def _compound(data: np.ndarray) -> np.ndarray:
    return np.zeros(data.shape, [("a", "f4"), ("b", "i8")])


def _put(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[h5py.File, str], None]:
    def mutate(file: h5py.File, key: str) -> None:
        data = file[key][()]
        del file[key]
        file[key] = change(data)

    mutate.__name__ = name
    return mutate


def _removed(file: h5py.File, key: str) -> None:
    del file[key]


def _group(file: h5py.File, key: str) -> None:
    del file[key]
    file.create_group(key)


def _dangling(file: h5py.File, key: str) -> None:
    del file[key]
    file[key] = h5py.SoftLink("/nowhere")


def _circular(file: h5py.File, key: str) -> None:
    del file[key]
    file[key] = h5py.SoftLink(f"/{key}")


def _elsewhere(file: h5py.File, key: str) -> None:
    del file[key]
    file[key] = h5py.ExternalLink("no.h5", "/x")


def _null(file: h5py.File, key: str) -> None:
    del file[key]
    file[key] = h5py.Empty("f4")


def _references(file: h5py.File, key: str) -> None:
    shape = file[key].shape
    del file[key]
    file.create_dataset(key, shape=shape, dtype=h5py.ref_dtype)


def _hollow(file: h5py.File, key: str) -> None:
    shape = (10**11, *file[key].shape[1:])
    del file[key]
    file.create_dataset(key, shape=shape, dtype="i8", chunks=(64, *shape[1:]))


WRONG = [
    _removed,
    _group,
    _dangling,
    _circular,
    _elsewhere,
    _null,
    _references,
    _hollow,
    _put("strings", _strings),
    _put("complex", lambda data: data.astype("c16")),
    _put("bools", lambda data: data.astype(bool)),
    _put("compound", _compound),
    _put("scalar", lambda _: 3.0),
    _put("one_short", lambda data: data[:-1]),
    _put("none", lambda data: data[:0]),
    _put("two_axes_more", lambda data: data[..., None, None]),
]
SAME = [
    _put("big_endian", lambda data: data.astype(data.dtype.newbyteorder(">"))),
    _put("wider", lambda data: data.astype("f8" if data.dtype.kind == "f" else "i8")),
]


def _datasets(path: Path) -> list[str]:
    found: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda k, item: found.append(k) if isinstance(item, h5py.Dataset) else None)
    return [key for key in found if key not in IGNORED]


def _read(path: Path) -> Showers:
    with open_showers(path) as reader:
        return reader.read(0, len(reader))


def _mutated(path: Path, key: str, mutate: Callable[[h5py.File, str], None]) -> Path:
    other = path.with_name("mutated.h5")
    other.write_bytes(path.read_bytes())
    with h5py.File(other, "r+") as file:
        mutate(file, key)
    return other


def _sentence(path: Path) -> str:
    with pytest.raises(CaloForgeError) as caught:
        _read(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text.replace(str(path), "")) < MOST
    return text


@pytest.fixture(params=[pytest.param(case.values, id=case.id) for case in CASES])
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A small valid file of each kind, after the name of its format."""
    name, script = request.param
    script(tmp_path / "a.h5", np.random.default_rng(7))
    return name, tmp_path / "a.h5"


@pytest.fixture
def cells_file(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> Path:
    """A native file of cells, as caloforge writes it."""
    with NativeWriter(tmp_path / "a.h5", geometry=siw) as writer:
        writer.append(toy_cells)
    return tmp_path / "a.h5"


@pytest.mark.parametrize("mutate", WRONG, ids=lambda f: f.__name__)
def test_every_dataset_of_every_format(
    foreign: tuple[str, Path], mutate: Callable[[h5py.File, str], None]
) -> None:
    name, path = foreign
    for key in _datasets(path):
        optional = key in OPTIONAL
        if name == "par04" and mutate.__name__ in {"_removed", "one_short", "none"}:
            continue  # its datasets do not belong together: it has fewer showers
        rows = key == "showers" and name == "showerdata"  # of variable length
        if (mutate is _removed and optional) or (rows and mutate not in {_removed, _group, _null}):
            continue
        text = _sentence(_mutated(path, key, mutate))
        if mutate.__name__ in {"one_short", "two_axes_more", "scalar"}:
            assert "lacks" not in text


@pytest.mark.parametrize("mutate", SAME, ids=lambda f: f.__name__)
def test_other_types_of_the_same_numbers(
    foreign: tuple[str, Path], mutate: Callable[[h5py.File, str], None]
) -> None:
    name, path = foreign
    for key in _datasets(path):
        if not (key == "showers" and name == "showerdata"):
            assert_same(_read(_mutated(path, key, mutate)), _read(path))


def test_integers_are_whole_and_in_range(foreign: tuple[str, Path]) -> None:
    _, path = foreign
    for key in _datasets(path):
        if key.split("/")[-1] in INTEGERS:
            _sentence(_mutated(path, key, _put("halves", lambda data: data + 0.5)))
            beyond = _mutated(path, key, _put("beyond", lambda data: data.astype("i8") + (1 << 32)))
            if key not in {"hits/ix", "hits/iy"}:  # any place is one
                _sentence(beyond)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_any_one_number(data: st.DataObject, tmp_path: Path) -> None:
    """A number of a native file becomes another one: refused, or read as it stands."""
    path = tmp_path / "a.h5"
    SCRIPTS["native"][0](path, np.random.default_rng(7))
    key = data.draw(st.sampled_from(_datasets(path)))
    value = data.draw(st.sampled_from([np.nan, np.inf, -1, 0, 5, 2**31, -(2**31), 2**62, 1e300]))

    def put(file: h5py.File, key: str) -> None:
        values = file[key][()]
        place = data.draw(st.integers(0, values.size - 1))
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                values.reshape(-1)[place] = values.dtype.type(value)
        elif abs(value) < 2.0**63:
            values[place] = int(value)
        file[key][...] = values

    changed, read = _mutated(path, key, put), None
    with contextlib.suppress(CaloForgeError):
        read = _read(changed)
    if read is None:
        _sentence(changed)
    else:
        assert read.offsets.tolist() == [0, 3, 3, 8, 9, 10, 12, 16]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (name, value)
        for name in ("meta", "geometry", "provenance", "version")
        for value in ("[" * 30_000, "{", "[1]", "NaN", b"\xff\xfe", [1, 2], np.float32(np.nan), 2**40)
    ]
    + [
        ("meta", json.dumps({key: value}))
        for key in ("threshold", "sampling_fraction", "pitch")
        for value in ("abc", None, [1], -1.0, float("nan"), float("inf"), True, 10**400)
    ]
    + [("meta", '{"sampling_fraction": 0}'), ("meta", '{"fingerprint": 5}'), ("meta", '{"geometry": null}')],
)
def test_attributes(attribute: str, value: object, cells_file: Path) -> None:
    with h5py.File(cells_file, "r+") as file:
        del file.attrs[attribute]
        file.attrs[attribute] = value
    _sentence(cells_file)


def test_cells_of_another_geometry_than_the_stored_one(cells_file: Path) -> None:
    with h5py.File(cells_file, "r+") as file:
        del file.attrs["caloforge_checksums"]
        meta = json.loads(file.attrs["meta"])
        file.attrs["meta"] = json.dumps({**meta, "fingerprint": "0123456789abcdef"})
    assert "0123456789abcdef" in _sentence(cells_file)


def test_a_cell_twice(tmp_path: Path, toy_cells: Showers) -> None:
    path = tmp_path / "a.h5"
    with NativeWriter(path, geometry=None) as writer:
        writer.append(toy_cells)
    with h5py.File(path, "r+") as file:
        del file.attrs["caloforge_checksums"]
        file["hits/cells"][1] = file["hits/cells"][0]
    with pytest.raises(DataError, match="twice in shower 0"):
        _read(path)


def test_no_more_is_read_than_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    SCRIPTS["native"][0](path, np.random.default_rng(7))
    with h5py.File(path, "r+") as file:
        del file["hits/energy"], file["hits/points"]
        file.create_dataset("hits/energy", shape=(10**12,), dtype="f4", chunks=(4096,))
        file.create_dataset("hits/points", shape=(10**12, 3), dtype="f4", chunks=(4096, 3))
        file["hits/offsets"][-1] = 10**12
    assert "4e+12 bytes declared and 0 stored" in _sentence(path)


def test_pipes_and_folders_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(FormatError, match=r"pipe\.h5 is a pipe: give a shower file"):
        open_showers(tmp_path / "pipe.h5")
    with pytest.raises(FormatError, match="is a folder"):
        NativeReader(tmp_path)


# those of Parquet are its own, a page each; ROOT's files have none
SUMMED = [f for f in FORMATS if f.writer is not None and f.name not in {"root", "parquet"}]


@pytest.mark.parametrize("form", SUMMED, ids=lambda f: f.name)
def test_checksums(form: Format, tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    assert form.writer is not None
    path = tmp_path / "a.h5"
    showers, siw = fitting(form.name, toy_showers, siw)
    with form.writer(path, geometry=siw) as writer:
        writer.append(showers[:5])
        writer.append(showers[5:])
    with open_showers(path) as reader:
        assert reader.verify() > 5
    for key in _datasets(path):
        with h5py.File(path) as file:
            plain = file[key].dtype.kind in "iuf"
        if plain:
            with pytest.raises(CaloForgeError), open_showers(_mutated(path, key, _last_bit)) as reader:
                reader.verify()


def _last_bit(file: h5py.File, key: str) -> None:
    values = file[key][()]
    values.reshape(-1).view(np.uint8)[0] ^= 1
    file[key][...] = values


def test_checksums_do_not_depend_on_the_blocks(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    stored = []
    for size in (1, 5, 100):
        with NativeWriter(tmp_path / f"{size}.h5", geometry=siw) as writer:
            for start in range(0, len(toy_cells), size):
                writer.append(toy_cells[start : start + size])
        with h5py.File(tmp_path / f"{size}.h5") as file:
            stored.append(file.attrs["caloforge_checksums"])
    assert len(set(stored)) == 1


def test_a_pass_over_a_native_file_compares_its_checksums(cells_file: Path) -> None:
    with h5py.File(cells_file, "r+") as file:
        file["hits/energy"][0] *= 2
    with (
        open_showers(cells_file) as reader,
        pytest.raises(FormatError, match="'hits/energy' is not what was written"),
    ):
        list(reader.blocks(5))


def test_files_without_checksums_are_read(cells_file: Path, toy_cells: Showers) -> None:
    with h5py.File(cells_file, "r+") as file:
        del file.attrs["caloforge_checksums"]
    assert_same(_read(cells_file), toy_cells)
    with format_named("native").reader(cells_file, None) as reader:
        assert reader.verify() == 0
