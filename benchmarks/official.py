"""Numbers of the CaloChallenge's own evaluation script beside ours, from the same two files.

The script (github.com/CaloChallenge/homepage, folder ``code``) is not part of caloforge: give the
folder where you have it. Its own functions compute high-level features, histograms and separation
powers; nothing of it is drawn to files.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PARTICLES = {"1-photons": "photon", "1-pions": "pion", "2": "electron", "3": "electron"}
CUTS = {"1-photons": 1.0, "1-pions": 1.0, "2": 0.5e-3 / 0.033, "3": 0.5e-3 / 0.033}
# what the script writes into its file of results, and what we call it
TITLES = {
    "Etot / Einc": "fraction",
    "E layer": "layer_energy",
    "EC Eta layer": "layer_x",
    "EC Phi layer": "layer_y",
    "Width Eta layer": "width_x",
    "Width Phi layer": "width_y",
    "Sparsity layer": "sparsity",
    "EC r layer": "layer_r",
    "Width r layer": "width_r",
    "Voxel distribution": "cell_energy",
}


class Official:
    """The functions of the script, run on two files."""

    def __init__(self, code: Path, dataset: str) -> None:
        sys.path.insert(0, str(code))
        os.environ["MPLBACKEND"] = "Agg"
        self.evaluate: Any = importlib.import_module("evaluate")
        self.features: Any = importlib.import_module("HighLevelFeatures")
        import matplotlib.pyplot as plt

        plt.rc("text", usetex=False)
        plt.tight_layout = lambda *_, **__: None  # only the counts of the histograms are wanted
        self.dataset, self.code = dataset, code
        self.cut = CUTS[dataset]

    def read(self, path: Path) -> tuple[Any, NDArray[np.floating]]:
        """High-level features and cut voxels of a file, as its main program computes them."""
        binning = self.code / f"binning_dataset_{self.dataset.replace('-', '_')}.xml"
        found = self.features.HighLevelFeatures(PARTICLES[self.dataset], filename=str(binning))
        with h5py.File(path) as file:
            showers, found.Einc = file["showers"][:], file["incident_energies"][:]
        showers = np.where(showers < self.cut, np.zeros_like(showers), showers)
        found.CalculateFeatures(showers)
        return found, showers

    def vector(self, path: Path, found: Any) -> NDArray[np.float64]:
        """The vector of its classifier without the label, ``(n, F)``."""
        with h5py.File(path) as file, quiet():
            made = self.evaluate.prepare_high_data_for_classifier(file, found, 0.0, threshold=self.cut)
        return np.asarray(made[:, :-1], dtype=np.float64)

    def separations(self, generated: tuple[Any, Any], reference: tuple[Any, Any]) -> dict[str, list[float]]:
        """All separation powers by our names, one number per layer or energy."""
        script = self.evaluate
        with tempfile.TemporaryDirectory() as folder:
            options = SimpleNamespace(
                dataset=self.dataset, mode="hist-chi", output_dir=folder, x_scale="log", min_energy=self.cut
            )
            with quiet():
                script.plot_histograms(generated[0], reference[0], options)
                for plot in (script.plot_sparsity, script.plot_ECR, script.plot_ECWidthR):
                    plot(generated[0], reference[0], options)
                script.plot_cell_dist(generated[1], reference[1], options)
            return _parse(Path(folder) / f"histogram_chi2_{self.dataset}.txt")


def _parse(path: Path) -> dict[str, list[float]]:
    """Lines of a title and of a number, each followed by an empty one."""
    numbers: dict[str, list[float]] = {}
    titles = sorted(TITLES, key=len, reverse=True)
    for block in path.read_text().split("\n\n"):
        if ":" not in block:
            continue
        title, number = block.strip().rsplit(":", 1)
        if " at E = " in title:
            name = "fraction_by_energy"
        else:
            name = next(TITLES[t] for t in titles if title.startswith(t))
        numbers.setdefault(name, []).append(float(number))
    return numbers


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the script's words and numpy's warnings about empty histograms."""
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        yield


def ours(options: argparse.Namespace, geometry: Any) -> tuple[dict[str, Any], list[NDArray[np.float64]]]:
    """Settings of our separation powers as in ``metrics.json``, and high-level vectors of both files."""
    from caloforge.evaluation.pair import Frame, Observed, Pair
    from caloforge.evaluation.separation import separation_metric
    from caloforge.features import calochallenge_vector, derive_binning, feature_table
    from caloforge.formats import open_showers

    with (
        open_showers(options.reference, geometry=geometry) as first,
        open_showers(options.generated, geometry=geometry) as second,
    ):
        binning = derive_binning(first, geometry)
        tables = [feature_table(file, geometry, binning=binning) for file in (first, second)]
    frame = Frame(geometry, binning, tables[0], seed=1)
    values = separation_metric(Pair(Observed(tables[0]), Observed(tables[1]), frame, resamples=0))
    separations = {v.name.removeprefix("separation."): v.settings for v in values}
    return separations, [calochallenge_vector(table, geometry) for table in tables]


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Both sets of numbers, and their largest differences."""
    from caloforge.geometry import load_geometry

    geometry = load_geometry(options.geometry or f"calochallenge-{options.dataset}")
    own, own_vectors = ours(options, geometry)
    script = Official(options.code, options.dataset)
    reference, generated = script.read(options.reference), script.read(options.generated)
    theirs = script.separations(generated, reference)
    rows = {}
    for name, numbers in theirs.items():
        mine = np.full(len(numbers), np.nan)
        places = own[name].get("energies_mev")
        mine[slice(None) if places is None else np.log2(places).astype(int) - 8] = own[name]["per_group"]
        rows[name] = {
            "official": float(np.nanmean(numbers)),
            "caloforge": float(np.nanmean(mine)),
            "largest": float(np.nanmax(np.abs(mine - numbers))),
            "per_group": [numbers, mine.tolist()],
        }
    vectors = [script.vector(options.reference, reference[0]), script.vector(options.generated, generated[0])]
    apart = max(float(np.abs(a - b).max()) for a, b in zip(vectors, own_vectors, strict=True))
    means = np.abs([vector.mean(axis=0) for vector in vectors]).sum(axis=0)
    return {"separation": rows, "vector": apart, "vector_means": means.tolist()}


def main() -> None:
    options = _options()
    found = compare(options)
    print(f"{'separation power':<22}{'official':>16}{'caloforge':>16}{'largest difference':>22}")
    for name, row in found["separation"].items():
        print(f"{name:<22}{row['official']:>16.9f}{row['caloforge']:>16.9f}{row['largest']:>22.1e}")
    print(f"high-level features differ by at most {found['vector']:.1e}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", type=Path, required=True, help="folder of the official script")
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--generated", type=Path, required=True)
    parser.add_argument("--dataset", choices=sorted(PARTICLES), required=True)
    parser.add_argument("--geometry", default="", help="ours, when it is not the CaloChallenge's")
    parser.add_argument("--out", type=Path, help="write all numbers as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
