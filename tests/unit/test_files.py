"""One process at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from caloforge.errors import OutputError
from caloforge.files import claimed, filling, locked, made, owned, part_path, replacing, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from caloforge import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(function: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds an output until its standard input is closed."""
    command = [sys.executable, "-c", HOLDER, function, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_second_process_is_told_and_a_killed_one_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with holder("claimed", path) as process:
        with pytest.raises(OutputError, match=r"Another process is writing .*a\.txt: wait for it, or choose"):
            write_text(path, "mine")
        assert names(tmp_path) == ["a.txt.part"]
        process.kill()
        process.wait(10)
        assert names(tmp_path) == ["a.txt.part"]
        write_text(path, "mine")
    assert names(tmp_path) == ["a.txt"]
    assert path.read_text() == "mine"


@pytest.mark.parametrize("function", ["owned", "filling"])
def test_a_second_process_in_a_folder(function: str, tmp_path: Path) -> None:
    with holder(function, tmp_path) as process:
        with pytest.raises(OutputError, match="Another process is writing"), filling(tmp_path):
            pass
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
        assert names(tmp_path) == []
    with filling(tmp_path) as part:
        (part / "figures").mkdir()
        (part / "figures" / "a").write_text("1")
    with owned(tmp_path), filling(tmp_path) as part:
        (part / "figures").mkdir()
        (part / "figures" / "b").write_text("2")
    assert names(tmp_path) == ["figures"]
    assert names(tmp_path / "figures") == ["b"]


def test_claims_nest_in_a_thread_and_exclude_other_threads(tmp_path: Path) -> None:
    path, said = tmp_path / "a.txt", []

    def other() -> None:
        try:
            write_text(path, "theirs")
        except OutputError as error:
            said.append(str(error))

    with claimed(path) as part, claimed(path):
        assert part == part_path(path)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        write_text(path, "mine")
    assert len(said) == 1
    assert path.read_text() == "mine"
    assert names(tmp_path) == ["a.txt"]


def test_after_publishing_the_next_one_may_write(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with claimed(path):
        write_text(path, "first")
        with holder("claimed", path):
            pass
        (tmp_path / "a.txt.part").write_text("of a process that went on")
    assert path.read_text() == "first"
    assert names(tmp_path) == ["a.txt", "a.txt.part"]  # not ours to remove


def test_what_another_process_finished_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"), replacing(path, force=False):
        pass
    with pytest.raises(OutputError, match="exists already"), claimed(path, force=False):
        pass
    assert path.read_text() == "precious"
    assert names(tmp_path) == ["a.txt"]


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.txt") as part:
        part.write_text(f"half {1 // 0}")
    with pytest.raises(OutputError, match=r"Cannot write .*b\.txt"), replacing(tmp_path / "b.txt"):
        (tmp_path / "b.txt").mkdir()
    (tmp_path / "b.txt").rmdir()
    assert names(tmp_path) == []


def test_a_block_that_never_ends_leaves_nothing_at_the_end_of_the_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from caloforge import files\n"
        "block = files.claimed(Path(sys.argv[1])); block.__enter__(); sys.kept = block\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)
    assert names(tmp_path) == []


def test_a_lock_file_is_removed_and_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", busy="busy"):
        assert names(tmp_path) == ["lock"]
    assert names(tmp_path) == []
    with pytest.raises(OutputError, match="Cannot write"), locked(tmp_path / "no" / "lock", busy="busy"):
        pass


def test_a_folder_made_in_vain_goes_away_again(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("there", "new"):
        with pytest.raises(KeyboardInterrupt), made(tmp_path / name):
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
