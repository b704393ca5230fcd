"""The folder of blocks beside an output file: whose it is, what is missing, and how it becomes the file."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.blocks.differences import differences
from caloforge.blocks.gathering import gathered
from caloforge.blocks.store import REQUEST, BlockStore, writing
from caloforge.errors import FormatError, OutputError
from caloforge.files import claimed, locked
from caloforge.markup import parse_json
from caloforge.signals import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caloforge.blocks.pool import Task
    from caloforge.blocks.production import Production
    from caloforge.formats.base import ShowerReader, ShowerWriter
    from caloforge.showers import Showers

__all__ = ["PLAN", "Blocks"]

_PARTICLES = ("energy", "theta", "phi", "pdg")

PLAN = "plan.json"
"""In the folder when jobs on other machines make the blocks; it then stays, whatever happens."""


@dataclass(frozen=True)
class Blocks:
    """The folder of finished blocks beside an output file.

    Attributes:
        out: The output file.
        production: What is made.
        kept: An open file of the first showers.
    """

    out: Path
    production: Production
    kept: ShowerReader | None = None

    @property
    def folder(self) -> Path:
        """Where the blocks are."""
        return self.out.with_name(self.out.name + ".parts")

    @property
    def store(self) -> BlockStore:
        """The finished blocks."""
        return BlockStore(self.folder.absolute(), self.production.fingerprint, self.out)

    def missing(self) -> list[Task]:
        """The blocks that are neither in the folder nor in the file that is kept; drops damaged ones."""
        store = self.store
        wanted = [task for task in self.production.tasks() if not self._is_kept(task)]
        return [task for task in wanted if not store.is_finished(task)]

    def _is_kept(self, task: Task) -> bool:
        """A last block that was shorter is made again: showers agree to rounding only in other batches."""
        return self.kept is not None and task[1] <= len(self.kept)

    def join(self, file: ShowerWriter, *, keep: bool = False) -> None:
        """Write all blocks in order, complete ``file`` and remove the folder, these two at once.

        Until then all blocks stay: what interrupts loses none.

        Args:
            file: Written to.
            keep: Leave the folder.
        """
        try:
            for showers in gathered(self.stream()):
                file.append(showers)
        except BaseException:
            file.abort()
            raise
        with deferred():
            file.close()
            if not keep:
                self.remove()

    def stream(self) -> Iterator[Showers]:
        """The blocks in order."""
        store = self.store
        for task in self.production.tasks():
            if self.kept is not None and self._is_kept(task):
                yield self.kept.read(*task)
            else:
                yield self._checked(store.read(task), task)

    def _checked(self, showers: Showers, task: Task) -> Showers:
        """The showers of a block, which are of the particles that they are to be of."""
        if self.production.incident is not None:
            expected = self.production.incident(*task)
            pairs = [(getattr(showers.incident, name), getattr(expected, name)) for name in _PARTICLES]
            # other machines' exponentials differ in the last digit
            if not all(np.allclose(there, wanted, rtol=1e-9, atol=0) for there, wanted in pairs):
                msg = f"{self.store.path(task)} has showers of other particles than those asked for."
                raise FormatError(msg)
        return showers

    @contextlib.contextmanager
    def claimed(self, *, force: bool) -> Iterator[None]:
        """Own the folder: no other process may join it, and its blocks are those of the request.

        A folder without a finished block is removed on failure, unless a log or a plan in it is wanted.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM; its text tells what is kept, if anything.
            OutputError: Another process works in it, or it has blocks of another request.
        """
        busy = f"Another process is writing {self.out}: wait for it, or choose another name."
        with (
            claimed(self.out, force=force or self.kept is not None),
            self._made(),
            locked(self.folder / "lock", busy=busy, of=self.out),
            self._removed_when_empty(),
        ):
            self._adopt(force=force)
            with self._telling():
                yield

    @contextlib.contextmanager
    def _made(self) -> Iterator[None]:
        try:
            with writing(self.out):
                self.folder.mkdir(exist_ok=True)
            yield
        finally:
            with contextlib.suppress(OSError):  # something is in it, or it is gone
                self.folder.rmdir()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Say what is kept when something stops the work."""
        try:
            yield
        except KeyboardInterrupt as stop:
            if not (kept := self.told_kept()):
                raise
            raise type(stop)(kept) from None
        except OutputError as error:
            if not (kept := self.told_kept()):
                raise
            msg = f"{str(error).rstrip('.')}; {kept}."
            raise OutputError(msg) from error

    @contextlib.contextmanager
    def _removed_when_empty(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            with deferred():
                self.store.drop_unfinished()
                if not (self._has_blocks() or self._has_plan() or str(self.folder) in str(error)):
                    self.remove()
            raise

    def told_kept(self) -> str:
        """What is on disk and how to go on, or nothing."""
        if not self._has_blocks():
            return ""
        # by their names: to read them all again would take long after Ctrl-C
        tasks, store = self.production.tasks(), self.store
        there = (task for task in tasks if self._is_kept(task) or store.path(task).exists())
        kept = sum(stop - start for start, stop in there)
        return f"{kept} of {self.production.count} showers are kept: run the same command again to go on"

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _has_blocks(self) -> bool:
        return any(self.store.finished())

    def _has_plan(self) -> bool:
        return (self.folder / PLAN).exists()

    def _adopt(self, *, force: bool) -> None:
        text = self.production.text
        stored = self.folder / REQUEST
        old = stored.read_text(encoding="utf-8", errors="replace") if stored.exists() else ""
        if old != text:
            if self._has_blocks() and not force:
                raise OutputError(_other_request(self.folder, old, text))
            for path in (*self.store.finished(), self.folder / PLAN):
                path.unlink(missing_ok=True)
            with writing(self.out):
                temporary = self.folder / "unfinished-request.json"
                temporary.write_bytes(text.encode())
                temporary.replace(stored)
        self.store.drop_unfinished()


def _other_request(folder: Path, old: str, new: str) -> str:
    try:
        there = parse_json(old or "{}", source="It", error=FormatError)
        different = differences(there, json.loads(new))
    except FormatError:
        different = "its request.json is damaged"
    return (
        f"{folder} has unfinished showers of another request ({different}): repeat "
        f"that request to finish them, choose another name, or give --force to drop them."
    )
