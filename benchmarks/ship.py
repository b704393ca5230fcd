"""Put a trained model into the package: small weights and a card, later with its evaluation.

python benchmarks/ship.py weights runs/cm caloclouds-2-cm:siw-ecal
python benchmarks/ship.py evaluation folder "CaloClouds II, CM" caloclouds-2-cm:siw-ecal
python benchmarks/ship.py sizes
python benchmarks/ship.py index                  # after any other change of a model's files
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.simulator import Simulator
from caloforge.units import DEGREE, GEV
from caloforge.zoo.index import INDEX
from caloforge.zoo.judged import evaluation_of
from caloforge.zoo.publish import Terms, package_entries

if TYPE_CHECKING:
    from caloforge.geometry import Geometry

ZOO = Path(__file__).parents[1] / "src" / "caloforge" / "zoo" / "models"
SHOWERS = ZOO.parent / "reference"
LICENCE = "Apache-2.0"
LARGEST_MODEL, LARGEST_ZOO = 5e6, 25e6  # bytes

POINTS = (
    "Points are independent given the incident particle and what the model draws for the whole shower: "
    "clumps along tracks and correlations between neighbouring cells are not modelled, and a classifier that "
    "sees single cells tells the showers apart."
)
CALIBRATION = (
    "The calibration of the number of points belongs to cells of {cell} and a threshold of {threshold:g} MeV."
)
CELLS = (
    "It makes cells of this read-out and threshold, for particles that hit the front face at one place: "
    "showers cannot be moved over the cells."
)
DENSITY = (
    "Points are independent given the incident particle and the latent vector. The cells that are hit are "
    "drawn by how many points fall into them, none of them twice: which cells are hit together the latent "
    "vector alone can tell, and a classifier that sees single cells tells the showers apart."
)
RANDOM_ANGLE = (
    "Hits of a ring are spread over its cells at random: correlations in angle, inside of a ring and between "
    "rings and layers, are lost, and a classifier that sees single cells tells the showers apart."
)
BASELINE = (
    "Networks that see single cells tell its showers apart more easily than resampled ones, which keep the "
    "layers' hits and energies of real showers and have no angle of their own."
)
SUMMARIES = (
    "A cell knows the cells within two of it and those in the nearest layers that were drawn before, and the "
    "energy of a hit those around it; what reaches farther is known from the totals of rings and layers and "
    "from the side that the shower is on: curved tracks and second cores are not modelled."
)
RINGS = (
    "Hits and energies of rings around the axis are drawn before the image, from real residuals of training "
    "showers: what is new in a shower is which cells of a ring are hit, and how they share its energy."
)
FLOWS = (
    "Layers are drawn one after the other, each given the five in front; hits and energies of all layers are "
    "drawn before. A layer's cells that are wrong are followed by the layers behind."
)
FEW = "It has learnt from few showers, for minutes: docs/3dgan.md tells where it stands against Geant4."
NEIGHBOURS = (
    "A cell knows the cells within two or three of it that were drawn before, in its own and the two layers "
    "before, and sums of layers; the latent vector says little of the shower: second cores and curved tracks "
    "are not modelled."
)
ONE_SIDE = "Particles must be perpendicular or lean towards +y: other azimuths are refused."
REAL_SPLITS = (
    "Sums of real showers are split down to the cells as real ones were: what no training shower did, as "
    "a whole or in a part, is not made, and outside of the trained energies the sums are scaled."
)
LIMITS = {
    "3dgan": (RINGS, FEW, CELLS),
    "bibae": (NEIGHBOURS, CELLS),
    "bibae-angles": (NEIGHBOURS, ONE_SIDE, CELLS),
    "caloclouds": (POINTS, CALIBRATION),
    "caloclouds-2": (POINTS, CALIBRATION),
    "caloclouds-2-cm": (POINTS, CALIBRATION),
    "calopointflow": (DENSITY, BASELINE, CELLS),
    "calopointflow-2": (RANDOM_ANGLE, BASELINE, CELLS),
    "conv-l2lflows": (FLOWS, CELLS),
    "l2lflows": (FLOWS, CELLS),
    "mosaic": (REAL_SPLITS, CELLS),
    "pyramid": (SUMMARIES, CELLS),
}
ROUNDED = 1e-3  # curves hold five digits after the point: smaller losses are too coarse to compare


def limits_of(simulator: Simulator) -> list[str]:
    """What a model cannot do, sentence by sentence."""
    model, geometry, trained = simulator.model, simulator.geometry, simulator.trained
    low, high = (end / GEV for end in trained.energy)
    angle = trained.theta / DEGREE
    angles = f"up to {angle:.3g} degrees from the perpendicular" if angle > 0.1 else "at normal incidence"
    values = {"cell": cell_of(geometry), "threshold": geometry.threshold}
    known = (s for s in LIMITS.get(model.name, ()) if s != CELLS or model.trains_on == "cells")
    family = [sentence.format(**values) for sentence in known]
    trained_on = (
        f"Trained on {trained.names} showers {angles} between {low:.4g} and {high:.4g} GeV; "
        "outside of it showers are extrapolated."
    )
    return [*family[:1], trained_on, *family[1:]]


def cell_of(geometry: Geometry) -> str:
    """Size of the cells of square grids; the read-out's name for others."""
    pitch = getattr(geometry.layers[0].grid, "pitch", None)
    return f"{pitch[0]:.2f} mm" if pitch else geometry.name


def last_quarter(curve: list[list[float]]) -> float | None:
    """Relative change of a loss over the last quarter of its steps: how flat the curve has become."""
    if len(curve) < 4:
        return None
    steps, losses = zip(*curve, strict=True)
    start = next(i for i, step in enumerate(steps) if step >= 0.75 * steps[-1])
    before, after = losses[start], losses[-1]
    return (after - before) / abs(before) if abs(before) > ROUNDED else None


def with_flatness(card: dict[str, Any]) -> dict[str, Any]:
    """The stages' numbers with the change of the validation over the last quarter of the training."""
    stages = {name: dict(numbers) for name, numbers in card.get("stages", {}).items()}
    for name, curves in card.get("learning_curve", {}).items():
        change = last_quarter(curves.get("validation_merit", curves.get("validation_loss", [])))
        if change is not None and name in stages:
            stages[name]["validation_change_last_quarter"] = round(change, 6)
    return {**card, "stages": stages}


def folder_of(name: str) -> Path:
    """Where the package keeps a model."""
    model, tag = name.split(":")
    return ZOO / model / tag


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def print_sizes() -> None:
    """The size of every model's weights, and of all together with the reference showers.

    Raises:
        SystemExit: One of them, or all together, are too large to be shipped.
    """
    sizes = {path.parent: path.stat().st_size for path in sorted(ZOO.glob("*/*/model.safetensors"))}
    for folder, size in sizes.items():
        print(f"{folder.parent.name}:{folder.name}: {size / 1e6:.2f} MB")
    total = sum(sizes.values()) + size_of(SHOWERS)
    print(f"{len(sizes)} models and the reference showers: {total / 1e6:.2f} MB")
    if max(sizes.values()) > LARGEST_MODEL or total > LARGEST_ZOO:
        limits = f"{LARGEST_MODEL / 1e6:g} MB a model, {LARGEST_ZOO / 1e6:g} MB together"
        msg = f"That is too much to ship: at most {limits}."
        raise SystemExit(msg)


def write_index() -> None:
    """The package's index: what changed gets its next version."""
    index = package_entries(ZOO.parent, Terms(LICENCE))
    (ZOO.parent / INDEX).write_text(index.text(), encoding="utf-8")
    print(f"{INDEX}: {len(index.models)} models")


def ship_weights(run: Path, name: str) -> None:
    """Write the model of a run into the package."""
    simulator = Simulator.load(run / "model")
    limits = limits_of(simulator)
    told = {"name": name, "parameters": simulator.model.learnt_numbers, "limits": limits}
    if simulator.model.stored_numbers:
        told["stored_numbers"] = simulator.model.stored_numbers
    simulator.card = with_flatness(simulator.card) | told
    simulator.save(folder_of(name), half=True)
    write_index()
    print_sizes()


def ship_evaluation(evaluation: Path, label: str, name: str) -> None:
    """Write the results of ``label`` in an evaluation into the card."""
    path = folder_of(name) / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    found = evaluation_of(evaluation, label)
    # without indentation: a third of the size
    path.write_text(json.dumps({**card, "evaluation": found}), encoding="utf-8")
    write_index()
    print(f"{name}: {len(found['metrics'])} numbers")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    weights = commands.add_parser("weights")
    weights.add_argument("run", type=Path)
    weights.add_argument("name", help="model:tag")
    weights.set_defaults(run_command=lambda o: ship_weights(o.run, o.name))
    evaluation = commands.add_parser("evaluation")
    evaluation.add_argument("folder", type=Path, help="written by caloforge evaluate")
    evaluation.add_argument("label", help="the model's name in that evaluation")
    evaluation.add_argument("name", help="model:tag")
    evaluation.set_defaults(run_command=lambda o: ship_evaluation(o.folder, o.label, o.name))
    sizes = commands.add_parser("sizes")
    sizes.set_defaults(run_command=lambda _: print_sizes())
    index = commands.add_parser("index")
    index.set_defaults(run_command=lambda _: write_index())
    options = parser.parse_args()
    options.run_command(options)


if __name__ == "__main__":
    main()
