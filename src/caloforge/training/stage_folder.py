"""The files of one stage of a run: a checkpoint while it is trained, its weights when it is done, its log."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from caloforge.errors import OutputError, TrainingError
from caloforge.files import locked
from caloforge.training.checkpoints import read_checkpoint, write_checkpoint
from caloforge.training.story import difference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

__all__ = ["StageFolder"]


class StageFolder:
    """One stage's files; a finished one can be copied into the folder of another run of the same kind.

    Args:
        path: The folder; made when something is written.
        story: What the stage is made from.
    """

    def __init__(self, path: Path, story: dict[str, Any]) -> None:
        self.path = path
        self._story = story
        self._state = path / "state.pt"
        self._weights = path / "weights.pt"
        self._log = path / "log.jsonl"

    @property
    def is_done(self) -> bool:
        """Whether its weights are here."""
        return self._weights.is_file()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Own the stage: no other process may train it.

        Raises:
            OutputError: Another process does, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"Cannot make the folder {self.path}: {error.strerror}."
            raise OutputError(msg) from error
        busy = f"Another process is training in {self.path}: wait for it, or name a new folder."
        with locked(self.path / "lock", busy=busy, of=self.path):
            yield

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; it remembers how long the log was."""
        length = self._log.stat().st_size if self._log.exists() else 0
        write_checkpoint(self._state, {**state, "log_bytes": length})

    def load_state(self) -> dict[str, Any] | None:
        """The last checkpoint, or None; lines logged after it are dropped from the log.

        Raises:
            TrainingError: It cannot be read.
        """
        state = self.read_state()
        if state is None:
            self._log.unlink(missing_ok=True)
        elif self._log.exists():
            os.truncate(self._log, state["log_bytes"])
        return state

    def read_state(self) -> dict[str, Any] | None:
        """The last checkpoint, or None; the log stays as it is.

        Raises:
            TrainingError: It cannot be read.
        """
        return read_checkpoint(self._state)

    def save_weights(self, weights: dict[str, Tensor], shared: dict[str, Tensor]) -> None:
        """Write what the stage has made, and the tensors of no stage that it was trained with."""
        story = json.dumps(self._story)
        write_checkpoint(self._weights, {"weights": weights, "shared": shared, "story": story})
        self._state.unlink(missing_ok=True)

    def load_weights(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What ``save_weights`` was given.

        Raises:
            TrainingError: They cannot be read, or were made by another run.
        """
        content = read_checkpoint(self._weights)
        if content is None:
            msg = f"The stage in {self.path} is not trained: run its training first."
            raise TrainingError(msg)
        if other := difference(json.loads(content["story"]), self._story):
            msg = (
                f"{self.path} holds a stage with another {other}: train it as the rest, or name a new folder."
            )
            raise TrainingError(msg)
        return content["weights"], content["shared"]

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
