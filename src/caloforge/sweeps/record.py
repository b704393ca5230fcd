"""The folder of a sweep: what is trained in it, and where."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from caloforge import __version__
from caloforge.blocks import differences
from caloforge.errors import ConfigError, OutputError
from caloforge.files import check_folder, made, write_text
from caloforge.markup import parse_json, read_text
from caloforge.names import PRESETS, check_preset
from caloforge.records import Record, validated
from caloforge.sweeps.axes import short_names
from caloforge.sweeps.points import Point, folder_name

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SWEEP", "Request", "Sweep", "begin", "planned", "read_sweep"]

SWEEP = "sweep.json"
"""In the folder."""


class Request(Record):
    """What all points of a sweep have in common."""

    preset: str
    """A preset, or a YAML file."""
    sha256: str
    """Of its text."""
    overrides: list[str] = Field(default_factory=list)
    """Changes to it, as ``caloforge train`` takes them."""
    data: list[str] = Field(min_length=1)
    """Shower files."""
    init_from: str = ""
    """As of ``caloforge train``, like the rest."""
    retrain: list[str] = Field(default_factory=list)
    fine_tune: list[str] = Field(default_factory=list)
    device: str = "cpu"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    threads: int = Field(default=1, ge=1)
    """Of a training, on the CPU: sums of another number are rounded otherwise."""

    @staticmethod
    def of(preset: str, *, data: Sequence[Path], init_from: Path | None = None, **rest: object) -> Request:
        """The request of a command line: with names that hold in every folder.

        Raises:
            ConfigError: There is no such preset.
        """
        check_preset(preset)
        if _is_file(preset):
            preset = str(Path(preset).absolute())
        start = "" if init_from is None else str(init_from.absolute() if init_from.exists() else init_from)
        content = {"preset": preset, "sha256": _sum_of(preset), "init_from": start}
        return Request.model_validate({**content, "data": [str(p.absolute()) for p in data], **rest})

    def check(self) -> None:
        """Make sure that the preset is what it was.

        Raises:
            ConfigError: It is gone, or has changed.
        """
        check_preset(self.preset)
        if _sum_of(self.preset) != self.sha256:
            msg = f"{self.preset} has changed since the sweep was begun: restore it, or name a new folder."
            raise ConfigError(msg)


def _is_file(preset: str) -> bool:
    return Path(preset).suffix in {".yaml", ".yml"}


def _sum_of(preset: str) -> str:
    if _is_file(preset):
        text = read_text(Path(preset), what="configuration", error=ConfigError)
    else:
        text = (PRESETS / f"{preset}.yaml").read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


class _File(Record):
    """What ``sweep.json`` says."""

    format: Literal["caloforge sweep"] = "caloforge sweep"
    version: Literal[1] = 1
    caloforge: str
    """Version that began it."""
    request: Request
    points: list[Point] = Field(min_length=1)
    """Point k is in the folder that begins with k."""


@dataclass(frozen=True)
class Sweep:
    """Points that are trained in one folder.

    Attributes:
        out: The folder.
        request: What they have in common.
        points: Where they differ; their places are their numbers.
    """

    out: Path
    request: Request
    points: tuple[Point, ...]

    @cached_property
    def keys(self) -> dict[str, str]:
        """What is varied, with the names that tables have for it."""
        return short_names(list(dict.fromkeys(key for point in self.points for key in point.values)))

    def folder(self, number: int) -> Path:
        """The run folder of a point."""
        return self.out / folder_name(number, self.points[number])

    def record(self, number: int) -> Path:
        """The file that tells how its training went."""
        return self.out / "points" / f"{number:04d}.json"


def planned(out: Path, request: Request, points: Sequence[Point]) -> Sweep:
    """The sweep that a folder has, or gets: points that are there stay, with their numbers, others are added.

    Raises:
        OutputError: ``out`` holds another sweep, or is no folder.
    """
    check_folder(out)
    there: tuple[Point, ...] = ()
    if (out / SWEEP).exists():
        old = read_sweep(out)
        if different := differences(old.request.model_dump(mode="json"), request.model_dump(mode="json")):
            msg = f"{out} holds another sweep ({different}): go on with that, or name a new folder."
            raise OutputError(msg)
        there = old.points
    known = {point.identity for point in there}
    return Sweep(out, request, (*there, *(point for point in points if point.identity not in known)))


def begin(sweep: Sweep) -> None:
    """Write what the folder of a sweep is for; nothing when that is there.

    Raises:
        OutputError: It cannot be written.
    """
    path = sweep.out / SWEEP
    if path.exists() and read_sweep(sweep.out).points == sweep.points:
        return
    content = _File(caloforge=__version__, request=sweep.request, points=list(sweep.points))
    with made(sweep.out):
        write_text(path, content.model_dump_json(indent=1) + "\n")


def read_sweep(out: Path) -> Sweep:
    """The sweep of a folder.

    Raises:
        ConfigError: There is none, or its file is damaged.
    """
    path = out / SWEEP
    if not path.is_file():
        msg = f"{out} has no {SWEEP}: give the folder that `caloforge sweep --out` named."
        raise ConfigError(msg)
    text = read_text(path, what="sweep", error=ConfigError)
    content = parse_json(text, source=f"The sweep {path}", error=ConfigError)
    file = validated(_File, content, source=f"the sweep {path}", error=ConfigError)
    return Sweep(out, file.request, tuple(file.points))
