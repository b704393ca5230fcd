"""Masked networks and flows: what sees what, densities against Jacobians, samples against densities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from caloforge.geometry import BoxGrid, PolarGrid
from caloforge.geometry.windows import cell_windows
from caloforge.nn import MADE, Beside, MaskedFlow, MaskedFlowConfig, Windows

ROWS, CELLS, CONTEXT, IMAGES = 7, 12, 3, 2
KINDS = {
    "own order": MaskedFlowConfig(transforms=1, bins=4, hidden=(9,), order="first", bound=4.0),
    "narrow": MaskedFlowConfig(transforms=2, bins=4, hidden=(5, 3), order="reverse", bound=4.0),
    "random": MaskedFlowConfig(transforms=3, bins=5, hidden=(16, 24), order="random", bound=4.0),
    "local": MaskedFlowConfig(transforms=2, bins=4, hidden=(8,), order="reverse", bound=4.0, local=6),
    "hits": MaskedFlowConfig(
        transforms=2, bins=4, hidden=(8,), order="outwards", bound=4.0, local=6, hits=True
    ),
    "local, random": MaskedFlowConfig(transforms=2, bins=4, hidden=(8, 8), bound=4.0, local=6),
}


def windows() -> Windows:
    grid = BoxGrid(nx=3, ny=4, pitch=(1.0, 1.0))
    near, front = (torch.from_numpy(cell_windows(grid, reach)) for reach in (2, 1))
    return Windows(near, front, IMAGES, torch.from_numpy(np.hypot(*grid.centres().T)))


def flow_of(kind: str, *, strength: float = 0.3) -> MaskedFlow:
    flow = MaskedFlow(CELLS, CONTEXT, KINDS[kind], windows()).double()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(strength * torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
    return flow


def inputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, Beside]:
    rng = torch.Generator().manual_seed(seed)
    shapes = (ROWS, CELLS), (ROWS, CONTEXT), (ROWS, IMAGES, CELLS)
    x, context, images = (torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes)
    return x, context, Beside(images, torch.full((ROWS,), 5.0, dtype=torch.float64))


def rows_of(beside: Beside, rows: slice) -> Beside:
    return Beside(beside.images[rows], beside.hits[rows])


def test_an_output_depends_on_earlier_features_and_the_first_on_the_condition() -> None:
    made = MADE(CELLS, CONTEXT, (24, 36), 2).double()
    x, context = (values.abs() for values in inputs()[:2])
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.abs_()  # so that every hidden unit is on
    of_x, of_context = torch.autograd.functional.jacobian(
        lambda a, b: made(a, b)[:, :, 0], (x[:1], context[:1])
    )
    seen = of_x[:, :, 0].abs().amax(0) > 0  # outputs, inputs
    assert torch.equal(seen, torch.ones(CELLS, CELLS).tril(-1).bool())
    assert bool((of_context.abs().amax((0, 2)) > 0).all())


@pytest.mark.parametrize("hidden", [(24, 36), (5,), (3, 40, 4)])
def test_steps_give_what_a_pass_gives(hidden: tuple[int, ...]) -> None:
    made = MADE(CELLS, CONTEXT, hidden, 4).double()
    x, context, _ = inputs()
    expected = made(x, context)
    steps = made.steps(context)
    found = [next(steps)]
    found += [steps.send(x[:, i]) for i in range(CELLS - 1)]
    torch.testing.assert_close(torch.stack(found, dim=1), expected)


def test_the_energy_flow_of_the_paper_has_its_published_size() -> None:
    """arXiv:2405.20407's public program, 45 layers: 447 042 parameters."""
    flow = MaskedFlow(45, 1, MaskedFlowConfig())
    assert sum(p.numel() for p in flow.parameters()) == 447_042


@pytest.mark.parametrize("kind", KINDS)
def test_densities_have_the_jacobian_s_determinant(kind: str) -> None:
    flow, (x, context, beside) = flow_of(kind), inputs()
    for row in range(2):
        one = slice(row, row + 1)
        jacobian = torch.autograd.functional.jacobian(
            lambda v, one=one: flow._forward(v[None], context[one], rows_of(beside, one))[0][0], x[row]
        )
        z, ladj = flow._forward(x[one], context[one], rows_of(beside, one))
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, ladj[0])
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum() + ladj[0]
        torch.testing.assert_close(flow.log_prob(x[one], context[one], rows_of(beside, one))[0], normal)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_undo_densities(kind: str) -> None:
    flow, (x, context, beside) = flow_of(kind), inputs()
    with torch.no_grad():
        z, _ = flow._forward(x, context, beside)
        torch.testing.assert_close(flow.sample(z, context, beside), x, rtol=0, atol=1e-6)
        assert not torch.allclose(z, x, atol=0.05)
        alone = flow.sample(z[:1], context[:1], rows_of(beside, slice(1)))
        torch.testing.assert_close(alone, x[:1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["local", "local, random"])
def test_a_local_network_sees_earlier_neighbours_and_images_beside(kind: str) -> None:
    transform = flow_of(kind).steps[0]
    order = transform.order.tolist()
    x, context, beside = inputs()

    def by_cell(values: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        start = transform.local.start(Beside(others, beside.hits[:1]), context[:1])
        ordered = values[transform.order][:, None]
        return transform.local(ordered, start)[:, :, 0].sum(0)

    of_x, of_images = torch.autograd.functional.jacobian(by_cell, (x[0], beside.images[:1]))
    grid = BoxGrid(nx=3, ny=4, pitch=(1.0, 1.0))
    near, front = (cell_windows(grid, reach) for reach in (2, 1))
    for place, cell in enumerate(order):
        allowed = set(near[cell].tolist()) & set(order[:place])
        assert {i for i in range(CELLS) if of_x[place, i]} <= allowed
        beside = set(front[cell].tolist()) - {CELLS}
        assert {i for i in range(CELLS) if of_images[place, 0, :, i].any()} <= beside
    assert bool(of_x.any())
    assert bool(of_images.any())


def test_networks_of_hits_see_no_noise_and_count_the_hits_that_are_left() -> None:
    """What lies below 0 may have any value; one hit fewer to come changes every later cell."""
    flow, (x, context, beside) = flow_of("hits"), inputs()
    first = flow.steps[0]
    assert [step.hits for step in flow.steps] == [True, False]

    def parameters(values: torch.Tensor, hits: float) -> torch.Tensor:
        told = Beside(beside.images, torch.full_like(beside.hits, hits))
        found: torch.Tensor = first._of_splines(first._clean(values.T), context, told)
        return found

    with torch.no_grad():
        deeper = torch.where(x > 0, x, 3 * x - 1)
        torch.testing.assert_close(parameters(x, 5.0), parameters(deeper, 5.0))
        changed = (parameters(x, 5.0) - parameters(x, 4.0)).abs().amax((0, 2))
        assert bool((changed > 1e-4).all())
        local, start = first.local, first.local.start(beside, context)
        local.near.weight.zero_()
        one = torch.zeros(CELLS, ROWS, dtype=torch.float64)
        one[0] = 2.0
        found = local(one, start) - local(torch.zeros_like(one), start)
        assert not bool(found[:, 0].any())
        assert bool((found[:, 1:].abs().amax((0, 2)) > 1e-4).all())


def test_hits_that_are_left_are_compared_with_what_is_usual() -> None:
    """A middle cell in every row, a corner in half of them: a third of the hits is left behind the first."""
    flow = flow_of("hits").float()
    x = torch.full((8, CELLS), -1.0)
    x[:, 5] = x[:4, 11] = 1.0
    flow.start(x)
    local = flow.steps[0].local
    assert local.ahead_of[[0, 1, 11]].tolist() == pytest.approx([1.0, 1 / 3, 1 / 3], abs=0.01)
    told = local._left(torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0]))
    expected = [[3 / 12, 0.0], [0.5, 0.0], [math.log(3.5 / 1.5), math.log(0.5 / 1.5)]]
    torch.testing.assert_close(told, torch.tensor(expected))
    flow.start(torch.ones(8, CELLS))  # once
    assert float(local.ahead_of[1]) < 0.4


def test_cells_may_be_drawn_from_the_middle_outwards() -> None:
    """Of 3 x 4 cells the two in the middle come first, the corners last; without windows, the own order."""
    order = flow_of("hits").steps[1].order.tolist()
    assert order == [5, 6, 1, 2, 9, 10, 4, 7, 0, 3, 8, 11]
    alone = MaskedFlow(CELLS, CONTEXT, KINDS["hits"])
    assert alone.steps[0].order.tolist() == list(range(CELLS))


def test_windows_end_at_edges_and_close_around_rings() -> None:
    box = cell_windows(BoxGrid(nx=3, ny=4, pitch=(1.0, 1.0)), 1)
    assert box[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert box[0].tolist() == [12, 12, 12, 12, 0, 1, 12, 4, 5]
    rings = cell_windows(PolarGrid(n_alpha=4, r_edges=(0.0, 1.0, 2.0, 3.0)), 1)
    assert rings[0].tolist() == [12, 9, 10, 12, 0, 1, 12, 3, 4]
    assert rings[11].tolist() == [7, 8, 12, 10, 11, 12, 1, 2, 12]


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_of_splines_that_do_not_depend_on_features_is_its_teacher(kind: str) -> None:
    """One pass sees the noise in place of the targets: where no spline sees any, both are the same."""
    flow, (noise, context, beside) = flow_of(kind), inputs()
    with torch.no_grad():
        states = flow.states(noise, context, beside)
        assert len(states) == KINDS[kind].transforms + 1
        assert torch.equal(states[-1], flow.sample(noise, context, beside))
        assert float(flow.distance(states, context, beside)) > 1e-3
        for step in flow.steps:
            step.network.first.weight.zero_()
            if step.local is not None:
                step.local.near.weight.zero_()
            if step.hits:
                step.local.count.weight.zero_()
        states = flow.states(noise, context, beside)
        torch.testing.assert_close(flow.in_one_pass(noise, context, beside), states[-1])
        assert float(flow.distance(states, context, beside)) < 1e-12
