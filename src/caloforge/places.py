"""Folders of a user in which downloads are kept: where the operating system wants them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CACHE_VARIABLE", "cache_folder", "data_folder", "home_folder"]

CACHE_VARIABLE = "CALOFORGE_CACHE"
_NAME = "caloforge"


def cache_folder(environment: Mapping[str, str] | None = None, *, platform: str = sys.platform) -> Path:
    """Where what can be fetched again is kept: ``CALOFORGE_CACHE``, else the usual place.

    Args:
        environment: The environment variables.
        platform: As ``sys.platform``.

    Raises:
        ConfigError: The variable is not set and there is no home.
    """
    environment = os.environ if environment is None else environment
    if given := environment.get(CACHE_VARIABLE):
        return Path(os.path.expanduser(given)).absolute()  # noqa: PTH111 (without a home it stays as it is)
    if platform == "win32":
        return _local(environment) / _NAME / "Cache"
    if platform == "darwin":
        return home_folder(environment) / "Library" / "Caches" / _NAME
    return _xdg("XDG_CACHE_HOME", ".cache", environment) / _NAME


def data_folder(environment: Mapping[str, str] | None = None, *, platform: str = sys.platform) -> Path:
    """Where what a user would miss is kept; arguments as of ``cache_folder``.

    Raises:
        ConfigError: There is no home.
    """
    environment = os.environ if environment is None else environment
    if platform == "win32":
        return _local(environment) / _NAME
    if platform == "darwin":
        return home_folder(environment) / "Library" / "Application Support" / _NAME
    return _xdg("XDG_DATA_HOME", ".local/share", environment) / _NAME


def home_folder(environment: Mapping[str, str]) -> Path:
    """The user's home.

    Raises:
        ConfigError: It is not known, as in some containers.
    """
    given = environment.get("HOME") or environment.get("USERPROFILE")
    try:
        return Path(given) if given else Path.home()
    except RuntimeError as error:
        msg = f"The home folder is not known: set HOME, or {CACHE_VARIABLE} to a folder for downloads."
        raise ConfigError(msg) from error


def _local(environment: Mapping[str, str]) -> Path:
    given = environment.get("LOCALAPPDATA")
    return Path(given) if given else home_folder(environment) / "AppData" / "Local"


def _xdg(variable: str, usual: str, environment: Mapping[str, str]) -> Path:
    given = Path(environment.get(variable, ""))
    # the specification: relative paths are invalid
    return given if given.is_absolute() else home_folder(environment) / usual
