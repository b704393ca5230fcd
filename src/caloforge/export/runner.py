"""Runs an exported model: numpy and onnxruntime, nothing else. A copy of this file lies beside every export.

python run.py --energy 50 --theta 10 --phi 0 --count 5 --seed 1

The files ``part*.onnx`` of the folder run one after the other. An input that no earlier part gives is a
condition of the particles or random numbers, of which the file's metadata tell kind, rows and width; rows may
be named by an output of an earlier part, which says how many a shower needs.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

__all__ = ["Draw", "Exported", "RandomNumbers", "conditions"]

_GEV = 1000.0


class Draw(Protocol):
    """Where random numbers come from."""

    def __call__(self, name: str, kind: str, rows: Any, width: int) -> Any:
        """Numbers for the input ``name``, as many rows as ``rows`` ``(B,)`` has in sum, ``(M, width)``.

        ``kind`` is ``normal`` (float32), or ``uniform`` in (0, 1) (float64).
        """
        ...


@dataclass(frozen=True)
class _Port:
    kind: str
    rows: str
    width: int


class RandomNumbers:
    """Numbers of one generator.

    Args:
        seed: Its seed.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, name: str, kind: str, rows: Any, width: int) -> Any:
        """As of ``Draw``."""
        del name
        size = (int(rows.sum()), width)
        if kind == "normal":
            return self._rng.standard_normal(size, dtype=np.float32)
        return self._rng.uniform(np.finfo(np.float64).tiny, 1.0, size)


class Exported:
    """An exported model.

    Args:
        folder: With its ``part*.onnx``.
        threads: Of the CPU.
    """

    def __init__(self, folder: Path | str, *, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        files = sorted(Path(folder).glob("part*.onnx"), key=lambda path: int(path.stem[4:]))
        if not files:
            message = f"there is no part1.onnx in {folder}"
            raise FileNotFoundError(message)
        cpu = ["CPUExecutionProvider"]
        self._parts = [onnxruntime.InferenceSession(path, options, providers=cpu) for path in files]
        self.metadata: dict[str, str] = dict(self._parts[0].get_modelmeta().custom_metadata_map)
        self._ports = {name[6:]: _port(text) for name, text in self.metadata.items() if name[:6] == "noise."}
        self.outputs = self.metadata["outputs"].split()

    def __call__(self, particles: dict[str, Any], draw: Draw) -> dict[str, Any]:
        """Generate showers.

        Args:
            particles: As of ``conditions``.
            draw: Random numbers.

        Returns:
            ``counts`` ``(B,)``, and ``points`` ``(M, 4)`` (x, y [mm], layer, energy [MeV]) or ``cell`` and
            ``hit_energy`` [MeV] of the hits, ``(M,)``.
        """
        known = dict(particles)
        one = np.ones(len(particles["energy"]), dtype=np.int64)
        for part in self._parts:
            for entry in part.get_inputs():
                if entry.name in self._ports and entry.name not in known:
                    port = self._ports[entry.name]
                    rows = one if port.rows == "showers" else known[port.rows]
                    known[entry.name] = draw(entry.name, port.kind, rows, port.width)
            names = [entry.name for entry in part.get_outputs()]
            given = {entry.name: known[entry.name] for entry in part.get_inputs()}
            made = dict(zip(names, part.run(names, given), strict=True))
            known |= {f"{name}": value for name, value in made.items()}
        return {name: known[name] for name in self.outputs}


def _port(text: str) -> _Port:
    kind, rows, width = text.split()
    return _Port(kind, rows, int(width))


def conditions(energy: Any, theta: Any = 0.0, phi: Any = 0.0, pdg: Any = 22) -> dict[str, Any]:
    """What models are told of particles.

    Args:
        energy: Kinetic energies [MeV], ``(B,)``.
        theta: Angles from the perpendicular [rad].
        phi: Azimuths [rad].
        pdg: Particle codes.
    """
    energy = np.asarray(energy, dtype=np.float64)
    theta, phi, pdg = (np.broadcast_to(value, energy.shape) for value in (theta, phi, pdg))
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi)], axis=1)
    return {"energy": energy, "direction": direction.astype(np.float32), "pdg": pdg.astype(np.int64)}


class _Kept:
    """Random numbers that are written to files, too: ``NAME.bin``, as they lie in memory."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._draw, self._folder = RandomNumbers(seed), folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, name: str, kind: str, rows: Any, width: int) -> Any:
        drawn = self._draw(name, kind, rows, width)
        drawn.tofile(self._folder / f"{name}.bin")
        return drawn


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Showers of an exported model.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    parser.add_argument("--energy", type=float, required=True, help="GeV")
    parser.add_argument("--theta", type=float, default=0.0, help="degrees from the perpendicular")
    parser.add_argument("--phi", type=float, default=0.0, help="degrees")
    parser.add_argument("--pdg", type=int, help="particle code; default: the first of the training")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-noise", type=Path, metavar="FOLDER", help="write the random numbers")
    return parser.parse_args()


def _main() -> None:
    given = _arguments()
    model = Exported(given.folder)
    pdg = int(model.metadata["particles"].split()[0]) if given.pdg is None else given.pdg
    energy = np.full(given.count, given.energy * _GEV)
    angles = np.radians(given.theta), np.radians(given.phi)
    draw = _Kept(given.seed, given.keep_noise) if given.keep_noise else RandomNumbers(given.seed)
    made = model(conditions(energy, *angles, pdg), draw)
    stop = np.cumsum(made["counts"])
    first = stop - made["counts"]
    values = made["hit_energy"] if "hit_energy" in made else made["points"][:, 3]
    for number, (low, high) in enumerate(zip(first, stop, strict=True)):
        sys.stdout.write(
            f"shower {number} hits {high - low} energy {values[low:high].sum(dtype=np.float64):.6g} MeV\n"
        )
    for row in range(stop[0]):
        if "cell" in made:
            sys.stdout.write(f"cell {made['cell'][row]} {values[row]:.6g}\n")
        else:
            sys.stdout.write("point " + " ".join(f"{v:.6g}" for v in made["points"][row]) + "\n")


if __name__ == "__main__":
    _main()
