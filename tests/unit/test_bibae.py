"""The parts of the BIB-AE by hand: published sizes, discrepancies, penalties, drawn cells, scaling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.geometry import Geometry, load_geometry
from caloforge.models.bibae.angles import BIBAEAnglesConfig
from caloforge.models.bibae.cells import Cells
from caloforge.models.bibae.config import BIBAEConfig, Block, CellsConfig, KernelConfig, PostConfig
from caloforge.models.bibae.critic import LatentCritic, PairCritic
from caloforge.models.bibae.decoder import Decoder
from caloforge.models.bibae.density import Density, VisibleScale
from caloforge.models.bibae.draws import Drawing
from caloforge.models.bibae.earlier import PLACES, Near, Sums, in_image, in_squares, sums_before, surprise
from caloforge.models.bibae.encoder import Encoder
from caloforge.models.bibae.head import CellHead, random_of
from caloforge.models.bibae.losses import critic_terms, gradient_penalty
from caloforge.models.bibae.mmd import latent_discrepancy, sorted_discrepancy, sorted_energies
from caloforge.models.bibae.places import Places
from caloforge.models.bibae.post import PostProcessor
from caloforge.models.bibae.post_losses import post_terms
from caloforge.models.bibae.rescaling import rescaled
from caloforge.models.bibae.typical import Usual
from caloforge.preprocessing.quantiles import QuantileTransform
from caloforge.training import load_config


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("config", "shape", "told", "expected"),
    [
        (BIBAEConfig(), (30, 30, 30), 1, (71_443_094, 4_762_753, 10_301, 299_136)),
        (BIBAEAnglesConfig(), (30, 30, 60), 2, (12_322_220, 10_648_693, 10_301, 83_265)),
    ],
)
def test_the_networks_have_the_published_sizes(
    config: BIBAEConfig, shape: tuple[int, int, int], told: int, expected: tuple[int, ...]
) -> None:
    assert config.post is not None
    with torch.device("meta"):  # nothing of it takes memory
        encoder = Encoder(config.encoder, shape, told)
        decoder = Decoder(config.decoder, config.encoder.latent, told, shape)
        critic, latent = PairCritic(config.critic, shape, told), LatentCritic(config.latent_critic)
        post = PostProcessor(config.post, shape, told)
    assert numbers(encoder) + numbers(decoder) == expected[0]
    assert (numbers(critic), numbers(latent), numbers(post)) == expected[1:]


def test_the_flow_has_the_published_size() -> None:
    config = BIBAEAnglesConfig()
    assert config.density is not None
    assert numbers(Density(config.density, 24, 2)) == 4_214_648


def test_published_images_go_through_the_published_convolutions() -> None:
    """Sizes along the way: 16, 9, 5 and 5 cells, and back over 30 and 60; 29, 14, 7 and 6, and 15."""
    first, second = BIBAEConfig(), BIBAEAnglesConfig()
    with torch.device("meta"):
        shapes = [
            [part.norm.normalized_shape for part in Encoder(c.encoder, s, 1).convolutions.blocks]
            for c, s in ((first, (30, 30, 30)), (second, (30, 30, 60)))
        ]
        ups = Decoder(first.decoder, 24, 1, (30, 30, 30)).convolutions.blocks
        leaning = Decoder(second.decoder, 24, 2, (30, 30, 60))
        made = leaning(torch.empty(2, 512), torch.empty(2, 2))
    assert shapes == [[(n, n, n) for n in sizes] for sizes in ((16, 9, 5, 5), (29, 14, 7, 6))]
    assert [ups[k].norm.normalized_shape for k in (0, 1, 2)] == [(30,) * 3, (60,) * 3, (30,) * 3]
    assert leaning.convolutions.blocks[0].norm.normalized_shape == (15, 15, 30)
    assert made.shape == (2, 1, 30, 30, 60)


def test_a_decoder_that_makes_another_image_is_refused() -> None:
    config = BIBAEConfig().decoder
    with pytest.raises(ValueError, match="30, 30, 30"), torch.device("meta"):
        Decoder(config, 24, 1, (30, 30, 60))


def test_what_does_not_go_together_is_told() -> None:
    for override in ("model.loss.likelihood=1.0", "model.rescaled=cells", "model.post.visible=true"):
        with pytest.raises(ConfigError, match="with it"):
            load_config("bibae/paper", [override])


# discrepancies


def test_the_latent_discrepancy_by_hand() -> None:
    first = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    second = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    # squared distances: 5 in the first, 10 in the second sample; 9, 1, 8, 2 between them
    expected = sum(
        (2 + 2 * math.exp(-5 * a)) / 4
        + (2 + 2 * math.exp(-10 * a)) / 4
        - 2 * sum(math.exp(-d * a) for d in (9, 1, 8, 2)) / 4
        for a in (1.0, 0.01)
    )
    assert latent_discrepancy(first, second, (1.0, 0.01)).item() == pytest.approx(expected, rel=1e-5)
    assert latent_discrepancy(first, first, (1.0, 0.01)).item() == pytest.approx(0, abs=1e-6)


def test_the_sorted_kernel_discrepancy_by_hand() -> None:
    """Two windows of two ranks each."""
    image = torch.tensor([[0.5, 0.0, 3.0, 0.2]])
    mine = sorted_energies(image, 3)
    assert mine.tolist() == [[3.0, 0.5, pytest.approx(0.2)]]
    theirs = torch.tensor([[2.0, 0.6, 0.1]])

    def kernel(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        return float(np.mean([[math.exp(-2.0 * (x - y) ** 2) for y in b] for x in a]))

    windows = [((3.0, 0.5), (2.0, 0.6)), ((0.5, 0.2), (0.6, 0.1))]
    expected = np.mean([kernel(a, a) + kernel(b, b) - 2 * kernel(a, b) for a, b in windows])
    found = sorted_discrepancy(mine, theirs, scale=2.0, window=2, stride=1)
    assert found.item() == pytest.approx(float(expected), rel=1e-5)
    assert sorted_discrepancy(mine, mine, scale=2.0, window=2, stride=1).item() == pytest.approx(0, abs=1e-6)


def test_the_penalty_of_a_linear_critic_is_that_of_its_slope() -> None:
    slope = torch.tensor([3.0, 4.0])
    real, fake = torch.randn(5, 2, generator=rng(1)), torch.randn(5, 2, generator=rng(2))

    def critic(values: torch.Tensor) -> torch.Tensor:
        return values @ slope

    assert gradient_penalty(critic, real, fake, rng()).item() == pytest.approx((5 - 1) ** 2, rel=1e-5)
    terms = critic_terms(critic, real, fake, rng())
    assert terms["real"].item() == pytest.approx((real @ slope).mean().item(), rel=1e-5)
    assert terms["fake"].item() == pytest.approx((fake @ slope).mean().item(), rel=1e-5)


# critics


def test_a_critic_sees_the_second_image_and_the_difference() -> None:
    config = BIBAEConfig().critic.model_copy(
        update={"towers": (("log",),), "blocks": (Block(channels=2, norm=False),), "dense": ("difference",)}
    )
    critic = PairCritic(config, (3, 3, 3), 1)
    first, second, other = (torch.rand(1, 3, 3, 3, generator=rng(s)) for s in range(3))
    energy = torch.ones(1, 1)
    value = critic(torch.stack([first, second], dim=1), energy)
    assert not torch.equal(value, critic(torch.stack([first, other], dim=1), energy))
    assert not torch.equal(value, critic(torch.stack([other, second], dim=1), energy))
    with torch.no_grad():
        critic.dense[0].weight.zero_()
    # without the difference, only the second image counts
    value = critic(torch.stack([first, second], dim=1), energy)
    assert torch.equal(value, critic(torch.stack([other, second], dim=1), energy))


def test_statistics_compare_the_showers_of_a_batch() -> None:
    """Sums that are all equal look alike whatever they are; another one changes what all look like."""
    config = BIBAEConfig().critic.model_copy(
        update={"towers": (), "dense": (), "statistics": ("linear",), "embedding": (16, 8)}
    )
    critic = PairCritic(config, (2, 2, 2), 1)
    energy = torch.ones(3, 1)
    equal = [torch.full((3, 2, 2, 2, 2), value) for value in (1.0, 5.0)]
    torch.testing.assert_close(critic(equal[0], energy), critic(equal[1], energy))
    mixed = equal[0].clone()
    mixed[2] = 5.0
    assert not torch.allclose(critic(mixed, energy)[0], critic(equal[0], energy)[0], atol=1e-6)
    mixed.requires_grad_()
    critic(mixed, energy).sum().backward()
    assert mixed.grad is not None
    assert bool(mixed.grad.isfinite().all())


def test_the_latent_critic_sees_single_components() -> None:
    critic = LatentCritic((8, 8))
    latent = torch.randn(3, 5, generator=rng())
    torch.testing.assert_close(critic(latent)[:, 2], critic(latent[:, 2:3])[:, 0])


# cells


def table(low: float = 0.1, high: float = 10.0) -> QuantileTransform:
    energies = QuantileTransform(65)
    energies.fit(torch.linspace(low, high, 10_001))
    return energies


def test_the_probability_of_cells_by_hand() -> None:
    chance = torch.tensor([[[[0.0, 2.0]]]])
    parts = tuple(torch.full_like(chance, value) for value in (0.5, 2.0, -1.0, 0.5, 1.0))
    cells = Cells(chance, parts, chance, table())
    image = torch.tensor([[[[0.0, 5.05]]]])  # the median: 0 as a normal number

    def normal(off: float, width: float) -> float:
        return math.exp(-0.5 * (off / width) ** 2) / (width * math.sqrt(2 * math.pi))

    second = 1 / (1 + math.exp(-1))
    density = (1 - second) * normal(0.5, 2) + second * normal(1, 0.5)
    expected = math.log(0.5) + math.log(1 / (1 + math.exp(-2))) + math.log(density)
    assert cells.log_prob(image).item() == pytest.approx(expected, abs=1e-3)


def cells_of(chance: torch.Tensor, *, highest: float = 9.0, second: float = 0.0) -> Cells:
    """Half of the energies are as the table has them, those of the second distribution are ``second``."""
    rows = (0.0, 1.0, second, 1.0 if second == 0 else 1e-6, 0.0)
    first, width, other, narrow, share = (torch.full_like(chance, value) for value in rows)
    limit = torch.full_like(chance, highest)
    return Cells(chance, (first, width, other, narrow, share), limit, table())


def test_cells_are_drawn_with_their_probability_and_spectrum() -> None:
    shape = (40, 10, 10, 10)
    chance = torch.full(shape, -1.0, requires_grad=True)
    uniform, choice = (torch.rand(shape, generator=rng(seed)) for seed in (0, 1))
    random = uniform, choice, torch.randn(shape, generator=rng(2))
    image = cells_of(chance).draw(*random)
    hit = image > 0
    assert hit.float().mean().item() == pytest.approx(1 / (1 + math.e), abs=0.01)
    energies = image[hit].detach()
    assert energies.min() >= 0.1 - 1e-6
    quantiles = torch.quantile(energies, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quantiles, torch.tensor([2.575, 5.05, 7.525]), atol=0.2, rtol=0)
    cut = cells_of(chance, highest=0.674).draw(*random)
    assert cut.max().item() == pytest.approx(7.525, abs=0.05)
    assert torch.equal(cut[image < 7], image[image < 7])
    other = cells_of(chance, second=-0.6745).draw(*random)[hit]
    assert ((other - 2.575).abs() < 0.01).float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(other[choice[hit] > 0.5], energies[choice[hit] > 0.5])
    image.sum().backward()
    assert chance.grad is not None
    assert bool((chance.grad > 0).all())  # a better chance is more energy


def test_a_cell_knows_its_place(siw: Geometry) -> None:
    geometry = siw.coarsen(5)
    places = Places(geometry)
    position = torch.from_numpy(geometry.cell_positions).reshape(*geometry.dense_shape, 3)
    straight = places(torch.zeros(1))[0]
    torch.testing.assert_close(straight[..., 0], position[..., 2] / geometry.depth)
    torch.testing.assert_close(straight[..., 0], straight[..., 1])
    radius = position[..., :2].norm(dim=-1)
    torch.testing.assert_close(straight[..., 2], torch.log1p(radius / 5))
    angle = torch.tensor(0.5)
    axis = torch.tensor([0.0, angle.sin(), angle.cos()])
    leaning = places(angle[None])[0]
    along = position @ axis
    torch.testing.assert_close(leaning[..., 1], along / geometry.depth)
    off = (position - along[..., None] * axis).norm(dim=-1)
    torch.testing.assert_close(leaning[..., 2], torch.log1p(off / 5), atol=1e-5, rtol=1e-5)


@dataclass
class Photons:
    energy: torch.Tensor
    lean: torch.Tensor
    visible: torch.Tensor


def test_cells_start_as_they_typically_are(siw: Geometry) -> None:
    """Every second shower has hits near the axis, of an energy that grows with the particle's."""
    head = CellHead(CellsConfig(hidden=(4, 4)), 2, (10, 15, 15), siw)
    energies = table()
    near = torch.from_numpy(np.hypot(*siw.cell_positions[:, :2].T)).reshape(siw.dense_shape) < 4
    image = torch.zeros(40, 30, 30, 30)
    image[::2] = torch.where(near, 2.575, 0.0)  # a quartile: -0.674 as a normal number
    image[20::2] = torch.where(near, 7.525, 0.0)
    photons = Photons(torch.tensor([1e4, 1e5]).repeat_interleave(20), torch.zeros(1), image.sum((1, 2, 3)))
    head.fit([(image, photons)], (1e4, 1e5), energies)
    with torch.no_grad():
        head.last.weight.zero_()
        head.last.bias.zero_()
        three = Photons(torch.tensor([1e4, 1e5, 10**4.5]), torch.zeros(1), torch.ones(3))
        cells = head(torch.zeros(3, 2, 10, 15, 15), three, energies, image[:3])
    torch.testing.assert_close(cells.chance[:2, near].sigmoid(), torch.full((2, 120), 0.5), atol=0.01, rtol=0)
    assert bool((cells.chance[:2, ~near] < -5).all())
    means = (cells.energy[0] + cells.energy[2])[:, near].mean(1) / 2
    torch.testing.assert_close(means, torch.tensor([-0.674, 0.674, 0.0]), atol=0.05, rtol=0)
    highest = cells.highest[:2, near].mean(1)
    torch.testing.assert_close(highest, torch.tensor([-0.674, 0.674]), atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="do not divide"):
        CellHead(CellsConfig(), 2, (10, 15, 10), siw)


def test_cells_stand_in_squares() -> None:
    image = torch.arange(2.0 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    squares = in_squares(image)
    assert squares.shape == (2, 3, 2, 3, 4)
    assert torch.equal(squares[1, 2, 1, 2], image[1, 2, 2:4, 4:6].flatten())
    assert torch.equal(in_image(squares), image)
    assert torch.equal(in_image(in_squares(image[..., None]))[..., 0], image)


def test_cells_are_told_of_those_before_them_alone() -> None:
    """A changed cell changes what later ones in two layers and nine squares are told."""
    near = Near(3)
    image = torch.rand(1, 5, 10, 10, generator=rng())
    changed = image.clone()
    changed[0, 1, 2, 3] += 1  # the second place of its square
    seen = [in_squares(some) for some in (image, changed)]
    told = [in_image(near(torch.cat([some, some], dim=-1)))[0] for some in seen]
    differs = (told[0] != told[1]).any(-1)
    later = torch.ones(5, 10, 10, dtype=torch.bool)
    later[0], later[4], later[:, 6:], later[:, :, 6:] = False, False, False, False
    later[1, ::2] = False
    assert torch.equal(differs, later)


def usual(shape: tuple[int, ...], **rows: float) -> Usual:
    known = {"chance": 0.0, "mean": 0.0, "width": 1.0, "highest": 9.0, "energy": 0.0, **rows}
    return Usual(*(torch.full(shape, known[name]) for name in Usual._fields))


def test_surprises_by_hand() -> None:
    """Half of the cells are usually hit, with widths of one half."""
    cells = torch.tensor([[0.0, 5.05, 7.525, 10.0]])
    found = surprise(cells, usual((1, 4), width=0.5), table())
    expected = [-0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.6745 / 0.5, 4.0]  # the last one is cut
    torch.testing.assert_close(found[0], torch.tensor(expected), atol=5e-3, rtol=0)


def test_sums_before_a_cell_by_hand() -> None:
    """Of the second place of the third layer, where every place usually has 2 MeV and two hits."""
    energy = torch.zeros(1, 5, 4)
    energy[0, 1] = torch.tensor([1.0, 2.0, 0.0, 0.0])
    energy[0, 2] = torch.tensor([4.0, 0.0, 0.0, 0.0])
    two = torch.full_like(energy, 2.0)
    photons = Photons(torch.tensor([9e4]), torch.zeros(1), torch.tensor([10.0]))
    found = sums_before(Sums(energy, (energy > 0) * 3, two, two), photons)[0, 2, 1]

    def log(drawn: float, often: float) -> float:
        return math.log((drawn + 1) / (often + 1))

    energies = [log(4, 2), log(7, 18), log(3, 8), log(0, 8), 0.0]
    hits = [log(3, 2), log(9, 18), log(6, 8), log(0, 8), 0.0]
    rest = [log(3, 22), 22 / 40, 0.5, 0.9]
    torch.testing.assert_close(found, torch.tensor([*energies, *hits, *rest]))


def test_sums_are_of_places_of_layers() -> None:
    squares = torch.zeros(1, 2, 3, 3, PLACES)
    squares[0, 1, 1, 1, 2], squares[0, 1, 2, 0, 2] = 3.0, 4.0
    found = Sums.of(squares, usual(squares.shape, energy=0.5))
    assert found.energy[0].tolist() == [[0, 0, 0, 0], [0, 0, 7, 0]]
    assert found.hits[0].tolist() == [[0, 0, 0, 0], [0, 0, 2, 0]]
    assert found.usual_energy.unique().tolist() == [4.5]
    assert found.usual_hits.unique().tolist() == [4.5]


@pytest.mark.parametrize("neighbours", [True, False])
def test_cells_are_drawn_as_their_probability_says(siw: Geometry, *, neighbours: bool) -> None:
    """Drawn one after another or all at once given what was drawn: the same cells of the same numbers."""
    geometry = siw.coarsen(5)
    head = CellHead(CellsConfig(hidden=(4, 4), neighbours=neighbours), 2, (10, 3, 3), geometry)
    energies = table()
    image = torch.rand(8, *geometry.dense_shape, generator=rng()).pow(4) * 5
    image[image < 0.1] = 0
    lean = torch.linspace(0, 1, 8)
    photons = Photons(torch.linspace(1e4, 1e5, 8), lean, image.sum((1, 2, 3)))
    head.fit([(image, photons)], (1e4, 1e5), energies)
    features = torch.randn(8, 2, 10, 3, 3, generator=rng(1))
    with torch.no_grad():
        head.last.weight.mul_(10)
        drawn = head.draw(features, photons, energies, Drawing(rng(2), 8))
        cells = head(features, photons, energies, drawn)
        again = cells.draw(*random_of(Drawing(rng(2), 8), drawn.shape))
    assert 0.1 < (drawn > 0).float().mean() < 0.9
    torch.testing.assert_close(again, drawn, atol=1e-3, rtol=1e-3)


# sums


def test_showers_are_scaled_to_a_sum() -> None:
    image = torch.tensor([[0.0, 0.2, 1.0], [0.0, 0.0, 0.0]])
    wanted = torch.tensor([2.4, 3.0])
    torch.testing.assert_close(rescaled(image, wanted), torch.tensor([[0, 0.4, 2.0], [0, 0, 0]]))
    kept = rescaled(image, wanted, floor=0.1)  # 0.1 and 0.9 above the floor become 2.2 together
    torch.testing.assert_close(kept, torch.tensor([[0, 0.32, 2.08], [0, 0, 0]]))
    least = rescaled(image[:1], torch.tensor([0.0]), floor=0.1)
    torch.testing.assert_close(least, torch.tensor([[0, 0.1, 0.1]]))


def test_visible_energies_are_scaled_relative_to_the_particle() -> None:
    scale = VisibleScale()
    energy = torch.tensor([1e4, 1e5, 5e4], dtype=torch.float64)
    visible = energy * torch.tensor([0.027, 0.03, 0.033], dtype=torch.float64)
    scale.fit(visible, energy)
    scaled = scale(visible, energy)
    assert scaled.mean().item() == pytest.approx(0, abs=1e-9)
    assert scaled.std().item() == pytest.approx(1, rel=1e-9)
    torch.testing.assert_close(scale.inverse(scaled, energy), visible)


# post-processor


def post(**options: object) -> PostConfig:
    return PostConfig.model_validate({"width": 8, "layers": 4, "told": 8, "start": 0, **options})


def test_a_relative_post_processor_starts_from_nothing_and_leaves_empty_cells() -> None:
    network = PostProcessor(post(relative=True, visible=True), (2, 3, 3), 1)
    image = torch.rand(4, 2, 3, 3, generator=rng()) * 3
    image[image < 1] = 0
    made = network(image, torch.rand(4, 1, generator=rng()), torch.full((4,), 20.0))
    assert torch.equal(made > 0, image > 0)
    assert bool(((made[image > 0] / image[image > 0] - 1).abs() < 0.2).all())
    kept = PostProcessor(post(relative=True, visible=True), (2, 3, 3), 1, floor=1.0)
    at_floor = torch.ones(1, 2, 3, 3)
    assert torch.equal(kept(at_floor, torch.ones(1, 1), torch.ones(1)), at_floor)
    other = network(image, torch.rand(4, 1, generator=rng()), torch.full((4,), 40.0))
    assert not torch.equal(made, other)


def test_the_published_post_processor_sees_one_cell_and_the_sum() -> None:
    network = PostProcessor(post(norm=False), (2, 3, 3), 1)
    image = torch.rand(1, 2, 3, 3, generator=rng())
    swapped = image.clone()
    swapped[0, 0, 0, 0], swapped[0, 1, 2, 2] = image[0, 1, 2, 2].item(), image[0, 0, 0, 0].item()
    first, second = (network(i, torch.ones(1, 1), torch.zeros(1)) for i in (image, swapped))
    torch.testing.assert_close(first[0, 0, 0, 0], second[0, 1, 2, 2])
    changed = image.clone()
    changed[0, 0, 0, 0] += 10
    assert not torch.allclose(network(changed, torch.ones(1, 1), torch.zeros(1))[0, 1], first[0, 1])


def test_the_post_processor_first_learns_to_change_nothing() -> None:
    given, real = torch.zeros(2, 1, 1, 2), torch.tensor([[[[3.0, 0.0]]], [[[0.0, 1.0]]]])
    made = torch.tensor([[[[1.0, 2.0]]], [[[0.0, 2.0]]]])
    config = post(
        kernels=[KernelConfig(scale=0.5, weight=2.0)],
        window=2,
        ranks=2,
        squared=0.5,
        sorted_squared=3.0,
        sorted_absolute=5.0,
        batch=7.0,
    )
    arguments = {"given": given, "real": real}
    terms = post_terms(config, made, started=torch.tensor(True), **arguments)
    assert terms["squared"].item() == pytest.approx((1 + 4 + 0 + 4) / 4)
    # sorted: 1, 2 against 0, 3; 0, 2 against 0, 1
    assert terms["sorted_squared"].item() == pytest.approx((1 + 1 + 0 + 1) / 4)
    assert terms["sorted_absolute"].item() == pytest.approx(3 / 4)
    assert terms["batch"].item() == pytest.approx(((1 - 3) ** 2 + (4 - 1) ** 2) / 2)
    rest = 2 * terms["kernel_0.5"] + 3 * 0.75 + 5 * 0.75 + 7 * 6.5
    assert terms["loss"].item() == pytest.approx(0.5 * 2.25 + rest.item(), rel=1e-5)
    early = post_terms(config, made, started=torch.tensor(False), **arguments)
    assert early["loss"].item() == pytest.approx(2.25)


def test_the_window_for_leaning_showers_has_room_ahead() -> None:
    geometry, plain = load_geometry("siw-ecal-24x36x30"), load_geometry("siw-ecal")
    assert geometry.dense_shape == (30, 24, 36)
    np.testing.assert_allclose(geometry.layer_z, plain.layer_z)
    y = geometry.cell_positions[:, 1]
    pitch = 5.0883
    assert y.min() == pytest.approx(-9.5 * pitch, rel=1e-4)
    assert y.max() == pytest.approx(25.5 * pitch, rel=1e-4)
