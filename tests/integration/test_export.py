"""A shipped model exported: its files, the program beside them, and one in C++ with the same showers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from caloforge.export import export
from caloforge.export.runner import Exported, RandomNumbers, conditions
from caloforge.geometry import load_geometry
from caloforge.showers import Incident
from caloforge.zoo import load_simulator

onnx = pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"
LIBRARIES = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    command = [sys.executable, "-m", "caloforge", "export", "caloclouds-2-cm:siw-ecal", "--out", out]
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_files_tell_what_they_are(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "part1.onnx",
        "part2.onnx",
        "run.py",
        "model.txt",
        "export.json",
    }
    for number in (1, 2):
        model = onnx.load(folder / f"part{number}.onnx")
        assert model.ir_version == 8
        assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18
        told = {entry.key: entry.value for entry in model.metadata_props}
        geometry = load_geometry("siw-ecal")
        assert told["fingerprint"] == geometry.fingerprint
        assert float(told["threshold_mev"]) == geometry.threshold
        assert told["particles"] == "22"
        assert told["part"] == f"{number} 2"
        assert told["noise.noise_points"] == "normal rows_1 4"
        assert "energy MeV" in told["units"]
    result = json.loads((folder / "export.json").read_text())
    assert result["parity"]["showers"] == 24
    assert result["parity"]["same"] >= 12
    assert result["parity"]["energy"] < 1e-4
    assert result["latency_ms"]["onnxruntime"] > 0


def test_any_number_of_showers(folder: Path) -> None:
    model = Exported(folder)
    for number in (1, 2, 5):
        made = model(conditions(np.full(number, 5e4), theta=0.3), RandomNumbers(3))
        assert made["counts"].shape == (number,)
        assert made["points"].shape == (made["counts"].sum(), 4)
        assert 500 < made["points"][:, 3].sum() / number < 5000
        assert set(np.unique(made["points"][:, 2])) <= set(range(30))


def told(*command: object) -> list[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("build")
    for command in (["cmake", "-S", EXAMPLE, "-B", build], ["cmake", "--build", build]):
        subprocess.run(command, check=True, capture_output=True)
    return build


@pytest.mark.skipif(not LIBRARIES, reason="onnxruntime came without its shared library")
@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake")
def test_the_program_in_c_prints_python_s_showers(folder: Path, programs: Path, tmp_path: Path) -> None:
    options = ["--energy", 50, "--theta", 10, "--phi", 20, "--count", 4]
    mine = told(sys.executable, folder / "run.py", *options, "--keep-noise", tmp_path / "noise")
    program = [programs / "onnx_showers", LIBRARIES[0], folder, 50, 10, 20, 4]
    assert told(*program, tmp_path / "noise") == mine
    assert len(mine) > 500
    own = told(*program)  # its own random numbers
    assert own != mine
    assert own[0].startswith("shower 0 hits ")


@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake")
def test_geant4_s_model_puts_python_s_hits_where_the_particle_enters(programs: Path, tmp_path: Path) -> None:
    """A photon of 50 GeV at (10, -5) mm; Geant4 keeps what leans, is soft, near the edge or inside."""
    export("mosaic:siw-ecal", target="cpp", out=tmp_path)
    out = told(programs / "fast_simulation", tmp_path, 50, 7)
    if out[0].startswith("Geant4's headers"):
        pytest.skip("compiled against Geant4 itself: no particles by hand")
    assert out[1] == "applicable photon 1 pion 0"
    assert out[2] == "trigger photon 1 leaning 0 soft 0 inside 0 edge 0"
    showers = load_simulator("mosaic:siw-ecal").sample(Incident.of(np.array([5e4])), seed=7)
    assert out[3].startswith(f"killed 1 deposited 50000 MeV hits {showers.n_hits[0]} seen ")
    hits = np.array([line.split()[1:] for line in out[4:]], dtype=np.float64)
    assert hits[:, 3].astype(np.float32).tobytes() == showers.energy.tobytes()
    places = load_geometry("siw-ecal").cell_positions[showers.cells]
    np.testing.assert_allclose(hits[:, :3], places + np.array([10, -5, 0]), atol=2e-3)
