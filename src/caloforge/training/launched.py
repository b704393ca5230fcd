"""How a process was launched: alone, or as one of several that train one model (``torchrun``)."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import torch
from torch import distributed

from caloforge.devices import find_device
from caloforge.errors import ConfigError, TrainingError, bad
from caloforge.training.quiet import quiet

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Launched", "Precision", "open_fabric"]

Precision = Literal["32-true", "bf16-mixed"]

_PATIENCE = timedelta(days=1)  # until the first process has made the cache, or fitted a calibration
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launched:
    """The processes of a launch.

    Attributes:
        rank: Number of this one.
        ranks: Of all.
        here: Of this machine.
    """

    rank: int = 0
    ranks: int = 1
    here: int = 1

    @classmethod
    def read(cls) -> Launched:
        """What a launcher's variables say; without any the process is alone.

        Raises:
            ConfigError: They say half of it, or machines have different numbers of processes.
        """
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return cls()
        if missing := [name for name in _VARIABLES if not os.environ.get(name)]:
            what, got = "the environment", f"WORLD_SIZE={os.environ['WORLD_SIZE']} without {missing[0]}"
            fix = "launch with torchrun, or unset WORLD_SIZE"
            raise ConfigError(bad(what, got=got, expected="all variables of torchrun", fix=fix))
        try:
            rank, ranks, here = (int(os.environ[n]) for n in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        except ValueError as error:
            msg = "The variables of torchrun (RANK, WORLD_SIZE, LOCAL_WORLD_SIZE) must be whole numbers."
            raise ConfigError(msg) from error
        if here < 1 or ranks % here:
            expected = "as many on each machine"
            raise ConfigError(
                bad(f"{ranks} processes of torchrun", got=f"{here} on this one", expected=expected)
            )
        return cls(rank, ranks, here)


def open_fabric(device: str, precision: Precision) -> Fabric:
    """Device and precision of a training, and the way to the processes that it was launched with.

    Args:
        device: ``cpu``, ``cuda`` or ``auto``; of several processes each gets a GPU of its own.
        precision: Of lightning-fabric.

    Raises:
        ConfigError: There is no such device, or there are fewer GPUs than processes.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    place, launched = find_device(device), Launched.read()
    if launched.ranks > 1:
        return _launched(place.type, device, precision, launched)
    numbers: list[int] | int = 1 if place.type == "cpu" else [place.index]
    alone = LightningEnvironment()  # whatever batch system the process is a job of
    return Fabric(accelerator=place.type, devices=numbers, precision=precision, plugins=alone)


def _launched(kind: str, device: str, precision: Precision, launched: Launched) -> Fabric:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    if ":" in device or (kind == "cuda" and torch.cuda.device_count() < launched.here):
        expected = "cpu, or cuda with a GPU for each process of a machine"
        got = f"{device} for {launched.here} processes"
        raise ConfigError(bad("device", got=got, expected=expected))
    fabric = Fabric(
        accelerator=kind,
        devices=launched.here,
        num_nodes=launched.ranks // launched.here,
        strategy=DDPStrategy(timeout=_PATIENCE),
        precision=precision,
        plugins=TorchElasticEnvironment(),
    )
    with quiet("lightning_fabric", "lightning.fabric", level=logging.WARNING):
        try:
            _connect(kind, launched)
            fabric.launch()
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            msg = f"The processes of this training cannot reach each other ({reason}): start it again."
            raise TrainingError(msg) from error
    return fabric


def _connect(kind: str, launched: Launched) -> None:
    """Meet the other processes; those of a launcher that starts them again not where the last ones met."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or distributed.is_initialized():
        return  # fabric does
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = distributed.TCPStore(host, port, is_master=False, timeout=_PATIENCE)  # type: ignore[attr-defined]
    place = f"caloforge/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    gpu = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if kind == "cuda" else None
    distributed.init_process_group(
        "gloo" if gpu is None else "nccl",
        store=distributed.PrefixStore(place, store),  # type: ignore[attr-defined]
        rank=launched.rank,
        world_size=launched.ranks,
        timeout=_PATIENCE,
        device_id=gpu,
    )
