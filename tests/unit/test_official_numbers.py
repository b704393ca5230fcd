"""Separation powers agree with the CaloChallenge's evaluation script, whose numbers stand here.

They were computed by the script's own functions (commit 9b41df7) from the files that ``write_files``
makes (``python tests/unit/test_official_numbers.py FOLDER``), through ``benchmarks/official.py``. Each
observable has the mean over its layers or energies and the mean weighted with their number, counted
from one.

The files hold what is hard: showers and layers without energy, voxels exactly at the cut, layers
with a single voxel whose radius is the edge of a bin. The largest energies of the reference are a
power of ten, so that it does not depend on the machine's last bit whether the last bins hold them.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.separation import separation_metric
from caloforge.features import calochallenge_vector, derive_binning, feature_table
from caloforge.formats import open_showers
from caloforge.geometry import load_geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

# data set, precision and showers of each file
CASES = {
    "1-photons-f8": ("1-photons", "f8", 400),
    "1-pions-f8": ("1-pions", "f8", 400),
    "1-pions-f4": ("1-pions", "f4", 400),
    "2-f8": ("2", "f8", 120),
    "2-f4": ("2", "f4", 120),
    "3-f4": ("3", "f4", 30),
}
HOT = 10_000.0


def showers(geometry: Geometry, count: int, seed: int, stretch: float) -> tuple[NDArray, NDArray]:
    """Voxels and incident energies, by sums and products alone: the same on every machine."""
    rng = np.random.default_rng(seed)
    radius = np.concatenate([np.hypot(*layer.grid.centres().T) for layer in geometry.layers])
    voxels = rng.random((count, geometry.n_cells))
    voxels *= voxels * voxels
    voxels *= voxels
    voxels /= 1.0 + radius / (20.0 * stretch)
    voxels[rng.random(voxels.shape) < 0.5] = 0.0
    discrete = geometry.name.startswith("calochallenge-1")
    uniform = 1e3 + 9e5 * rng.random(count) * rng.random(count)
    energy = np.ldexp(1.0, rng.integers(8, 23, count)) if discrete else uniform
    voxels *= (energy * (0.6 + 0.8 * rng.random(count)) / voxels.sum(axis=1))[:, None]
    voxels[voxels > 0.9 * HOT] *= 1e-3
    for number, (low, high) in enumerate(pairwise(geometry.layer_offsets)):
        voxels[number % 11 :: 11, low:high] = 0.0
        single = np.arange(number % 7, count, 7)
        voxels[single, low:high] = 0.0
        voxels[single, low + rng.integers(0, high - low, len(single))] = 2.0 + 500.0 * rng.random(len(single))
    near = (voxels > 0.5 * geometry.threshold) & (voxels < 2.0 * geometry.threshold)
    voxels[near] = geometry.threshold
    scale = energy * (0.91 + 0.18 * rng.random(count)) / voxels.sum(axis=1)
    voxels[::2] *= scale[::2, None]
    voxels[1] = 0.0
    return voxels, energy


def write_files(folder: Path, case: str) -> tuple[Path, Path]:
    """A reference and a generated file."""
    dataset, precision, count = CASES[case]
    geometry = load_geometry(f"calochallenge-{dataset}")
    paths = folder / f"{case}-reference.hdf5", folder / f"{case}-generated.hdf5"
    for seed, path, stretch in zip((1, 2), paths, (1.0, 1.2), strict=True):
        voxels, energy = showers(geometry, count, seed, stretch)
        if seed == 1:  # in every layer the largest energy, and the largest voxel
            voxels[0] = 0.0
            voxels[0, geometry.layer_offsets[:-1]] = HOT
        with h5py.File(path, "w") as file:
            file["showers"] = voxels.astype(precision)
            file["incident_energies"] = energy.astype(precision)[:, None]
    return paths


def numbers(folder: Path, case: str) -> dict[str, tuple[float, float]]:
    """Ours, from the same files."""
    geometry = load_geometry(f"calochallenge-{CASES[case][0]}")
    first, second = write_files(folder, case)
    with open_showers(first, geometry=geometry) as one, open_showers(second, geometry=geometry) as two:
        binning = derive_binning(one, geometry)
        tables = [feature_table(file, geometry, binning=binning) for file in (one, two)]
    frame = Frame(geometry, binning, tables[0], seed=1)
    found = separation_metric(Pair(*map(Observed, tables), frame, resamples=0))
    separations = {v.name.removeprefix("separation."): means(v.settings["per_group"]) for v in found}
    vectors = np.array([calochallenge_vector(table, geometry).mean(axis=0) for table in tables])
    return separations | {"vector": means(np.abs(vectors).sum(axis=0))}


def means(values: NDArray) -> tuple[float, float]:
    """Plain, and weighted with the number of the group."""
    weights = np.arange(1.0, len(values) + 1.0)
    return float(np.mean(values)), float(np.average(values, weights=weights))


OFFICIAL: dict[str, dict[str, tuple[float, float]]] = {
    "1-photons-f8": {
        "fraction": (0.1546343456, 0.1546343456),
        "layer_energy": (0.0471120389, 0.0507939262),
        "layer_x": (0.0725494722, 0.0811879925),
        "layer_y": (0.0572057535, 0.0557118173),
        "width_x": (0.0874340817, 0.0927516698),
        "width_y": (0.0881291601, 0.0931403422),
        "fraction_by_energy": (0.4235878549, 0.4714586824),
        "sparsity": (0.0096453676, 0.0091379461),
        "layer_r": (0.0784599689, 0.0827549098),
        "width_r": (0.0473720934, 0.0509685989),
        "cell_energy": (0.0025476559, 0.0025476559),
        "vector": (2.0154412490, 1.7139539810),
    },
    "1-pions-f8": {
        "fraction": (0.1194914220, 0.1194914220),
        "layer_energy": (0.0473832347, 0.0478253148),
        "layer_x": (0.0571232099, 0.0566620707),
        "layer_y": (0.0621653841, 0.0603732558),
        "width_x": (0.1058761191, 0.0990151432),
        "width_y": (0.0994687374, 0.0959183502),
        "fraction_by_energy": (0.2550364419, 0.2338763822),
        "sparsity": (0.0089755181, 0.0085350133),
        "layer_r": (0.0573966640, 0.0553583708),
        "width_r": (0.0364389126, 0.0380119724),
        "cell_energy": (0.0019398748, 0.0019398748),
        "vector": (2.0269343644, 1.8115491218),
    },
    "1-pions-f4": {
        "fraction": (0.1194914220, 0.1194914220),
        "layer_energy": (0.0471962399, 0.0475386675),
        "layer_x": (0.0571232099, 0.0566620707),
        "layer_y": (0.0622280936, 0.0604735910),
        "width_x": (0.1058761191, 0.0990151432),
        "width_y": (0.0994687374, 0.0959183502),
        "fraction_by_energy": (0.2550364419, 0.2338763822),
        "sparsity": (0.0089755181, 0.0085350133),
        "layer_r": (0.0554168311, 0.0536143273),
        "width_r": (0.0366771367, 0.0382337308),
        "cell_energy": (0.0019398748, 0.0019398748),
        "vector": (2.0269343974, 1.8115491351),
    },
    "2-f8": {
        "fraction": (0.2924462488, 0.2924462488),
        "layer_energy": (0.0771559258, 0.0773202053),
        "layer_x": (0.1509702443, 0.1499755958),
        "layer_y": (0.1578794382, 0.1564995635),
        "width_x": (0.1455949041, 0.1443755533),
        "width_y": (0.1448530337, 0.1473238979),
        "sparsity": (0.0252360425, 0.0252542348),
        "layer_r": (0.1489346279, 0.1485126851),
        "width_r": (0.1172283269, 0.1176530354),
        "cell_energy": (0.0011295494, 0.0011295494),
        "vector": (0.9337536733, 0.5116525125),
    },
    "2-f4": {
        "fraction": (0.2924462488, 0.2924462488),
        "layer_energy": (0.0774247819, 0.0775545689),
        "layer_x": (0.1509702443, 0.1499755958),
        "layer_y": (0.1578794382, 0.1564995635),
        "width_x": (0.1455949041, 0.1443755533),
        "width_y": (0.1448530337, 0.1473238979),
        "sparsity": (0.0252360425, 0.0252542348),
        "layer_r": (0.1489346279, 0.1485126851),
        "width_r": (0.1172283269, 0.1176530354),
        "cell_energy": (0.0008541250, 0.0008541250),
        "vector": (0.9337536910, 0.5116525161),
    },
    "3-f4": {
        "fraction": (0.6090794538, 0.6090794538),
        "layer_energy": (0.2500153047, 0.2564869171),
        "layer_x": (0.2237923528, 0.2262033895),
        "layer_y": (0.2330509774, 0.2383089963),
        "width_x": (0.2062792354, 0.2075024468),
        "width_y": (0.2026103775, 0.1931631532),
        "sparsity": (0.0626464947, 0.0664054169),
        "layer_r": (0.2987014344, 0.2957218521),
        "width_r": (0.1494727990, 0.1487669858),
        "cell_energy": (0.0127779669, 0.0127779669),
        "vector": (0.9236477267, 0.5143507730),
    },
}


@pytest.mark.parametrize("case", CASES)
def test_numbers_agree_with_the_official_script(case: str, tmp_path: Path) -> None:
    found = numbers(tmp_path, case)
    assert set(found) == set(OFFICIAL[case])
    for name, expected in OFFICIAL[case].items():
        # high-level features of float32 files hold logarithms in float32
        tolerance = 1e-6 if name == "vector" else 1e-9
        assert found[name] == pytest.approx(expected, abs=tolerance), name


if __name__ == "__main__":
    for name in CASES:
        write_files(Path(sys.argv[1]), name)
