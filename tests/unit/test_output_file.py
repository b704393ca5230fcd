from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from caloforge.errors import OutputError
from caloforge.formats import output_file
from caloforge.formats.output_file import OutputFile

if TYPE_CHECKING:
    from pathlib import Path

DATA = np.random.default_rng(1).integers(0, 2**62, 200_000)


def fill(output: OutputFile) -> None:
    output.h5.create_dataset("a", data=DATA, chunks=(5000,))
    output.h5.flush()


def break_after(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    """Let all writing fail once ``n_bytes`` are written."""
    written = 0
    write_all = output_file._Disk._write_all

    def failing(disk: output_file._Disk, view: memoryview) -> None:
        nonlocal written
        written += len(view)
        if written > n_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_all(disk, view)

    monkeypatch.setattr(output_file._Disk, "_write_all", failing)


def test_content_and_names(tmp_path: Path) -> None:
    output = OutputFile(tmp_path / "a.h5")
    fill(output)
    output.check()
    assert not (tmp_path / "a.h5").exists()
    output.finish()
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["a"][:], DATA)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_a_folder_that_is_removed_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    output = OutputFile(tmp_path / "gone" / "a.h5")
    fill(output)
    shutil.rmtree(tmp_path / "gone")
    with pytest.raises(OutputError, match=r"Cannot write .*a\.h5: No such file or directory\.$"):
        output.finish()


@pytest.mark.parametrize("n_bytes", [0, 3000, 100_000, 1_500_000])
def test_a_failed_write_is_raised_from_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    break_after(monkeypatch, n_bytes)
    output = OutputFile(tmp_path / "a.h5")
    fill(output)
    with pytest.raises(OutputError, match=r"Cannot write .*a\.h5: No space left on device"):
        output.check()
    # what the disk did not take is still there for HDF5, which would crash otherwise
    np.testing.assert_array_equal(output.h5["a"][:], DATA)
    output.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_on_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = OutputFile(tmp_path / "a.h5")
    output.h5["a"] = DATA[:100]
    break_after(monkeypatch, 0)
    with pytest.raises(OutputError, match="No space left"):
        output.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        OutputFile(tmp_path / "nowhere" / "a.h5")


@pytest.mark.parametrize("name", ["_write_all", "_read", "_size"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_is_raised_in_a_callback_is_raised_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[BaseException]
) -> None:
    """HDF5 loses it and goes on; the file would have a hole."""
    work, calls = getattr(output_file._Disk, name), iter(range(1000))

    def failing(disk: output_file._Disk, *arguments: object) -> object:
        if next(calls) == 1:
            raise error
        return work(disk, *arguments)

    output = OutputFile(tmp_path / "a.h5")
    monkeypatch.setattr(output_file._Disk, name, failing)
    for n in range(20):
        output.h5[f"a{n}"] = DATA[:1000]
        output.h5.flush()
        np.testing.assert_array_equal(output.h5["a0"][:], DATA[:1000])
        output._disk.seek(0, 2)
        output._disk.readinto(bytearray(10))
    with pytest.raises(error):
        output.check()
    output.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_read_back_as_it_was_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = OutputFile(tmp_path / "a.h5")
    fill(output)
    contents = iter([{"a": 1}, {"a": 2}])
    monkeypatch.setattr(output_file, "_content", lambda _: next(contents))
    with pytest.raises(OutputError, match="not what was written"):
        output.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = OutputFile(tmp_path / "a.h5")
    fill(output)
    close = output_file._close

    def closing(file: h5py.File, disk: output_file._Disk) -> None:
        close(file, disk)
        part = tmp_path / "a.h5.part"
        part.write_bytes(part.read_bytes()[:-5000])

    monkeypatch.setattr(output_file, "_close", closing)
    with pytest.raises(OutputError, match="Cannot write"):
        output.finish()
    assert not (tmp_path / "a.h5").exists()


def test_a_file_that_nobody_finishes_leaves_nothing(tmp_path: Path) -> None:
    output = OutputFile(tmp_path / "a.h5")
    fill(output)
    del output
    assert list(tmp_path.iterdir()) == []
