"""Put a trained model into the package: 16-bit weights and a card, later with its evaluation.

python benchmarks/ship.py weights runs/cm caloclouds-2-cm:siw-ecal
python benchmarks/ship.py evaluation folder "CM, 1 NFE" caloclouds-2-cm:siw-ecal
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from caloforge.simulator import Simulator

ZOO = Path(__file__).parents[1] / "src" / "caloforge" / "zoo" / "models"

LIMITS = """\
Points are independent given the incident particle: clumps along tracks and correlations between \
neighbouring cells are not modelled, and a classifier that sees single cells tells the showers apart.
Trained on photons at normal incidence between 10 and 100 GeV; outside of it showers are extrapolated.
The calibration of the number of points belongs to cells of 5.09 mm and a threshold of 0.1 MeV.\
"""


def metrics_of(evaluation: Path, model: str) -> dict[str, Any]:
    """The results of one model, and how they were made; files by their names alone."""
    content = json.loads((evaluation / "metrics.json").read_text(encoding="utf-8"))
    settings = content["settings"]
    for sample in (settings["reference"], *settings["generated"].values()):
        sample["path"] = Path(sample["path"]).name
    return {"settings": settings, "metrics": content["models"][model]}


def folder_of(name: str) -> Path:
    """Where the package keeps a model."""
    model, tag = name.split(":")
    return ZOO / model / tag


def ship_weights(run: Path, name: str) -> None:
    """Write the model of a run into the package."""
    simulator = Simulator.load(run / "model")
    simulator.card |= {"name": name, "limits": LIMITS.splitlines()}
    simulator.save(folder_of(name), half=True)
    size = sum(p.stat().st_size for p in folder_of(name).iterdir())
    print(f"{name}: {size / 1e6:.2f} MB")


def ship_evaluation(evaluation: Path, label: str, name: str) -> None:
    """Write the results of ``label`` in an evaluation into the card."""
    path = folder_of(name) / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    found = metrics_of(evaluation, label)
    path.write_text(json.dumps({**card, "evaluation": found}, indent=2), encoding="utf-8")
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
    options = parser.parse_args()
    options.run_command(options)


if __name__ == "__main__":
    main()
