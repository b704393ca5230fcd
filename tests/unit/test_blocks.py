from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from caloforge.blocks import Blocks
from caloforge.blocks.gathering import gathered
from caloforge.errors import CaloForgeError, DataError, OutputError
from support.showers import assert_same_hits, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from caloforge.showers import Showers

JOBS = Path(__file__).parents[1] / "data"


def assert_same(path: Path, job: ModuleType) -> None:
    """The file has the showers 0 to COUNT, in order."""
    found = load(path)
    expected = [job.Toy().shower(i) for i in range(job.COUNT)]
    np.testing.assert_array_equal(found.energy, np.concatenate([s.energy for s in expected]))
    np.testing.assert_array_equal(found.points, np.concatenate([s.points for s in expected]))
    np.testing.assert_array_equal(found.incident.energy, [s.incident.energy[0] for s in expected])
    np.testing.assert_array_equal(found.extras["index"], np.arange(job.COUNT))
    assert sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("pid-")) == [path.name]


@pytest.mark.parametrize("options", [{}, {"isolate": True}, {"processes": 2}])
def test_showers_do_not_depend_on_the_processes(
    job: ModuleType, tmp_path: Path, options: dict[str, Any]
) -> None:
    job.run(tmp_path / "a.h5", **options)
    assert_same(tmp_path / "a.h5", job)
    if options:
        assert set(load(tmp_path / "a.h5").extras["threads"]) == {1}


def test_progress_counts_every_shower(job: ModuleType, tmp_path: Path) -> None:
    seen: list[int] = []

    @contextlib.contextmanager
    def progress(done: int) -> Iterator[Any]:
        seen.append(-done)
        yield seen.append

    with pytest.raises(DataError):
        job.run(tmp_path / "a.h5", worker=job.Toy(trouble="sentence"), progress=progress)
    assert seen == [0] + 6 * [job.BLOCK]
    seen.clear()
    job.run(tmp_path / "a.h5", progress=progress)
    assert seen[0] == -18
    assert sum(seen[1:]) == job.COUNT - 18


@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_that_raises_says_so_and_its_blocks_stay(
    job: ModuleType, tmp_path: Path, processes: int
) -> None:
    with pytest.raises(DataError, match="no shower 20"):
        job.run(tmp_path / "a.h5", worker=job.Toy(trouble="sentence"), processes=processes)
    assert not (tmp_path / "a.h5").exists()
    assert len(list((tmp_path / "a.h5.parts").glob("0*.h5"))) >= 4
    job.run(tmp_path / "a.h5")
    assert_same(tmp_path / "a.h5", job)


def test_a_bug_in_a_worker_names_its_traceback(job: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(CaloForgeError, match=r"KeyError: 'twenty'; the traceback is in .*worker-0\.log"):
        job.run(tmp_path / "a.h5", worker=job.Toy(trouble="bug"), isolate=True)
    assert "Traceback" in (tmp_path / "a.h5.parts" / "worker-0.log").read_text()


def test_a_worker_that_dies_is_an_error_and_not_a_hang(job: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(CaloForgeError, match=r"SIGABRT.* showers 18 to 20"):
        job.run(tmp_path / "a.h5", worker=job.Toy(trouble="crash"), processes=2)
    job.run(tmp_path / "a.h5")
    assert_same(tmp_path / "a.h5", job)


def test_a_failure_before_the_first_block_leaves_nothing(job: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        job.run(tmp_path / "a.h5", worker=job.Toy(trouble="sentence"), size=job.COUNT, isolate=True)
    assert list(tmp_path.iterdir()) == []


def start(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Run the job as a program until it has three blocks."""
    out = tmp_path / "a.h5"
    command = [sys.executable, str(JOBS / "blocks_job.py"), str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("a.h5.parts/0*.h5"))) < 3:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_for_workers(tmp_path: Path) -> None:
    """The workers end by themselves."""
    pids = [int(p.name.removeprefix("pid-")) for p in tmp_path.glob("pid-*")]
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_job_goes_on_where_it_was(job: ModuleType, tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path) as process:
        if number == signal.SIGINT:  # a terminal sends Ctrl-C to the workers too
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.wait(30)
        wait_for_workers(tmp_path)
        errors = process.stderr.read() if process.stderr else b""
    assert process.returncode == -number
    assert errors.count(b"Traceback") == (number == signal.SIGINT)  # of the parent, none of the workers
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "a.h5.parts").glob("0*.h5")}
    assert 3 <= len(done) < 14
    with pytest.raises(DataError):
        job.run(tmp_path / "a.h5", worker=job.Toy(trouble="sentence"))
    assert {p: p.stat().st_mtime_ns for p in done} == done
    job.run(tmp_path / "a.h5")
    assert_same(tmp_path / "a.h5", job)


def test_a_killed_worker_is_an_error_and_the_job_goes_on(job: ModuleType, tmp_path: Path) -> None:
    with start(tmp_path) as process:
        victim = next(tmp_path.glob("pid-*"))
        os.kill(int(victim.name.removeprefix("pid-")), signal.SIGKILL)
        errors = process.stderr.read() if process.stderr else b""
    assert process.returncode == 1
    assert b"CaloForgeError: A worker process died (killed by SIGKILL)" in errors
    job.run(tmp_path / "a.h5")
    assert_same(tmp_path / "a.h5", job)


def test_two_jobs_for_one_file(job: ModuleType, tmp_path: Path) -> None:
    with start(tmp_path) as process:
        with pytest.raises(OutputError, match="Another process is writing"):
            job.run(tmp_path / "a.h5")
        assert process.wait(60) == 0
    assert_same(tmp_path / "a.h5", job)


def test_blocks_of_another_request_are_not_mixed_in(job: ModuleType, tmp_path: Path) -> None:
    other = {"seed": 1, "beam": {"energy": [1, 2]}, "layers": list(range(50))}
    with pytest.raises(DataError):
        job.run(tmp_path / "a.h5", worker=job.Toy(trouble="sentence"), request=other)
    message = r"beam\.energy\.0 1 there and None here.* 50 more\).*--force"
    with pytest.raises(OutputError, match=message) as error:
        job.run(tmp_path / "a.h5")
    assert len(str(error.value)) < 500
    job.run(tmp_path / "a.h5", force=True)
    assert_same(tmp_path / "a.h5", job)


def test_nothing_is_overwritten_without_force(job: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        job.run(tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_text() == "precious"
    job.run(tmp_path / "a.h5", force=True)
    assert_same(tmp_path / "a.h5", job)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let writing beyond ``size`` bytes fail, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("options", [{}, {"isolate": True}])
def test_a_full_disk_in_a_block(job: ModuleType, tmp_path: Path, options: dict[str, Any]) -> None:
    with largest_file(20_000), pytest.raises(OutputError, match=r"Cannot write .*a\.h5: File too large"):
        job.run(tmp_path / "a.h5", worker=job.Toy(hits=5000), **options)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_joining_keeps_the_blocks(job: ModuleType, tmp_path: Path) -> None:
    worker = job.Toy(hits=2000)
    with largest_file(150_000), pytest.raises(OutputError, match="large; 40 of 40 showers are kept: run"):
        job.run(tmp_path / "a.h5", worker=worker)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5.parts"]
    assert len(list((tmp_path / "a.h5.parts").glob("0*.h5"))) == 14
    job.run(tmp_path / "a.h5", worker=worker)
    assert len(load(tmp_path / "a.h5")) == job.COUNT


def test_an_output_that_cannot_be_written(job: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        job.run(tmp_path / "nowhere" / "a.h5")
    (tmp_path / "a.h5.parts").write_text("a file in the way")
    with pytest.raises(OutputError, match="Cannot write"):
        job.run(tmp_path / "a.h5")


def test_a_worker_that_miscounts(job: ModuleType, tmp_path: Path) -> None:
    def miscounting() -> Any:
        return lambda start, stop: job.Toy().make(start, stop + 1)

    with pytest.raises(CaloForgeError, match="returned 4 showers for the range 0 to 3"):
        job.run(tmp_path / "a.h5", worker=miscounting)


def test_ranges_cover_all_showers(job: ModuleType) -> None:
    assert job.production(count=7, size=3).tasks() == [(0, 3), (3, 6), (6, 7)]
    assert job.production(count=7, size=3).blocks == 3
    assert job.production(count=6, size=3).tasks() == [(0, 3), (3, 6)]
    assert job.production(count=0, size=3).tasks() == []


def test_damaged_blocks_are_made_again(
    job: ModuleType, tmp_path: Path, toy_cells: Showers, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = Blocks(tmp_path / "a.h5", job.production(count=15, size=5))
    blocks.folder.mkdir()
    for task in blocks.production.tasks():
        blocks.store.save(task, toy_cells[:5])
    content = bytearray(blocks.store.path((5, 10)).read_bytes())
    place = content.index(b'"threshold": ') + len(b'"threshold": ')
    content[place] ^= 1  # a digit of the metadata, which nothing else protects
    blocks.store.path((5, 10)).write_bytes(content)
    foreign = replace(blocks, production=job.production(count=15, size=5, request={"seed": 8}))
    foreign.store.save((10, 15), toy_cells[:5])
    assert blocks.missing() == [(5, 10), (10, 15)]
    assert "is damaged and made again" in caplog.text
    assert "is a block of another request" in caplog.text
    assert [path.name for path in blocks.store.finished()] == ["0000000000.h5"]


def test_small_blocks_are_written_together(toy_cells: Showers, toy_showers: Showers) -> None:
    extra = replace(toy_cells, extras={"a": np.arange(len(toy_cells))})
    blocks = [toy_cells[:5], toy_cells[5:6], toy_cells[6:], extra, extra, toy_showers]
    found = list(gathered(blocks))
    assert [len(block) for block in found] == [12, 24, 12]
    assert_same_hits(found[0], toy_cells)
    np.testing.assert_array_equal(found[1].extras["a"], np.tile(np.arange(12), 2))
    assert toy_cells.n_hits.sum() * 27 >= 1 << 16
    assert [len(b) for b in gathered([toy_cells] * 700)] == [*[324] * 25, 300]
    assert list(gathered([])) == []
