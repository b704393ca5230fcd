"""Packages that not everybody needs: imported when they are used, missed in one sentence."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from caloforge.errors import MissingDependencyError

__all__ = ["REPORT", "absent", "check_installed", "needed", "versions"]

REPORT = ("matplotlib", "mplhep", "plotly", "jinja2")
"""Packages of the extra ``report``: pictures, pages and the event display."""


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
        msg = _sentence(package.partition(".")[0], extra=extra, what=what)
        raise MissingDependencyError(msg) from error


def absent(*packages: str) -> tuple[str, ...]:
    """Which of some packages are not installed; nothing is imported."""
    return tuple(package for package in packages if not _is_installed(package))


def check_installed(*packages: str, extra: str, what: str) -> None:
    """Say in time that packages of an extra are missing.

    Args:
        *packages: Names of the modules.
        extra: The extra that installs them.
        what: What needs them, as in "ROOT files".

    Raises:
        MissingDependencyError: One of them is not installed.
    """
    if missing := absent(*packages):
        raise MissingDependencyError(_sentence(missing[0], extra=extra, what=what))


def versions(*distributions: str) -> dict[str, str]:
    """Versions of those packages that are installed, by the names under which they are."""
    found = {}
    for name in distributions:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # of finders, and of modules that were put into sys.modules by hand
        return False


def _sentence(name: str, *, extra: str, what: str) -> str:
    return f"{what} need the package {name}: install it with pip install 'caloforge[{extra}]'."
