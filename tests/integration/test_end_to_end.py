"""The whole way on the command line: train, generate, evaluate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from caloforge.formats import open_showers
from command_line import done
from toy_training import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

STEPS = ("shower_flow", "point_diffusion", "distillation")


def test_from_showers_to_a_model_to_a_report(
    tmp_path: Path, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> None:
    data = write(tmp_path / "toy.h5", make_toy_showers(300, seed=2), siw)
    run, generated, report = tmp_path / "run", tmp_path / "generated.h5", tmp_path / "report"
    shorter = [f"training.{stage}.steps=60" for stage in STEPS]
    told = done("train", "caloclouds-2-cm/smoke", *shorter, "--data", data, "--out", run, "--threads", 1)
    assert all(stage in told for stage in (*STEPS, "calibration"))
    done("generate", run, "--like", data, "--count", 210, "--seed", 3, "--out", generated)
    with open_showers(data) as real, open_showers(generated) as fake:
        energy = real.incident().energy[:210]
        np.testing.assert_array_equal(fake.incident().energy, energy)
        showers = fake.read(0, 210)
    # even a network that has hardly learnt sees the incident energy
    assert np.corrcoef(energy, showers.visible_energy)[0, 1] > 0.5
    files = ("--reference", data, "--generated", f"toy={generated}")
    told = done("evaluate", *files, "--out", report, "--no-pdf")
    assert "Separation power" in told
    metrics = json.loads((report / "metrics.json").read_text())
    assert list(metrics["models"]) == ["toy"]
    results = metrics["models"]["toy"]
    assert all(np.isfinite(r["value"]) for r in results if r["value"] is not None)
    assert all(r["note"] for r in results if r["value"] is None)
    assert sum(r["value"] is not None for r in results) > 40
    assert (report / "report.html").stat().st_size > 10_000
