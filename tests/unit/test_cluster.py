"""Blocks over executors of any kind, and which cluster an option names."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caloforge.blocks.store import BlockStore
from caloforge.cluster import Cluster, cluster_named, opened, run_spread
from caloforge.cluster.children import Remote
from caloforge.cluster.opening import _needed, _options, seconds_of
from caloforge.errors import CaloForgeError, ConfigError, DataError
from caloforge.signals import STOPPING, kept
from command_line import refused

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def alone(job: ModuleType, tmp_path: Path) -> bytes:
    """What one process writes."""
    folder = tmp_path / "alone"
    folder.mkdir()
    job.run(folder / "a.h5", isolate=True)  # with one thread, which the toy notes
    return (folder / "a.h5").read_bytes()


def threads(workers: int = 2) -> Executor:
    return ThreadPoolExecutor(workers)


def test_any_executor_makes_the_same_file(job: ModuleType, tmp_path: Path, alone: bytes) -> None:
    with threads() as executor:
        job.run(tmp_path / "a.h5", executor=executor)
        job.run(tmp_path / "b.h5", executor=executor, worker=job.Toy(pids=tmp_path))
    assert (tmp_path / "a.h5").read_bytes() == alone
    assert (tmp_path / "b.h5").read_bytes() == alone
    pids = {path.name for path in tmp_path.glob("pid-*")}
    assert 1 <= len(pids) <= 2  # kept for all blocks
    assert f"pid-{os.getpid()}" not in pids
    assert not (tmp_path / "a.h5.parts").exists()


def test_processes_of_the_standard_library_too(job: ModuleType, tmp_path: Path, alone: bytes) -> None:
    import multiprocessing as mp

    with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as executor:
        job.run(tmp_path / "a.h5", executor=executor)
    assert (tmp_path / "a.h5").read_bytes() == alone


def test_without_a_shared_disk_the_showers_travel(
    job: ModuleType, tmp_path: Path, alone: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "sitecustomize.py").write_text(
        "from caloforge.blocks.store import BlockStore\nBlockStore.is_here = lambda store: False\n"
    )
    monkeypatch.syspath_prepend(str(away))
    saved: list[tuple[int, int]] = []
    save = BlockStore.save
    monkeypatch.setattr(
        BlockStore, "save", lambda store, task, showers: saved.append(task) or save(store, task, showers)
    )
    with threads(1) as executor:
        job.run(tmp_path / "a.h5", executor=executor)
    assert len(saved) == 14
    assert (tmp_path / "a.h5").read_bytes() == alone


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        ("sentence", DataError, "The toy has no shower 20"),
        ("bug", CaloForgeError, "A worker failed with KeyError: 'twenty'"),
        ("crash", CaloForgeError, r"died \(killed by SIGABRT\) at the task \(18, 21\)"),
    ],
)
def test_what_fails_on_a_worker_is_one_sentence_here(
    job: ModuleType, tmp_path: Path, *, trouble: str, kind: type[Exception], words: str
) -> None:
    with threads(1) as executor:
        with pytest.raises(kind, match=words):
            job.run(tmp_path / "a.h5", executor=executor, worker=job.Toy(trouble=trouble))
        assert len(list((tmp_path / "a.h5.parts").glob("0*.h5"))) == 6
        job.run(tmp_path / "a.h5", executor=executor)


def test_the_words_of_a_process_that_died_are_told(tmp_path: Path) -> None:
    with threads(1) as executor, pytest.raises(CaloForgeError, match="last words: no room for you;"):
        list(run_spread([(1,)], _last_words, executor=executor))


def _last_words() -> Any:
    sys.stdout.write("no room for you\n")
    sys.stdout.flush()
    os._exit(3)


def test_another_version_on_a_worker_is_refused() -> None:
    remote = dataclasses.replace(Remote.of(_last_words), version="0.0.1")
    with pytest.raises(CaloForgeError, match=r"has caloforge .*, not 0\.0\.1: install the same"):
        remote(1)


class Lost(Executor):
    """A cluster that goes away with the third task."""

    def __init__(self, error: BaseException | None) -> None:
        self.error, self.count = error, 0

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.count += 1
        if self.count < 3:
            future.set_result(fn(*args))
        elif self.error is None:
            future.cancel()
        else:
            future.set_exception(self.error)
        return future


@pytest.mark.parametrize("error", [None, CancelledError(), OSError("no route to host")])
def test_a_lost_cluster_keeps_the_blocks(
    job: ModuleType, tmp_path: Path, alone: bytes, error: BaseException | None
) -> None:
    with pytest.raises(CaloForgeError, match=r"^The cluster .*: run the same command again"):
        job.run(tmp_path / "a.h5", executor=Lost(error))
    assert len(list((tmp_path / "a.h5.parts").glob("0*.h5"))) == 2
    job.run(tmp_path / "a.h5", isolate=True)
    assert (tmp_path / "a.h5").read_bytes() == alone


def test_an_interruption_cancels_what_was_handed_out() -> None:
    held = threading.Event()

    class Slow(Executor):
        futures: list[Future[Any]] = []  # noqa: RUF012

        def submit(self, _: Any, /, *args: Any, **__: Any) -> Future[Any]:
            future: Future[Any] = Future()
            self.futures.append(future)
            if args == (0,):
                future.set_result(0)
            held.set()
            return future

    tasks = run_spread([(0,), (1,), (2,)], _last_words, executor=Slow())
    assert next(tasks) == ((0,), 0)
    tasks.close()
    assert [future.cancelled() for future in Slow.futures] == [False, True, True]


def test_clusters_by_name_address_and_file(tmp_path: Path) -> None:
    assert cluster_named("dask") == Cluster()
    assert cluster_named("dask://login1:8786").scheduler == "tcp://login1:8786"
    assert cluster_named("slurm", jobs=100, walltime="2:00:00") == Cluster(
        kind="slurm", jobs=100, walltime="2:00:00"
    )
    file = tmp_path / "site.yaml"
    file.write_text("kind: slurm\njobs: 50\nqueue: short\ndirectives: ['--constraint=avx2']\n")
    assert cluster_named(str(file), jobs=60) == Cluster(
        kind="slurm", jobs=60, queue="short", directives=["--constraint=avx2"]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("slrum", "Unknown cluster 'slrum': did you mean 'slurm'"),
        (
            "dask://nowhere",
            "address of the cluster .*: got 'dask://nowhere', expected an address",
        ),
        ("kind: slurm\nwaltime: '1:00:00'\n", "unknown key 'waltime': did you mean 'walltime'"),
        ("kind: slurm\nwalltime: 2 days\n", "got '2 days', expected hours:minutes:seconds"),
        ("kind: slurm\naddress: dask://a:1\n", "got an address for slurm, expected kind: dask"),
        ("kind: condor\ndirectives: [a]\n", "got directives of condor, expected a section"),
        ("- slurm\n", "expected keys and values"),
    ],
)
def test_what_names_no_cluster(tmp_path: Path, text: str, words: str) -> None:
    name = text
    if "\n" in text:
        name = str(tmp_path / "site.yaml")
        Path(name).write_text(text)
    with pytest.raises(ConfigError, match=words):
        cluster_named(name)


def test_options_that_do_not_go_together() -> None:
    command = ("generate", "mosaic:siw-ecal", "--energy", "50", "--count", "5", "--out", "a.h5")
    assert "--jobs and --walltime need --cluster" in refused(*command, "--jobs", "5")
    assert "leave --processes out" in refused(*command, "--cluster", "dask", "--processes", "2")
    assert "--jobs asks for workers" in refused(*command, "--cluster", "dask://a:1", "--jobs", "2")
    assert "--walltime is for jobs of a batch system" in refused(
        *command, "--cluster", "dask", "--walltime", "1:00:00"
    )


def test_what_batch_systems_are_asked_for() -> None:
    cluster = cluster_named("slurm", jobs=5, walltime="2:00:00")
    options = _options(cluster)
    assert options["walltime"] == "2:00:00"
    assert options["python"] == sys.executable
    assert "queue" not in options
    condor = Cluster(kind="condor", walltime="1:30:00", directives={"MY.Project": '"x"'})
    assert _options(condor)["job_extra_directives"] == {"MY.MaxRuntime": "5400", "MY.Project": '"x"'}
    assert _options(Cluster(kind="lsf", account="atlas"))["project"] == "atlas"
    assert [seconds_of(text) for text in ("1:30", "1:30:05", "2-00:00:00")] == [5400, 5405, 172800]


def test_libraries_of_clusters_leave_ctrl_c_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """dask_jobqueue makes it an exit without an error, when it is imported."""
    with kept():
        pytest.importorskip("dask_jobqueue")
    for name in [name for name in sys.modules if name.partition(".")[0] == "dask_jobqueue"]:
        monkeypatch.delitem(sys.modules, name)
    before = [signal.getsignal(number) for number in STOPPING]
    assert _needed("dask_jobqueue").SLURMCluster
    assert [signal.getsignal(number) for number in STOPPING] == before
    with kept():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is before[STOPPING.index(signal.SIGINT)]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "slurm",
            ["#SBATCH -p short", "#SBATCH -A atlas", "#SBATCH -t 2:00:00", "#SBATCH --constraint=avx2"],
        ),
        ("pbs", ["#PBS -q short", "#PBS -A atlas", "#PBS -l walltime=2:00:00"]),
        ("lsf", ["#BSUB -q short", '#BSUB -P "atlas"', "#BSUB -W 2:00\n"]),
        ("sge", ["#$ -q short", "#$ -P atlas", "#$ -l h_rt=2:00:00"]),
        ("condor", ["MY.MaxRuntime = 7200", "accounting_group = atlas"]),
    ],
)
def test_job_scripts_of_dask_jobqueue(kind: Any, words: list[str]) -> None:
    with kept():
        jobqueue = pytest.importorskip("dask_jobqueue")
    directives = {"MY.A": "1"} if kind == "condor" else ["--constraint=avx2"]
    cluster = Cluster(kind=kind, walltime="2:00:00", queue="short", account="atlas", directives=directives)
    job = {"slurm": "slurm.SLURMJob", "pbs": "pbs.PBSJob", "lsf": "lsf.LSFJob", "sge": "sge.SGEJob"}
    path = job.get(kind, "htcondor.HTCondorJob")
    module, name = path.split(".")
    made = getattr(getattr(jobqueue, module), name)
    options = {key: value for key, value in _options(cluster).items() if key != "silence_logs"}
    script = made("tcp://127.0.0.1:1", name="worker", **options).job_script()
    for word in words:
        assert word in script


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("caloforge.cluster.opening._SECONDS", 0.5)
    with (
        pytest.raises(CaloForgeError, match=r"^No Dask scheduler answers at dask://127\.0\.0\.1:1: start"),
        opened(cluster_named("dask://127.0.0.1:1")),
    ):
        pass


def test_a_batch_system_that_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("PATH", str(tmp_path))
    words = "slurm needs the program sbatch, which is not here"
    with pytest.raises(ConfigError, match=words), opened(cluster_named("slurm")):
        pass


def test_mpi_without_workers() -> None:
    with pytest.raises(CaloForgeError, match="mpi"), opened(cluster_named("mpi")):
        pass


def test_the_file_of_a_cluster_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in Cluster.model_fields)


def test_windows_has_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="Linux and macOS"), opened(cluster_named("slurm")):
        pass
