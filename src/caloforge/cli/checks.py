"""What can be said about paths and names before anything large is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["check_file", "check_folder", "check_model", "check_showers"]


def check_showers(files: Iterable[Path]) -> None:
    """Make sure that all files are there and are shower files.

    Raises:
        FormatError: One of them is not.
    """
    from caloforge.formats import detect_format

    for file in files:
        detect_format(file)


def check_model(name: str | Path) -> None:
    """Make sure that there is a trained model of this name, or a folder that may hold one.

    Raises:
        ConfigError: There is neither.
    """
    from caloforge.zoo.shipped import model_folder

    model_folder(name)


def check_file(path: Path, *, force: bool) -> None:
    """Make sure that a file may be written.

    Raises:
        OutputError: It exists and ``force`` is not given, or it cannot be made.
    """
    from caloforge.files import check_output

    check_output(path, force=force)


def check_folder(path: Path, *, without: Iterable[str] = (), force: bool = False) -> None:
    """Make sure that results may be written into a folder, which need not exist.

    Args:
        path: The folder.
        without: The files and folders that an earlier result would have left in it.
        force: Whether those may be replaced.

    Raises:
        OutputError: ``path`` is a file, or has one of ``without`` and ``force`` is not given.
    """
    from caloforge.files import check_free

    if path.exists() and not path.is_dir():
        msg = f"{path} is a file: give the name of a folder."
        raise OutputError(msg)
    check_free(path, without, force=force)
