"""The CaloPointFlow family against hand computations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from caloforge.geometry import geometry_from_dict
from caloforge.models import Batch
from caloforge.models.base import CellSet
from caloforge.models.noise import StreamNoise
from caloforge.models.pointflow.calopointflow import CaloPointFlow, CaloPointFlowConfig
from caloforge.models.pointflow.calopointflow2 import CaloPointFlow2, CaloPointFlow2Config
from caloforge.models.pointflow.cell_choice import choose, find_candidates, inclusion
from caloforge.models.pointflow.cell_points import CellPoints, QuantileScaling
from caloforge.models.pointflow.hit_energy import HitEnergy, share_energy
from caloforge.models.pointflow.hit_points import CellPoints as LateralPoints
from caloforge.models.pointflow.lattice import lattice_normal
from caloforge.models.pointflow.ring_placement import merge_cells
from caloforge.models.pointflow.shower_totals import ShowerTotals
from caloforge.models.pointflow.totals import Totals
from toy_training import particles_of

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry

DENSE = {"transforms": 2, "conditioner": {"hidden": (4,)}}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# totals


def test_published_totals_of_calopointflow() -> None:
    """E_sum / E and (n + u) / sqrt(E)."""
    raw = Totals.raw(torch.tensor([99]), double(250.0), double(10_000.0), double(0.5))
    assert raw[0].tolist() == pytest.approx([0.025, 0.995])
    counts, visible = Totals.split(raw, double(10_000.0))
    assert counts.tolist() == [99]
    assert visible.tolist() == pytest.approx([250.0])


def test_totals_of_calopointflow_2_come_back_and_are_standardised() -> None:
    """ln(n + u) - ln(E) / 2 and ln(E_sum / E)."""
    generator = rng()
    energy = torch.rand(4000, generator=generator, dtype=torch.float64) * 9e4 + 1e4
    factor = torch.randn(4000, 2, generator=generator, dtype=torch.float64)
    counts = (10 * energy.sqrt() * (0.05 * factor[:, 0]).exp()).round().long()
    total = 0.02 * energy * (0.1 * factor[:, 1]).exp()
    condition = torch.zeros(4000, 1)
    scaling = ShowerTotals(0)
    scaling.fit(counts, total, energy, condition, rng())
    assert scaling.mean[0].tolist() == pytest.approx([math.log(10), math.log(0.02)], abs=0.01)
    assert scaling.log_spread[0].exp().tolist() == pytest.approx([0.05, 0.1], rel=0.05)
    target = scaling(counts, total, energy, condition, rng(1))
    assert target.std(0).tolist() == pytest.approx([1.0, 1.0], rel=0.01)
    back, visible = scaling.inverse(target, energy, condition)
    assert torch.equal(back, counts)
    np.testing.assert_allclose(visible, total, rtol=1e-5)


def test_totals_with_a_trend_are_standard_normal_at_every_energy() -> None:
    """Mean and width change with the energy by a factor of two and more."""
    generator = rng(6)
    condition = torch.rand(6000, 1, generator=generator) * 2 - 1
    factor = torch.randn(6000, 2, generator=generator, dtype=torch.float64)
    raw = 3.0 + condition.double() + (0.8 * condition.double()).exp() * 0.1 * factor
    totals = Totals(degree=1)
    totals.fit(raw, condition)
    target = totals(raw, condition)
    for part in (condition[:, 0] < -0.5, condition[:, 0] > 0.5):
        assert target[part].std(0).tolist() == pytest.approx([1.0, 1.0], rel=0.05)
        assert target[part].mean(0).tolist() == pytest.approx([0.0, 0.0], abs=0.08)
    torch.testing.assert_close(totals.inverse(target, condition), raw, rtol=1e-5, atol=1e-5)


# choice of cells


def candidates(*numbers: int) -> Any:
    """One shower whose cells 0, 1, ... hold so many points."""
    cell = torch.arange(len(numbers)).repeat_interleave(torch.tensor(numbers))
    return find_candidates(torch.zeros_like(cell), cell, 1)


def test_probabilities_of_being_hit_by_hand() -> None:
    """Shares .7, .2, .1 for two hits: the first cell is sure, the others share what is left."""
    found = inclusion(candidates(7, 2, 1), torch.tensor([2]))
    assert found.tolist() == pytest.approx([1.0, 2 / 3, 1 / 3])
    found = inclusion(candidates(4, 3, 3), torch.tensor([2]))
    assert found.tolist() == pytest.approx([0.8, 0.6, 0.6])


def test_one_hit_falls_into_a_cell_by_its_share() -> None:
    found, uniform = candidates(7, 2, 1), torch.rand(4000, 3, generator=rng(), dtype=torch.float64)
    first = [choose(found, torch.tensor([1]), row, placement="gumbel") for row in uniform]
    share = torch.bincount(torch.cat(first), minlength=3) / len(uniform)
    assert share.tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.025)


def test_energies_of_one_cell_add_up() -> None:
    shower, cell = torch.tensor([0, 0, 1, 0]), torch.tensor([3, 1, 3, 3])
    found = merge_cells(shower, cell, torch.tensor([1.0, 2.0, 4.0, 8.0]), n_cells=5)
    assert [column.tolist() for column in found] == [[0, 0, 1], [1, 3, 3], [2.0, 9.0, 4.0]]


# energies


def test_shared_energies_by_hand() -> None:
    """Thresholds of 1 MeV: what lies above, 1 and 3 MeV, is scaled to 10 - 2 MeV."""
    found = share_energy(torch.tensor([2.0, 4.0]), torch.tensor([0, 0]), torch.tensor([10.0]), floor=1.0)
    assert found.tolist() == pytest.approx([3.0, 7.0])


def test_published_energies_of_hits() -> None:
    """Share of the sum, from its range to (0, 1), logit, standardised."""
    energy, total = torch.tensor([1.0, 2.0, 4.0, 5.0]), torch.full((4,), 10.0)
    scaling = HitEnergy("fraction", 0.1)
    scaling.fit(energy, total)
    share = (np.array([0.1, 0.2, 0.4, 0.5]) - 0.1) / 0.4
    logit = np.log((1e-6 + (1 - 2e-6) * share) / (1 - 1e-6 - (1 - 2e-6) * share))
    np.testing.assert_allclose(scaling(energy, total), logit / logit.std(), atol=1e-4)  # symmetric: mean 0
    np.testing.assert_allclose(scaling.inverse(scaling(energy, total), total), energy, rtol=1e-4)


# places


def ring() -> Geometry:
    grid = {"kind": "polar", "n_alpha": 4, "r_edges": [0, 10, 30]}
    return geometry_from_dict({"name": "rings", "layers": [{"grid": grid}], "threshold": 0.1}, source="test")


def test_points_fill_a_ring_by_its_area() -> None:
    geometry = ring()
    points = CellPoints(geometry, scaling="linear")
    count = 20_000
    cell = torch.full((count,), 1)  # first quarter turn, second ring
    cells = CellSet(torch.tensor([count]), cell, torch.ones(count))
    points.fit(cells, rng())
    values = points.inverse(points(cells, rng(1)))
    radius, angle = values[:, :2].norm(dim=1), torch.atan2(values[:, 1], values[:, 0])
    # mean of r with density 2 r / (R^2 - r^2)
    assert float(radius.mean()) == pytest.approx(2 / 3 * (30**3 - 10**3) / (30**2 - 10**2), rel=0.01)
    assert float(angle.mean()) == pytest.approx(-0.75 * math.pi, abs=0.02)


def test_points_keep_energies_and_fill_the_innermost_ring() -> None:
    geometry, count = ring(), 5000
    points = CellPoints(geometry, scaling="linear")
    energy = torch.linspace(0.1, 5.0, count)
    cells = CellSet(torch.tensor([count]), torch.zeros(count, dtype=torch.int64), energy)
    points.fit(cells, rng())
    values = points.inverse(points(cells, rng(1)))
    np.testing.assert_allclose(values[:, 3], energy, rtol=1e-5)
    radius = values[:, :2].norm(dim=1)
    assert float(radius.mean()) == pytest.approx(20 / 3, rel=0.02)
    assert float(radius.min()) < 0.8
    assert float((radius < 1).double().mean()) == pytest.approx(0.01, abs=0.006)


def test_slopes_of_quantiles_are_densities() -> None:
    """d t / d x of t = Phi^-1(F(x)) is f(x) / phi(t): of normal numbers it is one."""
    edges = [np.linspace(-4, 4, 161)] * 3
    scaling = QuantileScaling(edges)
    values = torch.randn(200_000, 4, generator=rng(), dtype=torch.float64)
    values[:, 3] = values[:, 3].abs()
    scaling.fit(values)
    knots = scaling.get_submodule("tables.3").get_buffer("knots")
    assert float(knots[-1]) == pytest.approx(float(values[:, 3].max()) * 257 / 256)
    t = torch.linspace(-1.5, 1.5, 31)[:, None].expand(-1, 4)
    expected = torch.special.ndtr(t[:, 3].double())
    # |z| has the density 2 phi(z): ln 2 + ln phi(x) - ln phi(t) at x = Phi^-1((1 + F) / 2)
    x = torch.special.ndtri(0.5 * (1 + expected))
    half = math.log(2) - 0.5 * x.square() + 0.5 * t[:, 3].double().square()
    found = scaling.log_slope(t)
    assert float((found - half).abs().mean()) < 0.08


def test_places_of_a_polar_grid_come_back() -> None:
    geometry = ring()
    points = LateralPoints(geometry, "quantile")
    cell = torch.arange(8)
    points.fit(cell, torch.full((8,), 0.5), torch.full((8,), 4.0))
    for seed in range(5):
        drawn = points(cell, torch.full((8,), 0.5), torch.full((8,), 4.0), rng(seed))
        back, _ = points.inverse(
            drawn, torch.zeros(8, dtype=torch.int64), torch.tensor([4.0]), StreamNoise(0, np.arange(1))
        )
        assert back.tolist() == cell.tolist()
    # angles are numbered from 0 around the circle of the square: cell (alpha 1, r 0) lies up, not right
    x, y = torch.sigmoid(drawn[2, 1:3]).tolist()
    assert x < 0.5 < y


def test_lattices_step_by_powers_of_the_root() -> None:
    """In one dimension by the golden ratio, in two by the plastic number (g^3 = g + 1)."""
    for size, root in ((1, 1.6180339887), (2, 1.3247179572)):
        normal = lattice_normal(torch.full((1, size), 0.5), torch.tensor([2]))
        share = torch.special.ndtr(normal.double())
        steps = (share[1] - share[0]) % 1
        assert steps.tolist() == pytest.approx([1 / root ** (k + 1) for k in range(size)], abs=1e-5)


# losses


def cells_of(siw: Geometry, count: int = 64) -> Batch:
    hits = torch.full((count,), 5)
    cell = (torch.rand(count, 5, generator=rng()) * (siw.n_cells - 10)).long().sort(1).values
    cell = cell + torch.arange(5)  # different ones
    energy = torch.rand(5 * count, generator=rng(1)) + 0.2
    cells = CellSet(hits, cell.flatten(), energy)
    incident = torch.linspace(1e4, 1e5, count).double()
    return Batch(particles_of(incident), cells=cells)


def silence(module: torch.nn.Module) -> None:
    """Flows whose couplings do nothing."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()


def set_posterior(encoder: torch.nn.Module, mean: float, log_variance: float) -> None:
    for name, value in (("mean", mean), ("log_variance", log_variance)):
        layer = encoder.get_submodule(name)
        assert isinstance(layer, torch.nn.Linear)
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.fill_(value)


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.0, -3.0), (0.5, 1.0)])
@pytest.mark.parametrize("balance", ["published", "elbo"])
def test_the_latent_term_is_the_divergence_from_a_standard_normal(
    siw: Geometry, mean: float, log_variance: float, balance: str
) -> None:
    """(mean^2 + variance - ln variance - 1) / 2 a dimension, with a flow that does nothing."""
    small = {"element": (4,), "pooled": (4,), "latent": 16, "activation": "gelu"}
    points = {**DENSE, "summary": None}
    config = {"encoder": small, "latent": DENSE, "points": points, "balance": balance}
    flow = {"flow": {"transforms": 1, "bins": 4, "hidden": (4,)}}
    model = CaloPointFlow2(CaloPointFlow2Config.model_validate({**config, "totals": flow}), siw)
    batch = cells_of(siw)
    model.prepare(batch, rng())
    silence(model.latent)
    set_posterior(model.encoder, mean, log_variance)
    terms = [model.loss(batch, turn="points", rng=rng(k)) for k in range(8)]
    found = float(torch.stack([t["latent"] for t in terms]).mean().detach())
    torch.testing.assert_close(terms[0]["loss"], terms[0]["hits"] + terms[0]["latent"])
    each = 0.5 * (mean**2 + math.exp(log_variance) - log_variance - 1)
    expected = each if balance == "published" else 16 * each / (5 * 3)
    assert found == pytest.approx(expected, rel=0.03, abs=0.02)


def test_the_bound_of_calopointflow_holds_the_divergence(siw: Geometry) -> None:
    """Prior plus entropy: the divergence of the latent vector, and the density of the totals, a hit."""
    small = {"element": (4,), "pooled": (4,), "latent": 16}
    flow = {**DENSE, "base": "standard"}
    config = {"encoder": small, "latent_flow": flow, "point_flow": flow}
    model = CaloPointFlow(CaloPointFlowConfig.model_validate(config), siw)
    batch = cells_of(siw)
    model.prepare(batch, rng())
    silence(model.latent_flow)
    silence(model.point_flow)
    values = []
    for log_variance in (0.0, -2.0):
        set_posterior(model.encoder, 0.0, log_variance)
        terms = [model.loss(batch, turn="elbo", rng=rng(k)) for k in range(8)]
        values.append(np.mean([float((t["prior"] + t["entropy"]).detach()) for t in terms]))
    terms = [model.loss(batch, turn="elbo", rng=rng(k)) for k in range(4)]
    recon = np.mean([float(t["recon"].detach()) for t in terms])
    assert recon == pytest.approx(4 * 0.5 * (1 + math.log(2 * math.pi)), rel=0.05)
    whole = sum(float(terms[0][name].detach()) for name in ("recon", "prior", "entropy"))
    assert float(terms[0]["loss"].detach()) == pytest.approx(whole, rel=1e-5)
    divergence = 16 * 0.5 * (math.exp(-2.0) + 2.0 - 1) / 5
    assert values[1] - values[0] == pytest.approx(divergence, rel=0.05)
    totals = 2 * 0.5 * (1 + math.log(2 * math.pi)) / 5  # of two standardised numbers
    assert values[0] == pytest.approx(totals, abs=0.08)
