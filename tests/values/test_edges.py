"""Numbers at the ends of their ranges, and where nothing varies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from caloforge.evaluation import windows
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.papers import angle_metric, hit_pattern_metric
from caloforge.evaluation.separation import separation_metric
from caloforge.features import CellStore, FeatureTable, derive_binning, feature_table
from caloforge.geometry import Geometry, geometry_from_dict
from caloforge.models.clouds.calibration import HitCalibration
from caloforge.models.pointflow.hit_energy import HitEnergy
from caloforge.models.pyramid.hit_energies import HitEnergies
from caloforge.models.pyramid.tree import Parents
from caloforge.nn import SplineFlowConfig
from caloforge.showers import Incident, ShowerMeta, Showers

THRESHOLD = 0.5


def box() -> Geometry:
    content = {
        "name": "box",
        "threshold": THRESHOLD,
        "grid": {"kind": "box", "nx": 6, "ny": 6, "pitch": [10, 10]},
        "layers": [{"repeat": 2, "slabs": [["Si", 1.0, "sensitive"]]}],
    }
    return geometry_from_dict(content, source="test")


def showers_of(geometry: Geometry, cells: list[Any]) -> Showers:
    """Showers of 1 MeV in every hit cell."""
    return Showers(
        incident=Incident.of(np.full(len(cells), 100.0)),
        offsets=np.cumsum([0, *map(len, cells)]),
        energy=np.ones(sum(map(len, cells))),
        cells=np.concatenate(cells).astype(np.int64),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )


def pair_of(reference: list[Any], generated: list[Any], *, resamples: int = 0) -> Pair:
    geometry = box()
    samples = [showers_of(geometry, cells) for cells in (reference, generated)]
    binning = derive_binning(samples[0], geometry)
    first, second = (
        Observed(feature_table(s, geometry, binning=binning), CellStore.of(s, geometry)) for s in samples
    )
    return Pair(first, second, Frame(geometry, binning, first.table, seed=1), resamples)


def test_correlations_of_hits_are_compared_by_their_rms() -> None:
    """As numpy has them, of all cells that are hit in some showers and not in others."""
    rng = np.random.default_rng(0)
    hits = [rng.random((300, 72)) < 0.3 for _ in range(2)]
    hits[1][:, 1] = hits[1][:, 0]
    values = hit_pattern_metric(pair_of(*([np.flatnonzero(row) for row in sample] for sample in hits)))
    found = next(v for v in values if v.name == "physics.pyramid_hit_correlation")
    above = np.triu_indices(72, 1)
    first, second = (np.corrcoef(sample.T.astype(float))[above] for sample in hits)
    assert found.value == pytest.approx(float(np.sqrt(np.mean((first - second) ** 2))), rel=1e-6)
    assert found.settings["cells"] == 72
    # pairs of neighbours by direction: the mean coefficient of each, the mean difference of these
    near = next(v for v in values if v.name == "physics.pyramid_neighbours")
    full = [np.corrcoef(sample.T.astype(float)) for sample in hits]
    number = np.arange(72).reshape(2, 6, 6)
    pairs = [
        (number[:, :-1], number[:, 1:]),
        (number[:, :, :-1], number[:, :, 1:]),
        (number[:1], number[1:]),
    ]
    means = [[matrix[a.ravel(), b.ravel()].mean() for a, b in pairs] for matrix in full]
    assert near.settings["reference"] == pytest.approx(means[0], abs=1e-6)
    assert near.value == pytest.approx(np.abs(np.subtract(*means)).mean(), rel=1e-5)
    edges = np.array(found.settings["edges"])
    np.testing.assert_allclose(edges, np.linspace(-1, 1, 101), atol=1e-12)
    counts = np.histogram(second, edges)[0]
    np.testing.assert_allclose(found.settings["generated"], counts, atol=3)  # zeros up to rounding


def test_one_resampling_is_no_error() -> None:
    cells = [[0, 1], [2], [3, 4, 5]] * 10
    assert all(value.error is None for value in separation_metric(pair_of(cells, cells, resamples=1)))


def test_a_layer_without_energy_has_bins_from_the_cut_on() -> None:
    frame = pair_of([[0]] * 10, [[0]] * 10).frame
    low = frame.binning.spectrum[0]
    edges = windows.energy_edges(frame)
    assert edges[1][[0, -1]].tolist() == pytest.approx([low, 1.01 * low])
    assert edges[0][[0, -1]].tolist() == pytest.approx([low, 1.0])


def test_sparsities_have_the_range_of_the_reference() -> None:
    """One to three of 36 cells: half a cell more on both sides."""
    cells = [[0], [0, 1, 2], [3, 4]] * 5
    frame = pair_of(cells, cells).frame
    ends = windows.sparsity_edges(frame)[0][[0, -1]]
    assert ends.tolist() == pytest.approx([32.5 / 36, 35.5 / 36])


def test_angles_without_any_spread_are_compared_in_radians() -> None:
    geometry, count = box(), 40
    particles = {"energy": np.full(count, 1e4), "theta": np.full(count, 0.5), "phi": np.full(count, 1.0)}

    def observed(angle: float) -> Observed:
        seen = {"axis_theta": np.full(count, angle), "axis_phi": np.full(count, 1.0)}
        return Observed(FeatureTable({**particles, **seen}))

    first, second = observed(0.5), observed(0.75)
    binning = derive_binning(showers_of(geometry, [[0]]), geometry)
    frame = Frame(geometry, binning, first.table, seed=1)
    values = {value.name: value.value for value in angle_metric(Pair(first, second, frame, 0))}
    assert values["physics.bibae_theta_response"] == pytest.approx(0.25)
    assert values["physics.bibae_theta_resolution"] == 0.0


def test_calibrations_keep_a_twentieth_of_the_points() -> None:
    points = torch.linspace(100, 2000, 60)[:, None].double()
    calibration = HitCalibration("total", 1)
    for _ in range(8):
        calibration.fit(points, 0.001 * points, points, points)
    np.testing.assert_allclose(calibration(points) / points, 0.05)


def test_energies_of_one_share_have_a_range_of_one_per_cent() -> None:
    scaling = HitEnergy("fraction", 0.1)
    scaling.fit(torch.full((4,), 2.0), torch.full((4,), 10.0))
    assert [float(scaling.low), float(scaling.high)] == pytest.approx([0.2, 0.202])
    assert float(scaling.spread) == pytest.approx(1e-3)


def test_cells_at_the_threshold_have_a_ten_thousandth_of_it_above() -> None:
    torch.manual_seed(0)
    small = SplineFlowConfig.model_validate({"transforms": 2, "conditioner": {"hidden": (8,)}})
    model = HitEnergies(small, box(), np.zeros(box().n_cells // box().n_layers, np.int64), 1)
    hits = Parents(torch.zeros(3, dtype=torch.int64), torch.arange(3), torch.tensor([3]))
    model.fit(hits, torch.tensor([THRESHOLD, 1.0, 2.0]), torch.zeros(1, 1))
    lowest, highest = (float(model.scale.inverse(torch.tensor([t])).exp()) for t in (-4.0, 4.0))
    assert lowest == pytest.approx(1e-4 * THRESHOLD, rel=1e-3)
    assert highest == pytest.approx(2.0 - THRESHOLD, rel=1e-3)
    assert math.isclose(model.threshold, THRESHOLD)
