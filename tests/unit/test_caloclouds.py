from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.diffusion import ancestral, ancestral_step, noised, quadratic_betas, signal_shares
from caloforge.errors import ConfigError
from caloforge.models import Particles
from caloforge.models.assembly import count_by_layer
from caloforge.models.clouds.caloclouds import CaloClouds, CaloCloudsConfig, EncoderConfig
from caloforge.models.clouds.point_ddpm import AncestralConfig, PointDDPM, PointDDPMConfig
from caloforge.models.clouds.shower_flow import ShowerFlow
from caloforge.models.noise import StreamNoise
from caloforge.nn import EPiCEncoder, SplineFlow
from caloforge.preprocessing import Summary, make_summary_transform
from caloforge.showers import Incident
from caloforge.simulator import Simulator, TrainedRange
from toy_training import batch_of, prepared

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.preprocessing import SummaryTransform
    from caloforge.training import TrainingData

BETAS = quadratic_betas(100, first=1e-4, last=0.2)
INCIDENT = Incident.of(np.linspace(1e4, 1e5, 30))


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# the diffusion


def test_the_schedule_is_the_published_one() -> None:
    betas = quadratic_betas(100, first=1e-4, last=0.02)
    assert betas[[0, -1]].tolist() == pytest.approx([1e-4, 0.02], rel=1e-12)
    roots = betas.sqrt()
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(99))
    shares = signal_shares(betas)
    assert float(shares[-1]) == pytest.approx(float((1 - betas).prod()), rel=1e-12)
    assert float(shares[-1]) == pytest.approx(0.4846, abs=1e-4)  # what the documentation says


def test_noise_keeps_unit_variance() -> None:
    clean, noise = (torch.randn(50_000, generator=rng_of(s), dtype=torch.float64) for s in (0, 1))
    for share in signal_shares(BETAS)[[0, 50, 99]]:
        mixed = noised(clean, noise, share)
        assert float(mixed.var()) == pytest.approx(1.0, abs=0.02)
        assert float((mixed * clean).mean()) == pytest.approx(float(share) ** 0.5, abs=0.02)


def ideal(x: Tensor, step: int, *, std: float, mean: float, betas: Tensor) -> Tensor:
    """The noise that the best predictor sees in normal data."""
    share = signal_shares(betas)[step].to(x)
    return (1 - share).sqrt() * (x - share.sqrt() * mean) / (share * std**2 + 1 - share)


def sampled(std: float, *, mean: float = 0.0, betas: Tensor = BETAS, flexibility: float = 0.0) -> Tensor:
    def draw(step: int) -> Tensor:
        return torch.randn(20_000, generator=rng_of(step), dtype=torch.float64)

    predict = partial(ideal, std=std, mean=mean, betas=betas)
    return ancestral(predict, draw(1000), betas, draw, flexibility=flexibility)


def test_sampling_reaches_a_point_exactly() -> None:
    torch.testing.assert_close(sampled(0.0, mean=0.3), torch.full((20_000,), 0.3, dtype=torch.float64))


def test_sampling_reaches_a_normal_distribution() -> None:
    data = sampled(0.5, mean=0.3, flexibility=0.65)
    assert float(data.mean()) == pytest.approx(0.3, abs=0.03)
    assert float(data.std()) == pytest.approx(0.5, rel=0.02)


def test_more_steps_come_closer() -> None:
    errors = []
    for steps in (25, 100, 400):
        last = 1 - 0.8 ** (100 / steps)  # the same noise in the end
        betas = quadratic_betas(steps, first=last / 2000, last=last)
        errors.append(abs(float(sampled(0.5, betas=betas).std()) / 0.5 - 1))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_flexibility_of_one_is_exact_for_data_of_unit_variance() -> None:
    widths = [float(sampled(1.0, flexibility=f).std()) for f in (0.0, 1.0)]
    assert widths[0] < 0.985 < widths[1] == pytest.approx(1.0, abs=0.01)


def test_the_last_step_adds_no_noise() -> None:
    x, estimate = torch.ones(3), torch.full((3,), 0.5)
    step = ancestral_step(x, estimate, None, BETAS, 0)
    torch.testing.assert_close(noised(step, estimate, 1 - BETAS[0].float()), x)


# the networks


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_parts_have_the_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CaloCloudsConfig()
    latent = config.encoder.latent
    with torch.device("meta"):
        assert parameters(EPiCEncoder(4, 2)) == 730_368
        assert parameters(PointDDPM(config.points, latent + 2).net) == 1_001_520
    # the flows cannot be built on the meta device: save the time that random weights take at least
    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", lambda tensor, **_: tensor)
    assert parameters(SplineFlow(latent, config.latent_flow, shared=2)) == 5_121_280
    assert parameters(ShowerFlow(config.shower_flow, 30, 1, content="counts")) == 8_572_480


def encoder_input(*, clouds: int = 5, points: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    rng = rng_of(0)
    number = torch.linspace(100, 3000, clouds)
    return (
        torch.randn(clouds, points, 4, generator=rng),
        torch.randn(clouds, 2, generator=rng),
        number,
    )


@pytest.fixture(scope="module")
def encoder() -> EPiCEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return EPiCEncoder(4, 2, width=16, latent=6, layers=2)


def test_the_order_of_points_does_not_matter(encoder: EPiCEncoder) -> None:
    points, context, number = encoder_input()
    order = torch.randperm(12, generator=rng_of(1))
    for one, other in zip(
        encoder(points, context, number), encoder(points[:, order], context, number), strict=True
    ):
        assert one.shape == (5, 6)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_clouds_are_encoded_one_by_one(encoder: EPiCEncoder) -> None:
    points, context, number = encoder_input()
    mean, _ = encoder(points, context, number)
    changed = points.clone()
    changed[2] += 1
    other, _ = encoder(changed, context, number)
    same = [0, 1, 3, 4]
    torch.testing.assert_close(mean[same], other[same])
    assert not torch.allclose(mean[2], other[2])
    assert not torch.allclose(mean, encoder(points, context, 2 * number)[0])


def test_a_cloud_that_is_drawn_twice_is_the_same_cloud(encoder: EPiCEncoder) -> None:
    points, context, number = encoder_input()
    twice = torch.cat([points, points], dim=1)
    for one, other in zip(encoder(points, context, number), encoder(twice, context, number), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("time", ["beta", "fourier"])
def test_points_are_sampled_alike_in_any_block(time: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = PointDDPM(PointDDPMConfig.model_validate({"hidden": (16,), "steps": 8, "time": time}), 3)
    condition = torch.randn(4, 3, generator=rng_of(0))
    counts = torch.tensor([5000, 0, 1, 4000])
    with torch.no_grad():
        together = net.sample(StreamNoise(1, np.arange(4)), condition, counts, AncestralConfig())
        alone = [
            net.sample(
                StreamNoise(1, np.arange(i, i + 1)),
                condition[i : i + 1],
                counts[i : i + 1],
                AncestralConfig(),
            )
            for i in range(4)
        ]
    assert together.shape == (9001, 4)
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


# counts as a flow's target


def random_summary(seed: int) -> tuple[Summary, Tensor]:
    condition = torch.rand(300, 1, generator=rng_of(seed)) * 2 - 1
    profile = 40 * (2 + condition) * torch.exp(-0.5 * ((torch.arange(30) - 10) / 5) ** 2)
    counts = torch.poisson(profile, generator=rng_of(seed))
    counts[:, 12] += 1
    energies = counts * (0.05 + 0.1 * torch.rand(300, 30, generator=rng_of(seed)))
    return Summary(counts, energies, torch.zeros(300, 3)), condition


def fitted(scaling: str) -> SummaryTransform:
    transform = make_summary_transform(scaling, 30, 1, content="counts")  # type: ignore[arg-type]
    transform.fit(*random_summary(0), rng_of(1))
    return transform


@pytest.mark.parametrize("scaling", ["paper", "whitened"])
def test_counts_and_the_visible_energy_come_back(scaling: str) -> None:
    transform = fitted(scaling)
    summary, condition = random_summary(2)
    target = transform(summary, condition, rng_of(3))
    assert target.shape == (300, transform.features) == (300, 32)
    back = transform.inverse(target, condition)
    assert float(((back.counts - summary.counts).abs() < 0.01).float().mean()) > 0.999
    assert back.energies.shape == (300, 1)
    assert back.centre.shape == (300, 0)
    torch.testing.assert_close(back.energies, summary.energies.sum(1, keepdim=True), rtol=1e-4, atol=0)


@pytest.mark.parametrize("scaling", ["paper", "whitened"])
def test_any_sample_is_a_summary(scaling: str) -> None:
    wild = 4 * torch.randn(300, 32, generator=rng_of(2))
    summary = fitted(scaling).inverse(wild, torch.full((300, 1), 20.0))
    for values in (summary.counts, summary.energies):
        assert bool(values.isfinite().all())
        assert bool((values >= 0).all())


# the model


def untrained(data: TrainingData, *overrides: str) -> CaloClouds:
    model = prepared("caloclouds", data, *overrides)
    assert isinstance(model, CaloClouds)
    return model


def wanted(model: CaloClouds, incident: Incident, seed: int = 1) -> Summary:
    with torch.no_grad():
        condition = model.conditions(Particles.of(incident))
        return model.shower_flow.sample(condition, StreamNoise(seed, np.arange(len(incident))))


def test_showers_have_the_counts_and_the_energy_that_the_flow_wants(data: TrainingData) -> None:
    model = untrained(data)
    summary = wanted(model, INCIDENT)
    showers = Simulator(model, TrainedRange((1e4, 1e5), 0.01, (22,))).sample(INCIDENT, seed=1)
    counts = count_by_layer(showers, data.geometry)
    torch.testing.assert_close(counts.sum(1), summary.counts.sum(1).double().round().clamp_min(1))
    assert float((counts - summary.counts).abs().max()) <= 1.0
    np.testing.assert_allclose(showers.visible_energy, summary.energies[:, 0], rtol=1e-5)


def test_the_latent_stage_trains_the_flow_alone(data: TrainingData) -> None:
    model = untrained(data)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters_of(["latent_flow"]), lr=1e-2)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = model.loss(batch_of(data), turn="latent_flow", rng=rng_of(0))["loss"]
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    changed = {n.split(".")[0] for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"latent_flow"}


def test_terms_of_the_loss(data: TrainingData) -> None:
    for weight, free in ((0.1, 0.0), (0.1, 50.0)):
        model = untrained(data, f"model.encoder.weight={weight}", f"model.encoder.free={free}")
        with torch.no_grad():
            terms = model.loss(batch_of(data), turn="points", rng=rng_of(0))
        values = {name: float(value) for name, value in terms.items()}
        assert 0 < values["divergence"] < 50
        wanted = values["noise_error"] + weight * max(free, values["divergence"])
        assert values["loss"] == pytest.approx(wanted)


def test_the_encoder_does_not_see_the_points_that_are_to_be_drawn(data: TrainingData) -> None:
    model, batch = untrained(data), batch_of(data)
    assert batch.points is not None
    with torch.no_grad():
        terms = model.loss(batch, turn="points", rng=rng_of(0))
        batch.points[:, 32:] += 1.0
        other = model.loss(batch, turn="points", rng=rng_of(0))
    assert float(other["divergence"]) == float(terms["divergence"])
    assert float(other["noise_error"]) != float(terms["noise_error"])


def test_points_are_needed(data: TrainingData) -> None:
    batch = data.batch(data.rows("train")[:4], points=0, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="caloclouds trains on points"):
        untrained(data).loss(batch, turn="latent_flow", rng=rng_of(0))


def test_the_latent_vector_changes_the_cloud(data: TrainingData) -> None:
    model = untrained(data)
    summary = wanted(model, INCIDENT[:2])
    condition = model.conditions(Particles.of(INCIDENT[:2]))
    counts = torch.tensor([40, 40])

    class Shifted(StreamNoise):
        def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
            return super().normal(stage, counts, width) + (2.0 if stage == "latent" else 0.0)

    with torch.no_grad():
        clouds = [
            model._features(condition, summary, counts, kind(1, np.arange(2)))
            for kind in (StreamNoise, Shifted)
        ]
    assert not torch.allclose(*clouds)


def test_sampler_can_be_changed(data: TrainingData) -> None:
    simulator = Simulator(untrained(data), TrainedRange((1e4, 1e5), 0.01, (22,)))
    incident = INCIDENT[:3]
    first, other = (s.sample(incident, seed=1) for s in (simulator, simulator.with_sampler(flexibility=1.0)))
    np.testing.assert_array_equal(first.n_hits, other.n_hits)
    assert not np.array_equal(first.points, other.points)


def test_calibrated_showers_light_as_many_cells_per_point_as_those_of_the_data(data: TrainingData) -> None:
    model = untrained(data)
    blocks = list(data.showers("train", block=30))
    numbers = model.fit_stage("calibration", lambda: blocks, seed=1)
    assert numbers["showers"] == 84
    points, hits = (n.sum() for n in model._count(blocks))
    drafts = [model._draft(block, 1) for block in blocks]
    wanted = sum(draft.counts.sum() for draft in drafts)
    _, lit = model._count(model._imitations(drafts, blocks))
    assert float(lit.sum() / wanted) == pytest.approx(float(hits / points), rel=0.03)


def test_encoder_s_defaults_are_the_published_ones() -> None:
    assert EncoderConfig() == EncoderConfig(width=128, latent=256, layers=3, weight=1e-3, free=1.0)
