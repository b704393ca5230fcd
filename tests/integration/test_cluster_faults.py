"""A Dask cluster of this machine that loses a worker, then its scheduler: the showers stay the same."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caloforge.cluster import cluster_named, opened
from caloforge.errors import CaloForgeError
from caloforge.signals import kept
from support.dask_here import dask_here, wait_for
from support.showers import assert_same_hits, load

if TYPE_CHECKING:
    from types import ModuleType

    from support.dask_here import DaskHere

pytest.importorskip("distributed")

JOBS = Path(__file__).parents[1] / "data"


def blocks(out: Path) -> int:
    """How many are finished."""
    return len(list(out.with_name(out.name + ".parts").glob("0*.h5")))


def when(out: Path, number: int, kill: object) -> threading.Thread:
    """Do something as soon as there are so many blocks."""

    def watch() -> None:
        wait_for(lambda: blocks(out) >= number)
        kill()  # type: ignore[operator]

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_worker_then_the_scheduler_are_killed(job: ModuleType, tmp_path: Path) -> None:
    out, alone = tmp_path / "a.h5", tmp_path / "alone.h5"
    job.run(alone, isolate=True)
    slow = job.Toy(delay=0.2)
    with dask_here(tmp_path / "dask", path=str(JOBS)) as dask:
        with opened(cluster_named(dask.address)) as executor:
            first = when(out, 2, lambda: dask.kill(dask.worker(0)))
            second = when(out, 5, lambda: dask.kill(dask.scheduler))
            with pytest.raises(CaloForgeError, match="cluster gave a task up, or is gone: run the same"):
                job.run(out, worker=slow, executor=executor)
        first.join()
        second.join()
        assert dask.worker(0).poll() is not None
    assert 5 <= blocks(out) < 14
    job.run(out, isolate=True)
    assert out.read_bytes() == alone.read_bytes()


def start(out: Path, command: tuple[str, ...], *options: str) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "caloforge", *command, "--out", str(out), *options]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors.decode()


def faults(folder: Path, command: tuple[str, ...]) -> tuple[Path, Path]:
    """Make showers in one process, and on a cluster that loses a worker in one run, its head in another."""
    alone, out, other = folder / "alone.h5", folder / "out.h5", folder / "other.h5"
    assert finish(start(alone, command))[0] == 0
    with dask_here(folder / "dask") as dask:
        with_worker_lost(dask, other, command)
        process = start(out, command, "--cluster", dask.address)
        wait_for(lambda: blocks(out) >= 2)
        dask.kill(dask.scheduler)
        code, errors = finish(process)
    assert code == 2
    assert errors.count("error: ") == 1
    assert "run the same command again to go on" in errors
    assert "Traceback" not in errors
    before = {path: path.stat().st_mtime_ns for path in Path(f"{out}.parts").glob("0*.h5")}
    assert before
    assert finish(start(out, command, "--cluster", "dask", "--jobs", "2"))[0] == 0
    assert not Path(f"{out}.parts").exists()
    assert_same_hits(load(alone), load(other))
    return alone, out


def with_worker_lost(dask: DaskHere, out: Path, command: tuple[str, ...]) -> None:
    process = start(out, command, "--cluster", dask.address)
    wait_for(lambda: blocks(out) >= 2)
    dask.kill(dask.worker(0))
    code, errors = finish(process)
    assert code == 0, errors
    assert errors.count("error") == 0


@pytest.mark.slow
def test_generate_goes_on_after_faults(tmp_path: Path) -> None:
    command = ("generate", "mosaic:siw-ecal", "--energy", "10:100", "--count", "3000", "--seed", "5")
    alone, out = faults(tmp_path, command)
    assert alone.read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_generate_with_torch_goes_on_after_faults(tmp_path: Path) -> None:
    model = "caloclouds-2-cm:siw-ecal"
    command = ("generate", model, "--energy", "10:100", "--count", "3000", "--seed", "5", "--threads", "1")
    alone, out = faults(tmp_path, command)
    assert alone.read_bytes() == out.read_bytes()


@pytest.mark.slow
@pytest.mark.geant4
def test_simulate_goes_on_after_faults(tmp_path: Path, shared: Path) -> None:
    if importlib.util.find_spec("geant4_pybind") is None:
        pytest.skip("geant4-pybind is not installed")
    # fifteen blocks of 200 showers
    data = str(shared / "geant4" / "data")
    command = ("simulate", "--geometry", "siw-ecal", "--energy", "0.1:0.3", "--theta", "0:40")
    alone, out = faults(tmp_path, (*command, "--count", "3000", "--seed", "5", "--geant4-data", data))
    assert_same_hits(load(alone), load(out))


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_leaves_a_sentence_and_no_process(tmp_path: Path) -> None:
    command = ("generate", "mosaic:siw-ecal", "--energy", "10:100", "--count", "3000", "--seed", "5")
    out = tmp_path / "out.h5"
    arguments = [*command, "--out", str(out), "--cluster", "dask", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "caloforge", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: blocks(out) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    code, errors = finish(process)
    assert code == 130
    assert "showers are kept: run the same command again to go on" in errors
    assert "Traceback" not in errors
    wait_for(lambda: not members(process.pid), seconds=20)


def members(group: int) -> list[str]:
    """Processes of a group."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [line[2] for line in lines if int(line[0]) == group and not line[1].startswith("Z")]


SBATCH = """#!{python}
import os, subprocess, sys
script = sys.argv[-1]
log = open(os.environ["FAKE_LOG"], "ab")
job = subprocess.Popen(["bash", script], stdout=log, stderr=log, start_new_session=True)
print("Submitted batch job", job.pid)
"""

SCANCEL = """#!{python}
import os, signal, sys
for number in sys.argv[1:]:
    try:
        os.killpg(int(number), signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


@pytest.mark.slow
def test_workers_as_jobs_of_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept():
        pytest.importorskip("dask_jobqueue")
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text.format(python=sys.executable))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "jobs.log"))
    site = tmp_path / "site.yaml"
    site.write_text("kind: slurm\nwalltime: '0:10:00'\nmemory: 1GB\nprologue: ['export ON_A_NODE=1']\n")
    command = ("generate", "mosaic:siw-ecal", "--energy", "10:100", "--count", "400", "--seed", "5")
    one, two = tmp_path / "one.h5", tmp_path / "two.h5"
    assert finish(start(one, command))[0] == 0
    code, errors = finish(start(two, command, "--cluster", str(site), "--jobs", "2"))
    assert code == 0, errors
    assert one.read_bytes() == two.read_bytes()
    assert (tmp_path / "jobs.log").read_bytes().count(b"Start worker at") == 2
