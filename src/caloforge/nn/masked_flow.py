"""Masked autoregressive flows of splines: densities in one pass, samples feature by feature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from caloforge.nn.local import Beside, LocalNet
from caloforge.nn.masked import MADE
from caloforge.nn.rational_quadratic import rational_quadratic, spline_parameters
from caloforge.records import Count, Record, Widths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.nn.local import Start, Windows

__all__ = ["MaskedFlow", "MaskedFlowConfig"]

_HALF_LOG_TWO_PI = 0.9189385332046727


class MaskedFlowConfig(Record):
    """Sizes of a masked autoregressive flow; the defaults are those of the energies of arXiv:2405.20407."""

    transforms: Count = 6
    """Transformations."""
    bins: int = Field(default=8, gt=1, le=1024)
    """Bins of the splines."""
    hidden: Widths = Field(default=(64, 64), min_length=1)
    """Hidden layers of the masked networks."""
    bound: float = Field(default=13.815510557964274, ge=0.1, le=1000)
    """The splines act on [-bound, bound]."""
    order: Literal["random", "reverse", "first", "outwards"] = "random"
    """Of the features in the transformations: another random one in each, the features' own and the opposite
    one in turns, or always their own; ``outwards``: of cells with windows, from the middle on."""
    local: int = Field(default=0, ge=0, le=16_384)
    """Hidden features of a network of neighbouring cells that all cells share, beside the masked one; 0 for
    none."""
    hits: bool = False
    """Features above 0 are hits, others noise: networks of the first transformation see max(x, 0), and the
    local one is told how many hits are left."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the random orders."""


class MaskedFlow(nn.Module):
    """A masked autoregressive flow (arXiv:1705.07057) of splines (arXiv:1906.04032).

    Sampling knows what the networks have made of earlier features and adds one at a time
    (``MADE.steps``), so that the number of operations is that of one pass, not of one a feature.

    Args:
        features: Size of the target ``F``.
        context: Size of the condition.
        config: Sizes.
        windows: Neighbours of the features, where these are cells of an image.
    """

    def __init__(
        self, features: int, context: int, config: MaskedFlowConfig, windows: Windows | None = None
    ) -> None:
        super().__init__()
        self.features = features
        rng = torch.Generator(device="cpu").manual_seed(config.seed)
        orders = [_order(features, number, config.order, rng, windows) for number in range(config.transforms)]
        firsts = [config.hits and number == 0 for number in range(config.transforms)]
        self.steps = nn.ModuleList(
            _Transform(context, order, config, windows, hits=first)
            for order, first in zip(orders, firsts, strict=True)
        )

    def start(self, x: Tensor) -> None:
        """Let networks that count hits know where these usually are, from targets ``(B, F)``."""
        for step in self.steps:
            assert isinstance(step, _Transform)  # for the type checker: a ModuleList forgets
            if step.local is not None:
                step.local.fit(x[:, step.order])

    def log_prob(self, x: Tensor, context: Tensor, beside: Beside | None = None) -> Tensor:
        """Log-densities ``(B,)`` of targets ``(B, F)`` given conditions ``(B, C)``.

        Args:
            x: Targets.
            context: Conditions.
            beside: What local networks see.
        """
        z, total = self._forward(x, context, beside)
        return total - 0.5 * z.square().sum(1) - _HALF_LOG_TWO_PI * self.features

    def sample(self, noise: Tensor, context: Tensor, beside: Beside | None = None) -> Tensor:
        """Targets ``(B, F)`` out of standard normal noise ``(B, F)``."""
        return self.states(noise, context, beside)[-1]

    def states(self, noise: Tensor, context: Tensor, beside: Beside | None = None) -> list[Tensor]:
        """Noise ``(B, F)``, what each transformation makes of it, in the end the targets of ``sample``."""
        found = [noise.T]
        for step in reversed(self.steps):
            assert isinstance(step, _Transform)  # for the type checker: a ModuleList forgets
            found.append(step.inverse(found[-1], context, beside))
        return [state.T for state in found]

    def in_one_pass(self, noise: Tensor, context: Tensor, beside: Beside | None = None) -> Tensor:
        """Targets ``(B, F)`` as an inverse autoregressive flow makes them (arXiv:1606.04934).

        Its networks see earlier features of the noise, not of the target: one pass a transformation. What it
        makes is not what ``sample`` does; it is learnt from that (``distance``).
        """
        x = noise.T
        for step in reversed(self.steps):
            assert isinstance(step, _Transform)  # for the type checker: a ModuleList forgets
            x = step.in_one_pass(x, context, beside)
        return x.T

    def distance(self, states: Sequence[Tensor], context: Tensor, beside: Beside | None = None) -> Tensor:
        """Mean squared distance of ``in_one_pass`` from the states of a teacher, each from the one before.

        The teacher has as many transformations of the same orders (CaloFlow II, arXiv:2110.11377).
        """
        total = states[0].new_zeros(())
        for step, before, after in zip(reversed(self.steps), states, states[1:], strict=False):
            assert isinstance(step, _Transform)  # for the type checker: a ModuleList forgets
            total = total + (step.in_one_pass(before.T, context, beside).T - after).square().mean()
        return total / (len(states) - 1)

    def _forward(self, x: Tensor, context: Tensor, beside: Beside | None) -> tuple[Tensor, Tensor]:
        """Noise ``(B, F)``, and the logarithm of the Jacobian's determinant ``(B,)``."""
        z, total = x.T, x.new_zeros(len(x))
        for step in self.steps:
            z, ladj = step(z, context, beside)
            total = total + ladj
        return z.T, total


class _Transform(nn.Module):
    """One transformation: features in an order of its own, out of networks that see earlier ones."""

    order: Tensor

    def __init__(
        self,
        context: int,
        order: Tensor,
        config: MaskedFlowConfig,
        windows: Windows | None,
        *,
        hits: bool,
    ) -> None:
        super().__init__()
        self.hits = hits
        self.bound, outputs = config.bound, spline_parameters(config.bins)
        self.network = MADE(len(order), context, config.hidden, outputs)
        self.local = None
        if config.local and windows is not None:
            self.local = LocalNet(
                windows, order, context=context, hidden=config.local, outputs=outputs, counts=hits
            )
        self.register_buffer("order", order)

    def forward(self, x: Tensor, context: Tensor, beside: Beside | None) -> tuple[Tensor, Tensor]:
        """Noise ``(F, B)`` in the order, of features ``(F, B)``, and ln(determinant) ``(B,)``."""
        ordered = x.index_select(0, self.order)
        parameters = self._of_splines(self._clean(ordered), context, beside)
        z, ladj = rational_quadratic(ordered, parameters, bound=self.bound, dim=0)
        return z, ladj.sum(0)

    def inverse(self, z: Tensor, context: Tensor, beside: Beside | None) -> Tensor:
        """Features ``(F, B)`` out of noise ``(F, B)`` in the order."""
        x = torch.empty_like(z)
        seen = functional.pad(torch.zeros_like(z), (0, 0, 0, 1))  # the last row stands for no feature
        start = None if self.local is None else self._start(context, beside)
        steps = self.network.steps(context)
        parameters = next(steps)
        for i in range(len(z)):
            if self.local is not None and start is not None:
                parameters = parameters + self.local.step(i, seen, start)
            x[i], _ = rational_quadratic(z[i], parameters, bound=self.bound, inverse=True, dim=0)
            seen[i] = self._clean(x[i])
            if i + 1 < len(z):
                parameters = steps.send(seen[i])
        return torch.empty_like(z).index_copy_(0, self.order, x)

    def in_one_pass(self, z: Tensor, context: Tensor, beside: Beside | None) -> Tensor:
        """Features ``(F, B)`` out of noise ``(F, B)`` in the order, by networks of the noise."""
        parameters = self._of_splines(z, context, beside)
        x, _ = rational_quadratic(z, parameters, bound=self.bound, inverse=True, dim=0)
        return torch.empty_like(x).index_copy(0, self.order, x)

    def _of_splines(self, ordered: Tensor, context: Tensor, beside: Beside | None) -> Tensor:
        """Of the splines, ``(K, F, B)``, out of what comes earlier in ``(F, B)``."""
        parameters: Tensor = self.network(ordered.T, context)
        if self.local is not None:
            parameters = parameters + self.local(ordered, self._start(context, beside))
        return parameters

    def _clean(self, x: Tensor) -> Tensor:
        """What the networks see of features."""
        return functional.relu(x) if self.hits else x

    def _start(self, context: Tensor, beside: Beside | None) -> Start:
        assert self.local is not None  # asked only then
        if beside is None:
            beside = Beside(context.new_empty(len(context), 0, 0), context.new_zeros(len(context)))
        return self.local.start(beside, context)


def _order(features: int, number: int, kind: str, rng: torch.Generator, windows: Windows | None) -> Tensor:
    """Of the features in one transformation."""
    if kind == "random":
        return torch.randperm(features, generator=rng, device="cpu")
    if kind == "outwards" and windows is not None:
        return windows.outwards
    own = torch.arange(features, device="cpu")
    return own.flip(0) if kind == "reverse" and number % 2 else own
