"""Energies of layers: the papers' flow against splits of whole showers, told from Geant4's by boosted trees.

caloforge train l2lflows/small --data cells.h5 --out runs/splits training.layers.steps=1
caloforge train l2lflows/small --data cells.h5 --out runs/flow training.layers.steps=1 \
  "model.totals={kind: flow}" "training.energies={steps: 2000, batch_size: 256}"
python benchmarks/layer_energies.py --reference report.h5 runs/splits runs/flow

Columns: area under the ROC curve of boosted trees that see the energies of all layers and the incident one
(five folds), response and resolution, mean depth and its spread over showers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from caloforge.evaluation.sources import geometry_of, open_source
from caloforge.features import read_out
from caloforge.models.l2l.model import LayerToLayer
from caloforge.models.noise import StreamNoise
from caloforge.preprocessing import Particles
from caloforge.simulator import Simulator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

SMALLEST = 1e-3  # MeV


def layer_energies(showers: Showers, geometry: Geometry) -> NDArray[np.float64]:
    """Energies above threshold [MeV], ``(B, L)``."""
    layers = geometry.n_layers
    key = showers.shower * layers + geometry.cell_layer[showers.cells]
    sums = np.bincount(key, weights=showers.energy, minlength=len(showers) * layers)
    return sums.reshape(len(showers), layers)


def drawn(run: Path, showers: Showers) -> NDArray[np.float64]:
    """Those that a model draws for the same particles."""
    model = Simulator.load(run / "model").networks
    assert isinstance(model, LayerToLayer)
    particles = Particles.of(showers.incident)
    noise = StreamNoise(1, np.arange(len(showers)))
    with torch.no_grad():
        condition = model.conditions(particles)
        return model._draw_energies(particles.energy, condition, noise)[1].numpy()


def area(first: NDArray[np.float64], second: NDArray[np.float64], incident: NDArray[np.float64]) -> float:
    """Of boosted trees; above one half when they tell anything."""
    rows = [np.column_stack([np.log(x / incident[:, None] + 1e-7), incident]) for x in (first, second)]
    labels = np.repeat([0, 1], len(incident))
    trees = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.06, random_state=1)
    scores = cross_val_predict(trees, np.concatenate(rows), labels, cv=5, method="predict_proba")
    return float(roc_auc_score(labels, scores[:, 1]))


def told(energies: NDArray[np.float64], incident: NDArray[np.float64]) -> str:
    """Response, resolution, depth and its spread."""
    response = energies.sum(1) / incident
    depth = energies @ np.arange(energies.shape[1]) / np.maximum(energies.sum(1), SMALLEST)
    values = (response.mean(), response.std() / response.mean(), depth.mean(), depth.std())
    return " | ".join(f"{value:.4g}" for value in values)


def main() -> None:
    """Read the command line, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", required=True)
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    source = open_source("Geant4", options.reference, geometry=None)
    geometry = geometry_of(source, None)
    showers = read_out(source.read(0, len(source)), geometry)
    incident, real = showers.incident.energy, layer_energies(showers, geometry)
    print("energies | AUC | response | resolution | depth | spread of depth")
    print(f"Geant4 | – | {told(real, incident)}")
    for run in options.runs:
        made = drawn(run, showers)
        print(f"{run.name} | {area(real, made, incident):.3f} | {told(made, incident)}")


if __name__ == "__main__":
    main()
