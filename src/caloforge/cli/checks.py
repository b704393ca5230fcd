"""What can be said about inputs before anything large is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["check_model", "check_showers"]


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
