"""Sizes and weights of 3DGAN; the defaults are the published ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from caloforge.models.base import ModelConfig
from caloforge.models.totals.layer_totals import LayerTotalsConfig
from caloforge.preprocessing import ConditionsConfig
from caloforge.records import Count, Record, Width, inconsistent

__all__ = ["Block", "DiscriminatorConfig", "GANConfig", "GeneratorConfig", "LossConfig", "RingTotalsConfig"]

_Length = Annotated[int, Field(ge=1, le=64)]
_Pad = Annotated[int, Field(ge=0, le=32)]
_Weight = Annotated[float, Field(ge=0, le=1e6)]
Lengths = tuple[_Length, _Length, _Length]


class Block(Record):
    """One convolution with what stands around it; axes are x, y, depth."""

    channels: Count
    """Of its output."""
    kernel: Lengths = (3, 3, 3)
    """Of the convolution."""
    padding: tuple[_Pad, _Pad, _Pad] | Literal["same"] = (0, 0, 0)
    """Zeros on both sides, or ``same``: the output is as large as the input."""
    upsampling: Lengths = (1, 1, 1)
    """In front of the convolution, nearest neighbours (generator)."""
    stride: Lengths = (1, 1, 1)
    """Of the convolution (discriminator)."""
    norm: bool = True
    """Whether the batch is normalised behind the activation."""
    local: bool = False
    """Deviation: the convolution also sees ``generator.cell_noise`` and where its cells are."""


Blocks = Annotated[tuple[Block, ...], Field(min_length=1, max_length=32)]


def _generator_blocks() -> tuple[Block, ...]:
    wide, tall = (4, 4, 6), (2, 2, 1)
    return (
        Block(channels=8, kernel=(6, 6, 8), upsampling=(6, 6, 6)),
        *(Block(channels=6, kernel=wide, padding=tall) for _ in range(3)),
        Block(channels=6, kernel=(3, 3, 5), padding=(1, 1, 0)),
        Block(channels=6, kernel=(3, 3, 3), padding=(1, 1, 0), norm=False),
        Block(channels=1, kernel=(2, 2, 2), norm=False),
    )


def _discriminator_blocks() -> tuple[Block, ...]:
    kernel = (5, 6, 6)
    return (
        Block(channels=16, kernel=kernel, padding="same", norm=False),
        *(Block(channels=8, kernel=kernel, padding=(0, 0, 1)) for _ in range(2)),
        Block(channels=8, kernel=kernel),
    )


class GeneratorConfig(Record):
    """The generator: a linear layer, then convolutions that end in the image."""

    noise: Width = 254
    """Normal numbers of a shower."""
    channels: Count = 8
    """Of the first, small image, which the linear layer makes."""
    blocks: Blocks = Field(default_factory=_generator_blocks)
    """The convolutions; the last one makes the image."""
    cell_noise: Annotated[int, Field(ge=0, le=64)] = 0
    """Deviation: channels of a normal number of its own for every cell, in front of ``local`` blocks."""
    axis: bool = False
    """Deviation: ``local`` blocks are told their cells' places relative to the particle's axis."""
    scaled: bool = False
    """Deviation: the image is multiplied by (E / 100 GeV) to the power of the preprocessing."""
    hits: bool = False
    """Deviation: which cells are hit is drawn, with a normal number for each and a second channel behind the
    last block; energies of hit cells start at the read-out's threshold, the others are empty."""
    least: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    """Deviation: the least energy of a drawn hit [MeV], where the read-out's threshold is lower."""
    rescaled: bool = False
    """Deviation: a small network draws the shower's sum, given its layers, and the image is scaled to it."""

    @field_validator("blocks")
    @classmethod
    def _ends_in_the_image(cls, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        if blocks[-1].channels != 1:
            raise ValueError("one channel, the image, of the last block")
        return blocks


class DiscriminatorConfig(Record):
    """The discriminator: convolutions, and heads for real or fake and for the energy."""

    blocks: Blocks = Field(default_factory=_discriminator_blocks)
    """The convolutions."""
    slope: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Of the leaky ReLU: 0.3 is that of Keras."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Behind every block."""
    pool: _Length = 2
    """Cells that are averaged along every axis behind the convolutions."""
    spectral: bool = False
    """Deviation: spectral normalisation of all weights."""
    conditional: bool = False
    """Deviation: the image divided by (E / 100 GeV) to the power of the preprocessing, with the conditions
    and the cells' places as further channels, in place of the head that estimates the energy."""
    soft: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    """Deviation: a further channel log(1 + x / soft) of the image x, which shows soft hits; 0 for none."""
    frozen_statistics: bool = False
    """Deviation: in the generator's turn the discriminator neither drops values nor normalises by the batch,
    as it does in the paper's program."""


class LossConfig(Record):
    """Weights and labels of the loss (Table 4 of the paper)."""

    real: _Weight = 3.0
    """Of the cross-entropy of real or fake."""
    energy: _Weight = 0.1
    """Of the estimated energy's mean absolute percentage error."""
    angle: _Weight = 25.0
    """Of the measured angle's mean absolute error [rad]."""
    sum: _Weight = 0.1
    """Of the image's sum's mean absolute percentage error."""
    layers: _Weight = 0.0
    """Deviation: weight of the layers' sums, compared as ``sorted`` does, in percent of the whole sum."""
    centres: _Weight = 0.0
    """Deviation: weight of the layers' centres relative to the axis [mm], compared as ``sorted`` does."""
    flips: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share of labels, real or fake, that are wrong in the discriminator's turns."""
    matching: Literal["pairs", "sorted"] = "pairs"
    """``pairs``: a generated shower is to have the sum and the angle of the real one with its labels, which
    teaches means alone. Deviation ``sorted``: the batch is to have their distribution, relative to the
    labels."""
    together: bool = False
    """Deviation: real and generated showers make one step of the discriminator, not two."""
    generator_turns: Annotated[int, Field(ge=1, le=100)] = 2
    """Of a cycle."""
    gradient_penalty: _Weight = 0.0
    """Deviation: weight of the squared gradient on real images (R1, 1801.04406)."""
    instance_noise: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Deviation: width of the noise on all images that the discriminator sees."""


class RingTotalsConfig(LayerTotalsConfig):
    """Hits and energies of rings around the axis in every layer."""

    rings: Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)] = (9, 40)
    """Cells of the rings, from the inside; the rest of a layer is one, too."""


class GANConfig(ModelConfig):
    """Configuration of 3DGAN; the defaults are the published one."""

    generator: GeneratorConfig = GeneratorConfig()
    """Of the image."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    """Of real or fake."""
    loss: LossConfig = LossConfig()
    """Weights."""
    totals: RingTotalsConfig | None = None
    """Deviation: hits and energies of rings in every layer are drawn first, from trees and real residuals
    (``LayerTotals``, fitted); the generator is told, chooses as many cells and scales their energies."""
    steps: Annotated[tuple[Literal["narrow", "full"], ...], Field(min_length=1)] = ("narrow", "full")
    """Stages of the training: a ``narrow`` range of energies, and the ``full`` one from its weights."""
    power: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Of the cells' energies in an image."""
    scale: Annotated[float, Field(gt=0, le=1e6)] = 50.0
    """A cell of 1 GeV in an image, before the power: 50 is that of the public files."""
    lowest_sum: Annotated[float, Field(ge=0, le=1e6)] = 10.0
    """Showers with a smaller sum, before the power, are not trained on: 10 are 0.2 GeV in the paper."""
    log_energy: bool = False
    """Deviation: the logarithm of the energy is the condition, not the energy."""
    conditions: ConditionsConfig = ConditionsConfig(angles=True)
    """The polar angle is one: showers at angles in the plane of y and depth are trained on."""
    mirrored: bool = True
    """Whether showers are mirrored at random in training: in x and, with the angle, in y. Both are exact."""

    @model_validator(mode="after")
    def _totals_are_of_hits(self) -> GANConfig:
        if self.totals is not None and (not self.generator.hits or self.generator.rescaled):
            got, expected = "model.totals", "model.generator.hits with it, and not model.generator.rescaled"
            raise inconsistent(got=got, expected=expected)
        return self
