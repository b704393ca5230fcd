"""Files are written whole or not at all: under a temporary name first."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from caloforge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["part_path", "replacing", "write_text"]


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
