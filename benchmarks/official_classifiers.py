"""Areas under ROC curves of the CaloChallenge's classifiers beside ours: the same files and settings.

The script's own functions train its own networks, with sizes that a CPU can bear; ours are trained at
the level "official" with the same sizes. Both are repeated with other seeds, for their spread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from official import PARTICLES, Official, quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPES = {"2": (45, 16, 9), "3": (45, 50, 18)}
MODES = {"high": "cls-high", "low": "cls-low", "low_normed": "cls-low-normed", "resnet": "cls-resnet"}
_RESNET_LAYERS = 18
_HIDDEN_LAYERS = 2


def official(script: Official, options: argparse.Namespace, seed: int) -> tuple[float, float]:
    """Area and divergence of one training by the script's functions."""
    np.random.seed(seed)  # noqa: NPY002 (the script draws from these)
    torch.manual_seed(seed)
    samples = [
        _array(script, path, label, options)
        for path, label in ((options.generated, 0.0), (options.reference, 1.0))
    ]
    count = min(len(sample) for sample in samples)
    parts = script.evaluate.ttv_split(*(sample[:count] for sample in samples))
    train, test, val = (
        DataLoader(TensorDataset(torch.tensor(part)), batch_size=options.batch, shuffle=shuffled)
        for part, shuffled in zip(parts, (True, False, False), strict=True)
    )
    network = _network(script, options, parts[0].shape[1] - 1)
    with tempfile.TemporaryDirectory() as folder, quiet():
        told = _arguments(options, folder)
        adam = torch.optim.Adam(network.parameters(), lr=options.rate)
        script.evaluate.train_and_evaluate_cls(network, train, test, adam, told)
        network = script.evaluate.load_classifier(network, told)
        with torch.no_grad():
            _, area, divergence = script.evaluate.evaluate_cls(
                network, val, told, final_eval=True, calibration_data=test
            )
    return float(area), float(divergence)


def _array(script: Official, path: Path, label: float, options: argparse.Namespace) -> NDArray[np.float64]:
    found, _ = script.read(path)
    with h5py.File(path) as file, quiet():
        if options.classifier == "high":
            made = script.evaluate.prepare_high_data_for_classifier(file, found, label, threshold=script.cut)
        else:
            made = script.evaluate.prepare_low_data_for_classifier(
                file, found, label, normed=options.classifier == "low_normed", threshold=script.cut
            )
    return np.asarray(made, dtype=np.float64)


def _network(script: Official, options: argparse.Namespace, inputs: int) -> torch.nn.Module:
    if options.classifier == "resnet":
        made: torch.nn.Module = script.evaluate.generate_model(
            _RESNET_LAYERS, img_shape=SHAPES[options.dataset]
        )
        return made
    network: torch.nn.Module = script.evaluate.DNN(_HIDDEN_LAYERS, options.hidden, inputs)
    return network.to(torch.float64)


def _arguments(options: argparse.Namespace, folder: str) -> SimpleNamespace:
    return SimpleNamespace(
        mode=MODES[options.classifier],
        dataset=options.dataset,
        output_dir=folder,
        device=torch.device("cpu"),
        save_mem=False,
        cls_n_epochs=options.epochs,
    )


def ours(options: argparse.Namespace) -> list[tuple[float, float]]:
    """Areas and divergences of our trainings."""
    from sklearn.metrics import roc_auc_score

    from caloforge.evaluation.classify.calibration import calibrated, divergence
    from caloforge.evaluation.classify.examples import labels_of
    from caloforge.evaluation.classify.recipes import Plan, View, classifier_named
    from caloforge.evaluation.classify.runs import fit
    from caloforge.evaluation.classify.split import equal_sizes
    from caloforge.evaluation.classify.training import Training

    training = Training(options.rate, options.batch, options.epochs, precision="float64")
    plan = Plan(training, trainings=options.seeds, scaled=False, width=options.hidden)
    classifier = replace(classifier_named(options.classifier), plan=lambda *_: plan)
    with tempfile.TemporaryDirectory() as folder:
        geometry, samples = _samples(options, Path(folder))
        rng = np.random.default_rng(1)
        samples = equal_sizes(samples, rng)
        view = View.of(samples, geometry, plan, "official")
        examples = classifier.examples(samples, view)
        found = []
        for child in rng.spawn(options.seeds):
            run = fit(classifier, examples, view, plan, rng=child)
            tune, report = np.sort(run.split.tune), np.sort(run.split.report)
            labels = labels_of(run.examples, report)
            made = calibrated(run.logits(tune)[:, 0], labels_of(run.examples, tune), run.logits(report)[:, 0])
            found.append((float(roc_auc_score(labels, made)), float(divergence(made, labels)[0])))
    return found


def _samples(options: argparse.Namespace, folder: Path) -> tuple[Any, tuple[Any, ...]]:
    """The geometry, and the generated and the reference sample with their cells."""
    from caloforge.evaluation.pair import Observed
    from caloforge.features import CellRecorder, derive_binning, feature_table
    from caloforge.formats import open_showers
    from caloforge.geometry import load_geometry

    geometry = load_geometry(f"calochallenge-{options.dataset}")
    with open_showers(options.reference, geometry=geometry) as file:
        binning = derive_binning(file, geometry)
    samples = []
    for name in ("generated", "reference"):
        record = CellRecorder(folder, name, geometry)
        with open_showers(getattr(options, name), geometry=geometry) as file:
            made = feature_table(file, geometry, binning=binning, record=record)
        samples.append(Observed(made, record.finish()))
    return geometry, tuple(samples)


def main() -> None:
    options = _options()
    script = Official(options.code, options.dataset)
    begin = time.monotonic()
    theirs = [official(script, options, seed) for seed in range(options.seeds)]
    middle = time.monotonic()
    torch.set_default_dtype(torch.float32)  # the script changes it
    mine = ours(options)
    times = (middle - begin, time.monotonic() - middle)
    for words, numbers, seconds in zip(("official", "caloforge"), (theirs, mine), times, strict=True):
        (area, divergence), (spread, wide) = np.mean(numbers, axis=0), np.std(numbers, axis=0, ddof=1)
        print(
            f"{words:<10} AUC {area:.4f} ± {spread:.4f}   JSD {divergence:.4f} ± {wide:.4f}   {seconds:.0f} s"
        )
    if options.out:
        options.out.write_text(
            json.dumps({"official": theirs, "caloforge": mine, "seconds": times}, indent=1)
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", type=Path, required=True, help="folder of the official script")
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--generated", type=Path, required=True)
    parser.add_argument("--dataset", choices=sorted(PARTICLES), required=True)
    parser.add_argument("--classifier", choices=sorted(MODES), default="high")
    parser.add_argument("--hidden", type=int, default=256, help="width, 2048 in the challenge")
    parser.add_argument("--epochs", type=int, default=30, help="50 in the challenge")
    parser.add_argument("--batch", type=int, default=100, help="1000 in the challenge")
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate, as in the challenge")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write all numbers as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
