"""A run directory tells its story: configuration, seed, code, data, log, checkpoints."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch
import yaml

import caloforge
from caloforge.errors import OutputError, TrainingError
from caloforge.files import locked, replacing, staying, write_text
from caloforge.markup import parse_yaml, read_text
from caloforge.signals import deferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from caloforge.training.config import TrainConfig

__all__ = ["RunDirectory"]


class RunDirectory:
    """The files of one training run.

    Args:
        path: The folder; made when it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = path / "cache"
        self.model = path / "model"
        self._state = path / "state.pt"
        self._log = path / "log.jsonl"
        self._lock = path / "lock"
        self._is_mine = not path.exists()
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

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Own the folder: no other process may train in it. What fails before its start leaves nothing.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM; its text tells how to go on, if there is a checkpoint.
            OutputError: Another process trains in it.
        """
        busy = f"Another process is training in {self.path}: wait for it, or name a new folder."
        with locked(self._lock, busy=busy, of=self.path):
            try:
                with staying(self.path):
                    yield
            except KeyboardInterrupt as stop:
                self._tidy()
                if not self._state.is_file():
                    raise
                msg = "the state is saved: run the same command again to go on"
                raise type(stop)(msg) from None
            except BaseException:
                self._tidy()
                raise

    @deferred()
    def _tidy(self) -> None:
        """Remove what a run leaves that did not start."""
        if self.exists:
            return
        shutil.rmtree(self.cache, ignore_errors=True)
        self._lock.unlink(missing_ok=True)
        if self._is_mine:
            with suppress(OSError):  # something is in it, or it is gone
                self.path.rmdir()

    def finished(self, stages: Iterable[str]) -> bool:
        """Whether all ``stages`` are done and the model is saved."""
        if not (self._state.is_file() and (self.model / "config.json").is_file()):
            return False
        state = self.load_state() or {"stage": "", "finished": []}
        return not state["stage"] and set(stages) <= set(state["finished"])

    def start(self, config: TrainConfig, facts: dict[str, Any]) -> None:
        """Write the configuration and the facts of a new run, or check those of a resumed one.

        Raises:
            TrainingError: The folder holds a run with another configuration, seed or data.
        """
        story = {"config": config.as_dict(), **facts}
        text = yaml.safe_dump(story, sort_keys=False)
        if self.exists:
            self._check_same(story)
            return
        details = {"version": caloforge.__version__, "git": _git_state(), "torch": torch.__version__}
        write_text(self.path / "run.json", json.dumps({**facts, **details}, indent=2))
        write_text(self.config_path, text)

    def _check_same(self, story: dict[str, Any]) -> None:
        stored = self._stored()
        for key, value in story.items():
            if stored.get(key) != json.loads(json.dumps(value)):
                difference = _first_difference(stored.get(key), value, "" if key == "config" else key)
                msg = (
                    f"{self.path} holds a run with another {difference}: "
                    "go on with that, or name a new folder."
                )
                raise TrainingError(msg)

    def _stored(self) -> dict[str, Any]:
        text = read_text(self.config_path, what="configuration of the run", error=TrainingError)
        content = parse_yaml(text, source=f"The configuration {self.config_path}", error=TrainingError)
        if not isinstance(content, dict):
            msg = f"The configuration {self.config_path} is damaged: name a new folder."
            raise TrainingError(msg)
        return content

    @deferred()  # torch would lose the exception of a signal
    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint atomically; it remembers how long the log was."""
        state = {**state, "log_bytes": self._log.stat().st_size if self._log.exists() else 0}
        with replacing(self._state) as part:
            torch.save(state, part)

    def load_state(self) -> dict[str, Any] | None:
        """The last checkpoint, or None; lines logged after it are dropped from the log.

        Raises:
            TrainingError: The checkpoint cannot be read.
        """
        if not self._state.is_file():
            self._log.unlink(missing_ok=True)
            return None
        try:
            state: dict[str, Any] = torch.load(self._state, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            msg = f"The checkpoint {self._state} is damaged ({reason}): move it away to start again."
            raise TrainingError(msg) from error
        if self._log.exists():
            os.truncate(self._log, state["log_bytes"])
        return state

    def log(self, **values: Any) -> None:
        """Append a line to the log."""
        line = json.dumps({**values, "time": round(time.time(), 3)})
        with self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """All lines of the log.

        Raises:
            TrainingError: It is damaged.
        """
        if not self._log.exists():
            return []
        try:
            lines = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
            return [{**line, "stage": str(line["stage"])} for line in lines]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            msg = f"The log {self._log} is damaged: it cannot be read; name a new folder."
            raise TrainingError(msg) from error


def _first_difference(old: Any, new: Any, place: str) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            if old.get(key) != json.loads(json.dumps(new.get(key))):
                return _first_difference(old.get(key), new.get(key), f"{place}.{key}".lstrip("."))
    return f"{place} ({old!r}, not {new!r})"


def _git_state() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = os.path.dirname(caloforge.__file__)  # noqa: PTH120 (a str is all that is needed)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "not a git checkout"
