"""3DGAN's parts: published sizes, the analytic angle, the terms of the loss, images and conditions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from caloforge.errors import ConfigError
from caloforge.geometry import BoxGrid, Geometry, Layer, Slab, load_geometry
from caloforge.models.gan import losses
from caloforge.models.gan.analytic import MeasuredAngle
from caloforge.models.gan.config import Block, DiscriminatorConfig, GANConfig, GeneratorConfig, LossConfig
from caloforge.models.gan.constraints import _centres, constraints
from caloforge.models.gan.discriminator import Discriminator
from caloforge.models.gan.generator import Generator
from caloforge.models.gan.images import Images, mirrored, polar_angle
from caloforge.models.gan.places import Places
from caloforge.models.image_distances import distances, diversity
from caloforge.showers import Incident
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.gan.generator import Draw

CLIC = "clic-51x51x25"


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(count: int, seed: int = 0) -> Draw:
    generator = rng(seed)
    return lambda _, width: torch.randn(count, width, generator=generator)


def window(nx: int, ny: int, layers: int, *, slabs: tuple[Slab, ...] = (), pitch: float = 5.1) -> Geometry:
    grid = BoxGrid(nx=nx, ny=ny, pitch=(pitch, pitch))
    return Geometry(name="window", layers=tuple(Layer(grid=grid, id=k, slabs=slabs) for k in range(layers)))


@pytest.fixture(scope="module")
def clic() -> Geometry:
    return load_geometry(CLIC)


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_paper_s_networks_have_their_sizes(clic: Geometry) -> None:
    config = GANConfig()
    with torch.device("meta"):
        generator = Generator(config.generator, clic)
        discriminator = Discriminator(config.discriminator, clic)
    assert (count(generator), count(discriminator)) == (1_364_983, 87_354)
    assert generator.start.out_features == 9 * 9 * 8 * 8
    assert discriminator.real.in_features == 19 * 18 * 7 * 8


def test_images_shrink_as_in_the_paper_s_table(clic: Geometry) -> None:
    generator = Generator(GeneratorConfig(), clic)
    shapes: list[tuple[int, ...]] = []
    for block in generator.blocks:
        block.convolution.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    generator(torch.zeros(1, 2), draw(1))
    assert shapes == [
        (8, 49, 49, 41),
        (6, 50, 50, 38),
        (6, 51, 51, 35),
        (6, 52, 52, 32),
        (6, 52, 52, 28),
        (6, 52, 52, 26),
        (1, 51, 51, 25),
    ]


@pytest.mark.parametrize("shape", [(17, 17, 25), (30, 30, 30), (7, 12, 5)])
def test_the_generator_fits_any_window(shape: tuple[int, int, int]) -> None:
    generator = Generator(GeneratorConfig(), window(*shape))
    assert generator(torch.zeros(2, 2), draw(2)).shape == (2, 1, *shape)


def test_normalisation_stands_behind_the_activation_with_keras_momentum(clic: Geometry) -> None:
    for network in (Generator(GeneratorConfig(), clic), Discriminator(DiscriminatorConfig(), clic)):
        norms = [block.norm for block in network.blocks]
        batch = [norm for norm in norms if isinstance(norm, torch.nn.BatchNorm3d)]
        assert {(norm.momentum, norm.eps) for norm in batch} == {(0.01, 1e-6)}
    assert [isinstance(b.norm, torch.nn.BatchNorm3d) for b in Generator(GeneratorConfig(), clic).blocks] == [
        *([True] * 5),
        *([False] * 2),
    ]


def test_up_sampling_repeats_its_neighbours() -> None:
    config = GeneratorConfig(
        channels=1, blocks=(Block(channels=1, kernel=(1, 1, 1), upsampling=(2, 2, 1), norm=False),)
    )
    generator = Generator(config, window(4, 4, 1))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.zero_()
        generator.start.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        generator.blocks[0].convolution.layer.weight.fill_(1.0)
    image = generator(torch.zeros(1, 2), draw(1))[0, 0, :, :, 0]
    assert image.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_a_same_convolution_of_even_size_has_one_more_zero_behind() -> None:
    """As in Keras: of a kernel of 6, two zeros in front of the image and three behind it."""
    config = DiscriminatorConfig(
        blocks=(Block(channels=1, kernel=(1, 1, 6), padding="same", norm=False),), dropout=0, pool=1
    )
    block = Discriminator(config, window(1, 1, 6)).blocks[0]
    with torch.no_grad():
        block.convolution.layer.weight.copy_(torch.arange(6.0).reshape(1, 1, 1, 1, 6))
        block.convolution.layer.bias.zero_()
    ones = torch.ones(1, 1, 1, 1, 6)
    expected = [2 + 3 + 4 + 5, 1 + 2 + 3 + 4 + 5, 15, 10, 6, 3]
    assert block(ones, None).flatten().tolist() == expected
    assert block(-ones, None).flatten().tolist() == pytest.approx([-0.3 * n for n in expected])


def test_dropout_draws_from_the_given_generator_alone(clic: Geometry) -> None:
    network = Discriminator(DiscriminatorConfig(), window(20, 21, 20)).train()
    images, conditions = torch.rand(4, 1, 20, 21, 20), torch.ones(4, 2)
    before = torch.get_rng_state()
    first, again, other, none = (network(images, conditions, r)[0] for r in (rng(1), rng(1), rng(2), None))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, none)
    assert torch.equal(torch.get_rng_state(), before)


def shower(geometry: Geometry, cells: dict[tuple[int, int, int], float]) -> Tensor:
    layers, nx, ny = geometry.dense_shape
    image = torch.zeros(1, nx, ny, layers)
    for (x, y, z), energy in cells.items():
        image[0, x, y, z] = energy
    return image


def test_the_measured_angle_of_a_shower_by_hand() -> None:
    """Three layers, one cell each, in numbers of cells.

    The centre is at y = (1 + 2 + 2) / 3 + 0.5 = 2.1667, z = 1 + 0.5. Layer 0: y is 0.6667 below at a distance
    of 1 in front, so the slope is +0.6667; layer 1 is 0.3333 beside it at no distance, its d = sqrt(1e-6);
    layer 2: 0.3333 above, 1 behind. Weights 0.5, 1.5, 2.5.
    """
    geometry = window(5, 5, 3)
    image = shower(geometry, {(2, 1, 0): 1.0, (2, 2, 1): 1.0, (2, 2, 2): 1.0})
    slopes = (2 / 3, (1 / 3) / 1e-3, 1 / 3)
    angles = [math.pi / 2 - math.atan(m) for m in slopes]
    expected = (0.5 * angles[0] + 1.5 * angles[1] + 2.5 * angles[2]) / 4.5
    assert MeasuredAngle(geometry)(image).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("lean", [-30.0, 0.0, 20.0])
def test_the_measured_angle_is_the_polar_angle_of_a_thin_shower(lean: float) -> None:
    slabs = (Slab(material="W", thickness=9.0), Slab(material="Si", thickness=1.0, sensitive=True))
    geometry = window(9, 801, 10, slabs=slabs, pitch=0.2)
    image = torch.zeros(1, 9, 801, 10)
    y = np.tan(lean * DEGREE) * geometry.layer_z
    image[0, 4, np.round(y / 0.2).astype(int) + 400, np.arange(10)] = torch.rand(10, generator=rng()) + 0.5
    assert MeasuredAngle(geometry)(image).item() == pytest.approx((90 - lean) * DEGREE, abs=0.03)
    incident = Incident.of(np.full(1, 1e4), theta=abs(lean) * DEGREE, phi=math.copysign(np.pi / 2, lean))
    polar = polar_angle(torch.from_numpy(incident.direction[:, :2]))
    assert polar.item() == pytest.approx((90 - lean) * DEGREE)


def test_the_measured_angle_of_an_empty_image_is_large_and_its_gradient_finite() -> None:
    geometry = window(5, 5, 4)
    empty = torch.zeros(2, 5, 5, 4, requires_grad=True)
    assert MeasuredAngle(geometry)(empty).tolist() == [100.0, 100.0]
    image = torch.cat([empty[:1], torch.rand(1, 5, 5, 4, generator=rng())])
    single = shower(geometry, {(1, 2, 3): 1.0})
    for cells in (image, single.requires_grad_()):
        (gradient,) = torch.autograd.grad(MeasuredAngle(geometry)(cells).sum(), cells)
        assert bool(gradient.isfinite().all())


def test_the_angle_has_the_gradient_of_finite_differences() -> None:
    geometry = window(4, 5, 6)
    measured = MeasuredAngle(geometry)
    image = torch.rand(1, 4, 5, 6, generator=rng(3)) + 0.5
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(measured(image).sum(), image)
    moved = image.detach().clone()
    moved[0, 1, 4, 5] += 0.02
    expected = (measured(moved) - measured(image)).item() / 0.02
    assert gradient[0, 1, 4, 5].item() == pytest.approx(expected, rel=0.05)


def test_losses_by_hand() -> None:
    weight = torch.tensor([1.0, 1.0, 0.0])
    found, expected = torch.tensor([1.1, 3.0, 9.0]), torch.tensor([1.0, 4.0, 1.0])
    assert losses.percentage_error(found, expected, weight).item() == pytest.approx(100 * (0.1 + 0.25) / 2)
    assert losses.absolute_error(found, expected, weight).item() == pytest.approx((0.1 + 1) / 2)
    logits = torch.tensor([0.0, 2.0, 5.0])
    entropy = (math.log(2) + math.log1p(math.exp(-2))) / 2
    assert losses.cross_entropy(logits, torch.ones(3), weight).item() == pytest.approx(entropy)
    # sorted: (1.1, 3) against (1, 4), whatever the order of the showers; the third does not count
    shuffled = torch.tensor([3.0, 1.1, 9.0])
    assert losses.sorted_difference(shuffled, expected, weight).item() == pytest.approx((0.1 + 1) / 2)
    columns = (torch.stack([found, shuffled], 1), torch.stack([expected, expected + 1], 1))
    assert losses.sorted_difference(*columns, weight).item() == pytest.approx(
        ((0.1 + 1) / 2 + (0.9 + 2) / 2) / 2
    )


def test_centres_of_layers_are_measured_from_the_axis(clic: Geometry) -> None:
    """One hit cell in one layer, one cell off the axis in x, of showers that lean by 10 and -20 degrees."""
    measure = MeasuredAngle(clic)
    cells = torch.zeros(2, 51, 51, 25)
    cells[:, 26, 25, 10] = 7.0
    config = LossConfig(matching="sorted", centres=1.0, layers=0.0)
    labels, weight = torch.ones(2), torch.ones(2)
    polar = torch.tensor([80.0, 110.0]) * DEGREE
    other = cells.roll(1, 1)
    found = constraints(config, measure, (cells, other), labels=labels, polar=polar, weight=weight)
    assert float(found["centres"]) == pytest.approx(5.1, rel=1e-4)
    straight = torch.full((2,), 90 * DEGREE)
    centres = [_centres(cells, measure, angle)[:, [10, 35]] for angle in (straight, polar)]
    assert centres[0].flatten().tolist() == pytest.approx([5.1, 0, 5.1, 0], abs=1e-4)
    depth = clic.layer_z[10]
    leans = [-depth * math.tan(angle * DEGREE) for angle in (10, -20)]
    assert centres[1][:, 1].tolist() == pytest.approx(leans, rel=1e-4)


def test_labels_are_flipped_in_the_stated_share() -> None:
    labels = losses.flipped(1.0, torch.zeros(20_000), 0.05, rng())
    assert (labels == 0).float().mean().item() == pytest.approx(0.05, abs=0.005)
    assert set(losses.flipped(0.0, torch.zeros(100), 0.0, rng()).tolist()) == {0.0}


def test_the_gradient_penalty_of_a_known_critic() -> None:
    """The logit 3 x + 4 y has a gradient of length 5: half its square."""
    image = torch.rand(2, 1, 2, 1, 1)
    weights = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    assert losses.gradient_penalty(lambda x: (x * weights).sum((1, 2, 3, 4)), image).item() == pytest.approx(
        12.5
    )


def test_images_are_the_paper_s_and_come_back(clic: Geometry) -> None:
    """A cell of 20 MeV is 1 in the files' units of GeV / 50, before and after the power."""
    images = Images(GANConfig(), clic)
    cells = torch.zeros(1, clic.n_cells)
    where = 7 * 51 * 51 + 3 * 51 + 2  # layer 7, x 3, y 2
    cells[0, where], cells[0, 0] = 20.0, 100.0
    image = images.encode(cells)
    assert image.shape == (1, 1, 51, 51, 25)
    assert image[0, 0, 3, 2, 7].item() == pytest.approx(1.0)
    assert image[0, 0, 0, 0, 0].item() == pytest.approx(5**0.85)
    assert images.energies(image).sum().item() == pytest.approx(6.0)
    torch.testing.assert_close(images.decode(image), cells)
    conditions = images.conditions(torch.tensor([150 * GEV]), torch.tensor([1.2]))
    assert conditions.tolist() == [[pytest.approx(1.5), pytest.approx(1.2)]]


def test_cells_below_threshold_are_cut_from_images(siw: Geometry) -> None:
    images = Images(GANConfig(), siw)
    assert images.threshold == pytest.approx((0.1 / 20) ** 0.85)
    image = torch.zeros(1, 1, 30, 30, 30)
    image[0, 0, 3, 4, 5] = images.threshold
    image[0, 0, 3, 4, 6] = 0.99 * images.threshold
    image[0, 0, 3, 4, 7] = -1.0
    cells = images.decode(image)[0]
    assert cells.nonzero().flatten().tolist() == [5 * 900 + 3 * 30 + 4]
    assert cells.max().item() == np.float32(siw.threshold)


def test_drawn_hits_start_at_the_threshold_and_pass_gradients() -> None:
    config = GeneratorConfig(
        hits=True, channels=2, blocks=(Block(channels=1, kernel=(1, 1, 1), upsampling=(2, 2, 1), norm=False),)
    )
    generator = Generator(config, window(16, 16, 8), threshold=0.3)
    image = generator(torch.zeros(8, 2), draw(8))
    hit = image[image > 0]
    assert hit.min().item() >= 0.3
    assert 0.05 < len(hit) / image.numel() < 0.95
    generator.zero_grad()
    image.sum().backward()
    gradient = generator.blocks[0].convolution.layer.bias.grad
    assert gradient is not None
    assert bool((gradient > 0).all())  # more energy, more hits: a larger sum
    with pytest.raises(ValidationError, match="one channel, the image, of the last block"):
        GeneratorConfig(blocks=(Block(channels=2),))


def test_mirrored_showers_have_mirrored_angles() -> None:
    geometry = window(6, 7, 5)
    image = torch.rand(64, 1, 6, 7, 5, generator=rng())
    polar = MeasuredAngle(geometry)(image[:, 0])
    turned, angle = mirrored(image, polar, rng(1))
    torch.testing.assert_close(MeasuredAngle(geometry)(turned[:, 0]), angle)
    assert 16 < int((angle != polar).sum()) < 48
    torch.testing.assert_close(turned.sum((1, 2, 3)), image.sum((1, 2, 3)).flip(0).flip(0))


def test_places_follow_the_axis(siw: Geometry) -> None:
    places = Places(siw, (30, 30, 30))
    lean = 20 * DEGREE
    depth, x, y, near = places(torch.tensor([math.pi / 2 - lean]))[0]
    half = 15 * 5.0883
    assert x[20, 0, 0].item() == pytest.approx(5.5 / 15)
    at = (5.5 * 5.0883, 3.5 * 5.0883 - math.tan(lean) * depth[0, 0, 11].item() * siw.depth)
    assert y[20, 18, 11].item() == pytest.approx(at[1] / half, abs=1e-4)
    assert near[20, 18, 11].item() == pytest.approx(math.log1p(math.hypot(*at) / 5), rel=1e-4)
    assert 0 < depth[0, 0, 0] < depth[0, 0, 29] < 1


def test_polar_grids_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"3dgan: got the read-out cylinder-ds2, expected one grid of square"
    ):
        Images(GANConfig(), load_geometry("cylinder-ds2"))


def test_a_discriminator_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"discriminator of 3dgan: got nothing left of 10 x 10 x 30 cells, exp"
    ):
        Discriminator(DiscriminatorConfig(), window(10, 10, 30))


def cells(seed: int, *, showers: int = 64) -> Tensor:
    profile = torch.linspace(1, 3, 5)
    return torch.rand(showers, 6, 6, 5, generator=rng(seed)).pow(4) * profile


def test_distances_vanish_for_equal_showers_and_see_each_change() -> None:
    real, energy = cells(0), torch.linspace(10, 20, 64)
    assert all(value.item() == 0 for value in distances(real, real, energy, 1e-3).values())
    scaled = distances(real, 1.1 * real, energy, 1e-3)
    assert scaled["sampling_fraction"].item() == pytest.approx(0.1, rel=1e-5)
    assert scaled["resolution"].item() == pytest.approx(0.1, rel=1e-5)
    assert scaled["longitudinal"].item() == pytest.approx(0, abs=1e-6)
    swapped = distances(real, real.flip(3), energy, 1e-3)
    shares = (real.sum((1, 2)) / real.sum((1, 2, 3))[:, None]).mean(0)
    assert swapped["longitudinal"].item() == pytest.approx(
        (shares - shares.flip(0)).abs().sum().item(), rel=1e-4
    )
    half = torch.where(torch.rand(real.shape, generator=rng(5)) < 0.5, real, 0.0)
    assert distances(real, half, energy, 1e-3)["hits"].item() == pytest.approx(0.5, abs=0.02)
    assert swapped["merit"].item() == pytest.approx(
        float(np.mean([v.item() for k, v in swapped.items() if k != "merit"]))
    )


def test_collapsed_showers_have_no_diversity() -> None:
    real = cells(0)
    same = real[:1].expand(64, -1, -1, -1) * torch.linspace(1, 2, 64)[:, None, None, None]
    empty, spread = diversity(same, real)
    assert (empty.item(), spread.item()) == (0.0, pytest.approx(0, abs=1e-5))
    empty, spread = diversity(cells(1), real)
    assert spread.item() == pytest.approx(1, abs=0.02)
    assert diversity(torch.zeros_like(real), real)[0].item() == 1.0
