"""``caloforge train``: train a model from a preset or a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.checks import check_model, check_showers
from caloforge.cli.common import print_table, progress
from caloforge.files import check_folder
from caloforge.names import check_preset

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from caloforge.cli.common import Advance
    from caloforge.simulator import Simulator

__all__ = ["train"]


class Precision(StrEnum):
    """Arithmetic of the training."""

    FULL = "32-true"
    BF16 = "bf16-mixed"


def train(
    *,
    preset: Annotated[
        str,
        typer.Argument(
            metavar="MODEL/PRESET|YAML",
            help="A preset of `caloforge models`, or your own file.",
            autocompletion=complete.preset,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes to it; `caloforge models MODEL` has the keys."),
    ] = None,
    data: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Showers: 70 % train, 10 % tune, 20 % are kept back. Repeatable."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Run folder; training goes on when it holds this run.")
    ],
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the weights, batches and noise.")
    ] = 1,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL:TAG|FOLDER",
            help="Take over the networks of a trained model, skip their stages.",
            autocompletion=complete.trained_model,
        ),
    ] = None,
    retrain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE", help="Train this stage although --init-from brings it along. Repeatable."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu, cuda, or auto for the best that is here.")
    ] = "cpu",
    precision: Annotated[
        Precision, typer.Option(help="Of the arithmetic: 32 bits, or mixed with bfloat16.")
    ] = Precision.FULL,
    threads: Annotated[int | None, typer.Option(min=1, metavar="N", help="CPU threads; default all.")] = None,
) -> None:
    r"""Train a model.

    Interrupted, the same command goes on from the last checkpoint. The run folder keeps the
    configuration, the log and the trained model, which `caloforge generate FOLDER` uses.

    \b
    caloforge train caloclouds-2/small --data photons.h5 --out runs/edm
    caloforge train caloclouds-2-cm/small --data photons.h5 --out runs/cm \
      --init-from runs/edm
    caloforge train caloclouds-2/small --data angles.h5 --out runs/angles \
      model.conditions.angles=true training.point_diffusion.steps=8000
    """
    _check(preset, data, out, init_from)
    import torch

    from caloforge.training import load_config
    from caloforge.training import train as run

    if threads:
        torch.set_num_threads(threads)
    with _StageProgress() as show:
        simulator = run(
            load_config(preset, overrides or ()),
            data,
            out,
            seed=seed,
            init_from=init_from,
            retrain=tuple(retrain or ()),
            device=device,
            precision=precision.value,
            on_progress=show,
        )
    _summarise(simulator, out)


def _check(preset: str, data: list[Path], out: Path, init_from: Path | None) -> None:
    """What is wrong at first sight is told before torch is imported."""
    check_preset(preset)
    check_showers(data)
    check_folder(out)
    if init_from is not None:
        check_model(init_from)


class _StageProgress:
    """One progress bar after the other, a stage each."""

    def __init__(self) -> None:
        self._stage = ""
        self._done = 0
        self._bar: AbstractContextManager[Advance] | None = None
        self._advance: Advance | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, stage: str, done: int, total: int, loss: float) -> None:
        """Advance the bar of ``stage``, or open it."""
        if stage != self._stage:
            self._close()
            self._stage, self._done = stage, done
            self._bar = progress(f"{stage}, first loss {loss:.4g}", total, done=done, unit="steps")
            self._advance = self._bar.__enter__()
        if self._advance is not None:
            self._advance(done - self._done)
        self._done = done

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
        self._bar = None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()


def _summarise(simulator: Simulator, out: Path) -> None:
    rows = []
    for stage, numbers in simulator.card["stages"].items():
        shown = {k: f"{v:.4g}" for k, v in numbers.items() if isinstance(v, (int, float))}
        rows.append((stage, ", ".join(f"{k} {v}" for k, v in shown.items())))
    print_table(("stage", "last numbers"), rows, title=f"{simulator.model.name} in {out}")
