"""Boosted trees that see sums, centres, hits, hardest cells and neighbours of layers: between two trainings.

python benchmarks/quick_check.py report.h5 runs/l2l --count 600
python benchmarks/quick_check.py report.h5 showers.h5

Milder than `caloforge evaluate`, which has more showers, more features and errors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import caloforge
from caloforge.geometry import to_cells, to_dense

TRAINED = 0.65  # of the showers; the rest are told apart


def beside(hit: np.ndarray) -> np.ndarray:
    """Pairs of neighbouring hits in every layer, ``(B, L)``."""
    return (hit[:, :, 1:] & hit[:, :, :-1]).sum((2, 3)) + (hit[..., 1:] & hit[..., :-1]).sum((2, 3))


def tables(image: np.ndarray, geometry: caloforge.Geometry, energy: np.ndarray) -> dict[str, np.ndarray]:
    """What trees see of images ``(B, L, x, y)``: layers alone, and showers."""
    hit, (layers, columns, rows) = image > 0, geometry.dense_shape
    x, y = geometry.cell_positions.reshape(layers, columns, rows, 3)[0, ..., :2].transpose(2, 0, 1)
    radius, total, number = np.hypot(x, y), image.sum((2, 3)), hit.sum((2, 3))
    centres = [(image * of).sum((2, 3)) / (total + 1e-9) for of in (x, y)]
    behind = np.pad((hit[:, 1:] & hit[:, :-1]).sum((2, 3)), ((0, 0), (0, 1)))
    few = [total, number, *centres]
    many = [
        *few,
        (image * radius).sum((2, 3)) / (total + 1e-9),
        (hit * radius).sum((2, 3)) / (number + 1e-9),
        image.max((2, 3)),
        (hit & (image < 2 * geometry.threshold)).sum((2, 3)),
        beside(hit),
        behind,
    ]
    sums = np.stack([each.sum(1) for each in many], axis=1)
    return {
        "layers": np.column_stack([*few, energy]),
        "showers": np.column_stack([*many, sums, energy]),
    }


def area(real: np.ndarray, made: np.ndarray) -> float:
    """Area under the curve of trees, on showers that they have not learnt from."""
    both, label = np.concatenate([real, made]), np.repeat([0, 1], [len(real), len(made)])
    order = np.random.default_rng(0).permutation(len(both))
    learnt, tested = np.split(order, [int(TRAINED * len(both))])
    trees = HistGradientBoostingClassifier(max_iter=150, random_state=0).fit(both[learnt], label[learnt])
    return float(roc_auc_score(label[tested], trees.predict_proba(both[tested])[:, 1]))


def main() -> None:
    """Print how the two differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path)
    parser.add_argument("model", help="a run folder, a trained model's name, or a file of showers")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    with caloforge.open_showers(options.reference) as reader:
        real = reader.read(0, min(options.count, len(reader)))
        geometry = reader.geometry
    if options.model.endswith(".h5"):
        with caloforge.open_showers(options.model) as reader:
            made = reader.read(0, len(real))
    else:
        made = caloforge.generate(options.model, real, seed=options.seed)
    images = [to_dense(to_cells(showers, geometry), geometry) for showers in (real, made)]
    names = ("Geant4", "model")
    for name, image in zip(names, images, strict=True):
        hit = image > 0
        neighbours = 2 * beside(hit).sum() / hit.sum()
        print(f"{name:8} hits {hit.sum() / len(hit):.1f}, neighbours per hit {neighbours:.3f}")
    seen = [tables(image, geometry, real.incident.energy) for image in images]
    for name in seen[0]:
        print(f"AUC, {name}: {area(seen[0][name], seen[1][name]):.3f}")


if __name__ == "__main__":
    main()
