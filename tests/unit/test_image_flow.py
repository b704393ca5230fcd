"""Flows of images: squeezing, scales, mixtures, U-Nets that close, densities against Jacobians."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from caloforge.nn import ImageFlow, ImageFlowConfig
from caloforge.nn.channels import ActNorm, Mixing
from caloforge.nn.squeezing import squeezed, unsqueezed
from caloforge.nn.unet import UNet, UNetConfig

HEIGHT, WIDTH, CONTEXT, ROWS = 4, 6, 2, 5
CONFIG = ImageFlowConfig.model_validate(
    {"squeeze": [2, 2], "blocks": 3, "bins": 4, "bound": 4.0, "unet": {"channels": 4, "down": [[2, 3]]}}
)


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def flow_of(*, circular: bool = True) -> ImageFlow:
    """Weights that bend, batch statistics that are not those of a batch."""
    flow = ImageFlow(CONFIG, CONTEXT, circular=circular).double().eval()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
        for name, buffer in flow.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0, generator=rng)
    return flow


def test_squeezing_makes_channels_of_blocks() -> None:
    image = torch.arange(16).view(1, 1, 4, 4)
    found = squeezed(image, (2, 2))
    assert found.shape == (1, 4, 2, 2)
    assert found[0, :, 0, 0].tolist() == [0, 1, 4, 5]
    assert found[0, :, 1, 0].tolist() == [8, 9, 12, 13]
    assert squeezed(image, (4, 1))[0, :, 0].tolist() == [[4 * a + b for b in range(4)] for a in range(4)]


@pytest.mark.parametrize("factors", [(2, 2), (1, 3), (4, 1)])
def test_squeezing_is_undone(factors: tuple[int, int]) -> None:
    image = images(ROWS, 3, HEIGHT, WIDTH)
    assert torch.equal(unsqueezed(squeezed(image, factors), factors), image)


def test_scales_start_from_the_first_batch_alone() -> None:
    norm = ActNorm(3).double()
    first = 4.0 * images(ROWS, 3, HEIGHT, WIDTH) + 7.0
    norm.start(first)
    made, ladj = norm(first)
    torch.testing.assert_close(made.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(made.std((0, 2, 3), correction=0), torch.ones(3).double())
    expected = -first.std((0, 2, 3), correction=0).log().sum() * HEIGHT * WIDTH
    torch.testing.assert_close(ladj, expected)
    torch.testing.assert_close(norm.inverse(made), first)
    before = norm.shift.clone()
    norm.start(2 * first)
    assert torch.equal(norm.shift, before)


def test_mixtures_are_undone_and_start_as_a_permutation() -> None:
    mixing = Mixing(4).double()
    x = images(ROWS, 4, HEIGHT, WIDTH)
    assert torch.equal(mixing(x)[0], x[:, mixing.order])
    with torch.no_grad():
        for number, parameter in enumerate(mixing.parameters()):
            parameter.copy_(0.5 * images(*parameter.shape, seed=number))
    mixed, ladj = mixing(x)
    torch.testing.assert_close(mixing.inverse(mixed), x)
    weight = torch.stack([mixing(e[None, :, None, None])[0].flatten() for e in torch.eye(4).double()], 1)
    weight = weight - mixing.bias[:, None]
    expected = torch.linalg.slogdet(weight).logabsdet * HEIGHT * WIDTH
    torch.testing.assert_close(ladj, expected)


@pytest.mark.parametrize("circular", [True, False])
def test_a_unet_turns_with_its_image_where_that_closes(circular: bool) -> None:
    net = UNet(3, 2, UNetConfig(channels=4, down=((2, 3),)), circular=circular).double().eval()
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.copy_(0.3 * images(*parameter.shape, seed=number))
        x = images(ROWS, 3, 8, WIDTH)
        turned = net(x.roll(2, dims=2))  # by what is joined on the way down
        assert torch.allclose(turned, net(x).roll(2, dims=2)) == circular


@pytest.mark.parametrize("circular", [True, False])
def test_densities_have_the_jacobian_s_determinant(circular: bool) -> None:
    flow = flow_of(circular=circular)
    image, context = images(1, HEIGHT, WIDTH), images(1, CONTEXT, HEIGHT // 2, WIDTH // 2, seed=1)
    jacobian = torch.autograd.functional.jacobian(
        lambda v: flow._forward(v.view(1, HEIGHT, WIDTH), context)[0].flatten(), image.flatten()
    )
    z, ladj = flow._forward(image, context)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, ladj[0])
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum() + ladj[0]
    torch.testing.assert_close(flow.log_prob(image, context)[0], normal)


def test_samples_undo_densities() -> None:
    flow = flow_of()
    image, context = images(ROWS, HEIGHT, WIDTH), images(ROWS, CONTEXT, HEIGHT // 2, WIDTH // 2, seed=1)
    with torch.no_grad():
        z, _ = flow._forward(image, context)
        noise = unsqueezed(z, CONFIG.squeeze)[:, 0]
        torch.testing.assert_close(flow.sample(noise, context), image, rtol=0, atol=1e-6)
        assert not torch.allclose(noise, image, atol=0.05)


def test_one_pixel_is_too_few_to_couple() -> None:
    with pytest.raises(ValueError, match="two pixels"):
        ImageFlow(ImageFlowConfig(squeeze=(1, 1)), 1, circular=False)
    with pytest.raises(ValidationError):
        UNetConfig(down=())
