"""What can be said about inputs before anything large is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import ConfigError

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


def check_model(name: str | Path, *, changed: bool = False) -> None:
    """Make sure that there is a trained model of this name, or a folder that may hold one.

    Args:
        name: As of ``model_folder``.
        changed: Whether its card is to be written to, which a downloaded one's is not.

    Raises:
        ConfigError: There is neither, or it is not to be changed.
    """
    from caloforge.zoo.shipped import find_installed, model_folder

    folder = model_folder(name)
    found = find_installed(str(name)) if changed else None
    if found is not None and found.place == "cache":
        msg = f"{name} is downloaded, and its card is its zoo's: leave --record out, or copy {folder}."
        raise ConfigError(msg)
