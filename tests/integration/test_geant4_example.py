"""The C++ model for Geant4: compiled, and through a stand-in of Geant4 it makes Python's showers."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from caloforge.geometry import load_geometry
from caloforge.integration import FastSimulation
from caloforge.integration.catching import Caught
from caloforge.models.mosaic.engine_file import write_engine_file
from caloforge.models.mosaic.sampler import MosaicSampler
from caloforge.showers import Incident
from caloforge.zoo import load_simulator

EXAMPLE = Path(__file__).parents[2] / "examples" / "geant4"
PITCH = 5.0883

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake"),
    pytest.mark.skipif(
        all(shutil.which(name) is None for name in ("c++", "g++", "clang++")),
        reason="there is no C++ compiler",
    ),
]

# event, particle, energy, x, y, z, angle; whether it is replaced
PARTICLES = [
    ("3 gamma 20000 0 0 0 0", True),
    (f"3 gamma 50000.5 {2 * PITCH} {-3 * PITCH} 0 0.01", True),
    ("3 e- 20000 0 0 0 0", False),
    ("3 gamma 9999 0 0 0 0", False),
    ("3 gamma 100001 0 0 0 0", False),
    ("3 gamma 20000 0 0 1 0", False),  # born inside
    ("3 gamma 20000 0 0 0 0.03", False),
    ("3 gamma 20000 1 0 0 0", False),
    (f"3 gamma 20000 0 {12 * PITCH} 0 0", False),
    (f"2000000 gamma 99000 {-10 * PITCH} {10 * PITCH} 0 0", True),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    build = tmp_path_factory.mktemp("build")
    made = subprocess.run(["cmake", "-S", EXAMPLE, "-B", build], check=True, capture_output=True, text=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    return build / "check", made.stdout


def test_it_says_what_it_is_compiled_against(built: tuple[Path, str]) -> None:
    assert "compiled against a stand-in" in built[1] or "compiled against Geant4" in built[1]


def test_its_hits_are_python_s(built: tuple[Path, str], tmp_path: Path) -> None:
    simulator = load_simulator("mosaic:siw-ecal")
    model = simulator.model
    assert isinstance(model, MosaicSampler)
    write_engine_file(tmp_path / "m.mosaic", model.program, model.fitted.tables, model.fitted.roots)
    lines = "\n".join(line for line, _ in PARTICLES)
    out = subprocess.run(
        [built[0], tmp_path / "m.mosaic", "42"], input=lines, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    told = [line for line in out if not line.startswith("hit")]
    replaced = "replaced killed=1 path=0 deposit=0"
    assert told == [replaced if taken else "left" for _, taken in PARTICLES]
    caught = Caught(
        Incident.of(np.array([20000, 50000.5, 99000])),
        np.array([[0, 0], [2 * PITCH, -3 * PITCH], [-10 * PITCH, 10 * PITCH]]),
        np.zeros(3, np.int64),
        np.array([3 << 20, (3 << 20) + 1, 2000000 << 20]),
    )
    showers = FastSimulation(simulator).showers(caught, seed=42)
    assert showers is not None
    assert showers.cells is not None
    hits = np.array([line.split()[1:] for line in out if line.startswith("hit")], np.float64)
    assert hits[:, 3].astype(np.float32).tobytes() == showers.energy.tobytes()
    centres = load_geometry("siw-ecal").cell_positions[showers.cells]
    np.testing.assert_allclose(hits[:, :3], centres, atol=1e-4)
    assert math.isclose(hits[:, 3].sum(), showers.visible_energy.sum(), rel_tol=1e-6)


def test_what_is_no_model_is_told_in_one_sentence(built: tuple[Path, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [built[0], tmp_path / "none.mosaic", "1"], input="", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.endswith(".\n")
