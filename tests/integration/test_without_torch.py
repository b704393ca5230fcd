"""What works without the networks' packages, and what the rest says."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from caloforge.zoo import reference_path

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = """
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "zuko", "lightning_fabric"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocked())
"""


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(BLOCK)
    paths = [str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return subprocess.run(
        [sys.executable, "-m", "caloforge", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_mosaic_generates(tmp_path: Path) -> None:
    made = call(tmp_path, "generate", "mosaic:siw-ecal", "--energy", "50", "--count", "3", "--out", "a.h5")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "a.h5").is_file()


@pytest.mark.slow
def test_showers_are_judged(tmp_path: Path) -> None:
    reference = str(reference_path())
    words = ("evaluate", "--reference", reference, "--generated", f"a={reference}", "--out", "judged")
    judged = call(tmp_path, *words, "--count", "30")
    assert judged.returncode == 0, judged.stderr
    assert (tmp_path / "judged" / "report.html").is_file()


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
