from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from caloforge.nn import (
    ConditionerConfig,
    SetContext,
    SetSummaryConfig,
    SplineFlow,
    SplineFlowConfig,
    segment_mean,
    segment_sum,
)

if TYPE_CHECKING:
    from torch import Tensor

SUMMARY = SetSummaryConfig(element=(8,), pooled=8, reduced=(8,), outputs=4)
SMALL = ConditionerConfig(hidden=(16, 16))
COUNTS = torch.tensor([4, 0, 1, 7, 3])
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "residual": {"conditioner": ConditionerConfig(kind="residual", hidden=(16,), blocks=2)},
    "random": {"masks": "random"},
    "conditional": {"base": "conditional"},
    "summary": {"summary": SUMMARY},
    "neighbours": {"neighbours": 2},
    "everything": {"summary": SUMMARY, "neighbours": 2, "base": "conditional", "own": 3, "masks": "random"},
    "one feature": {"features": 1, "own": 2},
    "one feature of a set": {"features": 1, "summary": SUMMARY, "neighbours": 2, "base": "conditional"},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def make_flow(kind: str, *, strength: float = 0.2, seed: int = 0, **changes: Any) -> SplineFlow:
    """A small flow whose weights are large enough to bend."""
    options = {"features": 3, "own": 0, "neighbours": 0, "transforms": 4, "conditioner": SMALL}
    options |= KINDS[kind] | changes
    sizes = {name: options.pop(name) for name in ("own", "neighbours")}
    flow = SplineFlow(options.pop("features"), SplineFlowConfig.model_validate(options), shared=2, **sizes)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(strength * torch.randn(parameter.shape, generator=rng))
    return flow


def make_context(
    kind: str, *, counts: Tensor | None = COUNTS, rows: int = 15, dtype: torch.dtype = torch.float32
) -> SetContext:
    """Random conditions: sets of ``counts`` elements, or ``rows`` sets of one element."""
    rng = torch.Generator().manual_seed(1)
    sets, index = rows, None
    if counts is not None:
        sets, rows = len(counts), int(counts.sum())
        index = torch.arange(sets).repeat_interleave(counts)
    own, near = KINDS[kind].get("own", 0), KINDS[kind].get("neighbours", 0)
    return SetContext(
        torch.randn(sets, 2, generator=rng, dtype=dtype),
        index,
        torch.randn(rows, own, generator=rng, dtype=dtype) if own else None,
        neighbours_within(index, rows, near, rng) if near else None,
    )


def neighbours_within(index: Tensor | None, rows: int, near: int, rng: torch.Generator) -> Tensor:
    """Neighbours of the same set, or none."""
    chosen = torch.randint(rows + 1, (rows, near), generator=rng)
    sets = torch.arange(rows) if index is None else index
    same = torch.cat([sets, torch.tensor([-1])])[chosen] == sets[:, None]
    return torch.where(same, chosen, rows)


def noise_for(flow: SplineFlow, rows: int, *, seed: int = 2) -> Tensor:
    dtype = next(flow.parameters()).dtype
    return torch.randn(rows, flow.features, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@torch.no_grad()
def to_noise(flow: SplineFlow, x: Tensor, context: SetContext) -> Tensor:
    """Undo ``sample``."""
    z = x.T
    for coupling in flow.couplings:
        z, _ = coupling(z, context)
    if flow.base is not None:
        mean, log_std = (context.spread(part) for part in flow.base(context.shared))
        return (z.T - mean) / log_std.exp()
    return z.T


@EVERY_KIND
@pytest.mark.parametrize("sets", [True, False])
def test_samples_come_back_in_single_precision(kind: str, sets: bool) -> None:
    flow = make_flow(kind, strength=0.15)
    context = make_context(kind, counts=COUNTS if sets else None)
    noise = noise_for(flow, 15)
    with torch.no_grad():
        x = flow.sample(noise, context)
    assert x.is_contiguous()
    assert float((x - noise).abs().mean()) > 0.05
    torch.testing.assert_close(to_noise(flow, x, context), noise, rtol=0, atol=1e-5)


@EVERY_KIND
def test_the_density_of_a_set_is_that_of_autograd_s_jacobian(kind: str) -> None:
    flow, context = make_flow(kind).double(), make_context(kind, dtype=torch.float64)
    noise = noise_for(flow, 15)
    jacobian = torch.autograd.functional.jacobian(lambda z: flow.sample(z, context), noise)
    assert isinstance(jacobian, torch.Tensor)
    size = noise.numel()
    stretch = torch.linalg.slogdet(jacobian.reshape(size, size)).logabsdet
    expected = torch.distributions.Normal(0, 1).log_prob(noise).sum() - stretch
    with torch.no_grad():
        value = flow.log_prob(flow.sample(noise, context), context).sum()
    torch.testing.assert_close(value, expected)
    assert abs(float(stretch)) > 0.1


def test_every_element_of_a_plain_flow_has_its_own_density() -> None:
    flow, context = make_flow("plain").double(), make_context("plain", counts=None, dtype=torch.float64)
    noise = noise_for(flow, 15)
    with torch.no_grad():
        x = flow.sample(noise, context)
        together = flow.log_prob(x, context)
        alone = [flow.log_prob(x[i : i + 1], context.shared[i : i + 1]) for i in range(15)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize(
    ("kind", "features", "points"), [("one feature", 1, 4001), ("plain", 2, 241), ("conditional", 2, 241)]
)
def test_densities_are_normalised(kind: str, features: int, points: int) -> None:
    flow = make_flow(kind, features=features, transforms=3).double()
    line = torch.linspace(-8, 8, points, dtype=torch.float64)
    grid = torch.cartesian_prod(*[line] * features).reshape(-1, features)
    context = make_context(kind, counts=torch.tensor([len(grid)]), dtype=torch.float64)
    own = None if context.own is None else context.own[:1].expand(len(grid), -1)  # everywhere the same
    with torch.no_grad():
        density = flow.log_prob(grid, SetContext(context.shared, context.index, own)).exp()
    total = float(density.sum()) * float(line[1] - line[0]) ** features
    assert total == pytest.approx(1.0, abs=1e-3)
    assert not torch.allclose(density, torch.distributions.Normal(0, 1).log_prob(grid).sum(1).exp(), rtol=0.2)


@EVERY_KIND
def test_the_order_of_elements_does_not_matter(kind: str) -> None:
    flow, context = make_flow(kind).double(), make_context(kind, dtype=torch.float64)
    index = context.index
    assert index is not None
    noise = noise_for(flow, 15)
    shuffled = torch.randperm(15, generator=torch.Generator().manual_seed(3))
    order = shuffled[index[shuffled].argsort(stable=True)]  # mixed inside of every set
    assert not torch.equal(order, torch.arange(15))
    near = None
    if context.neighbours is not None:
        place = torch.cat([order.argsort(), torch.tensor([15])])
        near = place[context.neighbours[order]]
    own = None if context.own is None else context.own[order]
    mixed = SetContext(context.shared, index[order], own, near)
    with torch.no_grad():
        x = flow.sample(noise, context)
        torch.testing.assert_close(flow.sample(noise[order], mixed), x[order])
        torch.testing.assert_close(flow.log_prob(x[order], mixed), flow.log_prob(x, context)[order])


@EVERY_KIND
def test_sets_do_not_see_each_other(kind: str) -> None:
    flow, context = make_flow(kind).double(), make_context(kind, dtype=torch.float64)
    assert context.index is not None
    noise = noise_for(flow, 15)
    mine = context.index == 3
    other = torch.where(mine[:, None], noise, noise + 1)
    with torch.no_grad():
        x, changed = flow.sample(noise, context), flow.sample(other, context)
        torch.testing.assert_close(changed[mine], x[mine], rtol=0, atol=0)
        torch.testing.assert_close(
            flow.log_prob(changed, context)[mine], flow.log_prob(x, context)[mine], rtol=0, atol=0
        )
    assert float((changed[~mine] - x[~mine]).abs().min()) > 1e-6


@pytest.mark.parametrize("kind", ["summary", "neighbours", "everything"])
def test_elements_of_a_set_see_each_other(kind: str) -> None:
    flow, context = make_flow(kind).double(), make_context(kind, dtype=torch.float64)
    noise = noise_for(flow, 15)
    other = noise.clone()
    other[6] += 1.0  # of the set of elements 5 to 11
    with torch.no_grad():
        moved = (flow.sample(other, context) - flow.sample(noise, context)).abs().amax(1) > 1e-9
    assert bool(moved[[5, *range(7, 12)]].any())


@EVERY_KIND
def test_gradients_reach_every_parameter(kind: str) -> None:
    flow, context = make_flow(kind), make_context(kind)
    flow.log_prob(noise_for(flow, 15), context).sum().backward()
    for name, parameter in flow.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.any()), name


@EVERY_KIND
def test_no_elements_at_all(kind: str) -> None:
    flow, context = make_flow(kind), make_context(kind, counts=torch.zeros(3, dtype=torch.int64))
    empty = noise_for(flow, 0)
    assert flow.sample(empty, context).shape == (0, flow.features)
    value = flow.log_prob(empty, context)
    assert value.shape == (0,)
    value.sum().backward()


def test_every_condition_matters() -> None:
    flow, context = make_flow("everything"), make_context("everything")
    noise = noise_for(flow, 15)
    assert context.own is not None
    changes = [
        SetContext(context.shared + 1, context.index, context.own, context.neighbours),
        SetContext(context.shared, context.index, context.own + 1, context.neighbours),
        SetContext(context.shared, context.index, context.own, torch.full_like(context.neighbours, 15)),  # type: ignore[arg-type]
    ]
    with torch.no_grad():
        x = flow.sample(noise, context)
        for changed in changes:
            assert float((flow.sample(noise, changed) - x).abs().max()) > 1e-3


def test_a_tensor_is_a_condition_of_every_row() -> None:
    flow = make_flow("plain")
    noise, context = noise_for(flow, 9), torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = flow.sample(noise, context)
        assert torch.equal(x, flow.sample(noise, SetContext(context)))
        spread = SetContext(context, torch.arange(9))
        torch.testing.assert_close(flow.log_prob(x, spread), flow.log_prob(x, context))


@pytest.mark.parametrize("masks", ["alternate", "random"])
@pytest.mark.parametrize("features", [2, 3, 8])
def test_couplings_come_in_complements(masks: str, features: int) -> None:
    flow = SplineFlow(features, SplineFlowConfig.model_validate({"transforms": 6, "masks": masks}), shared=1)
    kept = [coupling.kept.tolist() for coupling in flow.couplings]  # type: ignore[union-attr, operator]
    for first, second in zip(kept[::2], kept[1::2], strict=True):
        assert sorted(first + second) == list(range(features))
        assert len(first) == features // 2
    assert (len({tuple(k) for k in kept}) > 2) == (masks == "random" and features > 2)


def test_random_masks_are_saved_with_the_weights() -> None:
    first, second = (
        SplineFlow(8, SplineFlowConfig(masks="random", seed=seed, transforms=2), shared=1) for seed in (1, 2)
    )
    noise, context = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 1)
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        assert torch.equal(first.sample(noise, context), second.sample(noise, context))


def test_new_flows_are_near_the_identity() -> None:
    flow = SplineFlow(6, SplineFlowConfig(transforms=8), shared=2)
    noise = noise_for(flow, 200)
    with torch.no_grad():
        moved = flow.sample(noise, torch.zeros(200, 2)) - noise
    assert float(moved.abs().max()) < 0.3


@pytest.mark.parametrize(
    ("features", "shared", "hidden", "more", "expected"),
    [
        (256, 2, (128, 128), {"transforms": 10, "bins": 10}, 5_121_280),
        (4, 131, (128, 128, 128), {"transforms": 12}, 673_320),
        (128, 3, (1024, 1024, 1024), {"transforms": 8}, 29_421_056),
        (3, 131, (128, 128, 128), {"transforms": 12, "summary": SetSummaryConfig()}, 6_868_254),
    ],
)
def test_published_numbers_of_parameters(
    features: int, shared: int, hidden: tuple[int, ...], more: dict[str, Any], expected: int
) -> None:
    config = SplineFlowConfig(conditioner=ConditionerConfig(hidden=hidden), **more)
    with torch.device("meta"):
        flow = SplineFlow(features, config, shared=shared)
    assert sum(p.numel() for p in flow.parameters()) == expected


def test_sums_and_means_of_sets() -> None:
    values = torch.tensor([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    index = torch.tensor([0, 0, 2])
    assert segment_sum(values, index, 4).tolist() == [[3, 30], [0, 0], [6, 60], [0, 0]]
    assert segment_mean(values, index, 4).tolist() == [[1.5, 15], [0, 0], [6, 60], [0, 0]]
    assert segment_mean(values[:0], index[:0], 2).tolist() == [[0, 0], [0, 0]]
