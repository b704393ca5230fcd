"""Packages that not everybody needs: imported when they are used, missed in one sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from caloforge.errors import MissingDependencyError

__all__ = ["needed"]


def needed(package: str, *, extra: str, what: str) -> Any:
    """Import a package of an extra of caloforge.

    Args:
        package: Name of the module.
        extra: The extra that installs it.
        what: What needs it, as in "ROOT files".

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        msg = f"{what} need the package {name}: install it with pip install 'caloforge[{extra}]'."
        raise MissingDependencyError(msg) from error
