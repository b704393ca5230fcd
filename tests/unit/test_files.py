"""One process at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from caloforge.errors import OutputError
from caloforge.files import (
    check_folder,
    check_output,
    claimed,
    filling,
    locked,
    made,
    owned,
    part_path,
    replacing,
    staying,
    write_text,
)
from caloforge.formats.output_file import OutputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "old.txt").write_text("old")
    for name in ("old.txt", "new.txt"):
        link = tmp_path / name
        link.symlink_to(tmp_path / "big" / name)
        with claimed(link) as part, contextlib.ExitStack() as stack:
            assert part == tmp_path / "big" / f"{name}.part"
            stack.enter_context(replacing(link)).write_text("mine")
        assert link.is_symlink()
        assert (tmp_path / "big" / name).read_text() == "mine"
    assert names(tmp_path) == ["big", "new.txt", "old.txt"]
    assert names(tmp_path / "big") == ["new.txt", "old.txt"]


def test_a_link_and_the_file_are_one_output(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    with (
        holder("claimed", tmp_path / "a.txt"),
        pytest.raises(OutputError, match="Another process is writing"),
    ):
        write_text(tmp_path / "link.txt", "mine")


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "lost.txt").symlink_to(tmp_path / "no" / "a.txt")
    with pytest.raises(OutputError, match=r"Cannot write .*lost\.txt: No such file"):
        write_text(tmp_path / "lost.txt", "mine")
    (tmp_path / "round.txt").symlink_to(tmp_path / "round.txt")
    with contextlib.suppress(OutputError):
        write_text(tmp_path / "round.txt", "mine")
    assert names(tmp_path) == ["lost.txt", "round.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_devices_and_pipes_are_not_replaced_by_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path(os.devnull)):
        with pytest.raises(OutputError, match="is a device or a pipe, which cannot be replaced: give"):
            check_output(path, force=True)
        with pytest.raises(OutputError, match="is a device or a pipe"), replacing(path):
            pass
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_what_is_in_a_folder_is_replaced_with_force_only(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "c").write_text("")
    check_folder(tmp_path, without=["a"], force=False)
    check_folder(tmp_path / "no", without=["b"], force=False)
    check_folder(tmp_path, without=["a", "b", "c"], force=True)
    with pytest.raises(OutputError, match="has b, c already: choose another folder, or give --force"):
        check_folder(tmp_path, without=["a", "b", "c"], force=False)


def write_after_removal(folder: Path) -> None:
    shutil.rmtree(folder)
    (folder / "b.txt").write_text("")


@pytest.mark.parametrize("function", [claimed, replacing, owned, filling, staying])
def test_a_folder_that_is_removed_meanwhile(function: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    path = folder / "a.txt" if function in (claimed, replacing) else folder
    message = r"The folder .*gone was removed or renamed while it was written to\."
    with pytest.raises(OutputError, match=message), function(path):
        write_after_removal(folder)
    assert names(tmp_path) == []


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staying(tmp_path):
        (tmp_path / "no" / "b.txt").write_text("")


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


@pytest.fixture
def strict_renames(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: no locks, and nothing that is open is renamed, replaced or removed."""
    monkeypatch.setattr("caloforge.files._LOCKS", False)
    methods = {name: getattr(Path, name) for name in ("replace", "unlink")}

    def refuse(name: str, path: Path, *others: Any) -> Any:
        held = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
        if {str(p) for p in (path, *others)} & held:
            raise PermissionError(13, "The process cannot access the file", str(path))
        return methods[name](path, *others)

    for name in methods:
        monkeypatch.setattr(Path, name, lambda *paths, name=name: refuse(name, *paths))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell what is open")
@pytest.mark.usefixtures("strict_renames")
def test_nothing_that_is_open_is_renamed_where_the_system_refuses(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_text(tmp_path / "a.txt", text)
        file = OutputFile(tmp_path / "a.h5")
        file.h5["x"] = np.arange(4)
        file.finish()
        with owned(tmp_path), filling(tmp_path) as part:
            write_text(part / "b.txt", text)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "a.txt", "b.txt"]
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "two"
    with contextlib.suppress(RuntimeError), claimed(tmp_path / "c.txt"):
        raise RuntimeError
    assert not part_path(tmp_path / "c.txt").exists()


@pytest.mark.usefixtures("strict_renames")
def test_threads_exclude_each_other_without_locks_of_files(tmp_path: Path) -> None:
    found: list[BaseException] = []

    def second() -> None:
        try:
            with claimed(tmp_path / "a.txt"):
                pass
        except OutputError as error:
            found.append(error)

    with claimed(tmp_path / "a.txt"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "Another process is writing" in str(found[0])
