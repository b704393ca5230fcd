"""Sizes and weights of the BIB-AE; the defaults are those of Getting High."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from caloforge.models.base import ModelConfig
from caloforge.preprocessing import ConditionsConfig
from caloforge.records import Count, Record, Width, Widths, inconsistent

__all__ = [
    "BIBAEConfig",
    "Block",
    "CellsConfig",
    "CriticConfig",
    "DecoderConfig",
    "DensityConfig",
    "EncoderConfig",
    "KernelConfig",
    "LossConfig",
    "PostConfig",
    "SamplerConfig",
]

_Length = Annotated[int, Field(ge=1, le=256)]
_Pad = Annotated[int, Field(ge=0, le=32)]
_Weight = Annotated[float, Field(ge=0, le=1e6)]
_Positive = Annotated[float, Field(gt=0, le=1e9)]
Lengths = tuple[_Length, _Length, _Length]
Pads = tuple[_Pad, _Pad, _Pad]
Seen = Literal["linear", "log", "difference", "log-difference"]


class Block(Record):
    """One convolution with what stands around it; axes are layers, x, y. There are no biases."""

    channels: Count
    """Of its output."""
    kernel: Lengths = (3, 3, 3)
    """Of the convolution."""
    stride: Lengths = (1, 1, 1)
    """Of the convolution."""
    padding: Pads = (1, 1, 1)
    """Zeros on both sides."""
    transposed: bool = False
    """Whether it is a transposed convolution, which enlarges the image."""
    extra: Pads = (0, 0, 0)
    """Cells more at the end of a transposed convolution's output."""
    norm: bool = True
    """Whether every channel is normalised over its cells (a weight and an offset for each of them)."""
    resize: Lengths | None = None
    """Deviation: the image is first interpolated to as many cells as the read-out has, divided by these."""


Blocks = Annotated[tuple[Block, ...], Field(min_length=1, max_length=32)]


def _encoder_blocks() -> tuple[Block, ...]:
    half: dict[str, Any] = {"kernel": (4, 4, 4), "stride": (2, 2, 2), "padding": (2, 2, 2)}
    return (*(Block(channels=n, **half) for n in (8, 16, 32)), Block(channels=64))


def _decoder_blocks() -> tuple[Block, ...]:
    return (
        Block(channels=8, stride=(3, 3, 3), extra=(2, 2, 2), transposed=True),
        Block(channels=16, stride=(2, 2, 2), extra=(1, 1, 1), transposed=True),
        Block(channels=8, kernel=(2, 2, 2), stride=(2, 2, 2), padding=(0, 0, 0)),
        *(Block(channels=n) for n in (16, 32, 16)),
        Block(channels=1, norm=False),
    )


def _critic_blocks() -> tuple[Block, ...]:
    half: dict[str, Any] = {"stride": (2, 2, 2), "padding": (0, 0, 0)}
    return (
        *(Block(channels=128, **half) for _ in range(2)),
        Block(channels=128, padding=(0, 0, 0), norm=False),
    )


class EncoderConfig(Record):
    """The encoder: convolutions, then linear layers."""

    latent: Width = 24
    """Components that are encoded."""
    blocks: Blocks = Field(default_factory=_encoder_blocks)
    """The convolutions."""
    hidden: Widths = (4000, 768)
    """Linear layers behind them; the conditions enter the first."""
    soft: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    """Deviation: the image is log(1 + x / soft) of the energies x [MeV]; 0 for x itself."""
    layers: bool = False
    """Deviation: the linear layers are also told the logarithms of hits and energies of the layers."""


class CellsConfig(Record):
    """Deviation: cells are drawn, given the decoder's features and where they are."""

    hidden: Widths = (24, 24)
    """Of the network of the cells."""
    neighbours: bool = True
    """Whether they are drawn layer by layer, a quarter of a layer at a time, and told of what was drawn
    before; independently of each other without."""
    knots: Annotated[int, Field(ge=9, le=4097)] = 257
    """Of the table that makes energies of hits normal numbers."""


class DecoderConfig(Record):
    """The decoder: linear layers, then convolutions."""

    free: Annotated[int, Field(ge=0, le=16_384)] = 488
    """Components of the latent vector that are always normal numbers."""
    hidden: Widths = (768, 4000)
    """Linear layers; the conditions enter the first."""
    channels: Count = 8
    """Of the first, small image, which a further linear layer makes."""
    start: Lengths = (10, 10, 10)
    """Its cells along layers, x, y."""
    blocks: Blocks = Field(default_factory=_decoder_blocks)
    """The convolutions; without ``cells`` the last one makes the image, behind a ReLU."""
    cells: CellsConfig | None = None
    """Deviation: cells are drawn, given what the convolutions make, a smaller image whose cells are blocks of
    those of the read-out."""


class CriticConfig(Record):
    """A critic of pairs of images: real and real, or real and reconstructed."""

    towers: Annotated[tuple[tuple[Seen, ...], ...], Field(max_length=8)] = (("linear",), ("log",))
    """Convolutions, and what each sees: the second image, its logarithm, and their difference from those of
    the first."""
    blocks: Blocks = Field(default_factory=_critic_blocks)
    """The convolutions of a tower."""
    dense: tuple[Seen, ...] = ("difference",)
    """What a linear layer sees all cells of."""
    statistics: tuple[Literal["linear", "log"], ...] = ()
    """Of which images sums and widths are compared within the batch."""
    embedding: Widths = (64, 64, 16)
    """The network that a difference of two showers of the batch goes through."""
    width: Width = 64
    """Of all branches."""
    hidden: Widths = (256, 256, 256)
    """Linear layers behind the branches."""
    soft: _Positive = 1.0
    """Logarithms are log(1 + x / soft) of energies x [MeV]."""
    scale: _Positive = 1.0
    """Of the images that convolutions see."""


class LossConfig(Record):
    """Weights of the autoencoder's loss."""

    critic: _Weight = 1.0
    """Of each critic of images."""
    latent_critic: _Weight = 100.0
    """Of the latent critic."""
    divergence: _Weight = 0.05
    """Of the Kullback-Leibler divergence from a standard normal distribution [nats]."""
    latent_mmd: _Weight = 100.0
    """Of the latent vectors' maximum mean discrepancy to normal numbers."""
    latent_scales: Annotated[tuple[_Positive, ...], Field(min_length=1, max_length=8)] = (1.0, 0.01)
    """Of its Gaussian kernels exp(-scale d^2)."""
    likelihood: _Weight = 0.0
    """Deviation: of the negative logarithm of the probability of the real cells [nats], with
    ``decoder.cells``."""
    penalty: _Weight = 10.0
    """Of the critics' gradient penalty."""
    critic_turns: Annotated[int, Field(ge=1, le=100)] = 5
    """Steps of the critics in a cycle."""
    autoencoder_turns: Annotated[int, Field(ge=1, le=100)] = 1
    """Steps of the autoencoder in a cycle; deviation: if more than one, each sees other showers."""


class KernelConfig(Record):
    """A sorted-kernel maximum mean discrepancy of cell energies."""

    scale: _Positive = 200.0
    """Of the kernel exp(-scale d^2) of differences of energies [1 / MeV^2]."""
    weight: _Weight = 5.0
    """In the loss."""


class PostConfig(Record):
    """The post-processor: one small network for all cells, told of the whole shower."""

    width: Width = 128
    """Channels of the convolutions, which see a cell at a time."""
    layers: Annotated[int, Field(ge=3, le=32)] = 6
    """Convolutions."""
    told: Width = 64
    """Of the network of the conditions."""
    norm: bool = True
    """Whether channels are normalised over their cells, behind all convolutions but the last two."""
    bias: bool = False
    """Whether the last convolution has a bias, too."""
    visible: bool = False
    """Whether the visible energy is a condition."""
    relative: bool = False
    """Deviation: what cells have above the threshold is multiplied by numbers near one that depend on the
    logarithms of their energies; empty cells stay empty."""
    start: Annotated[int, Field(ge=0, le=10**9)] = 11_281_200
    """Steps in which it only learns to change nothing: 100 epochs of 902 500 showers in batches of 8."""
    kernels: Annotated[tuple[KernelConfig, ...], Field(max_length=8)] = (KernelConfig(),)
    """Discrepancies of the sorted energies."""
    window: Annotated[int, Field(ge=2, le=4096)] = 100
    """Ranks of the sorted energies that are compared at a time."""
    stride: Annotated[int, Field(ge=1, le=4096)] = 25
    """Ranks between two windows."""
    ranks: Annotated[int, Field(ge=2, le=1_000_000)] = 2000
    """Hottest cells that are looked at."""
    squared: _Weight = 1.0
    """Of the mean squared difference from what it was given [MeV^2]."""
    sorted_squared: _Weight = 0.0
    """Of the mean squared difference of the sorted energies from those of Geant4 [MeV^2]."""
    sorted_absolute: _Weight = 0.0
    """Of their mean absolute difference [MeV]."""
    batch: _Weight = 0.0
    """Of the mean squared difference of the batch's sums, cell by cell [MeV^2]."""


class DensityConfig(Record):
    """The flow that draws the visible energy and the encoded components."""

    blocks: Count = 8
    """Blocks of the flow."""
    couplings: Count = 3
    """Affine couplings on either side of a block's spline."""
    hidden: Widths = (250, 250)
    """Hidden layers of the couplings."""
    spline_hidden: Widths = (100, 100)
    """Hidden layers of the splines."""
    bins: Annotated[int, Field(gt=1, le=1024)] = 8
    """Bins of the splines."""
    relative: bool = False
    """Deviation: the logarithm of the visible over the incident energy, scaled to a width of one, in place of
    the visible energy / 10 GeV; and the latent components as they are, not a tenth of them."""
    latent: bool = True
    """Whether it draws the encoded components; they are normal numbers without."""


class SamplerConfig(Record):
    """What of a trained model makes showers: switches to see what a part is good for."""

    latent: bool = True
    """Whether encoded components come from the density, where there is one; else they are normal numbers."""
    post: bool = True
    """Whether the post-processor sees the showers."""
    rescaled: bool = True
    """Whether showers are scaled as ``model.rescaled`` says."""


class BIBAEConfig(ModelConfig):
    """Configuration of the BIB-AE; the defaults are those of Getting High."""

    energy_unit: _Positive = 1.0
    """What of the incident energy is a 1 as a condition [GeV]."""
    encoder: EncoderConfig = EncoderConfig()
    """Of images to Gaussians of the latent vector."""
    decoder: DecoderConfig = DecoderConfig()
    """Of latent vectors to images."""
    critic: CriticConfig = CriticConfig()
    """Of pairs of images."""
    second_critic: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Cycles after which a second critic of pairs starts anew; 0 for none."""
    latent_critic: Annotated[Widths, Field(min_length=1)] = (50, 100, 50)
    """Of single latent components."""
    loss: LossConfig = LossConfig()
    """Weights."""
    post: PostConfig | None = PostConfig()
    """The post-processor."""
    density: DensityConfig | None = None
    """Draws the latent vector and the visible energy; without it the latent vector is normal numbers."""
    rescaled: Literal["none", "cells", "excess"] = "none"
    """Whether showers are scaled to the visible energy that the density draws: all of the cells' energies, or
    (deviation) what they have above the threshold."""
    sampler: SamplerConfig = SamplerConfig()
    """Parts that can be left out when showers are made."""
    mirrored: bool = False
    """Deviation: showers are mirrored in x at random in training, which is exact."""
    conditions: ConditionsConfig = ConditionsConfig()
    """The energy alone."""

    @model_validator(mode="after")
    def _parts_go_together(self) -> BIBAEConfig:
        if self.loss.likelihood and self.decoder.cells is None:
            raise inconsistent(got="model.loss.likelihood", expected="model.decoder.cells with it")
        told = (self.post and self.post.visible) or (self.decoder.cells and self.decoder.cells.neighbours)
        if self.density is None and (self.rescaled != "none" or told):
            got = "model.rescaled, model.post.visible or model.decoder.cells.neighbours"
            raise inconsistent(got=got, expected="model.density, which draws the visible energy, with it")
        return self
