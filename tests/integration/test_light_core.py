"""What works without the packages of any extra, and what the rest says."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from caloforge.zoo import reference_path

if TYPE_CHECKING:
    from pathlib import Path

EXTRAS = {
    *("torch", "zuko", "lightning_fabric", "onnx", "onnxscript", "onnxruntime"),
    *("matplotlib", "mplhep", "plotly", "jinja2", "PIL"),
    *("geant4_pybind", "showerdata", "uproot", "awkward", "pyarrow", "pooch"),
    *("distributed", "dask", "dask_jobqueue", "mpi4py", "IPython", "pandas", "numba", "sympy"),
}
BLOCK = """
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocked())
"""


LINES = """
import shlex, sys
from caloforge.cli import main
for line in sys.stdin.read().splitlines():
    sys.argv = ["caloforge", *shlex.split(line)]
    try:
        main()
    except SystemExit as end:
        print(f"END {end.code}", file=sys.stderr, flush=True)
"""


def call(folder: Path, *words: str, absent: set[str] = EXTRAS) -> subprocess.CompletedProcess[str]:
    return _python(folder, "-m", "caloforge", *words, absent=absent)


def _python(
    folder: Path, *words: str, lines: str = "", absent: set[str] = EXTRAS
) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(f"ABSENT = {absent!r}\n{BLOCK}")
    paths = [str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_mosaic_generates(tmp_path: Path) -> None:
    words = ("generate", "mosaic:siw-ecal", "--energy", "50", "--count", "3", "--out", "a.h5")
    made = call(tmp_path, *words, absent=EXTRAS | {"scipy", "sklearn"})
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "a.h5").is_file()


def test_showers_are_judged(tmp_path: Path) -> None:
    reference = str(reference_path())
    words = ("evaluate", "--reference", reference, "--generated", f"a={reference}", "--out", "judged")
    judged = call(tmp_path, *words, "--count", "30")
    assert judged.returncode == 0, judged.stderr
    assert {path.name for path in (tmp_path / "judged").iterdir()} == {"metrics.json", "summary.md"}
    assert judged.stdout.strip().endswith("summary.md")
    told = "page and figures need the package matplotlib: install it with pip install 'caloforge[report]'."
    assert judged.stderr.strip().endswith(told)


def test_what_needs_neither_networks_nor_pictures(tmp_path: Path) -> None:
    lines = [
        "data fetch siw-ecal-photons --out photons.h5",
        "inspect photons.h5",
        "convert photons.h5 converted.h5 --format native",
        "geometries",
        "models",
        "models mosaic:siw-ecal",
        "show photons.h5 --out a.png",
        "demo --model caloclouds-2 --out demo",
    ]
    done = _python(tmp_path, "-c", LINES, lines="\n".join(lines))
    codes = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("END")]
    assert codes == ["0"] * 6 + ["2"] * 2, done.stderr
    assert (
        "caloforge: error: Pictures of showers need the package matplotlib: "
        "install it with pip install 'caloforge[report]'.\n"
    ) in done.stderr
    assert "Networks need the package torch" in done.stderr.splitlines()[-2]


@pytest.mark.slow
def test_the_demo_has_what_generates_without_torch(tmp_path: Path) -> None:
    done = call(tmp_path, "demo", "--count", "60", "--out", "demo")
    assert done.returncode == 0, done.stderr
    assert "networks need torch (pip install 'caloforge[train]')" in done.stdout
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        *("mosaic.h5", "metrics.json", "summary.md"),
    }


@pytest.mark.parametrize(
    "words",
    [
        ("train", "mosaic/smoke", "--data", str(reference_path()), "--out", "run"),
        ("generate", "caloclouds-2-cm:siw-ecal", "--energy", "50", "--count", "2", "--out", "a.h5"),
        ("models", "caloclouds-2"),
    ],
    ids=lambda words: words[0],
)
def test_networks_are_missed_in_one_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    failed = call(tmp_path, *words)
    assert failed.returncode == 2
    assert failed.stderr.strip().splitlines()[-1] == (
        "caloforge: error: Networks need the package torch: install it with pip install 'caloforge[train]'; "
        "mosaic generates, and `evaluate --metrics fast` judges, without it."
    )


OF_ANOTHER_SYSTEM = """
import multiprocessing.connection, os, shlex, signal, subprocess, sys, tempfile
import h5py, numpy, pydantic, rich.console, rich.table, scipy.stats, sysconfig, typer, typer.rich_utils
import zoneinfo
sysconfig.get_config_vars()
for name in ("SIGHUP", "SIGUSR1", "SIGALRM", "SIGKILL", "setitimer", "pthread_sigmask"):
    delattr(signal, name)
for name in ("sched_getaffinity", "fork", "killpg", "getuid"):
    delattr(os, name)
sys.modules.update(dict.fromkeys(["fcntl", "resource", "pwd", "grp"]))
sys.platform = "win32"
"""


@pytest.mark.slow
def test_the_core_needs_nothing_that_only_unix_has(tmp_path: Path) -> None:
    lines = [
        "data fetch siw-ecal-photons --out photons.h5",
        "inspect photons.h5",
        "generate mosaic:siw-ecal --like photons.h5 --count 30 --out made.h5",
        "generate mosaic:siw-ecal --like photons.h5 --count 30 --out made.h5 --force",
        "convert made.h5 converted.h5 --format native",
        "evaluate --reference photons.h5 --generated a=made.h5 --count 30 --out judged",
        "--help",
    ]
    done = _python(tmp_path, "-c", OF_ANOTHER_SYSTEM + LINES, lines="\n".join(lines))
    codes = [line for line in done.stderr.splitlines() if line.startswith("END")]
    assert codes == ["END 0"] * len(lines), done.stderr
    assert not list(tmp_path.glob("*.part"))
