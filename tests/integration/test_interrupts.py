"""Ctrl-C and SIGTERM at random moments of every command that writes: nothing, or the whole right output."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pytest

from caloforge.formats import NativeWriter, format_named
from caloforge.signals import Terminated, deferred, handled, interruption
from toy_training import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

FORKS = Path(__file__).parents[1] / "data" / "forked_commands.py"
_logger = logging.getLogger(__name__)

MOMENTS = "CALOFORGE_MOMENTS"  # fewer than 30 of them in the slow tests, which take an hour
NUMBERS = (signal.SIGINT, signal.SIGTERM)
MODEL = "caloclouds-2-cm:siw-ecal"  # of the package, the fastest


def raising(number: int, _: object) -> None:
    raise interruption(number)


def content(path: Path) -> dict[str, Any]:
    """All that a HDF5 file holds."""
    found: dict[str, Any] = {}

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        found[f"{name}@"] = sorted(item.attrs.items())
        if isinstance(item, h5py.Dataset):
            rows = item[:]
            ragged = rows.dtype == object
            found[name] = [row.tobytes() for row in rows] if ragged else (rows.shape, rows.tobytes())

    with h5py.File(path) as file:
        look("", file)
        file.visititems(look)
    return found


# ---- in this process: many moments of one write -----------------------------------------------------------


@contextlib.contextmanager
def interrupted(number: int, delay: float) -> Iterator[None]:
    """Send this process a signal after some time; it does not come when the block is over before."""
    over = threading.Event()

    def send() -> None:
        if not over.wait(delay):
            os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    with handled(raising):
        sender.start()
        try:
            yield
        finally:
            with deferred():
                over.set()
                sender.join()


# in a callback of the interpreter, such as a weak reference's, an exception is lost and told on stderr
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["native", "calochallenge", "showerdata", "caloclouds", "ddml"])
def test_a_file_is_whole_or_not_there(
    name: str, tmp_path: Path, make_toy_showers: Callable[..., Showers], siw: Geometry, moments: int
) -> None:
    showers = make_toy_showers(40)
    form = format_named(name)
    options = {"geometry": siw}
    if not form.points:
        from caloforge.geometry import load_geometry, project

        options = {"geometry": load_geometry("cylinder-ds2")}
        showers = project(showers, options["geometry"])

    def save(path: Path) -> None:
        assert form.writer is not None
        with form.writer(path, **options) as writer:
            for start in range(0, 40, 10):
                writer.append(showers[start : start + 10])

    save(tmp_path / "whole.h5")
    started = time.perf_counter()
    save(tmp_path / "again.h5")
    seconds = time.perf_counter() - started
    right = content(tmp_path / "whole.h5")
    rng = random.Random(5)
    stopped = 0
    for moment in range(2 * max(moments, 10)):
        folder = tmp_path / str(moment)
        folder.mkdir()
        try:
            with interrupted(NUMBERS[moment % 2], rng.uniform(0, seconds)):
                save(folder / "a.h5")
        except Terminated:
            assert moment % 2
            stopped += 1
        except KeyboardInterrupt:
            assert not moment % 2
            stopped += 1
        there = [p.name for p in folder.iterdir()]
        assert there in ([], ["a.h5"])
        if there:
            assert content(folder / "a.h5") == right
    assert stopped > max(moments, 10) / 2


# ---- whole commands ---------------------------------------------------------------------------------------


@dataclass
class Case:
    """A command that writes.

    Attributes:
        arguments: Of the command line; OUT is the output.
        ready: Whether the writing has begun, from the folder.
        same: Whether an output is as a whole one.
        parts: Whether unfinished work stays, to go on with.
    """

    arguments: list[str]
    ready: Callable[[Path], bool]
    same: Callable[[Path, Path], bool]
    parts: tuple[str, ...] = ()


class Commands:
    """Starts commands as forks of a process that has imported all they need."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(FORKS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def start(self, arguments: list[str], log: Path) -> int:
        assert self.process.stdin is not None
        print(json.dumps([str(log), *arguments]), file=self.process.stdin, flush=True)
        return int(self._line())

    def wait(self) -> int:
        return int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    made = Commands()
    yield made
    made.close()


@pytest.fixture
def moments(request: pytest.FixtureRequest) -> int:
    """How many with each signal."""
    return int(os.environ.get(MOMENTS, "30")) if request.node.get_closest_marker("slow") else 1


@pytest.fixture(scope="module")
def showers(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A file, and beside it ``many.h5`` with more showers."""
    folder = tmp_path_factory.mktemp("showers")
    with NativeWriter(folder / "many.h5", geometry=siw) as writer:
        for _ in range(12):
            writer.append(make_toy_showers(150))
    return write(folder / "toy.h5", make_toy_showers(150), siw)


def part_is_there(folder: Path) -> bool:
    return (folder / "o.h5.part").exists()


def a_block_is_there(folder: Path) -> bool:
    return any(folder.glob("o.h5.parts/0*.h5"))


def same_h5(one: Path, two: Path) -> bool:
    return content(one) == content(two)


def same_simulation(one: Path, two: Path) -> bool:
    """All but the time that a shower took, and its checksum."""
    times = "extras/geant4_cpu_seconds"
    contents = [content(path) for path in (one, two)]
    for each in contents:
        attributes = dict(each["@"])
        del each[times]
        sums = json.loads(attributes.pop("caloforge_checksums"))
        each["@"] = (attributes, {name: value for name, value in sums.items() if name != times})
    return contents[0] == contents[1]


def same_bytes(one: Path, two: Path) -> bool:
    return one.read_bytes() == two.read_bytes()


def same_model(one: Path, two: Path) -> bool:
    names = ("model/model.safetensors", "model/config.json", "config.yaml")
    return all(same_bytes(one / name, two / name) for name in names)


def same_evaluation(one: Path, two: Path) -> bool:
    """Equal metrics; the same figures and a whole page."""
    metrics = [json.loads((p / "metrics.json").read_text()) for p in (one, two)]
    for each in metrics:
        del each["settings"]
    names = [sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) for folder in (one, two)]
    pages = [(p / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>") for p in (one, two)]
    return metrics[0] == metrics[1] and names[0] == names[1] and all(pages)


def is_page(one: Path, _: Path) -> bool:
    return one.read_text(encoding="utf-8").rstrip().endswith("</html>")


def is_json(one: Path, _: Path) -> bool:
    return len(json.loads(one.read_text())["models"]) == 1


SMALL = (
    "model.sampler.steps=2",
    "log_steps=4",
    "checkpoint_steps=8",
    "training.shower_flow={steps: 40, batch_size: 16, ema: 0.9, validate_every: 6, keep: best}",
    "training.point_diffusion={steps: 40, batch_size: 8, points: 16, ema: 0.9, optimiser: radam}",
)
BEAM = ("--energy", "10:90", "--batch-size", "10", "--count", "250")
CASES = {
    "convert": Case(["convert", "MANY", "OUT"], part_is_there, same_h5),
    "convert-showerdata": Case(["convert", "MANY", "OUT", "--format", "showerdata"], part_is_there, same_h5),
    "convert-calochallenge": Case(
        ["convert", "MANY", "OUT", "--format", "calochallenge", "--geometry", "calochallenge-2"],
        part_is_there,
        same_h5,
    ),
    "convert-caloclouds": Case(["convert", "MANY", "OUT", "--format", "caloclouds"], part_is_there, same_h5),
    "convert-ddml": Case(["convert", "MANY", "OUT", "--format", "ddml"], part_is_there, same_h5),
    "fetch": Case(["data", "fetch", "siw-ecal-photons", "--out", "OUT"], part_is_there, same_bytes),
    "generate": Case(["generate", MODEL, *BEAM, "--out", "OUT"], a_block_is_there, same_h5, ("o.h5.parts",)),
    "generate-2": Case(
        ["generate", MODEL, *BEAM, "--processes", "2", "--out", "OUT"],
        a_block_is_there,
        same_h5,
        ("o.h5.parts",),
    ),
    "simulate": Case(
        ["simulate", "--geometry", "siw-ecal", "--energy", "1", "--count", "1000", "--out", "OUT"],
        a_block_is_there,
        same_simulation,
        ("o.h5.parts",),
    ),
    "train": Case(
        ["train", "caloclouds-2/smoke", *SMALL, "--data", "IN", "--threads", "1", "--out", "OUT"],
        lambda folder: (folder / "o.h5" / "config.yaml").exists(),
        same_model,
        ("o.h5",),
    ),
    "fit": Case(
        ["train", "mosaic/smoke", "--data", "IN", "--threads", "1", "--out", "OUT"],
        lambda folder: (folder / "o.h5" / "config.yaml").exists(),
        same_model,
        ("o.h5",),
    ),
    "evaluate": Case(
        ["evaluate", "--reference", "IN", "--generated", "a=IN", "--count", "60", "--out", "OUT", "--no-pdf"],
        lambda folder: (folder / "o.h5" / ".part" / "metrics.json").exists(),
        same_evaluation,
    ),
    "show": Case(["show", "IN", "--out", "OUT.html"], lambda f: (f / "o.h5.html.part").exists(), is_page),
    "show-png": Case(
        ["show", "IN", "--out", "OUT.png"], lambda f: (f / "o.h5.png.part").exists(), same_bytes
    ),
    "geometries": Case(
        ["geometries", "calochallenge-2", "--xml", "OUT.xml"],
        lambda f: (f / "o.h5.xml.part").exists(),
        same_bytes,
    ),
    "benchmark": Case(
        [
            "benchmark",
            MODEL,
            "--showers=4",
            "--batch-sizes=4",
            "--threads=1",
            "--repetitions=2",
            "--out",
            "OUT",
        ],
        part_is_there,
        is_json,
    ),
}
QUICK = ("convert", "generate", "show")


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


class Trial:
    """One command, interrupted."""

    def __init__(self, case: Case, commands: Commands, source: Path, folder: Path) -> None:
        self.case, self.commands, self.folder = case, commands, folder
        words = {"MANY": str(source.with_name("many.h5")), "IN": str(source), "OUT": str(folder / "o.h5")}
        self.arguments = list(case.arguments)
        for word, path in words.items():
            self.arguments = [a.replace(word, path) for a in self.arguments]
        self.log = folder.parent / f"{folder.name}.log"
        folder.mkdir()

    @property
    def output(self) -> Path:
        """The file or folder that the command writes."""
        return next(Path(a) for a in self.arguments if a.startswith(str(self.folder / "o.h5")))

    def whole(self) -> float:
        """Run it to its end; returns how long the writing takes [s]."""
        pid = self.commands.start(self.arguments, self.log)
        self._wait_until_ready(pid)
        began = time.time()
        assert self.commands.wait() == 0, self.log.read_text()
        return max(0.01, *(p.stat().st_mtime - began for p in self.folder.rglob("*")))

    def interrupted(self, number: int, delay: float) -> int:
        """Send the signal some time after the writing has begun; returns the exit code."""
        pid = self.commands.start(self.arguments, self.log)
        self._wait_until_ready(pid)
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)  # as terminals and batch systems do: to the workers, too
        return self.commands.wait()

    def _wait_until_ready(self, pid: int) -> None:
        while not self.case.ready(self.folder) and alive(pid):
            time.sleep(0.0005)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def check(name: str, moments: int, commands: Commands, source: Path, tmp_path: Path) -> dict[str, int]:
    """Interrupt a command at so many random moments with each signal; counts of what came out."""
    case = CASES[name]
    reference = Trial(case, commands, source, tmp_path / "whole")
    seconds = reference.whole()
    rng = random.Random(name)
    counts = dict.fromkeys(("complete", "nothing", "kept", "resumed"), 0)
    for n in range(2 * moments):
        number = NUMBERS[n % 2]
        trial = Trial(case, commands, source, tmp_path / str(n))
        code = trial.interrupted(number, rng.uniform(0, seconds))
        log = trial.log.read_text()
        told = f"{name} {n}, signal {number}: exit {code}, {listing(trial.folder)}\n{log}"
        assert code in (0, 128 + number), told
        assert "Traceback" not in log, told
        assert code == 0 or log.count("interrupted") == 1, told
        there = listing(trial.folder)
        if there and there == [trial.output.name] and (code == 0 or case.parts != (trial.output.name,)):
            counts["complete"] += 1
            assert case.same(trial.output, reference.output), told
        elif not there:
            counts["nothing"] += 1
        else:
            assert tuple(there) == case.parts, told
            counts["kept"] += 1
            trial.whole()
            assert case.same(trial.output, reference.output), told
            assert listing(trial.folder) == [trial.output.name], told
            counts["resumed"] += 1
    _logger.info("%s: %s", name, counts)
    return counts


@pytest.mark.parametrize("name", QUICK)
def test_a_command_is_interrupted(
    name: str, commands: Commands, showers: Path, tmp_path: Path, moments: int
) -> None:
    check(name, moments, commands, showers, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name != "simulate"])
def test_a_command_is_interrupted_at_many_moments(
    name: str, commands: Commands, showers: Path, tmp_path: Path, moments: int
) -> None:
    counts = check(name, moments, commands, showers, tmp_path)
    if name != "fetch":  # a copy of a megabyte is over before most signals come
        assert counts["nothing"] + counts["kept"] > moments / 2


@pytest.mark.slow
@pytest.mark.geant4
def test_a_simulation_is_interrupted_at_many_moments(
    *,
    commands: Commands,
    showers: Path,
    shared: Path,
    tmp_path: Path,
    moments: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES["simulate"]
    arguments = [*case.arguments, "--geant4-data", str(shared / "geant4" / "data")]
    monkeypatch.setitem(CASES, "simulate", replace(case, arguments=arguments))
    counts = check("simulate", moments, commands, showers, tmp_path)
    assert counts["resumed"] > moments / 2
