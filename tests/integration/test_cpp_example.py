"""The C++ example loads a model's file and makes Python's showers, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from caloforge.models.mosaic import reference
from caloforge.models.mosaic.codes import energy_code
from caloforge.models.mosaic.engine_file import write_engine_file
from caloforge.models.mosaic.words import keys_of
from caloforge.streams import Streams
from support.mosaic_build import random_program, random_roots

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake"),
    pytest.mark.skipif(
        all(shutil.which(name) is None for name in ("c++", "g++", "clang++")),
        reason="there is no C++ compiler",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("build")
    for command in (["cmake", "-S", EXAMPLE, "-B", build], ["cmake", "--build", build]):
        subprocess.run(command, check=True, capture_output=True)
    return build / "showers"


def told(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def test_its_cells_are_python_s(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    steps, tables = random_program(rng, 50)
    roots = random_roots(rng, steps, 8)
    write_engine_file(tmp_path / "m.mosaic", steps, tables, roots)
    out = told(program, tmp_path / "m.mosaic", 42.5, 20, 2**40 + 3).stdout.splitlines()
    keys = keys_of(Streams(2**40 + 3, np.arange(20)))
    codes = np.tile(np.array([int(energy_code(42.5)), 0], np.int16), (20, 1))
    counts, cell, energy = reference.generate(
        steps, tables, roots, np.full(20, 42.5, np.float32), codes, keys
    )
    lines = [line.split()[1:] for line in out if line.startswith("cell ")]
    assert counts[0] == len(lines) > 0
    assert [int(number) for number, _ in lines] == cell[: counts[0]].tolist()
    assert np.array([deposit for _, deposit in lines], np.float32).tobytes() == energy[: counts[0]].tobytes()
    assert f"hits {counts.mean():.3f}" in out


def test_what_is_no_model_is_told_in_one_sentence(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    steps, tables = random_program(rng, 20)
    whole = tmp_path / "whole.mosaic"
    write_engine_file(whole, steps, tables, random_roots(rng, steps, 3))
    data = whole.read_bytes()
    other = tmp_path / "other.mosaic"
    for broken in (b"", data[:9], b"X" + data[1:], data[:900], data[:-9], data[:8] + b"\x7f" + data[9:]):
        other.write_bytes(broken)
        done = told(program, other, 42.5, 1, 1)
        assert done.returncode == 1
        assert done.stderr.startswith(str(other))
        assert done.stderr.endswith(".\n")
    for place in rng.integers(0, len(data), 300):  # a byte anywhere
        wrong = bytearray(data)
        wrong[place] ^= int(rng.integers(1, 256))
        other.write_bytes(wrong)
        done = told(program, other, 42.5, 3, 1)
        assert done.returncode in {0, 1}
        assert done.returncode == 0 or done.stderr.endswith(".\n")
