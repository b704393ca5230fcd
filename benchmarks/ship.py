"""Put a trained model into the package: 16-bit weights and a card with its evaluation.

python benchmarks/ship.py runs/cm caloclouds-2-cm:siw-ecal --evaluation evaluation --as "CM, 1 NFE"
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


def main() -> None:
    """Read the command line and write the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name", help="model:tag")
    parser.add_argument("--evaluation", type=Path, required=True, help="folder written by caloforge evaluate")
    parser.add_argument("--as", dest="label", required=True, help="the model's name in that evaluation")
    options = parser.parse_args()
    simulator = Simulator.load(options.run / "model")
    evaluation = metrics_of(options.evaluation, options.label)
    simulator.card |= {"name": options.name, "limits": LIMITS.splitlines(), "evaluation": evaluation}
    model, tag = options.name.split(":")
    simulator.save(ZOO / model / tag, half=True)
    size = sum(p.stat().st_size for p in (ZOO / model / tag).iterdir())
    print(f"{options.name}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
