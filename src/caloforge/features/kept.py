"""Cells of a file that is gone through twice: inflated once, kept in a file for the second time."""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import weakref
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.showers import Showers

__all__ = ["KeptBlocks"]

_MOST = 4 << 30
"""Bytes that are kept at most; what is beyond them is read again."""

_logger = logging.getLogger(__name__)


class KeptBlocks:
    """Blocks of showers in a file without a name, as they came; the file goes away with the object.

    Args:
        most: Bytes that are kept at most.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._file = tempfile.TemporaryFile(prefix="caloforge-")  # noqa: SIM115 (closed below)
        weakref.finalize(self, _close, self._file)
        self._most, self._blocks = most, 0
        self.showers = 0  # how many are kept, from the first one on

    def keeping(self, blocks: Iterator[Showers]) -> Iterator[Showers]:
        """The same blocks, kept on the way as long as there is room."""
        for block in blocks:
            if self._most:
                self._keep(block)
            yield block

    def again(self) -> Iterator[Showers]:
        """What is kept, in order."""
        # a descriptor of its own: after a full disk the first one still wants to write what did not fit
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            file.seek(0)
            for _ in range(self._blocks):
                yield pickle.load(file)  # nobody else can write to it

    def _keep(self, block: Showers) -> None:
        try:
            pickle.dump(block, self._file, protocol=5)
            self._file.flush()
        except OSError as error:  # a full disk: the file is read again instead
            _logger.info("cells are not kept: %s", error)
            self._most = 0
            return
        self._blocks += 1
        self.showers += len(block)
        if self._file.tell() > self._most:
            self._most = 0


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # what did not fit is not missed
        file.close()
