"""Files are written whole or not at all, and by one process at a time."""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caloforge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["filling", "locked", "part_path", "replacing", "write_text"]

_logger = logging.getLogger(__name__)


def part_path(path: Path) -> Path:
    """The temporary name that ``path`` has while it is written."""
    return path.with_name(path.name + ".part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes ``path`` at the end of the ``with`` block.

    After an exception nothing of it is left.

    Raises:
        OutputError: The file cannot be written.
    """
    part = part_path(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        msg = f"Cannot write {path}: {error.strerror or error}."
        raise OutputError(msg) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to write to; its content moves into ``folder`` at the end of the block.

    ``folder`` is there already. Files and folders of the same names are replaced. After an exception
    nothing new is left.
    """
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        yield part
        for path in sorted(part.iterdir()):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Hold the file ``path`` locked; the system frees it even when the process is killed.

    A file system that knows no locks (some on clusters) is taken as it is.

    Raises:
        OutputError: Another process holds it; the text is ``busy``.
    """
    with path.open("w") as file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(busy) from None
            except OSError as error:
                _logger.debug("%s cannot be locked: %s", path, error.strerror)
        yield
