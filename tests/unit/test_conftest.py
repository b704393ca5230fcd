"""A skip that CI must not allow is a failure there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest

def test_shared(shared):
    pytest.skip("cannot")

@pytest.mark.geant4
def test_geant4():
    pytest.skip("no Geant4")

@pytest.mark.xfail(strict=True, reason="known")
def test_expected_failure(shared):
    raise AssertionError

def test_other():
    pytest.skip("no display")

def test_runs(shared):
    assert shared.is_dir()
"""
MODULE = "import pytest\npytest.importorskip('a_package_that_is_not_there')\n"


def outcomes(folder: Path, **environment: str) -> str:
    """The last line of pytest's output."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", folder)
    (folder / "test_some.py").write_text(TESTS)
    (folder / "test_module.py").write_text(MODULE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = geant4: needs Geant4\n")
    unset = {"CI", "CALOFORGE_CI", "CALOFORGE_SHARED"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "."]
    command += ["--continue-on-collection-errors"]
    shown = subprocess.run(
        command, cwd=folder, env=kept | environment, capture_output=True, text=True, check=False
    )
    return shown.stdout.splitlines()[-1]


def test_in_ci(tmp_path: Path) -> None:
    line = outcomes(tmp_path, CALOFORGE_SHARED=str(tmp_path), CALOFORGE_CI="1")
    assert line.startswith("2 failed, 1 passed, 1 skipped, 1 xfailed, 1 error")


def test_with_data_outside_of_ci(tmp_path: Path) -> None:
    assert outcomes(tmp_path, CALOFORGE_SHARED=str(tmp_path)).startswith("1 passed, 4 skipped, 1 xfailed")


def test_without_data(tmp_path: Path) -> None:
    assert outcomes(tmp_path, CI="true").startswith("6 skipped")


def test_a_wrong_folder_is_an_error(tmp_path: Path) -> None:
    line = outcomes(tmp_path, CALOFORGE_SHARED=str(tmp_path / "missing"))
    assert "2 errors" in line
