"""3DGAN with hits and energies of rings that are drawn first: rings, which cells are hit, their energies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.geometry import load_geometry
from caloforge.models.gan.config import GANConfig, GeneratorConfig, RingTotalsConfig
from caloforge.models.gan.groups import Groups, by_layer, chosen, image_of, measured, scaled, shares
from caloforge.models.gan.radial_means import RadialMeans
from caloforge.models.gan.ring_totals import RingTotals
from caloforge.models.gan.rings import Rings
from caloforge.models.noise import StreamNoise
from caloforge.units import DEGREE

PERPENDICULAR = torch.tensor([90 * DEGREE])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rings_are_the_nearest_cells_to_an_axis_that_leans() -> None:
    clic = load_geometry("clic-17x17x25")
    rings = Rings(clic, (9, 16))
    assert rings.capacity.tolist() == [9, 16, 264]
    straight, leaning = rings(torch.tensor([90.0, 60.0]) * DEGREE).unflatten(2, (17, 17))
    square = torch.full((17, 17), 2)
    square[6:11, 6:11] = 1
    square[7:10, 7:10] = 0
    assert (straight[0] < 1).sum() == 9
    assert torch.equal(straight == 0, (square == 0).expand(25, 17, 17))
    # the axis is at tan(30 degrees) times the depth of the last layer, 84 mm: five or six cells off
    off = clic.layer_z[-1] * np.tan(30 * DEGREE) / 15.3
    x, y = (leaning[-1] == 0).nonzero().double().mean(0)
    assert x == pytest.approx(8, abs=0.4)
    assert y - 8 == pytest.approx(off, abs=0.4)


def test_rings_leave_cells_for_the_last_one() -> None:
    with pytest.raises(ConfigError, match="fewer than the 289 of a layer"):
        Rings(load_geometry("clic-17x17x25"), (9, 280))


def test_groups_are_measured_by_hand() -> None:
    ring = torch.tensor([[[0, 0, 1, 1, 1]]])
    counts, excess = measured(torch.tensor([[[3.0, 0.0, 0.5, 2.0, 0.0]]]), ring, 2, least=0.5)
    assert counts.tolist() == [[[1, 2]]]
    assert excess.tolist() == [[[2.5, 1.5]]]
    found = Groups(ring, counts, excess, torch.full((1, 3, 1, 5), 10.0))
    assert found.told()[0].exp().tolist() == pytest.approx(np.power([2, 3, 3.5, 2.5], 1 / 5))
    told = found.of_cells(torch.tensor([2, 3]))[0, :, 0]
    assert told[0].tolist() == pytest.approx([1 / 2, 1 / 2, 2 / 3, 2 / 3, 2 / 3])
    assert told[1, [0, 4]].exp().tolist() == pytest.approx(np.power([3.5, 1.75], 1 / 5))
    assert told[2:].unique().tolist() == [2.0]


def test_means_by_distance_are_those_of_the_showers() -> None:
    """Cells on the axis, one pitch off, and far: hit always, in half of the cases, never."""
    means = RadialMeans(2, 10.0)
    distance = torch.tensor([0.0, 10.0, 300.0]).expand(4000, 2, 3)
    relative = torch.tensor([5.0, 1.5, 0.0]).repeat(4000, 2, 1)
    relative[::2, :, 1] = 0.0
    relative[:, :, 0] *= torch.tensor([0.5, 2.0]).repeat(2000)[:, None]
    energy = torch.full((4000, 2, 3), 10.0)
    energy[0] = 1000.0  # other rings scatter in their own way
    offsets = torch.zeros_like(distance), -distance
    means.fit(
        [
            (relative[:1500], tuple(o[:1500] for o in offsets), energy[:1500]),
            (relative[1500:], tuple(o[1500:] for o in offsets), energy[1500:]),
        ]
    )
    mean, width, often = means(offsets, energy)[1, :, 1]
    assert mean[:2].exp().tolist() == pytest.approx([5.0, 1.5], rel=0.01)
    assert width[:2].tolist() == pytest.approx([np.log(2), 0.0], abs=0.06)
    assert torch.special.ndtr(often).tolist() == pytest.approx([0.999, 0.5, 0.001], abs=0.002)


def test_every_group_has_its_hits_and_its_energy() -> None:
    generator = rng()
    ring = torch.randint(3, (4, 5, 20), generator=generator)
    cells = torch.nn.functional.one_hot(ring, 3).sum(2)
    counts = (torch.rand(cells.shape, generator=generator) * (cells + 1)).floor()
    energies = counts * torch.rand(cells.shape, generator=generator)
    groups = Groups(ring, counts, energies, torch.zeros(4, 3, 5, 20))
    chance = torch.randn(ring.shape, generator=generator)
    hit, above = chosen(chance, groups)
    logits = 3 * torch.randn(ring.shape, generator=generator)
    relative = shares(logits, hit, groups)
    assert torch.equal(relative > 0, hit)
    shifted = shares(logits + 7.0 * (ring + 1), hit, groups)
    torch.testing.assert_close(shifted, relative, rtol=1e-5, atol=1e-6)
    energy = scaled(relative, hit, groups) + 0.2
    number, excess = measured(energy * hit, ring, 3, least=0.2)
    assert torch.equal(number, counts)
    torch.testing.assert_close(excess, energies)
    assert (above[hit] >= 0).all()  # the best chances of each group
    assert (above[~hit] < 0).all()


def test_images_come_back_from_layers() -> None:
    image = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert by_layer(image)[0, 1].tolist() == [1, 5, 9, 13, 17, 21]
    assert torch.equal(image_of(by_layer(image), 2), image)


def test_drawn_rings_are_those_of_the_showers() -> None:
    """Toy showers: more in the first ring than outside; every hit has 0.1 MeV or more."""
    clic = load_geometry("clic-17x17x25")
    totals = RingTotals(RingTotalsConfig(leaves=8, donors=300, leaf=20), clic, least=0.05, scale=0.5)
    generator, number = rng(), 400
    energy = 2 * torch.rand(number, generator=generator) - 1
    chance = torch.full((17, 17, 1), 0.05)
    chance[7:10, 7:10] = 0.8
    hit = torch.rand(number, 17, 17, 25, generator=generator) < chance
    cells = hit * (0.05 + torch.rand(hit.shape, generator=generator) * (2 + energy[:, None, None, None]))
    polar = PERPENDICULAR.expand(number)
    totals.fit(
        [(cells[:100], polar[:100]), (cells[100:], polar[100:])],
        1000 * (2 + energy).double(),
        energy,
        polar,
        generator,
    )
    real = totals.of_cells(cells, polar)
    drawn = totals.draw(1000 * (2 + energy), energy, polar, StreamNoise(1, np.arange(number)))
    for mine, theirs in ((drawn.counts, real.counts), (drawn.excess, real.excess)):
        torch.testing.assert_close(mine.mean((0, 1)), theirs.mean((0, 1)), rtol=0.03, atol=0.0)
        torch.testing.assert_close(mine.std(0).mean(0), theirs.std(0).mean(0), rtol=0.1, atol=0.0)


def test_totals_are_of_hits_that_are_drawn() -> None:
    GANConfig(totals=RingTotalsConfig(), generator=GeneratorConfig(hits=True))
    for generator in (GeneratorConfig(), GeneratorConfig(hits=True, rescaled=True)):
        with pytest.raises((ConfigError, ValueError), match=r"model\.generator\.hits"):
            GANConfig(totals=RingTotalsConfig(), generator=generator)
