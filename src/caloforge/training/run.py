"""A run directory tells its story: configuration, seed, code, data; and has a folder for each stage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch
import yaml

import caloforge
from caloforge.errors import BusyError, OutputError, TrainingError
from caloforge.files import locked, staying, waiting_for, write_text
from caloforge.markup import parse_yaml, read_text
from caloforge.signals import deferred
from caloforge.training.checkpoints import read_checkpoint, write_checkpoint
from caloforge.training.stage_folder import StageFolder
from caloforge.training.story import difference, story_of_stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from caloforge.training.config import TrainConfig

__all__ = ["RunDirectory"]


class RunDirectory:
    """The files of one training run.

    Attributes:
        sections: Sections of the configuration of stages that have not their own name.

    Args:
        path: The folder; made when it does not exist.
        by_another: It is made, and removed if nothing starts, by another process of the training.
    """

    def __init__(self, path: Path, *, by_another: bool = False) -> None:
        self.path = path
        self.cache = path / "cache"
        self.model = path / "model"
        self._stages = path / "stages"
        self._prepared = path / "prepared.pt"
        self._lock = path / "lock"
        self._starting = path / "start.lock"
        self._is_mine = not by_another and not path.exists()
        self._story: dict[str, Any] = {}
        self.sections: dict[str, str] = {}
        if by_another:
            return
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"Cannot make the run folder {path}: {error.strerror}."
            raise OutputError(msg) from error

    @property
    def config_path(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return self.config_path.is_file()

    def stage(self, name: str) -> StageFolder:
        """The files of a stage."""
        section = self.sections.get(name, name)
        return StageFolder(self._stages / name, story_of_stage(self._story, section))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Own the folder: no other process may train all of it.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM; its text tells how to go on, if there is a checkpoint.
            OutputError: Another process trains in it.
        """
        busy = f"Another process is training in {self.path}: wait for it, or name a new folder."
        with self.entered(), locked(self._lock, busy=busy, of=self.path):
            yield

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Work in the folder, perhaps beside others. What fails before its start leaves nothing.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM; its text tells how to go on, if there is a checkpoint.
        """
        try:
            with staying(self.path):
                yield
        except KeyboardInterrupt as stop:
            self._tidy()
            if not any(self._stages.glob("*/*.pt")):
                raise
            msg = "the state is saved: run the same command again to go on"
            raise type(stop)(msg) from None
        except BusyError:
            raise
        except BaseException:
            self._tidy()
            raise

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Start the run, or take part in it, one process after the other."""
        with waiting_for(self._starting, of=self.path):
            yield

    @deferred()
    def _tidy(self) -> None:
        """Remove what a run leaves that did not start."""
        if self.exists:
            return
        shutil.rmtree(self.cache, ignore_errors=True)
        for lock in (self._lock, self._starting):
            lock.unlink(missing_ok=True)
        if self._is_mine:
            with suppress(OSError):  # something is in it, or it is gone
                self.path.rmdir()

    def is_finished(self, stages: Iterable[str]) -> bool:
        """Whether all ``stages`` are done and the model is saved."""
        prepared = self.load_prepared() if (self.model / "config.json").is_file() else None
        return prepared is not None and all(
            name in prepared["kept"] or self.stage(name).is_done for name in stages
        )

    def start(self, config: TrainConfig, facts: dict[str, Any]) -> None:
        """Write the configuration and the facts of a new run, or check those of a resumed one.

        Raises:
            TrainingError: The folder holds a run with another configuration, seed or data.
        """
        self._story = {"config": config.as_dict(), **facts}
        if not self.exists:
            details = {"version": caloforge.__version__, "git": _git_state(), "torch": torch.__version__}
            write_text(self.path / "run.json", json.dumps({**facts, **details}, indent=2))
            write_text(self.config_path, yaml.safe_dump(self._story, sort_keys=False))
        elif other := difference(self._stored(), self._story):
            msg = f"{self.path} holds a run with another {other}: go on with that, or name a new folder."
            raise TrainingError(msg)

    def _stored(self) -> dict[str, Any]:
        text = read_text(self.config_path, what="configuration of the run", error=TrainingError)
        content = parse_yaml(text, source=f"The configuration {self.config_path}", error=TrainingError)
        if not isinstance(content, dict):
            msg = f"The configuration {self.config_path} is damaged: name a new folder."
            raise TrainingError(msg)
        return content

    def save_prepared(self, content: dict[str, Any]) -> None:
        """Write what all stages start from."""
        write_checkpoint(self._prepared, content)

    def load_prepared(self) -> dict[str, Any] | None:
        """What all stages start from, or None.

        Raises:
            TrainingError: It cannot be read.
        """
        return read_checkpoint(self._prepared)

    def read_log(self, stages: Iterable[str]) -> list[dict[str, Any]]:
        """The logs of ``stages``, one after the other.

        Raises:
            TrainingError: One is damaged.
        """
        return [line for name in stages for line in self.stage(name).read_log()]


def _git_state() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = os.path.dirname(caloforge.__file__)  # noqa: PTH120 (a str is all that is needed)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    except OSError:  # there is no git
        return "not known"
    return done.stdout.strip() if done.returncode == 0 else "not a git checkout"
