"""Fixtures that several test modules share."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

from caloforge.geometry import Geometry, load_geometry, project
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from types import ModuleType

    from caloforge.training import TrainingData

SHARED = "CALOFORGE_SHARED"

# no deadline: a machine under load is not a defect; derandomized: what passed once passes again
settings.register_profile("caloforge", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("caloforge")


def skips_are_failures() -> bool:
    """In CI, where the data are there, a test that needs them must run."""
    return bool(os.environ.get(SHARED)) and bool(os.environ.get("CI") or os.environ.get("CALOFORGE_CI"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip of a test that needs the shared data or Geant4 into a failure in CI."""
    report = yield
    needed = "shared" in getattr(item, "fixturenames", ()) or item.get_closest_marker("geant4")
    if report.skipped and not hasattr(report, "wasxfail") and needed and skips_are_failures():
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {call.excinfo and call.excinfo.value}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure in CI."""
    report = yield
    if report.outcome == "skipped" and skips_are_failures():
        report.outcome = "failed"
        report.longrepr = f"module skipped, which CI does not allow: {report.longrepr}"
    return report


def pytest_configure() -> None:
    """Tests know no models of whoever runs them; and they interrupt programs, also in a shell's background.

    Jobs in the background of a shell ignore Ctrl-C, and so would the programs that tests interrupt.
    """
    os.environ["CALOFORGE_CACHE"] = str(Path(tempfile.gettempdir()) / "caloforge-tests-have-no-cache")
    os.environ.pop("CALOFORGE_ZOO", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Commands that run in this process set up a log of their own."""
    logger = logging.getLogger("caloforge")
    before, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of Geant4 showers and Geant4 data that is not part of the repository."""
    name = os.environ.get(SHARED)
    if not name:
        pytest.skip(f"{SHARED} is not set: these tests need the folder with the Geant4 showers")
    if not Path(name).is_dir():
        pytest.fail(f"{SHARED}={name} is not a folder")
    return Path(name)


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The toy job of blocks, importable in processes of workers too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "data"))
    import blocks_job

    return blocks_job  # type: ignore[no-any-return]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models are downloaded to, in a cache of the test's own."""
    monkeypatch.setenv("CALOFORGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo of four versions of a small model."""
    from support.zoo_here import make_zoo

    return make_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def siw() -> Geometry:
    """The silicon-tungsten calorimeter."""
    return load_geometry("siw-ecal")


@pytest.fixture(scope="session")
def make_toy_showers(siw: Geometry) -> Callable[..., Showers]:
    """``make_toy_showers(count, seed=0)``: analytic photon showers as points on the fine grid of ``siw``.

    A gamma distribution in depth, an exponential one in radius; shower 5 of each dozen is empty.
    """

    def make(count: int, *, seed: int = 0) -> Showers:
        rng = np.random.default_rng(seed)
        energy = rng.uniform(10_000.0, 100_000.0, count)
        n_hits = rng.poisson(energy / 150.0)
        n_hits[5::12] = 0
        parents = np.repeat(energy, n_hits)
        hits = len(parents)
        layer = np.minimum(rng.gamma(3.5, 0.6 * np.log(parents / 8.0) / 2.0), 29.0).astype(np.int64)
        radius, angle = rng.exponential(9.0, hits), rng.uniform(0, 2 * np.pi, hits)
        lateral = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
        snapped = (np.floor(lateral / siw.fine_pitch) + 0.5) * siw.fine_pitch
        return Showers(
            incident=Incident.of(energy),
            offsets=np.concatenate([[0], np.cumsum(n_hits)]),
            energy=rng.exponential(0.025 * 150.0, hits),
            points=np.column_stack([snapped, siw.layer_z[layer]]),
            meta=ShowerMeta(geometry=siw.name, pitch=siw.fine_pitch, threshold=1e-4),
        )

    return make


@pytest.fixture(scope="module")
def data(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> TrainingData:
    """Toy showers to train on."""
    from toy_training import training_data

    return training_data(tmp_path_factory.mktemp("data"), make_toy_showers(120), siw)


@pytest.fixture(scope="session")
def toy_showers(make_toy_showers: Callable[..., Showers]) -> Showers:
    """Twelve analytic showers (points), the sixth one empty."""
    return make_toy_showers(12)


@pytest.fixture(scope="session")
def toy_cells(toy_showers: Showers, siw: Geometry) -> Showers:
    """The twelve showers in the read-out cells of ``siw``."""
    return project(toy_showers, siw)
